//! A backup of a running controller: one range of the store, which is of one revision, and the authority.

use std::time::SystemTime;

use coax_api::time::rfc3339;
use coax_model::DEFAULT_UNDERLAY_MTU;

use super::{Backup, BackupError, Contents};
use crate::identity::{Identities, seconds};
use crate::records;

/// Everything, as a file.
pub fn take(
    identities: &Identities,
    generation: u64,
    passphrase: &[u8],
    now: SystemTime,
) -> Result<Vec<u8>, BackupError> {
    let store = identities.everything()?;
    let custody = identities.custody();
    let (authority, newest) = (custody.oldest(), custody.authority());
    // While the authority is being renewed there are two.
    let next = (newest.pin() != authority.pin()).then_some(newest);
    let intent = records::read_range(&store, DEFAULT_UNDERLAY_MTU)?.intent;
    let made = rfc3339(seconds(now).saturating_mul(1000));
    let contents = Contents {
        revision: store.revision,
        records: store.items.len(),
        projects: intent.projects().len(),
        networks: intent.networks.len(),
        ports: intent.ports.len(),
        hosts: intent.hosts.len(),
        ..Contents::new(authority.pin().to_string(), generation, made)
    };
    let backup = Backup {
        key: authority.key_pem(),
        certificate: authority.certificate_pem(),
        next_key: next.map(|it| it.key_pem()).unwrap_or_default(),
        next_certificate: next.map(|it| it.certificate_pem()).unwrap_or_default(),
        store,
    };
    backup.write(contents, passphrase)
}
