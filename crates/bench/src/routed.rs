//! The rows of two networks on two hosts, which a router joins, written by hand.

use crate::Error;
use crate::rows::{SLOT, Site, chosen, host, key_address, remote_vtep, replica_of};
use crate::vm::Vm;
use coax_netlink::{Namespace, NextHop, Route};
use coax_tables::{
    AddressKey, AddressRow, MacKey, MacRow, NetworkId, NetworkRow, PortKey, PortRow, ReplicaRow,
    RouteKey, RouteRow, TunnelKey, TunnelRow,
};
use coax_vswitch::Row;
use coax_wire::MacAddress;
use std::net::Ipv4Addr;

const ROUTER: u32 = 1 << 24;
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 254);
const GATEWAY_MAC: MacAddress = MacAddress([0x02, 0xc0, 0xa0, 0, 0, 1]);

/// The network of a VM: each has one of its own.
fn network_of(vm: &Vm) -> NetworkId {
    let [.., last] = vm.mac.0;
    NetworkId(5000 + u32::from(last))
}

/// All rows that the host needs. Tunnel packets carry the network of who gets them.
pub(crate) fn rows(site: &Site) -> Vec<Row> {
    let (own, other) = (network_of(&site.local), network_of(&site.remote));
    let local = MacRow {
        ifindex: site.ifindex,
        slot: SLOT,
        mtu: site.mtu,
        flags: MacRow::LOCAL | MacRow::TO_PEER,
        ..MacRow::default()
    };
    let remote = MacRow {
        vtep: remote_vtep(site),
        mtu: site.mtu,
        flags: chosen(site.over_ipv6, MacRow::IPV6),
        ..MacRow::default()
    };
    let router = MacRow {
        flags: MacRow::ROUTER,
        ..MacRow::default()
    };
    let receiver = ReplicaRow {
        ifindex: site.ifindex,
        slot: SLOT,
        ..ReplicaRow::default()
    };
    let port = PortKey {
        ifindex: site.ifindex,
        vlan: 0,
    };
    vec![
        Row::Host(host(&site.local, site.udp_port)),
        Row::Tunnel(
            TunnelKey {
                vtep: remote_vtep(site),
                vni: own.0,
            },
            TunnelRow {
                network: own,
                flags: 0,
            },
        ),
        Row::Mac(MacKey::new(own, site.local.mac), local),
        Row::Mac(MacKey::new(other, site.remote.mac), remote),
        Row::Mac(MacKey::new(own, GATEWAY_MAC), router),
        replica_of(own, 0, receiver),
        Row::Network(own, network(site, 1)),
        Row::Network(other, network(site, 0)),
        Row::Port(port, port_row(site, own)),
        address(own, site.local.ipv4, AddressRow::new(site.local.mac)),
        address(other, site.remote.ipv4, AddressRow::new(site.remote.mac)),
        address(
            own,
            GATEWAY,
            AddressRow {
                flags: AddressRow::ROUTER,
                ..AddressRow::new(GATEWAY_MAC)
            },
        ),
        route(site.local.ipv4, own),
        route(site.remote.ipv4, other),
    ]
}

fn network(site: &Site, local: u32) -> NetworkRow {
    NetworkRow {
        local,
        mtu: site.mtu,
        router: ROUTER,
        gateway_ipv4: GATEWAY.octets(),
        gateway_mac: GATEWAY_MAC,
        ..NetworkRow::default()
    }
}

fn port_row(site: &Site, network: NetworkId) -> PortRow {
    PortRow {
        network,
        slot: SLOT,
        mtu: site.mtu,
        mac: site.local.mac,
        flags: chosen(!site.guarded, PortRow::ANY_ADDRESS),
        scope: ROUTER,
        ipv4: site.local.ipv4.octets(),
        ipv6: site.local.ipv6.octets(),
        ..PortRow::default()
    }
}

fn address(network: NetworkId, address: Ipv4Addr, row: AddressRow) -> Row {
    let key = AddressKey {
        address: key_address(address.into()),
        network,
    };
    Row::Address(key, row)
}

fn route(to: Ipv4Addr, network: NetworkId) -> Row {
    let row = RouteRow {
        network,
        ..RouteRow::default()
    };
    Row::Route(RouteKey::new(ROUTER, key_address(to.into()), 128), row)
}

/// Tells the local VM that the way to the other one is by the gateway.
///
/// # Errors
/// When the kernel refuses the route.
pub(crate) async fn direct(vm: &Namespace, site: &Site) -> Result<(), Error> {
    let netlink = vm.netlink()?;
    let device = netlink.link("eth0").await?.index;
    let to = ipnet::IpNet::new_assert(site.remote.ipv4.into(), 32);
    let hop = NextHop::via(GATEWAY.into(), device);
    Ok(netlink.replace_route(&Route::new(to, vec![hop])).await?)
}
