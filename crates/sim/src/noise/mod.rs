//! A scenario out of any bytes: for property tests, whose bytes come from proptest, and for
//! fuzzers, whose bytes come from libFuzzer.
//!
//! Bytes are used up one by one as decisions; when they end, every further decision is the
//! first of its choices, which is the plainest. So fewer and smaller bytes are a plainer scenario,
//! and shrinking bytes shrinks scenarios. Rows and frames speak of the same few networks, VMs and
//! VTEPs, because noise that never meets a row would only ever be dropped at the door.

mod frames;
mod hostile;
mod policy;
mod raw;
mod routed;
mod rows;
mod wire;

pub use raw::raw;
pub use wire::wire;

use crate::{Scenario, Stand};
use coax_pipeline::Verdict;
use coax_tables::NetworkId;
use coax_wire::MacAddress;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes as decisions.
#[derive(Clone, Debug)]
pub struct Noise<'a> {
    bytes: &'a [u8],
}

impl<'a> Noise<'a> {
    /// Decisions from `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next byte; 0 after the last one.
    pub fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// True in one of `parts` cases, never after the last byte.
    pub fn one_in(&mut self, parts: u8) -> bool {
        self.byte() % parts.max(1) == parts.max(1) - 1
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        let number = usize::from(self.byte());
        let number = if limit > 256 {
            number << 8 | usize::from(self.byte())
        } else {
            number
        };
        number % limit.max(1)
    }

    /// One of `choices`; the first after the last byte.
    pub fn pick<T: Copy>(&mut self, first: T, others: &[T]) -> T {
        match self.below(others.len() + 1) {
            0 => first,
            place => others.get(place - 1).copied().unwrap_or(first),
        }
    }
}

/// A scenario of random rows, up to eight random frames and a conversation on a stand.
pub fn scenario(bytes: &[u8], stand: &Stand) -> Scenario {
    let mut noise = Noise::new(bytes);
    let exhausted = rows::exhausted(&mut noise);
    let mut rows = rows::rows(&mut noise, stand);
    policy::policies(&mut noise, &mut rows);
    let count = 1 + noise.below(8);
    let mut frames: Vec<_> = (0..count).map(|_| frames::enters(&mut noise)).collect();
    frames.extend(policy::conversation(&mut noise));
    Scenario {
        rows,
        frames,
        exhausted,
    }
}

/// Plays a scenario and checks what holds for each, whatever it is: no panic, every frame accounted
/// for, every drop for a reason that a stage on its way names.
///
/// # Panics
/// When something does not hold.
pub fn check(scenario: &Scenario, stand: &Stand) {
    let played = scenario.play(stand);
    assert!(played.is_ok(), "{:?}", played.err());
    for outcome in played.into_iter().flat_map(|(_, outcomes)| outcomes) {
        let named = |reason| {
            let mut stages = outcome.stages.iter();
            stages.any(|stage| stage.drops().contains(&reason))
        };
        assert!(outcome.verdict != Verdict::Next, "a frame without an end");
        assert!(outcome.reason.is_none_or(named), "{outcome:?}");
    }
}

/// The two networks that everything is about.
pub(crate) const NETWORKS: [NetworkId; 2] = [NetworkId(7), NetworkId(8)];

/// A VM: 1 to 3 have devices on the stand, 4 lives elsewhere, 5 is not known to anybody.
pub(crate) const VMS: [u8; 5] = [1, 2, 3, 4, 5];

/// The gateway's number among the VMs' addresses.
pub(crate) const ROUTER: u8 = 9;

/// The gateway's MAC address.
pub const GATEWAY: MacAddress = MacAddress([0x02, 0xc0, 0xa0, 0, 0, 1]);

/// The VLAN of another network on a trunk.
pub(crate) const VLAN: u16 = 5;

/// The secret of the host's canaries.
pub(crate) const CANARY: u64 = 0x00c0_a000_0000_0001;

/// A MAC address that moves with an address (RFC 9568 section 7.3).
pub(crate) const VIRTUAL: MacAddress = MacAddress([0, 0, 0x5e, 0, 1, 9]);

/// An address that ports have beside their own, or share.
pub(crate) const FURTHER4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

/// The same over IPv6.
pub(crate) const FURTHER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100);

/// A VM's MAC address.
pub const fn mac(vm: u8) -> MacAddress {
    MacAddress([0x02, 0, 0, 0, 0, vm])
}

/// A VM's IPv4 address.
pub const fn ipv4(vm: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, vm)
}

/// A VM's IPv6 address.
pub const fn ipv6(vm: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, vm as u16)
}

/// The link-local address that is made of a VM's MAC address.
pub fn own_link_local(vm: u8) -> Ipv6Addr {
    coax_wire::ip::link_local(mac(vm)).into()
}

/// A VM's link-local address.
pub const fn link_local(vm: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, vm as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_noise_is_the_plainest_scenario() {
        let plain = scenario(&[], &Stand::default());
        assert_eq!(plain, scenario(&[0; 64], &Stand::default()));
        assert_eq!(plain.frames.len(), 1);
    }
}
