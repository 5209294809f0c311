//! A network, and the list of those who get a copy of its broadcasts.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Names a network inside one vSwitch. Overlay networks use their VNI; numbers from 2^24 up are
/// free for networks without a VNI.
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
#[repr(transparent)]
pub struct NetworkId(pub u32);

/// What the vSwitch knows of a network.
///
/// The replicas of generation `generation` are numbered from 0 in this order: local ports, Coax
/// hosts over IPv4, foreign VTEPs over IPv4, foreign VTEPs over IPv6, Coax hosts over IPv6. So
/// "all over IPv4", "all over IPv6" and "all foreign" are each one run of slots. Whoever changes
/// the list writes it under a new generation first and changes this row last: no frame ever sees
/// half a list.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct NetworkRow {
    /// Generation of the replica list that is valid now.
    pub generation: u32,
    /// Local ports in the list.
    pub local: u32,
    /// Coax hosts reached over IPv4.
    pub coax_ipv4: u32,
    /// Foreign VTEPs reached over IPv4.
    pub foreign_ipv4: u32,
    /// Foreign VTEPs reached over IPv6.
    pub foreign_ipv6: u32,
    /// Coax hosts reached over IPv6.
    pub coax_ipv6: u32,
    /// Largest layer-3 packet of the network, in bytes.
    pub mtu: u32,
    /// Bits of the `NetworkRow::…` constants.
    pub flags: u32,
    /// The router that the network is joined to (`RouteKey::router`); 0: none.
    pub router: u32,
    /// The router's IPv4 address here; zero: none.
    pub gateway_ipv4: [u8; 4],
    /// The router's IPv6 address here; zero: none.
    pub gateway_ipv6: [u8; 16],
    /// The router's MAC address here, the same on every host.
    pub gateway_mac: coax_wire::MacAddress,
    /// Always zero.
    pub zero: [u8; 2],
}

impl NetworkRow {
    /// A network without anything.
    pub const EMPTY: Self = Self {
        generation: 0,
        local: 0,
        coax_ipv4: 0,
        foreign_ipv4: 0,
        foreign_ipv6: 0,
        coax_ipv6: 0,
        mtu: 0,
        flags: 0,
        router: 0,
        gateway_ipv4: [0; 4],
        gateway_ipv6: [0; 16],
        gateway_mac: coax_wire::MacAddress([0; 6]),
        zero: [0; 2],
    };

    /// Frames with VLAN tags are carried as they are, not dropped.
    pub const VLAN_TRANSPARENT: u32 = 1;
    /// Unicast to an unknown MAC address goes to every member, not only to foreign VTEPs.
    pub const FLOOD_UNKNOWN: u32 = 2;
    /// IP only: packets are looked up by their address, nothing is flooded, other frames are dropped.
    pub const ROUTED: u32 = 4;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Slot after the last one of the list.
    #[inline(always)]
    pub const fn replicas(&self) -> u32 {
        self.local + self.coax_ipv4 + self.foreign_ipv4 + self.foreign_ipv6 + self.coax_ipv6
    }
}

/// One place in a network's replica list.
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
pub struct ReplicaKey {
    /// The network.
    pub network: NetworkId,
    /// Generation of the list.
    pub generation: u32,
    /// Place in the list, from 0.
    pub slot: u32,
}

/// Who gets a copy: a local port or a VTEP.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ReplicaRow {
    /// VTEP address, IPv4 in mapped form; zero for a local port.
    pub vtep: [u8; 16],
    /// Local port: kernel index of its device. Zero for a VTEP.
    pub ifindex: u32,
    /// Local port: index of its counters. Zero for a VTEP.
    pub slot: u32,
    /// Local trunk port: the VLAN of the network there. Zero: untagged.
    pub vlan: u16,
    /// Bits of the `ReplicaRow::…` constants.
    pub flags: u16,
}

impl ReplicaRow {
    /// The local port is isolated.
    pub const ISOLATED: u16 = 1;
    /// The VTEP gets announcements of shared addresses, and no other copies: its host routes into the network,
    /// or the network is routed.
    pub const ANNOUNCED: u16 = 2;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}
