//! The network that the tests of the stages play in, and how they look at what happened.
//!
//! Network 7 with VMs 1 to 3 on the stand, VM 4 on the host `PEER` over IPv4, VM 5 on it over
//! IPv6. Each VM N has 10.0.0.N, fd00::N and fe80::N.

use crate::judge;
use coax_pipeline::{Stage, Verdict};
use coax_sim::craft::{self, Ipv4, Ipv6, Tunnel};
use coax_sim::golden::Case;
use coax_sim::noise::{ipv4, ipv6, link_local, mac};
use coax_sim::rows::Receiver;
use coax_sim::stand::{Vtep, host_row};
use coax_sim::{Device, Enters, Outcome, Scenario, SimRows, Stand, Tally};
use coax_tables::{DropReason, MacRow, NetworkId, PortRow};
use coax_wire::ip;
use std::collections::BTreeMap;

pub const NETWORK: NetworkId = NetworkId(7);
pub const MTU: u32 = 1500;
pub const VMS: [(u8, Device); 3] = [(1, Device::Vm1), (2, Device::Vm2), (3, Device::Vm3)];

pub fn index(device: Device) -> u32 {
    Stand::default().index(device)
}

/// The row of a port that nobody guards: other stages are tested with it.
pub fn port_row(vm: u8) -> PortRow {
    PortRow {
        network: NETWORK,
        slot: vm.into(),
        mtu: MTU,
        mac: mac(vm),
        flags: PortRow::ANY_ADDRESS | PortRow::SERVER,
        ..PortRow::default()
    }
}

pub fn local(vm: u8, device: Device) -> MacRow {
    MacRow {
        ifindex: index(device),
        slot: vm.into(),
        mtu: MTU,
        flags: MacRow::LOCAL,
        ..MacRow::default()
    }
}

pub fn remote(vtep: Vtep, over_ipv6: bool) -> MacRow {
    MacRow {
        vtep: vtep.row(over_ipv6),
        mtu: MTU,
        flags: if over_ipv6 { MacRow::IPV6 } else { 0 },
        ..MacRow::default()
    }
}

pub fn receiver(vm: u8, device: Device) -> Receiver {
    Receiver::Port {
        ifindex: index(device),
        slot: vm.into(),
    }
}

/// Rows of the whole network.
pub fn rows() -> SimRows {
    let mut rows = SimRows::new(host_row());
    for (vm, device) in VMS {
        rows.port(index(device), port_row(vm));
        rows.mac(NETWORK, mac(vm), local(vm, device));
    }
    rows.mac(NETWORK, mac(4), remote(Vtep::PEER, false));
    rows.mac(NETWORK, mac(5), remote(Vtep::PEER, true));
    for vm in 1..=5 {
        rows.address(NETWORK, ip::mapped(ipv4(vm).octets()), mac(vm));
        rows.address(NETWORK, ipv6(vm).octets(), mac(vm));
        rows.address(NETWORK, link_local(vm).octets(), mac(vm));
    }
    for over_ipv6 in [false, true] {
        rows.tunnel(Vtep::PEER.row(over_ipv6), NETWORK, 0);
    }
    let mut receivers: Vec<Receiver> = VMS.map(|(vm, device)| receiver(vm, device)).into();
    receivers.push(Receiver::Host(Vtep::PEER.row(false)));
    rows.network(NETWORK, MTU, 0, &receivers);
    rows
}

/// Rows of the network as one that carries tags.
pub fn transparent_rows() -> SimRows {
    let mut rows = rows();
    for row in rows.ports.values_mut() {
        row.flags |= PortRow::VLAN_TRANSPARENT;
    }
    for row in rows.tunnels.values_mut() {
        row.flags |= coax_tables::TunnelRow::VLAN_TRANSPARENT;
    }
    rows
}

/// A UDP datagram over IPv4 from one VM to another.
pub fn udp4(from: u8, to: u8, payload: usize) -> Vec<u8> {
    let (source, destination) = (ipv4(from), ipv4(to));
    let body = vec![b'x'; payload];
    let datagram = craft::udp((source.into(), 1000), (destination.into(), 2000), &body);
    let packet = Ipv4::new(source, destination, 17).packet(&datagram);
    craft::ethernet(mac(to), mac(from), craft::IPV4, &packet)
}

/// A UDP datagram over IPv6 from one VM to another.
pub fn udp6(from: u8, to: u8, payload: usize) -> Vec<u8> {
    let (source, destination) = (ipv6(from), ipv6(to));
    let body = vec![b'x'; payload];
    let datagram = craft::udp((source.into(), 1000), (destination.into(), 2000), &body);
    let packet = Ipv6::new(source, destination, 17).packet(&datagram);
    craft::ethernet(mac(to), mac(from), craft::IPV6, &packet)
}

/// A UDP datagram in this IPv4 packet.
pub fn in_ipv4(packet: &Ipv4, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = (packet.source.into(), packet.destination.into());
    packet.packet(&craft::udp((source, 1000), (destination, 2000), payload))
}

/// A UDP datagram in this IPv6 packet.
pub fn in_ipv6(packet: &Ipv6, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = (packet.source.into(), packet.destination.into());
    packet.packet(&craft::udp((source, 1000), (destination, 2000), payload))
}

/// A broadcast that nobody parses.
pub fn broadcast(from: u8) -> Vec<u8> {
    let everybody = coax_wire::MacAddress::BROADCAST;
    craft::ethernet(everybody, mac(from), craft::EXPERIMENT, b"to everybody")
}

/// A tunnel to this host from `PEER`.
pub fn tunnel(over_ipv6: bool) -> Tunnel {
    Tunnel::new(
        Vtep::PEER.address(over_ipv6),
        Vtep::OWN.address(over_ipv6),
        NETWORK.0,
    )
}

/// What became of a scenario.
pub struct Played {
    pub outcomes: Vec<Outcome>,
    pub tallies: BTreeMap<u32, Tally>,
}

/// Plays frames over rows, holds the result against the golden file `name`, and lets the judge
/// see everything that was sent.
pub fn play(name: &str, about: &str, rows: SimRows, frames: Vec<Enters>) -> Played {
    let exhausted = Vec::new();
    play_scenario(
        name,
        about,
        Scenario {
            rows,
            frames,
            exhausted,
        },
    )
}

/// As `play`.
pub fn play_scenario(name: &str, about: &str, scenario: Scenario) -> Played {
    let case = Case::of(about, scenario).unwrap();
    let bless = std::env::var_os("BLESS").is_some();
    case.settle(name, bless)
        .unwrap_or_else(|error| panic!("{error}"));
    for outcome in &case.outcomes {
        for (device, bytes) in outcome.sent() {
            let device = Stand::default().device(device).unwrap();
            if device.is_uplink() || outcome.verdict == Verdict::Answer {
                judge::frame(bytes);
            }
        }
    }
    Played {
        outcomes: case.outcomes,
        tallies: case.tallies,
    }
}

/// As `play` with one frame by VM 1's device.
pub fn from_vm1(name: &str, about: &str, rows: SimRows, frame: Vec<u8>) -> Played {
    play(name, about, rows, vec![Enters::new(Device::Vm1, frame)])
}

/// As `play` with one frame by the first uplink.
pub fn from_fabric(name: &str, about: &str, rows: SimRows, frame: Vec<u8>) -> Played {
    play(name, about, rows, vec![Enters::new(Device::Up1, frame)])
}

impl Played {
    /// What became of the only frame.
    pub fn only(&self) -> &Outcome {
        assert_eq!(self.outcomes.len(), 1);
        &self.outcomes[0]
    }

    /// The only frame was dropped for `reason` in `stage`, and is counted so in `slot`.
    #[track_caller]
    pub fn dropped(&self, stage: Stage, reason: DropReason, slot: u32) {
        let outcome = self.only();
        assert_eq!(outcome.verdict, Verdict::Drop);
        assert_eq!(outcome.reason, Some(reason));
        assert_eq!(outcome.stages.last(), Some(&stage));
        assert!(stage.drops().contains(&reason) || outcome.stages.contains(&Stage::Resolve));
        assert!(outcome.sent().is_empty());
        assert_eq!(self.tallies[&slot].drops, [(reason, 1)].into());
    }

    /// The only frame reached the device as `bytes`.
    #[track_caller]
    pub fn delivered(&self, device: Device, bytes: &[u8]) {
        let outcome = self.only();
        assert_eq!(outcome.verdict, Verdict::Deliver, "{:?}", outcome.reason);
        assert_eq!(outcome.sent(), [(index(device), bytes)]);
    }

    /// The only frame was answered with these bytes to VM 1.
    #[track_caller]
    pub fn answered(&self) -> &[u8] {
        let outcome = self.only();
        assert_eq!(outcome.verdict, Verdict::Answer, "{:?}", outcome.reason);
        assert_eq!(outcome.device, Some(index(Device::Vm1)));
        outcome.frame.as_deref().unwrap()
    }

    /// The only frame left in a tunnel by the device; gives the tunnel packet.
    #[track_caller]
    pub fn sent(&self, device: Device) -> &[u8] {
        let outcome = self.only();
        assert_eq!(outcome.verdict, Verdict::Send, "{:?}", outcome.reason);
        assert_eq!(outcome.device, Some(index(device)));
        outcome.frame.as_deref().unwrap()
    }

    /// Devices of all copies of the only frame, which was flooded.
    #[track_caller]
    pub fn flooded(&self) -> Vec<Device> {
        let outcome = self.only();
        assert_eq!(outcome.verdict, Verdict::Flood, "{:?}", outcome.reason);
        let stand = Stand::default();
        let devices = outcome.copies.iter().map(|(index, _)| *index);
        devices.map(|index| stand.device(index).unwrap()).collect()
    }

    /// The drops of a slot.
    pub fn drops(&self, slot: u32) -> Vec<(DropReason, u64)> {
        self.tallies.get(&slot).map_or_else(Vec::new, |tally| {
            tally
                .drops
                .iter()
                .map(|(reason, count)| (*reason, *count))
                .collect()
        })
    }
}

/// The frame inside of a tunnel packet.
pub fn inside(packet: &[u8]) -> &[u8] {
    match packet[12..14] {
        [0x08, 0x00] => &packet[50..],
        [0x86, 0xdd] => &packet[70..],
        _ => panic!("no tunnel packet: {packet:02x?}"),
    }
}
