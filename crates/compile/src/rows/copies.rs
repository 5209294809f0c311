//! Who gets copies of broadcasts, and the row of the network, which counts them. Both follow from the
//! local ports and the hosts with members, however many members there are.
//!
//! Hosts that only send through a router get no copies: they have nobody for them. Nor do hosts of a routed network. But where
//! ports share an address, all of them hear which one has announced it, and nothing else, so that they route to that one.

use std::collections::{BTreeMap, BTreeSet};

use coax_tables::{NetworkRow, PortKey, PortRow, ReplicaRow};

use super::router::gateway_of;
use super::{Endpoint, Here, endpoint, flag, reached};
use crate::slice::{ForeignVtep, HostVtep, NetworkParams};

/// The copies of a network's broadcasts on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Who gets them, in the order of their slots.
    pub replicas: Vec<ReplicaRow>,
    /// The network. Its generation is 0: who writes the rows knows which one is free.
    pub network: NetworkRow,
}

/// Makes the list from the network's local ports, the hosts that have or get a member, and foreign
/// endpoints. A routed network has no copies but those of announcements. `announced`: the hosts that are to hear of shared addresses.
pub fn copies<'a>(
    params: &NetworkParams,
    here: &Here,
    ports: &BTreeMap<PortKey, PortRow>,
    hosts: impl IntoIterator<Item = &'a HostVtep>,
    announced: impl IntoIterator<Item = &'a HostVtep>,
    foreign: &[ForeignVtep],
) -> Copies {
    let mut replicas = Replicas::default();
    let mut named = BTreeSet::from([here.host.as_str()]);
    if !params.routed {
        replicas
            .local
            .extend(ports.iter().map(|(key, row)| local(key, row)));
        for host in hosts {
            if named.insert(&host.host) {
                replicas.host(host, here, 0);
            }
        }
        let foreign = foreign.iter().filter_map(|vtep| endpoint(&vtep.address));
        for endpoint in foreign.filter(|endpoint| here.has(endpoint.ipv6)) {
            let list = match endpoint.ipv6 {
                false => &mut replicas.foreign_ipv4,
                true => &mut replicas.foreign_ipv6,
            };
            list.push(remote(endpoint));
        }
    }
    for host in announced {
        if named.insert(&host.host) {
            replicas.host(host, here, ReplicaRow::ANNOUNCED);
        }
    }
    replicas.into_copies(params)
}

/// Replicas by the runs in which the network row counts them.
#[derive(Default)]
struct Replicas {
    local: Vec<ReplicaRow>,
    coax_ipv4: Vec<ReplicaRow>,
    foreign_ipv4: Vec<ReplicaRow>,
    foreign_ipv6: Vec<ReplicaRow>,
    coax_ipv6: Vec<ReplicaRow>,
}

impl Replicas {
    fn host(&mut self, host: &HostVtep, here: &Here, flags: u16) {
        let Some(endpoint) = reached(host, here) else {
            return;
        };
        let list = match endpoint.ipv6 {
            false => &mut self.coax_ipv4,
            true => &mut self.coax_ipv6,
        };
        list.push(ReplicaRow {
            flags,
            ..remote(endpoint)
        });
    }

    fn into_copies(self, params: &NetworkParams) -> Copies {
        let transparent = flag(params.vlan_transparent, NetworkRow::VLAN_TRANSPARENT);
        let flood = flag(params.flood_unknown, NetworkRow::FLOOD_UNKNOWN);
        let routed = flag(params.routed, NetworkRow::ROUTED);
        let gateway = gateway_of(params);
        let network = NetworkRow {
            generation: 0,
            local: count(&self.local),
            coax_ipv4: count(&self.coax_ipv4),
            foreign_ipv4: count(&self.foreign_ipv4),
            foreign_ipv6: count(&self.foreign_ipv6),
            coax_ipv6: count(&self.coax_ipv6),
            mtu: params.mtu,
            flags: transparent | flood | routed,
            router: gateway.router,
            gateway_ipv4: gateway.ipv4,
            gateway_ipv6: gateway.ipv6,
            gateway_mac: gateway.mac,
            zero: [0; 2],
        };
        let replicas = [
            self.local,
            self.coax_ipv4,
            self.foreign_ipv4,
            self.foreign_ipv6,
            self.coax_ipv6,
        ];
        Copies {
            replicas: replicas.concat(),
            network,
        }
    }
}

fn local(key: &PortKey, row: &PortRow) -> ReplicaRow {
    let isolated = row.has(PortRow::ISOLATED);
    ReplicaRow {
        ifindex: key.ifindex,
        slot: row.slot,
        // A VLAN has twelve bits.
        vlan: key.vlan as u16,
        flags: if isolated { ReplicaRow::ISOLATED } else { 0 },
        ..ReplicaRow::default()
    }
}

fn remote(endpoint: Endpoint) -> ReplicaRow {
    ReplicaRow {
        vtep: endpoint.address,
        ..ReplicaRow::default()
    }
}

fn count(list: &[ReplicaRow]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}
