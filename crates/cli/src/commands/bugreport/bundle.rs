//! The archive of a bug report. `api/v1/ports.json` is what `GET /v1/ports` answered.
//!
//! Invariant: everything passes [`redact`] or [`redact_json`] on its way in.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use coax_api::Recording;
use coax_identity::file::{self, Readers};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::Value;

use super::redact::{redact, redact_json};
use crate::error::CliError;

/// Where recorded answers are.
const ANSWERS: &str = "api";
/// Bytes that a report may have when it is unpacked: nobody's memory is filled by a file that somebody sent.
const MOST: u64 = 1 << 30;

/// Something that is not in a report.
#[derive(Debug, Serialize)]
pub struct Missing {
    what: String,
    reason: String,
}

/// What goes into a report.
#[derive(Debug, Default)]
pub struct Contents {
    files: BTreeMap<String, String>,
    missing: Vec<Missing>,
}

impl Contents {
    /// Adds a text, without its secrets.
    pub fn add(&mut self, name: &str, text: &str) {
        self.files.insert(name.to_owned(), redact(text));
    }

    /// Adds an answer of the API, likewise.
    pub fn answer(&mut self, path: &str, answer: &[u8]) {
        match serde_json::from_slice::<Value>(answer) {
            Ok(mut value) => {
                redact_json(&mut value);
                let name = format!("{ANSWERS}{path}.json");
                self.files.insert(name, format!("{value:#}\n"));
            }
            Err(error) => self.failed(path, &error.to_string()),
        }
    }

    /// Something could not be found out.
    pub fn failed(&mut self, what: &str, reason: &str) {
        self.missing.push(Missing {
            what: what.to_owned(),
            reason: redact(reason),
        });
    }

    /// What could not be found out.
    pub fn failures(&self) -> &[Missing] {
        &self.missing
    }

    /// Writes the archive, which only its owner may read.
    pub fn write(&self, path: &Path) -> Result<(), CliError> {
        let pack = || -> io::Result<Vec<u8>> {
            let packed = GzEncoder::new(Vec::new(), Compression::default());
            let mut archive = tar::Builder::new(packed);
            for (name, text) in &self.files {
                let mut header = tar::Header::new_gnu();
                header.set_size(text.len() as u64);
                header.set_mode(0o600);
                archive.append_data(
                    &mut header,
                    format!("coax-bugreport/{name}"),
                    text.as_bytes(),
                )?;
            }
            archive.into_inner()?.finish()
        };
        let packed = pack().map_err(|source| CliError::Unwritable {
            path: path.to_owned(),
            source,
        })?;
        file::write(path, &packed, Readers::Owner).map_err(coax_controller::Error::from)?;
        Ok(())
    }
}

/// The answers that an archive holds.
pub fn open(path: &Path) -> Result<Recording, CliError> {
    let unreadable = |source| CliError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let answers = read(path).map_err(unreadable)?;
    if answers.is_empty() {
        let nothing = "there are no answers of a controller in it";
        return Err(unreadable(io::Error::new(
            io::ErrorKind::InvalidData,
            nothing,
        )));
    }
    Ok(Recording::new(answers))
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let unpacked = GzDecoder::new(std::fs::File::open(path)?).take(MOST);
    let mut archive = tar::Archive::new(unpacked);
    let mut answers = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let answer = name
            .split_once(&format!("/{ANSWERS}/"))
            .and_then(|(_, rest)| rest.strip_suffix(".json"));
        if let Some(answer) = answer {
            let mut text = Vec::new();
            entry.read_to_end(&mut text)?;
            answers.insert(format!("/{answer}"), text);
        }
    }
    Ok(answers)
}
