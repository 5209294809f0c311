//! Addresses that several ports share, and who has one now (VRRP, keepalived and their kin).
//!
//! Whoever takes an address over announces it: with ARP whose sender is its target (RFC 5227 section 3),
//! or with an unsolicited neighbour advertisement (RFC 4861 section 7.2.6). Only ports whose source rows
//! call the address shared are let do so, which the guard of the port checks. The announcement then
//! goes to everybody, and every host that it reaches notes the new owner; from the fabric only for
//! addresses that the host's own rows call shared. The sender's host notes it when `resolve` has found
//! nothing wrong with the message and `forward` sends it on: what ends before reaches nobody, and hosts have to
//! agree. Hosts that only route into the network hear of it, too ([`ReplicaRow::ANNOUNCED`](coax_tables::ReplicaRow)).
//! A MAC address that moves with the address (a virtual router's) is noted beside it.

use super::sources;
use crate::{Frame, Meta, Tables, guard};
use coax_tables::{AddressKey, AddressRow, MacKey, MacRow, SourceRow};
use coax_wire::icmp::Neighbour;
use coax_wire::{EtherType, Ethernet, MacAddress, arp::Arp, ip};

/// A port speaks to everybody of an address that it may use: if it is a shared one, that is an announcement.
#[inline(always)]
pub(crate) fn announces(meta: &mut Meta, row: &SourceRow) {
    if row.flags & SourceRow::SHARED != 0 && meta.ethernet.destination.is_group() {
        meta.flags |= Meta::ANNOUNCES;
    }
}

/// A port has announced the address that `resolve` has left in `meta`, and others hear of it.
#[inline(never)]
pub(crate) fn announced<T: Tables>(tables: &T, meta: &Meta) {
    let address = &meta.speaker;
    let Some(row) = sources::row(tables, meta, address) else {
        return;
    };
    let mac = row.mac;
    note(tables, meta, address, mac);
    let Some(port) = guard::port_row(tables, meta) else {
        return;
    };
    if mac == port.mac {
        return;
    }
    if let Some(own) = tables.mac(&MacKey::new(meta.network, port.mac)) {
        let row = MacRow {
            flags: own.flags | MacRow::LEARNED,
            ..*own
        };
        tables.set_mac(&MacKey::new(meta.network, mac), &row);
    }
}

/// A frame to a group came out of a tunnel: it may be an announcement. True if it is one of a shared address.
#[inline(never)]
pub(crate) fn heard<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &mut Meta) -> bool {
    // What goes to one address, or in a VLAN of the VM's own, its sender's host has not compared.
    if !meta.ethernet.destination.is_group() || guard::leads_elsewhere(meta) {
        return false;
    }
    let Some((address, mac)) = announcement(frame, meta) else {
        return false;
    };
    let key = AddressKey {
        address,
        network: meta.network,
    };
    match tables.address(&key) {
        Some(row) if row.has(AddressRow::SHARED) => {}
        _ => return false,
    }
    note(tables, meta, &address, mac);
    let key = MacKey::new(meta.network, mac);
    match tables.mac(&key) {
        Some(row) if !row.has(MacRow::LEARNED) => return true,
        _ => {}
    }
    let mtu = tables.network(&meta.network).map_or(0, |row| row.mtu);
    let row = MacRow {
        vtep: meta.vtep,
        mtu,
        flags: MacRow::LEARNED
            | if ip::is_mapped(&meta.vtep) {
                0
            } else {
                MacRow::IPV6
            },
        ..MacRow::default()
    };
    tables.set_mac(&key, &row);
    true
}

#[inline(always)]
fn note<T: Tables>(tables: &T, meta: &Meta, address: &[u8; 16], mac: MacAddress) {
    let key = AddressKey {
        address: *address,
        network: meta.network,
    };
    let row = AddressRow {
        mac,
        flags: AddressRow::SHARED,
    };
    tables.set_address(&key, &row);
}

/// What a frame from the fabric announces: an address and the MAC address that has it. Its sender's
/// host has compared the senders in it.
#[inline(always)]
fn announcement<F: Frame>(frame: &F, meta: &Meta) -> Option<([u8; 16], MacAddress)> {
    if meta.ethernet.ethertype == EtherType::ARP {
        let packet = frame.read::<Arp>(Ethernet::LENGTH)?;
        let announces = packet.is_ipv4_over_ethernet() && packet.sender == packet.target;
        return announces.then(|| (ip::mapped(packet.sender), packet.sender_mac));
    }
    if meta.ethernet.ethertype != EtherType::IPV6 {
        return None;
    }
    let next = frame.read::<u8>(Ethernet::LENGTH + 6)?;
    let message = frame.read::<Neighbour>(Ethernet::LENGTH + ip::Ipv6::LENGTH)?;
    let announces = next == ip::protocol::ICMPV6
        && message.kind == Neighbour::ADVERTISEMENT
        && message.flags[0] & Neighbour::SOLICITED == 0;
    announces.then_some((message.target, meta.ethernet.source))
}
