//! Ports that move: the firewall's connections go along, by way of the controller. The host that had the port sends them as
//! soon as its device is gone, when no packet changes them any more.

use std::collections::BTreeSet;

use coax_api::agent::{self, agent_message};
use coax_compile::Member;

use super::Core;
use crate::handover::Moving;
use crate::input::Command;
use crate::services::view::address;

impl Core {
    /// The port's device is gone: its connections are sent to where it is going or has gone.
    pub(super) fn hand_over_unplugged(&mut self, port: &str) {
        let host = self.config.host.clone();
        let goes = |member: &Member| {
            !member.moving_to.is_empty() || !(member.host.is_empty() || member.host == host)
        };
        self.hand_over(port, goes);
    }

    /// The ports' new hosts have them already, and their devices are still here: what is known now is better than nothing.
    pub(super) fn hand_over_moved(&mut self, ports: &BTreeSet<String>) {
        for port in ports {
            if self.claims.device_of(port).is_some() {
                let host = self.config.host.clone();
                self.hand_over(port, |member| member.moved_from == host);
            }
        }
    }

    fn hand_over(&mut self, port: &str, goes: impl Fn(&Member) -> bool) {
        let moving = self.moving(port, goes);
        if !moving.ends.is_empty() {
            self.leaving.push(moving);
        }
    }

    /// The connections of a port that was here.
    pub(super) fn handed_over(&mut self, connections: agent::Connections) {
        if !connections.connections.is_empty() {
            let count = connections.connections.len();
            tracing::info!(port = connections.port, count, "connections go along");
            self.send(agent_message::Body::Connections(connections));
        }
    }

    /// Connections of a port that is here or comes here.
    pub(super) fn take_over(&mut self, message: &agent::Connections) {
        let host = self.config.host.clone();
        let comes = |member: &Member| member.host == host || member.moving_to == host;
        let moving = self.moving(&message.port, comes);
        let project = message
            .port
            .split_once('/')
            .map_or("", |(project, _)| project);
        let domain = self.policies.domain_of(project);
        let connections = moving.read(message);
        if domain.0 != 0 && !connections.is_empty() {
            let port = moving.port;
            self.commands.push(Command::TakeOver {
                port,
                connections,
                domain,
            });
        }
    }

    /// The port with its addresses in the networks that have a firewall, where `wanted` says so of it.
    fn moving(&self, port: &str, wanted: impl Fn(&Member) -> bool) -> Moving {
        let mut ends = BTreeSet::new();
        for network in self.slices.networks_of(port) {
            let member = self.slices.member(network, port);
            let Some(member) = member.filter(|member| wanted(member)) else {
                continue;
            };
            let own = member.addresses.iter();
            let shared = member.allowed.iter().map(|allowed| &allowed.address);
            let addresses = own.chain(shared).filter_map(|bytes| address(bytes));
            ends.extend(addresses.map(|address| (network, address)));
        }
        Moving {
            port: port.to_owned(),
            ends,
        }
    }
}
