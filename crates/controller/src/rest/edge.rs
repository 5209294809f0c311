//! The edge: what users send is bounded in number, time and bytes before anybody looks at what it says.
//!
//! | what | bound | who exceeds it |
//! | --- | --- | --- |
//! | connections of a listener | `CONNECTIONS`, of one address `OF_ONE_ADDRESS` | is hung up on |
//! | time for the head of a request | `HEAD_TIME` | is hung up on |
//! | the head of a request | `LARGEST_HEAD` bytes, `MOST_HEADERS` headers | gets 431 |
//! | time for a body | `BODY_TIME` | gets 408 |
//! | a body | see `payload` | gets 413 |
//! | requests of one project | see `shares` | gets 429 |
//!
//! Each of them is counted in `coax_api_refused_total{outcome}`. Handshakes are bounded where TLS is put on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};
use tower::ServiceExt;

use super::listen::{Arrival, Origin};
use crate::metrics::{Metrics, OutcomeLabels};

/// The most connections that a listener serves at once.
const CONNECTIONS: usize = 1024;
/// The most of them from one address, where they come from addresses.
const OF_ONE_ADDRESS: usize = 256;
/// How long the head of a request may take, and a connection may say nothing.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(60);
/// The longest head of a request.
const LARGEST_HEAD: usize = 32 << 10;
/// The most headers of a request.
const MOST_HEADERS: usize = 64;

/// Serves what arrives until `stop` says so.
pub async fn serve<L>(
    mut listener: L,
    router: Router,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) where
    L: Listener<Io: Arrival>,
{
    let places = Arc::new(Places::default());
    loop {
        let (io, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => return,
        };
        let origin = io.origin();
        match Place::take(&places, origin) {
            Some(place) => {
                let (router, metrics, stop) = (router.clone(), metrics.clone(), stop.clone());
                tokio::spawn(async move {
                    let _place = place;
                    one(io, origin, router, &metrics, stop).await;
                });
            }
            // Dropped, the connection is closed: there is nothing to wait for.
            None => count(&metrics, "too-many-connections"),
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody can say stop any more.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves one connection.
async fn one<I: Arrival>(
    io: I,
    origin: Origin,
    router: Router,
    metrics: &Metrics,
    mut stop: watch::Receiver<bool>,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let noted = asked.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        noted.store(true, Ordering::Relaxed);
        let mut request = request.map(|body| Body::new(Timely::new(body)));
        request.extensions_mut().insert(ConnectInfo(origin));
        let answer = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    let Err(error) = ended else {
        return;
    };
    if error.is_parse_too_large() {
        count(metrics, "large-head");
    } else if error.is_parse() {
        count(metrics, "malformed");
    } else if error.is_timeout() && !asked.load(Ordering::Relaxed) {
        // One that was served and says nothing more is merely idle.
        count(metrics, "slow-head");
    }
}

fn count(metrics: &Metrics, outcome: &'static str) {
    let labels = OutcomeLabels { outcome };
    metrics.api_refused.get_or_create(&labels).inc();
}

/// How many connections there are, and from where.
#[derive(Default)]
struct Places(Mutex<(usize, HashMap<IpAddr, usize>)>);

/// The place of one connection; free again when it is dropped.
struct Place {
    places: Arc<Places>,
    address: Option<IpAddr>,
}

impl Place {
    fn take(places: &Arc<Places>, origin: Origin) -> Option<Self> {
        let address = match origin {
            Origin::Local { .. } => None,
            Origin::Remote(address) => Some(address.ip()),
        };
        let mut taken = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_address) = &mut *taken;
        if *all >= CONNECTIONS {
            return None;
        }
        let here = address.map(|address| by_address.entry(address).or_default());
        if here.as_ref().is_some_and(|here| **here >= OF_ONE_ADDRESS) {
            return None;
        }
        *all += 1;
        if let Some(here) = here {
            *here += 1;
        }
        Some(Self {
            places: places.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_address) = &mut *taken;
        *all -= 1;
        if let Some(address) = self.address
            && let Some(here) = by_address.get_mut(&address)
        {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// A body that comes in time or not at all.
struct Timely {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl Timely {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            deadline: Box::pin(sleep(BODY_TIME)),
        }
    }
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_places_to_others() {
        let places = Arc::new(Places::default());
        let from = |last: u8| Origin::Remote(([127, 0, 0, last], 1).into());
        let greedy: Vec<Place> = (0..CONNECTIONS)
            .map_while(|_| Place::take(&places, from(2)))
            .collect();
        assert_eq!(greedy.len(), OF_ONE_ADDRESS);
        assert!(Place::take(&places, from(3)).is_some());
        drop(greedy);
        assert!(Place::take(&places, from(2)).is_some());
        let all: Vec<Place> = (0..=CONNECTIONS)
            .map_while(|_| Place::take(&places, Origin::Local { uid: 0 }))
            .collect();
        assert_eq!(all.len(), CONNECTIONS);
    }
}
