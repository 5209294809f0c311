//! Devices come, go and change: which of them is which port.

use super::Core;
use super::GRACE;
use super::reconcile::Subject;
use crate::claims::ClaimChange;
use crate::input::{Device, Moment};
use coax_vswitch::Attachment;

impl Core {
    pub(super) fn device_changed(&mut self, device: Device, now: Moment) {
        if self.config.uplinks.contains(&device.name) {
            self.dirty.insert(Subject::Devices);
        }
        let change = self.claims.update(device);
        self.claims_changed(change, now);
    }

    pub(super) fn device_gone(&mut self, ifindex: u32, now: Moment) {
        self.attached_now.remove(&(ifindex, Attachment::Port));
        self.attached_now.remove(&(ifindex, Attachment::Uplink));
        let change = self.claims.remove(ifindex);
        self.dirty.insert(Subject::Devices);
        self.claims_changed(change, now);
    }

    fn claims_changed(&mut self, change: ClaimChange, now: Moment) {
        for port in change.plugged.iter().chain(&change.unplugged) {
            // Before all devices are known, a new device says nothing new: see `devices_listed`.
            let networks = self.slices.networks_of(port);
            let networks: Vec<u32> = networks.filter(|_| self.listed).collect();
            for network in networks {
                if self.held_back.remove(&Subject::Network(network)) {
                    self.dirty.insert(Subject::Network(network));
                }
                self.touch_port(network, port);
            }
            self.dirty.insert(Subject::Devices);
        }
        for port in &change.plugged {
            let device = self.claims.device_of(port).map(|device| &device.name);
            tracing::info!(port, ?device, "plugged in");
            self.note_arrival(port, now);
        }
        for port in &change.unplugged {
            tracing::info!(port, "unplugged");
            self.arrivals.remove(port);
            self.hand_over_unplugged(port);
            self.refused.remove(port);
            self.without_slot.remove(port);
            self.slots.retire(port);
        }
        if !change.unplugged.is_empty() {
            // Its slot may serve a port that waits for one.
            let waiting = self.without_slot.iter();
            let networks = waiting.flat_map(|port| self.slices.networks_of(port));
            self.dirty.extend(networks.map(Subject::Network));
        }
    }

    /// All devices are known: now it is clear which ports are here.
    pub(super) fn devices_listed(&mut self, now: Moment) {
        if self.listed {
            return;
        }
        self.listed = true;
        self.resume_advertising(now);
        self.held_until = self.held_until.max(now + GRACE);
        self.session.start(now);
        let claimants: Vec<(String, u32)> = self
            .claims
            .claimants()
            .map(|(port, ifindex)| (port.to_owned(), ifindex))
            .collect();
        for (port, ifindex) in &claimants {
            let networks: Vec<u32> = self.slices.networks_of(port).collect();
            for network in networks {
                // The device that had the port before the start has it still.
                if self.adopt_slot(network, port, *ifindex) {
                    self.claims.prefer(*ifindex);
                }
            }
        }
        let gone: Vec<String> = self
            .slots
            .iter()
            .filter(|(owner, _)| self.claims.device_of(&owner.port).is_none())
            .map(|(owner, _)| owner.port.clone())
            .collect();
        for port in gone {
            self.slots.retire(&port);
        }
        let as_in_rows = |subject: &Subject| match subject {
            Subject::Network(network) => self.local_ports_are_as_in_rows(*network),
            _ => true,
        };
        let held = self.held_back.iter().copied();
        let moved: Vec<Subject> = held.filter(|subject| !as_in_rows(subject)).collect();
        for subject in moved {
            self.held_back.remove(&subject);
            self.urgent.insert(subject);
        }
    }
}
