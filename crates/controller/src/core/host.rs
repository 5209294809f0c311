//! What the core knows of one host and of one stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use coax_api::ReportedProblem;
use coax_api::agent::SliceKind;
use coax_api::sequence::{Receiver, Sender};
use coax_model::{HostName, PortName};
use coax_store::Revision;

use super::events::ProblemKey;
use super::message::SessionId;

/// A device that a host has for a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its number.
    pub ifindex: u32,
}

/// One host, attached or not.
#[derive(Debug)]
pub struct HostState {
    /// Its stream, if it is attached.
    pub session: Option<SessionId>,
    /// Whether another controller tells it what to do: then it is heard and asked here, and nothing else.
    pub standby: bool,
    /// The revision that it wants to know to have.
    pub asked_for: Option<Revision>,
    /// Whether it said which ports it has; from then on it is sent what it needs.
    pub ready: bool,
    /// Whether it was attached to this run of the controller.
    pub heard: bool,
    /// Whether people were told that it is attached, and not that it is away since.
    pub noted_attached: bool,
    /// Since when it is not attached.
    pub away_since: Option<Instant>,
    /// Version of its agent.
    pub version: String,
    /// What it must have: the revision that last changed something that it needs.
    pub owed: Revision,
    /// What it has.
    pub realised: Revision,
    /// What it could not do, as of `realised`.
    pub problems: Vec<ReportedProblem>,
    /// The problems that were told of, also while it is not attached: what lasts is told once.
    pub noted: BTreeSet<ProblemKey>,
    /// Until it is ready: the slices that it said to hold; revision 0: of another generation.
    pub have: BTreeMap<(SliceKind, u32), Revision>,
    /// The devices that it has, as far as it said so.
    pub claims: BTreeMap<PortName, Device>,
}

impl HostState {
    /// A host that is not attached and must get everything up to `owed`.
    pub fn away(since: Instant, owed: Revision) -> Self {
        Self {
            session: None,
            standby: false,
            asked_for: None,
            ready: false,
            heard: false,
            noted_attached: false,
            away_since: Some(since),
            version: String::new(),
            owed,
            realised: 0,
            problems: Vec::new(),
            noted: BTreeSet::new(),
            have: BTreeMap::new(),
            claims: BTreeMap::new(),
        }
    }

    /// Whether it is attached, and told what to do by this controller.
    pub fn is_obedient(&self) -> bool {
        self.session.is_some() && !self.standby
    }

    /// Whether it has everything that it needs of `revision` and earlier.
    pub fn has(&self, revision: Revision) -> bool {
        self.realised >= self.owed.min(revision)
    }

    /// Whether it has everything that it needs.
    pub fn is_current(&self) -> bool {
        self.realised >= self.owed
    }
}

/// One stream, from its Hello on.
#[derive(Debug)]
pub struct Session {
    /// Whose it is.
    pub host: HostName,
    /// Numbers what comes.
    pub receiver: Receiver,
    /// Numbers what goes.
    pub sender: Sender,
    /// When something came last.
    pub heard: Instant,
    /// When a sign of life was asked for last.
    pub asked: Instant,
}
