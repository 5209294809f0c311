//! From the rows that are there to the rows that should be there, without a moment at which a frame finds half of it.
//!
//! The order for one network: leftovers that nobody refers to go; then rows that others refer to are written before
//! those others (tunnels, MAC addresses, addresses, what ports may send from, the new replica list, the network row that names
//! it, routes into the network, ports); then what is no longer wanted goes in the opposite order, the old replica list last of its
//! network's list.

use std::collections::{BTreeMap, BTreeSet};

use coax_compile::rows::NetworkRows;
use coax_tables::{
    AddressKey, AddressRow, MacRow, NetworkId, NetworkRow, ReplicaKey, ReplicaRow, RouteKey,
    RouteRow, SourceKey,
};
use coax_vswitch::{Row, RowKey, RowOperation};

use crate::mirror::{HeldNetwork, Mirror};

/// The steps of one subject in two parts: programs are put on new devices in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Writes what is wanted.
    pub make: Vec<RowOperation>,
    /// Removes what is not wanted any more.
    pub break_: Vec<RowOperation>,
}

/// Plans the way from what `mirror` holds of `network` to `desired`, whose replica list gets a generation that is free.
pub fn plan(mirror: &Mirror, network: NetworkId, desired: &NetworkRows) -> Plan {
    let nothing = HeldNetwork::default();
    let held = mirror.network(network).unwrap_or(&nothing);
    let lists = plan_lists(network, held, &desired.replicas, desired.network);
    let routes = plan_routes(mirror, network.0, &desired.routes);
    let mut plan = Plan {
        make: lists.leftovers,
        break_: routes.break_,
    };
    if desired.network.is_none() && held.network.is_some() {
        plan.break_.extend(ways_into(mirror, network));
    }

    put_changed(&mut plan.make, &held.tunnels, &desired.tunnels, Row::Tunnel);
    put_changed(&mut plan.make, &held.macs, &desired.macs, Row::Mac);
    put_addresses(&mut plan.make, held, desired);
    put_sources(&mut plan.make, mirror, desired);
    plan.make.extend(lists.make);
    plan.make.extend(routes.make);
    put_changed(&mut plan.make, &mirror.ports, &desired.ports, Row::Port);

    let mut slots: BTreeSet<u32> = desired.ports.values().map(|row| row.slot).collect();
    for (key, row) in mirror.ports_of(network) {
        slots.insert(row.slot);
        if !desired.ports.contains_key(key) {
            plan.break_.push(RowOperation::Delete(RowKey::Port(*key)));
        }
    }
    plan.break_.extend(lists.break_);
    delete_sources(&mut plan.break_, mirror, slots, desired);
    delete_unwanted(
        &mut plan.break_,
        &held.addresses,
        &desired.addresses,
        RowKey::Address,
    );
    let unwanted = held.macs.iter().filter(|(key, row)| {
        let noted = row.has(MacRow::LEARNED) && desired.learnable.contains(key);
        !noted && !desired.macs.contains_key(key)
    });
    let unwanted = unwanted.map(|(key, _)| RowOperation::Delete(RowKey::Mac(*key)));
    plan.break_.extend(unwanted);
    delete_unwanted(
        &mut plan.break_,
        &held.tunnels,
        &desired.tunnels,
        RowKey::Tunnel,
    );
    plan
}

/// Plans the way from the routes that `mirror` holds of a router to `desired`: every destination has its old way until it has
/// the new one.
pub fn plan_routes(mirror: &Mirror, router: u32, desired: &BTreeMap<RouteKey, RouteRow>) -> Plan {
    let nothing = BTreeMap::new();
    let held = mirror.routes.get(&router).unwrap_or(&nothing);
    let mut plan = Plan::default();
    put_changed(&mut plan.make, held, desired, Row::Route);
    delete_unwanted(&mut plan.break_, held, desired, RowKey::Route);
    plan
}

/// Ends the routes of all other routers that lead into a network: its row goes, and theirs may be worked out later.
fn ways_into(mirror: &Mirror, network: NetworkId) -> impl Iterator<Item = RowOperation> {
    let others = mirror.routes.iter();
    let others = others.filter(move |(router, _)| **router != network.0);
    let routes = others.flat_map(|(_, routes)| routes);
    routes
        .filter(move |(_, row)| row.network == network)
        .map(|(key, _)| RowOperation::Delete(RowKey::Route(*key)))
}

/// What a replica list takes.
#[derive(Default)]
pub(crate) struct Lists {
    pub(crate) leftovers: Vec<RowOperation>,
    pub(crate) make: Vec<RowOperation>,
    pub(crate) break_: Vec<RowOperation>,
}

/// Plans the replica list together with the network row that names its generation.
pub(crate) fn plan_lists(
    network: NetworkId,
    held: &HeldNetwork,
    replicas: &[ReplicaRow],
    wanted: Option<NetworkRow>,
) -> Lists {
    let mut lists = Lists::default();
    let valid = held.network.map(|row| row.generation);
    let deletes = |wanted: &dyn Fn(u32) -> bool| -> Vec<RowOperation> {
        let keys = held.replicas.keys().filter(|key| wanted(key.generation));
        keys.map(|key| RowOperation::Delete(RowKey::Replica(*key)))
            .collect()
    };
    // What an interrupted change left behind is of a generation that no row names.
    lists.leftovers = deletes(&|generation| Some(generation) != valid);

    let Some(wanted) = wanted else {
        if held.network.is_some() {
            lists
                .break_
                .push(RowOperation::Delete(RowKey::Network(network)));
        }
        lists
            .break_
            .extend(deletes(&|generation| Some(generation) == valid));
        return lists;
    };
    let unchanged = valid.filter(|generation| list_is(held, network, *generation, replicas));
    let generation = unchanged.unwrap_or_else(|| next_generation(held));
    if unchanged.is_none() {
        let rows = (0..).zip(replicas).map(|(slot, row)| {
            RowOperation::Put(Row::Replica(
                ReplicaKey {
                    network,
                    generation,
                    slot,
                },
                *row,
            ))
        });
        lists.make.extend(rows);
        lists
            .break_
            .extend(deletes(&|generation| Some(generation) == valid));
    }
    let row = NetworkRow {
        generation,
        ..wanted
    };
    if held.network != Some(row) {
        lists
            .make
            .push(RowOperation::Put(Row::Network(network, row)));
    }
    lists
}

fn list_is(
    held: &HeldNetwork,
    network: NetworkId,
    generation: u32,
    replicas: &[ReplicaRow],
) -> bool {
    let first = ReplicaKey {
        network,
        generation,
        slot: 0,
    };
    let last = ReplicaKey {
        network,
        generation,
        slot: u32::MAX,
    };
    let there = held.replicas.range(first..=last);
    let wanted = (0..).zip(replicas);
    there.map(|(key, row)| (key.slot, row)).eq(wanted)
}

/// A generation that no replica in the tables has.
fn next_generation(held: &HeldNetwork) -> u32 {
    let valid = held.network.map_or(0, |row| row.generation);
    let mut generation = valid.wrapping_add(1);
    while held.replicas.keys().any(|key| key.generation == generation) {
        generation = generation.wrapping_add(1);
    }
    generation
}

/// Adds the rows that are missing or different.
pub(crate) fn put_changed<K: Ord + Copy, V: PartialEq + Copy>(
    operations: &mut Vec<RowOperation>,
    held: &BTreeMap<K, V>,
    desired: &BTreeMap<K, V>,
    row: fn(K, V) -> Row,
) {
    let changed = desired
        .iter()
        .filter(|(key, value)| held.get(key) != Some(value));
    operations.extend(changed.map(|(key, value)| RowOperation::Put(row(*key, *value))));
}

fn delete_unwanted<K: Ord + Copy, V>(
    operations: &mut Vec<RowOperation>,
    held: &BTreeMap<K, V>,
    desired: &BTreeMap<K, V>,
    key_of: fn(K) -> RowKey,
) {
    let unwanted = held.keys().filter(|key| !desired.contains_key(key));
    operations.extend(unwanted.map(|key| RowOperation::Delete(key_of(*key))));
}

/// Adds addresses that are missing or different. Who has one that several may use is the data plane's to say.
pub(crate) fn put_addresses(
    operations: &mut Vec<RowOperation>,
    held: &HeldNetwork,
    desired: &NetworkRows,
) {
    let is_right = |key: &AddressKey, row: &AddressRow| {
        held.addresses.get(key).is_some_and(|held| {
            let shared = held.has(AddressRow::SHARED) && row.has(AddressRow::SHARED);
            shared || held == row
        })
    };
    let changed = desired.addresses.iter();
    let changed = changed.filter(|(key, row)| !is_right(key, row));
    operations.extend(changed.map(|(key, row)| RowOperation::Put(Row::Address(*key, *row))));
}

/// Adds what ports may send from, as far as it is missing or different.
pub(crate) fn put_sources(
    operations: &mut Vec<RowOperation>,
    mirror: &Mirror,
    desired: &NetworkRows,
) {
    let held = |key: &SourceKey| mirror.sources.get(&key.slot)?.get(key);
    let changed = desired
        .sources
        .iter()
        .filter(|(key, row)| held(key) != Some(row));
    operations.extend(changed.map(|(key, row)| RowOperation::Put(Row::Source(*key, *row))));
}

/// Removes what the ports with these slots may send from and should not.
pub(crate) fn delete_sources(
    operations: &mut Vec<RowOperation>,
    mirror: &Mirror,
    slots: impl IntoIterator<Item = u32>,
    desired: &NetworkRows,
) {
    for slot in slots {
        let unwanted = mirror.sources_of(slot).map(|(key, _)| key);
        let unwanted = unwanted.filter(|key| !desired.sources.contains_key(key));
        operations.extend(unwanted.map(|key| RowOperation::Delete(RowKey::Source(*key))));
    }
}
