//! What an agent measures of its own work since it started, and how full what it keeps is: the part of a
//! report that is for metrics.
//!
//! Invariant: everything here was counted or timed by the agent or its kernel. What was not measured is not
//! guessed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::DropCount;

/// How much of something there is, and how much there may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// What there is.
    pub entries: u64,
    /// What there may be.
    pub capacity: u64,
}

/// What the firewall decided so often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerdictCount {
    /// `allow`, `deny`, `reject`, `audit` or `drop`, as flows call it.
    pub verdict: String,
    /// How often.
    pub count: u64,
}

/// Frames of one network that went to several receivers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct FloodCount {
    /// Full name of the network; empty: networks that no port here counts for any more, when
    /// there were too many of them to keep apart.
    pub network: String,
    /// Unicast frames to an address that nobody has, on networks that flood them.
    pub unknown_unicast: u64,
    /// Broadcast and multicast frames.
    pub group: u64,
}

/// How long something took, counted by length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Durations {
    /// All of them together, in microseconds.
    pub microseconds: u64,
    /// How many took at most [`Self::BOUNDS`], each counted once; the last: longer than all.
    pub counts: Vec<u64>,
}

impl Durations {
    /// Where a length ends, in microseconds.
    pub const BOUNDS: [u64; 12] = [
        100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000,
    ];

    /// One more.
    pub fn observe(&mut self, duration: Duration) {
        let took = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.microseconds = self.microseconds.saturating_add(took);
        let place = Self::BOUNDS.partition_point(|bound| *bound < took);
        self.counts.resize(Self::BOUNDS.len() + 1, 0);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Everything that an agent measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Measures {
    /// Connections that the firewall follows.
    pub connections: Usage,
    /// Flows in the agent's memory of decisions.
    pub flows: Usage,
    /// Decisions of the firewall that the agent read.
    pub verdicts: Vec<VerdictCount>,
    /// Decisions that it could not read: there were too many.
    pub flow_records_lost: u64,
    /// Floods by network, of all ports that were here since the agent started.
    pub floods: Vec<FloodCount>,
    /// Drops of ports that have left and that the agent has forgotten. They are in no port's report.
    pub past_drops: Vec<DropCount>,
    /// How long it took to write each batch of rows.
    pub apply: Durations,
    /// For each port that came from another host, how long its frames waited for rows and program.
    pub migration_gap: Durations,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_once_where_it_ends() {
        let mut durations = Durations::default();
        for microseconds in [0, 100, 101, 2_500_000, 2_500_001] {
            durations.observe(Duration::from_micros(microseconds));
        }
        assert_eq!(durations.count(), 5);
        let at = |place: usize| durations.counts.get(place).copied();
        assert_eq!(
            [at(0), at(1), at(11), at(12), at(13)],
            [Some(2), Some(1), Some(1), Some(1), None]
        );
        assert_eq!(durations.microseconds, 5_000_202);
    }
}
