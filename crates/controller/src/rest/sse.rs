//! Answers that go on: server-sent events, until the reader goes, is nobody any more, or the controller stops.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::App;
use super::authorise::is_still;
use super::failure::Failure;
use super::stacks::mismatch;
use crate::identity::Caller;

/// How often it is checked that the reader still is who asked.
const RECHECK: Duration = Duration::from_secs(30);

/// Where events go to. Nothing instead of `()`: the reader is gone.
#[derive(Clone)]
pub struct Events(mpsc::Sender<Result<Event, Infallible>>);

impl Events {
    /// Tells one event, whose data is a value of plain strings and numbers.
    pub async fn tell(&self, event: Event, value: &impl Serialize) -> Option<()> {
        // Such a value always has a JSON form.
        let json = serde_json::to_string(value).unwrap_or_default();
        self.0.send(Ok(event.data(json))).await.ok()
    }

    /// Returns when the reader is gone.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    /// Whether the reader is gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Who asked for an answer that goes on.
pub struct Reader {
    app: App,
    /// Of the request: what the reader showed for himself.
    parts: Parts,
    caller: Caller,
    recheck: Duration,
}

impl FromRequestParts<App> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        // A request without a caller does not get so far.
        let caller = parts.extensions.get::<Caller>().cloned();
        Ok(Self {
            app: app.clone(),
            parts: parts.clone(),
            caller: caller.ok_or_else(mismatch)?,
            recheck: RECHECK,
        })
    }
}

impl Reader {
    /// The answer, and where its events go to; `waiting` of them while the reader is slow.
    pub fn answer(self, waiting: usize) -> (Events, Response) {
        let (events, body) = mpsc::channel(waiting);
        let body = ReceiverStream::new(body).take_until(self.must_go());
        let response = Sse::new(body)
            .keep_alive(KeepAlive::default())
            .into_response();
        (Events(events), response)
    }

    /// Returns when there is nothing more for this reader.
    async fn must_go(self) {
        let known = async {
            loop {
                tokio::time::sleep(self.recheck).await;
                if !is_still(&self.app, &self.parts, &self.caller).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = known => {}
            () = self.app.handle.ended() => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::{Instant, SystemTime};

    use axum::body::to_bytes;
    use axum::http::{Request, header};
    use coax_api::Role;
    use coax_identity::Authority;
    use coax_store::Memory;

    use super::*;
    use crate::audit::Recording;
    use crate::core::Core;
    use crate::core::submission::Clock;
    use crate::identity::{Identities, NewToken};
    use crate::metrics::Metrics;
    use crate::{records, tasks};

    const DAY: Duration = Duration::from_secs(86_400);

    fn app() -> App {
        let (store, now) = (Arc::new(Memory::new()), SystemTime::now());
        let loaded = records::load(&*store, 1600).unwrap();
        let core = Core::new(1, 1, loaded, Clock::new(now, Instant::now()));
        let authority = Authority::create(now).unwrap();
        let identities = Arc::new(Identities::new(store.clone(), authority, DAY));
        let metrics = Arc::new(Metrics::new());
        let log = identities.log().clone();
        let (handle, _) = tasks::spawn(core, store, log, None, metrics.clone()).unwrap();
        App {
            handle,
            metrics,
            identities,
            owners: [].into(),
            for_hosts: [].into(),
            shares: Arc::default(),
        }
    }

    /// The bearer of a new token `ci`.
    fn reader(app: &App, recheck: Duration) -> Reader {
        let now = SystemTime::now();
        let new = NewToken {
            name: "ci".parse().unwrap(),
            role: Role::Viewer,
            project: None,
            expires: now + DAY,
        };
        let (root, recording) = (Caller::local(0), Recording::default());
        let made = app.identities.make_token(new, &root, now, &recording);
        let (token, _) = made.unwrap().unwrap();
        let request = Request::get("/v1/events");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        Reader {
            app: app.clone(),
            parts: request.body(()).unwrap().into_parts().0,
            caller: Caller::everywhere("ci", Role::Viewer),
            recheck,
        }
    }

    #[tokio::test]
    async fn it_ends_with_the_readers_token() {
        let app = app();
        let (events, response) = reader(&app, Duration::from_millis(20)).answer(4);
        events.tell(Event::default(), &1).await.unwrap();
        let text = tokio::spawn(to_bytes(response.into_body(), 1 << 20));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!events.is_closed(), "the token counts");
        events.tell(Event::default(), &2).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (now, recording) = (SystemTime::now(), Recording::default());
        let deleted = app.identities.delete_token("ci", None, now, &recording);
        assert!(deleted.unwrap().is_some());
        events.closed().await;
        assert_eq!(text.await.unwrap().unwrap(), "data: 1\n\ndata: 2\n\n");
    }

    #[tokio::test]
    async fn it_ends_with_the_controller() {
        let app = app();
        let (events, response) = reader(&app, DAY).answer(4);
        let text = tokio::spawn(to_bytes(response.into_body(), 1 << 20));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!events.is_closed());
        app.handle.tell(tasks::Event::Stop).await;
        events.closed().await;
        assert_eq!(text.await.unwrap().unwrap(), "");
    }
}
