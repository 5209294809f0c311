//! What happened: changes, hosts that come and go, ports that move, guards that have something to do, problems that begin and end.
//!
//! A controller keeps the last ones of its run. An event's id says of which run it is, so whoever comes back
//! after a restart is told that something is missing, instead of being told nothing.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// Somebody changed something; `coax show REVISION` says what.
    RevisionStored,
    /// A host's agent attached.
    HostAttached,
    /// A host's agent went away; the host forwards on.
    HostAway,
    /// A port has a host.
    PortPlugged,
    /// A port has another host than before.
    PortMoved,
    /// A port has no host any more.
    PortUnplugged,
    /// A host has a device for a port that is elsewhere.
    ClaimRefused,
    /// A guard drops what a port's VM sends, or has shut the port.
    GuardBegan,
    /// It has had nothing to do for a while.
    GuardEnded,
    /// A host reports a problem that it did not have before.
    ProblemBegan,
    /// A host does not have a problem any more.
    ProblemEnded,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::RevisionStored,
        Self::HostAttached,
        Self::HostAway,
        Self::PortPlugged,
        Self::PortMoved,
        Self::PortUnplugged,
        Self::ClaimRefused,
        Self::GuardBegan,
        Self::GuardEnded,
        Self::ProblemBegan,
        Self::ProblemEnded,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RevisionStored => "revision-stored",
            Self::HostAttached => "host-attached",
            Self::HostAway => "host-away",
            Self::PortPlugged => "port-plugged",
            Self::PortMoved => "port-moved",
            Self::PortUnplugged => "port-unplugged",
            Self::ClaimRefused => "claim-refused",
            Self::GuardBegan => "guard-began",
            Self::GuardEnded => "guard-ended",
            Self::ProblemBegan => "problem-began",
            Self::ProblemEnded => "problem-ended",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The controller's run and the event's number in it. What comes later has a higher number.
    pub id: String,
    /// When the controller noted it, in milliseconds since 1970.
    pub time: u64,
    /// What kind of thing.
    pub kind: EventKind,
    /// The project that it is about; empty: none.
    pub project: String,
    /// What it is about: the name of a host or table, the full name of a port or network; empty: a revision.
    pub object: String,
    /// The host where it happened; empty: at none.
    pub host: String,
    /// The revision with which it happened; none: it is not of what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Of problems and guards: the name that `coax explain` knows; otherwise empty.
    pub code: String,
    /// All of it in a sentence.
    pub message: String,
}

/// The last events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Events {
    /// The longest ago first.
    pub events: Vec<Event>,
    /// Events that the controller does not have any more, or not all of them: it started, or there were too many.
    pub incomplete: bool,
}

/// Events that somebody who follows them does not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostEvents {
    /// Why, in a sentence.
    pub reason: String,
}

/// What somebody who follows events is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventNews {
    /// Something happened.
    Event(Box<Event>),
    /// Some are missing here.
    Lost(LostEvents),
}

/// Which events a request is about. Values are separated by commas. What is not given is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Kinds of events, as in `port-moved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Names of hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Names of projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Only those after the one with this id. Browsers say it in the header `Last-Event-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only the last so many of those that happened already. Who follows without this and without `after` is told none of
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// Stay, and be told what happens from now on: server-sent events instead of a list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_called() {
        for kind in EventKind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
    }
}
