//! The objects as the REST interface shows them.
//!
//! Invariant: `id` is the full name (`project/name`; for hosts and projects the name alone). There
//! are no other identifiers, so whatever a user sees can be typed back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::policy::Route;

/// How far an object has come from intent to the hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectStatus {
    /// The revision that last changed what the hosts need for this object.
    pub desired_revision: u64,
    /// For each host that needs it: the revision that this host has in its maps. In lists only the
    /// hosts that are behind; the object by itself shows all.
    pub realized: BTreeMap<String, u64>,
    /// What is not as it should be; empty if all is well.
    pub conditions: Vec<Condition>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// Stable name: `host-away`, `host-behind`, `host-problem`, `claim-refused`, `claim-unknown`,
    /// `underlay-mtu`, `port-shut`; of what guards drop, the reason, as in `forged-arp`.
    pub code: String,
    /// The host that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What it is, in words.
    pub message: String,
}

/// A virtual network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// `project/name`.
    pub id: String,
    /// Name in the project.
    pub name: String,
    /// The project.
    pub project: String,
    /// Revision of its last change.
    pub revision: u64,
    /// VXLAN network identifier.
    pub vni: u32,
    /// Largest packet that its ports may send, in bytes.
    pub mtu: u32,
    /// Its prefixes, like `10.10.1.0/24`.
    pub subnets: Vec<String>,
    /// Whether tagged frames are carried as they are.
    pub vlan_transparent: bool,
    /// Whether frames to unknown MAC addresses are sent to all members.
    pub flood_unknown: bool,
    /// `bridged`: any frame; `routed`: IP only, and nothing is flooded.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name of the router in the project that joins it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    /// How DHCP is answered on it, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<Dhcp>,
    /// Whether router solicitations are answered on it.
    pub router_advertisements: bool,
    /// What its ports are told of DNS.
    pub dns: Dns,
    /// Whether its ports may answer DHCP and send router advertisements; Coax then does not.
    pub own_servers: bool,
    /// Whether its ports are isolated unless they say otherwise.
    pub isolated: bool,
    /// How many ports it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_endpoints: Option<u32>,
    /// What each port may send to everybody.
    pub storm_control: StormControl,
    /// How long a guard shuts a port, in seconds.
    pub shut_seconds: u32,
    /// How many ports it has.
    pub ports: usize,
    /// Progress and problems.
    pub status: ObjectStatus,
}

/// How DHCP is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dhcp {
    /// How long an address is promised, in seconds.
    pub lease_seconds: u32,
    /// Routes that ports are told of, beside the one through the gateway.
    pub routes: Vec<Route>,
}

/// What ports are told of DNS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dns {
    /// The domain in which they search.
    pub domain: String,
    /// The servers that they ask; empty: the gateway, where Coax answers.
    pub servers: Vec<String>,
}

/// Packets per second that a port may send to everybody; left out: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StormControl {
    /// Broadcasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<u32>,
    /// Multicasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multicast: Option<u32>,
    /// Unicasts to addresses that nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<u32>,
}

/// A prefix of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subnet {
    /// `project/network/prefix`.
    pub id: String,
    /// The prefix, like `10.10.1.0/24`; a subnet has no other name.
    pub name: String,
    /// The project.
    pub project: String,
    /// Name of the network in the project.
    pub network: String,
    /// The address that is kept for a gateway: the router's, if the network is joined to one.
    pub gateway: String,
    /// Name of the router in the project that has the gateway address, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    /// Whether DHCP offers addresses of it.
    pub dhcp: bool,
    /// How many addresses of it ports have.
    pub used: usize,
    /// Revision of its network's last change.
    pub revision: u64,
}

/// What a port is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortState {
    /// Its device is plugged in on its host.
    Active,
    /// It has a host, but no device there.
    Down,
    /// It is about to go to another host.
    Moving,
    /// It has no host.
    Unbound,
}

impl PortState {
    /// The word used in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Down => "down",
            Self::Moving => "moving",
            Self::Unbound => "unbound",
        }
    }
}

/// A virtual network interface card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// `project/name`.
    pub id: String,
    /// Name in the project.
    pub name: String,
    /// The project.
    pub project: String,
    /// Revision of its last change.
    pub revision: u64,
    /// Name of its network in the project.
    pub network: String,
    /// Its MAC address.
    pub mac: String,
    /// Its addresses, without prefix length.
    pub addresses: Vec<String>,
    /// Its addresses with the prefix length of their subnet, as a VM configures them.
    pub prefixes: Vec<String>,
    /// Where it finds its network's router; empty: no router joins the network.
    #[serde(default)]
    pub gateways: Vec<String>,
    /// The network's MTU.
    pub mtu: u32,
    /// Where the user wants it, if he said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_wanted: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where it is about to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<String>,
    /// Where it came from, while that host still forwards stragglers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    /// What it is doing.
    pub state: PortState,
    /// Name of its device on `host`, if one is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What it is marked with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Names of the groups that it is in.
    pub groups: Vec<String>,
    /// Addresses that it may use besides its own.
    pub allowed_addresses: Vec<AllowedAddress>,
    /// Whether it reaches no other isolated port of its network.
    pub isolated: bool,
    /// The networks of its tagged frames.
    pub trunk: Vec<TrunkVlan>,
    /// Whether it may send from any IP address.
    pub any_address: bool,
    /// Whether it may send from any MAC address.
    pub any_mac: bool,
    /// Whether it may answer DHCP and send router advertisements.
    pub may_serve: bool,
    /// Progress and problems.
    pub status: ObjectStatus,
}

/// An address that a port may use besides its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AllowedAddress {
    /// The address.
    pub ip: String,
    /// The MAC address that it is used with, if not the port's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// One network of a trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrunkVlan {
    /// The VLAN of its frames.
    pub vlan: u16,
    /// Name of the network in the project.
    pub network: String,
    /// The port's addresses there, with the prefix length of their subnet.
    pub prefixes: Vec<String>,
}

/// A tunnel endpoint that is not a Coax host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vtep {
    /// `project/name`.
    pub id: String,
    /// Name in the project.
    pub name: String,
    /// The project.
    pub project: String,
    /// Revision of its last change.
    pub revision: u64,
    /// Its address in the underlay.
    pub address: String,
    /// Names of the networks in the project that it is a member of.
    pub networks: Vec<String>,
    /// MAC addresses behind it.
    pub macs: Vec<String>,
    /// Whether it takes VXLAN over IPv6 with a zero UDP checksum.
    pub udp6_zero_checksum: bool,
    /// Progress and problems.
    pub status: ObjectStatus,
}

/// A machine that runs the vSwitch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// Same as `name`.
    pub id: String,
    /// Name of the host.
    pub name: String,
    /// Revision of its last change.
    pub revision: u64,
    /// IPv4 tunnel endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vtep_ipv4: Option<String>,
    /// IPv6 tunnel endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vtep_ipv6: Option<String>,
    /// MTU of its uplinks, as its agent sees it.
    pub underlay_mtu: u32,
    /// Whether its agent is attached to the controller.
    pub connected: bool,
    /// Whether nothing keeps it from carrying its networks' packets, as far as its agent sees; why not, is in `status`.
    pub ready: bool,
    /// Version of its agent; empty while it never attached since the controller started.
    pub version: String,
    /// How many ports are bound to it.
    pub ports: usize,
    /// How many networks it needs.
    pub networks: usize,
    /// How many revisions it is behind what it needs; 0 if it has everything.
    pub lag: u64,
    /// Progress and problems.
    pub status: ObjectStatus,
}

/// Ports by state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortTotals {
    /// All ports.
    pub total: usize,
    /// With their device plugged in.
    pub active: usize,
    /// Bound without a device.
    pub down: usize,
    /// On the move.
    pub moving: usize,
    /// Without a host.
    pub unbound: usize,
}

/// Hosts by state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostTotals {
    /// All hosts.
    pub total: usize,
    /// With their agent attached.
    pub connected: usize,
    /// Attached and with everything they need in their maps.
    pub current: usize,
}

/// The whole system at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of the controller.
    pub version: String,
    /// The newest revision of intent.
    pub revision: u64,
    /// The store's generation: a new one begins when a backup is restored.
    pub generation: u64,
    /// How many projects there are.
    pub projects: usize,
    /// How many networks there are.
    pub networks: usize,
    /// Ports by state.
    pub ports: PortTotals,
    /// Hosts by state.
    pub hosts: HostTotals,
    /// How many foreign tunnel endpoints there are.
    pub vteps: usize,
    /// All that is not as it should be.
    pub conditions: Vec<Condition>,
    /// What guards drop of what VMs send, by port and reason. It says nothing about how well everything else is.
    #[serde(default)]
    pub guards: Vec<Condition>,
}
