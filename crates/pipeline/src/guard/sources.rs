//! From which IP addresses a port may send: those in its row, the link-local address of its MAC
//! address, and those in the source table.
//!
//! A few messages have no sender yet. Over IPv4 they are those of DHCP clients and IGMP
//! (RFC 2131 section 4.1, RFC 4541 section 2.1.1); over IPv6 router solicitations, duplicate address
//! detection and multicast listener reports (RFC 4861 sections 4.1 and 4.3, RFC 3590).

use crate::{Frame, Meta, Tables};
use coax_tables::{SourceKey, SourceRow};
use coax_wire::ip;

const DHCP_SERVER: [u8; 2] = 67u16.to_be_bytes();
const IGMP: u8 = 2;

const LISTENER_REPORT_1: u8 = 131;
const LISTENER_DONE_1: u8 = 132;
const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const LISTENER_REPORT_2: u8 = 143;

/// The sender is in the port's row: nearly every packet of nearly every port.
#[inline(always)]
pub(crate) fn is_own(meta: &Meta) -> bool {
    if meta.is(Meta::IPV6) {
        meta.source == meta.own_ipv6 && meta.own_ipv6 != [0; 16]
    } else {
        let [.., a, b, c, d] = meta.source;
        [a, b, c, d] == meta.own_ipv4 && meta.own_ipv4 != [0; 4]
    }
}

/// The port may use the sender of the packet for another reason.
#[inline(never)]
pub(crate) fn is_allowed<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &Meta) -> bool {
    let unspecified = if meta.is(Meta::IPV6) {
        [0; 16]
    } else {
        ip::mapped([0; 4])
    };
    if meta.source == unspecified {
        return may_have_no_sender(frame, meta);
    }
    may_use(tables, meta, &meta.source)
}

/// The port may use the address, which is not the one in its row.
#[inline(always)]
pub(crate) fn may_use<T: Tables>(tables: &T, meta: &Meta, address: &[u8; 16]) -> bool {
    *address == ip::link_local(meta.ethernet.source) || row(tables, meta, address).is_some()
}

/// What the source table says of the address for this port.
#[inline(always)]
pub(crate) fn row<'a, T: Tables>(
    tables: &'a T,
    meta: &Meta,
    address: &[u8; 16],
) -> Option<&'a SourceRow> {
    tables.source(&SourceKey {
        address: *address,
        slot: meta.slot,
    })
}

/// The port may send with this MAC address, which is not its own.
#[inline(never)]
pub(crate) fn may_use_mac<T: Tables>(tables: &T, meta: &Meta) -> bool {
    let mac = meta.ethernet.source;
    matches!(tables.source(&SourceKey::of_mac(meta.slot, mac)), Some(row) if row.mac == mac)
}

#[inline(always)]
fn may_have_no_sender<F: Frame>(frame: &F, meta: &Meta) -> bool {
    match meta.protocol {
        ip::protocol::UDP => !meta.is(Meta::IPV6) && [meta.ports[2], meta.ports[3]] == DHCP_SERVER,
        IGMP => !meta.is(Meta::IPV6),
        ip::protocol::ICMPV6 => matches!(
            frame.read_at::<u8>(meta.transport),
            Some(
                LISTENER_REPORT_1
                    | LISTENER_DONE_1
                    | ROUTER_SOLICITATION
                    | NEIGHBOUR_SOLICITATION
                    | LISTENER_REPORT_2
            )
        ),
        _ => false,
    }
}
