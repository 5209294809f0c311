//! The way of a packet between VMs: which port it enters by, who judges it, and which ports get it.

use super::firewall::{Fate, Firewall, Moment};
use super::neighbours::{Owners, shared, shares};
use super::packet::Packet;
use super::refusals::{has_too_many_headers, is_rejected_loudly, may_be_told, refusal};
use super::world::{
    ABROAD, NETWORKS, World, device_of, host_of, is_stranger, mac_of, network_id, project_of,
    vlan_of, vm_of,
};
use crate::craft;
use crate::noise::GATEWAY;
use crate::stand::Device;
use coax_tables::DropReason;
use coax_wire::MacAddress;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// A VLAN tag: its ethertype, and its VLAN.
pub type Tag = (u16, u16);

/// Who sends to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// The port that sends.
    pub from: u8,
    /// The port that it is for; none: a group.
    pub to: Option<u8>,
    /// Tags that the VM puts on instead of its port's own, from the outside.
    pub tags: Option<[Option<Tag>; 2]>,
    /// The host to which the sender's endpoint sends it, if that is a foreign one.
    pub at: usize,
}

impl Way {
    /// As the port is supposed to send.
    pub const fn new(from: u8, to: Option<u8>) -> Self {
        Self {
            from,
            to,
            tags: None,
            at: match to {
                Some(to) => host_of(to),
                None => 0,
            },
        }
    }

    /// The host that the frame enters by.
    pub fn host(&self) -> usize {
        if is_stranger(self.from) {
            self.at
        } else {
            host_of(self.from)
        }
    }

    /// The device that the frame enters by.
    pub fn device(&self) -> Device {
        if is_stranger(self.from) {
            Device::Up1
        } else {
            device_of(self.from)
        }
    }

    fn tags(&self) -> Vec<Tag> {
        match (self.tags, vlan_of(self.from)) {
            (Some(tags), _) => tags.into_iter().flatten().collect(),
            (None, 0) => Vec::new(),
            (None, vlan) => vec![(craft::C_TAG, vlan)],
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fates {
    /// At the host that it enters by.
    pub here: Fate,
    /// Its sender hears why it ended there.
    pub told: bool,
    /// At the other host, if it comes so far.
    pub there: Option<Fate>,
    /// The ports that get it, each in its own VLAN, and [`ABROAD`].
    pub arrives: BTreeSet<u8>,
    /// Routers that have carried it there.
    pub hops: u8,
}

impl Default for Fates {
    fn default() -> Self {
        Self {
            here: Ok(()),
            told: false,
            there: None,
            arrives: BTreeSet::new(),
            hops: 0,
        }
    }
}

/// The hosts' firewalls at a moment.
struct Judges<'a> {
    world: &'a World,
    firewalls: &'a mut [Firewall; 2],
    now: Duration,
    versions: [u32; 2],
}

impl Judges<'_> {
    fn judge(&mut self, packet: &Packet, host: usize, network: u8) -> Fate {
        let project = project_of(network);
        let moment = Moment {
            policy: &self.world.policies[project],
            project,
            version: self.versions[project],
            network: network_id(network).0,
            now: self.now,
        };
        self.firewalls[host].judge(packet, moment)
    }
}

impl World {
    /// The frame around a packet.
    pub fn frame(&self, way: Way, packet: &Packet) -> Vec<u8> {
        let ethertype = if packet.is_ipv6() {
            craft::IPV6
        } else {
            craft::IPV4
        };
        let to = self.receiver(way, packet);
        let frame = craft::ethernet(to, mac_of(way.from), ethertype, &packet.bytes());
        let tags = way.tags().into_iter().rev();
        tags.fold(frame, |frame, (kind, vlan)| {
            craft::tagged(&frame, kind, vlan)
        })
    }

    fn receiver(&self, way: Way, packet: &Packet) -> MacAddress {
        let network = self.home(way.from);
        match (way.to, packet.destination) {
            (Some(to), _) if self.home(to) == network && !self.routed.contains(&network) => {
                mac_of(to)
            }
            (Some(_), _) => GATEWAY,
            (None, IpAddr::V6(group)) => craft::group_mac(group),
            (None, IpAddr::V4(group)) => {
                let [_, a, b, c] = group.octets();
                MacAddress([1, 0, 0x5e, a & 0x7f, b, c])
            }
        }
    }

    /// The port that a frame with these tags enters by. A trunk's tags name the ports of its list; nobody else
    /// sends tags, and nobody sends two.
    fn enters(&self, vm: u8, tags: &[Tag]) -> Result<u8, DropReason> {
        let [outer, inner @ ..] = tags else {
            return Ok(vm);
        };
        if !self.is_trunk(vm) {
            return Err(DropReason::TaggedFrame);
        }
        let mut listed = self
            .ports()
            .filter(|port| vm_of(*port) == vm && *port != vm);
        match listed.find(|port| *outer == (craft::C_TAG, vlan_of(*port))) {
            None => Err(DropReason::VlanNotAllowed),
            Some(_) if !inner.is_empty() => Err(DropReason::TaggedFrame),
            Some(port) => Ok(port),
        }
    }

    /// Guards at the port that a packet enters by.
    fn guarded(&self, way: Way, packet: &Packet) -> Result<u8, DropReason> {
        let port = self.enters(vm_of(way.from), &way.tags())?;
        let ipv6 = packet.is_ipv6();
        let shared = shares(port) && packet.source == shared(self.home(port), ipv6);
        if packet.source != self.address(port, ipv6) && !shared {
            return Err(DropReason::ForgedAddress);
        }
        if has_too_many_headers(packet) {
            return Err(DropReason::HeaderChain);
        }
        Ok(port)
    }

    /// Who gets a packet that entered by a port: another one, or whoever is [`ABROAD`].
    fn place(
        &self,
        (from, to): (u8, MacAddress),
        packet: &Packet,
        owners: &Owners,
    ) -> Result<u8, DropReason> {
        let network = self.home(from);
        let routed = self.routed.contains(&network);
        let port = if to == GATEWAY && (routed || project_of(network) == 0) {
            self.next(network, packet, owners)?
        } else if routed {
            return Err(DropReason::NotRoutable);
        } else if self.foreign.contains(&network) {
            self.owner(network, to).unwrap_or(ABROAD)
        } else {
            let known = self.owner(network, to);
            known.ok_or(DropReason::UnknownUnicast)?
        };
        if self.kept_apart(from, port) {
            Err(DropReason::Isolated)
        } else if port == from {
            Err(DropReason::Hairpin)
        } else {
            Ok(port)
        }
    }

    /// Who has the address that a packet is for, in one of the networks that the router of a network reaches.
    fn next(&self, network: u8, packet: &Packet, owners: &Owners) -> Result<u8, DropReason> {
        let ipv6 = packet.is_ipv6();
        let project = project_of(network);
        let mut reached = (0..NETWORKS).filter(|other| project_of(*other) == project);
        let address = packet.destination;
        if let Some(other) = reached
            .clone()
            .find(|other| address == shared(*other, ipv6))
        {
            let owner = owners.of(other, address);
            let port = owner.and_then(|mac| self.owner(other, mac));
            return port.ok_or(DropReason::NoNeighbour);
        }
        let owner = |other: u8| {
            let mut members = self.members(other);
            members.find(|port| self.address(*port, ipv6) == address)
        };
        reached.find_map(owner).ok_or(DropReason::NoNeighbour)
    }

    /// The model: the sender's network judges, then the receiver's, unless both are one network of one host.
    pub fn judge(
        &self,
        firewalls: &mut [Firewall; 2],
        way: Way,
        packet: &Packet,
        (now, versions): (Duration, [u32; 2]),
        owners: &Owners,
    ) -> Fates {
        let mut judges = Judges {
            world: self,
            firewalls,
            now,
            versions,
        };
        if is_stranger(way.from) {
            return self.stranger_sends(&mut judges, way, packet);
        }
        let from = match self.guarded(way, packet) {
            Ok(port) => port,
            Err(reason) => return Fates::ended(reason, false),
        };
        let (here, own) = (host_of(from), self.home(from));
        if let Err(reason) = judges.judge(packet, here, own) {
            let told = reason == DropReason::Rejected && is_rejected_loudly(packet);
            return Fates::ended(reason, told);
        }
        if way.to.is_none() {
            return self.to_group(&mut judges, from, packet);
        }
        let to = self.receiver(way, packet);
        let to = match self.place((from, to), packet, owners) {
            Ok(port) => port,
            Err(reason) => {
                // The gateway says so.
                let told = reason == DropReason::NoNeighbour && may_be_told(packet);
                return Fates::ended(reason, told);
            }
        };
        let mut fates = Fates::default();
        if to == ABROAD {
            fates.arrives.insert(ABROAD);
            return fates;
        }
        let (there, other) = (host_of(to), self.home(to));
        if there != here {
            fates.there = Some(judges.judge(packet, there, other));
        } else if other != own {
            fates.here = judges.judge(packet, here, other);
            // The refusal goes back through the sender's own network, like any packet of the receiver.
            if fates.here == Err(DropReason::Rejected) && is_rejected_loudly(packet) {
                let passes = judges.judge(&refusal(packet), here, own);
                fates.here = passes.and(fates.here);
            }
        }
        if fates.here.is_ok() && fates.there.is_none_or(|fate| fate.is_ok()) {
            fates.arrives.insert(to);
            fates.hops = u8::from(other != own);
        }
        fates
    }

    /// What is for everybody reaches all other ports of the network, but isolated ones not from another isolated one.
    fn to_group(&self, judges: &mut Judges<'_>, from: u8, packet: &Packet) -> Fates {
        let (here, own) = (host_of(from), self.home(from));
        if self.routed.contains(&own) {
            return Fates::ended(DropReason::NotRoutable, false);
        }
        let mut fates = Fates::default();
        let mut others: BTreeSet<u8> = self.members(own).filter(|port| *port != from).collect();
        let there = others.iter().any(|port| host_of(*port) != here);
        fates.there = there.then(|| judges.judge(packet, 1 - here, own));
        others.retain(|port| host_of(*port) == here || fates.there == Some(Ok(())));
        others.retain(|port| !self.kept_apart(from, *port));
        others.extend(self.foreign.contains(&own).then_some(ABROAD));
        fates.arrives = others;
        fates
    }

    /// A packet that a foreign endpoint sends to a host: nobody guards it, and it goes to ports of this host only.
    fn stranger_sends(&self, judges: &mut Judges<'_>, way: Way, packet: &Packet) -> Fates {
        let (here, own) = (way.at, self.home(way.from));
        let mut locals = self.members(own).filter(|port| host_of(*port) == here);
        let to = way.to.map(|_| self.receiver(way, packet));
        let arrives: BTreeSet<u8> = match to {
            None => locals.collect(),
            Some(to) => locals
                .find(|port| mac_of(*port) == to)
                .into_iter()
                .collect(),
        };
        let mut fates = Fates::default();
        if arrives.is_empty() {
            fates.here = to.map_or(Ok(()), |_| Err(DropReason::NotHere));
            return fates;
        }
        fates.here = if has_too_many_headers(packet) {
            Err(DropReason::HeaderChain)
        } else {
            judges.judge(packet, here, own)
        };
        match fates.here {
            Ok(()) => fates.arrives = arrives,
            // What it is told goes to its endpoint, as a frame of the receiver.
            Err(DropReason::Rejected) if is_rejected_loudly(packet) => {
                fates.arrives.insert(ABROAD);
            }
            Err(_) => {}
        }
        fates
    }
}

impl Fates {
    fn ended(reason: DropReason, told: bool) -> Self {
        Self {
            here: Err(reason),
            told,
            ..Self::default()
        }
    }
}
