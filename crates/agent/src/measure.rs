//! What the plane's thread measures: how long batches take, and what was counted in slots that serve other ports now or
//! nobody, so that sums over a host's slots only ever grow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use coax_api::DropCount;
use coax_api::measure::{Durations, FloodCount, Measures, Usage};
use coax_tables::DropReason;
use coax_vswitch::{DataPlane, DataPlaneError, SlotCounters};

use crate::execute::execute;
use crate::input::{Batch, Failure, ReportRequest, Step};

/// Networks whose past floods are kept apart. When there are more, those for which no slot counts any more become one
/// without a name.
const MOST_PAST: usize = 1024;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Measuring {
    apply: Durations,
    /// The slots that were reported since they were last set to zero, with the network that each counted for.
    reported: BTreeMap<u32, Option<String>>,
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
        add_drops(&mut self.past_drops, counters);
        let network = self.reported.remove(&slot).flatten();
        if let Some(network) = network.filter(|_| counters.counters.flooded > 0) {
            add_floods(&mut self.past_floods, &network, counters);
            self.bound_floods();
        }
    }

    fn bound_floods(&mut self) {
        if self.past_floods.len() <= MOST_PAST {
            return;
        }
        let present: BTreeSet<&String> = self.reported.values().flatten().collect();
        let mut others = no_floods("");
        self.past_floods.retain(|network, floods| {
            let stays = present.contains(network);
            if !stays {
                others.unknown_unicast += floods.unknown_unicast;
                others.group += floods.group;
            }
            stays
        });
        self.past_floods.insert(String::new(), others);
    }

    /// Completes what the core measured. `counters`: of every slot of the request.
    pub(crate) fn complete(
        &mut self,
        plane: &dyn DataPlane,
        request: &ReportRequest,
        counters: &[SlotCounters],
    ) -> Result<Measures, DataPlaneError> {
        let (mut drops, mut floods) = (self.past_drops.clone(), self.past_floods.clone());
        for (counted, counters) in request.slots.iter().zip(counters) {
            let network = self.reported.entry(counted.slot).or_default();
            if counted.network.is_some() {
                network.clone_from(&counted.network);
            }
            if let Some(network) = network {
                add_floods(&mut floods, network, counters);
            }
        }
        // Ports that left so long ago that the core has forgotten them, while nobody else has their slots yet.
        let asked: BTreeSet<u32> = request.slots.iter().map(|counted| counted.slot).collect();
        let reported = self.reported.iter();
        for (slot, network) in reported.filter(|(slot, _)| !asked.contains(slot)) {
            let counters = plane.counters(*slot)?;
            add_drops(&mut drops, &counters);
            if let Some(network) = network {
                add_floods(&mut floods, network, &counters);
            }
        }
        let drops = drops.into_iter().map(|(reason, count)| DropCount {
            reason: reason.name().to_owned(),
            count,
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

fn add_drops(drops: &mut BTreeMap<DropReason, u64>, slot: &SlotCounters) {
    for (reason, count) in &slot.drops {
        *drops.entry(*reason).or_insert(0) += count;
    }
}

fn no_floods(network: &str) -> FloodCount {
    FloodCount {
        network: network.to_owned(),
        unknown_unicast: 0,
        group: 0,
    }
}

fn add_floods(floods: &mut BTreeMap<String, FloodCount>, network: &str, slot: &SlotCounters) {
    let sum = floods.entry(network.to_owned());
    let sum = sum.or_insert_with(|| no_floods(network));
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
        request_for(vec![Counted {
            slot: 3,
            port: "shop/web-1".into(),
            network: network.map(str::to_owned),
        }])
    }

    fn request_for(slots: Vec<Counted>) -> ReportRequest {
        ReportRequest {
            request_id: 1,
            slots,
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

    fn counters(flooded: u64, dropped: u64) -> SlotCounters {
        SlotCounters {
            counters: Counters {
                flooded,
                ..Counters::default()
            },
            drops: vec![(DropReason::Storm, dropped)],
        }
    }

    fn reset(number: u64) -> Batch {
        Batch {
            number,
            steps: vec![Step::ResetCounters(3)],
        }
    }

    #[test]
    fn a_slot_that_was_forgotten_stays_in_the_sums_until_another_port_has_it() {
        for network in [Some("shop/web"), None] {
            let mut plane = MemoryDataPlane::new();
            let mut measuring = Measuring::default();
            plane.set_counters(3, counters(9, 4));
            let complete = |measuring: &mut Measuring, plane: &MemoryDataPlane, asks| {
                let request: ReportRequest = asks;
                let slots = request.slots.iter();
                let counters = slots.map(|it| plane.counters(it.slot).unwrap());
                let counters: Vec<_> = counters.collect();
                let measures = measuring.complete(plane, &request, &counters).unwrap();
                let of_ports = counters.iter().flat_map(|it| &it.drops);
                let drops: u64 = of_ports.map(|(_, count)| count).sum();
                let past: u64 = measures.past_drops.iter().map(|it| it.count).sum();
                let floods: u64 = measures.floods.iter().map(|it| it.group).sum();
                (drops + past, floods)
            };
            let sums = (4, if network.is_some() { 9 } else { 0 });
            let (named, nobody) = (request(network), request_for(Vec::new()));
            assert_eq!(complete(&mut measuring, &plane, named.clone()), sums);
            assert_eq!(complete(&mut measuring, &plane, nobody.clone()), sums);
            measuring.execute(&mut plane, &reset(1));
            assert_eq!(complete(&mut measuring, &plane, nobody), sums);
            assert_eq!(complete(&mut measuring, &plane, named), sums);
        }
    }

    #[test]
    fn networks_that_come_and_go_take_no_more_than_their_places() {
        let mut plane = MemoryDataPlane::new();
        let mut measuring = Measuring::default();
        let number = 3 * MOST_PAST as u64;
        for network in 0..number {
            plane.set_counters(3, counters(1, 0));
            let request = request(Some(&format!("shop/{network}")));
            measuring
                .complete(&plane, &request, &[counters(1, 0)])
                .unwrap();
            measuring.execute(&mut plane, &reset(network));
        }
        assert!(measuring.past_floods.len() <= MOST_PAST);
        let past = measuring.past_floods.values();
        assert_eq!(past.map(|it| it.group).sum::<u64>(), number);
        // A network without floods takes none.
        let names = measuring.past_floods.len();
        plane.set_counters(3, counters(0, 0));
        let quiet = request(Some("shop/quiet"));
        measuring
            .complete(&plane, &quiet, &[counters(0, 0)])
            .unwrap();
        measuring.execute(&mut plane, &reset(number));
        assert_eq!(measuring.past_floods.len(), names);
    }
}
