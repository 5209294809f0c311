//! Who is meant: which ports a group has, which addresses a selector names and in which address plan,
//! which rules a project's connections meet. Pure questions to an [`Intent`], for those who compile it.

use ipnet::IpNet;

use crate::firewall::{DefaultAction, Firewall, FirewallRule, Mode, RuleAction, Selector};
use crate::group::Group;
use crate::intent::{Intent, of_project};
use crate::name::{GroupName, Name, NetworkName, ObjectName, PortName, RouterName, RuleName};
use crate::port::Port;
use crate::router::Router;

/// Where addresses are unique: the networks that one router joins, or a network by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The networks of a router.
    Router(RouterName),
    /// A network that no router joins.
    Network(NetworkName),
}

/// Addresses that a selector names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Named {
    /// The network, of the selector's project, in whose scope they are meant; nothing: in every one.
    pub network: Option<Name>,
    /// The addresses.
    pub prefix: IpNet,
}

/// What a project's connections are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain<'a> {
    intent: &'a Intent,
    project: &'a Name,
    firewall: Firewall,
}

impl Intent {
    /// The router that joins a network, if one does.
    pub fn router_of(&self, network: &NetworkName) -> Option<(&RouterName, &Router)> {
        self.routers_of(&network.project)
            .find(|(_, router)| router.networks.contains(&network.name))
    }

    /// The address plan of a network.
    pub fn scope_of(&self, network: &NetworkName) -> Scope {
        match self.router_of(network) {
            Some((router, _)) => Scope::Router(router.clone()),
            None => Scope::Network(network.clone()),
        }
    }

    /// The ports in a group.
    pub fn members<'a>(
        &'a self,
        name: &'a GroupName,
    ) -> impl Iterator<Item = (&'a PortName, &'a Port)> {
        let group: Option<&Group> = self.groups.get(name);
        group.into_iter().flat_map(move |group| {
            self.ports_of(&name.project)
                .filter(|(port_name, port)| group.has(&port_name.name, port))
        })
    }

    /// The addresses that one side of a rule names in a project; nothing for [`Selector::Any`], which
    /// needs no addresses. Rules of rails name address groups of the rails, so `owner` is the project
    /// of the rule and `project` the one whose connections are judged. Sorted, each once.
    pub fn named_by(&self, selector: &Selector, owner: &Name, project: &Name) -> Vec<Named> {
        let full = |name: &Name| ObjectName::new(project.clone(), name.clone());
        let everywhere = |prefix| Named {
            network: None,
            prefix,
        };
        let mut named = match selector {
            Selector::Any => Vec::new(),
            Selector::Prefix(prefix) => vec![everywhere(*prefix)],
            Selector::AddressGroup(name) => {
                let name = ObjectName::new(owner.clone(), name.clone());
                let group = self.address_groups.get(&name).into_iter();
                let prefixes = group.flat_map(|group| group.prefixes.iter().copied());
                prefixes.map(everywhere).collect()
            }
            Selector::Network(name) => {
                let network = self.networks.get(&full(name)).into_iter();
                let prefixes = network.flat_map(|network| network.prefixes());
                prefixes
                    .map(|prefix| Named {
                        network: Some(name.clone()),
                        prefix,
                    })
                    .collect()
            }
            Selector::Group(name) => {
                let name = full(name);
                let members = self.members(&name);
                members.flat_map(|(_, port)| addresses_of(port)).collect()
            }
        };
        named.sort();
        named.dedup();
        named
    }

    /// What a project's connections are judged by; nothing if neither the project nor the operator
    /// says anything. With rails alone everything passes that they let pass.
    pub fn domain<'a>(&'a self, project: &'a Name) -> Option<Domain<'a>> {
        let firewall = match self.firewalls.get(project) {
            Some(firewall) => *firewall,
            None if self.rules_of(&Name::rails()).next().is_some() => Firewall {
                default: DefaultAction::Allow,
                mode: Mode::Enforce,
            },
            None => return None,
        };
        Some(Domain {
            intent: self,
            project,
            firewall,
        })
    }

    /// The rules of one project, or of the rails, as written.
    pub fn rules_in_order(&self, project: &Name) -> Vec<(&RuleName, &FirewallRule)> {
        let mut rules: Vec<_> = of_project(&self.rules, project).collect();
        rules.sort_by_key(|(_, rule)| rule.order);
        rules
    }
}

/// The addresses of a port, as a group that it is in names them.
pub fn addresses_of(port: &Port) -> impl Iterator<Item = Named> {
    port.usable_addresses().map(|(network, address)| Named {
        network: Some(network.clone()),
        prefix: address.into(),
    })
}

impl<'a> Domain<'a> {
    /// Default and mode of the project.
    pub fn firewall(&self) -> Firewall {
        self.firewall
    }

    /// Every rule that the project's connections meet, in the order in which they do, with the mode
    /// that counts: rails first, then the project's own rules, all of them in audit mode if the
    /// project is.
    pub fn rules(&self) -> Vec<(&'a RuleName, &'a FirewallRule, Mode)> {
        let mut rules = self.intent.rules_in_order(&Name::rails());
        rules.extend(self.intent.rules_in_order(self.project));
        let with_mode = |(name, rule)| (name, rule, self.mode_of(name, rule));
        rules.into_iter().map(with_mode).collect()
    }

    /// Whether a rule is enforced in this project.
    pub fn mode_of(&self, name: &RuleName, rule: &FirewallRule) -> Mode {
        if name.project.is_rails() {
            rule.mode
        } else {
            rule.mode.within(self.firewall.mode)
        }
    }

    /// What becomes of connections that no rule matches, and whether that is enforced.
    pub fn default(&self) -> (RuleAction, Mode) {
        let action = match self.firewall.default {
            DefaultAction::Allow => RuleAction::Allow,
            DefaultAction::Deny => RuleAction::Deny,
        };
        (action, self.firewall.mode)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::file::File;
    use crate::plan::plan_file;

    const SHOP: &str = "\
version: 1
project: shop
networks:
  web: { subnets: [10.1.0.0/24, \"fd00:1::/64\"] }
  db: { subnets: [10.2.0.0/24] }
  alone: { subnets: [10.1.0.0/24] }
ports:
  web-1: { network: web, addresses: [10.1.0.2], allowed_addresses: [10.1.0.100] }
  web-2: { network: web, addresses: [10.1.0.3, \"fd00:1::3\"], allowed_addresses: [10.1.0.100] }
  fw: { network: web, addresses: [], trunk: { 7: { network: db, addresses: [10.2.0.9] } } }
  web-3: { network: alone, addresses: [10.1.0.2] }
routers: { gw: { networks: [web, db] } }
groups:
  web: { match: { vm: \"web-*\" } }
  fw: { ports: [fw] }
address_groups: { office: [192.0.2.0/24] }
";

    fn intent() -> Intent {
        let rails = "version: 1\nrails: { address_groups: { office: [198.51.100.1] } }\n";
        let mut intent = Intent::default();
        for text in [SHOP, rails] {
            let plan = plan_file(&File::parse(text).unwrap(), &intent).unwrap();
            let changes = plan.changes();
            changes.iter().for_each(|change| intent.apply(change));
        }
        intent
    }

    fn named(selector: &str, owner: &str) -> Vec<String> {
        let (owner, shop) = (owner.parse().unwrap(), "shop".parse().unwrap());
        let named = intent().named_by(&selector.parse().unwrap(), &owner, &shop);
        let shown = named.into_iter().map(|it| match it.network {
            Some(network) => format!("{network} {}", it.prefix),
            None => it.prefix.to_string(),
        });
        shown.collect()
    }

    #[test]
    fn a_group_names_every_address_that_its_members_may_use_where_they_may() {
        let expected = [
            "alone 10.1.0.2/32",
            "web 10.1.0.2/32",
            "web 10.1.0.3/32",
            "web 10.1.0.100/32",
            "web fd00:1::3/128",
        ];
        assert_eq!(named("group/web", "shop"), expected);
        assert_eq!(named("group/fw", "shop"), ["db 10.2.0.9/32"]);
        assert_eq!(named("group/nobody", "shop"), [""; 0]);
    }

    #[test]
    fn prefixes_are_meant_in_every_address_plan_and_networks_in_theirs() {
        assert_eq!(
            named("network/web", "shop"),
            ["web 10.1.0.0/24", "web fd00:1::/64"]
        );
        assert_eq!(named("10.1.0.0/24", "shop"), ["10.1.0.0/24"]);
        assert_eq!(named("any", "shop"), [""; 0]);
    }

    #[test]
    fn an_address_group_is_that_of_the_rules_owner() {
        assert_eq!(named("address-group/office", "shop"), ["192.0.2.0/24"]);
        assert_eq!(named("address-group/office", "rails"), ["198.51.100.1/32"]);
    }

    #[test]
    fn networks_of_a_router_share_an_address_plan() {
        let scope = |network: &str| intent().scope_of(&network.parse().unwrap());
        assert_eq!(scope("shop/web"), scope("shop/db"));
        assert_eq!(scope("shop/web"), Scope::Router("shop/gw".parse().unwrap()));
        let alone: NetworkName = "shop/alone".parse().unwrap();
        assert_eq!(scope("shop/alone"), Scope::Network(alone));
    }
}
