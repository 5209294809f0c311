//! What users are told when they do not get what they ask for.

use coax_api::check::IGNORE_CHECKS;
use coax_api::{Check, Problem};
use coax_model::{HostName, Name, Refusals};

/// A stack file that breaks rules. The first broken rule speaks for all; the others follow it.
pub fn refusals(refusals: &Refusals) -> Problem {
    let mut problems = refusals.0.iter().map(|refusal| {
        let diagnostic = refusal.diagnostic();
        let problem = Problem::new(
            422,
            diagnostic.code,
            "The file breaks a rule",
            diagnostic.message,
            diagnostic.hint.unwrap_or_default(),
        );
        match diagnostic.path {
            Some(path) => problem.at(path.to_string()),
            None => problem,
        }
    });
    let first = problems.next();
    let mut first = first.unwrap_or_else(|| {
        Problem::new(
            422,
            "refused",
            "The file is refused",
            "the file is refused",
            "",
        )
    });
    first.more = problems.collect();
    first
}

/// A change after which checks fail.
pub fn checks_fail(failing: &[&Check]) -> Problem {
    let count = match failing.len() {
        1 => "a check fails".to_owned(),
        count => format!("{count} checks fail"),
    };
    let mut first = Problem::new(
        422,
        "checks-fail",
        "Checks of the project fail",
        format!("nothing was changed, because {count} after this change"),
        IGNORE_CHECKS,
    );
    let problem = |check: &&Check| {
        let title = "The check fails";
        let problem = Problem::new(422, "check-fails", title, &check.sentence, "");
        problem.at(format!("checks[{}]", check.place))
    };
    first.more = failing.iter().map(problem).collect();
    first
}

/// Broken rules as one line.
pub fn sentences(refusals: &Refusals) -> String {
    let lines = refusals
        .0
        .iter()
        .map(|refusal| refusal.diagnostic().to_string());
    lines.collect::<Vec<_>>().join("; ")
}

/// A name that nothing has.
pub fn no_such(kind: &str, name: &str) -> Problem {
    Problem::new(
        404,
        &format!("no-such-{kind}"),
        "There is no such object",
        format!("there is no {kind} `{name}`"),
        match kind {
            "firewall-rule" => "`coax firewall rules` shows what there is".to_owned(),
            _ => format!("`coax {kind} list` shows what there is"),
        },
    )
}

/// A host that is to be forgotten, and is here.
pub fn host_attached(host: &HostName) -> Problem {
    Problem::new(
        409,
        "host-attached",
        "The host is attached",
        format!("the agent of {host} is attached to the controller: its VMs may be in use"),
        format!(
            "`coax host remove {host} --force` removes it all the same: its certificate is revoked, its ports are nowhere"
        ),
    )
}

/// A revision that does not exist yet.
pub fn no_such_revision(asked: u64, newest: u64) -> Problem {
    Problem::new(
        404,
        "no-such-revision",
        "There is no such revision",
        format!("revision {asked} does not exist, the newest is {newest}"),
        "`coax status` shows the newest revision",
    )
}

/// The store did not take it.
pub fn store(reason: &str) -> Problem {
    Problem::new(
        503,
        "store-failed",
        "The change could not be stored",
        reason,
        "see whether the controller's disk is full, or etcd away; `coax history` shows whether it was \
         stored after all",
    )
}

/// The store does not answer, and nobody began with the change.
pub fn store_silent() -> Problem {
    Problem::new(
        503,
        "store-failed",
        "The change could not be stored",
        "the store does not answer; nothing was changed",
        "see whether etcd is there, and try again",
    )
}

/// Nobody knows whether the change was stored.
pub fn outcome_unknown() -> Problem {
    Problem::new(
        503,
        "outcome-unknown",
        "It is not known whether the change was stored",
        "the store took the change and does not answer since",
        "`coax history` shows it if it was stored; repeating the request with the same idempotency key is safe",
    )
}

/// The object is not what the client thinks it is.
pub fn revision_mismatch(found: Option<u64>) -> Problem {
    let message = match found {
        Some(found) => format!("the object's newest revision is {found}, not the one expected"),
        None => "there is no such object (any more)".to_owned(),
    };
    Problem::new(
        412,
        "revision-mismatch",
        "Somebody changed it meanwhile",
        message,
        "read it again, see `coax history` for who changed what, and repeat the change on that",
    )
}

/// Two different requests under one idempotency key.
pub fn key_reused(key: &str, revision: u64) -> Problem {
    Problem::new(
        422,
        "idempotency-key-reused",
        "The idempotency key belongs to another request",
        format!("the key `{key}` was used for another request, which made revision {revision}"),
        "give every request a key of its own; only a repetition has the same",
    )
}

/// A change of a project that has an unconfirmed one.
pub fn unconfirmed(project: &Name, until: &str) -> Problem {
    Problem::new(
        409,
        "unconfirmed",
        "An earlier change waits for confirmation",
        format!(
            "project {project} has a change that is reverted at {until} unless it is confirmed"
        ),
        "`coax confirm` lets it hold, `coax apply --confirm-now` too, `coax rollback` takes it back",
    )
}

/// A confirmation of what needs none.
pub fn nothing_unconfirmed(revision: u64) -> Problem {
    Problem::new(
        409,
        "nothing-unconfirmed",
        "There is nothing to confirm",
        format!("revision {revision} does not wait for confirmation: it holds, or was reverted"),
        "`coax history` shows which",
    )
}

/// A revision that the history does not have.
pub fn not_in_history(revision: u64) -> Problem {
    Problem::new(
        404,
        "not-in-history",
        "The history has no such revision",
        format!("revision {revision} is not in the history, or is too old to be kept"),
        "`coax history` shows what is kept",
    )
}

/// A rollback to a revision that is about no project.
pub fn whose_rollback(revision: u64) -> Problem {
    Problem::new(
        400,
        "no-project-named",
        "It is not clear which project is to go back",
        format!("revision {revision} is about no project"),
        "name the project: `coax rollback REVISION --project PROJECT`",
    )
}

/// A record that cannot be read.
pub fn damaged_history(revision: u64) -> Problem {
    Problem::new(
        500,
        "history-damaged",
        "The history cannot be read",
        format!("what revision {revision} changed cannot be read"),
        "the record was written by another version, or is damaged; apply a file instead",
    )
}
