//! A backup of a running controller: one range of the store, which is of one revision, and the authority.

use std::time::SystemTime;

use coax_api::time::rfc3339;

use super::{Backup, BackupError, Contents};
use crate::identity::{Identities, seconds};

/// Everything, as a file.
pub fn take(
    identities: &Identities,
    generation: u64,
    passphrase: &[u8],
    now: SystemTime,
) -> Result<Vec<u8>, BackupError> {
    let store = identities.everything()?;
    let authority = identities.authority();
    let kind = |prefix: &str| {
        let prefix = prefix.as_bytes();
        let items = store.items.iter();
        items.filter(|item| item.key.starts_with(prefix)).count()
    };
    let made = rfc3339(seconds(now).saturating_mul(1000));
    let contents = Contents {
        revision: store.revision,
        records: store.items.len(),
        projects: kind("/coax/v1/project/"),
        networks: kind("/coax/v1/network/"),
        ports: kind("/coax/v1/port/"),
        hosts: kind("/coax/v1/host/"),
        ..Contents::new(authority.pin().to_string(), generation, made)
    };
    let backup = Backup {
        key: authority.key_pem(),
        certificate: authority.certificate_pem(),
        store,
    };
    backup.write(contents, passphrase)
}
