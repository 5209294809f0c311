//! What the plane's thread measures: how long batches take, and what was counted in slots that serve other ports now, so
//! that sums over a host's slots only ever grow.

use std::collections::BTreeMap;
use std::time::Instant;

use coax_api::DropCount;
use coax_api::measure::{Durations, FloodCount, Measures, Usage};
use coax_tables::DropReason;
use coax_vswitch::{DataPlane, DataPlaneError, SlotCounters};

use crate::execute::execute;
use crate::input::{Batch, Failure, ReportRequest, Step};

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Measuring {
    apply: Durations,
    /// The network that a slot counted for when it was last reported.
    networks: BTreeMap<u32, String>,
    past_drops: BTreeMap<DropReason, u64>,
    past_floods: BTreeMap<String, FloodCount>,
}

impl Measuring {
    /// Carries out a batch, and notes how long that took.
    pub(crate) fn execute(&mut self, plane: &mut dyn DataPlane, batch: &Batch) -> Vec<Failure> {
        let resets = batch.steps.iter().enumerate();
        let resets = resets.filter_map(|(index, step)| match step {
            // What cannot be read cannot be remembered.
            Step::ResetCounters(slot) => Some((index, *slot, plane.counters(*slot).ok()?)),
            _ => None,
        });
        let resets: Vec<_> = resets.collect();
        let started = Instant::now();
        let failures = execute(plane, batch);
        self.apply.observe(started.elapsed());
        for (index, slot, counters) in resets {
            if failures.iter().all(|failure| failure.step != index) {
                self.remember(slot, &counters);
            }
        }
        failures
    }

    fn remember(&mut self, slot: u32, counters: &SlotCounters) {
        for (reason, count) in &counters.drops {
            *self.past_drops.entry(*reason).or_insert(0) += count;
        }
        if let Some(network) = self.networks.remove(&slot) {
            add(&mut self.past_floods, &network, counters);
        }
    }

    /// Completes what the core measured. `counters`: of every slot of the request.
    pub(crate) fn complete(
        &mut self,
        plane: &dyn DataPlane,
        request: &ReportRequest,
        counters: &[SlotCounters],
    ) -> Result<Measures, DataPlaneError> {
        let mut floods = self.past_floods.clone();
        for (counted, counters) in request.slots.iter().zip(counters) {
            if let Some(network) = &counted.network {
                self.networks.insert(counted.slot, network.clone());
            }
            if let Some(network) = self.networks.get(&counted.slot) {
                add(&mut floods, network, counters);
            }
        }
        let drops = self.past_drops.iter().map(|(reason, count)| DropCount {
            reason: reason.name().to_owned(),
            count: *count,
        });
        let (entries, capacity) = plane.connections_used()?;
        Ok(Measures {
            connections: Usage { entries, capacity },
            floods: floods.into_values().collect(),
            past_drops: drops.collect(),
            apply: self.apply.clone(),
            ..(*request.measures).clone()
        })
    }
}

fn add(floods: &mut BTreeMap<String, FloodCount>, network: &str, slot: &SlotCounters) {
    let sum = floods
        .entry(network.to_owned())
        .or_insert_with(|| FloodCount {
            network: network.to_owned(),
            unknown_unicast: 0,
            group: 0,
        });
    let counters = &slot.counters;
    sum.unknown_unicast += counters.unknown_unicast;
    sum.group += counters.flooded.saturating_sub(counters.unknown_unicast);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use coax_tables::Counters;
    use coax_vswitch::MemoryDataPlane;

    use super::*;
    use crate::input::Counted;

    fn request(network: Option<&str>) -> ReportRequest {
        ReportRequest {
            request_id: 1,
            slots: vec![Counted {
                slot: 3,
                port: "shop/web-1".into(),
                network: network.map(str::to_owned),
            }],
            revision: 1,
            problems: Vec::new(),
            requests: Vec::new(),
            rules: Vec::new(),
            measures: Box::default(),
        }
    }

    #[test]
    fn what_a_slot_counted_stays_in_the_sums_when_it_serves_another_port() {
        let mut plane = MemoryDataPlane::new();
        let mut measuring = Measuring::default();
        let counted = SlotCounters {
            counters: Counters {
                flooded: 9,
                unknown_unicast: 2,
                ..Counters::default()
            },
            drops: vec![(DropReason::Storm, 4)],
        };
        plane.set_counters(3, counted.clone());
        let now = measuring.complete(&plane, &request(Some("shop/web")), &[counted]);
        let floods = now.unwrap().floods;
        assert_eq!((floods[0].group, floods[0].unknown_unicast), (7, 2));

        let reset = Batch {
            number: 1,
            steps: vec![Step::ResetCounters(3)],
        };
        assert_eq!(measuring.execute(&mut plane, &reset), []);
        let empty = [plane.counters(3).unwrap()];
        assert_eq!(empty[0].drops, []);
        // The slot serves a port of another network, and is reset once more.
        let now = measuring.complete(&plane, &request(Some("shop/db")), &empty);
        let now = now.unwrap();
        let of = |name: &str| now.floods.iter().find(|it| it.network == name).unwrap();
        assert_eq!((of("shop/web").group, of("shop/db").group), (7, 0));
        assert_eq!(now.past_drops[0].count, 4);
        assert_eq!(now.apply.count(), 1);
        measuring.execute(&mut plane, &reset);
        let now = measuring.complete(&plane, &request(None), &empty).unwrap();
        assert_eq!(now.past_drops[0].count, 4);
    }
}
