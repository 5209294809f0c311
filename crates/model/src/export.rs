//! From the intent back to a file. The canonical file says everything, also what was chosen, so that
//! it makes the same project anywhere; applied where it came from it changes nothing.

use crate::file::{FILE_VERSION, NetworkEntry, PortEntry, StackFile, VtepEntry};
use crate::intent::Intent;
use crate::name::Name;

/// A project as a file.
pub fn export(project: &Name, intent: &Intent) -> StackFile {
    let networks = intent.networks_of(project).map(|(name, network)| {
        let entry = NetworkEntry {
            subnets: network.subnets.clone(),
            vni: Some(network.vni.get()),
            mtu: Some(network.mtu.get().into()),
            vlan_transparent: network.vlan_transparent,
            flood_unknown: network.flood_unknown,
        };
        (name.name.clone(), entry)
    });
    let ports = intent.ports_of(project).map(|(name, port)| {
        let entry = PortEntry {
            network: port.network.clone(),
            host: port.host.clone(),
            mac: Some(port.mac),
            addresses: Some(port.addresses.clone()),
        };
        (name.name.clone(), entry)
    });
    let vteps = intent.vteps_of(project).map(|(name, vtep)| {
        let entry = VtepEntry {
            address: vtep.address,
            networks: vtep.networks.clone(),
            macs: vtep.macs.clone(),
            udp6_zero_checksum: vtep.udp6_zero_checksum,
        };
        (name.name.clone(), entry)
    });
    StackFile {
        version: FILE_VERSION,
        project: project.clone(),
        networks: networks.collect(),
        ports: ports.collect(),
        vteps: vteps.collect(),
    }
}

/// A file as text that people read: equal files give equal text, byte for byte.
pub fn to_yaml(file: &StackFile) -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(file)
}
