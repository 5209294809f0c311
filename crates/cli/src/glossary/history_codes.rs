//! The codes of errors about revisions: going back, confirming, conditions.

use super::Entry;
use super::codes::{code, code_with};

/// All codes.
pub(super) const CODES: &[Entry] = &[
    code_with(
        "revision-mismatch",
        "A program wanted to change what it had read, but somebody else changed it in between; \
         nothing was changed.",
        "coax history",
    ),
    code_with(
        "outcome-unknown",
        "The store took a change and did not answer: nobody knows whether it is stored. The history \
         shows it if it is, and the audit log if it is about tokens or hosts; repeating the request under the same \
         Idempotency-Key does a change of the history once at most.",
        "coax history",
    ),
    code(
        "already-there",
        "`create` makes what is not there yet; `set` changes what is.",
    ),
    code(
        "idempotency-key-reused",
        "A program sent two different requests under one Idempotency-Key. Only a repetition of the \
         same request may have the same key.",
    ),
    code(
        "bad-header",
        "A program sent the REST interface a condition or key in a header that is not understood.",
    ),
    code_with(
        "unconfirmed",
        "The project has a change that is taken back by itself unless it is confirmed, and no other \
         may be mixed with it.",
        "coax confirm",
    ),
    code_with(
        "nothing-unconfirmed",
        "There is no change that waits for confirmation: it was confirmed, or taken back.",
        "coax history",
    ),
    code_with(
        "several-unconfirmed",
        "Changes of several projects wait for confirmation; say which is meant.",
        "coax history",
    ),
    code_with(
        "not-in-history",
        "The revision is no change that somebody asked for, or it is older than the history is kept.",
        "coax history",
    ),
    code(
        "no-project-named",
        "The revision to go back to is about no project, so it must be said which one goes back.",
    ),
    code(
        "history-damaged",
        "The record of a revision cannot be read, so there is no way back beyond it.",
    ),
];
