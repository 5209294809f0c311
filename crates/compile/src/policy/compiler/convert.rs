//! From rules of the intent to rules of a policy.

use coax_model::membership::Domain;
use coax_model::{FirewallRule, Intent, Mode, Name, NetworkName, RuleAction, RuleName, Scope};
use coax_model::{Selector as Named, membership};
use ipnet::IpNet;

use crate::policy::rule::{
    Action, AddressPrefix, Element, Label, Match, Rule, Selector, ServiceRange, Settings, Verdict,
};

/// Connections that the ports of a project may have on one host.
const QUOTA: u32 = 65_536;

pub(super) fn settings(domain: &Domain<'_>) -> Settings {
    let (action, mode) = domain.default();
    Settings {
        default: verdict(action, false, mode),
        quota: QUOTA,
    }
}

pub(super) fn rule(name: &RuleName, rule: &FirewallRule, mode: Mode) -> Rule {
    let services: Option<Vec<ServiceRange>> = rule
        .services
        .iter()
        .map(|service| {
            let matched = service.matched()?;
            Some(ServiceRange {
                protocol: matched.protocol,
                first: *matched.numbers.start(),
                last: *matched.numbers.end(),
            })
        })
        .collect();
    Rule {
        name: name.to_string().into(),
        order: rule.order.0,
        from: end(&rule.from, &name.project),
        to: end(&rule.to, &name.project),
        services: services.map_or(Match::Any, Match::OneOf),
        verdict: verdict(rule.action, rule.log, mode),
    }
}

fn verdict(action: RuleAction, log: bool, mode: Mode) -> Verdict {
    Verdict {
        action: match action {
            RuleAction::Allow => Action::Allow,
            RuleAction::Deny => Action::Deny,
            RuleAction::Reject => Action::Reject,
        },
        log,
        audit: mode == Mode::Audit && action != RuleAction::Allow,
    }
}

fn end(selectors: &[Named], owner: &Name) -> Match<Selector> {
    if selectors.contains(&Named::Any) {
        return Match::Any;
    }
    let selectors = selectors.iter().map(|selector| match selector {
        Named::Prefix(prefix) => Selector::Prefix(self::prefix(*prefix)),
        other => Selector::Group(label(other, owner)),
    });
    let mut selectors: Vec<Selector> = selectors.collect();
    selectors.sort();
    selectors.dedup();
    Match::OneOf(selectors)
}

/// How a policy calls what a rule names: `group/web`. Address groups of the rails are others than those
/// of the project, and keep their project's name.
pub(super) fn label(selector: &Named, owner: &Name) -> Label {
    match selector {
        Named::AddressGroup(_) if owner.is_rails() => format!("{owner}/{selector}").into(),
        other => other.to_string().into(),
    }
}

pub(super) fn prefix(prefix: IpNet) -> AddressPrefix {
    let host = AddressPrefix::host(prefix.addr());
    AddressPrefix::new(prefix.addr(), prefix.prefix_len()).unwrap_or(host)
}

/// An element, if its network is there.
pub(super) fn element(
    intent: &Intent,
    project: &Name,
    named: &membership::Named,
) -> Option<Element> {
    let scope = match &named.network {
        None => None,
        Some(network) => {
            let network = NetworkName::new(project.clone(), network.clone());
            Some(scope(intent, &network)?)
        }
    };
    Some(Element {
        scope,
        prefix: prefix(named.prefix),
    })
}

/// The number of a network's address plan, as `PortRow::scope` has it.
fn scope(intent: &Intent, network: &NetworkName) -> Option<u32> {
    match intent.scope_of(network) {
        Scope::Router(router) => Some(intent.routers.get(&router)?.number.get()),
        Scope::Network(network) => Some(intent.networks.get(&network)?.vni.get()),
    }
}
