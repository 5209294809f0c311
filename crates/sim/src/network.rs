//! Many simulated hosts on one underlay that never loses a frame.

use crate::host::AccountingError;
use crate::tables::{Underlay, Way};
use crate::{Host, SimRows, SimTables};
use coax_pipeline::Path;
use coax_wire::MacAddress;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use thiserror::Error;

/// The uplink of every host.
pub const UPLINK: u32 = 1;

/// Tunnel packets that one frame may cause before it counts as endless.
const MOST_PACKETS: usize = 100_000;

/// Hosts, by name, whose uplinks are joined.
#[derive(Clone, Debug, Default)]
pub struct Network {
    hosts: BTreeMap<String, Host>,
}

/// A frame that reached a device of a VM.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Delivery {
    /// The host.
    pub host: String,
    /// The device of the VM.
    pub ifindex: u32,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// Why a frame's way could not be followed to its end.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NetworkError {
    /// The counters of a host contradict each other.
    #[error("host {host}: {source}")]
    Accounting {
        /// The host.
        host: String,
        /// Both sides of the law.
        source: AccountingError,
    },
    /// Hosts send the frame to each other for ever.
    #[error("one frame caused more than {packets} tunnel packets")]
    Endless {
        /// Packets after which it was given up.
        packets: usize,
    },
}

impl Network {
    /// No hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a host whose VMs have the devices `ports`.
    pub fn add(&mut self, name: &str, rows: SimRows, ports: impl IntoIterator<Item = u32>) {
        let way = Way {
            path: Path {
                ifindex: UPLINK,
                destination: MacAddress([2, 0, 0, 0, 2, 1]),
                source: MacAddress([2, 0, 0, 0, 1, 1]),
            },
            resolved: true,
            mtu: u32::MAX,
        };
        let tables = SimTables {
            rows,
            underlay: Underlay::everywhere(way),
            ..SimTables::default()
        };
        let devices: BTreeSet<u32> = ports.into_iter().chain([UPLINK]).collect();
        self.hosts
            .insert(name.to_owned(), Host::new(tables, devices));
    }

    /// A host by its name.
    pub fn host(&mut self, name: &str) -> Option<&mut Host> {
        self.hosts.get_mut(name)
    }

    /// A VM sends a frame; gives what arrives at VMs everywhere, in order. Tunnel packets are
    /// carried to the host that owns their outer destination, and end where nobody does.
    ///
    /// # Errors
    /// When the counters of a host contradict each other, or the frame never comes to an end.
    pub fn send(
        &mut self,
        host: &str,
        ifindex: u32,
        bytes: &[u8],
    ) -> Result<Vec<Delivery>, NetworkError> {
        let mut deliveries = Vec::new();
        let mut under_way = VecDeque::from(self.enter(host, ifindex, bytes, &mut deliveries)?);
        let mut packets = 0;
        while let Some(packet) = under_way.pop_front() {
            packets += 1;
            if packets > MOST_PACKETS {
                return Err(NetworkError::Endless {
                    packets: MOST_PACKETS,
                });
            }
            let Some(owner) = self.owner(&packet) else {
                continue;
            };
            under_way.extend(self.enter(&owner, UPLINK, &packet, &mut deliveries)?);
        }
        Ok(deliveries)
    }

    /// Lets one host have a frame; gives the tunnel packets that it sends.
    fn enter(
        &mut self,
        name: &str,
        ifindex: u32,
        bytes: &[u8],
        deliveries: &mut Vec<Delivery>,
    ) -> Result<Vec<Vec<u8>>, NetworkError> {
        let mut packets = Vec::new();
        let Some(host) = self.hosts.get_mut(name) else {
            return Ok(packets);
        };
        let outcome = if ifindex == UPLINK {
            host.uplink(ifindex, bytes)
        } else {
            host.port(ifindex, bytes)
        };
        host.check_accounting()
            .map_err(|source| NetworkError::Accounting {
                host: name.to_owned(),
                source,
            })?;
        for (ifindex, bytes) in outcome.sent() {
            if ifindex == UPLINK {
                packets.push(bytes.to_vec());
            } else {
                deliveries.push(Delivery {
                    host: name.to_owned(),
                    ifindex,
                    bytes: bytes.to_vec(),
                });
            }
        }
        Ok(packets)
    }

    /// The host with the packet's outer destination address.
    fn owner(&self, packet: &[u8]) -> Option<String> {
        let owns = |host: &Host| {
            let row = &host.tables.rows.host;
            match packet.get(12..14) {
                Some([0x08, 0x00]) => packet.get(30..34) == Some(row.vtep_ipv4.as_slice()),
                Some([0x86, 0xdd]) => packet.get(38..54) == Some(row.vtep_ipv6.as_slice()),
                _ => false,
            }
        };
        self.hosts
            .iter()
            .find(|(_, host)| owns(host))
            .map(|(name, _)| name.clone())
    }
}
