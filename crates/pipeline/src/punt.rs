//! Stage `punt`: hands requests that only a program can answer to the agent of the host.
//!
//! Reads the port's flags, and the address table for DNS. Messages of DHCP clients and router
//! solicitations are for whoever serves the network, DNS queries are for the agent when they go to
//! the gateway's address. The agent's answers leave by the port's device and never come through
//! here. Each port may ask so often; beyond that, and while the agent does not keep up, requests are
//! dropped: all of them are repeated by their senders.

use crate::{Fragment, Frame, Meta, Sink, Tables, Verdict};
use coax_tables::{AddressKey, AddressRow, DropReason, Limit, PortRow, PuntHeader, PuntKind, Rate};
use coax_wire::{Ethernet, ip};

/// How often a port may ask the agent.
pub const RATE: Rate = Rate::per_second(100, 50);

/// What any port asks of the agent.
const SERVED: u32 = (PortRow::DHCP_IPV4 | PortRow::DHCP_IPV6 | PortRow::DNS) as u32;

const ROUTER_SOLICITATION: u8 = 133;
const DHCP_IPV4_SERVER: u16 = 67;
const DHCP_IPV4_CLIENT: u16 = 68;
const DHCP_IPV6_SERVER: u16 = 547;
const DOMAIN: u16 = 53;

/// True when the agent may have to answer the frame. Tags that a network carries for its VMs lead to
/// networks that are not the host's business.
#[inline(always)]
pub(crate) const fn is_served(meta: &Meta) -> bool {
    meta.port_flags & SERVED != 0 && meta.is(Meta::IP) && meta.tag_count == 0
}

/// Runs the stage.
#[inline(always)]
pub(crate) fn run<F: Frame, T: Tables, S: Sink>(
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    match wanted(frame, tables, meta) {
        Some(kind) => hand_over(frame, sink, meta, kind, tables.now()),
        None => Verdict::Next,
    }
}

#[inline(never)]
fn wanted<F: Frame, T: Tables>(frame: &F, tables: &T, meta: &Meta) -> Option<PuntKind> {
    if meta.transport == 0 || meta.fragment != Fragment::Whole {
        return None;
    }
    let serves = |flag: u16| meta.port_flags & u32::from(flag) != 0;
    if meta.protocol == ip::protocol::ICMPV6 && meta.is(Meta::IPV6) {
        // RFC 4861 section 6.1.1; what is not genuine goes where the group's packets go.
        let genuine = frame.read::<u8>(Ethernet::LENGTH + 7) == Some(255);
        let kind = frame.read_at::<[u8; 2]>(meta.transport)?;
        return (serves(PortRow::DHCP_IPV6) && genuine && kind == [ROUTER_SOLICITATION, 0])
            .then_some(PuntKind::RouterSolicitation);
    }
    if meta.protocol != ip::protocol::UDP {
        return None;
    }
    let [a, b, c, d] = meta.ports;
    let source = u16::from_be_bytes([a, b]);
    match u16::from_be_bytes([c, d]) {
        DHCP_IPV4_SERVER if source == DHCP_IPV4_CLIENT && !meta.is(Meta::IPV6) => {
            serves(PortRow::DHCP_IPV4).then_some(PuntKind::DhcpIpv4)
        }
        DHCP_IPV6_SERVER if meta.is(Meta::IPV6) => {
            serves(PortRow::DHCP_IPV6).then_some(PuntKind::DhcpIpv6)
        }
        DOMAIN if serves(PortRow::DNS) => {
            let key = AddressKey {
                address: meta.destination,
                network: meta.network,
            };
            let gateway = tables.address(&key)?.has(AddressRow::ROUTER);
            gateway.then_some(PuntKind::Dns)
        }
        _ => None,
    }
}

#[inline(never)]
fn hand_over<F: Frame, S: Sink>(
    frame: &mut F,
    sink: &S,
    meta: &mut Meta,
    kind: PuntKind,
    now: u64,
) -> Verdict {
    if !sink.permit(Limit::Punt, meta.slot, &RATE, now) {
        return meta.drop(DropReason::PuntLimit);
    }
    let header = PuntHeader {
        ifindex: meta.ifindex,
        slot: meta.slot,
        network: meta.network,
        kind: kind as u32,
        length: 0,
        vlan: meta.trunk_vlan.into(),
    };
    match frame.punt(&header) {
        Ok(()) => Verdict::Punt,
        Err(_) => meta.drop(DropReason::PuntLimit),
    }
}
