//! Making a deployment on a machine, and what a controller finds of it when it starts.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use coax_identity::authority::HOST_LIFETIME;
use coax_identity::{Authority, Credentials, Enrolment, Pin};
use coax_model::HostName;
use coax_store::{Embedded, Etcd, EtcdAccess, Store, StoreError, Transaction};

use super::custody::settle;
use super::{EVERYTHING, HostRecord, host_key, put, seconds};
use crate::etcd_access::EtcdSecrets;
use crate::etcd_addresses::EtcdAddresses;
use crate::records::{self, RecordError};

/// File of the embedded store, in the controller's state folder.
pub(crate) const STORE: &str = "store.redb";
/// Folder of an authority that is to be the only one, in the controller's state folder.
pub(crate) const NEXT: &str = "next-authority";

/// Why a deployment cannot be made or found.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// There is none.
    #[error("there is no deployment in {}", folder.display())]
    Missing {
        /// The state folder.
        folder: PathBuf,
    },
    /// There is one already.
    #[error("there is a deployment in {} already", folder.display())]
    Exists {
        /// The state folder.
        folder: PathBuf,
    },
    /// Another deployment is in the store.
    #[error("there is a deployment in the store at {etcd} already")]
    StoreTaken {
        /// The store.
        etcd: EtcdAddresses,
    },
    /// The state folder cannot be made.
    #[error("cannot create the state folder {}: {source}", folder.display())]
    Folder {
        /// The state folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Keys and certificates cannot be made, read or written.
    #[error(transparent)]
    Identity(#[from] coax_identity::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in the store cannot be used.
    #[error(transparent)]
    Records(#[from] RecordError),
}

/// A deployment's files on its controller's machine.
pub struct Deployment {
    folder: PathBuf,
    authority: Authority,
    /// Where its store is, if that is not a file in the folder.
    etcd: Option<EtcdAccess>,
}

impl Deployment {
    /// Makes a new authority in a controller's state folder.
    pub fn create(folder: &Path, now: SystemTime) -> Result<Self, DeploymentError> {
        prepare(folder)?;
        Self::keep(folder, Authority::create(now)?)
    }

    /// The same of a controller whose store is in an etcd. No deployment may be there. The files that get in are copied into the folder.
    ///
    /// Hosts may come from a deployment that had its store in a file, at a higher revision: a generation that is newer than
    /// any of that one tells them to compare nothing.
    pub fn create_with(
        folder: &Path,
        etcd: Option<&EtcdAccess>,
        now: SystemTime,
    ) -> Result<Self, DeploymentError> {
        let Some(etcd) = etcd else {
            return Self::create(folder, now);
        };
        let store = Etcd::open(etcd)?;
        if !store.range(EVERYTHING.as_bytes())?.items.is_empty() {
            let etcd = EtcdAddresses::from(etcd);
            return Err(DeploymentError::StoreTaken { etcd });
        }
        prepare(folder)?;
        let etcd = keep_access(etcd, folder)?;
        let deployment = Self::keep(folder, Authority::create(now)?)?;
        records::begin_generation(&store, seconds(now))?;
        Ok(Self {
            etcd: Some(etcd),
            ..deployment
        })
    }

    /// Where its store is, and how its controller gets in, if it was made with an etcd.
    pub fn etcd(&self) -> Option<&EtcdAccess> {
        self.etcd.as_ref()
    }

    /// Makes a folder that [`prepare`] looked at the state folder of a controller with this authority.
    fn keep(folder: &Path, authority: Authority) -> Result<Self, DeploymentError> {
        authority.save(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            authority,
            etcd: None,
        })
    }

    /// Keeps what a controller was given that joins: the only authority, or two while the deployment's is being renewed. What is
    /// new is whole on disk before what was there is touched.
    pub(super) fn keep_given(
        folder: &Path,
        former: Option<&Authority>,
        newest: &Authority,
    ) -> Result<(), DeploymentError> {
        let Some(former) = former else {
            if Authority::is_in(folder) {
                newest.save_apart(&folder.join(NEXT))?;
            }
            return Ok(settle(folder, newest)?);
        };
        newest.save_apart(&folder.join(NEXT))?;
        if Authority::load(folder).is_ok_and(|present| present.pin() == former.pin()) {
            return Ok(());
        }
        Ok(former.save(folder)?)
    }

    /// The one in a controller's state folder.
    pub fn open(folder: &Path) -> Result<Self, DeploymentError> {
        if !Authority::is_in(folder) {
            return Err(DeploymentError::Missing {
                folder: folder.to_owned(),
            });
        }
        let authority = Authority::load(folder).or_else(|error| {
            // Its files were being replaced by those of the next one, and that is whole.
            Authority::load(&folder.join(NEXT)).map_err(|_| error)
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            authority,
            etcd: None,
        })
    }

    /// The pins of all authorities whose keys are here.
    pub fn pins(&self) -> Vec<Pin> {
        let next = Authority::load(&self.folder.join(NEXT)).ok();
        let pins = next.iter().map(Authority::pin);
        std::iter::once(self.authority.pin()).chain(pins).collect()
    }

    /// Its authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its authority, to keep.
    pub fn into_authority(self) -> Authority {
        self.authority
    }

    /// Takes hosts in whose state folders are on this machine, before a controller runs. Whoever can read the authority's key needs no token.
    pub fn enrol(
        &self,
        hosts: &[HostName],
        now: SystemTime,
    ) -> Result<Vec<Credentials>, DeploymentError> {
        let store: Box<dyn Store> = match &self.etcd {
            Some(access) => Box::new(Etcd::open(access)?),
            None => Box::new(Embedded::open(&self.folder.join(STORE))?),
        };
        let mut transaction = Transaction::new();
        let mut enrolled = Vec::new();
        for host in hosts {
            let enrolment = Enrolment::random()?;
            let operation = put(
                &host_key(host),
                &HostRecord::new(enrolment, Some(self.authority.pin())),
            );
            transaction.operations.push(operation);
            enrolled.push(Credentials::issue(
                &self.authority,
                host,
                enrolment,
                now,
                HOST_LIFETIME,
            )?);
        }
        store.transact(&transaction)?;
        Ok(enrolled)
    }
}

/// The same access with the copies of its files in a state folder.
pub(crate) fn keep_access(
    access: &EtcdAccess,
    folder: &Path,
) -> Result<EtcdAccess, coax_identity::Error> {
    let credentials = access.credentials.as_ref();
    let kept = credentials.map(|it| EtcdSecrets::read(it)?.keep(folder));
    Ok(EtcdAccess {
        members: access.members.clone(),
        credentials: kept.transpose()?,
    })
}

/// Makes a state folder that nobody else reads, unless there is a deployment in it.
pub(super) fn prepare(folder: &Path) -> Result<(), DeploymentError> {
    if Authority::is_in(folder) {
        return Err(DeploymentError::Exists {
            folder: folder.to_owned(),
        });
    }
    let failed = |source| DeploymentError::Folder {
        folder: folder.to_owned(),
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    // It may have been there: keys and intent are nobody else's business.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)
}
