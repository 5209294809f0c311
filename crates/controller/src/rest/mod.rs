//! The users' side: HTTP on a Unix socket, a loopback address, and TLS.
//!
//! | module | serves |
//! | --- | --- |
//! | [`listen`] | the sockets |
//! | [`authorise`] | who may do what, asked before anything else; [`rights`] is the table |
//! | `stacks` | whole projects, moves, waiting |
//! | `revisions` | the history, going back, confirming |
//! | `submission` | who asks, on which conditions; entity tags |
//! | `objects` | what there is |
//! | `reports` | counters and drops of all hosts |
//! | `blast_radius` | how far a misbehaving member of a network gets |
//! | `traces` | why can't A reach B |
//! | `captures` | what passes by a port |
//! | `checks` | who must and who must not reach whom |
//! | `connections` | what the firewalls of hosts follow |
//! | `invitations` | tokens by which machines become hosts or controllers |
//! | `quotas` | how much projects may have |
//! | `removal` | removing hosts |
//! | `audit` | the log of changes |
//! | `authorities` | renewing the deployment's authority |
//! | `backups` | everything as a file |
//! | `tokens` | users' tokens |
//! | `own` | answers about the whole system, for those who may see a part |
//! | `firewall_reports` | rules in vain, and rules that are wanting |
//! | `events` | what happens |
//! | `flows` | what they decided, `flow_filter` which of it is wanted |
//! | `service` | health, metrics, the specification; `page` shows it to people |
//! | [`openapi`] | the router and the specification, made from each other |
//! | `findings` | what keeps hosts from carrying packets |
//! | `sse` | answers that go on, as server-sent events |
//! | `edge` | what bounds every connection, `payload` every body |
//! | `failure` | errors as problem details, `input` what requests carry |
//!
//! Reading takes the core's state as it is; everything else is asked from the core and answered when
//! it is done. Where several controllers share a store, both wait until the core knows what the others stored.

mod audit;
pub mod authorise;
mod authorities;
pub mod listen;
pub mod openapi;

mod backups;
mod blast_radius;
mod captures;
mod checks;
mod connections;
mod edge;
mod events;
mod failure;
mod findings;
mod firewall_reports;
mod flow_filter;
mod flows;
mod input;
mod invitations;
mod objects;
mod own;
mod page;
mod payload;
mod quotas;
mod removal;
mod reports;
mod revisions;
pub mod rights;
mod service;
mod shares;
mod sse;
mod stacks;
mod submission;
mod tokens;
mod traces;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use self::failure::Failure;
use self::listen::{Listener, TlsListener};
pub use self::shares::Shares;
use crate::identity::Identities;
use crate::metrics::{Metrics, RequestLabels};
use crate::tasks::Handle;

/// How long somebody who reads waits for the store.
const READERS_WAIT: Duration = Duration::from_millis(500);
/// Stands at answers that may be old, with the revision that they know.
const STALE: HeaderName = HeaderName::from_static("coax-stale");

/// What handlers need.
#[derive(Clone)]
pub struct App {
    /// The core.
    pub handle: Handle,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may speak for which host.
    pub identities: Arc<Identities>,
    /// Users of this machine who may do everything over the local socket.
    pub owners: Arc<[u32]>,
    /// Where hosts reach this controller, as far as it knows.
    pub for_hosts: Arc<[String]>,
    /// What projects have answered at once.
    pub shares: Arc<Shares>,
}

/// Serves until `stop` says so: the local socket, and users of other machines if they are listened for.
pub async fn serve(
    local: Listener,
    remote: Option<TlsListener>,
    app: App,
    stop: watch::Receiver<bool>,
) {
    let metrics = app.metrics.clone();
    let router = openapi::router(app.clone())
        .layer(from_fn_with_state(app.clone(), fresh))
        .layer(from_fn_with_state(app.clone(), authorise::authorise))
        .layer(from_fn_with_state(app, measure));
    let remote = async {
        if let Some(listener) = remote {
            edge::serve(listener, router.clone(), metrics.clone(), stop.clone()).await;
        }
    };
    let local = async {
        let (router, metrics, stop) = (router.clone(), metrics.clone(), stop.clone());
        match local {
            Listener::Unix { listener, .. } => edge::serve(listener, router, metrics, stop).await,
            Listener::Loopback { listener, .. } => {
                edge::serve(listener, router, metrics, stop).await;
            }
        }
    };
    tokio::join!(local, remote);
}

/// Where others write to the store, too, no answer is older than its question: whoever was told that
/// something is stored finds it at every controller. If the store does not answer, reading goes on with
/// what is known here, and says so.
async fn fresh(State(app): State<App>, request: Request, next: Next) -> Response {
    if !app.handle.is_shared() || !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let caught_up = app.handle.catch_up();
    if request.method() != Method::GET {
        return match caught_up.await {
            Ok(()) => next.run(request).await,
            Err(_) => Failure::from(crate::core::store_silent()).into_response(),
        };
    }
    let fresh = tokio::time::timeout(READERS_WAIT, caught_up).await;
    let mut response = next.run(request).await;
    if !matches!(fresh, Ok(Ok(()))) {
        let known = HeaderValue::from(app.handle.read().revision());
        response.headers_mut().insert(STALE, known);
    }
    response
}

/// Methods that no route has would make a new series each.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>();
    // Paths that do not exist would make a new series each.
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let method = known(request.method());
    let response = next.run(request).await;
    let labels = RequestLabels {
        route,
        method,
        code: response.status().as_u16(),
    };
    app.metrics
        .requests
        .get_or_create(&labels)
        .observe(started.elapsed().as_secs_f64());
    response
}
