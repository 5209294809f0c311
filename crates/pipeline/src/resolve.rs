//! Stage `resolve`: answers ARP and neighbour discovery at the edge.
//!
//! Reads the address table. The manager knows every address of a network, so a question is
//! answered on the sender's own host and no ARP or neighbour solicitation crosses the fabric.
//! Foreign VTEPs are the exception: what lives behind them is not known, so unanswered questions
//! and announcements go to them, and only to them. Link-local IPv6 addresses that the manager
//! does not know are asked of everybody: nobody assigns them.
//!
//! A shared address that nobody has announced yet is asked of everybody too, and an announcement of one
//! goes to everybody. On a routed network every answer names the gateway's MAC address, so that all
//! packets come to `route`.
//!
//! A host's own probes and announcements are never answered (RFC 5227, RFC 4862 section 5.4).

use crate::{Frame, Meta, Sink, Tables, Verdict};
use coax_tables::{AddressKey, AddressRow, DropReason, Limit, PortRow, Rate};
use coax_wire::{
    EtherType, Ethernet, MacAddress,
    arp::Arp,
    checksum::Checksum,
    icmp::{LinkAddressOption, Neighbour},
    ip,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// How many questions of a port are answered.
pub const RATE: Rate = Rate::per_second(1000, 500);

const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// A solicitation or an advertisement with a link-layer address: both are equally long, so one
/// becomes the other in place.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Discovery {
    ethernet: Ethernet,
    ip: ip::Ipv6,
    neighbour: Neighbour,
    option: LinkAddressOption,
}

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    if meta.ethernet.ethertype == EtherType::ARP {
        return arp(frame, tables, sink, meta);
    }
    if meta.is(Meta::IPV6) {
        // Next header of the base header: discovery never hides behind extension headers here.
        if let Some(ip::protocol::ICMPV6) = frame.read::<u8>(Ethernet::LENGTH + 6) {
            return discovery(frame, tables, sink, meta);
        }
    }
    Verdict::Next
}

#[inline(never)]
fn arp<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let Some(question) = frame.read::<Arp>(Ethernet::LENGTH) else {
        return meta.drop(DropReason::Truncated);
    };
    if !question.is_ipv4_over_ethernet() {
        meta.flags &= !Meta::ANNOUNCES;
        return Verdict::Next;
    }
    if meta.is(Meta::ANNOUNCES) {
        meta.speaker = ip::mapped(question.target);
        return Verdict::Next;
    }
    if question.operation != Arp::REQUEST {
        return if meta.ethernet.destination.is_group() {
            abroad(meta, DropReason::OwnAddress)
        } else {
            Verdict::Next
        };
    }
    let key = AddressKey {
        address: ip::mapped(question.target),
        network: meta.network,
    };
    let Some(owner) = tables.address(&key) else {
        // Whoever announces its own address asks for nothing.
        if question.sender == question.target {
            return abroad(meta, DropReason::UnknownAddress);
        }
        meta.source = ip::mapped(question.sender);
        meta.speaker = key.address;
        return unknown(meta);
    };
    if owner.mac == MacAddress::default() {
        return Verdict::Next;
    }
    if owner.mac == meta.ethernet.source {
        return abroad(meta, DropReason::OwnAddress);
    }
    if !may_answer(tables, sink, meta) {
        return meta.drop(DropReason::AnswerLimit);
    }
    let owner = speaker(tables, meta, owner);
    let ethernet = Ethernet {
        destination: meta.ethernet.source,
        source: owner,
        ethertype: EtherType::ARP,
    };
    let answer = Arp::new(
        Arp::REPLY,
        owner,
        question.target,
        question.sender_mac,
        question.sender,
    );
    if frame.write(0, &ethernet).is_err() || frame.write(Ethernet::LENGTH, &answer).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    let length = frame.length();
    crate::deliver::answer(frame, meta, length)
}

#[inline(never)]
fn discovery<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let kind = match frame.read::<u8>(Ethernet::LENGTH + ip::Ipv6::LENGTH) {
        Some(kind @ (Neighbour::SOLICITATION | Neighbour::ADVERTISEMENT)) => kind,
        _ => return Verdict::Next,
    };
    let announcement = kind == Neighbour::ADVERTISEMENT;
    if announcement && !meta.ethernet.destination.is_group() {
        return Verdict::Next;
    }
    if !read_genuine(frame, meta) {
        return meta.drop(DropReason::Malformed);
    }
    let Ok((message, _)) = Discovery::mut_from_prefix(&mut meta.scratch) else {
        return Verdict::Next;
    };
    let target = message.neighbour.target;
    if meta.is(Meta::ANNOUNCES) {
        meta.speaker = target;
        return Verdict::Next;
    }
    let Some(owner) = tables.address(&AddressKey {
        address: target,
        network: meta.network,
    }) else {
        let link_local = target[0] == 0xfe && target[1] & 0xc0 == 0x80;
        if link_local {
            return Verdict::Next;
        }
        if announcement {
            return abroad(meta, DropReason::UnknownAddress);
        }
        meta.speaker = target;
        return unknown(meta);
    };
    if owner.mac == MacAddress::default() {
        return Verdict::Next;
    }
    if owner.mac == meta.ethernet.source || announcement {
        return abroad(meta, DropReason::OwnAddress);
    }
    if !may_answer(tables, sink, meta) {
        return meta.drop(DropReason::AnswerLimit);
    }
    let router = owner.has(AddressRow::ROUTER);
    let owner = speaker(tables, meta, owner);
    advertise(frame, meta, owner, router)
}

/// Reads the message to the scratch memory and checks it as RFC 4861 section 7.1 asks: hop limit
/// 255, code 0, a right checksum. The checksum of messages with more than one option is the
/// receiver's to check.
#[inline(never)]
fn read_genuine<F: Frame>(frame: &F, meta: &mut Meta) -> bool {
    let Ok((message, _)) = Discovery::mut_from_prefix(&mut meta.scratch) else {
        return false;
    };
    let at = Ethernet::LENGTH + ip::Ipv6::LENGTH;
    if !frame.copy_to(Ethernet::LENGTH, &mut message.ip)
        || !frame.copy_to(at, &mut message.neighbour)
        || message.ip.hop_limit != 255
        || message.neighbour.code != 0
    {
        return false;
    }
    let length = u16::from_be_bytes(message.ip.payload_length);
    if length > 32 {
        return true;
    }
    message.option = LinkAddressOption::default();
    if length == 32 && !frame.copy_to(at + Neighbour::LENGTH, &mut message.option) {
        return false;
    }
    let sum = pseudo_header(&message.ip, length)
        .word(u16::from_be_bytes([
            message.neighbour.kind,
            message.neighbour.code,
        ]))
        .bytes(&message.neighbour.checksum)
        .bytes(&message.neighbour.flags)
        .bytes(&message.neighbour.target)
        .word(u16::from_be_bytes([
            message.option.kind,
            message.option.length,
        ]))
        .bytes(&message.option.mac.0);
    (length == 24 || length == 32) && sum.finish() == [0, 0]
}

/// Turns the solicitation in the scratch memory into the owner's advertisement.
#[inline(never)]
fn advertise<F: Frame>(frame: &mut F, meta: &mut Meta, owner: MacAddress, router: bool) -> Verdict {
    let asker = meta.ethernet.source;
    let Ok((message, _)) = Discovery::mut_from_prefix(&mut meta.scratch) else {
        return Verdict::Next;
    };
    // Somebody without an address asks whether he may have this one: the whole network hears that
    // he may not (RFC 4861 section 7.2.4).
    let probe = message.ip.source == [0; 16];
    let length = (size_of::<Neighbour>() + size_of::<LinkAddressOption>()) as u16;
    message.ethernet = Ethernet {
        destination: if probe {
            MacAddress::ipv6_multicast(ALL_NODES)
        } else {
            asker
        },
        source: owner,
        ethertype: EtherType::IPV6,
    };
    message.ip.version_class_flow = ip::Ipv6::first_word(0, 0);
    message.ip.payload_length = length.to_be_bytes();
    message.ip.destination = if probe { ALL_NODES } else { message.ip.source };
    message.ip.source = message.neighbour.target;
    message.neighbour.kind = Neighbour::ADVERTISEMENT;
    message.neighbour.flags = [
        Neighbour::OVERRIDE
            | if probe { 0 } else { Neighbour::SOLICITED }
            | if router { Neighbour::ROUTER } else { 0 },
        0,
        0,
        0,
    ];
    message.option = LinkAddressOption {
        kind: LinkAddressOption::TARGET,
        length: 1,
        mac: owner,
    };
    message.neighbour.checksum = pseudo_header(&message.ip, length)
        .word(u16::from_be_bytes([Neighbour::ADVERTISEMENT, 0]))
        .bytes(&message.neighbour.flags)
        .bytes(&message.neighbour.target)
        .word(u16::from_be_bytes([LinkAddressOption::TARGET, 1]))
        .bytes(&owner.0)
        .finish();
    let bytes = size_of::<Discovery>() as u32;
    let sized = frame.length() == bytes || frame.resize(bytes).is_ok();
    if !sized || frame.write(0, message).is_err() {
        return meta.drop(DropReason::RewriteFailed);
    }
    crate::deliver::answer(frame, meta, bytes)
}

#[inline(always)]
fn pseudo_header(packet: &ip::Ipv6, length: u16) -> Checksum {
    Checksum::new()
        .bytes(&packet.source)
        .bytes(&packet.destination)
        .word(length)
        .word(u16::from(ip::protocol::ICMPV6))
}

/// Each answer costs a lookup or two, and a port that asks for everything gets so many.
#[inline(always)]
fn may_answer<T: Tables, S: Sink>(tables: &T, sink: &S, meta: &Meta) -> bool {
    sink.permit(Limit::Answer, meta.slot, &RATE, tables.now())
}

/// The MAC address that is told: the owner's, or on a routed network the gateway's, which is the only
/// one that anybody there sends to.
#[inline(always)]
fn speaker<T: Tables>(tables: &T, meta: &Meta, owner: &AddressRow) -> MacAddress {
    if meta.port_flags & u32::from(PortRow::ROUTED) != 0
        && let Some(network) = tables.network(&meta.network)
    {
        return network.gateway_mac;
    }
    owner.mac
}

/// Nobody is known to have the address. The agent hears who asked for which: it may learn of the owner in a moment. It does not
/// hear of the VM's own tags, and an answer without them would be none.
#[inline(always)]
fn unknown(meta: &mut Meta) -> Verdict {
    if meta.tag_count == 0 {
        meta.flags |= Meta::ASKS;
    }
    abroad(meta, DropReason::UnknownAddress)
}

/// Sends the frame on to foreign VTEPs only; without any it ends for `reason`.
#[inline(always)]
fn abroad(meta: &mut Meta, reason: DropReason) -> Verdict {
    meta.flags |= Meta::FOREIGN_ONLY;
    meta.reason = reason;
    Verdict::Next
}
