//! What happens, for people who watch: noted where it becomes true, each thing once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use coax_api::{EventKind, ReportedProblem};
use coax_model::{Change, HostName, Name, PortName};
use coax_store::Revision;
use coax_tables::DropReason;

use super::message::Command;
use super::{AWAY_GRACE, Core};
use crate::history::Record;

/// An event without its number and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// What kind of thing happened.
    pub kind: EventKind,
    /// The project that it is about.
    pub project: Option<Name>,
    /// What it is about; empty: a revision.
    pub object: String,
    /// Where it happened.
    pub host: Option<HostName>,
    /// The revision with which it happened.
    pub revision: Option<Revision>,
    /// Of problems and guards: the stable name.
    pub code: String,
    /// All of it in a sentence.
    pub message: String,
}

/// A problem of a host, whatever words it finds for it.
pub(super) type ProblemKey = (String, String);

impl Noted {
    fn of_host(kind: EventKind, host: &HostName, message: String) -> Command {
        Command::Note(Self {
            kind,
            project: None,
            object: host.to_string(),
            host: Some(host.clone()),
            revision: None,
            code: String::new(),
            message,
        })
    }
}

impl Core {
    /// A host's agent attached: for the first time, or after it was said to be away.
    pub(super) fn note_attached(&mut self, host: &HostName, out: &mut Vec<Command>) {
        if let Some(state) = self.hosts.get_mut(host)
            && !std::mem::replace(&mut state.noted_attached, true)
        {
            Self::note_host(host, true, out);
        }
    }

    /// Hosts whose agents are away for longer than it takes one to attach again, here or as one that obeys another controller.
    pub(super) fn note_away(&mut self, now: Instant, out: &mut Vec<Command>) {
        for (host, state) in &mut self.hosts {
            let away = |since: Instant| now.duration_since(since) >= AWAY_GRACE;
            if state.noted_attached && state.away_since.is_some_and(away) {
                state.noted_attached = false;
                Self::note_host(host, false, out);
            }
        }
    }

    /// A host's agent attached, or went away.
    pub(super) fn note_host(host: &HostName, attached: bool, out: &mut Vec<Command>) {
        let (kind, message) = match attached {
            true => (EventKind::HostAttached, format!("{host} is attached")),
            false => (
                EventKind::HostAway,
                format!("{host} is away; it forwards as it was told last"),
            ),
        };
        out.push(Noted::of_host(kind, host, message));
    }

    /// A host has a device for a port that it does not get.
    pub(super) fn note_refusal(
        &self,
        port: &PortName,
        host: &HostName,
        reason: &str,
        out: &mut Vec<Command>,
    ) {
        out.push(Command::Note(Noted {
            kind: EventKind::ClaimRefused,
            project: Some(port.project.clone()),
            object: port.to_string(),
            host: Some(host.clone()),
            revision: None,
            code: "claim-refused".to_owned(),
            message: format!("{host} does not get {port}: {reason}"),
        }));
    }

    /// What a host cannot do now, and what it could not do before.
    pub(super) fn note_problems(
        &self,
        host: &HostName,
        before: &BTreeSet<ProblemKey>,
        now: &[ReportedProblem],
        out: &mut Vec<Command>,
    ) {
        let note = |kind, code: &str, object: &str, message| {
            Command::Note(Noted {
                kind,
                project: self.project_of(object),
                object: object.to_owned(),
                host: Some(host.clone()),
                revision: None,
                code: code.to_owned(),
                message,
            })
        };
        let began = now.iter().filter(|it| !before.contains(&key(it)));
        out.extend(began.map(|it| {
            let message = format!("{}: {}", it.object, it.reason);
            let kind = match is_guards(&it.code) {
                true => EventKind::GuardBegan,
                false => EventKind::ProblemBegan,
            };
            note(kind, &it.code, &it.object, message)
        }));
        let now: BTreeSet<ProblemKey> = now.iter().map(key).collect();
        out.extend(before.difference(&now).map(|(code, object)| {
            let (kind, message) = match is_guards(code) {
                true if code == PORT_SHUT => (
                    EventKind::GuardEnded,
                    format!("{object} is open again on {host}"),
                ),
                true => (
                    EventKind::GuardEnded,
                    format!("{object}: its guard `{code}` on {host} drops nothing any more"),
                ),
                false => (
                    EventKind::ProblemEnded,
                    format!("{object} does not have {code} on {host} any more"),
                ),
            };
            note(kind, code, object, message)
        }));
    }

    /// The project of what a host calls by its full name.
    fn project_of(&self, object: &str) -> Option<Name> {
        let name: PortName = object.parse().ok()?;
        let known = self.intent.ports.contains_key(&name)
            || self.intent.networks.contains_key(&name)
            || self.intent.routers.contains_key(&name);
        known.then_some(name.project)
    }

    /// Ports that are elsewhere after these changes. Before the changes are taken in.
    pub(super) fn note_ports(
        &self,
        revision: Revision,
        changes: &[Change],
        out: &mut Vec<Command>,
    ) {
        // A port that is deleted loses its binding in the same revision.
        let mut places: BTreeMap<&PortName, Option<&HostName>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::PutBinding { port, binding } => {
                    places.insert(port, binding.host.as_ref());
                }
                Change::DeleteBinding { port } | Change::DeletePort { name: port } => {
                    places.insert(port, None);
                }
                _ => {}
            }
        }
        for (port, after) in places {
            let binding = self.intent.bindings.get(port);
            let before = binding.and_then(|binding| binding.host.as_ref());
            let (kind, host, message) = match (before, after) {
                (None, Some(host)) => {
                    let message = format!("{port} is plugged in on {host}");
                    (EventKind::PortPlugged, host, message)
                }
                (Some(old), Some(host)) if old != host => {
                    let message = format!("{port} is on {host} now; it was on {old}");
                    (EventKind::PortMoved, host, message)
                }
                (Some(host), None) => {
                    let message = format!("{port} is not on {host} any more");
                    (EventKind::PortUnplugged, host, message)
                }
                _ => continue,
            };
            out.push(Command::Note(Noted {
                kind,
                project: Some(port.project.clone()),
                object: port.to_string(),
                host: Some(host.clone()),
                revision: Some(revision),
                code: String::new(),
                message,
            }));
        }
    }

    /// Somebody changed something.
    pub(super) fn note_record(revision: Revision, record: &Record, out: &mut Vec<Command>) {
        let head = &record.head;
        let [created, changed, deleted] = head.counts;
        let about = head.project.as_ref();
        let about = about.map(|it| format!(" of {it}")).unwrap_or_default();
        let reason = match head.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        out.push(Command::Note(Noted {
            kind: EventKind::RevisionStored,
            project: head.project.clone(),
            object: String::new(),
            host: None,
            revision: Some(revision),
            code: String::new(),
            message: format!(
                "{}{about} by {}: {created} created, {changed} changed, {deleted} deleted{reason}",
                head.deed.name(),
                head.author
            ),
        }));
    }
}

/// The problem of a port that a guard has shut.
const PORT_SHUT: &str = DropReason::PortShut.name();

/// Whether it is what a guard does: no work that a host could not do.
fn is_guards(code: &str) -> bool {
    code == PORT_SHUT || drops(code)
}

/// Whether guards drop frames for this reason. How things are does not depend on it: VMs send what they like.
pub(crate) fn drops(code: &str) -> bool {
    DropReason::named(code).is_some_and(|reason| DropReason::GUARDS.contains(&reason))
}

/// What makes two reports the same problem.
pub(super) fn key(problem: &ReportedProblem) -> ProblemKey {
    (problem.code.clone(), problem.object.clone())
}
