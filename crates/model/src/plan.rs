//! From a file to what would change: each change with a sentence that says what it means to somebody
//! who runs servers. A plan is made against one intent and is only good for that one.

mod objects;

use std::collections::BTreeMap;
use std::fmt;

use crate::file::moved::renames;
use crate::file::{File, RailsFile, StackFile};
use crate::firewall::{FirewallRule, RuleOrder};
use crate::intent::{Change, Intent};
use crate::name::{Name, ObjectName, RuleName};
use crate::resolve::{Resolved, resolve, resolve_rails};
use crate::rule::Refusals;
use crate::validate;
use objects::Fact;

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Create,
    /// It is there and becomes different.
    Change,
    /// It goes.
    Delete,
}

impl Action {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A network.
    Network,
    /// A port.
    Port,
    /// A foreign tunnel endpoint.
    Vtep,
    /// A router.
    Router,
    /// A group of ports.
    Group,
    /// A group of addresses.
    AddressGroup,
    /// A project's firewall: default and mode. Its name is the project's, twice.
    Firewall,
    /// A firewall rule.
    FirewallRule,
    /// A project's checks. Their name is the project's, twice.
    Checks,
}

impl Kind {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Port => "port",
            Self::Vtep => "vtep",
            Self::Router => "router",
            Self::Group => "group",
            Self::AddressGroup => "address-group",
            Self::Firewall => "firewall",
            Self::FirewallRule => "firewall-rule",
            Self::Checks => "checks",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What happens to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happens.
    pub action: Action,
    /// To what.
    pub kind: Kind,
    /// Its full name.
    pub name: ObjectName,
    /// Its values if it is new, the differences if it changes, what is lost if it goes.
    pub detail: String,
    /// Of a rename: what takes the object away under its old name, before `change`.
    pub gone: Option<Change>,
    /// The same for machines.
    pub change: Change,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.action, self.kind)?;
        match self.kind {
            Kind::Firewall | Kind::Checks => write!(f, "{}", self.name.project)?,
            _ => write!(f, "{}", self.name)?,
        }
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.detail)
        }
    }
}

/// What would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whose objects.
    pub project: Name,
    /// The steps, in the order in which they are to be taken: what frees names and numbers first,
    /// what others need next, networks that nobody needs any more last.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The changes to apply.
    pub fn changes(&self) -> Vec<Change> {
        let steps = self.steps.iter();
        steps
            .flat_map(|step| step.gone.iter().chain([&step.change]).cloned())
            .collect()
    }

    /// One sentence for each step.
    pub fn sentences(&self) -> Vec<String> {
        self.steps.iter().map(Step::to_string).collect()
    }
}

/// What has to change for a project to become what its file says.
pub fn plan(file: &StackFile, intent: &Intent) -> Result<Plan, Refusals> {
    let renames = renames(file, intent);
    if renames.is_empty() {
        return plan_from(file, intent);
    }
    // What is renamed is compared with itself.
    let mut renamed = intent.clone();
    for step in &renames {
        let changes = step.gone.iter().chain([&step.change]);
        changes.for_each(|change| renamed.apply(change));
    }
    let plan = plan_from(file, &renamed)?;
    Ok(Plan {
        steps: renames.into_iter().chain(plan.steps).collect(),
        ..plan
    })
}

fn plan_from(file: &StackFile, intent: &Intent) -> Result<Plan, Refusals> {
    let mut refusals = Refusals::default();
    let resolved = resolve(file, intent, &mut refusals);
    validate::check(file, &resolved, intent, &mut refusals);
    refusals.or(difference(&file.project, resolved, intent))
}

/// What has to change for the rails to become what the operator's file says.
pub fn plan_rails(file: &RailsFile, intent: &Intent) -> Result<Plan, Refusals> {
    let mut refusals = Refusals::default();
    let resolved = resolve_rails(&file.rails, intent);
    validate::check_rails(file, &mut refusals);
    refusals.or(difference(&Name::rails(), resolved, intent))
}

/// What has to change for a file of either kind to be true.
pub fn plan_file(file: &File, intent: &Intent) -> Result<Plan, Refusals> {
    match file {
        File::Stack(file) => plan(file, intent),
        File::Rails(file) => plan_rails(file, intent),
    }
}

/// What has to change for a project, or the rails, to be gone.
pub fn plan_delete(project: &Name, intent: &Intent) -> Plan {
    difference(project, Resolved::default(), intent)
}

/// Objects as they are to be.
type Wanted<T> = BTreeMap<ObjectName, T>;
/// Steps that make and steps that take away.
type Steps = (Vec<Step>, Vec<Step>);

fn difference(project: &Name, resolved: Resolved, intent: &Intent) -> Plan {
    let name = ObjectName::new(project.clone(), project.clone());
    let firewall = resolved.firewall.map(|wanted| (name.clone(), wanted));
    let checks = resolved.checks.map(|wanted| (name.clone(), wanted));
    // What others name comes before them, and goes after them.
    let kinds: [Steps; 9] = [
        compare(intent.networks_of(project), resolved.networks, intent),
        compare(intent.vteps_of(project), resolved.vteps, intent),
        compare(intent.routers_of(project), resolved.routers, intent),
        compare(intent.ports_of(project), resolved.ports, intent),
        compare(intent.groups_of(project), resolved.groups, intent),
        compare(
            intent.address_groups_of(project),
            resolved.address_groups,
            intent,
        ),
        compare(
            intent
                .firewalls
                .get(project)
                .map(|had| (&name, had))
                .into_iter(),
            firewall.into_iter().collect(),
            intent,
        ),
        compare_rules(project, resolved.rules, intent),
        compare(
            intent
                .checks
                .get(project)
                .map(|had| (&name, had))
                .into_iter(),
            checks.into_iter().collect(),
            intent,
        ),
    ];
    let (puts, mut deletes): (Vec<_>, Vec<_>) = kinds.into_iter().unzip();
    let drop_networks = std::mem::take(&mut deletes[0]);
    let deletes = deletes.into_iter().rev().flatten();
    let steps = deletes
        .chain(puts.into_iter().flatten())
        .chain(drop_networks);
    Plan {
        project: project.clone(),
        steps: steps.collect(),
    }
}

/// Rules in written order, not by name.
fn compare_rules(project: &Name, wanted: Wanted<FirewallRule>, intent: &Intent) -> Steps {
    let order: BTreeMap<RuleName, RuleOrder> = wanted
        .iter()
        .map(|(name, rule)| (name.clone(), rule.order))
        .collect();
    let (mut puts, deletes) = compare(intent.rules_of(project), wanted, intent);
    puts.sort_by_key(|step| order.get(&step.name).copied());
    (puts, deletes)
}

/// An object that plans can speak of.
trait Planned: PartialEq + Sized {
    const KIND: Kind;

    /// Its properties, always the same ones in the same order.
    fn facts(&self) -> Vec<Fact>;

    /// What becomes different, in words.
    fn differences(&self, to: &Self) -> Vec<String> {
        changed(self, to)
    }

    /// What else a user should know before it goes.
    fn loss(_name: &ObjectName, _intent: &Intent) -> String {
        String::new()
    }

    fn put(name: ObjectName, object: Self) -> Change;
    fn delete(name: ObjectName) -> Change;
}

/// What is worth saying of a new object.
fn describe<T: Planned>(object: &T) -> String {
    let facts = object.facts().into_iter().filter(|fact| !fact.plain);
    let words: Vec<String> = facts
        .map(|fact| format!("{} {}", fact.what, fact.value))
        .collect();
    words.join(", ")
}

/// The properties of which an object has others.
fn changed<T: Planned>(from: &T, to: &T) -> Vec<String> {
    let pairs = from.facts().into_iter().zip(to.facts());
    pairs
        .filter(|(from, to)| from.value != to.value)
        .map(|(from, to)| format!("{} {} -> {}", from.what, from.value, to.value))
        .collect()
}

fn compare<'a, T: Planned + 'a>(
    stored: impl Iterator<Item = (&'a ObjectName, &'a T)>,
    wanted: Wanted<T>,
    intent: &Intent,
) -> Steps {
    let stored: BTreeMap<&ObjectName, &T> = stored.collect();
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    for name in stored.keys().filter(|name| !wanted.contains_key(**name)) {
        deletes.push(Step {
            action: Action::Delete,
            kind: T::KIND,
            name: (*name).clone(),
            detail: T::loss(name, intent),
            gone: None,
            change: T::delete((*name).clone()),
        });
    }
    for (name, object) in wanted {
        let (action, detail) = match stored.get(&name) {
            None => (Action::Create, describe(&object)),
            Some(old) if **old == object => continue,
            Some(old) => (Action::Change, old.differences(&object).join(", ")),
        };
        let change = T::put(name.clone(), object);
        puts.push(Step {
            action,
            kind: T::KIND,
            name,
            detail,
            gone: None,
            change,
        });
    }
    (puts, deletes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod zones;
