//! Reads from the data plane what guards have done. It is asked every second, and a map is read once for each reason, so ports
//! that have sent nothing since the last time are not asked again what was dropped of it.

use std::collections::{BTreeMap, BTreeSet};

use coax_tables::DropReason;
use coax_vswitch::{DataPlane, DataPlaneError};
use nix::time::ClockId;

use crate::input::{GuardDrops, GuardsSeen, ShutPort};
use crate::plane::seconds;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct GuardReader {
    /// By slot: the frames that its port had sent, and what was dropped of them.
    known: BTreeMap<u32, (u64, Vec<(DropReason, u64)>)>,
}

impl GuardReader {
    /// Looks at the ports with these slots.
    pub(crate) fn read(&mut self, plane: &dyn DataPlane, slots: &[u32]) -> GuardsSeen {
        let now = seconds(ClockId::CLOCK_MONOTONIC);
        let clock = seconds(ClockId::CLOCK_REALTIME);
        let asked: BTreeSet<u32> = slots.iter().copied().collect();
        self.known.retain(|slot, _| asked.contains(slot));
        let mut seen = GuardsSeen {
            clock,
            ..GuardsSeen::default()
        };
        for slot in slots {
            match self.drops(plane, *slot) {
                Ok(counts) => seen.drops.push(GuardDrops {
                    slot: *slot,
                    counts,
                }),
                Err(error) => tracing::error!(slot, %error, "what guards drop cannot be read"),
            }
            match plane.shut(*slot) {
                Ok(row) => {
                    let left = u64::from(row.until).checked_sub(now);
                    seen.shut
                        .extend(left.filter(|left| *left > 0).map(|left| ShutPort {
                            slot: *slot,
                            row,
                            until_clock: clock + left,
                        }));
                }
                Err(error) => {
                    tracing::error!(slot, %error, "whether the port is shut cannot be read");
                }
            }
        }
        seen
    }

    fn drops(
        &mut self,
        plane: &dyn DataPlane,
        slot: u32,
    ) -> Result<Vec<(DropReason, u64)>, DataPlaneError> {
        let received = plane.received(slot)?;
        if let Some((_, counts)) = self
            .known
            .get(&slot)
            .filter(|(known, _)| *known == received)
        {
            return Ok(counts.clone());
        }
        let mut counts = Vec::new();
        for reason in DropReason::GUARDS {
            let count = plane.dropped(slot, *reason)?;
            if count > 0 {
                counts.push((*reason, count));
            }
        }
        self.known.insert(slot, (received, counts.clone()));
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use coax_tables::Counters;
    use coax_vswitch::{MemoryDataPlane, SlotCounters};

    use super::*;

    fn counters(received_frames: u64, drops: &[(DropReason, u64)]) -> SlotCounters {
        SlotCounters {
            counters: Counters {
                received_frames,
                ..Counters::default()
            },
            drops: drops.to_vec(),
        }
    }

    #[test]
    fn what_guards_drop_is_read_of_ports_that_have_sent_something() {
        let mut plane = MemoryDataPlane::new();
        let mut reader = GuardReader::default();
        let storm = (DropReason::Storm, 3);
        plane.set_counters(1, counters(10, &[storm, (DropReason::Denied, 7)]));
        let read = |reader: &mut GuardReader, plane: &MemoryDataPlane| {
            let drops = reader.read(plane, &[1, 2]).drops.into_iter();
            drops.map(|it| (it.slot, it.counts)).collect::<Vec<_>>()
        };
        let found = read(&mut reader, &plane);
        assert_eq!(found, [(1, vec![storm]), (2, vec![])]);
        let more = (DropReason::Storm, 5);
        plane.set_counters(1, counters(10, &[more]));
        assert_eq!(
            read(&mut reader, &plane),
            found,
            "nothing was received since"
        );
        plane.set_counters(1, counters(11, &[more]));
        assert_eq!(read(&mut reader, &plane)[0], (1, vec![more]));
    }
}
