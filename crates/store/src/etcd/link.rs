//! Connections to the members of an etcd cluster. A call goes to the member that answered last; if it
//! does not answer, to the next, until one does or the time is over.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::wire;
use super::wire::kv_client::KvClient;
use super::wire::lease_client::LeaseClient;
use super::wire::watch_client::WatchClient;
use crate::StoreError;

/// How long one member may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How many milliseconds all of them may take together: an election takes some two seconds.
const PATIENCE: u64 = 8000;
/// The pause after all members failed.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// Silence on a connection after which it is probed, and how long the answer may take.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// Why a call did not succeed.
pub(super) enum Failure {
    /// Nobody knows whether it happened.
    Unknown(Status),
    /// It did not happen, and will not.
    Refused(Status),
}

impl Failure {
    pub(super) fn of(status: Status) -> Self {
        match status.code() {
            // etcd says these of what no repetition can change.
            Code::InvalidArgument
            | Code::OutOfRange
            | Code::FailedPrecondition
            | Code::ResourceExhausted
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::NotFound => Self::Refused(status),
            _ => Self::Unknown(status),
        }
    }
}

/// The members of a cluster.
pub(super) struct Link {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    members: Vec<Channel>,
    current: AtomicUsize,
    /// Milliseconds that all of them may take together.
    patience: AtomicU64,
}

impl Link {
    /// Connects when it is first used.
    pub(super) fn new(addresses: &[String]) -> Result<Self, StoreError> {
        let failed = |source: std::io::Error| StoreError::Unreachable {
            reason: format!("no thread for its connections: {source}"),
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("etcd")
            .enable_all()
            .build()
            .map_err(failed)?;
        let inside = runtime.enter();
        let member = |address: &String| {
            let wrong = |_| StoreError::Address {
                address: address.clone(),
            };
            let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(wrong)?;
            let endpoint = endpoint
                .connect_timeout(ANSWER)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEPALIVE)
                .keep_alive_timeout(KEEPALIVE);
            Ok(endpoint.connect_lazy())
        };
        let members: Result<Vec<Channel>, StoreError> = addresses.iter().map(member).collect();
        let members = members?;
        drop(inside);
        if members.is_empty() {
            let address = String::new();
            return Err(StoreError::Address { address });
        }
        Ok(Self {
            runtime: Some(runtime),
            members,
            current: AtomicUsize::new(0),
            patience: AtomicU64::new(PATIENCE),
        })
    }

    /// Goes on trying for so long where nobody answers.
    pub(super) fn patient_for(&self, time: Duration) {
        let time = time.as_millis().try_into().unwrap_or(u64::MAX);
        self.patience.store(time, Ordering::Relaxed);
    }

    /// What is left of patience for one call.
    pub(super) fn patience(&self) -> Patience {
        let time = Duration::from_millis(self.patience.load(Ordering::Relaxed));
        Patience(Instant::now() + time)
    }

    /// The member that calls go to now.
    fn member(&self) -> (usize, Channel) {
        let at = self.current.load(Ordering::Relaxed) % self.members.len();
        // In bounds by the line before.
        (at, self.members[at].clone())
    }

    /// Another member from now on, unless somebody else turned away from this one already.
    pub(super) fn turn_away(&self, from: usize) {
        let next = (from + 1) % self.members.len();
        // Whoever turned away first has turned for all.
        let _ = self
            .current
            .compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Does something on the runtime and waits for it.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unreachable {
            reason: "the store is being closed".to_owned(),
        };
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        // The caller may be inside of another runtime, where waiting for a future is forbidden.
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(async move {
            // Nobody waits any more: then nobody wants the answer.
            let _ = answer.send(work.await);
        });
        answered.recv().map_err(|_| gone())
    }

    /// Starts something that goes on by itself.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }

    /// One attempt, at the current member.
    pub(super) fn attempt<T, F>(
        &self,
        call: impl FnOnce(Channel) -> F,
    ) -> Result<Result<T, Failure>, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<tonic::Response<T>, Status>> + Send + 'static,
    {
        let (at, channel) = self.member();
        let call = call(channel);
        let answer = self.wait(async move {
            match tokio::time::timeout(ANSWER, call).await {
                Ok(answer) => answer.map(tonic::Response::into_inner),
                Err(_) => Err(Status::deadline_exceeded("no answer in time")),
            }
        })?;
        Ok(answer.map_err(|status| {
            let failure = Failure::of(status);
            if matches!(failure, Failure::Unknown(_)) {
                self.turn_away(at);
            }
            failure
        }))
    }

    /// Repeats a call that may be repeated until somebody answers.
    fn insist<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<tonic::Response<T>, Status>> + Send + 'static,
    {
        let patience = self.patience();
        loop {
            match self.attempt(&call)? {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(status)) => return Err(refused(&status)),
                Err(Failure::Unknown(status)) => patience.wait(&status)?,
            }
        }
    }

    pub(super) fn range(
        &self,
        request: wire::RangeRequest,
    ) -> Result<wire::RangeResponse, StoreError> {
        self.insist(move |channel| {
            let request = request.clone();
            async move { keys(channel).range(request).await }
        })
    }

    pub(super) fn compact(&self, revision: i64) -> Result<(), StoreError> {
        let answer = self.insist(move |channel| async move {
            let request = wire::CompactionRequest { revision };
            keys(channel).compact(request).await
        });
        answer.map(drop)
    }

    /// The number of a lease that ends after so many seconds. If an answer gets lost, one ends without having been used.
    pub(super) fn grant(&self, seconds: i64) -> Result<i64, StoreError> {
        let answer = self.insist(move |channel| async move {
            let request = wire::LeaseGrantRequest { ttl: seconds };
            LeaseClient::new(channel).lease_grant(request).await
        });
        answer.map(|answer| answer.id)
    }

    /// The member that a watch goes to now.
    pub(super) fn watcher(&self) -> (usize, WatchClient<Channel>) {
        let (at, channel) = self.member();
        let client = WatchClient::new(channel).max_decoding_message_size(usize::MAX);
        (at, client)
    }
}

/// Asks for keys and values, however large.
pub(super) fn keys(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX)
}

impl Drop for Link {
    fn drop(&mut self) {
        // Waiting for tasks would be forbidden inside of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How long somebody goes on trying.
pub(super) struct Patience(Instant);

impl Patience {
    /// Waits before the next attempt, or says that it is enough.
    pub(super) fn wait(&self, status: &Status) -> Result<(), StoreError> {
        if Instant::now() >= self.0 {
            let reason = status.message().to_owned();
            return Err(StoreError::Unreachable { reason });
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }
}

pub(super) fn refused(status: &Status) -> StoreError {
    StoreError::Refused {
        reason: status.message().to_owned(),
    }
}
