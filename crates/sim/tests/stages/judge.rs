//! What somebody else's parser says of the frames that we send: they parse to their end, with
//! right lengths and checksums.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// UDP port of the tunnels.
const VXLAN: u16 = 4789;

/// Judges a frame of ours: a tunnel packet with what is inside, or an answer.
#[track_caller]
pub fn frame(bytes: &[u8]) {
    let packet = SlicedPacket::from_ethernet(bytes).expect("etherparse reads the frame");
    let tags = packet.link_exts.iter();
    assert!(tags.count() <= 3);
    match &packet.net {
        Some(NetSlice::Ipv4(slice)) => {
            let header = slice.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            transport(&packet, bytes);
        }
        Some(NetSlice::Ipv6(_)) => transport(&packet, bytes),
        Some(NetSlice::Arp(_)) | None => {}
    }
}

#[track_caller]
fn transport(packet: &SlicedPacket<'_>, bytes: &[u8]) {
    let (source, destination) = addresses(packet);
    match packet
        .transport
        .as_ref()
        .expect("etherparse reads the transport")
    {
        TransportSlice::Udp(udp) => {
            assert_eq!(udp.destination_port(), VXLAN);
            assert!(udp.source_port() >= 0xc000);
            assert_eq!(udp.checksum(), 0);
            let [flags, a, b, c, _, _, _, low] = udp.payload()[..8] else {
                panic!("a VXLAN header has eight bytes");
            };
            assert_eq!((flags, [a, b, c], low), (8, [0; 3], 0));
            inner(&udp.payload()[8..]);
        }
        TransportSlice::Icmpv4(icmp) => {
            let header = icmp.header();
            assert_eq!(
                header.icmp_type.calc_checksum(icmp.payload()),
                header.checksum
            );
        }
        TransportSlice::Icmpv6(icmp) => {
            let (Ok(source), Ok(destination)) = (source.try_into(), destination.try_into()) else {
                panic!("ICMPv6 over IPv4: {bytes:02x?}");
            };
            assert!(icmp.is_checksum_valid(source, destination));
        }
        TransportSlice::Tcp(tcp) => {
            let header = tcp.to_header();
            let sum = match (
                <[u8; 4]>::try_from(source.clone()),
                <[u8; 4]>::try_from(destination.clone()),
            ) {
                (Ok(source), Ok(destination)) => {
                    header.calc_checksum_ipv4_raw(source, destination, tcp.payload())
                }
                _ => {
                    let (Ok(source), Ok(destination)) = (source.try_into(), destination.try_into())
                    else {
                        panic!("two families: {bytes:02x?}");
                    };
                    header.calc_checksum_ipv6_raw(source, destination, tcp.payload())
                }
            };
            assert!(header.rst && sum == Ok(header.checksum));
        }
        other => panic!("we send no such thing: {other:?}"),
    }
}

fn addresses(packet: &SlicedPacket<'_>) -> (Vec<u8>, Vec<u8>) {
    match &packet.net {
        Some(NetSlice::Ipv4(slice)) => (
            slice.header().source().to_vec(),
            slice.header().destination().to_vec(),
        ),
        Some(NetSlice::Ipv6(slice)) => (
            slice.header().source().to_vec(),
            slice.header().destination().to_vec(),
        ),
        _ => (Vec::new(), Vec::new()),
    }
}

/// The VM's own frame: at least its Ethernet header is whole.
#[track_caller]
fn inner(bytes: &[u8]) {
    assert!(bytes.len() >= 14, "{bytes:02x?}");
}
