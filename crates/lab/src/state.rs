//! What the machine knows about a running lab: one JSON file in the lab's folder, written before
//! anything is built, so that `down` finds everything after any crash.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::fault::Fault;
use crate::file::LabFile;
use crate::name::{LabName, RUN_FOLDER};
use crate::process::ProcessId;

const RECORD: &str = "lab.json";
const LOCK: &str = "lock";

/// The record of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The lab's name.
    pub name: LabName,
    /// What it was built from.
    pub file: LabFile,
    /// How far it is.
    pub phase: Phase,
    /// Its processes: `controller`, `supervisor`, `agent-hv1`, ….
    pub processes: BTreeMap<String, ProcessId>,
    /// What is broken on purpose.
    pub faults: BTreeSet<Fault>,
}

/// How far a lab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// `up` has begun.
    Building,
    /// `up` is done.
    Up,
    /// `down` has begun.
    Down,
}

impl Record {
    /// A lab that is about to be built.
    pub fn new(name: LabName, file: LabFile) -> Self {
        Self {
            name,
            file,
            phase: Phase::Building,
            processes: BTreeMap::new(),
            faults: BTreeSet::new(),
        }
    }

    /// Writes the record of a new lab; refuses a name that is taken.
    pub fn create(&self) -> Result<(), Error> {
        let folder = self.name.folder();
        fs::create_dir_all(RUN_FOLDER).map_err(Error::io("create", RUN_FOLDER))?;
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::Exists(self.name.clone()))
            }
            Err(error) => Err(Error::io("create", folder)(error)),
            Ok(()) => self.write(),
        }
    }

    /// Reads the record of a lab.
    pub fn load(name: &LabName) -> Result<Self, Error> {
        let path = name.folder().join(RECORD);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::NoSuchLab {
                    name: name.clone(),
                    known: list().iter().map(LabName::to_string).collect(),
                });
            }
            other => other.map_err(Error::io("read", &path))?,
        };
        serde_json::from_slice(&text).map_err(|source| Error::Damaged { path, source })
    }

    /// Changes the record of a lab; two that do it at once wait for each other.
    pub fn update<T>(name: &LabName, change: impl FnOnce(&mut Self) -> T) -> Result<T, Error> {
        // Without a folder there is nothing to lock, and the answer is that there is no such lab.
        Self::load(name)?;
        let _lock = lock(&name.folder())?;
        let mut record = Self::load(name)?;
        let result = change(&mut record);
        record.write()?;
        Ok(result)
    }

    fn write(&self) -> Result<(), Error> {
        let path = self.name.folder().join(RECORD);
        let text = serde_json::to_vec_pretty(self).map_err(|source| Error::Damaged {
            path: path.clone(),
            source,
        })?;
        let new = path.with_extension("new");
        fs::write(&new, text).map_err(Error::io("write", &new))?;
        fs::rename(&new, &path).map_err(Error::io("write", &path))
    }
}

fn lock(folder: &Path) -> Result<Flock<File>, Error> {
    let path: PathBuf = folder.join(LOCK);
    let file = File::create(&path).map_err(Error::io("open", &path))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| Error::io("lock", &path)(error.into()))
}

/// The labs of this machine, whatever their state.
pub fn list() -> Vec<LabName> {
    let Ok(entries) = fs::read_dir(RUN_FOLDER) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok());
    let mut names: Vec<LabName> = names.collect();
    names.sort();
    names
}

/// The lab that is meant: the one named, or the only one there is.
pub fn choose(name: Option<&LabName>) -> Result<LabName, Error> {
    if let Some(name) = name {
        return Ok(name.clone());
    }
    match list().as_slice() {
        [] => Err(Error::NoLab),
        [only] => Ok(only.clone()),
        several => Err(Error::SeveralLabs(
            several.iter().map(LabName::to_string).collect(),
        )),
    }
}
