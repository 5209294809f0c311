//! Reading the compiler: whole slices, what is different since a batch began, and who is where.

use coax_model::{HostName, NetworkName, PortName, VtepName};

use super::{Compiler, sibling};
use crate::message;
use crate::slice::{ForeignVtep, HostVtep, Member, NetworkParams, NetworkSlice, SliceDelta};
use crate::touched::{Parts, sort_out};

impl Compiler {
    /// The whole slice of a network.
    pub fn slice(&self, network_id: u32) -> Option<NetworkSlice> {
        self.names.get(&network_id).map(|name| self.build(name))
    }

    /// The revision of a network's last change.
    pub fn revision(&self, network_id: u32) -> Option<u64> {
        let state = self.networks.get(self.names.get(&network_id)?)?;
        state.published.map(|(_, revision)| revision)
    }

    /// All networks, in no order.
    pub fn network_ids(&self) -> impl Iterator<Item = u32> {
        self.names.keys().copied()
    }

    /// The number by which slices call a network.
    pub fn network_id(&self, name: &NetworkName) -> Option<u32> {
        self.networks.get(name)?.published.map(|(id, _)| id)
    }

    /// The network of a port.
    pub fn network_of(&self, port: &PortName) -> Option<u32> {
        let network = &self.stations.get(port)?.port.as_ref()?.network;
        self.network_id(&sibling(port, network))
    }

    /// The networks that have, get or had a member on a host, in the order of their names.
    pub fn networks_of_host(&self, host: &HostName) -> impl Iterator<Item = u32> {
        let names = self.reach.get(host).into_iter().flatten();
        names.filter_map(|name| self.network_id(name))
    }

    /// What is different in a network since it was first touched in this batch.
    pub(super) fn difference(&self, name: &NetworkName, parts: Parts) -> SliceDelta {
        let Some(state) = self.networks.get(name) else {
            return SliceDelta::default();
        };
        let params = self.params(name).filter(|now| {
            parts
                .params
                .is_some_and(|before| before.as_ref() != Some(now))
        });
        let (upsert_members, remove_members) =
            sort_out(parts.members, |port| self.member(state.members.get(port)?));
        let (upsert_hosts, remove_hosts) = sort_out(parts.hosts, |host| {
            state.hosts.get(host).and_then(|_| self.host(host))
        });
        let (upsert_foreign, remove_foreign) =
            sort_out(parts.foreign, |vtep| self.foreign(state.foreign.get(vtep)?));
        SliceDelta {
            params,
            upsert_members,
            remove_members,
            upsert_hosts,
            remove_hosts,
            upsert_foreign,
            remove_foreign,
            ..SliceDelta::default()
        }
    }

    fn params(&self, name: &NetworkName) -> Option<NetworkParams> {
        let network = self.networks.get(name)?.network.as_ref()?;
        Some(message::params(name, network))
    }

    fn member(&self, name: &PortName) -> Option<Member> {
        let station = self.stations.get(name)?;
        Some(message::member(
            name,
            station.port.as_ref()?,
            &station.binding,
        ))
    }

    fn host(&self, name: &HostName) -> Option<HostVtep> {
        Some(message::host(name, self.hosts.get(name)?))
    }

    fn foreign(&self, name: &VtepName) -> Option<ForeignVtep> {
        Some(message::foreign(name, self.vteps.get(name)?))
    }

    pub(super) fn build(&self, name: &NetworkName) -> NetworkSlice {
        let Some(state) = self.networks.get(name) else {
            return NetworkSlice::default();
        };
        let (network_id, revision) = state.published.unwrap_or_default();
        NetworkSlice {
            network_id,
            revision,
            params: self.params(name),
            members: state
                .members
                .iter()
                .filter_map(|port| self.member(port))
                .collect(),
            hosts: state
                .hosts
                .keys()
                .filter_map(|host| self.host(host))
                .collect(),
            foreign: state
                .foreign
                .iter()
                .filter_map(|vtep| self.foreign(vtep))
                .collect(),
        }
    }
}
