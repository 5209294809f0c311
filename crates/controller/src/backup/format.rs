//! The file of a backup.
//!
//! ```text
//! "coax backup\n"
//! length of the label (4 bytes, big endian), of what is sealed (8)
//! label     JSON: what is in it, and how the passphrase becomes a key
//! sealed    protobuf: the authority's key and certificate, every record of the store
//! checksum  SHA-256 of everything before
//! ```
//!
//! The checksum finds damage without a passphrase. Whoever changes a file on purpose can make a new checksum, but
//! cannot make a seal: that is over the label too.

use coax_identity::seal::KeyDerivation;
use coax_identity::secret::{hex, sha256};
use coax_store::{KeyValue, Range};
use prost::Message;
use serde::{Deserialize, Serialize};

use super::BackupError;
use super::contents::{Contents, FORMAT};

/// What every backup begins with.
pub const MAGIC: &[u8] = b"coax backup\n";
/// Passphrases of fewer bytes are tried out in no time.
pub const SHORTEST_PASSPHRASE: usize = 12;
const CHECKSUM: usize = 32;
const LENGTHS: usize = 12;

/// The label: what is readable, and what opens the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Label {
    #[serde(flatten)]
    contents: Contents,
    salt: String,
    memory: u32,
    passes: u32,
}

/// What is sealed.
#[derive(Clone, PartialEq, Message)]
struct Sealed {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    certificate: String,
    #[prost(uint64, tag = "3")]
    revision: u64,
    #[prost(message, repeated, tag = "4")]
    records: Vec<SealedRecord>,
    #[prost(string, tag = "5")]
    next_key: String,
    #[prost(string, tag = "6")]
    next_certificate: String,
}

#[derive(Clone, PartialEq, Message)]
struct SealedRecord {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
    #[prost(uint64, tag = "3")]
    created: u64,
    #[prost(uint64, tag = "4")]
    modified: u64,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The authority's key, in PEM.
    pub key: String,
    /// Its certificate, in PEM.
    pub certificate: String,
    /// While the authority is being renewed: the key of the next one, in PEM. Empty at other times.
    pub next_key: String,
    /// Its certificate, in PEM.
    pub next_certificate: String,
    /// Everything in the store.
    pub store: Range,
}

impl Backup {
    /// The file.
    pub fn write(self, contents: Contents, passphrase: &[u8]) -> Result<Vec<u8>, BackupError> {
        Self::write_with(self, contents, passphrase, KeyDerivation::random()?)
    }

    fn write_with(
        self,
        contents: Contents,
        passphrase: &[u8],
        derivation: KeyDerivation,
    ) -> Result<Vec<u8>, BackupError> {
        if passphrase.len() < SHORTEST_PASSPHRASE {
            let length = passphrase.len();
            return Err(BackupError::ShortPassphrase { length });
        }
        let label = Label {
            contents,
            salt: hex(&derivation.salt),
            memory: derivation.memory,
            passes: derivation.passes,
        };
        let label =
            serde_json::to_vec(&label).map_err(|it| BackupError::Content(it.to_string()))?;
        let sealed = derivation.seal(passphrase, &label, Sealed::from(self).encode_to_vec())?;
        let label_length = u32::try_from(label.len()).unwrap_or(u32::MAX).to_be_bytes();
        let sealed_length = (sealed.len() as u64).to_be_bytes();
        let mut file = [MAGIC, &label_length, &sealed_length, &label, &sealed].concat();
        let checksum = sha256(&file);
        file.extend_from_slice(&checksum);
        Ok(file)
    }

    /// What a file holds, if it is whole. Needs no passphrase.
    pub fn look_at(file: &[u8]) -> Result<Contents, BackupError> {
        Parts::of(file).map(|parts| parts.label.contents)
    }

    /// Opens a file.
    pub fn read(file: &[u8], passphrase: &[u8]) -> Result<(Self, Contents), BackupError> {
        let parts = Parts::of(file)?;
        let derivation = parts.label.derivation()?;
        let content = derivation.open(passphrase, parts.label_bytes, parts.sealed)?;
        let sealed = Sealed::decode(content.as_slice());
        let backup = Self::from(sealed.map_err(|it| BackupError::Content(it.to_string()))?);
        let contents = parts.label.contents;
        if backup.store.items.len() != contents.records {
            let (there, said) = (backup.store.items.len(), contents.records);
            return Err(BackupError::Content(format!(
                "{there} records are in it, and its label says {said}"
            )));
        }
        Ok((backup, contents))
    }
}

impl From<Backup> for Sealed {
    fn from(backup: Backup) -> Self {
        let record = |item: KeyValue| SealedRecord {
            key: item.key,
            value: item.value,
            created: item.created,
            modified: item.modified,
        };
        Self {
            key: backup.key,
            certificate: backup.certificate,
            next_key: backup.next_key,
            next_certificate: backup.next_certificate,
            revision: backup.store.revision,
            records: backup.store.items.into_iter().map(record).collect(),
        }
    }
}

impl From<Sealed> for Backup {
    fn from(sealed: Sealed) -> Self {
        let item = |record: SealedRecord| KeyValue {
            key: record.key,
            value: record.value,
            created: record.created,
            modified: record.modified,
        };
        Self {
            key: sealed.key,
            certificate: sealed.certificate,
            next_key: sealed.next_key,
            next_certificate: sealed.next_certificate,
            store: Range {
                revision: sealed.revision,
                items: sealed.records.into_iter().map(item).collect(),
            },
        }
    }
}

impl Label {
    fn derivation(&self) -> Result<KeyDerivation, BackupError> {
        let digits = self.salt.as_bytes();
        let mut salt = [0; 16];
        let wrong = || BackupError::Content("its salt is none".to_owned());
        if digits.len() != 2 * salt.len() {
            return Err(wrong());
        }
        for (byte, pair) in salt.iter_mut().zip(digits.chunks(2)) {
            let text = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(text, 16).map_err(|_| wrong())?;
        }
        Ok(KeyDerivation {
            salt,
            memory: self.memory,
            passes: self.passes,
        })
    }
}

/// A whole file, taken apart.
struct Parts<'a> {
    label: Label,
    label_bytes: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(file: &'a [u8]) -> Result<Self, BackupError> {
        let rest = file.strip_prefix(MAGIC).ok_or_else(|| not_a_backup(file))?;
        let cut_off = |expected: u64| BackupError::CutOff {
            present: file.len() as u64,
            expected,
        };
        let least = (MAGIC.len() + LENGTHS + CHECKSUM) as u64;
        let (label_length, rest) = rest.split_first_chunk().ok_or_else(|| cut_off(least))?;
        let (sealed_length, rest) = rest.split_first_chunk().ok_or_else(|| cut_off(least))?;
        let label_length = u64::from(u32::from_be_bytes(*label_length));
        let sealed_length = u64::from_be_bytes(*sealed_length);
        let expected = least
            .saturating_add(label_length)
            .saturating_add(sealed_length);
        if expected > file.len() as u64 {
            return Err(cut_off(expected));
        }
        let (content, checksum) = file.split_at(file.len() - CHECKSUM);
        if expected < file.len() as u64 || sha256(content) != checksum {
            return Err(BackupError::Damaged);
        }
        // Both fit into the file, so they fit into memory.
        let (label_bytes, rest) = rest.split_at(label_length as usize);
        let (sealed, _) = rest.split_at(sealed_length as usize);
        let format = serde_json::from_slice::<serde_json::Value>(label_bytes);
        let format = format.map(|label| label["format"].as_u64().unwrap_or(0));
        let found = format.map_err(|it| BackupError::Content(it.to_string()))?;
        if found != u64::from(FORMAT) {
            return Err(BackupError::Format {
                found: u32::try_from(found).unwrap_or(u32::MAX),
                known: FORMAT,
            });
        }
        let label = serde_json::from_slice(label_bytes)
            .map_err(|error| BackupError::Content(error.to_string()))?;
        Ok(Self {
            label,
            label_bytes,
            sealed,
        })
    }
}

/// A file that does not begin like one: cut off within its first bytes, or something else.
fn not_a_backup(file: &[u8]) -> BackupError {
    match MAGIC.starts_with(file) {
        true => BackupError::CutOff {
            present: file.len() as u64,
            expected: (MAGIC.len() + LENGTHS + CHECKSUM) as u64,
        },
        false => BackupError::NotABackup,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSPHRASE: &[u8] = b"correct horse battery";

    fn backup() -> (Backup, Contents) {
        let backup = Backup {
            key: "a key".into(),
            certificate: "a certificate".into(),
            next_key: "another key".into(),
            next_certificate: "another certificate".into(),
            store: Range {
                revision: 7,
                items: vec![KeyValue {
                    key: b"/coax/v1/meta/head".to_vec(),
                    value: b"{}".to_vec(),
                    created: 3,
                    modified: 7,
                }],
            },
        };
        let contents = Contents {
            records: 1,
            revision: 7,
            ..Contents::new("pin".into(), 4, "2026-11-26T00:00:00Z".into())
        };
        (backup, contents)
    }

    fn file() -> Vec<u8> {
        let (backup, contents) = backup();
        let cheap = KeyDerivation {
            memory: 8,
            passes: 1,
            ..KeyDerivation::random().unwrap()
        };
        backup.write_with(contents, PASSPHRASE, cheap).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let file = file();
        assert_eq!(Backup::read(&file, PASSPHRASE).unwrap(), backup());
        assert_eq!(Backup::look_at(&file).unwrap(), backup().1);
        let wrong = Backup::read(&file, b"correct horse batterx").unwrap_err();
        assert!(
            matches!(wrong, BackupError::Sealed(OpenErrorDenied)),
            "{wrong}"
        );
        let text = String::from_utf8_lossy(&file);
        assert!(
            !text.contains("a key") && !text.contains("/coax/v1"),
            "{text}"
        );
    }

    use coax_identity::seal::OpenError::Denied as OpenErrorDenied;

    #[test]
    fn every_flipped_bit_and_every_cut_is_found_without_a_passphrase() {
        let file = file();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                assert!(Backup::look_at(&changed).is_err(), "bit {bit} of byte {at}");
            }
            let cut = Backup::look_at(&file[..at]).unwrap_err();
            assert!(matches!(cut, BackupError::CutOff { .. }), "{at}: {cut}");
        }
        let longer = [file.as_slice(), b"x"].concat();
        assert!(matches!(
            Backup::look_at(&longer),
            Err(BackupError::Damaged)
        ));
    }

    #[test]
    fn a_label_that_was_changed_with_its_checksum_does_not_open() {
        let file = file();
        let at = file
            .windows(4)
            .position(|window| window == b"\"pin")
            .unwrap();
        let mut forged = file[..file.len() - CHECKSUM].to_vec();
        forged[at + 1] = b'P';
        let checksum = sha256(&forged);
        forged.extend_from_slice(&checksum);
        assert_eq!(Backup::look_at(&forged).unwrap().authority, "Pin");
        let refused = Backup::read(&forged, PASSPHRASE).unwrap_err();
        assert!(matches!(refused, BackupError::Sealed(_)), "{refused}");
    }

    #[test]
    fn short_passphrases_are_refused() {
        let (backup, contents) = backup();
        let refused = backup.write(contents, b"secret").unwrap_err();
        assert!(matches!(
            refused,
            BackupError::ShortPassphrase { length: 6 }
        ));
    }

    proptest! {
        #[test]
        fn noise_is_an_error(noise in any::<Vec<u8>>()) {
            let with_magic = [MAGIC, &noise].concat();
            prop_assert!(Backup::look_at(&with_magic).is_err());
            prop_assert!(Backup::look_at(&noise).is_err());
        }
    }
}
