//! The way of a packet between VMs: which port it enters by, who judges it, and which ports get it.

use super::firewall::{Fate, Firewall, Moment};
use super::packet::{Content, Packet, Segment, flag};
use super::world::{
    World, address, device_of, host_of, mac_of, network_id, project_of, vlan_of, vm_of,
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
}

impl Way {
    /// As the port is supposed to send.
    pub const fn new(from: u8, to: Option<u8>) -> Self {
        Self {
            from,
            to,
            tags: None,
        }
    }

    /// The device that the frame enters by.
    pub fn device(&self) -> Device {
        device_of(self.from)
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
    /// At its sender's host.
    pub here: Fate,
    /// Its sender hears that it was rejected.
    pub told: bool,
    /// At the other host, if it comes so far.
    pub there: Option<Fate>,
    /// The ports that get it, each in its own VLAN.
    pub arrives: BTreeSet<u8>,
}

impl Default for Fates {
    fn default() -> Self {
        Self {
            here: Ok(()),
            told: false,
            there: None,
            arrives: BTreeSet::new(),
        }
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
        match (way.to, packet.destination) {
            (Some(to), _) if self.home(to) == self.home(way.from) => mac_of(to),
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
        if packet.source != self.address(port, packet.is_ipv6()) {
            return Err(DropReason::ForgedAddress);
        }
        // More headers than anybody reads.
        if packet.is_ipv6() && packet.headers + usize::from(packet.part.is_some()) > 8 {
            return Err(DropReason::HeaderChain);
        }
        Ok(port)
    }

    /// The port that a packet is for, which entered by another one.
    fn place(&self, from: u8, to: MacAddress, packet: &Packet) -> Result<u8, DropReason> {
        let network = self.home(from);
        if let Some(port) = self.owner(network, to) {
            return if port == from {
                Err(DropReason::Hairpin)
            } else {
                Ok(port)
            };
        }
        if to != GATEWAY || project_of(network) != 0 {
            return Err(DropReason::UnknownUnicast);
        }
        let ipv6 = packet.is_ipv6();
        let routed = self
            .ports()
            .filter(|port| project_of(self.home(*port)) == 0);
        let mut owners = routed
            .filter(|port| address(self.home(*port), ipv6, vm_of(*port)) == packet.destination);
        owners.next().ok_or(DropReason::NoNeighbour)
    }

    /// The model: the sender's network judges, then the receiver's, unless both are one network of one host.
    pub fn judge(
        &self,
        firewalls: &mut [Firewall; 2],
        way: Way,
        packet: &Packet,
        (now, versions): (Duration, [u32; 2]),
    ) -> Fates {
        let mut judge_packet = |packet: &Packet, host: usize, network: u8| {
            let project = project_of(network);
            let moment = Moment {
                policy: &self.policies[project],
                project,
                version: versions[project],
                network: network_id(network).0,
                now,
            };
            firewalls[host].judge(packet, moment)
        };
        let mut judge = |host: usize, network: u8| judge_packet(packet, host, network);
        let mut fates = Fates::default();
        let from = match self.guarded(way, packet) {
            Ok(port) => port,
            Err(reason) => {
                fates.here = Err(reason);
                return fates;
            }
        };
        let (here, own) = (host_of(from), self.home(from));
        fates.here = judge(here, own);
        if fates.here.is_err() {
            fates.told = fates.here == Err(DropReason::Rejected) && may_be_told(packet);
            return fates;
        }
        let Some(to) = way.to.map(|_| self.receiver(way, packet)) else {
            let mut others: BTreeSet<u8> = self.members(own).filter(|port| *port != from).collect();
            let there = others.iter().any(|port| host_of(*port) != here);
            fates.there = there.then(|| judge(1 - here, own));
            others.retain(|port| host_of(*port) == here || fates.there == Some(Ok(())));
            fates.arrives = others;
            return fates;
        };
        let to = match self.place(from, to, packet) {
            Ok(port) => port,
            Err(reason) => {
                fates.here = Err(reason);
                return fates;
            }
        };
        let (there, other) = (host_of(to), self.home(to));
        if there != here {
            fates.there = Some(judge(there, other));
        } else if other != own {
            fates.here = judge(here, other);
            // The refusal goes back through the sender's own network, like any packet of the receiver.
            if fates.here == Err(DropReason::Rejected) && may_be_told(packet) {
                let passes = judge_packet(&refusal(packet), here, own);
                fates.here = passes.and(fates.here);
            }
        }
        if fates.here.is_ok() && fates.there.is_none_or(|fate| fate.is_ok()) {
            fates.arrives.insert(to);
        }
        fates
    }
}
/// Nobody is told about resets, errors, what is for many, and messages of IPv4 that are no echoes.
const fn may_be_told(packet: &Packet) -> bool {
    let about = match &packet.content {
        Content::Tcp(segment) => !segment.has(flag::RST),
        Content::Icmp(..) => packet.is_ipv6(),
        Content::Error { .. } => false,
        _ => true,
    };
    about && !packet.is_to_group()
}

/// What the sender of a rejected packet is told: a reset (RFC 9293 section 3.10.7.1), or an ICMP error.
fn refusal(packet: &Packet) -> Packet {
    let content = match &packet.content {
        Content::Tcp(segment) => Content::Tcp(reset(packet, segment)),
        _ => Content::Error {
            kind: if packet.is_ipv6() { (1, 1) } else { (3, 13) },
            mtu: 0,
            about: Box::new(packet.clone()),
        },
    };
    Packet::new(packet.destination, packet.source, content)
}

fn reset(packet: &Packet, segment: &Segment) -> Segment {
    let numbers = [flag::SYN, flag::FIN].map(|flag| u32::from(segment.has(flag)));
    // How long a datagram is, its first fragment does not say.
    let data = match packet.part {
        Some(part) if part.more => 0xffff,
        _ => segment.data as u32,
    };
    let end = segment
        .sequence
        .wrapping_add(data + numbers[0] + numbers[1]);
    let answers = segment.has(flag::ACK);
    Segment {
        ports: (segment.ports.1, segment.ports.0),
        flags: if answers {
            flag::RST
        } else {
            flag::RST | flag::ACK
        },
        sequence: if answers { segment.acknowledgement } else { 0 },
        acknowledgement: if answers { 0 } else { end },
        window: 0,
        scale: None,
        data: 0,
    }
}
