//! What a pair of hypervisors is to look like: who runs what, and how large packets may be.

use crate::filter::Filter;
use crate::pair::Datapath;

/// What runs on one host, between its VM and its uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Nothing: VM and uplink are plugged in, and nobody forwards.
    Bare,
    /// There is no host: the VMs are the ends of one cable.
    Cable,
    /// A Linux bridge, no overlay.
    Bridge,
    /// A Linux bridge and the kernel's vxlan device.
    KernelVxlan(Checksums),
    /// Coax, which knows the other host in this way.
    Coax(Peer),
}

/// UDP checksums that the kernel's vxlan device sends. It always takes zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksums {
    /// What the device does unless told otherwise: over IPv4 it sends them; over IPv6 zeros, as the
    /// lab makes it.
    Usual,
    /// Zeros.
    Zero,
    /// Right ones.
    Sent,
}

/// How Coax knows the other host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// As a host that runs Coax.
    Coax,
    /// As a foreign VTEP; what lives behind it was written down.
    Foreign,
    /// As a foreign VTEP; nobody told what lives behind it.
    ForeignUnknown,
}

impl Peer {
    /// The host is not run by Coax.
    pub const fn is_foreign(self) -> bool {
        !matches!(self, Self::Coax)
    }
}

/// How a pair is to be built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Part of the names of namespaces and pins; no two pairs of one process have the same.
    pub label: String,
    /// What runs on the hosts.
    pub sides: [Side; 2],
    /// The tunnels go over IPv6.
    pub over_ipv6: bool,
    /// Largest packet that the network carries.
    pub mtu: u32,
    /// Largest packet that the VMs believe in.
    pub vm_mtu: u32,
    /// Largest packet between the hosts.
    pub underlay_mtu: u32,
    /// Frames of the network may carry VLAN tags.
    pub vlan_transparent: bool,
    /// UDP port of the tunnels.
    pub udp_port: u16,
    /// The firewall between the VMs, of bridges with the kernel's vxlan device and of Coax.
    pub filter: Option<Filter>,
    /// Coax compares who sends: the VMs use the addresses of `Vm` and no others.
    pub guarded: bool,
    /// The VMs are in two networks of Coax that a router joins.
    pub between_networks: bool,
    /// Each host runs a VM of another project, too; for two hosts of Coax.
    pub neighbours: bool,
}

impl Plan {
    /// A pair with these sides and the usual sizes.
    pub fn new(label: &str, sides: [Side; 2]) -> Self {
        Self {
            label: label.to_owned(),
            sides,
            over_ipv6: false,
            mtu: crate::pair::MTU,
            vm_mtu: crate::pair::MTU,
            underlay_mtu: crate::pair::UNDERLAY_MTU,
            vlan_transparent: true,
            udp_port: crate::pair::UDP_PORT,
            filter: None,
            guarded: false,
            between_networks: false,
            neighbours: false,
        }
    }

    /// A pair with the same on both sides.
    pub fn of(datapath: Datapath, label: &str) -> Self {
        let side = match datapath {
            Datapath::Veth => Side::Cable,
            Datapath::Bridge => Side::Bridge,
            Datapath::BridgeVxlan => Side::KernelVxlan(Checksums::Usual),
            Datapath::Coax => Side::Coax(Peer::Coax),
        };
        Self::new(label, [side, side])
    }

    /// Lets the tunnels go over IPv6.
    pub fn over_ipv6(mut self, over_ipv6: bool) -> Self {
        self.over_ipv6 = over_ipv6;
        self
    }

    /// Puts a firewall between the VMs.
    pub fn filtered(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Lets Coax compare who sends, as it does unless a port is told otherwise.
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Puts the VMs into two networks of Coax and a router between them.
    pub fn between_networks(mut self) -> Self {
        self.between_networks = true;
        self
    }

    /// Puts a VM of another project beside each VM.
    pub fn with_neighbours(mut self) -> Self {
        self.neighbours = true;
        self
    }

    /// The hosts are joined by routes, as for tunnels.
    pub(crate) fn is_routed(&self) -> bool {
        !self.sides.contains(&Side::Bridge)
    }
}
