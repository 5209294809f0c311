//! What a batch of changes may have made different, each thing with its state before the batch.

use std::collections::BTreeMap;

use coax_model::{HostName, NetworkName, PortName, RouterName, VtepName};

use crate::reach::{Needed, Turn};
use crate::slice::{ForeignVtep, HostVtep, Member, NetworkParams, RouterSlice};

/// Everything that a batch touched. The first note of a thing counts: it is the state that subscribers
/// know.
#[derive(Default)]
pub(crate) struct Touched {
    pub(crate) networks: BTreeMap<NetworkName, Parts>,
    pub(crate) routers: BTreeMap<RouterName, Option<RouterSlice>>,
    /// Whether a host needed something.
    pub(crate) needs: BTreeMap<(HostName, Needed), bool>,
}

/// The parts of one network that a batch touched.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) params: Option<Option<NetworkParams>>,
    pub(crate) members: BTreeMap<PortName, Option<Member>>,
    pub(crate) hosts: BTreeMap<HostName, Option<HostVtep>>,
    pub(crate) foreign: BTreeMap<VtepName, Option<ForeignVtep>>,
}

impl Touched {
    pub(crate) fn of(&mut self, network: &NetworkName) -> &mut Parts {
        self.networks.entry(network.clone()).or_default()
    }

    pub(crate) fn router(
        &mut self,
        router: &RouterName,
        before: impl FnOnce() -> Option<RouterSlice>,
    ) {
        self.routers.entry(router.clone()).or_insert_with(before);
    }

    pub(crate) fn turn(&mut self, turn: Turn) {
        let Turn { host, what, needs } = turn;
        self.needs.entry((host, what)).or_insert(!needs);
    }
}

impl Parts {
    pub(crate) fn params(&mut self, before: impl FnOnce() -> Option<NetworkParams>) {
        self.params.get_or_insert_with(before);
    }

    pub(crate) fn member(&mut self, port: &PortName, before: impl FnOnce() -> Option<Member>) {
        self.members.entry(port.clone()).or_insert_with(before);
    }

    pub(crate) fn host(&mut self, host: &HostName, before: impl FnOnce() -> Option<HostVtep>) {
        self.hosts.entry(host.clone()).or_insert_with(before);
    }

    pub(crate) fn foreign(
        &mut self,
        vtep: &VtepName,
        before: impl FnOnce() -> Option<ForeignVtep>,
    ) {
        self.foreign.entry(vtep.clone()).or_insert_with(before);
    }
}

/// Sorts parts into those that are there and different, and the names of those that went.
pub(crate) fn sort_out<K: Ord + ToString, T: PartialEq>(
    before: BTreeMap<K, Option<T>>,
    now: impl Fn(&K) -> Option<T>,
) -> (Vec<T>, Vec<String>) {
    let (mut upsert, mut remove) = (Vec::new(), Vec::new());
    for (name, before) in before {
        match now(&name) {
            None if before.is_some() => remove.push(name.to_string()),
            Some(now) if before.as_ref() != Some(&now) => upsert.push(now),
            _ => {}
        }
    }
    (upsert, remove)
}
