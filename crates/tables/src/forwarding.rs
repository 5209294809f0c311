//! Where a MAC address lives, and from which VTEPs frames of a network are taken.

use crate::{DomainId, NetworkId};
use coax_wire::MacAddress;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A MAC address inside a network.
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
pub struct MacKey {
    /// The network.
    pub network: NetworkId,
    /// The address.
    pub mac: MacAddress,
    /// Always zero.
    pub zero: [u8; 2],
}

impl MacKey {
    /// The key of `mac` in `network`.
    #[inline(always)]
    pub const fn new(network: NetworkId, mac: MacAddress) -> Self {
        Self {
            network,
            mac,
            zero: [0; 2],
        }
    }
}

/// Where a MAC address lives.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MacRow {
    /// Remote: the VTEP's address, IPv4 in mapped form. Local: zero.
    pub vtep: [u8; 16],
    /// Local: kernel index of the device. Remote: zero.
    pub ifindex: u32,
    /// Local: index of the port's counters. Remote: zero.
    pub slot: u32,
    /// Local: largest layer-3 packet that the port takes. Remote: that of the network.
    pub mtu: u32,
    /// Bits of the `MacRow::…` constants.
    pub flags: u32,
    /// Local: whose firewall policy the port obeys. Remote: zero.
    pub policy: DomainId,
    /// Local: the address plan in which the policy reads addresses. Remote: zero.
    pub scope: u32,
    /// Local trunk port: the VLAN of the network there. Zero: untagged.
    pub vlan: u32,
}

impl MacRow {
    /// The address lives on this host.
    pub const LOCAL: u32 = 1;
    /// The VTEP has an IPv6 address.
    pub const IPV6: u32 = 2;
    /// The port left this host: frames that still arrive here through a tunnel are sent on.
    pub const FORWARD: u32 = 4;
    /// Local: hand the frame straight to the peer of a veth pair, past the host's own queue.
    pub const TO_PEER: u32 = 8;
    /// The address is the router's: packets to it are routed. `LOCAL` is not set.
    pub const ROUTER: u32 = 16;
    /// The data plane has noted by itself where the address lives: it moves with a shared IP address.
    pub const LEARNED: u32 = 64;
    /// The port is isolated, here or where it lives.
    pub const ISOLATED: u32 = 32;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// A VTEP as a source of frames of one network.
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
pub struct TunnelKey {
    /// Outer source address, IPv4 in mapped form.
    pub vtep: [u8; 16],
    /// The network's VNI.
    pub vni: u32,
}

/// What is known of a VTEP that is a member of a network.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TunnelRow {
    /// The network that the VNI stands for on this host.
    pub network: NetworkId,
    /// Bits of the `TunnelRow::…` constants.
    pub flags: u32,
}

impl TunnelRow {
    /// The VTEP is not run by Coax.
    pub const FOREIGN: u32 = 1;
    /// Frames with VLAN tags are carried as they are, not dropped.
    pub const VLAN_TRANSPARENT: u32 = 2;

    /// True when `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}
