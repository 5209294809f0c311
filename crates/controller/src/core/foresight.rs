//! What a plan would do beside changing objects: which hosts it touches, who gains or loses
//! connectivity by it, and which checks fail after it.

use std::collections::BTreeSet;

use coax_api as api;
use coax_api::Plan;
use coax_model::{
    Change, HostName, Intent, Name, NetworkName, Plan as ModelPlan, Proof, ProofState,
    connectivity, prove, prove_after,
};

use super::history::Note;
use super::{Core, problem};
use crate::history::Deed;

impl Core {
    /// Says in the answer to a dry run what would come of it.
    pub(super) fn foresee(&self, plan: &ModelPlan, answer: &mut Plan) {
        let changes = plan.changes();
        let hosts = self.touched(&plan.project, &changes);
        answer.hosts = hosts.iter().map(ToString::to_string).collect();
        if !plan.project.is_rails() {
            let difference = connectivity(&plan.project, &self.intent, &changes);
            (answer.gained, answer.lost) = (difference.gained, difference.lost);
            return;
        }
        for project in self.intent.projects() {
            let difference = connectivity(&project, &self.intent, &changes);
            let told = |sentence: String| format!("{project}: {sentence}");
            answer
                .gained
                .extend(difference.gained.into_iter().map(told));
            answer.lost.extend(difference.lost.into_iter().map(told));
        }
    }

    /// The checks that a plan is about, as they are after it.
    pub(super) fn proofs_after(&self, plan: &ModelPlan) -> Vec<api::Check> {
        let changes = plan.changes();
        let of = |project: &Name| {
            let proofs = if plan.is_empty() {
                prove(project, &self.intent)
            } else {
                prove_after(project, &self.intent, &changes)
            };
            views(project, proofs)
        };
        if plan.project.is_rails() {
            return self.intent.checks.keys().flat_map(of).collect();
        }
        let puts = |change: &Change| matches!(change, Change::PutChecks { .. });
        let has = self.intent.checks.contains_key(&plan.project) || changes.iter().any(puts);
        if has { of(&plan.project) } else { Vec::new() }
    }

    /// The hosts that have, or get, something of what changes.
    fn touched(&self, project: &Name, changes: &[Change]) -> BTreeSet<HostName> {
        let mut networks = BTreeSet::new();
        let mut hosts = BTreeSet::new();
        for change in changes {
            match change {
                Change::PutPort { name, port } => {
                    let before = self.intent.ports.get(name).into_iter();
                    for port in before.chain([port]) {
                        let of_port = port.networks().map(|(_, network, _)| network);
                        networks.extend(of_port.map(|it| sibling(project, it)));
                        hosts.extend(port.host.clone());
                    }
                    hosts.extend(self.claimants.get(name).into_iter().flatten().cloned());
                }
                Change::DeletePort { name } => {
                    let before = self.intent.ports.get(name).into_iter();
                    let of_port = before.flat_map(|port| port.networks());
                    networks.extend(of_port.map(|(_, it, _)| sibling(project, it)));
                }
                Change::PutNetwork { name, .. } | Change::DeleteNetwork { name } => {
                    networks.insert(name.clone());
                }
                // They change nothing on any host.
                Change::PutChecks { .. } | Change::DeleteChecks { .. } => {}
                // Rules, groups and routers are everybody's who has anything of the project.
                _ if project.is_rails() => networks.extend(self.intent.networks.keys().cloned()),
                _ => networks.extend(self.intent.networks_of(project).map(|it| it.0.clone())),
            }
        }
        for network in &networks {
            hosts.extend(self.reach().hosts(network).cloned());
        }
        hosts.retain(|host| self.intent.hosts.contains_key(host));
        hosts
    }
}

/// The checks of a project, or of all, as they are. That takes a while: not while the core waits.
pub fn proofs(intent: &Intent, project: Option<&Name>) -> Vec<api::Check> {
    let wanted = |it: &&Name| project.is_none_or(|project| project == *it);
    let projects = intent.checks.keys().filter(wanted);
    projects
        .flat_map(|project| views(project, prove(project, intent)))
        .collect()
}

/// Why a file is not applied: checks fail after it. The operator's rails are told of it and not held up,
/// so that no project can hold them up; nor is going back, which is for when things are bad already.
pub(super) fn refused_by_checks(note: &Note, checks: &[api::Check]) -> Option<api::Problem> {
    let rails = note.project.as_ref().is_some_and(Name::is_rails);
    if note.deed != Deed::Apply || rails || note.submission.ignore_checks {
        return None;
    }
    let failing = checks
        .iter()
        .filter(|it| it.state == api::ProofState::Fails);
    let failing: Vec<&api::Check> = failing.collect();
    (!failing.is_empty()).then(|| problem::checks_fail(&failing))
}

fn views(project: &Name, proofs: Vec<Proof>) -> Vec<api::Check> {
    fn words<T: ToString>(items: &[T]) -> Vec<String> {
        items.iter().map(T::to_string).collect()
    }
    let view = |(place, proof): (usize, Proof)| {
        let rule = proof.rule;
        api::Check {
            project: project.to_string(),
            place,
            title: proof.check.title(),
            from: words(&proof.check.from),
            to: words(&proof.check.to),
            port: words(&proof.check.services),
            expect: proof.check.expect.name().to_owned(),
            state: match proof.state {
                ProofState::Holds => api::ProofState::Holds,
                ProofState::Fails => api::ProofState::Fails,
                ProofState::Idle => api::ProofState::Idle,
                ProofState::Unproved => api::ProofState::Unproved,
            },
            sentence: proof.sentence,
            rule: rule.map(|rule| rule.to_string()),
        }
    };
    proofs.into_iter().enumerate().map(view).collect()
}

fn sibling(project: &Name, network: &Name) -> NetworkName {
    NetworkName::new(project.clone(), network.clone())
}
