//! What a plan does to connectivity: who may open connections to whom that could not before, and who no
//! longer may. The answer is found for groups of ports that everything treats alike, before and after,
//! so its cost follows the number of roles, not of ports.
//!
//! What counts is what hosts enforce: one network, or networks that one router joins; the operator's
//! rails, then the project's rules, the first of which that matches decides. What an audit mode lets
//! pass may pass. A project's checks are proved by the same judgement.

mod asked;
mod judge;
mod proof;
mod services;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::intent::{Change, Intent};
use crate::name::Name;
use crate::undo::only;
use judge::{Judge, Role};
use services::{Atoms, Services};

pub use asked::{Asked, NearMiss, Obstacle, Ruling, ruling};
pub use proof::{Proof, ProofState, prove};

/// The most comparisons that are made: beyond, nobody would read the sentences.
const MOST_WORK: usize = 40_000_000;
/// The most sentences of one kind.
const MOST_SENTENCES: usize = 50;

/// What becomes different, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// `web-* may now reach db-* on tcp/5432`.
    pub gained: Vec<String>,
    /// `web-* may no longer reach db-* on tcp/5432`.
    pub lost: Vec<String>,
}

/// What changes do to the connectivity of a project. Changes of others than the project and the rails
/// have no effect on it.
pub fn connectivity(project: &Name, intent: &Intent, changes: &[Change]) -> Difference {
    let before = alone(project, intent);
    let after = after(project, before.clone(), changes);
    compare(project, &before, &after)
}

/// Proves the checks of a project as they are after changes, on what the changes lead to.
pub fn prove_after(project: &Name, intent: &Intent, changes: &[Change]) -> Vec<Proof> {
    prove(project, &after(project, alone(project, intent), changes))
}

fn after(project: &Name, mut alone: Intent, changes: &[Change]) -> Intent {
    let mine = |it: &Name| it == project || it.is_rails();
    for change in changes {
        if change.project().is_some_and(mine) {
            alone.apply(change);
        }
    }
    alone
}

/// A project with what judges it.
fn alone(project: &Name, intent: &Intent) -> Intent {
    let mut alone = only(project, intent);
    let rails = only(&Name::rails(), intent);
    alone.rules.extend(rails.rules);
    alone.address_groups.extend(rails.address_groups);
    alone
}

/// Ports that are treated alike: their names, and what they are before and after.
struct Alike {
    names: BTreeSet<Name>,
    before: Option<Role>,
    after: Option<Role>,
}

fn alike(
    project: &Name,
    before: (&Intent, &Judge<'_>),
    after: (&Intent, &Judge<'_>),
) -> Vec<Alike> {
    let mut roles: BTreeMap<&Name, (Option<Role>, Option<Role>)> = BTreeMap::new();
    for (name, port) in before.0.ports_of(project) {
        roles.entry(&name.name).or_default().0 = Some(before.1.role(port));
    }
    for (name, port) in after.0.ports_of(project) {
        roles.entry(&name.name).or_default().1 = Some(after.1.role(port));
    }
    let mut alike: BTreeMap<(Option<Role>, Option<Role>), BTreeSet<Name>> = BTreeMap::new();
    for (name, roles) in roles {
        alike.entry(roles).or_default().insert(name.clone());
    }
    let groups = alike.into_iter();
    groups
        .map(|((before, after), names)| Alike {
            names,
            before,
            after,
        })
        .collect()
}

/// Who reaches whom on what.
type Reach = BTreeMap<(BTreeSet<Name>, Atoms), BTreeSet<Name>>;

fn compare(project: &Name, before: &Intent, after: &Intent) -> Difference {
    let services = Services::of([before, after], project, &[]);
    let judges = (
        Judge::new(project, before, &services),
        Judge::new(project, after, &services),
    );
    let groups = alike(project, (before, &judges.0), (after, &judges.1));
    let rules = judges.0.rules().max(judges.1.rules()) + 1;
    if groups
        .len()
        .saturating_mul(groups.len())
        .saturating_mul(rules)
        > MOST_WORK
    {
        let sentence = "too many different ports to compare them all".to_owned();
        return Difference {
            gained: vec![sentence.clone()],
            lost: vec![sentence],
        };
    }
    let (mut gained, mut lost) = (Reach::new(), Reach::new());
    for from in &groups {
        // To whom, by what: ports that gain the same of the same are told together.
        let mut more: BTreeMap<Atoms, BTreeSet<Name>> = BTreeMap::new();
        let mut less = more.clone();
        for to in &groups {
            let same = std::ptr::eq(from, to);
            if same && from.names.len() == 1 {
                continue;
            }
            let allowed =
                |judge: &Judge<'_>, from: &Option<Role>, to: &Option<Role>| match (from, to) {
                    (Some(from), Some(to)) => judge.allowed(from, to),
                    _ => services.none(),
                };
            let then = allowed(&judges.0, &from.before, &to.before);
            let now = allowed(&judges.1, &from.after, &to.after);
            for (atoms, told) in [
                (now.without(&then), &mut more),
                (then.without(&now), &mut less),
            ] {
                if !atoms.is_empty() {
                    told.entry(atoms)
                        .or_default()
                        .extend(to.names.iter().cloned());
                }
            }
        }
        for (told, reach) in [(more, &mut gained), (less, &mut lost)] {
            for (atoms, to) in told {
                let from = from.names.iter().cloned();
                reach.entry((to, atoms)).or_default().extend(from);
            }
        }
    }
    Difference {
        gained: sentences(
            &gained,
            "may now reach",
            (project, [after, before]),
            &services,
        ),
        lost: sentences(
            &lost,
            "may no longer reach",
            (project, [after, before]),
            &services,
        ),
    }
}

fn sentences(
    reach: &Reach,
    verb: &str,
    (project, intents): (&Name, [&Intent; 2]),
    services: &Services,
) -> Vec<String> {
    let sentence = |((to, atoms), from): (&(BTreeSet<Name>, Atoms), &BTreeSet<Name>)| {
        let whom = if from == to {
            "each other".to_owned()
        } else {
            words::who(to, project, intents)
        };
        format!(
            "{} {verb} {whom} on {}",
            words::who(from, project, intents),
            services.words(atoms)
        )
    };
    let mut sentences: Vec<String> = reach.iter().map(sentence).collect();
    sentences.sort();
    if sentences.len() > MOST_SENTENCES {
        let more = sentences.len() - MOST_SENTENCES;
        sentences.truncate(MOST_SENTENCES);
        sentences.push(format!("and {more} more"));
    }
    sentences
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
