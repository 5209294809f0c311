//! ARP and neighbour discovery, answered and guarded the slow way.
//!
//! Written from docs/explanation/no-flooding.md and the decisions about shared addresses and unknown ones: who has an
//! address is found by walking over all ports.

use super::world::{ABROAD, GATE, World, address, link_local, mac_of, project_of, vlan_of};
use crate::craft::{self, Discovery};
use crate::noise::GATEWAY;
use coax_tables::DropReason;
use coax_wire::MacAddress;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The address that some ports of a network share, and that moves with announcements.
pub fn shared(network: u8, ipv6: bool) -> IpAddr {
    address(network, ipv6, 100)
}

/// The port is one of those that share it.
pub const fn shares(port: u8) -> bool {
    matches!(super::world::vm_of(port), 1 | 2 | 5)
}

/// What a port says about addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saying {
    /// The port.
    pub port: u8,
    /// Who is told: receiver of the frame.
    pub to: MacAddress,
    /// What.
    pub message: Message,
}

/// A question about an address, or an answer to one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// ARP.
    Arp {
        /// It asks.
        question: bool,
        /// Who says it, as it claims.
        sender: (MacAddress, Ipv4Addr),
        /// About whom, or to whom.
        target: (MacAddress, Ipv4Addr),
    },
    /// Neighbour discovery.
    Neighbour(Neighbour),
}

/// A solicitation or an advertisement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// It solicits.
    pub question: bool,
    /// Sender of the packet.
    pub source: Ipv6Addr,
    /// Receiver of the packet.
    pub destination: Ipv6Addr,
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// The MAC address in its option.
    pub link: Option<MacAddress>,
    /// An advertisement that somebody has asked for.
    pub solicited: bool,
    /// 255, unless a router has passed it on.
    pub hop_limit: u8,
}

/// What becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// It is dropped.
    Dropped(DropReason),
    /// Its host answers with this frame, by the same port.
    Answered(Vec<u8>),
    /// These ports hear it, and whoever is [`ABROAD`].
    Heard(BTreeSet<u8>),
}

/// Who has an address.
enum Owner {
    Nobody,
    /// Nobody knows: several share it, and none has announced it yet.
    Open,
    Is(MacAddress),
    Gateway,
}

/// Who has announced shared addresses last.
#[derive(Clone, Debug, Default)]
pub struct Owners(BTreeMap<(u8, IpAddr), MacAddress>);

impl Saying {
    /// The frame, without a tag.
    pub fn frame(&self) -> Vec<u8> {
        let from = mac_of(self.port);
        match &self.message {
            Message::Arp {
                question,
                sender,
                target,
            } => {
                let packet = craft::arp(if *question { 1 } else { 2 }, *sender, *target);
                craft::ethernet(self.to, from, craft::ARP, &packet)
            }
            Message::Neighbour(one) => {
                let kind = if one.question { 135 } else { 136 };
                let packet = Discovery {
                    source: one.source,
                    destination: one.destination,
                    kind,
                    flags: if one.solicited { 0x60 } else { 0x20 },
                    target: one.target,
                    options: one.link.map_or_else(Vec::new, |mac| {
                        craft::link_address(if one.question { 1 } else { 2 }, mac)
                    }),
                    hop_limit: one.hop_limit,
                };
                craft::ethernet(self.to, from, craft::IPV6, &packet.packet())
            }
        }
    }
}

/// A frame as it stands on a port's device: in the port's VLAN.
pub fn on_device(port: u8, frame: &[u8]) -> Vec<u8> {
    match vlan_of(port) {
        0 => frame.to_vec(),
        vlan => craft::tagged(frame, craft::C_TAG, vlan),
    }
}

impl Owners {
    /// What becomes of what a port says.
    pub fn judge(&mut self, world: &World, saying: &Saying) -> Reaction {
        match &saying.message {
            Message::Arp {
                question,
                sender,
                target,
            } => self.arp(world, saying, *question, *sender, target.1),
            Message::Neighbour(one) => self.discovery(world, saying, one),
        }
    }

    fn arp(
        &mut self,
        world: &World,
        saying: &Saying,
        question: bool,
        sender: (MacAddress, Ipv4Addr),
        target: Ipv4Addr,
    ) -> Reaction {
        let Saying { port, to, .. } = *saying;
        let own = mac_of(port);
        let claims = is_own(world, port, sender.1.into()) || sender.1.is_unspecified();
        if sender.0 != own || !claims {
            return Reaction::Dropped(DropReason::ForgedArp);
        }
        if sender.1 == target && to.is_group() && self.announce(world, port, target.into()) {
            return announced(world, port);
        }
        if !question {
            return end_or_carry(world, port, to);
        }
        let owner = self.owner(world, world.home(port), target.into());
        let mac = match owner {
            Owner::Nobody => return abroad(world, port, DropReason::UnknownAddress),
            Owner::Open => return pass_on(world, port, to),
            Owner::Is(mac) if mac == own => return abroad(world, port, DropReason::OwnAddress),
            Owner::Is(_) | Owner::Gateway => speaker(world, port, &owner),
        };
        let answer = craft::arp(2, (mac, target), sender);
        let frame = craft::ethernet(own, mac, craft::ARP, &answer);
        Reaction::Answered(on_device(port, &frame))
    }

    fn discovery(&mut self, world: &World, saying: &Saying, said: &Neighbour) -> Reaction {
        let Saying { port, to, .. } = *saying;
        let own = mac_of(port);
        let asks_without = said.question && said.source.is_unspecified();
        if !is_own(world, port, said.source.into()) && !asks_without {
            return Reaction::Dropped(DropReason::ForgedAddress);
        }
        let claims = said.question || is_own(world, port, said.target.into());
        if !claims || said.link.is_some_and(|mac| mac != own) {
            return Reaction::Dropped(DropReason::ForgedNeighbour);
        }
        if !said.question && !to.is_group() {
            return end_or_carry(world, port, to);
        }
        if said.hop_limit != 255 {
            return Reaction::Dropped(DropReason::Malformed);
        }
        let unasked = !said.question && !said.solicited;
        if unasked && self.announce(world, port, said.target.into()) {
            return announced(world, port);
        }
        let link_local = said.target.segments()[0] == 0xfe80;
        let owner = self.owner(world, world.home(port), said.target.into());
        match owner {
            Owner::Nobody if !link_local => abroad(world, port, DropReason::UnknownAddress),
            Owner::Nobody | Owner::Open => pass_on(world, port, to),
            Owner::Is(mac) if mac == own => abroad(world, port, DropReason::OwnAddress),
            Owner::Is(_) | Owner::Gateway if !said.question => {
                abroad(world, port, DropReason::OwnAddress)
            }
            Owner::Is(_) | Owner::Gateway => {
                let router = matches!(owner, Owner::Gateway);
                let answer = advertised((own, said), speaker(world, port, &owner), router);
                Reaction::Answered(on_device(port, &answer))
            }
        }
    }

    /// Who has announced a shared address of a network last.
    pub fn of(&self, network: u8, address: IpAddr) -> Option<MacAddress> {
        self.0.get(&(network, address)).copied()
    }

    /// Notes an announcement, if it is one of a shared address.
    fn announce(&mut self, world: &World, port: u8, address: IpAddr) -> bool {
        let network = world.home(port);
        let is_shared = address == shared(network, address.is_ipv6());
        if is_shared {
            self.0.insert((network, address), mac_of(port));
        }
        is_shared
    }

    fn owner(&self, world: &World, network: u8, address: IpAddr) -> Owner {
        let ipv6 = address.is_ipv6();
        if address == shared(network, ipv6) {
            return self.of(network, address).map_or(Owner::Open, Owner::Is);
        }
        let has_gateway = project_of(network) == 0 || world.routed.contains(&network);
        if has_gateway && address == super::world::address(network, ipv6, GATE) {
            return Owner::Gateway;
        }
        let mut members = world.members(network);
        match members.find(|port| world.address(*port, ipv6) == address) {
            Some(port) => Owner::Is(mac_of(port)),
            None => Owner::Nobody,
        }
    }
}

/// The port may call the address its own.
fn is_own(world: &World, port: u8, address: IpAddr) -> bool {
    let ipv6 = address.is_ipv6();
    world.address(port, ipv6) == address
        || address == IpAddr::from(link_local(mac_of(port)))
        || shares(port) && shared(world.home(port), ipv6) == address
}

/// What nobody asked for tells nobody anything new; an answer to one goes there.
fn end_or_carry(world: &World, port: u8, to: MacAddress) -> Reaction {
    if to.is_group() {
        abroad(world, port, DropReason::OwnAddress)
    } else {
        pass_on(world, port, to)
    }
}

/// Nobody here needs to hear it; whoever is behind a foreign endpoint may.
fn abroad(world: &World, port: u8, reason: DropReason) -> Reaction {
    if world.foreign.contains(&world.home(port)) {
        Reaction::Heard([ABROAD].into())
    } else {
        Reaction::Dropped(reason)
    }
}

/// An announcement goes to everybody; in a routed network only hosts hear of it.
fn announced(world: &World, port: u8) -> Reaction {
    if world.routed.contains(&world.home(port)) {
        Reaction::Heard(BTreeSet::new())
    } else {
        pass_on(world, port, MacAddress::BROADCAST)
    }
}

/// The MAC address that is told. In a routed network everybody sends to the gateway.
fn speaker(world: &World, port: u8, owner: &Owner) -> MacAddress {
    match owner {
        Owner::Is(mac) if !world.routed.contains(&world.home(port)) => *mac,
        _ => GATEWAY,
    }
}

/// To everybody else in the network, or to the one port that the frame is for.
fn pass_on(world: &World, port: u8, to: MacAddress) -> Reaction {
    let network = world.home(port);
    if world.routed.contains(&network) {
        return Reaction::Dropped(DropReason::NotRoutable);
    }
    let foreign = world.foreign.contains(&network);
    if to.is_group() {
        let others = world.members(network).filter(|other| *other != port);
        let others = others.filter(|other| !world.kept_apart(port, *other));
        return Reaction::Heard(others.chain(foreign.then_some(ABROAD)).collect());
    }
    match world.owner(network, to) {
        Some(other) if world.kept_apart(port, other) => Reaction::Dropped(DropReason::Isolated),
        Some(own) if own == port => Reaction::Dropped(DropReason::Hairpin),
        Some(other) => Reaction::Heard([other].into()),
        None if foreign => Reaction::Heard([ABROAD].into()),
        None => Reaction::Dropped(DropReason::UnknownUnicast),
    }
}

/// The advertisement that answers a solicitation (RFC 4861 section 7.2.4).
fn advertised(
    (asker, question): (MacAddress, &Neighbour),
    mac: MacAddress,
    router: bool,
) -> Vec<u8> {
    let probe = question.source.is_unspecified();
    let (to, destination) = if probe {
        (craft::group_mac(ALL_NODES), ALL_NODES)
    } else {
        (asker, question.source)
    };
    let solicited = if probe { 0 } else { 0x40 };
    let router = if router { 0x80 } else { 0 };
    let flags = 0x20 | solicited | router;
    let answer = Discovery::advertisement((mac, question.target), destination, flags);
    craft::ethernet(to, mac, craft::IPV6, &answer.packet())
}
