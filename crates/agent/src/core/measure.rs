//! What the core measures: how long ports that come from other hosts wait, and what its parts counted.

use std::collections::BTreeMap;

use coax_api::measure::Measures;
use coax_vswitch::Attachment;

use super::Core;
use crate::input::{Counted, Moment};

impl Core {
    /// A device of the port is here. If another host has the port, somebody waits for it.
    pub(super) fn note_arrival(&mut self, port: &str, now: Moment) {
        let own = &self.config.host;
        let mut networks = self.slices.networks_of(port);
        let elsewhere = networks.any(|network| {
            let member = self.slices.member(network, port);
            member.is_some_and(|member| !member.host.is_empty() && member.host != *own)
        });
        if elsewhere && self.listed && !self.is_served(port) {
            self.arrivals.entry(port.to_owned()).or_insert(now);
        }
    }

    /// A batch is done: ports whose rows and program are in place do not wait any more.
    pub(super) fn note_arrived(&mut self, now: Moment) {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        arrivals.retain(|port, since| {
            let waits = !self.is_served(port);
            if !waits {
                self.migration_gap.observe(now.saturating_sub(*since));
            }
            waits
        });
        self.arrivals = arrivals;
    }

    fn is_served(&self, port: &str) -> bool {
        self.claims.device_of(port).is_some_and(|device| {
            let attached = (device.ifindex, Attachment::Port);
            let mut rows = self.mirror.ports.keys();
            self.mirror.attached.contains(&attached)
                && rows.any(|key| key.ifindex == device.ifindex)
        })
    }

    /// The slots with what they count for.
    pub(super) fn slots_to_report(&self) -> Vec<Counted> {
        let rows = self.mirror.ports.values();
        let networks: BTreeMap<u32, u32> = rows.map(|row| (row.slot, row.network.0)).collect();
        let slots = self.slots.iter();
        slots
            .map(|(owner, slot)| Counted {
                slot,
                port: owner.port.clone(),
                network: networks
                    .get(&slot)
                    .and_then(|network| self.slices.get(*network))
                    .map(|slice| slice.full_name()),
            })
            .collect()
    }

    /// What was measured so far.
    pub(super) fn measures(&self) -> Measures {
        Measures {
            migration_gap: self.migration_gap.clone(),
            ..self.flows.measures()
        }
    }
}
