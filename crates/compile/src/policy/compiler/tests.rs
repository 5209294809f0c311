//! Policies change by change against policies from nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use coax_model::{
    AddressGroup, DefaultAction, Firewall, FirewallRule, Group, Match, Mode, Network, ObjectName,
    Port, Router, RouterNumber, RuleAction, RuleOrder,
};
use coax_wire::{MacAddress, Mtu, Vni};
use proptest::prelude::*;

use super::*;
use crate::policy::rule::{AddressPrefix, Element};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn object(project: usize, text: &str) -> ObjectName {
    let project = match project {
        0 => Name::rails(),
        number => name(&format!("p{number}")),
    };
    ObjectName::new(project, name(text))
}

fn rule(from: Vec<Named>, to: Vec<Named>, order: u32) -> FirewallRule {
    FirewallRule {
        order: RuleOrder(order),
        from,
        to,
        action: RuleAction::Allow,
        services: vec!["tcp/80".parse().unwrap()],
        log: false,
        mode: Mode::Enforce,
    }
}

fn network(number: u32) -> Network {
    let subnet = format!("10.{number}.0.0/16")
        .parse::<ipnet::IpNet>()
        .unwrap();
    let vni = Vni::try_from(4096 + number).unwrap();
    Network {
        subnets: vec![subnet.into()],
        ..Network::new(vni, Mtu::try_from(1500u32).unwrap())
    }
}

fn port(network: u32, last: u8) -> Port {
    let mac = MacAddress([2, 0, 0, 0, network as u8, last]);
    Port {
        addresses: vec![IpAddr::from([10, network as u8, 0, last])],
        ..Port::new(name(&format!("n{network}")), mac)
    }
}

fn selector() -> impl Strategy<Value = Named> {
    let texts = [
        "any",
        "group/web",
        "group/db",
        "address-group/office",
        "network/n1",
        "network/n2",
        "192.0.2.0/24",
    ];
    prop::sample::select(texts.to_vec()).prop_map(|text| text.parse().unwrap())
}

fn rails_selector() -> impl Strategy<Value = Named> {
    let texts = ["any", "address-group/office", "192.0.2.0/24"];
    prop::sample::select(texts.to_vec()).prop_map(|text| text.parse().unwrap())
}

fn rule_change() -> impl Strategy<Value = Change> {
    let ends = |selector: BoxedStrategy<Named>| prop::collection::vec(selector, 1..3);
    (0usize..3, 0u32..4)
        .prop_flat_map(move |(project, number)| {
            let selector = match project {
                0 => rails_selector().boxed(),
                _ => selector().boxed(),
            };
            let ends = (ends(selector.clone()), ends(selector));
            (Just(project), Just(number), ends, 1u32..50, any::<bool>())
        })
        .prop_map(|(project, number, (from, to), order, keep)| {
            let order = order
                + if project == 0 {
                    0
                } else {
                    RuleOrder::FIRST_OF_PROJECTS
                };
            let name = object(project, &format!("r{number}"));
            match keep {
                true => Change::PutRule {
                    name,
                    rule: rule(from, to, order),
                },
                false => Change::DeleteRule { name },
            }
        })
}

fn firewall_change() -> impl Strategy<Value = Change> {
    (1usize..3, any::<bool>(), any::<bool>()).prop_map(|(project, audit, keep)| {
        let project = object(project, "x").project;
        let mode = if audit { Mode::Audit } else { Mode::Enforce };
        match keep {
            true => Change::PutFirewall {
                project,
                firewall: Firewall {
                    default: DefaultAction::Deny,
                    mode,
                },
            },
            false => Change::DeleteFirewall { project },
        }
    })
}

fn change() -> impl Strategy<Value = Change> {
    let port_change = (1usize..3, 1u32..3, 0u8..4, any::<bool>(), any::<bool>());
    let port_change = port_change.prop_map(|(project, network, last, web, keep)| {
        let kind = if web { "web" } else { "db" };
        let name = object(project, &format!("{kind}-{last}"));
        match keep {
            true => Change::PutPort {
                name,
                port: port(network, last / 2 + 1),
            },
            false => Change::DeletePort { name },
        }
    });
    let group_change = (1usize..3, 0u8..4).prop_map(|(project, listed)| Change::PutGroup {
        name: object(project, "web"),
        group: Group {
            matching: Match {
                vm: Some("web-*".parse().unwrap()),
                ..Match::default()
            },
            ports: BTreeSet::from([name(&format!("db-{listed}"))]),
        },
    });
    let address_group = (0usize..3, 0u8..4).prop_map(|(project, site)| Change::PutAddressGroup {
        name: object(project, "office"),
        group: AddressGroup {
            prefixes: BTreeSet::from([format!("198.51.{site}.0/24").parse().unwrap()]),
        },
    });
    let network_change = (1usize..3, 1u32..3, 0u32..2).prop_map(|(project, number, moved)| {
        let project_number = project as u32 * 16;
        let network = Network {
            vni: Vni::try_from(4096 + project_number + number + moved * 8).unwrap(),
            ..network(number)
        };
        Change::PutNetwork {
            name: object(project, &format!("n{number}")),
            network,
        }
    });
    let router = (1usize..3, any::<bool>()).prop_map(|(project, keep)| {
        let name = object(project, "gw");
        let networks = BTreeSet::from([self::name("n1"), self::name("n2")]);
        match keep {
            true => Change::PutRouter {
                name,
                router: Router {
                    networks,
                    number: RouterNumber::LEAST,
                    routes: BTreeSet::new(),
                },
            },
            false => Change::DeleteRouter { name },
        }
    });
    prop_oneof![4 => rule_change(), 4 => port_change, 1 => group_change, 1 => address_group,
        1 => network_change, 1 => router, 2 => firewall_change()]
}

proptest! {
    #[test]
    fn incremental_equals_full_after_every_batch(
        batches in prop::collection::vec(prop::collection::vec(change(), 1..4), 1..20),
    ) {
        let mut intent = Intent::default();
        let mut policies = Policies::full(&intent, 1);
        let mut subscriber: BTreeMap<Name, (u64, Policy)> = BTreeMap::new();
        for (revision, batch) in (2..).zip(&batches) {
            batch.iter().for_each(|change| intent.apply(change));
            for PolicyStep { project, number, news } in policies.apply(&intent, revision, batch) {
                match news {
                    PolicyNews::Gone => drop(subscriber.remove(&project).unwrap()),
                    PolicyNews::Whole => {
                        let slice = policies.slice(number).unwrap();
                        prop_assert_eq!((slice.number, slice.project.as_str()), (number, project.as_str()));
                        let told = (slice.revision, slice.policy().unwrap());
                        prop_assert!(subscriber.insert(project, told).is_none());
                    }
                    PolicyNews::Delta(delta) => {
                        let (held, policy) = subscriber.get_mut(&project).unwrap();
                        prop_assert_eq!((*held, revision), (delta.from_revision, delta.to_revision));
                        *held = revision;
                        policy.apply(&delta.change().unwrap());
                    }
                }
            }
            let full = Policies::full(&intent, revision);
            let with_rails = intent.rules_of(&Name::rails()).next().is_some();
            let projects = intent.projects();
            for project in &projects {
                prop_assert_eq!(policies.policy(project), full.policy(project));
                prop_assert_eq!(policies.policy(project).is_some(), intent.domain(project).is_some());
            }
            for (project, (held, policy)) in &subscriber {
                prop_assert!(with_rails || projects.contains(project));
                prop_assert_eq!(Some(policy), policies.policy(project));
                let number = policies.number(project).unwrap();
                prop_assert_eq!(Some(*held), policies.revision(number));
            }
        }
    }
}

#[test]
fn a_new_vm_is_one_element_for_its_group() {
    let mut intent = Intent::default();
    let setup = [
        Change::PutNetwork {
            name: object(1, "n1"),
            network: network(1),
        },
        Change::PutFirewall {
            project: name("p1"),
            firewall: Firewall::default(),
        },
        Change::PutGroup {
            name: object(1, "web"),
            group: Group {
                matching: Match {
                    vm: Some("web-*".parse().unwrap()),
                    ..Match::default()
                },
                ports: BTreeSet::new(),
            },
        },
        Change::PutRule {
            name: object(1, "r"),
            rule: rule(vec![Named::Any], vec!["group/web".parse().unwrap()], 7),
        },
    ];
    setup.iter().for_each(|change| intent.apply(change));
    let mut policies = Policies::full(&intent, 1);
    let plugged = [Change::PutPort {
        name: object(1, "web-1"),
        port: port(1, 9),
    }];
    intent.apply(&plugged[0]);
    let steps = policies.apply(&intent, 2, &plugged);
    let [
        PolicyStep {
            project,
            news: PolicyNews::Delta(delta),
            ..
        },
    ] = &steps[..]
    else {
        panic!("{steps:?}")
    };
    assert_eq!(project.as_str(), "p1");
    let change = delta.change().unwrap();
    let element = Element {
        scope: Some(4097),
        prefix: AddressPrefix::host(IpAddr::from([10, 1, 0, 9])),
    };
    assert_eq!(change.groups["group/web"].joins, [element]);
    assert!(change.rules.is_empty() && change.removed.is_empty());
}
