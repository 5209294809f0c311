//! What users are told when they do not get what they ask for.

use coax_api::Problem;
use coax_model::{HostName, Refusals};

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
        format!(
            "the agent of {host} is attached to the controller and would present the host again"
        ),
        format!("stop the agent on {host} first, or let it be"),
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
        "nothing was changed; see whether the controller's disk is full, and try again",
    )
}
