//! Routers: which networks they join, and the routes that follow from that and from what users wrote.

use std::collections::{BTreeMap, BTreeSet};

use coax_model::{Network, NetworkName, Router, RouterName};

use super::{Compiler, RouterState, RouterStep, sibling};
use crate::message::bytes;
use crate::slice::{Route, RouterSlice};
use crate::touched::Touched;

impl Compiler {
    pub(super) fn set_router(
        &mut self,
        name: &RouterName,
        router: Option<&Router>,
        touched: &mut Touched,
    ) {
        touched.router(name, || self.build_router(name));
        let old = self
            .routers
            .get(name)
            .and_then(|state| state.router.as_ref());
        let networks = |router: Option<&Router>| -> BTreeSet<NetworkName> {
            let names = router.into_iter().flat_map(|router| &router.networks);
            names.map(|network| sibling(name, network)).collect()
        };
        let (before, now) = (networks(old), networks(router));
        for network in before.union(&now) {
            touched.of(network).params(|| self.params(network));
        }
        let state = self.routers.entry(name.clone()).or_insert(RouterState {
            router: None,
            published: None,
        });
        state.router = router.cloned();
        let turns = self.reach.set_router(name, now);
        self.turned(turns, touched);
    }

    /// The routes of these routers follow from the network.
    pub(super) fn touch_routers_of(&self, network: &NetworkName, touched: &mut Touched) {
        for router in self.reach.routers_of(network) {
            touched.router(router, || self.build_router(router));
        }
    }

    pub(super) fn router_steps(
        &mut self,
        touched: BTreeMap<RouterName, Option<RouterSlice>>,
        revision: u64,
    ) -> Vec<RouterStep> {
        let (mut deletions, mut rest) = (Vec::new(), Vec::new());
        for (name, before) in touched {
            let Some(state) = self.routers.get_mut(&name) else {
                continue;
            };
            let number = state.router.as_ref().map(|router| router.number.get());
            let published = state.published.map(|(number, _)| number);
            if let Some(gone) = published.filter(|published| Some(*published) != number) {
                state.published = None;
                // The number may already have passed to another router of the same batch.
                if self.router_names.get(&gone) == Some(&name) {
                    self.router_names.remove(&gone);
                }
                deletions.push(RouterStep {
                    name: name.clone(),
                    number: gone,
                    slice: None,
                });
            }
            match number {
                None => drop(self.routers.remove(&name)),
                Some(number) if published == Some(number) && self.build_router(&name) == before => {
                }
                Some(number) => {
                    self.publish_router(&name, revision);
                    let slice = self.build_router(&name);
                    rest.push(RouterStep {
                        name,
                        number,
                        slice,
                    });
                }
            }
        }
        deletions.append(&mut rest);
        deletions
    }

    pub(super) fn publish_router(&mut self, name: &RouterName, revision: u64) {
        let Some(state) = self.routers.get_mut(name) else {
            return;
        };
        if let Some(router) = &state.router {
            state.published = Some((router.number.get(), revision));
            self.router_names.insert(router.number.get(), name.clone());
        }
    }

    /// The number of the router that joins a network; 0: none does.
    pub(super) fn router_number(&self, network: &NetworkName) -> u32 {
        let router = self.reach.router_of(network);
        let state = router.and_then(|router| self.routers.get(router));
        let router = state.and_then(|state| state.router.as_ref());
        router.map_or(0, |router| router.number.get())
    }

    /// The whole slice of a router, as it is now and under the revision at which it was published.
    pub(super) fn build_router(&self, name: &RouterName) -> Option<RouterSlice> {
        let state = self.routers.get(name)?;
        let router = state.router.as_ref()?;
        let networks: Vec<&Network> = router
            .networks
            .iter()
            .filter_map(|network| self.networks.get(&sibling(name, network)))
            .filter_map(|state| state.network.as_ref())
            .collect();
        let mut routes = Vec::new();
        for network in &networks {
            routes.extend(network.prefixes().map(|prefix| Route {
                address: bytes(prefix.network()),
                length: prefix.prefix_len().into(),
                network: network.vni.get(),
                via: Vec::new(),
            }));
        }
        for route in &router.routes {
            // A route whose next hop is in none of the networks leads nowhere.
            let network = networks
                .iter()
                .find(|network| network.subnet_of(route.via).is_some());
            routes.push(Route {
                address: bytes(route.to.network()),
                length: route.to.prefix_len().into(),
                network: network.map_or(0, |network| network.vni.get()),
                via: bytes(route.via),
            });
        }
        routes.sort();
        let mut numbers: Vec<u32> = networks.iter().map(|network| network.vni.get()).collect();
        numbers.sort_unstable();
        Some(RouterSlice {
            router: router.number.get(),
            revision: state.published.map_or(0, |(_, revision)| revision),
            project: name.project.to_string(),
            name: name.name.to_string(),
            networks: numbers,
            routes,
        })
    }
}
