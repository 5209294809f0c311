//! Ports and where they are: who is a member of which network, and which hosts need what because of it.

use coax_model::{Binding, Name, Port, PortName};

use super::{Compiler, Station, sibling};
use crate::message;
use crate::reach::Place;
use crate::touched::Touched;

impl Compiler {
    pub(super) fn set_port(&mut self, name: &PortName, port: Option<&Port>, touched: &mut Touched) {
        self.set_station(name, touched, |station| station.port = port.cloned());
    }

    pub(super) fn set_binding(
        &mut self,
        name: &PortName,
        binding: &Binding,
        touched: &mut Touched,
    ) {
        self.set_station(name, touched, |station| station.binding = binding.clone());
    }

    fn set_station(
        &mut self,
        name: &PortName,
        touched: &mut Touched,
        change: impl FnOnce(&mut Station),
    ) {
        for network in self.networks_in(name) {
            let full = sibling(name, &network);
            touched
                .of(&full)
                .member(name, || self.member_of(name, &network));
            if let Some(state) = self.networks.get_mut(&full) {
                state.members.remove(name);
            }
        }
        let station = self.stations.entry(name.clone()).or_default();
        change(station);
        let there = station.port.is_some();
        if !there && station.binding == Binding::default() {
            self.stations.remove(name);
        }
        for network in self.networks_in(name) {
            let full = sibling(name, &network);
            touched.of(&full).member(name, || None);
            let state = self.networks.entry(full).or_default();
            state.members.insert(name.clone());
        }
        let place = self.stations.get(name).filter(|_| there);
        let place = place.map(|station| Place {
            networks: self
                .networks_in(name)
                .iter()
                .map(|network| sibling(name, network))
                .collect(),
            hosts: station.binding.hosts().cloned().collect(),
        });
        let turns = self.reach.set_port(name, place);
        self.turned(turns, touched);
    }

    /// The short names of a port's networks.
    pub(super) fn networks_in(&self, name: &PortName) -> Vec<Name> {
        let port = self
            .stations
            .get(name)
            .and_then(|station| station.port.as_ref());
        let networks = port.into_iter().flat_map(Port::networks);
        networks.map(|(_, network, _)| network.clone()).collect()
    }

    pub(super) fn member_of(&self, name: &PortName, network: &Name) -> Option<crate::Member> {
        let station = self.stations.get(name)?;
        message::member(name, station.port.as_ref()?, network, &station.binding)
    }
}
