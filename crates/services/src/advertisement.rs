//! Router advertisements (RFC 4861 section 4.2), asked for and unasked: prefixes, MTU, resolvers (RFC 8106), and whether
//! there is a router at all.
//!
//! Addresses are assigned by the manager and come by DHCPv6, so prefixes are on-link but not for autoconfiguration: an
//! address that a VM made up would be one that its port may not send from.

use std::net::Ipv6Addr;
use std::time::Duration;

use coax_wire::MacAddress;
use hickory_proto::rr::Name;
use zerocopy::IntoBytes;

use crate::outcome::{Answer, Outcome, Reason, Request};
use crate::packet::{Addresses, Envelope, HOP_LIMIT, Packet};
use crate::settings::{Asker, Network, Port};
use crate::zone;

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// Bytes of a solicitation without options.
const SOLICITATION_LENGTH: usize = 8;
/// `ff02::1`, all nodes.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The hop limit that VMs are to use (RFC 4861 section 6.2.1).
const CURRENT_HOP_LIMIT: u8 = 64;
/// Addresses come by DHCPv6.
const MANAGED: u8 = 0x80;
/// Other settings come by DHCPv6.
const OTHER: u8 = 0x40;
/// The prefix is on-link.
const ON_LINK: u8 = 0x80;
/// How long a VM takes us for a router without hearing from us: three times the longest pause.
const ROUTER_LIFETIME: Duration = Duration::from_secs(1800);
/// How long prefixes are on-link and preferred (RFC 4861 section 6.2.1).
const VALID_LIFETIME: u32 = 2_592_000;
const PREFERRED_LIFETIME: u32 = 604_800;
/// Prefixes in one advertisement: with all else they fit into the smallest MTU of IPv6.
const MOST_PREFIXES: usize = 16;

/// Kinds of options.
mod option {
    pub(super) const SOURCE_LINK_ADDRESS: u8 = 1;
    pub(super) const PREFIX: u8 = 3;
    pub(super) const MTU: u8 = 5;
    pub(super) const RESOLVERS: u8 = 25;
    pub(super) const SEARCH_LIST: u8 = 31;
}

/// Answers an ICMPv6 message.
pub(crate) fn answer(packet: &Packet<'_>, message: &[u8], asker: &Asker<'_>) -> Answer {
    if message.first() != Some(&SOLICITATION) {
        return Answer::ignored(Request::Other, Reason::NotARequest);
    }
    let of = Request::RouterSolicitation;
    let Addresses::V6 { source, .. } = packet.addresses else {
        return Answer::malformed(of);
    };
    if packet.hop_limit != HOP_LIMIT || !is_legal(message, source) {
        return Answer::malformed(of);
    }
    if !asker.network.router_advertisements {
        return Answer::ignored(of, Reason::Off);
    }
    let receiver = (!source.is_unspecified()).then_some((source, packet.source_mac));
    match write(asker.port, asker.network, receiver, true) {
        None => Answer::ignored(of, Reason::NoAddress),
        frame => Answer {
            request: of,
            outcome: Outcome::Answered,
            frame,
        },
    }
}

/// An advertisement that nobody asked for. With `alive` false it is the last one, which says that there is no
/// router (RFC 4861 section 6.2.5). Nothing: the network has no IPv6 prefix.
pub fn advertise(port: &Port, network: &Network, alive: bool) -> Option<Vec<u8>> {
    write(port, network, None, alive)
}

/// RFC 4861 section 6.1.1, without the checksum: see the crate's text.
fn is_legal(message: &[u8], source: Ipv6Addr) -> bool {
    let Some((header, mut options)) = message.split_at_checked(SOLICITATION_LENGTH) else {
        return false;
    };
    if header.get(1) != Some(&0) {
        return false;
    }
    while let [kind, length, ..] = *options {
        if kind == option::SOURCE_LINK_ADDRESS && source.is_unspecified() {
            return false;
        }
        let rest = options.get(usize::from(length) * 8..);
        match rest.filter(|_| length != 0) {
            Some(rest) => options = rest,
            None => return false,
        }
    }
    options.is_empty()
}

fn write(
    port: &Port,
    network: &Network,
    receiver: Option<(Ipv6Addr, MacAddress)>,
    alive: bool,
) -> Option<Vec<u8>> {
    let prefixes: Vec<ipnet::Ipv6Net> = network
        .subnets
        .iter()
        .filter_map(|subnet| match subnet.prefix {
            ipnet::IpNet::V6(prefix) => Some(prefix),
            ipnet::IpNet::V4(_) => None,
        })
        .take(MOST_PREFIXES)
        .collect();
    if prefixes.is_empty() {
        return None;
    }
    let flags = network.dhcp.map_or(0, |_| MANAGED | OTHER);
    let is_router = alive && network.routed;
    let lifetime = if is_router {
        ROUTER_LIFETIME.as_secs() as u16
    } else {
        0
    };
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, CURRENT_HOP_LIMIT, flags];
    message.extend(lifetime.to_be_bytes());
    // Reachable time and retransmission timer: unspecified.
    message.extend([0; 8]);
    message.extend([option::SOURCE_LINK_ADDRESS, 1]);
    message.extend(network.gateway_mac.as_bytes());
    message.extend([option::MTU, 1, 0, 0]);
    message.extend(u32::from(network.mtu.get()).to_be_bytes());
    for prefix in prefixes {
        message.extend([option::PREFIX, 4, prefix.prefix_len(), ON_LINK]);
        message.extend(VALID_LIFETIME.to_be_bytes());
        message.extend(PREFERRED_LIFETIME.to_be_bytes());
        message.extend([0; 4]);
        message.extend(prefix.trunc().addr().octets());
    }
    push_resolvers(&mut message, network, alive);
    let (destination, destination_mac) =
        receiver.unwrap_or((ALL_NODES, MacAddress::ipv6_multicast(ALL_NODES.octets())));
    let envelope = Envelope {
        source_mac: network.gateway_mac,
        destination_mac,
        vlan: port.vlan,
        addresses: Addresses::V6 {
            source: network.server_ipv6(),
            destination,
        },
    };
    envelope.icmpv6(message)
}

/// RFC 8106 sections 5.1 and 5.2.
fn push_resolvers(message: &mut Vec<u8>, network: &Network, alive: bool) {
    let lifetime = if alive {
        ROUTER_LIFETIME.as_secs() as u32
    } else {
        0
    };
    let resolvers = network.resolvers_ipv6();
    let bytes: Vec<u8> = resolvers
        .iter()
        .flat_map(|resolver| resolver.octets())
        .collect();
    push_option(message, option::RESOLVERS, lifetime, &bytes);
    if network.dns.answered || network.dns.domain.is_some() {
        let names: Vec<u8> = zone::search(network).iter().flat_map(wire_form).collect();
        push_option(message, option::SEARCH_LIST, lifetime, &names);
    }
}

/// An option with a lifetime, filled up to a multiple of eight bytes. Without a value there is none.
fn push_option(message: &mut Vec<u8>, kind: u8, lifetime: u32, value: &[u8]) {
    let length = (8 + value.len()).div_ceil(8);
    let Ok(units) = u8::try_from(length) else {
        return;
    };
    if value.is_empty() {
        return;
    }
    message.extend([kind, units, 0, 0]);
    message.extend(lifetime.to_be_bytes());
    message.extend(value);
    message.extend(vec![0; length * 8 - 8 - value.len()]);
}

/// RFC 1035 section 3.1, without compression.
fn wire_form(name: &Name) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.iter() {
        // A label has at most 63 bytes.
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
