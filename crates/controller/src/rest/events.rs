//! What happens: the last events as a list, or all from now on as server-sent events.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use coax_api::{Event, EventKind, EventParams, Events, LostEvents, Problem};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::App;
use super::failure::Failure;
use super::input::{Params, list};
use super::sse::{Events as Told, Reader};
use crate::event_log::{EventId, Past};
use crate::identity::Caller;

/// Where browsers say which event they saw last (HTML, section 9.2).
const LAST_EVENT: &str = "last-event-id";
/// Events on their way to a reader.
const EVENTS: usize = 64;

/// What happened lately, or what happens from now on
#[utoipa::path(
    get, path = "/v1/events", tag = "system", params(EventParams),
    responses(
        (status = 200, content((Events = "application/json"), (String = "text/event-stream"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")
    )
)]
pub async fn events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    reader: Reader,
    Params(params): Params<EventParams>,
) -> Result<Response, Failure> {
    let wanted = Wanted::new(&params, caller)?;
    let header = headers.get(LAST_EVENT).and_then(|it| it.to_str().ok());
    let after = after(params.after.as_deref(), header)?;
    let log = app.handle.event_log();
    if !params.follow {
        let past = wanted.of(log.past(after), params.last);
        return Ok(Json(Events {
            events: past.events.iter().map(|it| Event::clone(it)).collect(),
            incomplete: past.incomplete,
        })
        .into_response());
    }
    let (past, news) = log.follow(after);
    // Who neither says what he knows nor how much he wants to know begins now.
    let past = match (after, params.last) {
        (None, None) => Past::default(),
        (None, Some(_)) => Past {
            incomplete: false,
            ..wanted.of(past, params.last)
        },
        (Some(_), last) => wanted.of(past, last),
    };
    let (told, response) = reader.answer(EVENTS);
    tokio::spawn(async move {
        // Nothing: the reader is gone.
        let _ = tell(wanted, past, news, told).await;
    });
    Ok(response)
}

/// The event that the reader knows. Browsers repeat the address with the header, so the header is newer.
fn after(parameter: Option<&str>, header: Option<&str>) -> Result<Option<EventId>, Failure> {
    let read = |text: &str| {
        EventId::parse(text).ok_or_else(|| {
            Failure::bad_request(
                "bad-parameter",
                format!("`{text}` is not the id of an event"),
                "GET /v1/events tells the ids",
            )
        })
    };
    header.or(parameter).map(read).transpose()
}

/// Which events somebody wants and may see.
struct Wanted {
    kinds: Vec<EventKind>,
    hosts: Vec<String>,
    projects: Vec<String>,
    caller: Caller,
}

impl Wanted {
    fn new(params: &EventParams, caller: Caller) -> Result<Self, Failure> {
        let owned = |text: &Option<String>| list(text.as_deref()).map(str::to_owned).collect();
        let kinds = list(params.kind.as_deref()).map(kind);
        Ok(Self {
            kinds: kinds.collect::<Result<_, _>>()?,
            hosts: owned(&params.host),
            projects: owned(&params.project),
            caller,
        })
    }

    fn takes(&self, event: &Event) -> bool {
        let any = |list: &[String], value: &String| list.is_empty() || list.contains(value);
        let seen = self.caller.project.as_ref();
        seen.is_none_or(|project| event.project == project.as_str())
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && any(&self.hosts, &event.host)
            && any(&self.projects, &event.project)
    }

    /// The last ones of those that are wanted.
    fn of(&self, mut past: Past, last: Option<usize>) -> Past {
        past.events.retain(|event| self.takes(event));
        let too_many = past.events.len().saturating_sub(last.unwrap_or(usize::MAX));
        past.events.drain(..too_many);
        past
    }
}

fn kind(text: &str) -> Result<EventKind, Failure> {
    let mut known = EventKind::ALL.into_iter();
    known.find(|kind| kind.as_str() == text).ok_or_else(|| {
        let known = EventKind::ALL.map(EventKind::as_str);
        Failure::bad_request(
            "bad-parameter",
            format!("`{text}` is no kind of event"),
            format!("write {}", known.join(", ")),
        )
    })
}

/// What happened, then what happens.
async fn tell(
    wanted: Wanted,
    past: Past,
    mut news: broadcast::Receiver<Arc<Event>>,
    body: Told,
) -> Option<()> {
    if past.incomplete {
        lost(&body, "the controller does not know all of them any more").await?;
    }
    for event in past.events {
        send(&body, &event).await?;
    }
    loop {
        let next = tokio::select! {
            () = body.closed() => return None,
            next = news.recv() => next,
        };
        match next {
            Ok(event) if wanted.takes(&event) => send(&body, &event).await?,
            Ok(_) => {}
            Err(RecvError::Lagged(count)) => {
                let reason = format!("{count} events happened faster than they were read");
                lost(&body, &reason).await?;
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

async fn send(body: &Told, event: &Event) -> Option<()> {
    body.tell(sse::Event::default().id(&event.id), event).await
}

async fn lost(body: &Told, reason: &str) -> Option<()> {
    let reason = reason.to_owned();
    let lost = LostEvents { reason };
    body.tell(sse::Event::default().event("lost"), &lost).await
}
