//! Drawings of a fabric and the VMs on it: as text for a terminal and as SVG. The layout depends
//! only on names and cabling, never on what is up, so nothing jumps between two drawings.

mod svg;
mod text;

use crate::routes::LinkState;
use crate::topology::{NodeId, Topology};

/// A VM as it is drawn below its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vm {
    /// Full name of its port: `shop/web-1`.
    pub name: String,
    /// Full name of its network: `shop/web`. VMs of one network have one colour.
    pub network: String,
    /// Where it runs.
    pub host: NodeId,
    /// Whether it is plugged in and answering.
    pub active: bool,
}

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Drawing<'a> {
    /// The lab's name, for the title.
    pub title: &'a str,
    /// Nodes and links.
    pub topology: &'a Topology,
    /// Dead links are drawn as such.
    pub state: &'a LinkState,
    /// VMs, in any order.
    pub vms: &'a [Vm],
}

impl Drawing<'_> {
    /// For a terminal: tiers in rows, then who is cabled to whom.
    pub fn text(&self) -> String {
        text::render(self)
    }

    /// A stand-alone SVG, readable on light and dark backgrounds.
    pub fn svg(&self) -> String {
        svg::render(self)
    }

    /// The VMs of a host by name.
    fn vms_of(&self, host: NodeId) -> Vec<&Vm> {
        let mut vms: Vec<&Vm> = self.vms.iter().filter(|vm| vm.host == host).collect();
        vms.sort();
        vms
    }

    /// All networks with a VM, sorted: a network's place gives its colour.
    fn networks(&self) -> Vec<&str> {
        let mut networks: Vec<&str> = self.vms.iter().map(|vm| vm.network.as_str()).collect();
        networks.sort_unstable();
        networks.dedup();
        networks
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::topology::tests::example;

    fn vms(topology: &Topology) -> Vec<Vm> {
        let vm = |name: &str, network: &str, host, active| Vm {
            name: name.to_owned(),
            network: network.to_owned(),
            host: topology.find(host).unwrap(),
            active,
        };
        vec![
            vm("shop/web-2", "shop/web", "hv3", true),
            vm("shop/web-1", "shop/web", "hv1", true),
            vm("lab/<&>", "lab/web", "hv1", false),
        ]
    }

    #[test]
    fn the_drawings_are_as_reviewed() {
        let topology = example();
        let mut state = LinkState::all_up();
        let ends = ["hv3", "leaf2"].map(|n| topology.find(n).unwrap());
        state.set(topology.link_between(ends[0], ends[1]).unwrap(), false);
        let vms = vms(&topology);
        let drawing = Drawing {
            title: "demo",
            topology: &topology,
            state: &state,
            vms: &vms,
        };
        insta::assert_snapshot!("text", drawing.text());
        insta::assert_snapshot!("svg", drawing.svg());
    }

    #[test]
    fn nothing_jumps_when_links_die_or_vms_are_listed_in_another_order() {
        let topology = example();
        let mut vms = vms(&topology);
        let mut state = LinkState::all_up();
        let svg = |state: &LinkState, vms: &[Vm]| {
            let drawing = Drawing {
                title: "demo",
                topology: &topology,
                state,
                vms,
            };
            drawing.svg()
        };
        let places = |svg: &str| {
            let lines = svg.lines().filter(|l| !l.starts_with("<line"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = svg(&state, &vms);
        vms.reverse();
        assert_eq!(before, svg(&state, &vms));
        let (first, _) = topology.links().next().unwrap();
        state.set(first, false);
        assert_eq!(places(&before), places(&svg(&state, &vms)));
    }
}
