//! The test stand: devices, addresses and routes of the host on which scenarios play.
//!
//! ```text
//!   VM 1 --- vm1 +-------------------+ up1 (MTU 1600) --- 192.0.2.2, .3 (unresolved), .99
//!   VM 2 --- vm2 |  192.0.2.1        | up2 (MTU 9300) --- 192.0.2.4
//!   VM 3 --- vm3 |  2001:db8::1      | small (1400)   --- 192.0.2.5
//!                |                   | down
//!                +-------------------+ (no route)         192.0.2.6
//! ```
//!
//! Every VTEP has an IPv6 address 2001:db8::N too, over the same device. The simulator has the
//! stand as values; the kernel's executor builds it of namespaces and veth pairs.

use crate::tables::{Underlay, Way};
use coax_pipeline::Path;
use coax_tables::HostRow;
use coax_wire::{MacAddress, ip, vxlan::Vxlan};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A device of the stand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Device {
    /// Of a VM.
    Vm1,
    /// Of a VM.
    Vm2,
    /// Of a VM.
    Vm3,
    /// Never up.
    Down,
    /// An uplink.
    Up1,
    /// An uplink for jumbo frames.
    Up2,
    /// An uplink that is too small for tunnel packets of full size.
    Small,
}

impl Device {
    /// All devices, in the order in which they are made.
    pub const ALL: [Self; 7] = [
        Self::Vm1,
        Self::Vm2,
        Self::Vm3,
        Self::Down,
        Self::Up1,
        Self::Up2,
        Self::Small,
    ];

    /// The name in the kernel and in golden files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vm1 => "vm1",
            Self::Vm2 => "vm2",
            Self::Vm3 => "vm3",
            Self::Down => "down",
            Self::Up1 => "up1",
            Self::Up2 => "up2",
            Self::Small => "small",
        }
    }

    /// The device of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.name() == name)
    }

    /// Largest IP packet. The VMs' devices are wide: networks are narrower than devices here, so
    /// that the pipeline's own limit is seen.
    pub const fn mtu(self) -> u32 {
        match self {
            Self::Vm1 | Self::Vm2 | Self::Vm3 | Self::Down => 65_000,
            Self::Up1 => 1600,
            Self::Up2 => 9300,
            Self::Small => 1400,
        }
    }

    /// The host's own MAC address on it.
    pub const fn mac(self) -> MacAddress {
        MacAddress([0x02, 0, 0, 0, 0x01, self as u8])
    }

    /// The next hop's MAC address on an uplink.
    pub const fn next_hop(self) -> MacAddress {
        MacAddress([0x02, 0, 0, 0, 0x02, self as u8])
    }

    /// True when frames can be sent by it.
    pub const fn is_up(self) -> bool {
        !matches!(self, Self::Down)
    }

    /// True for uplinks.
    pub const fn is_uplink(self) -> bool {
        matches!(self, Self::Up1 | Self::Up2 | Self::Small)
    }
}

/// A VTEP of the stand by the last number of its addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vtep(pub u8);

impl Vtep {
    /// The host's own.
    pub const OWN: Self = Self(1);
    /// Another host, over `up1`.
    pub const PEER: Self = Self(2);
    /// Over `up1`, where the next hop's MAC address is not known.
    pub const UNRESOLVED: Self = Self(3);
    /// Another host, over `up2`.
    pub const JUMBO: Self = Self(4);
    /// Over `small`.
    pub const NARROW: Self = Self(5);
    /// No route leads there.
    pub const NOWHERE: Self = Self(6);
    /// Not run by Coax, over `up1`.
    pub const FOREIGN: Self = Self(99);

    /// Those with a route, the uplink that it leads over, and whether the next hop is resolved.
    pub const ROUTES: [(Self, Device, bool); 5] = [
        (Self::PEER, Device::Up1, true),
        (Self::UNRESOLVED, Device::Up1, false),
        (Self::JUMBO, Device::Up2, true),
        (Self::NARROW, Device::Small, true),
        (Self::FOREIGN, Device::Up1, true),
    ];

    /// The IPv4 address.
    pub const fn ipv4(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.0)
    }

    /// The IPv6 address.
    pub const fn ipv6(self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.0 as u16)
    }

    /// The address of a family as rows hold it.
    pub const fn row(self, ipv6: bool) -> [u8; 16] {
        if ipv6 {
            self.ipv6().octets()
        } else {
            ip::mapped(self.ipv4().octets())
        }
    }

    /// The address of a family.
    pub const fn address(self, ipv6: bool) -> IpAddr {
        if ipv6 {
            IpAddr::V6(self.ipv6())
        } else {
            IpAddr::V4(self.ipv4())
        }
    }
}

/// The stand with the kernel indices of its devices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stand {
    indices: BTreeMap<Device, u32>,
}

impl Default for Stand {
    /// Indices as a fresh namespace gives them out: the loopback device has 1.
    fn default() -> Self {
        Self::new(
            (2..)
                .zip(Device::ALL)
                .map(|(index, device)| (device, index)),
        )
    }
}

impl Stand {
    /// A stand whose devices have these kernel indices.
    pub fn new(indices: impl IntoIterator<Item = (Device, u32)>) -> Self {
        Self {
            indices: indices.into_iter().collect(),
        }
    }

    /// Kernel index of a device; 0, which no device has, when the stand lacks it.
    pub fn index(&self, device: Device) -> u32 {
        self.indices.get(&device).copied().unwrap_or(0)
    }

    /// The device with a kernel index.
    pub fn device(&self, index: u32) -> Option<Device> {
        self.indices
            .iter()
            .find(|(_, own)| **own == index)
            .map(|(device, _)| *device)
    }

    /// Kernel indices of the devices that can send.
    pub fn sending(&self) -> impl Iterator<Item = u32> + '_ {
        self.indices
            .iter()
            .filter(|(device, _)| device.is_up())
            .map(|(_, index)| *index)
    }

    /// The routes.
    pub fn underlay(&self) -> Underlay {
        let mut underlay = Underlay::new();
        for (vtep, device, resolved) in Vtep::ROUTES {
            let known = |mac| if resolved { mac } else { MacAddress::default() };
            let way = Way {
                path: Path {
                    ifindex: self.index(device),
                    destination: known(device.next_hop()),
                    source: known(device.mac()),
                },
                resolved,
                mtu: device.mtu(),
            };
            underlay.add(vtep.row(false), way);
            underlay.add(vtep.row(true), way);
        }
        underlay
    }
}

/// The host row of the stand: a VTEP address of both families.
pub const fn host_row() -> HostRow {
    HostRow {
        vtep_ipv6: Vtep::OWN.row(true),
        vtep_ipv4: Vtep::OWN.ipv4().octets(),
        udp_port: Vxlan::PORT.to_be_bytes(),
        flags: 0,
        seed: 0,
        canary: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_lead_back() {
        let stand = Stand::default();
        for device in Device::ALL {
            assert_eq!(Device::named(device.name()), Some(device));
            assert_eq!(stand.device(stand.index(device)), Some(device));
        }
        assert_eq!(stand.device(1), None);
    }
}
