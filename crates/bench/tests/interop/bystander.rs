//! Two more members of the network on the first host's side, who must hear what is for all and
//! nothing that is for one: a VM on the same host, and a Coax host that is only an address.

use crate::capture::Capture;
use coax_bench::pair::{MTU, Pair};
use coax_bench::rows::{NETWORK, key_address, replica};
use coax_bench::vm::Vm;
use coax_netlink::{NextHop, Route, ScopedNamespace, VethEnd};
use coax_tables::{
    AddressKey, AddressRow, MacKey, MacRow, NetworkRow, PortKey, PortRow, ReplicaRow, TunnelKey,
    TunnelRow,
};
use coax_vswitch::{Attachment, DataPlane, Row, RowOperation};
use ipnet::IpNet;
use std::net::IpAddr;

/// Counters of the VM on the same host.
pub const SLOT: u32 = 2;

/// The members.
pub struct Bystanders {
    /// The VM on the same host.
    pub vm: ScopedNamespace,
    /// Tunnel address of the other Coax host. What goes to it arrives at the second host's uplink.
    pub vtep: IpAddr,
}

impl Bystanders {
    /// Adds both to a pair whose second host is foreign.
    pub async fn join(pair: &mut Pair, over_ipv6: bool) -> Self {
        let number = Vm::number(3);
        let vm = ScopedNamespace::create("coax-bystander").unwrap();
        let host = pair.host(0).unwrap().clone();
        let netlink = host.netlink().unwrap();
        let inside = VethEnd::new("eth0")
            .with_mac(number.mac.0)
            .in_namespace(&vm);
        let outside = VethEnd::new("port1").with_mtu(MTU);
        netlink.create_veth(&outside, &inside).await.unwrap();
        let port = netlink.link("port1").await.unwrap().index;
        netlink.set_up(port).await.unwrap();
        let within = vm.netlink().unwrap();
        let eth0 = within.link("eth0").await.unwrap().index;
        let address = IpNet::new(number.ipv4.into(), 24).unwrap();
        within.add_address(eth0, address).await.unwrap();
        within.set_up(eth0).await.unwrap();

        let vtep = Vm::number(4).vtep(over_ipv6);
        let uplink = netlink.link("ul0").await.unwrap().index;
        let gateway = Vm::number(2).link_address(over_ipv6);
        let route = Route::new(vtep.into(), vec![NextHop::via(gateway, uplink)]);
        let own = Vm::number(1).vtep(over_ipv6);
        netlink
            .replace_route(&route.with_source(own))
            .await
            .unwrap();

        let first = netlink.link("port0").await.unwrap().index;
        let rows = rows(&number, vtep, [first, port]);
        let plane = &mut pair.planes()[0];
        for row in rows {
            plane.apply(&RowOperation::Put(row)).unwrap();
        }
        host.run(|| plane.attach(port, Attachment::Port))
            .unwrap()
            .unwrap();
        Self { vm, vtep }
    }

    /// Captures what the VM on the same host gets.
    pub fn capture(&self, pair: &Pair, filter: &str) -> Capture {
        let opposite = (pair.host(0).unwrap().clone(), "port1");
        Capture::start(&self.vm, "eth0", opposite, filter)
    }
}

fn rows(vm: &Vm, vtep: IpAddr, ports: [u32; 2]) -> Vec<Row> {
    let mut rows = receivers(vtep, ports);
    rows.extend(member(vm, ports[1]));
    let key = TunnelKey {
        vtep: key_address(vtep),
        vni: NETWORK.0,
    };
    let row = TunnelRow {
        network: NETWORK,
        flags: 0,
    };
    rows.push(Row::Tunnel(key, row));
    rows
}

/// Everybody who gets copies: both ports, the foreign VTEP and the Coax host.
fn receivers(vtep: IpAddr, ports: [u32; 2]) -> Vec<Row> {
    let ipv6 = vtep.is_ipv6();
    let foreign = key_address(Vm::number(2).vtep(ipv6));
    let local = |place: usize| ReplicaRow {
        ifindex: ports[place],
        slot: place as u32 + 1,
        ..ReplicaRow::default()
    };
    let remote = |vtep| ReplicaRow {
        vtep,
        ..ReplicaRow::default()
    };
    let coax = key_address(vtep);
    let vteps = if ipv6 {
        [foreign, coax]
    } else {
        [coax, foreign]
    };
    let receivers = [local(0), local(1), remote(vteps[0]), remote(vteps[1])];
    let network = NetworkRow {
        local: 2,
        coax_ipv4: u32::from(!ipv6),
        foreign_ipv4: u32::from(!ipv6),
        foreign_ipv6: u32::from(ipv6),
        coax_ipv6: u32::from(ipv6),
        mtu: MTU,
        ..NetworkRow::default()
    };
    let replicas = (0..).zip(receivers).map(|(slot, row)| replica(slot, row));
    replicas.chain([Row::Network(NETWORK, network)]).collect()
}

/// The VM on the same host.
fn member(vm: &Vm, ifindex: u32) -> [Row; 3] {
    let port = PortRow {
        network: NETWORK,
        slot: SLOT,
        mtu: MTU,
        mac: vm.mac,
        ipv4: vm.ipv4.octets(),
        ipv6: vm.ipv6.octets(),
        ..PortRow::default()
    };
    let place = MacRow {
        ifindex,
        slot: SLOT,
        mtu: MTU,
        flags: MacRow::LOCAL,
        ..MacRow::default()
    };
    let owner = AddressKey {
        address: key_address(vm.ipv4.into()),
        network: NETWORK,
    };
    [
        Row::Port(PortKey { ifindex, vlan: 0 }, port),
        Row::Mac(MacKey::new(NETWORK, vm.mac), place),
        Row::Address(owner, AddressRow::new(vm.mac)),
    ]
}
