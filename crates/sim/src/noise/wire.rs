//! What the readers of headers and texts must survive.

use coax_wire::{
    Ethernet, MacAddress, Mtu, VlanId, VlanTag, Vni, arp::Arp, icmp::Neighbour, ip::Ipv4, ip::Ipv6,
    udp::Udp, vxlan::Vxlan,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Reads `bytes` as every header and every text that there is; what was read is written back and
/// compared.
///
/// # Panics
/// When a reader and its writer disagree.
pub fn wire(bytes: &[u8]) {
    same_bytes::<Ethernet>(bytes);
    same_bytes::<VlanTag>(bytes);
    same_bytes::<Arp>(bytes);
    same_bytes::<Ipv4>(bytes);
    same_bytes::<Ipv6>(bytes);
    same_bytes::<Udp>(bytes);
    same_bytes::<Vxlan>(bytes);
    same_bytes::<Neighbour>(bytes);
    if let Ok((header, _)) = Ipv4::read_from_prefix(bytes) {
        assert!(!header.is_valid() || (20..=60).contains(&header.header_length()));
    }
    if let Ok((header, _)) = Vxlan::read_from_prefix(bytes) {
        let sent = Vxlan::new(header.vni());
        assert_eq!(
            sent.vni, header.vni,
            "the VNI that is sent is the one that was read"
        );
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(mac) = text.parse::<MacAddress>()
    {
        assert!(mac.to_string().eq_ignore_ascii_case(text));
    }
    if let Ok((number, _)) = u64::read_from_prefix(bytes) {
        assert_eq!(
            Vni::try_from(number).map(u64::from).ok(),
            within(number, 1, 0xff_ffff)
        );
        assert_eq!(
            VlanId::try_from(number).map(u64::from).ok(),
            within(number, 1, 4094)
        );
        assert_eq!(
            Mtu::try_from(number).map(u64::from).ok(),
            within(number, 1280, 9216)
        );
    }
}

fn within(number: u64, least: u64, most: u64) -> Option<u64> {
    (least..=most).contains(&number).then_some(number)
}

fn same_bytes<T: FromBytes + IntoBytes + Immutable>(bytes: &[u8]) {
    if let Ok((header, rest)) = T::read_from_prefix(bytes) {
        assert_eq!(header.as_bytes(), &bytes[..bytes.len() - rest.len()]);
    }
}
