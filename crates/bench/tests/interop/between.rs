//! Two networks and a router between them, on two hosts.
//!
//! ```text
//!   vm1 eth0 --- port0 +-----+ ul0 === ul0 +-----+ port0 --- eth0 vm2
//!   left               | hv1 |             | hv2 |             right
//!   vm3 eth0 --- port1 +-----+             +-----+
//!   right
//! ```
//!
//! A network's gateway is number 254. VMs are configured as by hand: an address of each family and a
//! default route.

use crate::capture::{Capture, PATIENCE};
use crate::traffic::must;
use coax_bench::pair::Pair;
use coax_bench::plan::{Peer, Plan, Side};
use coax_bench::rows::key_address;
use coax_bench::vm::Vm;
use coax_netlink::{Namespace, ScopedNamespace, VethEnd};
use coax_tables::{
    AddressKey, AddressRow, DropReason, FABRIC_SLOT, MacKey, MacRow, NetworkId, NetworkRow,
    PortKey, PortRow, RouteKey, RouteRow, TunnelKey, TunnelRow,
};
use coax_vswitch::{Attachment, DataPlane, KernelDataPlane, Row, RowOperation};
use coax_wire::{MacAddress, ip};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// The gateway's MAC address in all networks.
pub const GATEWAY: MacAddress = MacAddress([0x02, 0xc0, 0xa0, 0, 0, 1]);

/// The gateway's number in each network.
pub const GATE: u8 = 254;

/// The MTU of the right network, which is smaller than that of the left one.
pub const RIGHT_MTU: u32 = 1400;

const ROUTER: u32 = 1 << 24;
const MTUS: [u32; 2] = [1500, RIGHT_MTU];

/// The two networks, and that of each VM.
pub const LEFT: usize = 0;
/// The other network.
pub const RIGHT: usize = 1;

/// Network, host, device and slot of each VM.
const VMS: [(usize, usize, &str, u32); 3] = [
    (LEFT, 0, "port0", 1),
    (RIGHT, 1, "port0", 1),
    (RIGHT, 0, "port1", 2),
];

/// Address number `number` of a network.
pub fn at(network: usize, ipv6: bool, number: u8) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0xfd00, 0x10 + network as u16, 0, 0, 0, 0, 0, number.into()).into()
    } else {
        Ipv4Addr::new(10, 10, network as u8, number).into()
    }
}

/// The address of VM 1, 2 or 3.
pub fn of_vm(vm: u8, ipv6: bool) -> IpAddr {
    at(VMS[usize::from(vm) - 1].0, ipv6, vm)
}

const fn id(network: usize) -> NetworkId {
    NetworkId(5001 + network as u32)
}

/// The hosts and their VMs.
pub struct Between {
    /// Hosts, VM 1 and VM 2.
    pub pair: Pair,
    third: ScopedNamespace,
    ports: [u32; 3],
    over_ipv6: bool,
}

impl Between {
    /// Builds it, with tunnels over one of the families.
    pub async fn build(label: &str, over_ipv6: bool) -> Self {
        let plan = Plan::new(label, [Side::Coax(Peer::Coax); 2]).over_ipv6(over_ipv6);
        let pair = Pair::build_plan(&plan).await.unwrap();
        let third = ScopedNamespace::create(&format!("coax-between-{label}")).unwrap();
        plug(pair.host(0).unwrap(), &third).await;
        let mut ports = [0; 3];
        for (place, (_, host, device, _)) in VMS.into_iter().enumerate() {
            let netlink = pair.host(host).unwrap().netlink().unwrap();
            ports[place] = netlink.link(device).await.unwrap().index;
        }
        let mut between = Self {
            pair,
            third,
            ports,
            over_ipv6,
        };
        for vm in 1..=3 {
            between.configure(vm);
        }
        for host in 0..2 {
            between.write(host);
        }
        let port = ports[2];
        let host = between.pair.host(0).unwrap().clone();
        let plane = &mut between.pair.planes()[0];
        host.run(|| plane.attach(port, Attachment::Port))
            .unwrap()
            .unwrap();
        between
    }

    /// The namespace of VM 1, 2 or 3.
    pub fn vm(&self, vm: u8) -> &Namespace {
        match vm {
            3 => &self.third,
            vm => &self.pair.vms[usize::from(vm) - 1],
        }
    }

    /// Captures what a VM gets.
    pub fn capture(&self, vm: u8, filter: &str) -> Capture {
        let (_, host, device, _) = VMS[usize::from(vm) - 1];
        let opposite = (self.pair.host(host).unwrap().clone(), device);
        Capture::start(self.vm(vm), "eth0", opposite, filter)
    }

    fn configure(&self, vm: u8) {
        let (network, ..) = VMS[usize::from(vm) - 1];
        let within = self.vm(vm);
        must(within, "ip -4 addr flush dev eth0");
        must(within, "ip -6 addr flush dev eth0 scope global");
        for (ipv6, bits) in [(false, 24), (true, 64)] {
            let (own, gate) = (at(network, ipv6, vm), at(network, ipv6, GATE));
            let nodad = if ipv6 { " nodad" } else { "" };
            must(within, &format!("ip addr add {own}/{bits} dev eth0{nodad}"));
            must(within, &format!("ip route add default via {gate} dev eth0"));
        }
    }

    /// Writes all rows of a host anew.
    fn write(&mut self, host: usize) {
        let rows = self.rows(host);
        let plane = &mut self.pair.planes()[host];
        for row in plane.rows().unwrap().iter() {
            if !matches!(row, Row::Host(_)) {
                plane.apply(&RowOperation::Delete(row.key())).unwrap();
            }
        }
        put(plane, rows);
    }

    fn rows(&self, host: usize) -> Vec<Row> {
        let other = key_address(Vm::number(2 - host as u8).vtep(self.over_ipv6));
        let mut rows = Vec::new();
        for network in [LEFT, RIGHT] {
            rows.extend(gateway(network));
            let key = TunnelKey {
                vtep: other,
                vni: id(network).0,
            };
            let row = TunnelRow {
                network: id(network),
                flags: 0,
            };
            rows.push(Row::Tunnel(key, row));
        }
        for (place, (network, home, _, slot)) in VMS.into_iter().enumerate() {
            let vm = Vm::number(place as u8 + 1);
            let (local, ifindex) = (home == host, self.ports[place]);
            let away = if self.over_ipv6 { MacRow::IPV6 } else { 0 };
            let row = MacRow {
                vtep: if local { [0; 16] } else { other },
                ifindex: if local { ifindex } else { 0 },
                slot: if local { slot } else { 0 },
                mtu: MTUS[network],
                flags: if local {
                    MacRow::LOCAL | MacRow::TO_PEER
                } else {
                    away
                },
                ..MacRow::default()
            };
            rows.push(Row::Mac(MacKey::new(id(network), vm.mac), row));
            let own = [false, true].map(|ipv6| at(network, ipv6, place as u8 + 1));
            for address in [own[0], own[1], vm.link_local().into()] {
                rows.push(owned(network, address, AddressRow::new(vm.mac)));
            }
            if local {
                let port = port_row(network, slot, vm.mac, own);
                rows.push(Row::Port(PortKey { ifindex, vlan: 0 }, port));
            }
        }
        rows
    }

    /// Adds rows to the tables of both hosts.
    pub fn put(&mut self, rows: &[Row]) {
        for plane in self.pair.planes() {
            put(plane, rows.to_vec());
        }
    }

    /// How often frames that VM 1 or VM 3 sent were dropped for a reason.
    pub fn dropped(&mut self, vm: u8, reason: DropReason) -> u64 {
        let (_, host, _, slot) = VMS[usize::from(vm) - 1];
        let found = self.pair.planes()[host].counters(slot).unwrap();
        let drops = found.drops.iter().find(|(own, _)| *own == reason);
        drops.map_or(0, |(_, count)| *count)
    }

    /// Asserts that every frame is accounted for, on both hosts. VMs are never quite silent, so a sum
    /// that is a frame off while one is on its way is looked at again.
    pub fn assert_accounted(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let sums = [0, 1].map(|host| sums(&self.pair.planes()[host]));
            if sums.iter().all(|(entered, left)| entered == left) {
                return;
            }
            assert!(Instant::now() < end, "{sums:?}");
            std::thread::yield_now();
        }
    }
}

fn put(plane: &mut KernelDataPlane, rows: Vec<Row>) {
    for row in rows {
        plane.apply(&RowOperation::Put(row)).unwrap();
    }
}

fn sums(plane: &KernelDataPlane) -> (u64, u64) {
    let (mut entered, mut left) = (0, 0);
    for slot in [FABRIC_SLOT, 1, 2] {
        let found = plane.counters(slot).unwrap();
        let counters = found.counters;
        entered += counters.received_frames + counters.copies;
        left += counters.sent_frames + counters.flooded + counters.punted;
        left += found.drops.iter().map(|(_, drops)| drops).sum::<u64>();
    }
    (entered, left)
}

/// Plugs VM 3 into the first host.
async fn plug(host: &Namespace, third: &Namespace) {
    let vm = Vm::number(3);
    host.write_sysctl("net.ipv6.conf.default.disable_ipv6", "1")
        .unwrap();
    let inside = VethEnd::new("eth0").with_mac(vm.mac.0);
    let netlink = host.netlink().unwrap();
    netlink
        .create_veth(&VethEnd::new("port1"), &inside.in_namespace(third))
        .await
        .unwrap();
    let port = netlink.link("port1").await.unwrap().index;
    netlink.set_up(port).await.unwrap();
    third
        .write_sysctl("net.ipv6.conf.eth0.accept_dad", "0")
        .unwrap();
    let within = third.netlink().unwrap();
    for device in ["lo", "eth0"] {
        let index = within.link(device).await.unwrap().index;
        within.set_up(index).await.unwrap();
    }
}

fn port_row(network: usize, slot: u32, mac: MacAddress, [ipv4, ipv6]: [IpAddr; 2]) -> PortRow {
    let [.., a, b, c, d] = key_address(ipv4);
    PortRow {
        network: id(network),
        slot,
        mtu: MTUS[network],
        mac,
        scope: ROUTER,
        ipv4: [a, b, c, d],
        ipv6: key_address(ipv6),
        ..PortRow::default()
    }
}

fn owned(network: usize, address: IpAddr, row: AddressRow) -> Row {
    let key = AddressKey {
        address: key_address(address),
        network: id(network),
    };
    Row::Address(key, row)
}

/// A network with its gateway, and the router's route to it.
fn gateway(network: usize) -> Vec<Row> {
    let [.., a, b, c, d] = key_address(at(network, false, GATE));
    let row = NetworkRow {
        mtu: MTUS[network],
        router: ROUTER,
        gateway_ipv4: [a, b, c, d],
        gateway_ipv6: key_address(at(network, true, GATE)),
        gateway_mac: GATEWAY,
        ..NetworkRow::default()
    };
    let place = MacRow {
        flags: MacRow::ROUTER,
        ..MacRow::default()
    };
    let own = AddressRow {
        mac: GATEWAY,
        flags: AddressRow::ROUTER,
    };
    let mut rows = vec![
        Row::Network(id(network), row),
        Row::Mac(MacKey::new(id(network), GATEWAY), place),
        owned(network, IpAddr::V6(ip::link_local(GATEWAY).into()), own),
    ];
    for (ipv6, bits) in [(false, 96 + 24), (true, 64)] {
        rows.push(owned(network, at(network, ipv6, GATE), own));
        rows.push(route(at(network, ipv6, 0), bits, network, None));
    }
    rows
}

/// A route of the router; `bits` of IPv4 prefixes have 96 more.
pub fn route(prefix: IpAddr, bits: u32, network: usize, via: Option<IpAddr>) -> Row {
    let row = RouteRow {
        gateway: via.map(key_address).unwrap_or_default(),
        network: id(network),
        flags: 0,
    };
    Row::Route(RouteKey::new(ROUTER, key_address(prefix), bits), row)
}
