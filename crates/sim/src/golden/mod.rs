//! Golden cases: a scenario with its outcome as one file in tests/golden/<stage>/.
//!
//! Tests of the stages write them (`BLESS=1`) or compare with what is there; the simulator and the
//! kernel play every file. A file is the whole truth about its case: the stand is described in
//! `stand`, everything else is in it.

mod policy_text;
mod punt_text;
mod row_text;
mod rows_text;
mod text;

pub use punt_text::{LimitText, PuntText};
pub use rows_text::RowsText;
pub use text::{CaseText, FrameText, SlotText};

use crate::{AccountingError, Outcome, Scenario, Stand, Tally};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a golden case could not be read, or is not what it was.
#[derive(Debug, Error)]
pub enum GoldenError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a golden case.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// What is wrong, and where.
        message: String,
    },
    /// The outcome is not the one in the file.
    #[error("{path} says otherwise; if the new outcome is right: BLESS=1\n{difference}")]
    Differs {
        /// The file.
        path: String,
        /// Lines that are gone (-) and new (+).
        difference: String,
    },
    /// A frame is not accounted for.
    #[error(transparent)]
    Accounting(#[from] AccountingError),
}

/// A scenario and what is to come of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// One sentence: what the case shows.
    pub about: String,
    /// Why it cannot be played through the kernel's test-run, when it cannot.
    pub no_test_run: Option<String>,
    /// Why it cannot be played with real packets, when it cannot.
    pub no_packets: Option<String>,
    /// Rows and frames.
    pub scenario: Scenario,
    /// What becomes of each frame.
    pub outcomes: Vec<Outcome>,
    /// Counters after the last frame.
    pub tallies: BTreeMap<u32, Tally>,
    /// What each firewall rule decided, by its number.
    pub hits: BTreeMap<u32, u64>,
}

/// The folder of all golden cases.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// All golden files below the folder, as "stage/case", sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn names() -> Result<Vec<String>, GoldenError> {
    let mut names = Vec::new();
    for stage in entries(&folder())? {
        if !stage.is_dir() {
            continue;
        }
        for file in entries(&stage)? {
            if file.extension().is_some_and(|ending| ending == "yaml") {
                let part = |path: &Path| path.file_stem().map(|name| name.display().to_string());
                if let (Some(stage), Some(case)) = (part(&stage), part(&file)) {
                    names.push(format!("{stage}/{case}"));
                }
            }
        }
    }
    names.sort();
    Ok(names)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, GoldenError> {
    let failed = |source| GoldenError::File {
        path: folder.display().to_string(),
        source,
    };
    std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect()
}

impl Case {
    /// Plays the scenario in the simulator.
    ///
    /// # Errors
    /// When a frame is not accounted for.
    pub fn of(about: &str, scenario: Scenario) -> Result<Self, GoldenError> {
        let (host, outcomes) = scenario.play(&Stand::default())?;
        Ok(Self {
            about: about.to_owned(),
            no_test_run: why_no_test_run(&scenario),
            no_packets: why_no_packets(&scenario, &outcomes),
            tallies: host.sink.tallies(),
            hits: host.sink.hits(),
            scenario,
            outcomes,
        })
    }

    /// Reads a golden file for a stand: `name` is "stage/case".
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn read(name: &str, stand: &Stand) -> Result<Self, GoldenError> {
        let path = path(name);
        let text = std::fs::read_to_string(&path).map_err(|source| GoldenError::File {
            path: path.display().to_string(),
            source,
        })?;
        let syntax = |message: String| GoldenError::Syntax {
            path: path.display().to_string(),
            message,
        };
        let text: CaseText =
            serde_saphyr::from_str(&text).map_err(|error| syntax(error.to_string()))?;
        text.case(stand).map_err(syntax)
    }

    /// The text of the golden file.
    ///
    /// # Errors
    /// When the text cannot be written, which no case gives a reason for.
    pub fn text(&self) -> Result<String, GoldenError> {
        let text = CaseText::of(self, &Stand::default());
        serde_saphyr::to_string(&text).map_err(|error| GoldenError::Syntax {
            path: self.about.clone(),
            message: error.to_string(),
        })
    }

    /// Compares with the golden file, or writes it when `bless` says so.
    ///
    /// # Errors
    /// `Differs` when the file says otherwise.
    pub fn settle(&self, name: &str, bless: bool) -> Result<(), GoldenError> {
        let path = path(name);
        let text = self.text()?;
        let failed = |source| GoldenError::File {
            path: path.display().to_string(),
            source,
        };
        if bless {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            // In one step: other tests may be reading it.
            let partial = path.with_extension("partial");
            std::fs::write(&partial, text).map_err(failed)?;
            return std::fs::rename(&partial, &path).map_err(failed);
        }
        let expected = std::fs::read_to_string(&path).map_err(failed)?;
        if expected == text {
            return Ok(());
        }
        Err(GoldenError::Differs {
            path: path.display().to_string(),
            difference: difference(&expected, &text),
        })
    }
}

fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.yaml"))
}

/// Lines that only one of two texts has, without those that begin and end both.
fn difference(old: &str, new: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let first = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = (old.len() - first).min(new.len() - first);
    let last = (0..rest)
        .take_while(|back| old[old.len() - 1 - back] == new[new.len() - 1 - back])
        .count();
    let gone = old[first..old.len() - last].iter().map(|line| ('-', line));
    let come = new[first..new.len() - last].iter().map(|line| ('+', line));
    gone.chain(come)
        .map(|(sign, line)| format!("{sign} {line}\n"))
        .collect()
}

fn why_no_test_run(scenario: &Scenario) -> Option<String> {
    let mut frames = scenario.frames.iter();
    frames.find_map(|frame| frame.why_no_test_run().map(str::to_owned))
}

fn why_no_packets(scenario: &Scenario, outcomes: &[Outcome]) -> Option<String> {
    let mut frames = scenario.frames.iter().zip(outcomes);
    frames.find_map(|(frame, outcome)| frame.why_no_packet(outcome).map(str::to_owned))
}
