//! Whether an intent keeps the checks of a project: each pair of ports that a check is about is judged
//! as [`super::connectivity`] judges, once for all pairs that everything treats alike.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::judge::{Decider, Judge, Place, Role, families, ways, why_no_way};
use super::services::{Atoms, Services};
use crate::check::{Check, CheckSide, Expect};
use crate::firewall::{Mode, RuleAction};
use crate::intent::Intent;
use crate::name::{Name, RuleName};

/// The most comparisons with rules that are made for all checks of a project.
const MOST_WORK: usize = 20_000_000;

/// What a proof found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofState {
    /// It is as the check wants it.
    Holds,
    /// It is not.
    Fails,
    /// The check is about nobody: nothing is proved.
    Idle,
    /// There are too many different ports to look at them all; those that were looked at are as it wants them.
    Unproved,
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The check.
    pub check: Check,
    /// What was found.
    pub state: ProofState,
    /// The check and why it is as it is, in one sentence.
    pub sentence: String,
    /// The rule that breaks it, if it is one.
    pub rule: Option<RuleName>,
}

/// Proves every check of a project.
pub fn prove(project: &Name, intent: &Intent) -> Vec<Proof> {
    let Some(checks) = intent.checks.get(project) else {
        return Vec::new();
    };
    let asked = checks.0.iter().flat_map(|check| &check.services);
    let asked: Vec<_> = asked.copied().collect();
    let services = Services::of([intent], project, &asked);
    let judge = Judge::new(project, intent, &services);
    let mut roles: BTreeMap<Role, usize> = BTreeMap::new();
    let of_port = intent.ports_of(project).map(|(name, port)| {
        let next = roles.len();
        let number = *roles.entry(judge.role(port)).or_insert(next);
        (&name.name, number)
    });
    let of_port = of_port.collect();
    let mut prover = Prover {
        project,
        intent,
        services: &services,
        judge: &judge,
        of_port,
        roles: roles.iter().map(|(role, number)| (*number, role)).collect(),
        work: 0,
    };
    checks.0.iter().map(|check| prover.prove(check)).collect()
}

struct Prover<'a> {
    project: &'a Name,
    intent: &'a Intent,
    services: &'a Services,
    judge: &'a Judge<'a>,
    of_port: HashMap<&'a Name, usize>,
    roles: HashMap<usize, &'a Role>,
    work: usize,
}

/// Why a pair is not as a check wants it.
struct Breach<'a> {
    ipv6: Option<bool>,
    what: Atoms,
    why: Why<'a>,
}

enum Why<'a> {
    NoWay(String),
    Decided(Decider<'a>),
}

/// What was found of all pairs of a check so far.
#[derive(Default)]
struct Found<'a> {
    /// How many pairs the check says something of.
    pairs: usize,
    /// How many are not as it wants them.
    broken: usize,
    /// The first of these.
    first: Option<(&'a Name, &'a Name, Breach<'a>)>,
}

impl<'a> Prover<'a> {
    fn prove(&mut self, check: &Check) -> Proof {
        let proof = |state, sentence, rule| Proof {
            check: check.clone(),
            state,
            sentence,
            rule,
        };
        let mut wanted = self.services.none();
        for service in &check.services {
            wanted.add(&self.services.matching(*service));
        }
        let (from, to) = (self.side(&check.from), self.side(&check.to));
        for (sides, found) in [(&check.from, &from), (&check.to, &to)] {
            if found.is_empty() {
                let sides: Vec<String> = sides.iter().map(CheckSide::to_string).collect();
                let sentence = format!("{check}: {} has no ports", sides.join(", "));
                return proof(ProofState::Idle, sentence, None);
            }
        }
        let found = match self.compare(&from, &to, check.expect, &wanted) {
            Some(found) => found,
            None => {
                let sentence = format!("{check}: too many different ports to look at them all");
                return proof(ProofState::Unproved, sentence, None);
            }
        };
        match found.first {
            Some((one, other, breach)) => {
                let more = match found.broken {
                    0 | 1 => String::new(),
                    2 => ", and one more pair".to_owned(),
                    pairs => format!(", and {} more pairs", pairs - 1),
                };
                let broken = self.broken(one, other, check.expect, &breach);
                let rule = match breach.why {
                    Why::Decided(decider) => decider.rule.cloned(),
                    Why::NoWay(_) => None,
                };
                let sentence = format!("{check}, but {broken}{more}");
                proof(ProofState::Fails, sentence, rule)
            }
            None if found.pairs == 0 => {
                let sentence = format!("{check}: no two ports can have such a connection");
                proof(ProofState::Idle, sentence, None)
            }
            None => proof(ProofState::Holds, check.to_string(), None),
        }
    }

    /// The ports of a side by their roles.
    fn side(&self, sides: &[CheckSide]) -> BTreeMap<usize, BTreeSet<&'a Name>> {
        let mut side: BTreeMap<usize, BTreeSet<&Name>> = BTreeMap::new();
        for (name, _) in Check::ports(sides, self.project, self.intent) {
            let role = self.of_port.get(&name.name).copied();
            side.entry(role.unwrap_or_default())
                .or_default()
                .insert(&name.name);
        }
        side
    }

    fn compare(
        &mut self,
        from: &BTreeMap<usize, BTreeSet<&'a Name>>,
        to: &BTreeMap<usize, BTreeSet<&'a Name>>,
        expect: Expect,
        wanted: &Atoms,
    ) -> Option<Found<'a>> {
        let mut found = Found::default();
        for (own, from) in from {
            for (other, to) in to {
                // Nobody opens a connection to himself.
                let pairs = from.len() * to.len() - from.intersection(to).count();
                let mut names = from
                    .iter()
                    .flat_map(|from| to.iter().map(move |to| (*from, *to)));
                let Some((one, two)) = names.find(|(from, to)| from != to) else {
                    continue;
                };
                let (own, other) = (*self.roles.get(own)?, *self.roles.get(other)?);
                self.work += (own.len() * other.len()).saturating_mul(self.judge.rules() + 1);
                if self.work > MOST_WORK {
                    // A breach is one, however many pairs nobody looked at.
                    return found.first.is_some().then_some(found);
                }
                let breach = match expect {
                    Expect::Allow => self.not_allowed(own, other, wanted),
                    Expect::Deny => Some(self.not_denied(own, other, wanted)),
                };
                let Some(breach) = breach else {
                    continue;
                };
                found.pairs += pairs;
                if let Some(breach) = breach {
                    found.broken += pairs;
                    found.first = found.first.or(Some((one, two, breach)));
                }
            }
        }
        Some(found)
    }

    /// What one port may not open to another, over a family that both have. `None`: no such service
    /// exists over the families that they have.
    fn not_allowed(&self, from: &Role, to: &Role, wanted: &Atoms) -> Option<Option<Breach<'a>>> {
        let both: BTreeSet<bool> = families(from)
            .intersection(&families(to))
            .copied()
            .collect();
        let mut demanded: Vec<Option<bool>> = both.into_iter().map(Some).collect();
        if demanded.is_empty() {
            demanded.push(None);
        }
        let mut something = false;
        for ipv6 in demanded {
            let wanted = wanted.both(&self.services.of_family(ipv6));
            if wanted.is_empty() {
                continue;
            }
            something = true;
            let ways: Vec<(&Place, &Place)> = ways(from, to)
                .filter(|(family, ..)| ipv6.is_none() || *family == ipv6)
                .map(|(_, from, to)| (from, to))
                .collect();
            let mut admitted = self.services.none();
            for (from, to) in &ways {
                admitted.add(&self.judge.admitted(from, to));
            }
            let what = wanted.without(&admitted);
            if what.is_empty() {
                continue;
            }
            let why = match ways.first() {
                Some((from, to)) => Why::Decided(self.judge.decider(from, to, &what)),
                None => Why::NoWay(why_no_way(from, to, ipv6)),
            };
            return Some(Some(Breach { ipv6, what, why }));
        }
        something.then_some(None)
    }

    /// What one port may open to another.
    fn not_denied(&self, from: &Role, to: &Role, wanted: &Atoms) -> Option<Breach<'a>> {
        ways(from, to).find_map(|(ipv6, from, to)| {
            let what = self.judge.admitted(from, to).both(wanted);
            let why = Why::Decided(self.judge.decider(from, to, &what));
            (!what.is_empty()).then_some(Breach { ipv6, what, why })
        })
    }

    fn broken(&self, from: &Name, to: &Name, expect: Expect, breach: &Breach<'_>) -> String {
        let family = match breach.ipv6 {
            None => "",
            Some(false) => " over IPv4",
            Some(true) => " over IPv6",
        };
        let what = self.services.words(&breach.what);
        match (&breach.why, expect) {
            (Why::NoWay(why), _) => format!("{from} does not reach {to}{family}: {why}"),
            (Why::Decided(decider), Expect::Allow) => {
                format!(
                    "{from} may not reach {to} on {what}{family}: {}",
                    said(decider)
                )
            }
            (Why::Decided(decider), Expect::Deny) => {
                format!("{from} may reach {to} on {what}{family}: {}", said(decider))
            }
        }
    }
}

/// What decides, in words.
fn said(decider: &Decider<'_>) -> String {
    let who = match decider.rule {
        None => "no rule says otherwise, and the default".to_owned(),
        Some(name) if name.project.is_rails() => format!("the operator's rail {}", name.name),
        Some(name) => format!("rule {}", name.name),
    };
    match (decider.action, decider.mode) {
        (RuleAction::Allow, _) => format!("{who} allows it"),
        (RuleAction::Deny, Mode::Enforce) => format!("{who} denies it"),
        (RuleAction::Reject, Mode::Enforce) => format!("{who} rejects it"),
        (RuleAction::Deny | RuleAction::Reject, Mode::Audit) => {
            format!("{who} would not let it pass, but is only audited")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
