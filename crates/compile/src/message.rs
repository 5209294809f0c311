//! From the model's values to the parts of a slice.

use std::net::IpAddr;

use coax_model::{
    Binding, Host, HostName, Name, Network, NetworkKind, NetworkName, PacketRate, Port, PortName,
    Vtep, VtepName,
};
use coax_wire::VlanId;

use crate::slice::{
    AllowedAddress, DhcpParams, DhcpRoute, ForeignVtep, HostVtep, Member, NetworkParams,
    NetworkSlice, SliceDelta, SubnetParams,
};

/// What members share of a network that the router with this number joins (0: none).
pub(crate) fn params(name: &NetworkName, network: &Network, router: u32) -> NetworkParams {
    let rate = |rate: PacketRate| rate.get().unwrap_or(0);
    let subnets = network.subnets.iter().map(|subnet| SubnetParams {
        address: bytes(subnet.prefix.network()),
        length: subnet.prefix.prefix_len().into(),
        gateway: bytes(subnet.gateway),
        dhcp: subnet.dhcp,
    });
    let dhcp = network.dhcp.as_ref().map(|dhcp| DhcpParams {
        lease_seconds: dhcp.lease_time.seconds(),
        routes: dhcp
            .routes
            .iter()
            .map(|route| DhcpRoute {
                address: bytes(route.to.network()),
                length: route.to.prefix_len().into(),
                via: bytes(route.via),
            })
            .collect(),
    });
    let domain = network.dns.domain.as_ref();
    NetworkParams {
        vni: network.vni.get(),
        project: name.project.to_string(),
        name: name.name.to_string(),
        mtu: network.mtu.get().into(),
        vlan_transparent: network.vlan_transparent,
        flood_unknown: network.flood_unknown,
        routed: network.kind == NetworkKind::Routed,
        router,
        subnets: subnets.collect(),
        broadcast_rate: rate(network.storm_control.broadcast),
        multicast_rate: rate(network.storm_control.multicast),
        unknown_rate: rate(network.storm_control.unknown),
        shut_seconds: network.shut_time.seconds(),
        dhcp,
        router_advertisements: network.router_advertisements,
        dns_domain: domain.map_or_else(String::new, ToString::to_string),
        dns_servers: network.dns.servers.iter().copied().map(bytes).collect(),
        own_servers: network.own_servers,
    }
}

/// A port as a member of one of its networks; nothing if it is not in there. A trunk that has a network
/// twice has it once, the untagged way or by its lowest VLAN.
pub(crate) fn member(
    name: &PortName,
    port: &Port,
    network: &Name,
    binding: &Binding,
) -> Option<Member> {
    let mut networks = port.networks();
    let (vlan, _, addresses) = networks.find(|(_, other, _)| *other == network)?;
    let text =
        |host: &Option<HostName>| host.as_ref().map_or_else(String::new, ToString::to_string);
    let allowed = port.allowed_addresses.iter().filter(|_| vlan.is_none());
    Some(Member {
        port: name.to_string(),
        mac: port.mac.0.to_vec(),
        addresses: addresses.iter().copied().map(bytes).collect(),
        host: text(&binding.host),
        moving_to: text(&binding.moving_to),
        moved_from: text(&binding.moved_from),
        vlan: vlan.map_or(0, VlanId::get).into(),
        trunk: !port.trunk.is_empty(),
        isolated: port.isolated,
        any_address: port.any_address,
        any_mac: port.any_mac,
        may_serve: port.may_serve,
        allowed: allowed
            .map(|allowed| AllowedAddress {
                address: bytes(allowed.ip),
                mac: allowed.mac.map_or_else(Vec::new, |mac| mac.0.to_vec()),
            })
            .collect(),
    })
}

pub(crate) fn host(name: &HostName, host: &Host) -> HostVtep {
    HostVtep {
        host: name.to_string(),
        ipv4: host
            .ipv4
            .map_or_else(Vec::new, |address| bytes(address.into())),
        ipv6: host
            .ipv6
            .map_or_else(Vec::new, |address| bytes(address.into())),
    }
}

pub(crate) fn foreign(name: &VtepName, vtep: &Vtep) -> ForeignVtep {
    ForeignVtep {
        name: name.to_string(),
        address: bytes(vtep.address),
        macs: vtep.macs.iter().map(|mac| mac.0.to_vec()).collect(),
    }
}

/// The step from nothing to all of a slice.
pub(crate) fn complete(slice: NetworkSlice) -> SliceDelta {
    SliceDelta {
        network_id: slice.network_id,
        from_revision: 0,
        to_revision: slice.revision,
        params: slice.params,
        upsert_members: slice.members,
        upsert_hosts: slice.hosts,
        upsert_foreign: slice.foreign,
        ..SliceDelta::default()
    }
}

/// The step to nothing.
pub(crate) fn deleted(network_id: u32, from_revision: u64, to_revision: u64) -> SliceDelta {
    SliceDelta {
        network_id,
        from_revision,
        to_revision,
        deleted: true,
        ..SliceDelta::default()
    }
}

pub(crate) fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
