//! Equal-cost routes over the live links. See the crate's documentation for the three rules.

use std::collections::{BTreeSet, VecDeque};

use crate::topology::{LinkId, NodeId, Tier, Topology};

/// Which links are down; all others are up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkState {
    down: BTreeSet<LinkId>,
}

impl LinkState {
    /// Every link up.
    pub fn all_up() -> Self {
        Self::default()
    }

    /// Sets a link's state and says whether that changed anything.
    pub fn set(&mut self, link: LinkId, up: bool) -> bool {
        if up {
            self.down.remove(&link)
        } else {
            self.down.insert(link)
        }
    }

    /// Whether a link is up.
    pub fn is_up(&self, link: LinkId) -> bool {
        !self.down.contains(&link)
    }

    /// The links that are down.
    pub fn down(&self) -> impl Iterator<Item = LinkId> {
        self.down.iter().copied()
    }
}

/// How a node reaches another node's loopback. Never empty: an unreachable destination has no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose loopback.
    pub destination: NodeId,
    /// Links over which traffic is spread equally.
    pub links: Vec<LinkId>,
}

/// The routes of one node to every other node that it can reach.
pub fn routes(topology: &Topology, state: &LinkState, node: NodeId) -> Vec<Route> {
    topology
        .nodes()
        .filter(|(destination, _)| *destination != node)
        .filter_map(|(destination, _)| {
            let distances = switch_distances(topology, state, destination);
            let links = next_links(topology, state, node, &distances);
            (!links.is_empty()).then_some(Route { destination, links })
        })
        .collect()
}

/// Hops from every node to `destination` through switches only; `None` where there is no way.
/// Hosts other than the destination have none: nobody may route through them.
fn switch_distances(
    topology: &Topology,
    state: &LinkState,
    destination: NodeId,
) -> Vec<Option<usize>> {
    let mut distances = vec![None; topology.nodes().len()];
    distances[destination.index()] = Some(0);
    let mut queue = VecDeque::from([(destination, 0)]);
    while let Some((node, distance)) = queue.pop_front() {
        for (_, neighbour) in live_neighbours(topology, state, node) {
            let transit = topology.node(neighbour).tier != Tier::Host;
            if transit && distances[neighbour.index()].is_none() {
                distances[neighbour.index()] = Some(distance + 1);
                queue.push_back((neighbour, distance + 1));
            }
        }
    }
    distances
}

fn next_links(
    topology: &Topology,
    state: &LinkState,
    node: NodeId,
    distances: &[Option<usize>],
) -> Vec<LinkId> {
    let is_host = topology.node(node).tier == Tier::Host;
    let own = distances[node.index()];
    live_neighbours(topology, state, node)
        .filter(|(_, neighbour)| match (distances[neighbour.index()], own) {
            (None, _) => false,
            (Some(_), _) if is_host => true,
            (Some(next), own) => own == Some(next + 1),
        })
        .map(|(link, _)| link)
        .collect()
}

fn live_neighbours<'a>(
    topology: &'a Topology,
    state: &'a LinkState,
    node: NodeId,
) -> impl Iterator<Item = (LinkId, NodeId)> + 'a {
    let live = topology.links_of(node).iter().copied();
    live.filter(|link| state.is_up(*link))
        .filter_map(move |link| Some((link, topology.link(link).other(node)?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::topology::tests::{any_topology, example};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Tables = BTreeMap<NodeId, BTreeMap<NodeId, Vec<LinkId>>>;

    fn tables(topology: &Topology, state: &LinkState) -> Tables {
        let table = |node| {
            let routes = routes(topology, state, node).into_iter();
            routes.map(|r| (r.destination, r.links)).collect()
        };
        topology.nodes().map(|(n, _)| (n, table(n))).collect()
    }

    /// Follows every equal-cost choice and returns the number of hops of each path; fails on a
    /// loop, a dead end, a dead link or a host in the middle.
    fn walk(
        t: &Topology,
        state: &LinkState,
        tables: &Tables,
        from: NodeId,
        to: NodeId,
        hops: usize,
    ) -> Result<Vec<usize>, TestCaseError> {
        if from == to {
            return Ok(vec![hops]);
        }
        prop_assert!(hops <= t.nodes().len(), "a loop towards {}", t.name(to));
        prop_assert!(hops == 0 || t.node(from).tier != Tier::Host, "host transit");
        let links = tables[&from].get(&to);
        prop_assert!(
            links.is_some(),
            "{} has no route to {}",
            t.name(from),
            t.name(to)
        );
        let mut paths = Vec::new();
        for link in links.unwrap() {
            prop_assert!(state.is_up(*link));
            let next = t.link(*link).other(from).unwrap();
            paths.extend(walk(t, state, tables, next, to, hops + 1)?);
        }
        Ok(paths)
    }

    fn check_all_pairs(t: &Topology, state: &LinkState) -> Result<(), TestCaseError> {
        let tables = tables(t, state);
        for (a, _) in t.tier(Tier::Host) {
            for (b, _) in t.tier(Tier::Host) {
                prop_assert!(!walk(t, state, &tables, a, b, 0)?.is_empty());
            }
        }
        Ok(())
    }

    fn without_node(t: &Topology, node: NodeId) -> LinkState {
        let mut state = LinkState::all_up();
        for link in t.links_of(node) {
            state.set(*link, false);
        }
        state
    }

    #[test]
    fn in_the_example_every_pair_uses_both_uplinks() {
        let t = example();
        let tables = tables(&t, &LinkState::all_up());
        for (a, _) in t.tier(Tier::Host) {
            for (b, _) in t.tier(Tier::Host).filter(|(b, _)| *b != a) {
                assert_eq!(tables[&a][&b].len(), 2);
            }
        }
    }

    #[test]
    fn a_cut_uplink_sends_its_leaf_over_the_spines() {
        let t = example();
        let id = |name| t.find(name).unwrap();
        let mut state = LinkState::all_up();
        state.set(t.link_between(id("hv3"), id("leaf2")).unwrap(), false);
        let tables = tables(&t, &state);
        let via: Vec<&str> = tables[&id("leaf2")][&id("hv3")]
            .iter()
            .map(|l| t.link(*l).device(id("leaf2")).unwrap())
            .collect();
        assert_eq!(via, ["spine1", "spine2"]);
        assert_eq!(tables[&id("hv3")][&id("hv1")].len(), 1);
    }

    #[test]
    fn a_node_without_live_links_has_no_routes() {
        let t = example();
        let hv1 = t.find("hv1").unwrap();
        let state = without_node(&t, hv1);
        assert!(routes(&t, &state, hv1).is_empty());
        let others = routes(&t, &state, t.find("leaf1").unwrap());
        assert!(others.iter().all(|route| route.destination != hv1));
    }

    proptest! {
        // Walking every path of every cut is much work per case, and small fabrics repeat soon.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn all_up_all_pairs_reach_each_other_over_all_paths(t in any_topology(1)) {
            check_all_pairs(&t, &LinkState::all_up())?;
        }

        /// Leaves are two hops apart, over every spine; so hosts without a common leaf are four
        /// hops apart on every path, whichever they are.
        #[test]
        fn equidistance(t in any_topology(1)) {
            let state = LinkState::all_up();
            let tables = tables(&t, &state);
            let spines = t.tier(Tier::Spine).count();
            for (a, _) in t.tier(Tier::Leaf) {
                for (b, _) in t.tier(Tier::Leaf).filter(|(b, _)| *b != a) {
                    prop_assert_eq!(walk(&t, &state, &tables, a, b, 0)?, vec![2; spines]);
                }
            }
            let leaves = |host| t.links_of(host).iter().map(|l| t.link(*l).upper).collect::<BTreeSet<_>>();
            for (a, _) in t.tier(Tier::Host) {
                for (b, _) in t.tier(Tier::Host) {
                    if a != b && leaves(a).is_disjoint(&leaves(b)) {
                        let paths = walk(&t, &state, &tables, a, b, 0)?;
                        let expected = leaves(a).len() * spines * leaves(b).len();
                        prop_assert_eq!(paths, vec![4; expected]);
                    }
                }
            }
        }

        #[test]
        fn any_single_cut_leaves_all_pairs_reachable_and_no_loops(t in any_topology(2)) {
            for (link, _) in t.links() {
                let mut state = LinkState::all_up();
                state.set(link, false);
                check_all_pairs(&t, &state)?;
            }
            for (node, _) in t.nodes().filter(|(_, n)| n.tier != Tier::Host) {
                check_all_pairs(&t, &without_node(&t, node))?;
            }
        }

        /// Whatever is cut: no loops, no dead ends, no dead links on the routes that remain.
        #[test]
        fn routes_that_remain_always_lead_to_the_destination(
            t in any_topology(1),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        ) {
            let mut state = LinkState::all_up();
            for cut in cuts {
                state.set(LinkId(cut.index(t.links().len())), false);
            }
            let tables = tables(&t, &state);
            for (from, table) in &tables {
                for to in table.keys() {
                    walk(&t, &state, &tables, *from, *to, 0)?;
                }
            }
        }
    }
}
