//! Policies: what the tables say of packets is what the controller's rules say, and nothing is left over.

use std::collections::BTreeSet;
use std::time::Duration;

use coax_compile::policy::{AddressPrefix, Match, Policy, Selector};
use coax_model::intent::Change;
use coax_model::{
    Firewall, FirewallRule, Group, Match as Matching, Mode, Name, ObjectName, RuleAction, RuleOrder,
};
use coax_tables::{ClassRow, DomainId, NetworkId, PolicyKey, PolicyRow, PortRow};
use coax_vswitch::{MemoryDataPlane, Rows, Table};
use coax_wire::ip::mapped;

use super::world::World;

const TCP: u8 = 6;

impl World {
    /// The domain of a project in the tables; which number it is, is the agent's choice.
    pub(super) fn policy_here(&self, project: &str) -> DomainId {
        let name = Name::new(project).unwrap();
        let number = self.controller.policies.number(&name);
        let told = &self.controller.attached.as_ref().unwrap().told;
        let id = (coax_api::agent::SliceKind::Policy, number.unwrap_or(0));
        match number.is_some() && told.contains_key(&id) {
            true => self.core.policies.domain_of(project),
            false => DomainId(0),
        }
    }

    /// Ports obey what the controller's rules say.
    pub(super) fn assert_policies(&self, held: &Rows) {
        for row in held.ports.values() {
            let project = self.project_of(row.network);
            let name = Name::new(&project).unwrap();
            let Some(policy) = self.controller.policies.policy(&name) else {
                assert_eq!(row.policy, DomainId(0), "a policy that nobody wrote");
                continue;
            };
            assert_ne!(row.policy, DomainId(0), "no policy for a port of {project}");
            for source in self.addresses() {
                for destination in self.addresses() {
                    for port in [22, 80] {
                        let packet = (source, destination, port);
                        assert_eq!(
                            by_rows(held, row, packet),
                            by_rules(policy, row.scope, packet),
                            "{packet:?}"
                        );
                    }
                }
            }
        }
    }

    fn project_of(&self, network: NetworkId) -> String {
        let slice = self.controller.compiler.slice(network.0).unwrap();
        slice.params.unwrap().project
    }

    fn addresses(&self) -> BTreeSet<[u8; 16]> {
        let ports = self.controller.intent.ports.values();
        let addresses = ports.flat_map(|port| &port.addresses);
        let ipv4 = addresses.filter_map(|address| match address {
            std::net::IpAddr::V4(address) => Some(mapped(address.octets())),
            std::net::IpAddr::V6(_) => None,
        });
        ipv4.chain([mapped([192, 0, 2, 1])]).collect()
    }

    pub(super) fn firewall(&mut self, project: &str, mode: Mode) {
        let firewall = Firewall {
            mode,
            ..Firewall::default()
        };
        let project = Name::new(project).unwrap();
        self.change(Change::PutFirewall { project, firewall });
    }

    pub(super) fn no_firewall(&mut self, project: &str) {
        let project = Name::new(project).unwrap();
        self.change(Change::DeleteFirewall { project });
    }

    pub(super) fn group(&mut self, name: &str, ports: &str) {
        let matching = Matching {
            vm: Some(ports.parse().unwrap()),
            ..Matching::default()
        };
        let group = Group {
            matching,
            ..Group::default()
        };
        let name = object(name);
        self.change(Change::PutGroup { name, group });
    }

    pub(super) fn rule(&mut self, name: &str, order: u32, from: &str, to: &str, port: u16) {
        let rule = FirewallRule {
            order: RuleOrder(order),
            from: vec![from.parse().unwrap()],
            to: vec![to.parse().unwrap()],
            action: RuleAction::Allow,
            services: vec![format!("tcp/{port}").parse().unwrap()],
            log: false,
            mode: Mode::Enforce,
        };
        let name = object(name);
        self.change(Change::PutRule { name, rule });
    }

    pub(super) fn no_rule(&mut self, name: &str) {
        self.change(Change::DeleteRule { name: object(name) });
    }
}

fn object(name: &str) -> ObjectName {
    name.parse().unwrap()
}

type Packet = ([u8; 16], [u8; 16], u16);

fn by_rows(rows: &Rows, port: &PortRow, (source, destination, service): Packet) -> u8 {
    let Some(domain) = rows.domains.get(&port.policy) else {
        return PolicyRow::DENY;
    };
    let longest =
        |found: Vec<(u32, u32)>| found.into_iter().max().map_or(ClassRow::OTHER, |it| it.1);
    let address = |address: [u8; 16]| {
        let rows = rows.classes.iter().filter(|(key, _)| {
            key.table == domain.table.to_be_bytes()
                && key.scope == port.scope.to_be_bytes()
                && encloses(&key.address, key.prefix_length - 64, &address)
        });
        longest(
            rows.map(|(key, row)| (key.prefix_length, row.class))
                .collect(),
        )
    };
    let services = rows.services.iter().filter(|(key, _)| {
        key.table == domain.table.to_be_bytes()
            && key.protocol == TCP
            && encloses(&key.port, key.prefix_length - 40, &service.to_be_bytes())
    });
    let service = longest(
        services
            .map(|(key, row)| (key.prefix_length, row.class))
            .collect(),
    );
    let named = |class, kind: u32, bit| if kind & bit != 0 { class } else { 0 };
    let found = (0..PolicyKey::KINDS).filter(|kind| domain.kinds & 1 << kind != 0);
    let found = found.filter_map(|kind| {
        rows.policies.get(&PolicyKey {
            table: domain.table,
            source: named(address(source), kind, PolicyKey::SOURCE),
            destination: named(address(destination), kind, PolicyKey::DESTINATION),
            service: named(service, kind, PolicyKey::SERVICE),
        })
    });
    let first = found.min_by_key(|row| row.order);
    first.map_or(domain.default_action, |row| row.action)
}

fn holds(prefix: AddressPrefix, address: [u8; 16]) -> bool {
    let (within, bits) = prefix.mapped();
    encloses(&within, bits, &address)
}

fn encloses(prefix: &[u8], bits: u32, whole: &[u8]) -> bool {
    (0..bits as usize).all(|bit| (prefix[bit / 8] ^ whole[bit / 8]) & 0x80 >> (bit % 8) == 0)
}

fn by_rules(policy: &Policy, scope: u32, (source, destination, service): Packet) -> u8 {
    let end = |end: &Match<Selector>, address: [u8; 16]| match end {
        Match::Any => true,
        Match::OneOf(list) => list.iter().any(|selector| match selector {
            Selector::Prefix(prefix) => holds(*prefix, address),
            Selector::Group(name) => policy.groups.get(name).is_some_and(|elements| {
                elements.iter().any(|element| {
                    element.scope.is_none_or(|it| it == scope) && holds(element.prefix, address)
                })
            }),
        }),
    };
    let matching = policy.rules.values().filter(|rule| {
        end(&rule.from, source)
            && end(&rule.to, destination)
            && match &rule.services {
                Match::Any => true,
                Match::OneOf(list) => list.iter().any(|range| {
                    range.protocol == TCP && (range.first..=range.last).contains(&service)
                }),
            }
    });
    let first = matching.min_by_key(|rule| rule.order);
    let verdict = first.map_or(policy.settings.default, |rule| rule.verdict);
    verdict.action.code()
}

/// Two ports of one network, of which one is here, and a rule between them.
pub(super) fn protected(plane: MemoryDataPlane) -> World {
    let mut world = World::with_plane(plane);
    world.network("p/net");
    for port in ["p/web-1", "p/db-1", "p/db-2"] {
        world.port(port, "p/net");
    }
    world.group("p/web", "web-*");
    world.group("p/db", "db-*");
    world.firewall("p", Mode::Enforce);
    world.rule("p/db-from-web", 10, "group/web", "group/db", 80);
    world.plug("p/web-1");
    world.run();
    world.assert_converged();
    world
}

fn settle(world: &mut World) {
    world.run_for(Duration::from_secs(5));
    world.assert_converged();
}

fn policy_rows(world: &World) -> [usize; 4] {
    let tables = [
        Table::Classes,
        Table::Services,
        Table::Policies,
        Table::Domains,
    ];
    let rows = world.rows();
    tables.map(|table| rows.len(table))
}

#[test]
fn a_port_obeys_the_policy_of_its_project_and_the_policy_is_there_first() {
    let world = protected(MemoryDataPlane::new());
    let rows = world.rows();
    assert_eq!(rows.ports.values().next().unwrap().policy, DomainId(1));
    assert_eq!(rows.domains.len(), 1);
    world.assert_never_half();
}

#[test]
fn changed_rules_and_groups_change_verdicts_and_leave_nothing() {
    let mut world = protected(MemoryDataPlane::new());
    settle(&mut world);
    let before = policy_rows(&world);
    world.rule("p/ssh", 20, "any", "any", 22);
    settle(&mut world);
    world.port("p/web-2", "p/net");
    settle(&mut world);
    world.delete_port("p/web-2");
    world.no_rule("p/ssh");
    settle(&mut world);
    assert_eq!(policy_rows(&world), before);
    world.firewall("p", Mode::Audit);
    settle(&mut world);
}

#[test]
fn a_firewall_that_goes_leaves_no_rows() {
    let mut world = protected(MemoryDataPlane::new());
    world.no_firewall("p");
    settle(&mut world);
    assert_eq!(
        world.rows().ports.values().next().unwrap().policy,
        DomainId(0)
    );
    settle(&mut world);
    assert_eq!(policy_rows(&world), [0; 4]);
}

#[test]
fn a_restart_keeps_verdicts_and_domain_and_removes_the_old_table() {
    let mut world = protected(MemoryDataPlane::new());
    settle(&mut world);
    let before = policy_rows(&world);
    let table = world.rows().domains[&DomainId(1)].table;
    world.restart();
    settle(&mut world);
    assert_eq!(policy_rows(&world), before);
    assert_ne!(world.rows().domains[&DomainId(1)].table, table);

    world.saved = None;
    world.restart();
    settle(&mut world);
    settle(&mut world);
    assert_eq!(policy_rows(&world), before, "also without a cache");

    world.controller_dies();
    world.reboot();
    world.plug("p/web-1");
    world.run_for(Duration::from_secs(6));
    assert_eq!(policy_rows(&world)[3], 1, "also without a controller");
}

#[test]
fn what_does_not_fit_is_a_problem_and_is_tried_again() {
    let mut world = protected(MemoryDataPlane::new().with_capacity(Table::Policies, 2));
    world.rule("p/ssh", 20, "group/web", "group/db", 22);
    world.rule("p/other", 30, "group/db", "group/web", 22);
    world.run_for(Duration::from_secs(3));
    let problems = world.problems();
    assert!(
        problems.iter().any(|it| it.object == "firewall p"),
        "{problems:?}"
    );
    world.no_rule("p/ssh");
    world.no_rule("p/other");
    world.run_for(Duration::from_secs(60));
    world.assert_converged();
    assert_eq!(world.problems(), []);
}
