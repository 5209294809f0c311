//! What a plan says about connectivity beside what the rows decide. The model judges by rules and members, because it is asked
//! before anything is compiled; this holds the two in step, for changes and for checks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use coax_model::{
    AddressGroup, Change, Check, CheckSide, Checks, DefaultAction, Expect, Firewall, FirewallRule,
    Group, Intent, Match, Mode, Name, Network, ObjectName, Port, ProofState, Router, RouterNumber,
    RuleAction, RuleOrder, Selector, connectivity, prove,
};
use coax_tables::{DomainId, PolicyRow};
use coax_wire::{MacAddress, Mtu, Vni};
use proptest::prelude::*;

use super::world::{Packet, Tables};
use crate::policy::domain::{Domain, Place};
use crate::policy::{Limits, Policies};

/// The two ports, each in a network of its own behind one router.
const PORTS: [(&str, &str, [&str; 2]); 2] = [
    ("left", "n1", ["10.1.0.1", "fd00:1::1"]),
    ("right", "n2", ["10.2.0.1", "fd00:2::1"]),
];
const SELECTORS: [&str; 9] = [
    "any",
    "group/left",
    "group/right",
    "network/n1",
    "network/n2",
    "address-group/office",
    "10.0.0.0/8",
    "10.2.0.1",
    "fd00:1::/64",
];
const SERVICES: [&str; 9] = [
    "any",
    "tcp",
    "tcp/80",
    "tcp/80-90",
    "udp/53",
    "icmp",
    "icmp/8",
    "icmpv6/128",
    "ip/47",
];
/// Every set of services that the above can tell apart has one of these.
const SAMPLES: [(u8, u16); 10] = [
    (6, 80),
    (6, 85),
    (6, 9000),
    (17, 53),
    (17, 54),
    (1, 0x0800),
    (1, 0x0d00),
    (58, 0x8000),
    (58, 0x0100),
    (47, 0),
];

fn project() -> Name {
    Name::new("p1").unwrap()
}

fn object(name: &str) -> ObjectName {
    ObjectName::new(project(), Name::new(name).unwrap())
}

fn ground() -> Intent {
    let mut intent = Intent::default();
    for (number, (port, network, addresses)) in (1..).zip(PORTS) {
        let vni = Vni::try_from(5000u32 + number).unwrap();
        intent.apply(&Change::PutNetwork {
            name: object(network),
            network: Network::new(vni, Mtu::try_from(1500u32).unwrap()),
        });
        let mac = MacAddress([2, 0, 0, 0, 0, number as u8]);
        let addresses = addresses.map(|address| address.parse().unwrap()).to_vec();
        intent.apply(&Change::PutPort {
            name: object(port),
            port: Port {
                addresses,
                ..Port::new(Name::new(network).unwrap(), mac)
            },
        });
        intent.apply(&Change::PutGroup {
            name: object(port),
            group: Group {
                matching: Match::default(),
                ports: BTreeSet::from([Name::new(port).unwrap()]),
            },
        });
    }
    intent.apply(&Change::PutRouter {
        name: object("gw"),
        router: Router {
            networks: PORTS
                .map(|(_, network, _)| Name::new(network).unwrap())
                .into(),
            number: RouterNumber::LEAST,
            routes: BTreeSet::new(),
        },
    });
    intent.apply(&Change::PutAddressGroup {
        name: object("office"),
        group: AddressGroup {
            prefixes: ["10.1.0.0/24", "fd00:2::/64"]
                .map(|text| text.parse().unwrap())
                .into(),
        },
    });
    intent
}

fn ends() -> impl Strategy<Value = Vec<Selector>> {
    let named = prop::sample::select(SELECTORS.to_vec()).prop_map(|text| text.parse().unwrap());
    prop::collection::vec(named, 1..3)
}

fn rules() -> impl Strategy<Value = Vec<FirewallRule>> {
    let action = prop::sample::select(vec![
        RuleAction::Allow,
        RuleAction::Deny,
        RuleAction::Reject,
    ]);
    let services = prop::collection::vec(prop::sample::select(SERVICES.to_vec()), 1..3);
    let rule = (ends(), ends(), action, services, any::<bool>());
    prop::collection::vec(rule, 0..6).prop_map(|rules| {
        let order = |place: usize| RuleOrder(RuleOrder::FIRST_OF_PROJECTS + place as u32 * 1024);
        let rules = rules.into_iter().enumerate();
        rules
            .map(
                |(place, (from, to, action, services, audit))| FirewallRule {
                    order: order(place),
                    from,
                    to,
                    action,
                    services: services.iter().map(|text| text.parse().unwrap()).collect(),
                    log: false,
                    mode: if audit { Mode::Audit } else { Mode::Enforce },
                },
            )
            .collect()
    })
}

/// The changes from the intent to one with these rules and this default.
fn replaced(intent: &Intent, rules: &[FirewallRule], default: DefaultAction) -> Vec<Change> {
    let gone = intent
        .rules
        .keys()
        .cloned()
        .map(|name| Change::DeleteRule { name });
    let put = rules
        .iter()
        .enumerate()
        .map(|(number, rule)| Change::PutRule {
            name: object(&format!("r{number}")),
            rule: rule.clone(),
        });
    let firewall = Change::PutFirewall {
        project: project(),
        firewall: Firewall {
            default,
            mode: Mode::Enforce,
        },
    };
    gone.chain(put).chain([firewall]).collect()
}

/// What may pass by the rows, of every sample in both directions.
fn admitted(intent: &Intent) -> BTreeSet<(&'static str, u8, u16, bool)> {
    let policies = Policies::full(intent, 1);
    let policy = policies.policy(&project()).unwrap();
    let scope = RouterNumber::LEAST.get();
    let place = Place {
        domain: DomainId(1),
        table: 1,
        generation: 1,
        scopes: BTreeSet::from([scope]),
        limits: Limits::DEFAULT,
    };
    let (_, update) = Domain::compile(place, policy, &mut |_| 1).unwrap();
    let mut tables = Tables::default();
    tables.apply_all(&update.make);
    let mut admitted = BTreeSet::new();
    for (from, to) in [(0, 1), (1, 0)] {
        for (protocol, port) in SAMPLES {
            for ipv6 in [false, true] {
                let address =
                    |end: usize| -> IpAddr { PORTS[end].2[usize::from(ipv6)].parse().unwrap() };
                let packet = Packet {
                    scope,
                    source: address(from),
                    destination: address(to),
                    protocol,
                    port,
                };
                let foreign = if ipv6 { 1 } else { 58 };
                let (action, flags, _) = tables.judge(DomainId(1), &[packet])[0];
                if protocol != foreign
                    && (action == PolicyRow::ALLOW || flags & PolicyRow::AUDIT != 0)
                {
                    admitted.insert((PORTS[from].0, protocol, port, ipv6));
                }
            }
        }
    }
    admitted
}

/// Which of the two ports gain, by services that at least one family admits now and none did before.
fn gainers(
    before: &BTreeSet<(&'static str, u8, u16, bool)>,
    after: &BTreeSet<(&'static str, u8, u16, bool)>,
) -> BTreeSet<&'static str> {
    let by_any =
        |set: &BTreeSet<(&'static str, u8, u16, bool)>| -> BTreeSet<(&'static str, u8, u16)> {
            set.iter()
                .map(|(from, protocol, port, _)| (*from, *protocol, *port))
                .collect()
        };
    by_any(after)
        .difference(&by_any(before))
        .map(|(from, ..)| *from)
        .collect()
}

/// Checks of every sample in both directions, each expected to pass and expected not to.
fn checks() -> Vec<(&'static str, u8, u16, Check)> {
    let mut checks = Vec::new();
    for (from, to) in [(0, 1), (1, 0)] {
        for (protocol, port) in SAMPLES {
            let [kind, code] = port.to_be_bytes();
            let service = match protocol {
                6 => format!("tcp/{port}"),
                17 => format!("udp/{port}"),
                1 => format!("icmp/{kind}/{code}"),
                58 => format!("icmpv6/{kind}/{code}"),
                other => format!("ip/{other}"),
            };
            for expect in [Expect::Allow, Expect::Deny] {
                let port_of = |end: usize| CheckSide::Port(Name::new(PORTS[end].0).unwrap());
                let check = Check {
                    name: None,
                    from: vec![port_of(from)],
                    to: vec![port_of(to)],
                    services: vec![service.parse().unwrap()],
                    expect,
                };
                checks.push((PORTS[from].0, protocol, port, check));
            }
        }
    }
    checks
}

fn told(sentences: &[String]) -> BTreeSet<&'static str> {
    let from = PORTS.map(|(port, ..)| port).into_iter();
    from.filter(|port| {
        sentences
            .iter()
            .any(|it| it.starts_with(&format!("{port} ")))
    })
    .collect()
}

proptest! {
    #[test]
    fn a_plan_tells_what_the_rows_decide(
        before in rules(),
        after in rules(),
        defaults in [any::<bool>(), any::<bool>()],
    ) {
        let [default_before, default_after] = defaults
            .map(|open| if open { DefaultAction::Allow } else { DefaultAction::Deny });
        let mut intent = ground();
        for change in replaced(&intent, &before, default_before) {
            intent.apply(&change);
        }
        let then = admitted(&intent);
        let changes = replaced(&intent, &after, default_after);
        let difference = connectivity(&project(), &intent, &changes);
        changes.iter().for_each(|change| intent.apply(change));
        let now = admitted(&intent);
        let checks = checks();
        let list = checks.iter().map(|(.., check)| check.clone()).collect();
        intent.apply(&Change::PutChecks { project: project(), checks: Checks(list) });
        for (proof, (from, protocol, port, check)) in prove(&project(), &intent).iter().zip(&checks) {
            let families: &[bool] = match protocol {
                1 => &[false],
                58 => &[true],
                _ => &[false, true],
            };
            let mut passes = families.iter().map(|ipv6| now.contains(&(*from, *protocol, *port, *ipv6)));
            let kept = match check.expect {
                Expect::Allow => passes.all(|passes| passes),
                Expect::Deny => !passes.any(|passes| passes),
            };
            prop_assert_eq!(proof.state == ProofState::Holds, kept, "{}", proof.sentence);
        }
        prop_assert_eq!(told(&difference.gained), gainers(&then, &now), "gained: {:?}", difference.gained);
        prop_assert_eq!(told(&difference.lost), gainers(&now, &then), "lost: {:?}", difference.lost);
    }
}
