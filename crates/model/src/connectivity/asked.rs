//! What the rules say of one connection that somebody asks about, and if they refuse it, which rule was probably meant for it.

use std::net::IpAddr;

use super::judge::Judge;
use super::services::Services;
use crate::firewall::{FirewallRule, RuleAction, Selector};
use crate::intent::Intent;
use crate::name::{NetworkName, RuleName};
use crate::service::{IcmpKind, Service};

/// A connection between two networks that are one, or that one router joins.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who opens it.
    pub from: (&'a NetworkName, IpAddr),
    /// To whom; an address that nobody has counts as one of the network that asks.
    pub to: (&'a NetworkName, IpAddr),
    /// What for.
    pub service: Service,
}

/// What the rules of the sender's project say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The rule that decides; nothing: the default does.
    pub rule: Option<RuleName>,
    /// Whether the connection is let pass, also where it is only audited.
    pub admits: bool,
    /// What would admit it but for one thing, if the default refuses it.
    pub near: Option<NearMiss>,
}

/// A rule that allows something like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The rule.
    pub rule: RuleName,
    /// What is different.
    pub but: Obstacle,
}

/// What keeps a rule from allowing a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// It allows these ends other services: those.
    Service(String),
    /// It allows it in the other direction.
    Direction,
    /// It allows it to others: those.
    To(String),
    /// It allows it from others: those.
    From(String),
}

/// What the rules say of a connection; nothing where no firewall judges.
pub fn ruling(intent: &Intent, asked: Asked<'_>) -> Option<Ruling> {
    let project = &asked.from.0.project;
    let domain = intent.domain(project)?;
    let services = Services::of([intent], project, &[asked.service]);
    let judge = Judge::new(project, intent, &services);
    let place = |(network, address): (&NetworkName, IpAddr)| judge.place(network, address);
    let (from, to) = (place(asked.from), place(asked.to));
    let wanted = services.matching(asked.service);
    let decider = judge.decider(&from, &to, &wanted);
    let near = || {
        let rules = domain.rules().into_iter().enumerate();
        let misses = rules.filter_map(|(number, (name, rule, _))| {
            // The operator's rails are not the project's to read, and no project can change them.
            if name.project.is_rails() {
                return None;
            }
            let fits = [(&from, &to), (&to, &from)].map(|(from, to)| judge.names(number, from, to));
            let served = judge.serves(number, &wanted);
            let akin = rule
                .services
                .iter()
                .any(|it| protocol(*it) == protocol(asked.service));
            let but = obstacle(rule, fits, (served, akin))?;
            Some((but, akin, name))
        });
        // Of equals the first one written.
        misses.min_by_key(|(but, akin, _)| (kind(but), !akin))
    };
    Some(Ruling {
        rule: decider.rule.cloned(),
        admits: decider.admits(),
        near: match decider.rule {
            None if !decider.admits() => near().map(|(but, _, rule)| NearMiss {
                rule: rule.clone(),
                but,
            }),
            _ => None,
        },
    })
}

/// The one thing that keeps a rule from matching. `fits`: whether its two sides name the ends, as asked and the other way round;
/// `served`: whether it names the service, `akin`: or another one of its protocol.
fn obstacle(
    rule: &FirewallRule,
    fits: [(bool, bool); 2],
    (served, akin): (bool, bool),
) -> Option<Obstacle> {
    if rule.action != RuleAction::Allow {
        return None;
    }
    let anybody = |side: &[Selector]| side.contains(&Selector::Any);
    match (fits, served) {
        // Of what is for everybody nobody thinks that it was meant.
        ([(true, true), _], false) if akin || !(anybody(&rule.from) && anybody(&rule.to)) => {
            let services: Vec<String> = rule.services.iter().map(Service::to_string).collect();
            Some(Obstacle::Service(services.join(", ")))
        }
        ([_, (true, true)], true) => Some(Obstacle::Direction),
        ([(true, false), _], true) if !anybody(&rule.from) => Some(Obstacle::To(side(&rule.to))),
        ([(false, true), _], true) if !anybody(&rule.to) => Some(Obstacle::From(side(&rule.from))),
        _ => None,
    }
}

/// The IP protocol of a service; that of ICMP for ICMPv6, too, which people mean by the same word.
fn protocol(service: Service) -> Option<u8> {
    match service {
        Service::Icmpv6(_) => protocol(Service::Icmp(IcmpKind::All)),
        other => other.matched().map(|matched| matched.protocol),
    }
}

fn kind(obstacle: &Obstacle) -> u8 {
    match obstacle {
        Obstacle::Service(_) => 0,
        Obstacle::Direction => 1,
        Obstacle::To(_) | Obstacle::From(_) => 2,
    }
}

fn side(selectors: &[Selector]) -> String {
    let names: Vec<String> = selectors.iter().map(Selector::to_string).collect();
    names.join(" or ")
}
