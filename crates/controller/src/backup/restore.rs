//! A state folder from a backup.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use coax_api::{AuditEntry, InvitationKind};
use coax_identity::Authority;
use coax_identity::authority::HOST_LIFETIME;
use coax_store::{Embedded, Etcd, EtcdAccess, Store, Transaction};

use super::{Backup, BackupError, Contents};
use crate::identity::{Identities, NEXT, STORE, invitations_folder, keep_access, seconds};
use crate::records;

/// What a backup became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The generation that the store has now.
    pub generation: u64,
    /// Join tokens that were left out.
    pub invitations: usize,
    /// The etcd that it went into, and how its controller gets in; none: the store is a file in the folder.
    pub etcd: Option<EtcdAccess>,
}

/// Makes a state folder from a backup. `folder` may exist, and must be empty. The store goes into a file there, or into an etcd
/// to which nothing was ever written.
///
/// The key is written last: a folder without it is no deployment, so a restore that was interrupted starts nothing.
pub fn restore(
    backup: Backup,
    contents: &Contents,
    folder: &Path,
    etcd: Option<&EtcdAccess>,
    now: SystemTime,
) -> Result<Restored, BackupError> {
    let failed = |source| BackupError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let found = fs::read_dir(folder).map(|mut entries| entries.next().is_some());
    if found.unwrap_or(false) {
        return Err(BackupError::NotEmpty {
            folder: folder.to_owned(),
        });
    }
    let inside = Path::new("the backup");
    let (key, certificate) = (backup.key.as_bytes(), backup.certificate.as_bytes());
    let authority = Authority::from_pem((key, inside), (certificate, inside))?;
    let next = match backup.next_key.is_empty() {
        true => None,
        false => {
            let (key, certificate) = (&backup.next_key, &backup.next_certificate);
            let (key, certificate) = (key.as_bytes(), certificate.as_bytes());
            Some(Authority::from_pem((key, inside), (certificate, inside))?)
        }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    // It may have been there.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let store: Arc<dyn Store> = match etcd {
        Some(access) => Arc::new(Etcd::restore(access, &backup.store)?),
        None => Arc::new(Embedded::restore(&folder.join(STORE), &backup.store)?),
    };
    let kept = etcd.map(|access| keep_access(access, folder)).transpose()?;
    let restored = Restored {
        etcd: kept,
        ..start_anew(&*store, contents, now)?
    };
    // It must be one that a controller starts with.
    records::load(&*store, coax_model::DEFAULT_UNDERLAY_MTU)?;
    let identities = Identities::new(store, authority, HOST_LIFETIME);
    identities.record(&AuditEntry {
        time: seconds(now),
        who: "root".to_owned(),
        role: "admin".to_owned(),
        from: "local".to_owned(),
        method: "RESTORE".to_owned(),
        path: format!("the backup of {}", contents.made),
        status: 200,
        ..AuditEntry::default()
    })?;
    if let Some(next) = next {
        next.save_apart(&folder.join(NEXT))?;
    }
    identities.authority().save(folder)?;
    Ok(restored)
}

/// A generation that no controller of this deployment can have had, and no join token that may have been used since.
fn start_anew(
    store: &dyn Store,
    contents: &Contents,
    now: SystemTime,
) -> Result<Restored, BackupError> {
    let mut invitations = Vec::new();
    for kind in InvitationKind::ALL {
        invitations.extend(store.range(invitations_folder(kind).as_bytes())?.items);
    }
    let invited = invitations.len();
    let deletes = invitations
        .into_iter()
        .fold(Transaction::new(), |it, invitation| {
            it.delete(invitation.key)
        });
    store.transact(&deletes)?;
    // Two that begin on the same backup are two: they do not begin in the same second.
    let least = seconds(now).max(contents.generation + 1);
    let generation = records::begin_generation(store, least)?;
    Ok(Restored {
        generation,
        invitations: invited,
        etcd: None,
    })
}
