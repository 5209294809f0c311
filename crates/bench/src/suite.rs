//! What is measured beside what, and what is asked for.

use crate::filter::Filter;
use crate::measure::Conduct;
use crate::pair::Datapath;
use crate::plan::Plan;
use crate::report::Figure;

/// Two VMs and what joins them, under the name that it has in reports.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The name in reports.
    pub name: &'static str,
    /// How it is built.
    pub plan: Plan,
    /// What a VM of another project does beside it meanwhile.
    pub neighbour: Option<Conduct>,
    /// What is measured on it.
    pub figures: &'static [Figure],
}

/// A ratio of one figure between two subjects.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The figure.
    pub figure: Figure,
    /// Name of the subject above the line.
    pub of: &'static str,
    /// Name of the subject below the line.
    pub to: &'static str,
    /// The ratio that is asked for.
    pub ratio: f64,
}

/// The subjects of one run.
#[derive(Clone, Debug)]
pub struct Suite {
    /// In the order in which they are measured.
    pub subjects: Vec<Subject>,
    /// What is asked for.
    pub goals: &'static [Goal],
}

const VETH: &str = "veth pair";
const BRIDGES: &str = "bridges, no overlay";
const VXLAN: &str = "bridge + kernel vxlan";
const COAX: &str = "coax";

const COAX_10: &str = "coax, 10 rules";
const COAX_10_000: &str = "coax, 10,000 rules";
const COAX_100_000: &str = "coax, 100,000 rules";
const NFT_10: &str = "nftables, 10 rules";
const NFT_10_000: &str = "nftables, 10,000 rules";
const NFT_STATE: &str = "nftables, 10,000, state first";
const ROUTED: &str = "coax, routed";

const ALONE: &str = "coax, nobody beside";
const BUSY: &str = "coax, beside a busy VM";
const HOSTILE: &str = "coax, beside a hostile VM";

const fn goal(figure: Figure, of: &'static str, to: &'static str, ratio: f64) -> Goal {
    Goal {
        figure,
        of,
        to,
        ratio,
    }
}

/// With the firewall on, Coax is to stay ahead of what people use without one.
const FIREWALL_GOALS: [Goal; 10] = [
    goal(Figure::Packets, COAX_10_000, VXLAN, 1.4),
    goal(Figure::Packets, COAX_10_000, NFT_10_000, 10.0),
    goal(Figure::ManyFlows, COAX_10_000, VXLAN, 1.4),
    goal(Figure::Stream, COAX_10_000, VXLAN, 1.3),
    goal(Figure::Connections, COAX_10_000, VXLAN, 1.15),
    goal(Figure::Connections, COAX_10_000, NFT_10, 1.6),
    goal(Figure::Packets, COAX_100_000, COAX_10, 0.95),
    goal(Figure::NewFlows, COAX_100_000, COAX_10, 0.95),
    goal(Figure::RoundTrip, COAX_10_000, VETH, 1.3),
    goal(Figure::Packets, ROUTED, COAX, 0.9),
];

const FORWARDING: [Figure; 5] = [
    Figure::Packets,
    Figure::Stream,
    Figure::RoundTrip,
    Figure::Connections,
    Figure::CpuPerPacket,
];

impl Suite {
    /// Networks, beside what people use today.
    pub fn forwarding() -> Self {
        const GOALS: [Goal; 5] = [
            goal(Figure::Packets, COAX, VXLAN, 1.5),
            goal(Figure::Stream, COAX, VXLAN, 1.3),
            goal(Figure::RoundTrip, COAX, VXLAN, 0.8),
            goal(Figure::Connections, COAX, VXLAN, 1.25),
            goal(Figure::CpuPerPacket, COAX, VXLAN, 0.75),
        ];
        let subject = |name, datapath, label| Subject {
            name,
            plan: Plan::of(datapath, label).guarded(),
            neighbour: None,
            figures: &FORWARDING,
        };
        Self {
            subjects: vec![
                subject(VETH, Datapath::Veth, "veth"),
                subject(BRIDGES, Datapath::Bridge, "bridge"),
                subject(VXLAN, Datapath::BridgeVxlan, "vxlan"),
                subject(COAX, Datapath::Coax, "coax"),
            ],
            goals: &GOALS,
        }
    }

    /// A VM behind a firewall, with nobody beside it, with a busy VM of another project, and with a hostile one.
    pub fn neighbours() -> Self {
        const GOALS: [Goal; 2] = [
            goal(Figure::Packets, HOSTILE, BUSY, 0.9),
            goal(Figure::SlowRoundTrip, HOSTILE, BUSY, 1.5),
        ];
        const FIGURES: [Figure; 4] = [
            Figure::Packets,
            Figure::RoundTrip,
            Figure::SlowRoundTrip,
            Figure::NeighbourFlows,
        ];
        let filter = Filter {
            rules: 10,
            state_first: false,
        };
        let subject = |name, label, neighbour: Option<Conduct>| Subject {
            name,
            plan: Plan::of(Datapath::Coax, label)
                .guarded()
                .filtered(filter)
                .with_neighbours(),
            neighbour,
            figures: match neighbour {
                Some(Conduct::Hostile) => &FIGURES,
                // Who begins no flows is not asked how many.
                _ => &FIGURES[..3],
            },
        };
        Self {
            subjects: vec![
                subject(ALONE, "alone", None),
                subject(BUSY, "busy", Some(Conduct::Busy)),
                subject(HOSTILE, "hostile", Some(Conduct::Hostile)),
            ],
            goals: &GOALS,
        }
    }

    /// Firewalls of few and of many rules, beside no filter and beside nftables.
    pub fn firewall() -> Self {
        const ALL: [Figure; 6] = [
            Figure::Packets,
            Figure::ManyFlows,
            Figure::NewFlows,
            Figure::Stream,
            Figure::RoundTrip,
            Figure::Connections,
        ];
        const SLOW: [Figure; 3] = [Figure::Packets, Figure::ManyFlows, Figure::Connections];
        const SOME: [Figure; 3] = [Figure::Packets, Figure::ManyFlows, Figure::NewFlows];
        let subject = |name, datapath, label, figures| Subject {
            name,
            plan: Plan::of(datapath, label).guarded(),
            neighbour: None,
            figures,
        };
        let filtered = |name, datapath, label, figures, rules, state_first| Subject {
            name,
            plan: Plan::of(datapath, label)
                .guarded()
                .filtered(Filter { rules, state_first }),
            neighbour: None,
            figures,
        };
        let routed = Subject {
            name: ROUTED,
            plan: Plan::of(Datapath::Coax, "routed")
                .guarded()
                .between_networks(),
            neighbour: None,
            figures: &ALL,
        };
        Self {
            subjects: vec![
                subject(VETH, Datapath::Veth, "veth", &ALL[..]),
                subject(VXLAN, Datapath::BridgeVxlan, "vxlan", &ALL),
                filtered(NFT_10, Datapath::BridgeVxlan, "nft1", &ALL, 10, false),
                filtered(
                    NFT_10_000,
                    Datapath::BridgeVxlan,
                    "nft4",
                    &SLOW,
                    10_000,
                    false,
                ),
                filtered(
                    NFT_STATE,
                    Datapath::BridgeVxlan,
                    "nfts",
                    &SLOW,
                    10_000,
                    true,
                ),
                subject(COAX, Datapath::Coax, "coax", &ALL),
                routed,
                filtered(COAX_10, Datapath::Coax, "fw1", &SOME, 10, false),
                filtered(COAX_10_000, Datapath::Coax, "fw4", &ALL, 10_000, false),
                filtered(COAX_100_000, Datapath::Coax, "fw5", &SOME, 100_000, false),
            ],
            goals: &FIREWALL_GOALS,
        }
    }
}
