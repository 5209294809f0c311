//! What numbers and addresses are called on this host: from the slices and the devices.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use coax_compile::NetworkSlice;
use coax_wire::MacAddress;

/// The names of everything that rows refer to.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Networks by number, as the controller told them.
    pub slices: BTreeMap<u32, Arc<NetworkSlice>>,
    /// Ports that have a device here: full name, number and name of the device.
    pub ports: Vec<(String, u32, String)>,
    /// Devices that lead to the fabric: number and name.
    pub uplinks: Vec<(u32, String)>,
    /// Full names of firewall rules, by their numbers in the tables.
    pub rules: BTreeMap<u32, String>,
}

impl Names {
    /// The device of a port.
    pub fn device_of(&self, port: &str) -> Option<u32> {
        let mut ports = self.ports.iter();
        ports
            .find(|(name, ..)| name == port)
            .map(|(_, index, _)| *index)
    }

    /// The port on a device.
    pub fn port_on(&self, ifindex: u32) -> Option<&str> {
        let mut ports = self.ports.iter();
        ports
            .find(|(_, index, _)| *index == ifindex)
            .map(|(name, ..)| name.as_str())
    }

    /// A device's name.
    pub fn device_name(&self, ifindex: u32) -> Option<String> {
        let ports = self.ports.iter().map(|(_, index, name)| (*index, name));
        let uplinks = self.uplinks.iter().map(|(index, name)| (*index, name));
        let mut devices = ports.chain(uplinks);
        devices
            .find(|(index, _)| *index == ifindex)
            .map(|(_, name)| name.clone())
    }

    /// Devices that lead to the fabric.
    pub fn uplinks(&self) -> Vec<u32> {
        self.uplinks.iter().map(|(index, _)| *index).collect()
    }

    /// A network by its full name, or by its number if it has none here.
    pub fn network(&self, number: u32) -> String {
        match self.slices.get(&number) {
            Some(slice) => slice.full_name(),
            None => format!("network {number}, which the controller did not tell of"),
        }
    }

    /// A MAC address with its owner, where that is known.
    pub fn mac(&self, network: u32, mac: MacAddress) -> String {
        let members = self.slices.get(&network).map(|slice| &slice.members);
        let owner = members
            .into_iter()
            .flatten()
            .find(|member| member.mac == mac.0);
        match owner {
            Some(member) => format!("{mac} ({})", member.port),
            None => mac.to_string(),
        }
    }

    /// A tunnel endpoint with its owner, where that is known.
    pub fn vtep(&self, address: IpAddr) -> String {
        match self.vtep_owner(address) {
            Some(owner) => format!("{address} ({owner})"),
            None => format!("{address} (of no host that is known here)"),
        }
    }

    /// The host or foreign endpoint that has an address.
    pub fn vtep_owner(&self, address: IpAddr) -> Option<String> {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        self.slices.values().find_map(|slice| {
            let mut hosts = slice.hosts.iter();
            let host = hosts.find(|host| host.ipv4 == bytes || host.ipv6 == bytes);
            let mut foreign = slice.foreign.iter();
            host.map(|host| host.host.clone()).or_else(|| {
                let found = foreign.find(|vtep| vtep.address == bytes);
                found.map(|vtep| vtep.name.clone())
            })
        })
    }
}
