//! What Coax chooses itself: VNIs, MAC addresses, IP addresses. The lowest free number always, so that
//! the same file gives the same network everywhere; each pool remembers how far it has looked, so
//! that filling a network costs no more than its size.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use coax_wire::{MacAddress, Vni};
use ipnet::IpNet;

use crate::name::PortName;

/// The first VNI that is given out; those below are left to people.
pub const FIRST_VNI: u32 = 4096;

/// The VNIs that are taken.
pub struct VniPool {
    taken: BTreeSet<u32>,
    next: u32,
}

impl VniPool {
    /// A pool without these.
    pub fn without(taken: impl IntoIterator<Item = u32>) -> Self {
        Self {
            taken: taken.into_iter().collect(),
            next: FIRST_VNI,
        }
    }

    /// The lowest free VNI from [`FIRST_VNI`] up; once all of those are gone, from 1 up.
    pub fn take(&mut self) -> Option<Vni> {
        let high = (self.next..=Vni::MOST.get()).find(|vni| !self.taken.contains(vni));
        let vni = high.or_else(|| (1..FIRST_VNI).find(|vni| !self.taken.contains(vni)))?;
        self.next = self.next.max(vni + 1);
        self.taken.insert(vni);
        Vni::try_from(vni).ok()
    }
}

/// The stations of one network: which MAC and IP addresses are taken.
#[derive(Default)]
pub struct StationPool {
    macs: HashSet<MacAddress>,
    addresses: HashSet<IpAddr>,
    searched: HashMap<IpNet, Option<u128>>,
}

impl StationPool {
    /// Marks a MAC address as taken; false if it was.
    pub fn use_mac(&mut self, mac: MacAddress) -> bool {
        self.macs.insert(mac)
    }

    /// Marks an IP address as taken; false if it was.
    pub fn use_address(&mut self, address: IpAddr) -> bool {
        self.addresses.insert(address)
    }

    /// Whether a MAC address is free.
    pub fn is_free(&self, mac: MacAddress) -> bool {
        !self.macs.contains(&mac)
    }

    /// The lowest free address of a subnet.
    pub fn take_address(&mut self, subnet: IpNet) -> Option<IpAddr> {
        let last = number(last_usable(subnet));
        let next = self.searched.entry(subnet);
        let next = next.or_insert_with(|| Some(number(gateway(subnet))));
        while let Some(candidate) = next.filter(|&candidate| candidate <= last) {
            let address = address(candidate, subnet);
            *next = candidate.checked_add(1);
            if self.addresses.insert(address) {
                return Some(address);
            }
        }
        None
    }
}

/// A MAC address for a port: locally administered, a hash of its name, and of a number more for as
/// long as the one before is not free.
pub fn choose_mac(port: &PortName, is_free: impl Fn(MacAddress) -> bool) -> MacAddress {
    let text = port.to_string();
    let mut attempt = 0;
    loop {
        let mac = hashed_mac(&text, attempt);
        if is_free(mac) {
            return mac;
        }
        attempt += 1;
    }
}

/// The gateway of a subnet unless it says otherwise: its first address after the one that names it.
pub fn gateway(subnet: IpNet) -> IpAddr {
    address(number(subnet.network()).saturating_add(1), subnet)
}

/// The last address of a subnet that a port can have: IPv4 keeps the very last for broadcasts.
pub fn last_usable(subnet: IpNet) -> IpAddr {
    match subnet {
        IpNet::V4(_) => address(number(subnet.broadcast()).saturating_sub(1), subnet),
        IpNet::V6(_) => subnet.broadcast(),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address with this number, of the subnet's family.
fn address(number: u128, subnet: IpNet) -> IpAddr {
    match subnet {
        IpNet::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpNet::V6(_) => Ipv6Addr::from(number).into(),
    }
}

/// FNV-1a, because it must give the same on every machine and in every release.
fn hashed_mac(text: &str, attempt: u32) -> MacAddress {
    let bytes = text.bytes().chain(attempt.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [_, _, _, a, b, c, d, e] = (hash ^ (hash >> 40)).to_be_bytes();
    MacAddress([0x02, a, b, c, d, e])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn vnis_are_the_lowest_free_ones() {
        let mut pool = VniPool::without([4097, 5]);
        let taken: Vec<u32> = (0..3).map(|_| pool.take().unwrap().get()).collect();
        assert_eq!(taken, [4096, 4098, 4099]);
    }

    #[test]
    fn after_the_last_vni_come_the_low_ones() {
        let mut pool = VniPool {
            taken: [1].into(),
            next: Vni::MOST.get(),
        };
        assert_eq!(pool.take(), Some(Vni::MOST));
        assert_eq!(pool.take().unwrap().get(), 2);
        let taken = (1..FIRST_VNI).collect();
        let mut full = VniPool {
            taken,
            next: Vni::MOST.get() + 1,
        };
        assert_eq!(full.take(), None);
    }

    #[test]
    fn a_subnet_gives_all_its_addresses_and_then_none() {
        let mut pool = StationPool::default();
        let subnet = "10.0.0.0/29".parse().unwrap();
        assert!(pool.use_address("10.0.0.3".parse().unwrap()));
        let mut given = Vec::new();
        while let Some(address) = pool.take_address(subnet) {
            given.push(address.to_string());
        }
        let expected = ["10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"];
        assert_eq!(given, expected);
    }

    #[test]
    fn ipv6_uses_its_last_address() {
        let mut pool = StationPool::default();
        let subnet = "fd00::/126".parse().unwrap();
        assert!(pool.use_address(gateway(subnet)));
        assert_eq!(pool.take_address(subnet).unwrap().to_string(), "fd00::2");
        assert_eq!(pool.take_address(subnet).unwrap().to_string(), "fd00::3");
        assert_eq!(pool.take_address(subnet), None);
    }

    #[test]
    fn the_end_of_the_address_space_is_no_trap() {
        let mut pool = StationPool::default();
        let subnet = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"
            .parse()
            .unwrap();
        let given = std::iter::from_fn(|| pool.take_address(subnet));
        assert_eq!(given.count(), 3);
        assert_eq!(
            last_usable("255.255.255.252/30".parse().unwrap()).to_string(),
            "255.255.255.254"
        );
    }

    #[test]
    fn a_mac_is_a_unicast_local_hash_of_the_name_and_unique() {
        let name: PortName = "shop/web-1".parse().unwrap();
        let first = choose_mac(&name, |_| true);
        let second = choose_mac(&name, |mac| mac != first);
        assert_eq!(first.0[0], 2);
        assert_ne!(first, second);
        assert_eq!(first.to_string(), "02:45:7e:1b:b7:27");
    }
}
