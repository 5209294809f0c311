//! From the model's values to the parts of a slice.

use std::net::IpAddr;

use coax_model::{Binding, Host, HostName, Network, NetworkName, Port, PortName, Vtep, VtepName};

use crate::slice::{ForeignVtep, HostVtep, Member, NetworkParams, NetworkSlice, SliceDelta};

pub(crate) fn params(name: &NetworkName, network: &Network) -> NetworkParams {
    NetworkParams {
        vni: network.vni.get(),
        project: name.project.to_string(),
        name: name.name.to_string(),
        mtu: network.mtu.get().into(),
        vlan_transparent: network.vlan_transparent,
        flood_unknown: network.flood_unknown,
    }
}

pub(crate) fn member(name: &PortName, port: &Port, binding: &Binding) -> Member {
    let text =
        |host: &Option<HostName>| host.as_ref().map_or_else(String::new, ToString::to_string);
    Member {
        port: name.to_string(),
        mac: port.mac.0.to_vec(),
        addresses: port.addresses.iter().copied().map(bytes).collect(),
        host: text(&binding.host),
        moving_to: text(&binding.moving_to),
        moved_from: text(&binding.moved_from),
    }
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

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
