//! What all members of a network share: its numbers, its subnets, what hosts answer on it and what the
//! guards of its ports limit.

use prost::Message;

/// What all members of a network share.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NetworkParams {
    /// The number in the tunnel header.
    #[prost(uint32, tag = "1")]
    pub vni: u32,
    /// The project that owns the network.
    #[prost(string, tag = "2")]
    pub project: String,
    /// The network's name in its project.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The largest IP packet that ports may send.
    #[prost(uint32, tag = "4")]
    pub mtu: u32,
    /// Frames with VLAN tags are carried.
    #[prost(bool, tag = "5")]
    pub vlan_transparent: bool,
    /// Frames to unknown unicast addresses are copied to all members.
    #[prost(bool, tag = "6")]
    pub flood_unknown: bool,
    /// IP only: packets are looked up by their address, nothing is flooded.
    #[prost(bool, tag = "7")]
    pub routed: bool,
    /// The number of the router that joins it; 0: none.
    #[prost(uint32, tag = "8")]
    pub router: u32,
    /// Its IP prefixes, sorted.
    #[prost(message, repeated, tag = "9")]
    pub subnets: Vec<SubnetParams>,
    /// Broadcasts that a port may send per second; 0: no limit.
    #[prost(uint32, tag = "10")]
    pub broadcast_rate: u32,
    /// Multicasts that a port may send per second; 0: no limit.
    #[prost(uint32, tag = "11")]
    pub multicast_rate: u32,
    /// Unicasts to addresses that nobody has, per second and port; 0: no limit.
    #[prost(uint32, tag = "12")]
    pub unknown_rate: u32,
    /// How long a guard shuts a port, in seconds.
    #[prost(uint32, tag = "13")]
    pub shut_seconds: u32,
    /// How hosts answer DHCP; nothing: they do not.
    #[prost(message, optional, tag = "14")]
    pub dhcp: Option<DhcpParams>,
    /// Hosts answer router solicitations.
    #[prost(bool, tag = "15")]
    pub router_advertisements: bool,
    /// The domain in which ports search names; empty: that of the network.
    #[prost(string, tag = "16")]
    pub dns_domain: String,
    /// The DNS servers that ports are told of, behind the hosts' own at the gateway addresses.
    #[prost(bytes = "vec", repeated, tag = "17")]
    pub dns_servers: Vec<Vec<u8>>,
    /// Every port may answer DHCP and send router advertisements; hosts do neither.
    #[prost(bool, tag = "18")]
    pub own_servers: bool,
}

/// An IP prefix on a network.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct SubnetParams {
    /// The prefix's address, 4 or 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub address: Vec<u8>,
    /// Its length in bits.
    #[prost(uint32, tag = "2")]
    pub length: u32,
    /// The address at which hosts answer for the router, or as a server.
    #[prost(bytes = "vec", tag = "3")]
    pub gateway: Vec<u8>,
    /// DHCP offers its addresses, where there is DHCP.
    #[prost(bool, tag = "4")]
    pub dhcp: bool,
}

/// How hosts answer DHCP.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DhcpParams {
    /// How long an address is promised, in seconds.
    #[prost(uint32, tag = "1")]
    pub lease_seconds: u32,
    /// Routes that ports are told of, beside the one to everywhere.
    #[prost(message, repeated, tag = "2")]
    pub routes: Vec<DhcpRoute>,
}

/// A destination and the next hop to it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct DhcpRoute {
    /// The destination's address, 4 or 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub address: Vec<u8>,
    /// Its length in bits.
    #[prost(uint32, tag = "2")]
    pub length: u32,
    /// The next hop, of the same family.
    #[prost(bytes = "vec", tag = "3")]
    pub via: Vec<u8>,
}

impl NetworkParams {
    /// The number of the address plan in which the network's addresses are meant: that of the router
    /// that joins it, or its own.
    pub fn scope(&self) -> u32 {
        match self.router {
            0 => self.vni,
            router => router,
        }
    }

    /// Hosts have the gateway addresses: a router joins the network, or they serve there.
    pub fn has_gateway(&self) -> bool {
        self.router != 0 || self.routed || self.dhcp.is_some() || self.router_advertisements
    }
}
