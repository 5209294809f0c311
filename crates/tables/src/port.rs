//! Which port a frame entered by: the device, and the VLAN for trunks.

use crate::{DomainId, NetworkId};
use coax_wire::MacAddress;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A device of the host, and the VLAN of a trunk (0: untagged frames).
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct PortKey {
    /// Kernel index of the device.
    pub ifindex: u32,
    /// VLAN identifier, 0 for untagged frames.
    pub vlan: u32,
}

/// What the vSwitch knows of a local port.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PortRow {
    /// The network that the port belongs to.
    pub network: NetworkId,
    /// Index of the port's counters, from 1.
    pub slot: u32,
    /// Largest layer-3 packet of the network, in bytes.
    pub mtu: u32,
    /// The port's own MAC address.
    pub mac: MacAddress,
    /// Bits of the `PortRow::…` constants.
    pub flags: u16,
    /// Whose firewall policy the port obeys.
    pub policy: DomainId,
    /// The address plan in which the policy reads addresses (`ClassKey::scope`).
    pub scope: u32,
    /// An IPv4 address that the port may send from; zero: none. Others are source rows.
    pub ipv4: [u8; 4],
    /// An IPv6 address that the port may send from, beside its link-local one; zero: none.
    pub ipv6: [u8; 16],
    /// Broadcasts per second; 0: no limit.
    pub broadcast_rate: u32,
    /// Multicasts per second; 0: no limit.
    pub multicast_rate: u32,
    /// Unicasts per second to addresses that nobody has; 0: no limit.
    pub unknown_rate: u32,
    /// How long a guard shuts the port, in seconds; 0: the guards that shut do not watch it.
    pub shut_seconds: u32,
}

impl PortRow {
    /// Frames with VLAN tags are carried as they are, not dropped.
    pub const VLAN_TRANSPARENT: u16 = 1;
    /// Frames may carry another source MAC address than the port's.
    pub const ANY_SOURCE: u16 = 2;
    /// Packets may carry any source IP address, and ARP and discovery any sender.
    pub const ANY_ADDRESS: u16 = 4;
    /// Tagged frames belong to the networks of further rows, one for each VLAN; other ports with such
    /// rows take untagged frames only.
    pub const TRUNK: u16 = 8;
    /// The port reaches no other isolated port of its network.
    pub const ISOLATED: u16 = 16;
    /// The port may answer DHCP and send router advertisements.
    pub const SERVER: u16 = 32;
    /// The host answers DHCPv4.
    pub const DHCP_IPV4: u16 = 64;
    /// The host answers DHCPv6 and router solicitations.
    pub const DHCP_IPV6: u16 = 128;
    /// The host answers DNS queries that are sent to a gateway address.
    pub const DNS: u16 = 256;

    /// The network is routed (`NetworkRow::ROUTED`).
    pub const ROUTED: u16 = 512;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}
