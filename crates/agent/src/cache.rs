//! What the agent remembers across a reboot: the slices it was told last, so that ports come up without a controller.
//!
//! One file: a mark, a version, the length and the CRC-32 of the rest, the rest as protobuf. It is replaced as a whole (written beside, synced,
//! renamed), so a crash leaves the old one or the new one. A file that does not read back is set aside under
//! another name for whoever wants to know, reported, and otherwise treated as if there was none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coax_compile::policy::PolicySlice;
use coax_compile::{NetworkSlice, RouterSlice};
use prost::Message;

use crate::slots::Owner;

/// First bytes of the file.
const MARK: &[u8; 8] = b"coaxrows";
/// Version of what follows the mark.
const VERSION: u32 = 1;
/// Mark, version, length, checksum.
const HEADER: usize = 8 + 4 + 8 + 4;
/// Name in the state folder.
const NAME: &str = "agent.cache";

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheContents {
    /// The newest generation of the controllers' store that was seen.
    pub generation: u64,
    /// The revision that was realised last.
    pub revision: u64,
    /// The newest revision of that generation that a controller told.
    pub newest: u64,
    /// The run of the controller that told all of this; 0: more than one did.
    pub told_by: u64,
    /// Address of the controller that tells this host what to do; empty: none is known.
    pub main: String,
    /// Addresses of controllers that one told of.
    pub controllers: Vec<String>,
    /// The slices, by network. Shared with the core, which goes on while they are written.
    pub slices: BTreeMap<u32, Arc<NetworkSlice>>,
    /// The slices of routers, by number.
    pub routers: BTreeMap<u32, Arc<RouterSlice>>,
    /// The policies of projects.
    pub policies: Vec<StoredPolicy>,
    /// No number of a rule above this one was ever given.
    pub highest_rule: u32,
    /// Slots of ports.
    pub slots: BTreeMap<Owner, u32>,
}

/// A policy, and the numbers that it has in the tables.
#[derive(Clone, PartialEq, Message)]
pub struct StoredPolicy {
    /// What the controller told.
    #[prost(message, required, tag = "1")]
    pub slice: PolicySlice,
    /// Its domain.
    #[prost(uint32, tag = "2")]
    pub domain: u32,
    /// Numbers of its rules, by name.
    #[prost(btree_map = "string, uint32", tag = "3")]
    pub rules: BTreeMap<String, u32>,
}

/// The file's form of [`CacheContents`].
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(uint64, tag = "1")]
    generation: u64,
    #[prost(uint64, tag = "2")]
    revision: u64,
    #[prost(message, repeated, tag = "3")]
    slices: Vec<NetworkSlice>,
    #[prost(btree_map = "string, uint32", tag = "4")]
    slots: BTreeMap<String, u32>,
    #[prost(message, repeated, tag = "5")]
    routers: Vec<RouterSlice>,
    #[prost(message, repeated, tag = "6")]
    policies: Vec<StoredPolicy>,
    #[prost(uint64, tag = "7")]
    newest: u64,
    #[prost(uint64, tag = "8")]
    told_by: u64,
    #[prost(string, repeated, tag = "9")]
    controllers: Vec<String>,
    #[prost(string, tag = "10")]
    main: String,
    #[prost(uint32, tag = "11")]
    highest_rule: u32,
}

/// Why a cache could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The file system refused.
    #[error("cache {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("cache {path} is damaged ({damage}); it was set aside as {aside}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
        /// Where it is now.
        aside: PathBuf,
    },
}

/// What is wrong with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It does not start as a cache does.
    #[error("not a cache")]
    Mark,
    /// Another version of the agent wrote it.
    #[error("version {0}")]
    Version(u32),
    /// It ends early, or late.
    #[error("{found} bytes instead of {wanted}")]
    Length {
        /// Bytes that the header announces.
        wanted: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The bytes are not those that were written.
    #[error("checksum {found:08x} instead of {wanted:08x}")]
    Checksum {
        /// The checksum in the header.
        wanted: u32,
        /// That of the bytes.
        found: u32,
    },
    /// The checksum fits, the contents do not.
    #[error("unreadable contents")]
    Contents,
}

/// The cache file in a state folder.
#[derive(Clone, Debug)]
pub struct Cache {
    path: PathBuf,
}

impl Cache {
    /// The cache in the state folder `state`.
    pub fn new(state: &Path) -> Self {
        Self {
            path: state.join(NAME),
        }
    }

    /// Reads the cache; none if there is none. A damaged one is set aside.
    pub fn load(&self) -> Result<Option<CacheContents>, CacheError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io(source)),
        };
        decode(&bytes).map(Some).map_err(|damage| {
            let aside = self.path.with_extension("damaged");
            match fs::rename(&self.path, &aside) {
                Ok(()) => CacheError::Damaged {
                    path: self.path.clone(),
                    damage,
                    aside,
                },
                Err(source) => self.io(source),
            }
        })
    }

    /// Replaces the cache. When this returns, the new one survives a power cut.
    pub fn save(&self, contents: &CacheContents) -> Result<(), CacheError> {
        self.replace(&encode(contents))
            .map_err(|source| self.io(source))
    }

    fn replace(&self, bytes: &[u8]) -> Result<(), io::Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        File::open(folder)?.sync_all()
    }

    fn io(&self, source: io::Error) -> CacheError {
        CacheError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

fn encode(contents: &CacheContents) -> Vec<u8> {
    let stored = Stored {
        generation: contents.generation,
        revision: contents.revision,
        slices: contents
            .slices
            .values()
            .map(|slice| NetworkSlice::clone(slice))
            .collect(),
        slots: contents
            .slots
            .iter()
            .map(|(owner, slot)| (owner.to_string(), *slot))
            .collect(),
        routers: contents
            .routers
            .values()
            .map(|slice| RouterSlice::clone(slice))
            .collect(),
        policies: contents.policies.clone(),
        newest: contents.newest,
        told_by: contents.told_by,
        controllers: contents.controllers.clone(),
        main: contents.main.clone(),
        highest_rule: contents.highest_rule,
    };
    let body = stored.encode_to_vec();
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Result<CacheContents, Damage> {
    let rest = bytes.strip_prefix(MARK).ok_or(Damage::Mark)?;
    let (version, rest) = rest.split_first_chunk().ok_or(Damage::Mark)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let (length, rest) = rest.split_first_chunk().ok_or(Damage::Mark)?;
    let (checksum, body) = rest.split_first_chunk().ok_or(Damage::Mark)?;
    let (wanted, found) = (u64::from_le_bytes(*length), body.len() as u64);
    if wanted != found {
        return Err(Damage::Length { wanted, found });
    }
    let (wanted, found) = (u32::from_le_bytes(*checksum), crc32fast::hash(body));
    if wanted != found {
        return Err(Damage::Checksum { wanted, found });
    }
    let stored = Stored::decode(body).map_err(|_| Damage::Contents)?;
    let slices = stored
        .slices
        .into_iter()
        .map(|slice| (slice.network_id, Arc::new(slice)));
    let routers = stored
        .routers
        .into_iter()
        .map(|slice| (slice.router, Arc::new(slice)));
    let slots = stored
        .slots
        .iter()
        .map(|(owner, slot)| (Owner::parse(owner), *slot));
    Ok(CacheContents {
        generation: stored.generation,
        revision: stored.revision,
        slices: slices.collect(),
        routers: routers.collect(),
        policies: stored.policies,
        slots: slots.collect(),
        newest: stored.newest,
        told_by: stored.told_by,
        controllers: stored.controllers,
        main: stored.main,
        highest_rule: stored.highest_rule,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use coax_compile::Member;

    fn contents() -> CacheContents {
        let member = Member {
            port: "p/a".into(),
            mac: vec![2, 0, 0, 0, 0, 1],
            ..Member::default()
        };
        let slice = NetworkSlice {
            network_id: 4096,
            revision: 9,
            members: vec![member],
            ..NetworkSlice::default()
        };
        let router = RouterSlice {
            router: 1,
            revision: 8,
            networks: vec![4096],
            ..RouterSlice::default()
        };
        let policy = StoredPolicy {
            slice: PolicySlice {
                project: "p".into(),
                revision: 7,
                ..PolicySlice::default()
            },
            domain: 2,
            rules: BTreeMap::from([("p/ssh".into(), 5)]),
        };
        CacheContents {
            generation: 3,
            revision: 12,
            newest: 13,
            told_by: 77,
            main: "192.0.2.9:7450".into(),
            controllers: vec!["192.0.2.9:7450".into()],
            slices: BTreeMap::from([(4096, Arc::new(slice))]),
            routers: BTreeMap::from([(1, Arc::new(router))]),
            policies: vec![policy],
            highest_rule: 6,
            slots: BTreeMap::from([(Owner::new("p/a", 0), 1), (Owner::new("p/a", 7), 2)]),
        }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        assert_eq!(cache.load().unwrap(), None);
        cache.save(&CacheContents::default()).unwrap();
        cache.save(&contents()).unwrap();
        assert_eq!(cache.load().unwrap(), Some(contents()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed_and_the_file_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let whole = encode(&contents());
        let mut broken: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
        broken.extend((0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            bytes
        }));
        for bytes in broken {
            fs::write(&cache.path, &bytes).unwrap();
            let error = cache.load().unwrap_err();
            let CacheError::Damaged { aside, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(fs::read(aside).unwrap(), bytes);
            assert_eq!(cache.load().unwrap(), None);
        }
    }

    #[test]
    fn a_crash_while_writing_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        cache.save(&contents()).unwrap();
        fs::write(cache.path.with_extension("new"), b"half").unwrap();
        assert_eq!(cache.load().unwrap(), Some(contents()));
    }

    #[test]
    fn a_state_folder_that_is_not_there_is_an_error_with_its_name() {
        let cache = Cache::new(Path::new("/no/such/folder"));
        assert!(
            cache
                .save(&contents())
                .unwrap_err()
                .to_string()
                .contains("/no/such/folder")
        );
    }
}
