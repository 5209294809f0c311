//! What is to be seen from outside, and what has to hold.

use std::collections::{BTreeMap, BTreeSet};

use coax_api::agent::agent_message::Body;
use coax_api::agent::{Problem, SliceKind};
use coax_compile::NetworkSlice;
use coax_compile::rows::{self, LocalPort, NetworkRows};
use coax_model::name::PortName;
use coax_tables::{MacKey, MacRow, NetworkId, PortKey, ReplicaKey};
use coax_vswitch::{Attachment, DataPlane, Row, RowKey, RowOperation, Rows};

use super::world::{World, config};
use crate::desired::here;
use crate::input::Device;

impl World {
    pub(super) fn rows(&self) -> Rows {
        self.plane.rows().unwrap()
    }

    pub(super) fn slot_of(&self, ifindex: u32) -> u32 {
        self.rows().ports[&PortKey { ifindex, vlan: 0 }].slot
    }

    pub(super) fn mac_row(&self, port: &str) -> MacRow {
        let name: PortName = port.parse().unwrap();
        let port = &self.controller.intent.ports[&name];
        let network = self.controller.compiler.networks_of(&name).next().unwrap();
        self.rows().macs[&MacKey::new(NetworkId(network), port.mac)]
    }

    /// The device that claims the port, the oldest if there are several.
    pub(super) fn find_local(&self, port: &str) -> Option<u32> {
        let alias = format!("coax:{port}");
        let claims = |device: &&Device| device.alias.as_deref() == Some(alias.as_str());
        self.devices
            .values()
            .find(claims)
            .map(|device| device.ifindex)
    }

    pub(super) fn next_local(&self, port: &str) -> u32 {
        self.find_local(port).expect("a device for the port")
    }

    /// Exactly the uplink and the devices of known ports have a program; devices of ports that nobody knows may have one.
    pub(super) fn assert_attached(&self) {
        let attached = self.plane.attached().unwrap();
        assert!(attached.contains(&(self.uplink, Attachment::Uplink)));
        for key in self.rows().ports.keys() {
            assert!(
                attached.contains(&(key.ifindex, Attachment::Port)),
                "{key:?}"
            );
        }
        for (ifindex, side) in &attached {
            let device = self
                .devices
                .get(ifindex)
                .expect("a program on a device that is gone");
            assert!(*side == Attachment::Uplink || device.alias.is_some());
        }
    }

    /// The revision of the agent's last word about it.
    pub(super) fn realised(&self) -> Option<u64> {
        self.last_realised().map(|realised| realised.revision)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        self.last_realised()
            .map(|realised| realised.problems.clone())
            .unwrap_or_default()
    }

    fn last_realised(&self) -> Option<&coax_api::agent::Realised> {
        self.sent.iter().rev().find_map(|body| match body {
            Body::Realised(realised) => Some(realised),
            _ => None,
        })
    }

    /// The tables hold exactly what follows from the controller's slices and the devices, worked out from nothing.
    pub(super) fn assert_converged(&self) {
        let attached = self.controller.attached.as_ref().expect("an open stream");
        let mut wanted = BTreeMap::new();
        let mut wanted_routes = BTreeMap::new();
        for (kind, number) in attached.told.keys() {
            if *kind == SliceKind::Policy {
                continue;
            }
            if *kind == SliceKind::Router {
                let slice = self.controller.compiler.router(*number).unwrap();
                wanted_routes.extend(rows::router::routes(&slice));
                continue;
            }
            let slice = self.controller.compiler.slice(*number).unwrap();
            let locals = self.locals(&slice);
            let project = &slice.params.as_ref().unwrap().project;
            let policy = self.policy_here(project);
            let mut rows = rows::network(&slice, &here(&config(), policy), &locals);
            wanted_routes.append(&mut rows.routes);
            rows.learnable.clear();
            wanted.insert(NetworkId(*number), rows);
        }
        let held = self.rows();
        assert_eq!(normal_form(&held), wanted);
        assert_eq!(held.routes, wanted_routes);
        self.assert_policies(&held);
    }

    fn locals(&self, slice: &NetworkSlice) -> Vec<LocalPort> {
        let rows = self.rows();
        let mut locals = BTreeMap::new();
        for device in self.devices.values() {
            let port = device
                .alias
                .as_deref()
                .and_then(|alias| alias.strip_prefix("coax:"));
            let member = port.and_then(|port| slice.member(port));
            let (Some(port), Some(member)) = (port, member) else {
                continue;
            };
            let row = rows.ports.get(&PortKey {
                ifindex: device.ifindex,
                vlan: member.vlan,
            });
            // Any slot is right that no other port has (looked at below), and any of several devices that claim the port.
            let local = LocalPort {
                port: port.to_owned(),
                ifindex: device.ifindex,
                slot: row.map_or(0, |row| row.slot),
                peer_redirect: device.veth_into_namespace,
            };
            if row.is_some() || !locals.contains_key(port) {
                locals.insert(port.to_owned(), local);
            }
        }
        let slots: BTreeSet<u32> = rows.ports.values().map(|row| row.slot).collect();
        assert_eq!(slots.len(), rows.ports.len(), "two ports share a slot");
        assert!(!slots.contains(&0), "a port has the fabric's slot");
        locals.into_values().collect()
    }

    /// Plays all operations again and looks after each one whether a frame could have met a network whose replica list is
    /// incomplete.
    pub(super) fn assert_never_half(&self) {
        let mut rows = Rows::default();
        for operation in self.plane.operations() {
            rows.apply(operation);
            for (network, row) in &rows.networks {
                let generation = row.generation;
                for slot in 0..row.replicas() {
                    let key = ReplicaKey {
                        network: *network,
                        generation,
                        slot,
                    };
                    assert!(
                        rows.replicas.contains_key(&key),
                        "after {operation:?}: no {key:?}"
                    );
                }
            }
            if let RowOperation::Put(Row::Port(_, row)) = operation {
                assert!(
                    rows.networks.contains_key(&row.network),
                    "a port without its network"
                );
            }
            if let RowOperation::Put(Row::Route(_, row)) = operation {
                assert!(
                    rows.networks.contains_key(&row.network),
                    "a route into a network that is not there"
                );
            }
            if let RowOperation::Delete(RowKey::Network(network)) = operation {
                assert!(!rows.ports.values().any(|row| row.network == *network));
                assert!(!rows.routes.values().any(|row| row.network == *network));
            }
        }
    }
}

/// Rows by network, without the generation of the replica list; leftovers of other generations fail the test.
pub(super) fn normal_form(rows: &Rows) -> BTreeMap<NetworkId, NetworkRows> {
    let mut networks: BTreeMap<NetworkId, NetworkRows> = BTreeMap::new();
    for (key, row) in &rows.tunnels {
        networks
            .entry(row.network)
            .or_default()
            .tunnels
            .insert(*key, *row);
    }
    for (key, row) in &rows.macs {
        networks
            .entry(key.network)
            .or_default()
            .macs
            .insert(*key, *row);
    }
    for (key, row) in &rows.addresses {
        networks
            .entry(key.network)
            .or_default()
            .addresses
            .insert(*key, *row);
    }
    for (key, row) in &rows.replicas {
        let valid = rows
            .networks
            .get(&key.network)
            .map(|network| network.generation);
        assert_eq!(valid, Some(key.generation), "a leftover: {key:?}");
        let list = &mut networks.entry(key.network).or_default().replicas;
        assert_eq!(
            list.len(),
            key.slot as usize,
            "a hole in the list before {key:?}"
        );
        list.push(*row);
    }
    for (network, row) in &rows.networks {
        let row = coax_tables::NetworkRow {
            generation: 0,
            ..*row
        };
        networks.entry(*network).or_default().network = Some(row);
    }
    for (key, row) in &rows.ports {
        networks
            .entry(row.network)
            .or_default()
            .ports
            .insert(*key, *row);
    }
    for (key, row) in &rows.sources {
        let port = rows.ports.values().find(|row| row.slot == key.slot);
        let network = port.map(|row| row.network).expect("a source of no port");
        networks
            .entry(network)
            .or_default()
            .sources
            .insert(*key, *row);
    }
    networks
}
