//! Connections to the members of an etcd cluster. A call goes to the member that answered last; if it
//! does not answer, to the next, until one does or the time is over.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Status};

use super::access::{AccessError, EtcdAccess, EtcdCredentials};
use super::login::{Login, Token, is_stale};
use super::member::{ANSWER, Door, Member};
use super::{tls, wire};
use crate::StoreError;

/// How many milliseconds all of them may take together: an election takes some two seconds.
const PATIENCE: u64 = 8000;
/// The pause after all members failed.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// How long it may take to get a token, with the turn of others who ask for one.
const ENTERING: Duration = Duration::from_secs(5);

/// What etcd says to those who may not do what they ask for.
const DENIED: &str = "permission denied";
/// What it says to those of whom it does not know who they are.
const NO_USER: &str = "user name is empty";

/// Why a call did not succeed.
pub(super) enum Failure {
    /// Nobody knows whether it happened.
    Unknown(Status),
    /// It did not happen, and will not.
    Refused(Status),
    /// It did not happen: this member and we do not trust each other. Another may.
    Shut(AccessError),
    /// It did not happen, and will not: of no member.
    Denied(AccessError),
    /// The same, but somebody may be mending it.
    Locked(AccessError),
    /// It did not happen, and may with the next attempt: nobody was reached, or it came with a token that counts no more.
    NotYet(Status),
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
            _ => match tls::cause(&status) {
                Some(error) => Self::Shut(error),
                None => Self::Unknown(status),
            },
        }
    }

    /// The same of a call for which only the way was sought: it was not made.
    fn on_the_way(self) -> Self {
        match self {
            Self::Unknown(status) => Self::NotYet(status),
            failure => failure,
        }
    }
}

/// The members of a cluster.
pub(super) struct Link {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    members: Vec<Member>,
    login: Option<Arc<Login>>,
    current: AtomicUsize,
    /// Milliseconds that all of them may take together.
    patience: AtomicU64,
}

impl Link {
    /// Connects when it is first used.
    pub(super) fn new(access: &EtcdAccess) -> Result<Self, StoreError> {
        let failed = |source: std::io::Error| StoreError::Unreachable {
            reason: format!("no thread for its connections: {source}"),
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("etcd")
            .enable_all()
            .build()
            .map_err(failed)?;
        let credentials = access.credentials.clone().map(Arc::new);
        let login = credentials.as_ref().and_then(|it| it.login.clone());
        // From here on it is dropped as a link is, also where an address is none.
        let mut link = Self {
            runtime: Some(runtime),
            members: Vec::new(),
            login: login.map(Login::new),
            current: AtomicUsize::new(0),
            patience: AtomicU64::new(PATIENCE),
        };
        link.members = link.connect(&access.members, credentials.as_ref())?;
        Ok(link)
    }

    fn connect(
        &self,
        addresses: &[String],
        credentials: Option<&Arc<EtcdCredentials>>,
    ) -> Result<Vec<Member>, StoreError> {
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        if addresses.is_empty() {
            let address = String::new();
            return Err(StoreError::Address { address });
        }
        addresses
            .iter()
            .map(|address| Member::new(address, credentials.cloned()))
            .collect()
    }

    /// Goes on trying for so long where nobody answers.
    pub(super) fn patient_for(&self, time: Duration) {
        let time = time.as_millis().try_into().unwrap_or(u64::MAX);
        self.patience.store(time, Ordering::Relaxed);
    }

    /// What is left of patience for one call.
    pub(super) fn patience(&self) -> Patience {
        let time = Duration::from_millis(self.patience.load(Ordering::Relaxed));
        Patience {
            end: Instant::now() + time,
            doors: self.members.len(),
        }
    }

    /// The member that calls go to now.
    fn member(&self) -> (usize, Member) {
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

    /// The way into the member that calls go to now, and which one that is.
    pub(super) fn enter(&self) -> (usize, impl Future<Output = Result<Door, Failure>> + use<>) {
        let (at, Member { channel }) = self.member();
        let login = self.login.clone();
        let entering = async move {
            let token = match login {
                Some(login) => {
                    let asked = tokio::time::timeout(ENTERING, login.token(channel.clone()));
                    let late = |_| Failure::NotYet(Status::deadline_exceeded("no token in time"));
                    Some(asked.await.map_err(late)?.map_err(Failure::on_the_way)?)
                }
                None => None,
            };
            Ok(Door { channel, token })
        };
        (at, entering)
    }

    /// What it means that a member answered a call like this.
    pub(super) fn judge(&self, token: Option<&Token>, status: Status) -> Failure {
        if let Some(login) = &self.login
            && let Some(token) = token
            && is_stale(&status)
        {
            login.forget(token);
            return Failure::NotYet(status);
        }
        if status.message().contains(DENIED) {
            let who = self.login.as_ref().map_or_else(
                || "the user that the certificate names".to_owned(),
                |login| format!("the user `{}`", login.user()),
            );
            return Failure::Denied(AccessError::Forbidden { who });
        }
        if status.message().contains(NO_USER) {
            return Failure::Denied(AccessError::NoUser);
        }
        Failure::of(status)
    }

    /// Gets another token with the next call. Says whether there is a user for it.
    pub(super) fn log_in_again(&self, token: Option<&Token>) -> bool {
        match (&self.login, token) {
            (Some(login), Some(token)) => {
                login.forget(token);
                true
            }
            _ => false,
        }
    }

    /// One attempt, at the current member.
    pub(super) fn attempt<T, F>(
        &self,
        call: impl FnOnce(Door) -> F,
    ) -> Result<Result<T, Failure>, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<tonic::Response<T>, Status>> + Send + 'static,
    {
        let (at, entering) = self.enter();
        let entered = self.wait(entering)?;
        let is_in = entered.is_ok();
        let answer = match entered {
            Ok(door) => {
                let token = door.token.clone();
                let call = call(door);
                let answer = self.wait(async move {
                    match tokio::time::timeout(ANSWER, call).await {
                        Ok(answer) => answer.map(tonic::Response::into_inner),
                        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
                    }
                })?;
                answer.map_err(|status| self.judge(token.as_ref(), status))
            }
            Err(failure) => Err(failure),
        };
        match &answer {
            Err(Failure::Unknown(_) | Failure::Shut(_)) => self.turn_away(at),
            // Who takes the call and not the token is not to blame.
            Err(Failure::NotYet(_)) if !is_in => self.turn_away(at),
            _ => {}
        }
        Ok(answer)
    }

    /// Repeats a call that may be repeated until somebody answers.
    fn insist<T, F>(&self, call: impl Fn(Door) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<tonic::Response<T>, Status>> + Send + 'static,
    {
        let mut patience = self.patience();
        loop {
            match self.attempt(&call)? {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(status)) => return Err(refused(&status)),
                Err(Failure::Denied(error)) => return Err(error.into()),
                Err(Failure::Locked(error)) => patience.wait_for(error)?,
                Err(Failure::Shut(error)) => patience.next_door(error)?,
                Err(Failure::Unknown(status) | Failure::NotYet(status)) => {
                    patience.wait(&status)?
                }
            }
        }
    }

    pub(super) fn range(
        &self,
        request: wire::RangeRequest,
    ) -> Result<wire::RangeResponse, StoreError> {
        self.insist(move |door| {
            let request = door.request(request.clone());
            async move { door.keys().range(request).await }
        })
    }

    pub(super) fn compact(&self, revision: i64) -> Result<(), StoreError> {
        let answer = self.insist(move |door| async move {
            let request = door.request(wire::CompactionRequest { revision });
            door.keys().compact(request).await
        });
        answer.map(drop)
    }

    /// The number of a lease that ends after so many seconds. If an answer gets lost, one ends without having been used.
    pub(super) fn grant(&self, seconds: i64) -> Result<i64, StoreError> {
        let answer = self.insist(move |door| async move {
            let request = door.request(wire::LeaseGrantRequest { ttl: seconds });
            door.leases().lease_grant(request).await
        });
        answer.map(|answer| answer.id)
    }
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
pub(super) struct Patience {
    end: Instant,
    /// Members that may still let us in.
    doors: usize,
}

impl Patience {
    /// Waits before the next attempt, or says that it is enough.
    pub(super) fn wait(&self, status: &Status) -> Result<(), StoreError> {
        let reason = status.message().to_owned();
        self.pause(|| StoreError::Unreachable { reason })
    }

    /// The same, where something is amiss that somebody may mend.
    pub(super) fn wait_for(&self, error: AccessError) -> Result<(), StoreError> {
        self.pause(|| error.into())
    }

    fn pause(&self, enough: impl FnOnce() -> StoreError) -> Result<(), StoreError> {
        if Instant::now() >= self.end {
            return Err(enough());
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }

    /// Goes to the next member, unless all were tried: waiting mends no certificate.
    pub(super) fn next_door(&mut self, error: AccessError) -> Result<(), StoreError> {
        self.doors = self.doors.saturating_sub(1);
        match self.doors {
            0 => Err(error.into()),
            _ => Ok(()),
        }
    }
}

pub(super) fn refused(status: &Status) -> StoreError {
    StoreError::Refused {
        reason: status.message().to_owned(),
    }
}
