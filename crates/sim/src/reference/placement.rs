//! Where a connection may be kept: in one of two rows of eight places, which a secret hash of its ends names.
//!
//! The hash is the pipeline's own, since it cannot be guessed. Everything else about rows is in
//! [`connections`](super::connections).

use super::connections::Ends;
use coax_tables::ConnectionKey;
use coax_tables::connection::{WAYS, buckets};
use std::net::IpAddr;

/// Places in a row.
pub const ROW: usize = WAYS;

/// The rows of one host.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// How many there are: a power of two.
    pub count: usize,
    /// The host's secret.
    pub seed: u64,
}

impl Rows {
    /// The two rows of a connection, which may be one; the one that is looked into first is the first.
    pub fn of(&self, ends: Ends, network: u32) -> [usize; 2] {
        let mask = self.count as u32 - 1;
        buckets(key(ends, network).hash(self.seed), mask).map(|row| row as usize)
    }
}

fn key(ends: Ends, network: u32) -> ConnectionKey {
    let one = (halves(ends.originator.0), ends.originator.1.to_be());
    let other = (halves(ends.other.0), ends.other.1.to_be());
    let originator_is_low = one <= other;
    let (low, high) = if originator_is_low {
        (one, other)
    } else {
        (other, one)
    };
    let asks = match (ends.protocol, originator_is_low) {
        (1 | 58, true) => ConnectionKey::LOW_ASKS,
        (1 | 58, false) => ConnectionKey::HIGH_ASKS,
        _ => 0,
    };
    ConnectionKey {
        low: low.0,
        high: high.0,
        low_port: low.1,
        high_port: high.1,
        network,
        protocol: u32::from(ends.protocol) | asks,
        zero: 0,
    }
}

/// An address, IPv4 in mapped form, as it stands in memory.
fn halves(address: IpAddr) -> [u64; 2] {
    let bytes = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let half = |at: usize| u64::from_ne_bytes(std::array::from_fn(|place| bytes[at + place]));
    [half(0), half(8)]
}
