//! Which host needs which network and which router, and why: because of ports that are bound to it, on
//! their way to it or still forwarded by it, and because of routers that lead on from the networks of
//! these ports. Every reason is kept, so that the last one to go is known without searching.
//!
//! Invariant: a host needs a network exactly if a port names the host in that network, or in another
//! network of a router that joins both. It needs a router exactly if a port names it in a network of the
//! router. Routers are followed one step: two routers that share a network stay two.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use coax_model::{HostName, NetworkName, PortName, RouterName};

/// Something that a host needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// A network.
    Network(NetworkName),
    /// A router.
    Router(RouterName),
}

/// A host that starts or ceases to need something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// The host.
    pub host: HostName,
    /// What.
    pub what: Needed,
    /// Starts, or ceases.
    pub needs: bool,
}

/// Where a port is: the networks that it is plugged into and the hosts that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// More than one for a trunk.
    pub networks: BTreeSet<NetworkName>,
    /// The hosts that have, get or had it.
    pub hosts: BTreeSet<HostName>,
}

impl Place {
    fn pairs(&self) -> impl Iterator<Item = (&NetworkName, &HostName)> {
        let pair = |network| self.hosts.iter().map(move |host| (network, host));
        self.networks.iter().flat_map(pair)
    }

    fn has(&self, network: &NetworkName, host: &HostName) -> bool {
        self.networks.contains(network) && self.hosts.contains(host)
    }
}

/// What is known of one router.
#[derive(Debug, Default)]
struct Joined {
    networks: BTreeSet<NetworkName>,
    /// In how many of the networks ports name a host; never zero.
    hosts: BTreeMap<HostName, usize>,
}

/// Who needs what.
#[derive(Debug, Default)]
pub struct Reach {
    ports: HashMap<PortName, Place>,
    /// The hosts that ports name in a network; never empty.
    named: BTreeMap<NetworkName, BTreeSet<HostName>>,
    /// The same by host, with the ports that are the reasons; never empty.
    hosts: BTreeMap<HostName, BTreeMap<NetworkName, BTreeSet<PortName>>>,
    /// Never one without networks.
    routers: BTreeMap<RouterName, Joined>,
    /// The routers that join a network; never empty.
    joins: BTreeMap<NetworkName, BTreeSet<RouterName>>,
}

impl Reach {
    /// Says where a port is. `None`: there is no such port.
    /// Answers which hosts start or cease to need something by that.
    pub fn set_port(&mut self, port: &PortName, place: Option<Place>) -> Vec<Turn> {
        let place = place.filter(|place| place.pairs().next().is_some());
        let before = match &place {
            Some(place) => self.ports.insert(port.clone(), place.clone()),
            None => self.ports.remove(port),
        };
        if before == place {
            return Vec::new();
        }
        let (place, before) = (place.unwrap_or_default(), before.unwrap_or_default());
        let mut turns = Vec::new();
        // Adding first: a host that is named before and after never is without a reason.
        for (network, host) in place.pairs() {
            let reasons = self.hosts.entry(host.clone()).or_default();
            let ports = reasons.entry(network.clone()).or_default();
            if ports.insert(port.clone()) && ports.len() == 1 {
                turns.extend(self.name(network, host, true));
            }
        }
        let gone = before.pairs();
        for (network, host) in gone.filter(|(network, host)| !place.has(network, host)) {
            if self.drop_reason(network, host, port) {
                turns.extend(self.name(network, host, false));
            }
        }
        turns
    }

    /// Says which networks a router joins; none: there is no such router.
    /// Answers which hosts start or cease to need something by that.
    pub fn set_router(
        &mut self,
        router: &RouterName,
        networks: BTreeSet<NetworkName>,
    ) -> Vec<Turn> {
        let before = self.routers.get(router).map(|joined| &joined.networks);
        let before = before.cloned().unwrap_or_default();
        if before == networks {
            return Vec::new();
        }
        // Rare enough to ask for every pair.
        let both: BTreeSet<&NetworkName> = before.union(&networks).collect();
        let mut things: Vec<Needed> = both.iter().copied().cloned().map(Needed::Network).collect();
        things.push(Needed::Router(router.clone()));
        let named = both.iter().filter_map(|network| self.named.get(*network));
        let hosts: BTreeSet<HostName> = named.flatten().cloned().collect();
        let pairs = hosts
            .iter()
            .flat_map(|host| things.iter().map(move |what| (host.clone(), what.clone())));
        let pairs = pairs.collect();
        self.turns(pairs, |reach| reach.join(router, &before, networks))
    }

    /// Does something and tells which of these pairs it turned.
    fn turns(
        &mut self,
        pairs: Vec<(HostName, Needed)>,
        change: impl FnOnce(&mut Self),
    ) -> Vec<Turn> {
        let then: Vec<bool> = pairs
            .iter()
            .map(|(host, what)| self.needs(host, what))
            .collect();
        change(self);
        let turned = pairs
            .into_iter()
            .zip(then)
            .filter_map(|((host, what), then)| {
                let needs = self.needs(&host, &what);
                (needs != then).then_some(Turn { host, what, needs })
            });
        turned.collect()
    }

    fn join(
        &mut self,
        router: &RouterName,
        before: &BTreeSet<NetworkName>,
        networks: BTreeSet<NetworkName>,
    ) {
        self.routers.remove(router);
        for network in before {
            if let Some(routers) = self.joins.get_mut(network) {
                routers.remove(router);
                if routers.is_empty() {
                    self.joins.remove(network);
                }
            }
        }
        let mut joined = Joined::default();
        for network in &networks {
            let routers = self.joins.entry(network.clone()).or_default();
            routers.insert(router.clone());
            for host in self.named.get(network).into_iter().flatten() {
                *joined.hosts.entry(host.clone()).or_default() += 1;
            }
        }
        if !networks.is_empty() {
            joined.networks = networks;
            self.routers.insert(router.clone(), joined);
        }
    }

    /// The first port of a network names a host, or the last one ceases to.
    fn name(&mut self, network: &NetworkName, host: &HostName, names: bool) -> Vec<Turn> {
        let routers = self.joins.get(network).cloned().unwrap_or_default();
        let mut things = BTreeSet::from([Needed::Network(network.clone())]);
        for router in &routers {
            // Nothing behind it turns while another of its networks is a reason, too.
            let joined = self.routers.get(router);
            let others = joined.and_then(|joined| joined.hosts.get(host));
            if others.copied().unwrap_or(0) > usize::from(!names) {
                continue;
            }
            things.insert(Needed::Router(router.clone()));
            let networks = joined.into_iter().flat_map(|joined| &joined.networks);
            things.extend(networks.cloned().map(Needed::Network));
        }
        let pairs = things
            .into_iter()
            .map(|what| (host.clone(), what))
            .collect();
        self.turns(pairs, |reach| {
            if names {
                reach
                    .named
                    .entry(network.clone())
                    .or_default()
                    .insert(host.clone());
            } else if let Some(hosts) = reach.named.get_mut(network) {
                hosts.remove(host);
                if hosts.is_empty() {
                    reach.named.remove(network);
                }
            }
            for router in &routers {
                let Some(joined) = reach.routers.get_mut(router) else {
                    continue;
                };
                let count = joined.hosts.entry(host.clone()).or_default();
                *count = if names {
                    *count + 1
                } else {
                    count.saturating_sub(1)
                };
                if *count == 0 {
                    joined.hosts.remove(host);
                }
            }
        })
    }

    /// Takes a reason away. True if it was the last one.
    fn drop_reason(&mut self, network: &NetworkName, host: &HostName, port: &PortName) -> bool {
        let Some(reasons) = self.hosts.get_mut(host) else {
            return false;
        };
        let Some(ports) = reasons.get_mut(network) else {
            return false;
        };
        ports.remove(port);
        if !ports.is_empty() {
            return false;
        }
        reasons.remove(network);
        if reasons.is_empty() {
            self.hosts.remove(host);
        }
        true
    }

    /// Whether a host needs something.
    pub fn needs(&self, host: &HostName, what: &Needed) -> bool {
        let reaches = |router: &RouterName| {
            let joined = self.routers.get(router);
            joined.is_some_and(|joined| joined.hosts.contains_key(host))
        };
        match what {
            Needed::Router(router) => reaches(router),
            Needed::Network(network) => {
                let named = self.named.get(network);
                named.is_some_and(|hosts| hosts.contains(host))
                    || self.joins.get(network).into_iter().flatten().any(reaches)
            }
        }
    }

    /// The hosts that need a network, sorted.
    pub fn hosts(&self, network: &NetworkName) -> impl Iterator<Item = &HostName> {
        let mut hosts: BTreeSet<&HostName> =
            self.named.get(network).into_iter().flatten().collect();
        for router in self.joins.get(network).into_iter().flatten() {
            hosts.extend(self.hosts_of_router(router));
        }
        hosts.into_iter()
    }

    /// The hosts that need a router, sorted.
    pub fn hosts_of_router(&self, router: &RouterName) -> impl Iterator<Item = &HostName> {
        let joined = self.routers.get(router);
        joined.into_iter().flat_map(|joined| joined.hosts.keys())
    }

    /// The networks that a host needs, sorted.
    pub fn networks(&self, host: &HostName) -> impl Iterator<Item = &NetworkName> {
        let mut networks: BTreeSet<&NetworkName> = BTreeSet::new();
        networks.extend(self.hosts.get(host).into_iter().flat_map(BTreeMap::keys));
        let joined = self
            .routers(host)
            .filter_map(|router| self.routers.get(router));
        networks.extend(joined.flat_map(|joined| &joined.networks));
        networks.into_iter()
    }

    /// The routers that a host needs, sorted.
    pub fn routers(&self, host: &HostName) -> impl Iterator<Item = &RouterName> {
        let direct = self.hosts.get(host).into_iter().flat_map(BTreeMap::keys);
        let routers = direct
            .filter_map(|network| self.joins.get(network))
            .flatten();
        routers.collect::<BTreeSet<_>>().into_iter()
    }

    /// The routers that join a network: one at most, but in the middle of a change.
    pub fn routers_of(&self, network: &NetworkName) -> impl Iterator<Item = &RouterName> {
        self.joins.get(network).into_iter().flatten()
    }

    /// The router that joins a network.
    pub fn router_of(&self, network: &NetworkName) -> Option<&RouterName> {
        self.routers_of(network).next()
    }

    /// The ports that name a host; a trunk once for each of its networks.
    pub fn ports(&self, host: &HostName) -> impl Iterator<Item = &PortName> {
        let networks = self.hosts.get(host).into_iter();
        networks.flat_map(BTreeMap::values).flatten()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    fn name(kind: char, number: u8) -> NetworkName {
        format!("p/{kind}{number}").parse().unwrap()
    }

    fn networks(numbers: &BTreeSet<u8>) -> BTreeSet<NetworkName> {
        numbers.iter().map(|number| name('n', *number)).collect()
    }

    /// Everything that is needed, from the plain lists.
    fn naive(
        ports: &BTreeMap<u8, Place>,
        routers: &BTreeMap<u8, BTreeSet<NetworkName>>,
    ) -> BTreeSet<(HostName, Needed)> {
        let mut needed = BTreeSet::new();
        for place in ports.values() {
            for (network, host) in place.pairs() {
                needed.insert((host.clone(), Needed::Network(network.clone())));
                for (number, networks) in routers.iter().filter(|(_, all)| all.contains(network)) {
                    needed.insert((host.clone(), Needed::Router(name('r', *number))));
                    let others = networks.iter().cloned().map(Needed::Network);
                    needed.extend(others.map(|other| (host.clone(), other)));
                }
            }
        }
        needed
    }

    #[derive(Clone, Debug)]
    enum Step {
        Port(u8, BTreeSet<u8>, BTreeSet<u8>),
        Router(u8, BTreeSet<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0u8..4, btree_set(0u8..4, 0..3), btree_set(0u8..3, 0..3))
                .prop_map(|(port, networks, hosts)| Step::Port(port, networks, hosts)),
            1 => (0u8..2, btree_set(0u8..4, 0..4))
                .prop_map(|(router, networks)| Step::Router(router, networks)),
        ]
    }

    proptest! {
        #[test]
        fn turns_add_up_to_what_ports_and_routers_reach(steps in vec(step(), 1..40)) {
            let mut reach = Reach::default();
            let (mut ports, mut routers) = (BTreeMap::new(), BTreeMap::new());
            let mut needed = BTreeSet::new();
            for step in steps {
                let turns = match step {
                    Step::Port(port, of, hosts) => {
                        let hosts = hosts.iter().map(|host| format!("h{host}").parse().unwrap());
                        let place = Place { networks: networks(&of), hosts: hosts.collect() };
                        ports.insert(port, place.clone());
                        reach.set_port(&name('x', port), Some(place))
                    }
                    Step::Router(router, of) => {
                        routers.insert(router, networks(&of));
                        reach.set_router(&name('r', router), networks(&of))
                    }
                };
                for turn in turns {
                    let pair = (turn.host, turn.what);
                    let news = if turn.needs { needed.insert(pair) } else { needed.remove(&pair) };
                    prop_assert!(news, "a turn that turns nothing");
                }
                prop_assert_eq!(&needed, &naive(&ports, &routers));
                for (host, what) in &needed {
                    prop_assert!(reach.needs(host, what));
                    match what {
                        Needed::Network(network) => {
                            prop_assert!(reach.hosts(network).any(|other| other == host));
                            prop_assert!(reach.networks(host).any(|other| other == network));
                        }
                        Needed::Router(router) => {
                            prop_assert!(reach.hosts_of_router(router).any(|other| other == host));
                            prop_assert!(reach.routers(host).any(|other| other == router));
                        }
                    }
                }
            }
            for number in 0..4 {
                reach.set_port(&name('x', number), None);
                reach.set_router(&name('r', number), BTreeSet::new());
            }
            prop_assert_eq!(format!("{reach:?}"), format!("{:?}", Reach::default()));
        }
    }
}
