//! The codes of errors about looking: terminals, bug reports.

use super::Entry;
use super::codes::{code, code_with};

/// All codes.
pub(super) const CODES: &[Entry] = &[
    code_with(
        "not-in-bundle",
        "A bug report holds what was asked when it was made, and this was not, or it was too much.",
        "coax --from-bundle FILE status",
    ),
    code(
        "bundle-changes-nothing",
        "A bug report is answered from and changes nothing: leave `--from-bundle` out to talk to a controller.",
    ),
    code_with(
        "no-terminal",
        "The command draws on a terminal, and its input or output is none.",
        "coax top --once",
    ),
    code(
        "terminal-failed",
        "The terminal does not let itself be read or drawn on.",
    ),
];
