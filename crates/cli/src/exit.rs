//! Exit codes: part of the interface, because scripts branch on them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// An error; nothing was changed.
    Error = 1,
    /// `coax diff`: there are differences. `coax check`: nothing was checked.
    Different = 2,
    /// Done, with warnings.
    Warnings = 3,
    /// Some of it was done, some was not.
    Partly = 4,
    /// Not allowed.
    Denied = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
