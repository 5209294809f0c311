//! From the rows that are there to the rows that should be there, without a moment at which a frame finds half of it.
//!
//! The order for one network: leftovers that nobody refers to go; then rows that others refer to are written before
//! those others (tunnels, MAC addresses, addresses, the new replica list, the network row that names it, ports); then
//! what is no longer wanted goes in the opposite order, the old replica list last of its network's list.

use std::collections::BTreeMap;

use coax_compile::rows::NetworkRows;
use coax_tables::{NetworkId, NetworkRow, ReplicaKey};
use coax_vswitch::{Row, RowKey, RowOperation};

use crate::mirror::{HeldNetwork, Mirror};

/// The steps of one network in two parts: programs are put on new devices in between.
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
    let lists = plan_lists(network, held, desired);
    let mut plan = Plan {
        make: lists.leftovers,
        break_: Vec::new(),
    };

    put_changed(&mut plan.make, &held.tunnels, &desired.tunnels, Row::Tunnel);
    put_changed(&mut plan.make, &held.macs, &desired.macs, Row::Mac);
    put_changed(
        &mut plan.make,
        &held.addresses,
        &desired.addresses,
        Row::Address,
    );
    plan.make.extend(lists.make);
    put_changed(&mut plan.make, &mirror.ports, &desired.ports, Row::Port);

    for (key, _) in mirror.ports_of(network) {
        if !desired.ports.contains_key(key) {
            plan.break_.push(RowOperation::Delete(RowKey::Port(*key)));
        }
    }
    plan.break_.extend(lists.break_);
    delete_unwanted(
        &mut plan.break_,
        &held.addresses,
        &desired.addresses,
        RowKey::Address,
    );
    delete_unwanted(&mut plan.break_, &held.macs, &desired.macs, RowKey::Mac);
    delete_unwanted(
        &mut plan.break_,
        &held.tunnels,
        &desired.tunnels,
        RowKey::Tunnel,
    );
    plan
}

#[derive(Default)]
struct Lists {
    leftovers: Vec<RowOperation>,
    make: Vec<RowOperation>,
    break_: Vec<RowOperation>,
}

/// Plans the replica list together with the network row that names its generation.
fn plan_lists(network: NetworkId, held: &HeldNetwork, desired: &NetworkRows) -> Lists {
    let mut lists = Lists::default();
    let valid = held.network.map(|row| row.generation);
    let deletes = |wanted: &dyn Fn(u32) -> bool| -> Vec<RowOperation> {
        let keys = held.replicas.keys().filter(|key| wanted(key.generation));
        keys.map(|key| RowOperation::Delete(RowKey::Replica(*key)))
            .collect()
    };
    // What an interrupted change left behind is of a generation that no row names.
    lists.leftovers = deletes(&|generation| Some(generation) != valid);

    let Some(wanted) = desired.network else {
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
    let unchanged = valid.filter(|generation| list_is(held, network, *generation, desired));
    let generation = unchanged.unwrap_or_else(|| next_generation(held));
    if unchanged.is_none() {
        let rows = (0..).zip(&desired.replicas).map(|(slot, row)| {
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

fn list_is(held: &HeldNetwork, network: NetworkId, generation: u32, desired: &NetworkRows) -> bool {
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
    let wanted = (0..).zip(&desired.replicas);
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
