//! The short way: rows of a few members, without looking at the rest of their network.
//!
//! A network can have tens of thousands of members, and working out all its rows takes milliseconds. Most events are about
//! one member: its device appears or goes, another host has it now. Its own rows (MAC address, IP addresses, port) follow
//! from the member and the hosts that it names, and who gets copies from the local ports and the hosts with members. So that
//! is worked out alone. Where rows of other members may follow as well (addresses that several may use), the whole network is
//! worked out, right after. The property test holds the short way to the result of the long one.

use std::collections::BTreeSet;

use coax_compile::rows::copies::{Copies, copies};
use coax_compile::rows::router::gateways;
use coax_compile::rows::{self, NetworkRows};
use coax_compile::{HostVtep, Member, NetworkParams};
use coax_tables::{AddressKey, DomainId, MacKey, NetworkId, PortKey, TunnelKey};
use coax_vswitch::{Attachment, Row, RowKey, RowOperation};

use super::Core;
use super::reconcile::Subject;
use crate::desired::here;
use crate::input::Step;
use crate::mirror::HeldNetwork;
use crate::plan::{
    Lists, Plan, delete_sources, plan_lists, put_addresses, put_changed, put_sources,
};
use crate::slices::Part;

impl Core {
    /// The port's device is another one, or gone.
    pub(super) fn touch_port(&mut self, network: u32, port: &str) {
        let part = Part {
            ports: BTreeSet::from([port.to_owned()]),
            former: self
                .slices
                .member(network, port)
                .cloned()
                .into_iter()
                .collect(),
            copies: true,
            ..Part::default()
        };
        self.touch(network, part);
    }

    /// The controller said something new of a part of a network.
    pub(super) fn touch(&mut self, network: u32, mut part: Part) {
        // Which ports are here decides about copies, and so does what is said of them.
        let mut ports = part.ports.iter();
        part.copies |= ports.any(|port| self.claims.device_of(port).is_some());
        self.touched.entry(network).or_default().merge(part);
        self.urgent.insert(Subject::Members(network));
    }

    pub(super) fn member_steps(&mut self, network: u32) -> Vec<Step> {
        let Some(part) = self.touched.remove(&network) else {
            return Vec::new();
        };
        let desired_and_plan = self.short_way(network, &part);
        let Some((mut steps, desired, plan)) = desired_and_plan else {
            self.dirty.insert(Subject::Network(network));
            return Vec::new();
        };
        if !desired.problems.is_empty() {
            self.dirty.insert(Subject::Network(network));
        }
        steps.extend(plan.make.into_iter().map(Step::Row));
        let ports = desired.ports.keys();
        let devices: BTreeSet<_> = ports.map(|key| (key.ifindex, Attachment::Port)).collect();
        let new = devices.difference(&self.attached_now);
        steps.extend(new.map(|(ifindex, side)| Step::Attach(*ifindex, *side)));
        steps.extend(plan.break_.into_iter().map(Step::Row));
        steps
    }

    /// The steps for a part of a network alone; nothing where it takes more.
    fn short_way(&mut self, network: u32, part: &Part) -> Option<(Vec<Step>, NetworkRows, Plan)> {
        let id = NetworkId(network);
        // The network itself is not there (yet), or not as it should be.
        self.mirror.network(id)?.network?;
        let subject = Subject::Network(network);
        if self.failing.contains_key(&subject) || self.row_problems.contains_key(&network) {
            return None;
        }
        let params = self.slices.get(network)?.params.clone()?;
        let slices = &self.slices;
        let present = part.ports.iter();
        let present = present.filter_map(|port| slices.member(network, port));
        let mut members = part.former.iter().chain(present);
        if members.any(|member| is_entangled(member, &params)) {
            return None;
        }
        let mut steps = Vec::new();
        let locals = self.local_ports(&mut steps, network, |port| part.ports.contains(port));
        let slice = self.slices.get(network)?;
        let present = part.ports.iter().filter_map(|port| slice.member(port));
        let present: Vec<&Member> = present.collect();
        let named = present.iter().copied();
        let named = named.flat_map(|it: &Member| [&it.host, &it.moving_to, &it.moved_from]);
        let hosts: BTreeSet<&String> = named.chain(&part.hosts).collect();
        let hosts = hosts.into_iter().filter_map(|host| slice.host(host));
        let here = self.here_in(slice);
        let desired = rows::some_members(slice, &here, &locals, present, hosts);
        let plan = self.plan_part(id, part, &desired, &params);
        Some((steps, desired, plan))
    }

    /// The steps from the rows of a part as it was to the rows as they should be.
    fn plan_part(
        &self,
        network: NetworkId,
        part: &Part,
        desired: &NetworkRows,
        params: &NetworkParams,
    ) -> Plan {
        let nothing = HeldNetwork::default();
        let held = self.mirror.network(network).unwrap_or(&nothing);
        let former = former_keys(network, params.vni, part);
        let gone: Vec<PortKey> = self
            .mirror
            .ports_of(network)
            .filter(|(key, row)| {
                former.macs.contains(&MacKey::new(network, row.mac))
                    && !desired.ports.contains_key(key)
            })
            .map(|(key, _)| *key)
            .collect();
        let lists = match part.copies {
            true => {
                let copies = self.copies_after(network, desired, &gone, params);
                plan_lists(network, held, &copies.replicas, Some(copies.network))
            }
            false => Lists::default(),
        };
        let mut plan = Plan {
            make: lists.leftovers,
            break_: Vec::new(),
        };
        put_changed(&mut plan.make, &held.tunnels, &desired.tunnels, Row::Tunnel);
        put_changed(&mut plan.make, &held.macs, &desired.macs, Row::Mac);
        put_addresses(&mut plan.make, held, desired);
        put_sources(&mut plan.make, &self.mirror, desired);
        plan.make.extend(lists.make);
        put_changed(
            &mut plan.make,
            &self.mirror.ports,
            &desired.ports,
            Row::Port,
        );

        let ports = gone.iter().map(|key| RowKey::Port(*key));
        plan.break_.extend(ports.map(RowOperation::Delete));
        plan.break_.extend(lists.break_);
        let mut slots: BTreeSet<u32> = desired.ports.values().map(|row| row.slot).collect();
        let touched = gone.iter().chain(desired.ports.keys());
        let held_ports = touched.filter_map(|key| self.mirror.ports.get(key));
        slots.extend(held_ports.map(|row| row.slot));
        delete_sources(&mut plan.break_, &self.mirror, slots, desired);
        let addresses = former.addresses.into_iter();
        let addresses = addresses.filter(|key| held.addresses.contains_key(key));
        let addresses = addresses.filter(|key| !desired.addresses.contains_key(key));
        let macs = former.macs.into_iter();
        let macs = macs.filter(|key| held.macs.contains_key(key));
        let macs = macs.filter(|key| !desired.macs.contains_key(key));
        let tunnels = former.tunnels.into_iter();
        let tunnels = tunnels.filter(|key| held.tunnels.contains_key(key));
        let tunnels = tunnels.filter(|key| !desired.tunnels.contains_key(key));
        let unwanted = addresses
            .map(RowKey::Address)
            .chain(macs.map(RowKey::Mac))
            .chain(tunnels.map(RowKey::Tunnel));
        plan.break_.extend(unwanted.map(RowOperation::Delete));
        plan
    }

    /// Who gets copies when the ports that are gone are gone and those that are desired are there.
    fn copies_after(
        &self,
        network: NetworkId,
        desired: &NetworkRows,
        gone: &[PortKey],
        params: &NetworkParams,
    ) -> Copies {
        let held = self.mirror.ports_of(network);
        let mut ports: std::collections::BTreeMap<_, _> = held
            .filter(|(key, _)| !gone.contains(key))
            .map(|(key, row)| (*key, *row))
            .collect();
        ports.extend(desired.ports.iter().map(|(key, row)| (*key, *row)));
        let hosts = self.slices.hosts_with_members(network.0);
        let slice = self.slices.get(network.0);
        let here = here(&self.config, DomainId(0));
        let foreign = slice.map_or(&[][..], |slice| &slice.foreign);
        let announced = self.slices.hosts_announced_to(network.0);
        copies(params, &here, &ports, hosts, announced, foreign)
    }
}

/// Rows of other members depend on this one: it has an address that others may have, too.
fn is_entangled(member: &Member, params: &NetworkParams) -> bool {
    let gateways = || gateways(params);
    let is_gateway = |address: &Vec<u8>| {
        address_of(address).is_some_and(|address| gateways().contains(&address))
    };
    member.shares() || member.addresses.iter().any(is_gateway)
}

/// Keys of the rows that a part may have had.
#[derive(Default)]
struct Former {
    macs: BTreeSet<MacKey>,
    addresses: BTreeSet<AddressKey>,
    tunnels: BTreeSet<TunnelKey>,
}

fn former_keys(network: NetworkId, vni: u32, part: &Part) -> Former {
    let mut former = Former::default();
    for member in &part.former {
        let mac = <[u8; 6]>::try_from(member.mac.as_slice());
        let mac = mac.map(|mac| MacKey::new(network, coax_wire::MacAddress(mac)));
        former.macs.extend(mac);
        let addresses = member.addresses.iter();
        let addresses = addresses.filter_map(|address| address_of(address));
        former
            .addresses
            .extend(addresses.map(|address| AddressKey { address, network }));
    }
    let vteps = |host: &HostVtep| [address_of(&host.ipv4), address_of(&host.ipv6)];
    let vteps = part.former_hosts.iter().flat_map(vteps).flatten();
    former
        .tunnels
        .extend(vteps.map(|vtep| TunnelKey { vtep, vni }));
    former
}

/// An address of 4 or 16 bytes in the one form that tables have.
fn address_of(bytes: &[u8]) -> Option<[u8; 16]> {
    let ipv4 = <[u8; 4]>::try_from(bytes).map(coax_wire::ip::mapped);
    ipv4.or_else(|_| bytes.try_into()).ok()
}
