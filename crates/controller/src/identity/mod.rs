//! Who may speak for which host, and who may be a controller: invitations, joining, renewing, revoking.
//!
//! | module | holds |
//! | --- | --- |
//! | `record` | what is stored, and what it decides; no input or output |
//! | `deployment` | making a deployment, and reading it when a controller starts |
//! | `user` | users' tokens, and who a request comes from |
//! | `invitations` | tokens by which machines become hosts or controllers |
//! | `controllers` | machines that become controllers |
//! | `authorities` | which authorities count, and which keys this controller has |
//! | `custody` | going along when others count |
//! | `renewal` | replacing the authority by another |
//! | `service` | the calls of machines that join and of hosts that renew |
//! | `joining` | the other end of a controller that joins |
//!
//! ```text
//! /coax/identity/v1/host/hv1          the enrolment that hv1's certificates carry
//! /coax/identity/v1/token/HASH        a user's token, by the SHA-256 of its secret
//! /coax/identity/v1/invitation/HASH   a host's join token, by the SHA-256 of its secret
//! /coax/identity/v1/controller-invitation/HASH   a controller's join token, likewise
//! /coax/identity/v1/authorities       the authorities that count, once one was renewed
//! /coax/identity/v1/authority-holder/ADDRESS     the authorities whose keys a controller has
//! ```
//!
//! Nothing is kept in memory but which authorities count, which is looked at once a second. Each question reads its one record from the store, so what one controller
//! revokes holds at all of them at once; each change compares the records that it was decided on. Those that users ask for
//! come with their entry of the [audit log](crate::audit).

mod authorities;
mod controllers;
mod custody;
mod deployment;
mod invitations;
mod joining;
pub mod record;
mod renewal;
mod service;
mod user;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use coax_api::{AuditEntry, AuditVerdict, InvitationKind};
use coax_identity::{Authority, Certificate, Enrolment, HostIdentity, Secret};
use coax_model::HostName;
use coax_store::{KeyValue, Outcome, Range, Store, StoreError, Transaction};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

pub use self::authorities::Custody;
pub use self::controllers::Common;
use self::custody::Shown;
pub use self::deployment::{Deployment, DeploymentError};
pub(crate) use self::deployment::{NEXT, STORE, keep_access};
pub(crate) use self::invitations::folder as invitations_folder;
pub use self::invitations::{Invited, Invitee, Withdrawn};
use self::invitations::{invitation_key, invitation_name};
pub use self::joining::{Joined, JoiningError, OwnWay, join};
pub(crate) use self::record::seconds;
pub use self::record::{HostRecord, Invitation, NotAdmitted, NotJoined};
pub use self::renewal::{NotRenewed, RenewalError};
pub(crate) use self::service::{Membership, joined};
pub use self::user::{Caller, NewToken, NotKnown};
use crate::audit::{self, AuditError, AuditLog, Recording, put, unchanged};

/// The records of intent, of identities, and the audit log.
const EVERYTHING: &str = "/coax/";
const HOSTS: &str = "/coax/identity/v1/host/";
/// How often a decision is taken anew because another controller changed what it was based on.
const ATTEMPTS: usize = 8;

/// Why the answer to a question is not known.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record that this version does not understand.
    #[error("the record {key} is not understood: {reason}")]
    Unreadable {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The controller is stopping.
    #[error("the controller is stopping")]
    Stopping,
    /// Others changed the same records again and again.
    #[error("other controllers keep changing the same records")]
    Contended,
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] coax_identity::Error),
    /// The deployment's authority was renewed, and this controller was not given the new key.
    #[error(
        "the deployment's authority was renewed, and this controller does not have the new key"
    )]
    GivenUp,
}

impl IdentityError {
    /// Whether a change that met it may be stored all the same.
    pub fn leaves_open(&self) -> bool {
        matches!(self, Self::Store(error) if error.leaves_open())
    }
}

impl From<AuditError> for IdentityError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => Self::Store(error),
            AuditError::Unreadable { key, reason } => Self::Unreadable { key, reason },
            AuditError::Contended => Self::Contended,
        }
    }
}

/// Why a machine does not become a host.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It may not.
    #[error(transparent)]
    Refused(#[from] NotJoined),
    /// It cannot be told.
    #[error(transparent)]
    Failed(#[from] IdentityError),
}

/// The deployment's identities, over its store.
pub struct Identities {
    /// None once the controller stops: then the store is closed, whoever still asks.
    store: RwLock<Option<Arc<dyn Store>>>,
    /// Which authorities count. Whoever waits for changes waits here.
    custody: watch::Sender<Arc<Custody>>,
    /// The keys that this controller has, the one that it began with first.
    known: Mutex<Vec<Arc<Authority>>>,
    /// Where they are kept.
    folder: Option<PathBuf>,
    shown: OnceLock<Shown>,
    lifetime: Duration,
    log: Arc<AuditLog>,
    common: Option<Common>,
}

impl Identities {
    /// Those of this store. Certificates of hosts count for `lifetime`.
    pub fn new(store: Arc<dyn Store>, authority: Authority, lifetime: Duration) -> Self {
        let authority = Arc::new(authority);
        Self {
            store: RwLock::new(Some(store)),
            custody: watch::Sender::new(Arc::new(Custody::of(authority.clone()))),
            known: Mutex::new(vec![authority]),
            folder: None,
            shown: OnceLock::new(),
            lifetime,
            log: Arc::new(AuditLog::default()),
            common: None,
        }
    }

    /// The audit log, for others in this process that append to it.
    pub fn log(&self) -> &Arc<AuditLog> {
        &self.log
    }

    /// The same identities, of a controller that keeps its keys in a folder.
    #[must_use]
    pub fn kept_in(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Which authorities count now, and which keys of them this controller has.
    pub fn custody(&self) -> Arc<Custody> {
        self.custody.borrow().clone()
    }

    /// Hears of it when others count, and of the end.
    pub fn watch_custody(&self) -> watch::Receiver<Arc<Custody>> {
        self.custody.subscribe()
    }

    /// The authority that this controller signs with.
    pub fn authority(&self) -> Arc<Authority> {
        self.custody().authority().clone()
    }

    /// Takes a machine with a join token in: uses the token up, and signs the machine's key. `from` is where it asks from.
    pub fn join(
        &self,
        secret: &Secret,
        host: &HostName,
        request: &[u8],
        from: &str,
        now: SystemTime,
    ) -> Result<Certificate, JoinError> {
        let enrolment = Enrolment::random().map_err(IdentityError::from)?;
        // Before the token is used up: a request that cannot be signed costs nothing.
        let custody = self.custody();
        let certificate = custody
            .authority()
            .sign_host(request, host, enrolment, now, self.lifetime)
            .map_err(|_| NotJoined::BadRequest)?;
        let invitation_key = invitation_key(InvitationKind::Host, secret);
        let host_key = host_key(host);
        let recording =
            Recording::of_join(&invitation_name(secret), from, &format!("host {host}"), now);
        // While there are two, a host says itself that it trusts the newer one.
        let signed_by = (!custody.is_renewing()).then(|| custody.authority().pin());
        for _ in 0..ATTEMPTS {
            let invited = self.get(&invitation_key)?;
            let enrolled = self.get(&host_key)?;
            let invitation = invited.as_ref().map(read::<Invitation>).transpose()?;
            let used = record::accept(invitation.as_ref(), host, enrolled.is_some(), now)?;
            let transaction = Transaction {
                compares: vec![
                    unchanged(&invitation_key, invited.as_ref()),
                    unchanged(&host_key, enrolled.as_ref()),
                ],
                operations: vec![
                    put(&invitation_key, &used),
                    put(&host_key, &HostRecord::new(enrolment, signed_by)),
                ],
            };
            let sentence = match enrolled {
                None => format!("host {host} joins"),
                Some(_) => format!("host {host} joins anew: its older certificates count no more"),
            };
            if let Outcome::Done(_) = self.change(&transaction, sentence, &recording)? {
                return Ok(certificate);
            }
        }
        Err(IdentityError::Contended.into())
    }

    /// Whether the bearer of a certificate may speak for its host now.
    pub fn admit(
        &self,
        identity: &HostIdentity,
        certificate: &Certificate,
        now: SystemTime,
    ) -> Result<Result<(), NotAdmitted>, IdentityError> {
        let found = self.get(&host_key(&identity.host))?;
        let record = found.as_ref().map(read::<HostRecord>).transpose()?;
        let admitted = record::admit(record.as_ref(), identity, now);
        Ok(
            admitted.and_then(|()| match self.accepts(certificate, now) {
                true => Ok(()),
                false => Err(NotAdmitted::FormerAuthority {
                    host: identity.host.clone(),
                }),
            }),
        )
    }

    /// Signs a new key of a host that was admitted.
    pub fn renew(
        &self,
        identity: &HostIdentity,
        request: &[u8],
        now: SystemTime,
    ) -> Result<Certificate, coax_identity::Error> {
        let HostIdentity {
            host, enrolment, ..
        } = identity;
        self.authority()
            .sign_host(request, host, *enrolment, now, self.lifetime)
    }

    /// From now on no certificate of this host is accepted. Says whether there was one.
    pub fn revoke(&self, host: &HostName, recording: &Recording) -> Result<bool, IdentityError> {
        let key = host_key(host);
        for _ in 0..ATTEMPTS {
            let found = self.get(&key)?;
            if found.is_none() {
                return Ok(false);
            }
            let transaction = Transaction::new()
                .when(unchanged(&key, found.as_ref()))
                .delete(key.as_str());
            let sentence = format!("revokes the certificates of host {host}");
            if let Outcome::Done(_) = self.change(&transaction, sentence, recording)? {
                return Ok(true);
            }
        }
        Err(IdentityError::Contended)
    }

    /// Appends an entry that comes with no change.
    pub fn record(&self, entry: &AuditEntry) -> Result<(), IdentityError> {
        self.with_store(|store| self.log.append(store, &Transaction::new(), entry).map(drop))
    }

    /// The last entries of the audit log, oldest first.
    pub fn entries(&self, last: usize) -> Result<Vec<AuditEntry>, IdentityError> {
        self.with_store(|store| audit::entries(store, last))
    }

    /// Checks every entry of the audit log and every link.
    pub fn verify(&self) -> Result<AuditVerdict, IdentityError> {
        self.with_store(audit::verify)
    }

    /// Lets the store go, after what is being asked of it now. Questions that come later fail.
    pub fn close(&self) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = None;
        let closed = self.custody().closed();
        self.custody.send_replace(Arc::new(closed));
    }

    /// Everything that Coax has in the store, as of one revision.
    pub fn everything(&self) -> Result<Range, IdentityError> {
        self.with_store(|store| store.range(EVERYTHING.as_bytes()))
    }

    fn with_store<T, E>(
        &self,
        ask: impl FnOnce(&dyn Store) -> Result<T, E>,
    ) -> Result<T, IdentityError>
    where
        IdentityError: From<E>,
    {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        let store = store.as_ref().ok_or(IdentityError::Stopping)?;
        Ok(ask(&**store)?)
    }

    /// Does what somebody asked for, with its entry of the audit log.
    fn change(
        &self,
        transaction: &Transaction,
        sentence: String,
        recording: &Recording,
    ) -> Result<Outcome, IdentityError> {
        let entry = recording.of_change(std::iter::once(sentence));
        let outcome = self.with_store(|store| self.log.append(store, transaction, &entry))?;
        if let Outcome::Done(_) = outcome {
            recording.written().set();
        }
        Ok(outcome)
    }

    fn get(&self, key: &str) -> Result<Option<KeyValue>, IdentityError> {
        self.with_store(|store| store.get(key.as_bytes()))
    }

    fn range(&self, prefix: &str) -> Result<Vec<KeyValue>, IdentityError> {
        self.with_store(|store| store.range(prefix.as_bytes()).map(|range| range.items))
    }
}

fn host_key(host: &HostName) -> String {
    format!("{HOSTS}{host}")
}

fn read<T: DeserializeOwned>(item: &KeyValue) -> Result<T, IdentityError> {
    Ok(audit::read(item)?)
}
