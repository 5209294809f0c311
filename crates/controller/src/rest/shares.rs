//! How many requests one project's users have answered at once: traces, checks, captures and streams of events hold the hosts and the
//! controller for seconds or for good, and there are only so many connections for everybody.
//!
//! Callers without a project are the operator's own people and have no bound here, nor has what only admins of a project may do.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use coax_api::Problem;
use coax_model::Name;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

use super::failure::Failure;

/// The most requests of one project at once.
const OF_ONE_PROJECT: usize = 64;

/// What each project has of it.
#[derive(Debug, Default)]
pub struct Shares(Mutex<HashMap<Name, usize>>);

/// One request's part; free again when it is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    project: Name,
}

impl Shares {
    /// A part for one more request; none, if the project has all of its own.
    pub fn take(self: &Arc<Self>, project: &Name) -> Option<Share> {
        // A count is right whoever panicked beside it.
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(project.clone()).or_default();
        if *count >= OF_ONE_PROJECT {
            return None;
        }
        *count += 1;
        Some(Share {
            shares: self.clone(),
            project: project.clone(),
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let shares = &self.shares.0;
        let mut taken = shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.project) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.project);
            }
        }
    }
}

impl Share {
    /// The answer, which holds the part until its end has been sent or nobody reads it any more.
    pub fn held_by(self, answer: Response) -> Response {
        answer.map(|body| Body::new(Holding { body, _share: self }))
    }
}

/// That the project has all of its own.
pub fn exhausted(project: &Name) -> Failure {
    Problem::new(
        429,
        "too-many-requests",
        "Too many requests at once",
        format!("users of project {project} have {OF_ONE_PROJECT} requests answered at once, which is all that a project has"),
        "end a stream of events or flows, a capture or a check of this project, or wait for one to end",
    )
    .into()
}

struct Holding {
    body: Body,
    _share: Share,
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_project_leaves_requests_to_others() {
        let shares = Arc::new(Shares::default());
        let [shop, bank] = ["shop", "bank"].map(|name| name.parse::<Name>().unwrap());
        let mut greedy: Vec<Share> = (0..1000).map_while(|_| shares.take(&shop)).collect();
        assert_eq!(greedy.len(), OF_ONE_PROJECT);
        assert!(shares.take(&bank).is_some());
        let answer = greedy.pop().unwrap().held_by(Response::default());
        assert!(shares.take(&shop).is_none());
        drop(answer);
        assert!(shares.take(&shop).is_some());
        drop(greedy);
        assert!(shares.0.lock().unwrap().is_empty());
    }
}
