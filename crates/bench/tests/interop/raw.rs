//! Frames by our own hand: what a VM sends, and the tunnel packets of a host that may be hostile.
//!
//! etherparse writes the headers, so that the frames do not come from the code that is tested.

use coax_bench::pair::{Pair, UDP_PORT};
use coax_bench::rows::NETWORK;
use coax_bench::vm::Vm;
use coax_netlink::Namespace;
use etherparse::{ArpOperation, Icmpv4Type, IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel};
use etherparse::{Ipv6Header, LaxPacketHeaders, NetHeaders, PacketBuilder, TransportHeader};
use smoltcp::phy::{Device, Medium, RawSocket, TxToken};
use std::net::IpAddr;
use std::sync::mpsc::{Sender, channel};

/// Length of outer Ethernet, IPv4 and UDP headers.
pub const IPV4_HEADERS: usize = 14 + 20 + 8;
/// Length of outer Ethernet, IPv6 and UDP headers.
pub const IPV6_HEADERS: usize = 14 + 40 + 8;
/// Length of the VXLAN header.
pub const VXLAN: usize = 8;

/// Sends frames out of a device as they are, one after the other.
pub fn send(namespace: &Namespace, device: &str, frames: &[Vec<u8>]) {
    let work = || {
        let mut socket = RawSocket::new(device, Medium::Ethernet).unwrap();
        for frame in frames {
            let token = socket.transmit(smoltcp::time::Instant::ZERO).unwrap();
            token.consume(frame.len(), |buffer| buffer.copy_from_slice(frame));
        }
    };
    namespace.run(work).unwrap();
}

/// A thread that sends what it is given out of the device `eth0` of a namespace, in order.
pub fn sender(namespace: Namespace) -> Sender<Vec<Vec<u8>>> {
    let (sender, given) = channel::<Vec<Vec<u8>>>();
    let work = move || {
        let mut socket = RawSocket::new("eth0", Medium::Ethernet).unwrap();
        for frame in given.into_iter().flatten() {
            let token = socket.transmit(smoltcp::time::Instant::ZERO).unwrap();
            token.consume(frame.len(), |buffer| buffer.copy_from_slice(&frame));
        }
    };
    std::thread::spawn(move || namespace.run(work).unwrap());
    sender
}

/// An Ethernet frame with any payload.
pub fn ethernet(to: [u8; 6], from: [u8; 6], types: &[u8], payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, types, payload].concat()
}

fn ip(from: IpAddr, to: IpAddr, class: u8) -> IpHeaders {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header =
                Ipv4Header::new(0, 64, IpNumber::UDP, from.octets(), to.octets()).unwrap();
            header.dscp = (class >> 2).try_into().unwrap();
            header.ecn = (class & 3).try_into().unwrap();
            header.dont_fragment = true;
            IpHeaders::Ipv4(header, Default::default())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                traffic_class: class,
                flow_label: Ipv6FlowLabel::try_new(0x12345).unwrap(),
                hop_limit: 64,
                next_header: IpNumber::UDP,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            IpHeaders::Ipv6(header, Default::default())
        }
        _ => panic!("{from} and {to} are of two families"),
    }
}

/// A UDP datagram between the VMs, with right checksums.
pub fn datagram(from: &Vm, to: &Vm, ipv6: bool, class: u8, payload: &[u8]) -> Vec<u8> {
    flow(from, to, ipv6, class, (7000, 7001), payload)
}

/// As `datagram`, from and to these ports.
pub fn flow(
    from: &Vm,
    to: &Vm,
    ipv6: bool,
    class: u8,
    ports: (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(from.mac.0, to.mac.0)
        .ip(ip(from.address(ipv6), to.address(ipv6), class))
        .udp(ports.0, ports.1)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

/// The UDP checksum of a tunnel packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sum {
    /// Zero: none.
    Zero,
    /// The right one.
    Right,
    /// A wrong one.
    Wrong,
}

/// A tunnel packet around any bytes.
#[derive(Clone, Debug)]
pub struct Outer {
    /// MAC addresses of receiver and sender on the underlay.
    pub macs: [[u8; 6]; 2],
    /// Outer source address.
    pub source: IpAddr,
    /// Outer destination address.
    pub destination: IpAddr,
    /// Outer traffic class.
    pub class: u8,
    /// First word of the VXLAN header.
    pub flags: u32,
    /// The VXLAN network identifier.
    pub vni: u32,
    /// The last byte of the VXLAN header.
    pub reserved: u8,
    /// UDP destination port.
    pub port: u16,
    /// UDP checksum.
    pub sum: Sum,
}

impl Outer {
    /// What the second host of the pair sends to the first one when it behaves.
    pub async fn to_first_host(pair: &Pair, over_ipv6: bool) -> Self {
        let mut macs = [[0; 6]; 2];
        for (place, mac) in macs.iter_mut().enumerate() {
            let netlink = pair.host(place).unwrap().netlink().unwrap();
            *mac = netlink.link("ul0").await.unwrap().mac.unwrap();
        }
        Self {
            macs,
            source: Vm::number(2).vtep(over_ipv6),
            destination: Vm::number(1).vtep(over_ipv6),
            class: 0,
            flags: 0x0800_0000,
            vni: NETWORK.0,
            reserved: 0,
            port: UDP_PORT,
            sum: Sum::Zero,
        }
    }

    /// Bytes in front of the VXLAN header.
    pub fn headers(&self) -> usize {
        if self.source.is_ipv6() {
            IPV6_HEADERS
        } else {
            IPV4_HEADERS
        }
    }

    /// The tunnel packet with these bytes behind the VXLAN header.
    pub fn wrap(&self, inner: &[u8]) -> Vec<u8> {
        let last = self.vni << 8 | u32::from(self.reserved);
        let payload = [&self.flags.to_be_bytes()[..], &last.to_be_bytes(), inner].concat();
        self.udp(&payload)
    }

    /// The UDP datagram with these bytes where a VXLAN header should be.
    pub fn udp(&self, payload: &[u8]) -> Vec<u8> {
        let [receiver, sender] = self.macs;
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(sender, receiver)
            .ip(ip(self.source, self.destination, self.class))
            .udp(50_000, self.port)
            .write(&mut frame, payload)
            .unwrap();
        let at = self.headers() - 2;
        match self.sum {
            Sum::Zero => frame[at..at + 2].fill(0),
            Sum::Wrong => frame[at] ^= 0x55,
            Sum::Right => {}
        }
        frame
    }
}

/// Changes the IPv4 header behind the Ethernet header and makes its checksum right again.
pub fn change_ipv4(frame: &mut [u8], change: impl FnOnce(&mut Ipv4Header)) {
    let (mut header, _) = Ipv4Header::from_slice(&frame[14..]).unwrap();
    change(&mut header);
    header.header_checksum = header.calc_header_checksum();
    frame[14..34].copy_from_slice(&header.to_bytes());
}

/// The outer destination of a tunnel packet and the frame in it.
pub fn unwrap(packet: &[u8]) -> (IpAddr, &[u8]) {
    let (address, headers): (IpAddr, _) = if packet[12..14] == [8, 0] {
        let address: [u8; 4] = packet[30..34].try_into().unwrap();
        (address.into(), IPV4_HEADERS)
    } else {
        let address: [u8; 16] = packet[38..54].try_into().unwrap();
        (address.into(), IPV6_HEADERS)
    };
    (address, &packet[headers + VXLAN..])
}

/// What a frame of a VM is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// An ARP request or a neighbour solicitation.
    Question,
    /// An ARP answer or a neighbour advertisement.
    Answer,
    /// An echo request, or TCP.
    Unicast,
    /// UDP to this port.
    Udp(u16),
    /// What VMs say by themselves.
    Else,
}

/// Says what a frame is about.
pub fn about(frame: &[u8]) -> About {
    let Ok(headers) = LaxPacketHeaders::from_ethernet(frame) else {
        return About::Else;
    };
    match (headers.net, headers.transport) {
        (Some(NetHeaders::Arp(arp)), _) if arp.operation == ArpOperation::REQUEST => {
            About::Question
        }
        (Some(NetHeaders::Arp(_)), _) => About::Answer,
        (_, Some(TransportHeader::Tcp(_))) => About::Unicast,
        (_, Some(TransportHeader::Udp(udp))) => About::Udp(udp.destination_port),
        (_, Some(TransportHeader::Icmpv4(icmp))) => match icmp.icmp_type {
            Icmpv4Type::EchoRequest(_) => About::Unicast,
            _ => About::Else,
        },
        (_, Some(TransportHeader::Icmpv6(icmp))) => match icmp.icmp_type.type_u8() {
            128 => About::Unicast,
            135 => About::Question,
            136 => About::Answer,
            _ => About::Else,
        },
        _ => About::Else,
    }
}
