//! Which host needs which network, and why: because of ports that are bound to it, on their way to it
//! or still forwarded by it. Every reason is kept, so that the last one to go is known without
//! searching.
//!
//! Invariant: a host needs a network exactly if some port of the network names the host.

use std::collections::{BTreeMap, BTreeSet};

use coax_model::{HostName, NetworkName, PortName};

/// A host that starts or ceases to need a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// The host.
    pub host: HostName,
    /// The network.
    pub network: NetworkName,
    /// Starts, or ceases.
    pub needs: bool,
}

/// Who needs what.
#[derive(Debug, Default)]
pub struct Subscriptions {
    ports: BTreeMap<PortName, (NetworkName, BTreeSet<HostName>)>,
    networks: BTreeMap<NetworkName, BTreeSet<HostName>>,
    /// With the ports that are the reasons; never an empty set.
    hosts: BTreeMap<HostName, BTreeMap<NetworkName, BTreeSet<PortName>>>,
}

impl Subscriptions {
    /// Says which hosts a port names, in which network. `None`: there is no such port.
    /// Answers which hosts start or cease to need a network by that.
    pub fn set(
        &mut self,
        port: &PortName,
        named: Option<(NetworkName, BTreeSet<HostName>)>,
    ) -> Vec<Turn> {
        let named = named.filter(|(_, hosts)| !hosts.is_empty());
        let before = match &named {
            Some(named) => self.ports.insert(port.clone(), named.clone()),
            None => self.ports.remove(port),
        };
        if before == named {
            return Vec::new();
        }
        let mut turns = Vec::new();
        // Adding first: a host that is named before and after never is without a reason.
        if let Some((network, hosts)) = &named {
            turns.extend(
                hosts
                    .iter()
                    .filter_map(|host| self.add(network, host, port)),
            );
        }
        if let Some((network, hosts)) = &before {
            let stays = |host: &HostName| {
                let still = named.as_ref().filter(|(now, _)| now == network);
                still.is_some_and(|(_, hosts)| hosts.contains(host))
            };
            let gone = hosts.iter().filter(|host| !stays(host));
            turns.extend(gone.filter_map(|host| self.remove(network, host, port)));
        }
        turns
    }

    fn add(&mut self, network: &NetworkName, host: &HostName, port: &PortName) -> Option<Turn> {
        let needed = self.hosts.entry(host.clone()).or_default();
        needed
            .entry(network.clone())
            .or_default()
            .insert(port.clone());
        let first = self
            .networks
            .entry(network.clone())
            .or_default()
            .insert(host.clone());
        first.then(|| Turn {
            host: host.clone(),
            network: network.clone(),
            needs: true,
        })
    }

    fn remove(&mut self, network: &NetworkName, host: &HostName, port: &PortName) -> Option<Turn> {
        let needed = self.hosts.get_mut(host)?;
        let reasons = needed.get_mut(network)?;
        reasons.remove(port);
        if !reasons.is_empty() {
            return None;
        }
        needed.remove(network);
        if needed.is_empty() {
            self.hosts.remove(host);
        }
        if let Some(hosts) = self.networks.get_mut(network) {
            hosts.remove(host);
            if hosts.is_empty() {
                self.networks.remove(network);
            }
        }
        Some(Turn {
            host: host.clone(),
            network: network.clone(),
            needs: false,
        })
    }

    /// The hosts that need a network, sorted.
    pub fn hosts(&self, network: &NetworkName) -> impl Iterator<Item = &HostName> {
        self.networks.get(network).into_iter().flatten()
    }

    /// The networks that a host needs, sorted.
    pub fn networks(&self, host: &HostName) -> impl Iterator<Item = &NetworkName> {
        self.hosts.get(host).into_iter().flat_map(BTreeMap::keys)
    }

    /// The ports that name a host.
    pub fn ports(&self, host: &HostName) -> impl Iterator<Item = &PortName> {
        self.hosts
            .get(host)
            .into_iter()
            .flat_map(BTreeMap::values)
            .flatten()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(network: u8, hosts: &BTreeSet<u8>) -> (NetworkName, BTreeSet<HostName>) {
        let network = format!("p/n{network}").parse().unwrap();
        (
            network,
            hosts
                .iter()
                .map(|host| format!("h{host}").parse().unwrap())
                .collect(),
        )
    }

    proptest! {
        #[test]
        fn turns_add_up_to_what_ports_name(
            script in prop::collection::vec(
                (0u8..4, prop::option::of((0u8..3, prop::collection::btree_set(0u8..3, 0..3)))), 1..30)
        ) {
            let mut subscriptions = Subscriptions::default();
            let mut ports = BTreeMap::new();
            let mut needed = BTreeSet::new();
            for (port, names) in script {
                let port: PortName = format!("p/x{port}").parse().unwrap();
                let names = names.map(|(network, hosts)| named(network, &hosts));
                for turn in subscriptions.set(&port, names.clone()) {
                    let pair = (turn.host, turn.network);
                    let news = if turn.needs { needed.insert(pair) } else { needed.remove(&pair) };
                    prop_assert!(news);
                }
                ports.insert(port, names);
                let all: BTreeSet<_> = ports.values().flatten()
                    .flat_map(|(network, hosts)| hosts.iter().map(move |host| (host.clone(), network.clone())))
                    .collect();
                prop_assert_eq!(&needed, &all);
                for (host, network) in &all {
                    prop_assert!(subscriptions.hosts(network).any(|other| other == host));
                    prop_assert!(subscriptions.networks(host).any(|other| other == network));
                }
            }
        }
    }
}
