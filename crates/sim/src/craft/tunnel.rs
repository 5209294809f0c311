//! Tunnel packets around frames.

use std::net::{IpAddr, Ipv6Addr};

use coax_wire::MacAddress;

use super::{IPV4, IPV6, Ipv4, Ipv6, ethernet};

/// A tunnel packet around a frame.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// MAC addresses of the underlay: receiver and sender.
    pub macs: (MacAddress, MacAddress),
    /// The VTEP that sends.
    pub source: IpAddr,
    /// The VTEP that receives.
    pub destination: IpAddr,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub port: u16,
    /// UDP checksum.
    pub checksum: u16,
    /// DSCP and ECN of the outer header.
    pub class: u8,
    /// Flags and offset of an outer IPv4 header.
    pub fragment: u16,
    /// The eight bytes of the VXLAN header.
    pub vxlan: [u8; 8],
}

impl Tunnel {
    /// A plain VXLAN packet.
    pub const fn new(source: IpAddr, destination: IpAddr, vni: u32) -> Self {
        let [_, a, b, c] = vni.to_be_bytes();
        Self {
            macs: (
                MacAddress([2, 0, 0, 0, 1, 4]),
                MacAddress([2, 0, 0, 0, 2, 4]),
            ),
            source,
            destination,
            source_port: 50_000,
            port: coax_wire::vxlan::Vxlan::PORT,
            checksum: 0,
            class: 0,
            fragment: 0x4000,
            vxlan: [8, 0, 0, 0, a, b, c, 0],
        }
    }

    /// Puts the frame into the tunnel.
    pub fn around(&self, frame: &[u8]) -> Vec<u8> {
        let mut datagram = [self.source_port.to_be_bytes(), self.port.to_be_bytes()].concat();
        datagram.extend(((16 + frame.len()) as u16).to_be_bytes());
        datagram.extend(self.checksum.to_be_bytes());
        datagram.extend(self.vxlan);
        datagram.extend(frame);
        let (to, from) = self.macs;
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let ip = Ipv4::new(source, destination, 17)
                    .with_class(self.class)
                    .with_fragment(self.fragment);
                ethernet(to, from, IPV4, &ip.packet(&datagram))
            }
            (source, destination) => {
                let ip = Ipv6::new(as_ipv6(source), as_ipv6(destination), 17);
                ethernet(to, from, IPV6, &ip.with_class(self.class).packet(&datagram))
            }
        }
    }
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
