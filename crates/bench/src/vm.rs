//! The VMs of a pair, their addresses and those of their hosts.

use coax_wire::MacAddress;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One VM and its host's tunnel endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Vm {
    /// MAC address.
    pub mac: MacAddress,
    /// Address in the network.
    pub ipv4: Ipv4Addr,
    /// Address in the network.
    pub ipv6: Ipv6Addr,
    /// Tunnel endpoint of its host.
    pub vtep_ipv4: Ipv4Addr,
    /// Tunnel endpoint of its host.
    pub vtep_ipv6: Ipv6Addr,
}

impl Vm {
    /// VM number 1 or 2.
    pub const fn number(number: u8) -> Self {
        Self {
            mac: MacAddress([0x02, 0, 0, 0, 0, number]),
            ipv4: Ipv4Addr::new(10, 10, 0, number),
            ipv6: Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, number as u16),
            vtep_ipv4: Ipv4Addr::new(192, 0, 2, number),
            vtep_ipv6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number as u16),
        }
    }

    /// VM number 1 or 2 of another project, on the host of the first one's VM of that number.
    pub const fn neighbour(number: u8) -> Self {
        Self {
            mac: MacAddress([0x02, 0, 0, 0, 1, number]),
            ipv4: Ipv4Addr::new(10, 10, 1, number),
            ipv6: Ipv6Addr::new(0xfd00, 0x10, 1, 0, 0, 0, 0, number as u16),
            ..Self::number(number)
        }
    }

    /// Tunnel endpoint of one family.
    pub const fn vtep(&self, ipv6: bool) -> IpAddr {
        if ipv6 {
            IpAddr::V6(self.vtep_ipv6)
        } else {
            IpAddr::V4(self.vtep_ipv4)
        }
    }

    /// Address in the network.
    pub const fn address(&self, ipv6: bool) -> IpAddr {
        if ipv6 {
            IpAddr::V6(self.ipv6)
        } else {
            IpAddr::V4(self.ipv4)
        }
    }

    /// The link-local address that the VM makes of its MAC address (RFC 4291 appendix A).
    pub const fn link_local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.mac.0;
        Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            u16::from_be_bytes([a ^ 2, b]),
            u16::from_be_bytes([c, 0xff]),
            u16::from_be_bytes([0xfe, d]),
            u16::from_be_bytes([e, f]),
        )
    }

    /// Address of its host's uplink.
    pub const fn link_address(&self, ipv6: bool) -> IpAddr {
        let [.., last] = self.vtep_ipv4.octets();
        if ipv6 {
            let last = last as u16 + 1;
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last))
        } else {
            IpAddr::V4(Ipv4Addr::new(198, 51, 100, last + 1))
        }
    }
}
