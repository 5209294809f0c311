//! The short way: rows of a few members, without looking at the rest of their network.
//!
//! A network can have tens of thousands of members, and working out all its rows takes milliseconds. Most events are about
//! one member: its device appears or goes, another host has it now. Its own rows (MAC address, IP addresses, port) follow
//! from the member and the hosts that it names, so they are worked out and written first. Rows that members
//! share (copies, endpoints) only change with the set of hosts or local ports; then the whole network is worked out
//! as well, right after. The property test holds the short way to the result of the long one.

use std::collections::BTreeSet;

use coax_compile::rows::{self, NetworkRows};
use coax_compile::{Member, NetworkSlice};
use coax_tables::{AddressKey, MacKey, NetworkId, PortKey};
use coax_vswitch::{Attachment, Row, RowKey, RowOperation};

use super::Core;
use super::reconcile::Subject;
use crate::desired::here;
use crate::input::Step;
use crate::plan::put_changed;

/// Members of one network whose rows may be different now.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    ports: BTreeSet<String>,
    /// What the members were before: their rows go if they are not wanted again.
    former: Vec<Member>,
}

impl Core {
    /// The port's device is another one, or gone.
    pub(super) fn touch_port(&mut self, network: u32, port: &str) {
        let former = self.slices.member(port).cloned();
        let touched = self.touched.entry(network).or_default();
        touched.ports.insert(port.to_owned());
        touched.former.extend(former);
        self.urgent.insert(Subject::Members(network));
    }

    /// The controller said something new of these members.
    pub(super) fn touch_members(
        &mut self,
        network: u32,
        former: &[Member],
        ports: BTreeSet<String>,
    ) {
        // Which ports are here decides about copies.
        if ports
            .iter()
            .any(|port| self.claims.device_of(port).is_some())
        {
            self.dirty.insert(Subject::Network(network));
        }
        let touched = self.touched.entry(network).or_default();
        touched.ports.extend(ports);
        touched.former.extend_from_slice(former);
        self.urgent.insert(Subject::Members(network));
    }

    pub(super) fn member_steps(&mut self, network: u32) -> Vec<Step> {
        let Some(touched) = self.touched.remove(&network) else {
            return Vec::new();
        };
        let id = NetworkId(network);
        let base = self
            .mirror
            .network(id)
            .is_some_and(|held| held.network.is_some());
        let failed = self.failing.contains_key(&Subject::Network(network));
        let Some(part) = self
            .part_of(network, &touched.ports)
            .filter(|_| base && !failed)
        else {
            // The network itself is not there (yet), or not as it should be: the long way.
            self.dirty.insert(Subject::Network(network));
            return Vec::new();
        };
        let mut steps = Vec::new();
        let locals = self.local_ports(&mut steps, |_, port| touched.ports.contains(port));
        let desired = rows::network(&part, &here(&self.config), &locals);
        if !desired.problems.is_empty() {
            self.dirty.insert(Subject::Network(network));
        }
        let (make, break_) = self.compare_members(id, &touched, &desired);
        steps.extend(make.into_iter().map(Step::Row));
        let ports = desired
            .ports
            .keys()
            .map(|key| (key.ifindex, Attachment::Port));
        let new = ports.filter(|device| !self.attached_now.contains(device));
        steps.extend(new.map(|(ifindex, side)| Step::Attach(ifindex, side)));
        steps.extend(break_.into_iter().map(Step::Row));
        steps
    }

    /// The slice, cut down to some members and the hosts that these name.
    fn part_of(&self, network: u32, ports: &BTreeSet<String>) -> Option<NetworkSlice> {
        let slice = self.slices.get(network)?;
        let members: Vec<Member> = ports
            .iter()
            .filter_map(|port| slice.member(port))
            .cloned()
            .collect();
        let named = members
            .iter()
            .flat_map(|it| [&it.host, &it.moving_to, &it.moved_from]);
        let named: BTreeSet<&String> = named.collect();
        let hosts = named
            .into_iter()
            .filter_map(|host| slice.host(host))
            .cloned()
            .collect();
        Some(NetworkSlice {
            network_id: network,
            revision: slice.revision,
            params: slice.params.clone(),
            members,
            hosts,
            foreign: Vec::new(),
        })
    }

    /// The steps from the rows of the members as they were to the rows as they should be.
    fn compare_members(
        &self,
        network: NetworkId,
        touched: &Touched,
        desired: &NetworkRows,
    ) -> (Vec<RowOperation>, Vec<RowOperation>) {
        let (mut make, mut break_) = (Vec::new(), Vec::new());
        let (macs, addresses) = keys_of(network, &touched.former);
        let devices: Vec<PortKey> = self
            .mirror
            .ports_of(network)
            .filter(|(_, row)| macs.contains(&MacKey::new(network, row.mac)))
            .map(|(key, _)| *key)
            .collect();
        let Some(held) = self.mirror.network(network) else {
            return (make, break_);
        };
        put_changed(&mut make, &held.macs, &desired.macs, Row::Mac);
        put_changed(&mut make, &held.addresses, &desired.addresses, Row::Address);
        put_changed(&mut make, &self.mirror.ports, &desired.ports, Row::Port);
        let ports = devices
            .iter()
            .filter(|key| !desired.ports.contains_key(key));
        break_.extend(ports.map(|key| RowOperation::Delete(RowKey::Port(*key))));
        let addresses = addresses
            .iter()
            .filter(|key| !desired.addresses.contains_key(key));
        let addresses = addresses.filter(|key| held.addresses.contains_key(key));
        break_.extend(addresses.map(|key| RowOperation::Delete(RowKey::Address(*key))));
        let macs = macs.iter().filter(|key| !desired.macs.contains_key(key));
        let macs = macs.filter(|key| held.macs.contains_key(key));
        break_.extend(macs.map(|key| RowOperation::Delete(RowKey::Mac(*key))));
        (make, break_)
    }
}

/// Keys of the rows that members may have.
fn keys_of(network: NetworkId, members: &[Member]) -> (BTreeSet<MacKey>, BTreeSet<AddressKey>) {
    let (mut macs, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for member in members {
        let mac = <[u8; 6]>::try_from(member.mac.as_slice());
        macs.extend(mac.map(|mac| MacKey::new(network, coax_wire::MacAddress(mac))));
        for address in &member.addresses {
            let ipv4 = <[u8; 4]>::try_from(address.as_slice()).map(coax_wire::ip::mapped);
            let address = ipv4.or_else(|_| <[u8; 16]>::try_from(address.as_slice()));
            addresses.extend(address.map(|address| AddressKey { address, network }));
        }
    }
    (macs, addresses)
}
