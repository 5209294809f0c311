//! Reading the compiler: whole slices, what is different since a batch began, and who is where.

use coax_model::{HostName, NetworkName, PortName, RouterName, VtepName};

use super::{Compiler, sibling};
use crate::message;
use crate::reach::{Needed, Reach};
use crate::slice::{
    ForeignVtep, HostVtep, Member, NetworkParams, NetworkSlice, RouterSlice, SliceDelta,
};
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

    /// The whole slice of a router.
    pub fn router(&self, number: u32) -> Option<RouterSlice> {
        self.build_router(self.router_names.get(&number)?)
    }

    /// The revision of a router's last change.
    pub fn router_revision(&self, number: u32) -> Option<u64> {
        let state = self.routers.get(self.router_names.get(&number)?)?;
        state.published.map(|(_, revision)| revision)
    }

    /// All routers, in no order.
    pub fn router_numbers(&self) -> impl Iterator<Item = u32> {
        self.router_names.keys().copied()
    }

    /// The number by which slices call a router.
    pub fn router_number_of(&self, name: &RouterName) -> Option<u32> {
        self.routers.get(name)?.published.map(|(number, _)| number)
    }

    /// The networks of a port: one, or more for a trunk.
    pub fn networks_of(&self, port: &PortName) -> impl Iterator<Item = u32> {
        let networks = self.networks_in(port).into_iter();
        networks.filter_map(|network| self.network_id(&sibling(port, &network)))
    }

    /// The networks that a host needs, in the order of their names.
    pub fn networks_of_host(&self, host: &HostName) -> impl Iterator<Item = u32> {
        let names = self.reach.networks(host);
        names.filter_map(|name| self.network_id(name))
    }

    /// The routers that a host needs, in the order of their names.
    pub fn routers_of_host(&self, host: &HostName) -> impl Iterator<Item = u32> {
        let names = self.reach.routers(host);
        names.filter_map(|name| self.router_number_of(name))
    }

    /// Who needs what.
    pub fn reach(&self) -> &Reach {
        &self.reach
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
        let (upsert_members, remove_members) = sort_out(parts.members, |port| {
            self.member(state.members.get(port)?, name)
        });
        let network = Needed::Network(name.clone());
        let (upsert_hosts, remove_hosts) = sort_out(parts.hosts, |host| {
            self.host(host).filter(|_| self.reach.needs(host, &network))
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

    pub(super) fn params(&self, name: &NetworkName) -> Option<NetworkParams> {
        let network = self.networks.get(name)?.network.as_ref()?;
        Some(message::params(name, network, self.router_number(name)))
    }

    fn member(&self, port: &PortName, network: &NetworkName) -> Option<Member> {
        self.member_of(port, &network.name)
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
                .filter_map(|port| self.member(port, name))
                .collect(),
            hosts: self
                .reach
                .hosts(name)
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
