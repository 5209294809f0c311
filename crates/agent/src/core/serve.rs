//! DHCP, router solicitations and DNS: whose question it is, and what the responders say. And advertisements that nobody asked
//! for.
//!
//! All that is needed is in the slices, so questions are answered without a controller, from the first moment after a start
//! at which the cache is read.

use std::collections::BTreeSet;
use std::net::IpAddr;

use coax_compile::NetworkSlice;
use coax_model::GATEWAY_MAC;
use coax_services::{Asker, Network, Port, advertise, answer};
use coax_tables::{AddressKey, AddressRow, NetworkId, PortKey, PortRow};
use coax_vswitch::Punt;
use coax_wire::ip::mapped;

use super::Core;
use super::reconcile::Subject;
use crate::input::{Command, Moment};
use crate::questions::Question;
use crate::services::view::{self, Directory};

/// Advertisements at one time; the others have their turn at once afterwards.
const AT_ONCE: usize = 64;

impl Core {
    /// A port asked something.
    pub(super) fn punted(&mut self, punt: &Punt) {
        let Some(owner) = self.slots.owner(punt.slot) else {
            tracing::debug!(slot = punt.slot, "a question of a port that is not known");
            return;
        };
        let name = owner.port.clone();
        let network = punt.network.0;
        let reach = self.reach(network);
        for number in &reach {
            if let Some(slice) = self.slices.get(*number) {
                self.services.index(slice);
            }
        }
        let Some((port, settings)) = self.asker(&name, network, punt.vlan.into()) else {
            return;
        };
        let names = Directory {
            reach: reach
                .iter()
                .filter_map(|number| self.slices.get(*number))
                .collect(),
            services: &self.services,
        };
        let asker = Asker {
            port: &port,
            network: &settings,
            names: &names,
        };
        let answer = answer(&punt.frame, &asker);
        tracing::debug!(port = name, request = %answer.request, outcome = ?answer.outcome);
        self.services.count(&answer);
        let ifindex = punt.ifindex;
        let frame = answer.frame;
        self.commands
            .extend(frame.map(|frame| Command::SendToPort { ifindex, frame }));
    }

    /// Answers VMs that have asked for an address whose owner is known by now.
    pub(super) fn answer_late(&mut self, now: Moment) {
        let mirror = &self.mirror;
        let row = |question: &Question| {
            let held = mirror.network(question.network)?;
            Some((*held.addresses.get(&question.key())?, held.network?))
        };
        for question in self.questions.take(now, |it| row(it).is_some()) {
            let mut ports = mirror.ports_of(question.network);
            // Who has asked may be a port of another network by now.
            let port = ports.find(|(_, port)| port.slot == question.slot);
            if let (Some((owner, network)), Some((key, port))) = (row(&question), port) {
                let frame = question.answer((port.mac, key.vlan), owner, network);
                let ifindex = key.ifindex;
                let command = frame.map(|frame| Command::SendToPort { ifindex, frame });
                self.commands.extend(command);
            }
        }
    }

    /// The network, and those that the same router joins and whose slices are here.
    pub(super) fn reach(&self, network: u32) -> Vec<u32> {
        let own = self.params(network);
        let router = own.and_then(|own| self.slices.router(own.router));
        let joined = router.map_or(&[][..], |router| router.networks.as_slice());
        let of_project = joined.iter().copied().filter(|other| {
            *other != network
                && self.params(*other).map(|params| &params.project) == own.map(|own| &own.project)
        });
        std::iter::once(network).chain(of_project).collect()
    }

    fn params(&self, network: u32) -> Option<&coax_compile::NetworkParams> {
        self.slices.get(network)?.params.as_ref()
    }

    /// A port and its network as the responders see them.
    fn asker(&self, name: &str, network: u32, vlan: u32) -> Option<(Port, Network)> {
        let slice = self.slices.get(network)?;
        let port = view::port(slice.member(name)?, vlan)?;
        let is_gateway = |address| self.is_gateway(slice, address);
        let network = view::network(slice.params.as_ref()?, is_gateway)?;
        Some((port, network))
    }

    /// True if the data plane answers for this address.
    fn is_gateway(&self, slice: &NetworkSlice, address: IpAddr) -> bool {
        let network = NetworkId(slice.network_id);
        let address = match address {
            IpAddr::V4(address) => mapped(address.octets()),
            IpAddr::V6(address) => address.octets(),
        };
        let rows = self.mirror.network(network);
        let row = rows.and_then(|rows| rows.addresses.get(&AddressKey { address, network }));
        row.is_some_and(|row| row.has(AddressRow::ROUTER) && row.mac == GATEWAY_MAC)
    }

    /// The ports of networks that say something new of themselves are told, when the rows are in place.
    fn advertise_anew(&mut self) {
        let in_flight = self.in_flight.as_ref().map(|(subject, _)| *subject);
        let is_under_way = |network| {
            let subject = Subject::Network(network);
            in_flight == Some(subject)
                || self.dirty.contains(&subject)
                || self.urgent.contains(&subject)
                || self.held_back.contains(&subject)
        };
        let (wait, ready): (BTreeSet<u32>, BTreeSet<u32>) =
            std::mem::take(&mut self.services.stale)
                .into_iter()
                .partition(|network| is_under_way(*network));
        self.services.stale = wait;
        for network in ready {
            let ports = self.mirror.ports_of(NetworkId(network));
            self.services.changed.extend(ports.map(|(key, _)| *key));
        }
    }

    /// Ports that were there when the agent started are told in their own time.
    pub(super) fn resume_advertising(&mut self, now: Moment) {
        for (key, row) in &self.mirror.ports {
            if row.has(PortRow::DHCP_IPV6) {
                self.services.schedule.resume(*key, now);
            }
        }
    }

    /// Brings the schedule up to date, and sends what is due.
    pub(super) fn advertise(&mut self, now: Moment) {
        self.advertise_anew();
        for key in std::mem::take(&mut self.services.changed) {
            let row = self.mirror.ports.get(&key);
            if row.is_some_and(|row| row.has(PortRow::DHCP_IPV6)) {
                self.services.schedule.announce(key, now);
            } else if self.services.schedule.has(key) {
                self.services.schedule.forget(key);
                self.send_advertisement(key, false);
            }
        }
        for key in self.services.schedule.take_due(now, AT_ONCE) {
            self.send_advertisement(key, true);
        }
    }

    fn send_advertisement(&mut self, key: PortKey, alive: bool) {
        let frame = self.advertisement(key, alive);
        let ifindex = key.ifindex;
        self.commands
            .extend(frame.map(|frame| Command::SendToPort { ifindex, frame }));
    }

    /// What a port is told unasked. Nothing: its network is not advertised, or it is not known yet.
    fn advertisement(&self, key: PortKey, alive: bool) -> Option<Vec<u8>> {
        let row = self.mirror.ports.get(&key)?;
        let owner = self.slots.owner(row.slot)?;
        let (port, network) = self.asker(&owner.port, row.network.0, key.vlan)?;
        (network.router_advertisements || !alive)
            .then(|| advertise(&port, &network, alive))
            .flatten()
    }
}
