//! Any bytes as one frame, over rows on which every kind of frame gets somewhere.

use super::{NETWORKS, ipv4, ipv6, link_local, mac};
use crate::rows::Receiver;
use crate::stand::{Vtep, host_row};
use crate::{Device, Enters, Scenario, SimRows, Stand};
use coax_tables::{MacRow, PortRow, TunnelRow};
use coax_wire::ip;

const MTU: u32 = 1280;

/// The first byte says where the frame enters and whether its network carries tags; the rest is
/// the frame.
pub fn raw(bytes: &[u8], stand: &Stand) -> Scenario {
    let (choice, frame) = match bytes.split_first() {
        Some((first, rest)) => (*first, rest),
        None => (0, bytes),
    };
    let device = if choice & 1 == 0 {
        Device::Vm1
    } else {
        Device::Up1
    };
    let mut enters = Enters::new(device, frame.to_vec());
    if choice & 4 != 0 {
        enters = enters.of_segments(u32::from(choice) * 40);
    }
    Scenario {
        rows: rows(choice & 2 != 0, choice & 8 != 0, stand),
        frames: vec![enters],
        exhausted: Vec::new(),
    }
}

fn rows(tags: bool, guarded: bool, stand: &Stand) -> SimRows {
    let network = NETWORKS[0];
    let mut rows = SimRows::new(host_row());
    let mut receivers = Vec::new();
    for (vm, device) in (1..).zip([Device::Vm1, Device::Vm2, Device::Vm3]) {
        let (ifindex, slot) = (stand.index(device), u32::from(vm));
        let tagged = if tags { PortRow::VLAN_TRANSPARENT } else { 0 };
        let port = PortRow {
            network,
            slot,
            mtu: MTU,
            mac: mac(vm),
            flags: tagged | PortRow::ANY_SOURCE | if guarded { 0 } else { PortRow::ANY_ADDRESS },
            ipv4: ipv4(vm).octets(),
            ipv6: ipv6(vm).octets(),
            shut_seconds: 1000,
            ..PortRow::default()
        };
        rows.port(ifindex, port);
        let local = MacRow {
            ifindex,
            slot,
            mtu: MTU,
            flags: MacRow::LOCAL,
            ..MacRow::default()
        };
        rows.mac(network, mac(vm), local);
        receivers.push(Receiver::Port { ifindex, slot });
    }
    for (vm, over_ipv6, flags) in [(4, false, 0), (5, true, MacRow::FORWARD)] {
        let remote = MacRow {
            vtep: Vtep::PEER.row(over_ipv6),
            mtu: MTU,
            flags: flags | if over_ipv6 { MacRow::IPV6 } else { 0 },
            ..MacRow::default()
        };
        rows.mac(network, mac(vm), remote);
        receivers.push(Receiver::Host(Vtep::PEER.row(over_ipv6)));
        receivers.push(Receiver::Foreign(Vtep::FOREIGN.row(over_ipv6)));
        let tagged = if tags { TunnelRow::VLAN_TRANSPARENT } else { 0 };
        rows.tunnel(Vtep::PEER.row(over_ipv6), network, tagged);
    }
    for vm in 1..=5 {
        rows.address(network, ip::mapped(ipv4(vm).octets()), mac(vm));
        rows.address(network, ipv6(vm).octets(), mac(vm));
        rows.address(network, link_local(vm).octets(), mac(vm));
    }
    rows.network(network, MTU, 0, &receivers);
    rows
}
