//! From intent to the policies of projects, change by change: [`Policies`] runs in the controller.
//!
//! A project has a policy if it has a firewall, or if the operator has set rails. The policy holds what
//! hosts must know of it: the rules that count, and the addresses of the groups that they name. A changed
//! rule, port or group costs what it touches; what concerns many addresses (networks, routers) is worked
//! out again for the groups of the project, and the difference is what hosts are told.

mod convert;
mod groups;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use coax_model::{Change, Intent, Name, PortName, RuleName, Selector as Named};

use super::change::PolicyChange;
use super::message::{PolicyDelta, PolicySlice};
use super::rule::{Label, Policy};
use groups::Groups;

/// A policy that became different.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyStep {
    /// The project.
    pub project: Name,
    /// The number by which messages call the policy.
    pub number: u32,
    /// What became of it.
    pub news: PolicyNews,
}

/// What became of the policy of a project.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyNews {
    /// It is there now, or as good as new: hosts need all of it.
    Whole,
    /// It is different.
    Delta(PolicyDelta),
    /// It is gone.
    Gone,
}

/// The policy of one project.
#[derive(Debug)]
struct Held {
    number: u32,
    policy: Policy,
    revision: u64,
    groups: Groups,
}

/// The policies of all projects.
#[derive(Debug, Default)]
pub struct Policies {
    projects: HashMap<Name, Held>,
    names: HashMap<u32, Name>,
}

/// What a batch of changes touches in one project.
#[derive(Debug, Default)]
struct Touched {
    rules: BTreeSet<RuleName>,
    ports: BTreeSet<PortName>,
    groups: BTreeSet<Label>,
    all_groups: bool,
    everything: bool,
}

impl Policies {
    /// The policies of a whole intent, every one at this revision.
    pub fn full(intent: &Intent, revision: u64) -> Self {
        let mut policies = Self::default();
        for project in intent.projects() {
            policies.found(intent, &project, revision);
        }
        policies
    }

    /// Takes the changes of one revision, which `intent` has already, and gives the steps of the
    /// policies that become different.
    pub fn apply(&mut self, intent: &Intent, revision: u64, changes: &[Change]) -> Vec<PolicyStep> {
        let touched = self.touched(intent, changes).into_iter();
        touched
            .filter_map(|(project, touched)| self.work(intent, revision, project, &touched))
            .collect()
    }

    /// A whole policy, by its number.
    pub fn slice(&self, number: u32) -> Option<PolicySlice> {
        let project = self.names.get(&number)?;
        let held = self.projects.get(project)?;
        let (project, revision) = (project.as_str(), held.revision);
        Some(PolicySlice::new(number, project, revision, &held.policy))
    }

    /// The number of a project's policy, if it has one.
    pub fn number(&self, project: &Name) -> Option<u32> {
        self.projects.get(project).map(|held| held.number)
    }

    /// The revision of the last change of a policy, by its number.
    pub fn revision(&self, number: u32) -> Option<u64> {
        let held = self.projects.get(self.names.get(&number)?)?;
        Some(held.revision)
    }

    /// The policy of a project.
    pub fn policy(&self, project: &Name) -> Option<&Policy> {
        self.projects.get(project).map(|held| &held.policy)
    }

    fn touched(&self, intent: &Intent, changes: &[Change]) -> BTreeMap<Name, Touched> {
        let mut all: BTreeMap<Name, Touched> = BTreeMap::new();
        let mut of = |project: &Name, note: &dyn Fn(&mut Touched)| {
            if !project.is_rails() {
                note(all.entry(project.clone()).or_default());
                return;
            }
            // Rails count for every project, also for those that had no policy before.
            let projects = intent.projects().into_iter();
            let projects: BTreeSet<Name> = projects.chain(self.projects.keys().cloned()).collect();
            for project in projects {
                note(all.entry(project).or_default());
            }
        };
        for change in changes {
            match change {
                Change::PutRule { name, .. } | Change::DeleteRule { name } => {
                    of(&name.project, &|touched| {
                        touched.rules.insert(name.clone());
                    });
                }
                Change::PutFirewall { project, .. } | Change::DeleteFirewall { project } => {
                    of(project, &|touched| touched.everything = true);
                }
                Change::PutGroup { name, .. } | Change::DeleteGroup { name } => {
                    let label = convert::label(&Named::Group(name.name.clone()), &name.project);
                    of(&name.project, &|touched| {
                        touched.groups.insert(label.clone());
                    });
                }
                Change::PutAddressGroup { name, .. } | Change::DeleteAddressGroup { name } => {
                    let named = Named::AddressGroup(name.name.clone());
                    let label = convert::label(&named, &name.project);
                    of(&name.project, &|touched| {
                        touched.groups.insert(label.clone());
                    });
                }
                Change::PutPort { name, .. } | Change::DeletePort { name } => {
                    of(&name.project, &|touched| {
                        touched.ports.insert(name.clone());
                    });
                }
                Change::PutNetwork { name, .. }
                | Change::DeleteNetwork { name }
                | Change::PutRouter { name, .. }
                | Change::DeleteRouter { name } => {
                    of(&name.project, &|touched| touched.all_groups = true);
                }
                Change::PutVtep { .. }
                | Change::DeleteVtep { .. }
                | Change::PutHost { .. }
                | Change::DeleteHost { .. }
                | Change::PutBinding { .. }
                | Change::DeleteBinding { .. }
                | Change::PutChecks { .. }
                | Change::DeleteChecks { .. }
                | Change::PutQuota { .. } => {}
            }
        }
        all
    }

    fn work(
        &mut self,
        intent: &Intent,
        revision: u64,
        project: Name,
        touched: &Touched,
    ) -> Option<PolicyStep> {
        let Some(held) = self.projects.get_mut(&project) else {
            let number = self.found(intent, &project, revision)?;
            let news = PolicyNews::Whole;
            return Some(PolicyStep {
                project,
                number,
                news,
            });
        };
        let number = held.number;
        let change = if intent.domain(&project).is_none() || touched.everything {
            let Some(new) = Held::new(intent, &project, number, held.revision) else {
                self.projects.remove(&project);
                self.names.remove(&number);
                let news = PolicyNews::Gone;
                return Some(PolicyStep {
                    project,
                    number,
                    news,
                });
            };
            let change = held.policy.change_to(&new.policy);
            *held = new;
            change
        } else {
            held.change(intent, &project, touched)
        };
        if change.is_empty() {
            return None;
        }
        let from = std::mem::replace(&mut held.revision, revision);
        let delta = PolicyDelta::new(project.as_str(), from, revision, &change);
        let news = PolicyNews::Delta(delta);
        Some(PolicyStep {
            project,
            number,
            news,
        })
    }

    /// A project has a policy, if it does. Its number follows from its name, so that it survives a
    /// restart of the controller; of two names with one number, the later one gets the next.
    fn found(&mut self, intent: &Intent, project: &Name, revision: u64) -> Option<u32> {
        let mut number = hash(project.as_str());
        while number == 0 || self.names.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        let held = Held::new(intent, project, number, revision)?;
        self.names.insert(number, project.clone());
        self.projects.insert(project.clone(), held);
        Some(number)
    }
}

/// FNV-1a.
fn hash(text: &str) -> u32 {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, mix)
}

impl Held {
    fn new(intent: &Intent, project: &Name, number: u32, revision: u64) -> Option<Self> {
        let domain = intent.domain(project)?;
        let mut held = Self {
            number,
            policy: Policy {
                settings: convert::settings(&domain),
                rules: BTreeMap::new(),
                groups: BTreeMap::new(),
            },
            revision,
            groups: Groups::default(),
        };
        for (name, rule, mode) in domain.rules() {
            held.groups.take(intent, project, &name.project, rule);
            let rule = convert::rule(name, rule, mode);
            held.policy.rules.insert(rule.name.clone(), Arc::new(rule));
        }
        held.groups.news(&mut held.policy.groups);
        Some(held)
    }

    fn change(&mut self, intent: &Intent, project: &Name, touched: &Touched) -> PolicyChange {
        let mut change = PolicyChange::default();
        for name in &touched.rules {
            self.change_rule(intent, project, name, &mut change);
        }
        if touched.all_groups {
            self.groups.refresh_all(intent, project);
        } else {
            for label in &touched.groups {
                self.groups.refresh(intent, project, label);
            }
            for port in &touched.ports {
                self.groups.refresh_port(intent, port);
            }
        }
        change.groups = self.groups.news(&mut self.policy.groups);
        change
    }

    fn change_rule(
        &mut self,
        intent: &Intent,
        project: &Name,
        name: &RuleName,
        change: &mut PolicyChange,
    ) {
        let now = intent.domain(project).and_then(|domain| {
            let rule = intent.rules.get(name)?;
            self.groups.take(intent, project, &name.project, rule);
            Some(convert::rule(name, rule, domain.mode_of(name, rule)))
        });
        let label: Label = name.to_string().into();
        let before = self.policy.rules.get(&label).cloned();
        if let Some(before) = &before {
            self.groups.release(before);
        }
        match now {
            Some(rule) if before.as_deref() == Some(&rule) => {}
            Some(rule) => {
                let rule = Arc::new(rule);
                self.policy.rules.insert(label, rule.clone());
                change.rules.push(rule);
            }
            None if before.is_some() => {
                self.policy.rules.remove(&label);
                change.removed.push(label);
            }
            None => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
