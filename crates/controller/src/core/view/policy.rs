//! Groups, address groups, firewalls, their rules, and routers, as users see them.

use std::collections::{BTreeMap, BTreeSet};

use coax_api as api;
use coax_compile::policy::Policy;
use coax_model::{
    AddressGroup, Firewall, FirewallRule, Group, Intent, Mode, Name, NetworkName, ObjectName,
    Route, Router, RuleAction, RuleName, Selector,
};

use super::Listing;

impl Listing<'_> {
    /// Groups of ports.
    pub fn groups(&self, project: Option<&Name>) -> Vec<api::Group> {
        let found = Self::of(&self.intent().groups, project);
        found.map(|(name, group)| self.group(name, group)).collect()
    }

    /// One group of ports.
    pub fn group_named(&self, name: &ObjectName) -> Option<api::Group> {
        Some(self.group(name, self.intent().groups.get(name)?))
    }

    fn group(&self, name: &ObjectName, group: &Group) -> api::Group {
        let members = self.intent().members(name);
        api::Group {
            id: name.to_string(),
            name: name.name.to_string(),
            project: name.project.to_string(),
            revision: self.core.revisions.of("group", name),
            vm: group.matching.vm.as_ref().map(ToString::to_string),
            labels: texts(&group.matching.labels),
            ports: group.ports.iter().map(ToString::to_string).collect(),
            members: members.map(|(port, _)| port.name.to_string()).collect(),
            rules: naming(
                self.intent(),
                &name.project,
                &Selector::Group(name.name.clone()),
            ),
        }
    }

    /// Groups of addresses, the operator's among them.
    pub fn address_groups(&self, project: Option<&Name>) -> Vec<api::AddressGroup> {
        let found = Self::of(&self.intent().address_groups, project);
        found
            .map(|(name, group)| self.address_group(name, group))
            .collect()
    }

    /// One group of addresses.
    pub fn address_group_named(&self, name: &ObjectName) -> Option<api::AddressGroup> {
        Some(self.address_group(name, self.intent().address_groups.get(name)?))
    }

    fn address_group(&self, name: &ObjectName, group: &AddressGroup) -> api::AddressGroup {
        let selector = Selector::AddressGroup(name.name.clone());
        api::AddressGroup {
            id: name.to_string(),
            name: name.name.to_string(),
            project: name.project.to_string(),
            revision: self.core.revisions.of("address-group", name),
            prefixes: group.prefixes.iter().map(ToString::to_string).collect(),
            rules: naming(self.intent(), &name.project, &selector),
        }
    }

    /// Rules in written order: the operator's rails, then those of the project, or of all projects.
    pub fn firewall_rules(&self, project: Option<&Name>) -> Vec<api::FirewallRule> {
        let mut projects = vec![Name::rails()];
        match project {
            Some(project) => projects.extend((!project.is_rails()).then(|| project.clone())),
            None => projects.extend(self.intent().projects()),
        }
        let mut rules = Vec::new();
        for project in &projects {
            let ordered = self
                .intent()
                .rules_in_order(project)
                .into_iter()
                .enumerate();
            rules.extend(ordered.map(|(index, (name, rule))| self.rule(name, index + 1, rule)));
        }
        rules
    }

    /// One rule.
    pub fn firewall_rule_named(&self, name: &RuleName) -> Option<api::FirewallRule> {
        let rule = self.intent().rules.get(name)?;
        let before = self.intent().rules_of(&name.project);
        let before = before.filter(|(_, other)| other.order < rule.order);
        Some(self.rule(name, before.count() + 1, rule))
    }

    fn rule(&self, name: &RuleName, position: usize, rule: &FirewallRule) -> api::FirewallRule {
        let names = |side: &[Selector]| side.iter().map(Selector::to_string).collect();
        api::FirewallRule {
            id: name.to_string(),
            name: name.name.to_string(),
            project: name.project.to_string(),
            revision: self.core.revisions.of("firewall-rule", name),
            position,
            from: names(&rule.from),
            to: names(&rule.to),
            action: action(rule.action),
            services: rule.services.iter().map(ToString::to_string).collect(),
            log: rule.log,
            mode: mode(rule.mode),
        }
    }

    /// What hosts are told of a project's rules, and the address plans of its networks.
    pub fn policy(&self, project: &Name) -> Option<(Policy, BTreeSet<u32>)> {
        let policy = self.core.policies.policy(project)?.clone();
        let elements = policy.groups.values().flatten();
        let scopes = elements.filter_map(|element| element.scope).collect();
        Some((policy, scopes))
    }

    /// What judges the connections of each project that is judged at all.
    pub fn firewalls(&self) -> Vec<api::Firewall> {
        let projects = self.intent().projects();
        projects
            .iter()
            .filter_map(|project| self.firewall_named(project))
            .collect()
    }

    /// What judges the connections of one project.
    pub fn firewall_named(&self, project: &Name) -> Option<api::Firewall> {
        let intent = self.intent();
        let own: Option<&Firewall> = intent.firewalls.get(project);
        let known = own.is_some() || intent.projects().contains(project);
        let domain = intent.domain(project).filter(|_| known)?;
        let (default, enforced) = domain.default();
        Some(api::Firewall {
            id: project.to_string(),
            name: project.to_string(),
            project: project.to_string(),
            revision: self.core.revisions.of("firewall", project),
            own: own.is_some(),
            default: action(default),
            mode: mode(enforced),
            rules: intent.rules_of(project).count(),
            rails: intent.rules_of(&Name::rails()).count(),
        })
    }

    /// Routers.
    pub fn routers(&self, project: Option<&Name>) -> Vec<api::Router> {
        let found = Self::of(&self.intent().routers, project);
        found
            .map(|(name, router)| self.router(name, router))
            .collect()
    }

    /// One router.
    pub fn router_named(&self, name: &ObjectName) -> Option<api::Router> {
        Some(self.router(name, self.intent().routers.get(name)?))
    }

    fn router(&self, name: &ObjectName, router: &Router) -> api::Router {
        let full = |network: &Name| NetworkName::new(name.project.clone(), network.clone());
        let networks: Vec<NetworkName> = router.networks.iter().map(full).collect();
        let interfaces = networks.iter().flat_map(|network| {
            let subnets = self.intent().networks.get(network).into_iter();
            let subnets = subnets.flat_map(|it| it.subnets.iter());
            subnets.map(|subnet| api::RouterInterface {
                network: network.name.to_string(),
                subnet: subnet.prefix.to_string(),
                address: subnet.gateway.to_string(),
            })
        });
        api::Router {
            id: name.to_string(),
            name: name.name.to_string(),
            project: name.project.to_string(),
            revision: self.core.revisions.of("router", name),
            mac: coax_model::GATEWAY_MAC.to_string(),
            interfaces: interfaces.collect(),
            routes: router.routes.iter().map(route).collect(),
            status: self.status(name, networks.iter(), Vec::new()),
        }
    }

    /// Names of the groups that a port is in.
    pub(super) fn groups_with(&self, name: &ObjectName, port: &coax_model::Port) -> Vec<String> {
        let groups = self.intent().groups_of(&name.project);
        groups
            .filter(|(_, group)| group.has(&name.name, port))
            .map(|(group, _)| group.name.to_string())
            .collect()
    }
}

/// Names of a project's rules that name something, in written order.
fn naming(intent: &Intent, project: &Name, what: &Selector) -> Vec<String> {
    let rules = intent.rules_in_order(project).into_iter();
    rules
        .filter(|(_, rule)| rule.from.contains(what) || rule.to.contains(what))
        .map(|(name, _)| name.name.to_string())
        .collect()
}

/// A table of names as text.
pub(super) fn texts<K: ToString, V: ToString>(table: &BTreeMap<K, V>) -> BTreeMap<String, String> {
    let texts = table.iter();
    texts
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// A route as users see it.
pub(super) fn route(route: &Route) -> api::Route {
    api::Route {
        to: route.to.to_string(),
        via: route.via.to_string(),
    }
}

fn action(action: RuleAction) -> api::RuleAction {
    match action {
        RuleAction::Allow => api::RuleAction::Allow,
        RuleAction::Deny => api::RuleAction::Deny,
        RuleAction::Reject => api::RuleAction::Reject,
    }
}

fn mode(mode: Mode) -> api::Mode {
    match mode {
        Mode::Enforce => api::Mode::Enforce,
        Mode::Audit => api::Mode::Audit,
    }
}
