//! IPv4 (RFC 791) and IPv6 (RFC 8200) base headers, and what both call by other names.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Numbers of the field "protocol" (IPv4) or "next header" (IPv6).
pub mod protocol {
    /// RFC 792.
    pub const ICMP: u8 = 1;
    /// RFC 9293.
    pub const TCP: u8 = 6;
    /// RFC 768.
    pub const UDP: u8 = 17;
    /// RFC 8200 section 4.5: the header of a fragment.
    pub const FRAGMENT: u8 = 44;
    /// RFC 4302.
    pub const AUTHENTICATION: u8 = 51;
    /// RFC 4443.
    pub const ICMPV6: u8 = 58;
    /// RFC 9260.
    pub const SCTP: u8 = 132;
}

/// The two explicit congestion notification bits (RFC 3168).
pub mod ecn {
    /// The sender does not understand the bits.
    pub const NOT_CAPABLE: u8 = 0;
    /// Capable transport, code point 1.
    pub const CAPABLE_1: u8 = 1;
    /// Capable transport, code point 0.
    pub const CAPABLE_0: u8 = 2;
    /// A router on the way was congested.
    pub const CONGESTION: u8 = 3;
}

/// IPv4 header without options.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Ipv4 {
    /// Version (4) and header length in words of four bytes.
    pub version_length: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Bytes of header and payload.
    pub total_length: [u8; 2],
    /// Names the fragments of one datagram.
    pub identification: [u8; 2],
    /// Reserved, DF, MF and the offset in units of eight bytes.
    pub fragment: [u8; 2],
    /// Hops left.
    pub time_to_live: u8,
    /// What follows.
    pub protocol: u8,
    /// Ones' complement sum of the header.
    pub checksum: [u8; 2],
    /// Sender.
    pub source: [u8; 4],
    /// Receiver.
    pub destination: [u8; 4],
}

impl Ipv4 {
    /// Bytes of a header without options.
    pub const LENGTH: u32 = 20;
    /// "Do not fragment" in the first byte of `fragment`.
    pub const DONT_FRAGMENT: u8 = 0x40;

    /// True when version and length say that this is IPv4.
    #[inline(always)]
    pub const fn is_valid(&self) -> bool {
        self.version_length >> 4 == 4 && self.version_length & 0x0f >= 5
    }

    /// Bytes of the header, options included: 20 to 60 when `is_valid`.
    #[inline(always)]
    pub const fn header_length(&self) -> u32 {
        (self.version_length & 0x0f) as u32 * 4
    }

    /// True for every fragment, the first included.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.fragment[0] & 0x3f != 0 || self.fragment[1] != 0
    }

    /// True when routers must not cut the datagram.
    #[inline(always)]
    pub const fn dont_fragment(&self) -> bool {
        self.fragment[0] & Self::DONT_FRAGMENT != 0
    }
}

/// IPv6 base header.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Ipv6 {
    /// Version (6), traffic class and flow label.
    pub version_class_flow: [u8; 4],
    /// Bytes after this header.
    pub payload_length: [u8; 2],
    /// What follows.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Sender.
    pub source: [u8; 16],
    /// Receiver.
    pub destination: [u8; 16],
}

impl Ipv6 {
    /// Bytes of the base header.
    pub const LENGTH: u32 = 40;

    /// True when the version says that this is IPv6.
    #[inline(always)]
    pub const fn is_valid(&self) -> bool {
        self.version_class_flow[0] >> 4 == 6
    }

    /// DSCP and ECN, as in IPv4's second byte.
    #[inline(always)]
    pub const fn traffic_class(&self) -> u8 {
        self.version_class_flow[0] << 4 | self.version_class_flow[1] >> 4
    }

    /// The first word of a header with this traffic class and flow label.
    #[inline(always)]
    pub const fn first_word(traffic_class: u8, flow_label: u32) -> [u8; 4] {
        let [_, high, middle, low] = (flow_label & 0x000f_ffff).to_be_bytes();
        [
            0x60 | traffic_class >> 4,
            traffic_class << 4 | high,
            middle,
            low,
        ]
    }
}

/// The IPv4-mapped IPv6 form (RFC 4291 section 2.5.5.2) in which tables keep both families.
#[inline(always)]
pub const fn mapped(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// True for an IPv4 address in mapped form.
#[inline(always)]
pub const fn is_mapped(address: &[u8; 16]) -> bool {
    matches!(address, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..])
}

/// The link-local address that is made of a MAC address (RFC 4291 appendix A, modified EUI-64).
#[inline(always)]
pub const fn link_local(mac: crate::MacAddress) -> [u8; 16] {
    let [a, b, c, d, e, f] = mac.0;
    [
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 0x02,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    #[test]
    fn link_local_addresses_are_those_of_the_standard() {
        // The example of RFC 2464 section 4, as a link-local address.
        let address = link_local(crate::MacAddress([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]));
        assert_eq!(
            Ipv6Addr::from(address).to_string(),
            "fe80::3656:78ff:fe9a:bcde"
        );
    }
}
