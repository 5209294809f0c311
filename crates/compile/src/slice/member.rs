//! The members of a network: ports, the hosts that they name, and endpoints that no agent runs.

use prost::Message;

/// A port in the network. A trunk is a member of each of its networks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct Member {
    /// Its full name, `shop/web-1`.
    #[prost(string, tag = "1")]
    pub port: String,
    /// Its MAC address.
    #[prost(bytes = "vec", tag = "2")]
    pub mac: Vec<u8>,
    /// Its IP addresses in this network.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub addresses: Vec<Vec<u8>>,
    /// The host that has it; empty when it is nowhere.
    #[prost(string, tag = "4")]
    pub host: String,
    /// The host that prepares to take it over, or empty.
    #[prost(string, tag = "5")]
    pub moving_to: String,
    /// The host that had it and still forwards stragglers, or empty.
    #[prost(string, tag = "6")]
    pub moved_from: String,
    /// The VLAN of the network on the port's device; 0: untagged.
    #[prost(uint32, tag = "7")]
    pub vlan: u32,
    /// The port has further networks, by VLAN.
    #[prost(bool, tag = "8")]
    pub trunk: bool,
    /// It reaches no other isolated port of the network.
    #[prost(bool, tag = "9")]
    pub isolated: bool,
    /// It may send from any IP address.
    #[prost(bool, tag = "10")]
    pub any_address: bool,
    /// It may send from any MAC address.
    #[prost(bool, tag = "11")]
    pub any_mac: bool,
    /// It may answer DHCP and send router advertisements.
    #[prost(bool, tag = "12")]
    pub may_serve: bool,
    /// Addresses that it may use besides its own, and may share with others; sorted.
    #[prost(message, repeated, tag = "13")]
    pub allowed: Vec<AllowedAddress>,
}

impl Member {
    /// It may use addresses that others may use, too.
    pub fn shares(&self) -> bool {
        !self.allowed.is_empty()
    }
}

/// An address that a port may use besides its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct AllowedAddress {
    /// The address.
    #[prost(bytes = "vec", tag = "1")]
    pub address: Vec<u8>,
    /// The MAC address that it is used with; empty: the port's own.
    #[prost(bytes = "vec", tag = "2")]
    pub mac: Vec<u8>,
}

/// A host that frames of the network come from: it has, gets or had a member, here or in another
/// network of the same router.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct HostVtep {
    /// Its name.
    #[prost(string, tag = "1")]
    pub host: String,
    /// Its IPv4 tunnel address, or nothing.
    #[prost(bytes = "vec", tag = "2")]
    pub ipv4: Vec<u8>,
    /// Its IPv6 tunnel address, or nothing.
    #[prost(bytes = "vec", tag = "3")]
    pub ipv6: Vec<u8>,
}

/// A tunnel endpoint that no agent runs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct ForeignVtep {
    /// Its full name, `shop/legacy`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its underlay address.
    #[prost(bytes = "vec", tag = "2")]
    pub address: Vec<u8>,
    /// MAC addresses known to live behind it.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub macs: Vec<Vec<u8>>,
}
