//! Stage `route`: sends a packet on from the network that it came from into the one where its
//! destination is.
//!
//! Frames reach it by the MAC address of the gateway, which is the same on every host, so the host of
//! the sender routes and the packet takes one hop. Reads the route table of the network's router, then
//! who owns the next hop's address there, then where that MAC address lives. Writes hops, MAC
//! addresses and the place. Answers for the gateway itself: echoes, and errors about packets that
//! cannot go on (RFC 1812 section 4.3, RFC 4443 section 3), which come from the gateway's address in
//! the sender's network.
//!
//! Isolated ports of a network do not reach each other by way of its gateway either.
//!
//! A network of the routed kind looks like a link to its VMs though every packet passes here: inside
//! of it hops are not counted, and link-local addresses are reached.

use crate::{
    Fragment, Frame, Meta, Sink, Tables, Verdict, deliver, forward,
    icmp_error::{self, Problem},
    mtu, resolve,
};
use coax_tables::{
    AddressKey, AddressRow, DropReason, Limit, MacKey, MacRow, NetworkId, PortRow, RouteKey,
    RouteRow,
};
use coax_wire::{Ethernet, MacAddress, checksum::replaced, icmp::Echo, ip, words};

/// Where a packet goes next.
struct Hop {
    network: NetworkId,
    address: [u8; 16],
    /// The address is the packet's own destination.
    last: bool,
}

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if !meta.is(Meta::IP) || meta.tag_count > 0 || !is_routable(meta) {
        return meta.drop(DropReason::NotRoutable);
    }
    let Some(hop) = next_hop(tables, meta) else {
        return refuse(tables, meta, DropReason::NoRoute, Problem::NoRoute);
    };
    let key = AddressKey {
        address: hop.address,
        network: hop.network,
    };
    let Some(owner) = tables.address(&key) else {
        return refuse(tables, meta, DropReason::NoNeighbour, Problem::NoHost);
    };
    if owner.has(AddressRow::ROUTER) {
        return if hop.last {
            arrived(frame, tables, sink, meta)
        } else {
            refuse(tables, meta, DropReason::NoNeighbour, Problem::NoHost)
        };
    }
    let Some(place) = tables.mac(&MacKey::new(hop.network, owner.mac)) else {
        return refuse(tables, meta, DropReason::NoNeighbour, Problem::NoHost);
    };
    send_on(frame, tables, meta, hop.network, (owner.mac, place))
}

/// The packet goes on to the owner of a MAC address in a network, if nothing forbids it.
#[inline(always)]
fn send_on<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    meta: &mut Meta,
    network: NetworkId,
    (mac, place): (MacAddress, &MacRow),
) -> Verdict {
    let within = network == meta.network;
    if within && place.has(MacRow::ISOLATED) && meta.is(Meta::ISOLATED) {
        return meta.drop(DropReason::Isolated);
    }
    let on_link = within && routed(meta);
    if !on_link && (is_link_local(&meta.destination, meta) || is_link_local(&meta.source, meta)) {
        return meta.drop(DropReason::NotRoutable);
    }
    // Two VLANs of a trunk are two ports of one device, and packets go from one to the other.
    if place.has(MacRow::ROUTER) || place.has(MacRow::LOCAL) && place.slot == meta.slot {
        return meta.drop(DropReason::Hairpin);
    }
    if meta.packet_length > place.mtu {
        mtu::measure(frame, meta);
        if meta.packet_length > place.mtu {
            meta.mtu = place.mtu;
            return refuse(tables, meta, DropReason::TooBig, Problem::TooBig);
        }
    }
    let counted = if on_link {
        Ok(())
    } else {
        count_hop(frame, meta)
    };
    match counted {
        Ok(()) => {}
        Err(DropReason::TimeToLive) => {
            return refuse(tables, meta, DropReason::TimeToLive, Problem::TimeExceeded);
        }
        Err(reason) => return meta.drop(reason),
    }
    meta.ethernet.source = meta.ethernet.destination;
    meta.ethernet.destination = mac;
    meta.network = network;
    if !within {
        // Ports are isolated from others of their own network.
        meta.flags &= !Meta::ISOLATED;
    }
    forward::to_place(place, meta);
    if meta.is(Meta::TO_TUNNEL) {
        // The tunnel's headers bring the Ethernet header with them.
        return Verdict::Next;
    }
    match frame.header::<Ethernet>(0) {
        Some(header) => meta.ethernet.put(header),
        None => return meta.drop(DropReason::RewriteFailed),
    }
    Verdict::Next
}

#[inline(always)]
const fn routed(meta: &Meta) -> bool {
    meta.port_flags & PortRow::ROUTED as u32 != 0
}

/// Addresses that a router may carry packets between (RFC 1812 sections 4.2.2.11 and 5.3.7, RFC 4291
/// sections 2.4 and 2.5.5): no groups, nothing that means "this host" or "nobody", and no IPv4 address
/// in an IPv6 header, which would be taken for one in an IPv4 header.
#[inline(always)]
fn is_routable(meta: &Meta) -> bool {
    let (source, destination) = (&meta.source, &meta.destination);
    if meta.is(Meta::IPV6) {
        let disguised = |address: &[u8; 16]| address[..8] == [0; 8] && address[8..10] == [0; 2];
        return source[0] != 0xff
            && destination[0] != 0xff
            && !disguised(source)
            && !disguised(destination);
    }
    let unicast = |first: u8| first != 0 && first != 127 && first < 224;
    unicast(source[12]) && unicast(destination[12])
}

#[inline(always)]
fn is_link_local(address: &[u8; 16], meta: &Meta) -> bool {
    if meta.is(Meta::IPV6) {
        address[0] == 0xfe && address[1] & 0xc0 == 0x80
    } else {
        address[12] == 169 && address[13] == 254
    }
}

#[inline(always)]
fn next_hop<T: Tables>(tables: &T, meta: &Meta) -> Option<Hop> {
    let here = Hop {
        network: meta.network,
        address: meta.destination,
        last: true,
    };
    // What is only valid on the link is looked up there; no route leads to it.
    if is_link_local(&meta.destination, meta) {
        return Some(here);
    }
    let Some(route) = tables.route(&RouteKey::new(meta.scope, meta.destination, 128)) else {
        return is_own_gateway(tables, meta).then_some(here);
    };
    if route.has(RouteRow::UNREACHABLE) || is_of_other_family(&route.gateway, meta) {
        return None;
    }
    let last = route.gateway == [0; 16];
    Some(Hop {
        network: route.network,
        address: if last {
            meta.destination
        } else {
            route.gateway
        },
        last,
    })
}

/// A prefix over IPv6 that is shorter than that of mapped addresses, such as the one to everywhere, is no
/// way for packets over IPv4.
#[inline(always)]
fn is_of_other_family(gateway: &[u8; 16], meta: &Meta) -> bool {
    !meta.is(Meta::IPV6) && *gateway != [0; 16] && !ip::is_mapped(gateway)
}

/// A gateway that only serves its own network has no routes, not even to itself.
#[inline(never)]
fn is_own_gateway<T: Tables>(tables: &T, meta: &Meta) -> bool {
    let key = AddressKey {
        address: meta.destination,
        network: meta.network,
    };
    matches!(tables.address(&key), Some(owner) if owner.has(AddressRow::ROUTER))
}

/// Takes one hop from the packet.
#[inline(always)]
fn count_hop<F: Frame>(frame: &mut F, meta: &Meta) -> Result<(), DropReason> {
    if meta.is(Meta::IPV6) {
        let header = frame
            .header::<ip::Ipv6>(Ethernet::LENGTH)
            .ok_or(DropReason::RewriteFailed)?;
        if header.hop_limit <= 1 {
            return Err(DropReason::TimeToLive);
        }
        header.hop_limit -= 1;
        return Ok(());
    }
    let header = frame
        .header::<ip::Ipv4>(Ethernet::LENGTH)
        .ok_or(DropReason::RewriteFailed)?;
    // RFC 1812 section 5.2.2. The sum over options is the receiver's to check: it stays as wrong or
    // right as it is.
    if header.header_length() == ip::Ipv4::LENGTH && !mtu::has_right_checksum(header) {
        return Err(DropReason::Malformed);
    }
    if header.time_to_live <= 1 {
        return Err(DropReason::TimeToLive);
    }
    let old = u16::from_be_bytes([header.time_to_live, header.protocol]);
    header.time_to_live -= 1;
    let new = u16::from_be_bytes([header.time_to_live, header.protocol]);
    header.checksum = replaced(header.checksum, old, new);
    Ok(())
}

/// Drops the packet, of which the sender hears in the name of the gateway of its network. Where the
/// gateway has no address of the family, nobody speaks.
#[inline(never)]
fn refuse<T: Tables>(tables: &T, meta: &mut Meta, reason: DropReason, problem: Problem) -> Verdict {
    meta.reason = reason;
    let Some(network) = tables.network(&meta.network) else {
        return Verdict::Drop;
    };
    let speaks = if meta.is(Meta::IPV6) {
        words::copy(&network.gateway_ipv6, &mut meta.speaker);
        network.gateway_ipv6 != [0; 16]
    } else {
        meta.speaker = ip::mapped(network.gateway_ipv4);
        network.gateway_ipv4 != [0; 4]
    };
    if speaks {
        meta.tell(problem);
    }
    Verdict::Drop
}

/// The packet is for the router itself, which answers echoes and says of all else that it is not
/// served.
#[inline(never)]
fn arrived<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    meta.reason = DropReason::NotServed;
    if meta.fragment != Fragment::Whole || meta.transport == 0 || meta.is(Meta::OBSCURE) {
        return Verdict::Drop;
    }
    let (icmp, request) = if meta.is(Meta::IPV6) {
        (ip::protocol::ICMPV6, Echo::REQUEST_V6)
    } else {
        (ip::protocol::ICMP, Echo::REQUEST)
    };
    let now = tables.now();
    if meta.protocol == icmp {
        let Some(echo) = frame.read_at::<Echo>(meta.transport) else {
            return Verdict::Drop;
        };
        if (echo.kind, echo.code) != (request, 0) {
            return Verdict::Drop;
        }
        if !sink.permit(Limit::Answer, meta.slot, &resolve::RATE, now) {
            return meta.drop(DropReason::AnswerLimit);
        }
        return echo_back(frame, meta, echo);
    }
    words::copy(&meta.destination, &mut meta.speaker);
    let problem = match meta.protocol {
        ip::protocol::TCP | ip::protocol::UDP => Problem::NoPort,
        _ => Problem::NoProtocol,
    };
    meta.tell(problem);
    Verdict::Drop
}

/// Turns an echo request into its reply (RFC 792, RFC 4443 section 4.2).
#[inline(never)]
fn echo_back<F: Frame>(frame: &mut F, meta: &mut Meta, mut echo: Echo) -> Verdict {
    let ipv6 = meta.is(Meta::IPV6);
    let reply = if ipv6 { Echo::REPLY_V6 } else { Echo::REPLY };
    let old = u16::from_be_bytes([echo.kind, echo.code]);
    echo.kind = reply;
    let new = u16::from_be_bytes([echo.kind, echo.code]);
    // Source and destination change places, which no sum over both notices.
    echo.checksum = replaced(echo.checksum, old, new);
    let ethernet = Ethernet {
        destination: meta.ethernet.source,
        source: meta.ethernet.destination,
        ethertype: meta.ethernet.ethertype,
    };
    let turned = if ipv6 {
        turn_ipv6(frame)
    } else {
        turn_ipv4(frame)
    };
    if !turned || frame.write(meta.transport, &echo).is_err() || frame.write(0, &ethernet).is_err()
    {
        return meta.drop(DropReason::RewriteFailed);
    }
    let length = frame.length();
    deliver::answer(frame, meta, length)
}

#[inline(always)]
fn turn_ipv4<F: Frame>(frame: &mut F) -> bool {
    let Some(header) = frame.header::<ip::Ipv4>(Ethernet::LENGTH) else {
        return false;
    };
    core::mem::swap(&mut header.source, &mut header.destination);
    let old = u16::from_be_bytes([header.time_to_live, header.protocol]);
    header.time_to_live = icmp_error::HOPS;
    let new = u16::from_be_bytes([header.time_to_live, header.protocol]);
    header.checksum = replaced(header.checksum, old, new);
    true
}

#[inline(always)]
fn turn_ipv6<F: Frame>(frame: &mut F) -> bool {
    let Some(header) = frame.header::<ip::Ipv6>(Ethernet::LENGTH) else {
        return false;
    };
    core::mem::swap(&mut header.source, &mut header.destination);
    header.hop_limit = icmp_error::HOPS;
    true
}
