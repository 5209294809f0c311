//! How a write was submitted: who asks, why, and on which conditions.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coax_store::Revision;

use crate::audit::Recording;
use crate::history::RepeatKey;

/// Who asks for a change, why, and on which conditions.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// Who asks.
    pub author: String,
    /// What the audit log is to say of it.
    pub recording: Option<Recording>,
    /// Why, in the author's words.
    pub reason: String,
    /// What must be so for the change to happen.
    pub condition: Condition,
    /// Makes the request known if it comes again.
    pub repeat: Option<RepeatKey>,
    /// Whether the change is to be confirmed.
    pub confirm: Confirm,
    /// Whether it is to happen although checks fail after it.
    pub ignore_checks: bool,
}

/// What must be so for a change to happen: RFC 9110, section 13.1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// The object's revision is one of these.
    Match(Vec<Revision>),
    /// The object exists.
    Exists,
    /// There is no such object.
    Absent,
}

impl Condition {
    /// Whether it holds for an object of this revision; `None`: there is none.
    pub fn holds(&self, revision: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::Match(wanted) => revision.is_some_and(|revision| wanted.contains(&revision)),
            Self::Exists => revision.is_some(),
            Self::Absent => revision.is_none(),
        }
    }
}

/// Whether a change is to be confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confirm {
    /// It holds.
    #[default]
    No,
    /// It is taken back unless it is confirmed within this time.
    Within(Duration),
    /// It holds, and so does what was to be confirmed.
    Now,
}

/// The time of day, without a clock: what it was at some instant, and how long ago that is. A clock
/// that is set while the controller runs changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    milliseconds: u64,
    at: Instant,
}

impl Clock {
    /// It is `wall` at the instant `at`.
    pub fn new(wall: SystemTime, at: Instant) -> Self {
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            milliseconds: since.as_millis().try_into().unwrap_or(u64::MAX),
            at,
        }
    }

    /// The instant at which the clock was read.
    pub fn start(&self) -> Instant {
        self.at
    }

    /// Milliseconds since 1970.
    pub fn milliseconds(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).as_millis();
        self.milliseconds
            .saturating_add(passed.try_into().unwrap_or(u64::MAX))
    }
}
