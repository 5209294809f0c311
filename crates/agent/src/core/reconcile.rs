//! From what should be to steps, one subject at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coax_compile::rows::router::routes;
use coax_compile::rows::{self, LocalPort};
use coax_tables::{NetworkId, PortKey};
use coax_vswitch::{Attachment, Row, RowKey, RowOperation};

use super::Core;
use crate::desired::host_row;
use crate::input::{Batch, Command, Failure, Moment, Step, StepError};
use crate::plan::{plan, plan_routes};
use crate::slots::Owner;

/// First pause before failed steps are tried again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest pause between tries.
const LONGEST_RETRY: Duration = Duration::from_secs(32);

/// What a batch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The host's own row.
    Host,
    /// The policy of a project: before the networks whose ports obey it.
    Policy(u32),
    /// Rows of a few members of a network, see [`super::touched`].
    Members(u32),
    /// The rows of one network and its ports.
    Network(u32),
    /// The routes of one router: after the networks that they lead into.
    Router(u32),
    /// Programs on uplinks, and what is left of devices that are gone.
    Devices,
    /// Rows of policies that nothing refers to any more.
    Leftovers,
}

/// Steps of a subject that could not be done.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    /// How many steps failed for which reason.
    pub(super) reasons: BTreeMap<String, usize>,
    /// When they are tried again, unless that is under way.
    pub(super) retry_at: Option<Moment>,
    attempts: u32,
}

impl Core {
    /// Hands the next batch out, unless one is being worked on.
    pub(super) fn flush(&mut self) {
        while self.listed && self.in_flight.is_none() {
            let Some(subject) = self.urgent.pop_first().or_else(|| self.dirty.pop_first()) else {
                return;
            };
            self.dirty.remove(&subject);
            let steps = match subject {
                Subject::Host => self.host_steps(),
                Subject::Members(network) => self.member_steps(network),
                Subject::Network(network) => self.network_steps(network),
                Subject::Router(number) => self.router_steps(number),
                Subject::Policy(number) => self.policy_steps(number),
                Subject::Leftovers => self.leftover_steps(),
                Subject::Devices => self.device_steps(),
            };
            if steps.is_empty() {
                self.failing.remove(&subject);
                continue;
            }
            self.batches += 1;
            let batch = Batch {
                number: self.batches,
                steps,
            };
            self.in_flight = Some((subject, batch.clone()));
            self.commands.push(Command::Apply(batch));
        }
    }

    /// True if everything that is known is in the maps, as far as it can be.
    pub(super) fn is_settled(&self) -> bool {
        self.listed && self.in_flight.is_none() && self.urgent.is_empty() && self.dirty.is_empty()
    }

    pub(super) fn applied(&mut self, number: u64, failures: &[Failure], now: Moment) {
        let Some((subject, batch)) = self.in_flight.take() else {
            return;
        };
        if batch.number != number {
            self.in_flight = Some((subject, batch));
            return;
        }
        let failed: BTreeMap<usize, &StepError> = failures
            .iter()
            .map(|failure| (failure.step, &failure.error))
            .collect();
        for (index, step) in batch.steps.iter().enumerate() {
            if !failed.contains_key(&index) {
                self.note_done(step, now);
            }
        }
        self.note_arrived(now);
        self.policies_applied(subject, failed.is_empty(), now);
        if let Subject::Members(network) = subject {
            // What the short way cannot do, the long way tries again, and reports.
            if !failed.is_empty() {
                self.dirty.insert(Subject::Network(network));
            }
            return;
        }
        let mut reasons = BTreeMap::new();
        for error in failed.values() {
            match error {
                // Netlink tells of the end of the device, too, and that is handled there.
                StepError::NoDevice { .. } | StepError::Skipped => {}
                other => *reasons.entry(other.to_string()).or_insert(0) += 1,
            }
        }
        if reasons.is_empty() {
            self.failing.remove(&subject);
            return;
        }
        let attempts = self
            .failing
            .get(&subject)
            .map_or(0, |failing| failing.attempts)
            + 1;
        let pause = FIRST_RETRY * 2u32.pow((attempts - 1).min(10));
        let retry_at = Some(now + pause.min(LONGEST_RETRY));
        for (reason, steps) in &reasons {
            tracing::error!(
                steps,
                reason,
                "the data plane could not be brought up to date"
            );
        }
        self.failing.insert(
            subject,
            Failing {
                reasons,
                retry_at,
                attempts,
            },
        );
        if attempts == 1 {
            // What the same batch removed may have made room.
            self.dirty.insert(subject);
        }
    }

    fn note_done(&mut self, step: &Step, now: Moment) {
        match step {
            Step::Row(
                RowOperation::Delete(RowKey::Port(key)) | RowOperation::Put(Row::Port(key, _)),
            ) => {
                self.services.changed.insert(*key);
                // The row that goes names a slot nobody else knew of.
                if let Some(row) = self.mirror.ports.get(key) {
                    self.slots.release(row.slot);
                }
            }
            Step::Attach(ifindex, side) => drop(self.attached_now.insert((*ifindex, *side))),
            Step::Detach(ifindex, side) => drop(self.attached_now.remove(&(*ifindex, *side))),
            Step::ForgetRule(rule) => self.policies.release_rule(*rule, now),
            Step::Row(_) | Step::ResetCounters(_) => {}
        }
        self.mirror.note(step);
    }

    fn host_steps(&self) -> Vec<Step> {
        let row = host_row(&self.config);
        if self.mirror.host == row {
            return Vec::new();
        }
        vec![Step::Row(RowOperation::Put(Row::Host(row)))]
    }

    fn network_steps(&mut self, network: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        let locals = self.local_ports(&mut steps, network, |_| true);
        self.touched.remove(&network);
        let desired = match self.slices.get(network) {
            Some(slice) => rows::network(slice, &self.here_in(slice), &locals),
            None => rows::NetworkRows::default(),
        };
        let plan = plan(&self.mirror, NetworkId(network), &desired);
        steps.extend(plan.make.into_iter().map(Step::Row));
        let ports = desired
            .ports
            .keys()
            .map(|key| (key.ifindex, Attachment::Port));
        let new = ports.filter(|device| !self.attached_now.contains(device));
        steps.extend(new.map(|(ifindex, side)| Step::Attach(ifindex, side)));
        steps.extend(plan.break_.into_iter().map(Step::Row));
        steps.extend(self.forget_learned(network, &desired));
        let problems: Vec<String> = desired.problems.iter().map(ToString::to_string).collect();
        match problems.is_empty() {
            true => drop(self.row_problems.remove(&network)),
            false => drop(self.row_problems.insert(network, problems)),
        }
        steps
    }

    /// Rows that the data plane may have noted by itself and that are not its to note any more. The agent does not see them
    /// come, so they go unseen, too.
    fn forget_learned(&mut self, network: u32, desired: &rows::NetworkRows) -> Vec<Step> {
        let before = match desired.learnable.is_empty() {
            true => self.learnable.remove(&network),
            false => self.learnable.insert(network, desired.learnable.clone()),
        };
        let gone = before.into_iter().flatten();
        let gone =
            gone.filter(|key| !desired.learnable.contains(key) && !desired.macs.contains_key(key));
        gone.map(|key| Step::Row(RowOperation::Delete(RowKey::Mac(key))))
            .collect()
    }

    fn router_steps(&self, number: u32) -> Vec<Step> {
        let desired = match self.slices.router(number) {
            Some(slice) => routes(slice),
            // The routes of a network that is its own router come and go with it.
            None if self.slices.get(number).is_some() => return Vec::new(),
            None => BTreeMap::new(),
        };
        let plan = plan_routes(&self.mirror, number, &desired);
        let operations = plan.make.into_iter().chain(plan.break_);
        operations.map(Step::Row).collect()
    }

    /// The devices on this host that are ports of a network and wanted, each with its slot.
    pub(super) fn local_ports(
        &mut self,
        steps: &mut Vec<Step>,
        network: u32,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<LocalPort> {
        let claimed = self.claims.iter();
        let claimed = claimed.filter(|(port, _)| wanted(port) && !self.refused.contains_key(*port));
        let mut locals: Vec<(LocalPort, Owner)> = claimed
            .filter_map(|(port, device)| {
                let member = self.slices.member(network, port)?;
                let local = LocalPort {
                    port: port.to_owned(),
                    ifindex: device.ifindex,
                    slot: 0,
                    peer_redirect: device.veth_into_namespace && !self.captured.contains_key(port),
                };
                Some((local, Owner::new(port, member.vlan)))
            })
            .collect();
        locals.retain_mut(|(local, owner)| {
            self.adopt_slot(network, &local.port, local.ifindex);
            let Some((slot, from_zero)) = self.slots.assign(owner) else {
                self.without_slot.insert(local.port.clone());
                return false;
            };
            self.without_slot.remove(&local.port);
            local.slot = slot;
            if from_zero {
                steps.push(Step::ResetCounters(slot));
            }
            true
        });
        locals.into_iter().map(|(local, _)| local).collect()
    }

    /// A port row that is there says which slot the port has in a network. True if there is one.
    pub(super) fn adopt_slot(&mut self, network: u32, port: &str, ifindex: u32) -> bool {
        let Some(member) = self.slices.member(network, port) else {
            return false;
        };
        let vlan = member.vlan;
        let Some(row) = self.mirror.ports.get(&PortKey { ifindex, vlan }) else {
            return false;
        };
        let fits = row.network == NetworkId(network) && member.mac == row.mac.0;
        if fits {
            self.slots.adopt(&Owner::new(port, vlan), row.slot);
        }
        fits
    }

    /// True if the ports of a network that have a device here are exactly those that have a port row.
    pub(super) fn local_ports_are_as_in_rows(&self, network: u32) -> bool {
        let Some(slice) = self.slices.get(network) else {
            return true;
        };
        let claimed = self.claims.iter().filter_map(|(port, device)| {
            let member = slice.member(port)?;
            let (ifindex, vlan) = (device.ifindex, member.vlan);
            Some((PortKey { ifindex, vlan }, member.mac.as_slice()))
        });
        let claimed: BTreeMap<PortKey, &[u8]> = claimed.collect();
        let rows = self.mirror.ports_of(NetworkId(network));
        rows.map(|(key, row)| (key, row.mac.0.as_slice()))
            .eq(claimed.iter().map(|(key, mac)| (key, *mac)))
    }

    fn device_steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.devices_wait {
            return steps;
        }
        let uplinks: Vec<u32> = self.uplink_devices().map(|device| device.ifindex).collect();
        for uplink in &uplinks {
            if !self.attached_now.contains(&(*uplink, Attachment::Uplink)) {
                steps.push(Step::Attach(*uplink, Attachment::Uplink));
            }
        }
        for key in self.mirror.ports.keys() {
            if !self.claims.holds_port(key.ifindex) {
                steps.push(Step::Row(RowOperation::Delete(RowKey::Port(*key))));
            }
        }
        let held = self.mirror.ports.iter();
        let kept = held.filter(|(key, _)| self.claims.holds_port(key.ifindex));
        let slots: BTreeSet<u32> = kept.map(|(_, row)| row.slot).collect();
        for (slot, sources) in &self.mirror.sources {
            if !slots.contains(slot) {
                let deletes = sources
                    .keys()
                    .map(|key| RowOperation::Delete(RowKey::Source(*key)));
                steps.extend(deletes.map(Step::Row));
            }
        }
        for (ifindex, side) in &self.mirror.attached {
            let wanted = match side {
                Attachment::Uplink => uplinks.contains(ifindex),
                Attachment::Port => self.claims.holds_port(*ifindex),
            };
            if !wanted {
                steps.push(Step::Detach(*ifindex, *side));
            }
        }
        steps
    }

    pub(super) fn uplink_devices(&self) -> impl Iterator<Item = &crate::input::Device> {
        self.config
            .uplinks
            .iter()
            .filter_map(|name| self.claims.device_named(name))
    }

    /// The smallest MTU of the uplinks: what the fabric carries from here.
    pub(super) fn underlay_mtu(&self) -> u32 {
        self.uplink_devices()
            .map(|device| device.mtu)
            .min()
            .unwrap_or(0)
    }
}
