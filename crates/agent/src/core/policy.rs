//! The core's side of policies: what the controller says of them, and when their rows are written and removed.

use std::collections::BTreeSet;
use std::time::Duration;

use coax_compile::NetworkSlice;
use coax_compile::policy::{PolicyDelta, PolicySlice};
use coax_compile::rows::Here;
use coax_tables::{DomainId, NetworkId};

use super::Core;
use super::reconcile::Subject;
use super::stream::Verdict;
use crate::cache::StoredPolicy;
use crate::desired::here;
use crate::input::{Moment, Step};

/// Every packet is through after this time that met a row before it was replaced.
const SETTLED: Duration = Duration::from_secs(1);

impl Core {
    /// What the cache says of policies. Their rows stay as they are until the controller has been heard.
    pub(super) fn take_cached_policies(
        &mut self,
        stored: &[StoredPolicy],
        highest_rule: u32,
        now: Moment,
    ) {
        self.policies.rest_rules(highest_rule, now);
        for policy in stored {
            let number = policy.slice.number;
            if let Err(error) = self.policies.restore(policy, now) {
                tracing::error!(%error, "a policy of the cache is left out");
                continue;
            }
            let subject = Subject::Policy(number);
            match self.mirror.domains.contains_key(&DomainId(policy.domain)) {
                true => self.held_back.insert(subject),
                false => self.dirty.insert(subject),
            };
        }
    }

    pub(super) fn policy_snapshot(&mut self, slice: &PolicySlice, now: Moment) -> Verdict {
        let subject = Subject::Policy(slice.number);
        let held = self.policies.revision(slice.number);
        if self.is_behind(subject, held, slice.revision) {
            return Verdict::Keep;
        }
        match self.policies.replace(slice, &self.mirror) {
            Ok(new) => {
                self.policy_changed(slice.number, now);
                if new {
                    self.rework_networks_of(&slice.project);
                }
                Verdict::Keep
            }
            // Whole, and not understood: it would not be the next time either.
            Err(error) => Verdict::TurnAway(format!(
                "the policy of project {} is not understood: {error}; is this agent older than the controller?",
                slice.project
            )),
        }
    }

    pub(super) fn policy_delta(&mut self, delta: &PolicyDelta, now: Moment) -> Verdict {
        match self.policies.apply(delta) {
            Ok(number) => {
                self.policy_changed(number, now);
                Verdict::Keep
            }
            Err(error) => Verdict::Reattach(error.to_string()),
        }
    }

    pub(super) fn forget_policy(&mut self, number: u32, now: Moment) {
        for set in [&mut self.urgent, &mut self.dirty, &mut self.held_back] {
            set.remove(&Subject::Policy(number));
        }
        if let Some(project) = self.policies.forget(number) {
            self.rework_networks_of(&project);
        }
        self.clean_policies(now);
        self.save_soon(now);
    }

    /// Looks for rows that nothing refers to any more, as soon as all packets are through.
    pub(super) fn clean_policies(&mut self, now: Moment) {
        self.leftovers_at.get_or_insert(now + SETTLED);
    }

    /// The policy is brought up to date before the rows of a network whose addresses it does not know yet.
    pub(super) fn cover(&mut self, network: u32) {
        let Some(params) = self.slices.get(network).and_then(|it| it.params.as_ref()) else {
            return;
        };
        if let Some(number) = self.policies.number_of(&params.project)
            && !self.policies.covers(number, params.scope())
        {
            self.urgent.insert(Subject::Policy(number));
        }
    }

    /// This host as the rows of a network are made for it.
    pub(super) fn here_in(&self, slice: &NetworkSlice) -> Here {
        let project = slice.params.as_ref().map(|params| params.project.as_str());
        let policy = project.map_or(DomainId(0), |project| self.policies.domain_of(project));
        here(&self.config, policy)
    }

    pub(super) fn policy_steps(&mut self, number: u32) -> Vec<Step> {
        let Some(project) = self.policies.project(number) else {
            return Vec::new();
        };
        let networks = self.slices.all().values();
        let params = networks.filter_map(|slice| slice.params.as_ref());
        let mut scopes: BTreeSet<u32> = params
            .filter(|params| params.project == project)
            .map(|params| params.scope())
            .collect();
        // Ports keep what they obey until they are gone themselves.
        let id = self.policies.domain_of(project);
        let ports = self.mirror.ports.values();
        scopes.extend(ports.filter(|row| row.policy == id).map(|row| row.scope));
        self.policies.steps(number, scopes, &self.mirror)
    }

    pub(super) fn leftover_steps(&mut self) -> Vec<Step> {
        self.policies.leftovers(&self.mirror)
    }

    /// A batch is done; it may have been one of a policy.
    pub(super) fn policies_applied(&mut self, subject: Subject, well: bool, now: Moment) {
        match subject {
            Subject::Policy(number) => {
                if !well {
                    self.policies.failed(number);
                }
                self.clean_policies(now);
            }
            Subject::Leftovers if self.policies.has_strays(&self.mirror) => {
                self.clean_policies(now);
            }
            _ => {}
        }
    }

    pub(super) fn rules_to_report(&self) -> Vec<(String, String, u32)> {
        let rules = self.policies.rules();
        rules
            .map(|(project, rule, number)| (project.to_owned(), rule.to_string(), number))
            .collect()
    }

    fn policy_changed(&mut self, number: u32, now: Moment) {
        let subject = Subject::Policy(number);
        self.behind.remove(&subject);
        self.held_back.remove(&subject);
        self.urgent.insert(subject);
        self.save_soon(now);
    }

    /// The ports of a project obey a policy now, or none.
    fn rework_networks_of(&mut self, project: &str) {
        let networks = self.slices.all().iter();
        let of_project = networks.filter(|(_, slice)| {
            let params = slice.params.as_ref();
            params.is_some_and(|params| params.project == project)
        });
        let numbers: Vec<u32> = of_project.map(|(number, _)| *number).collect();
        for number in numbers {
            let has_ports = self.mirror.ports_of(NetworkId(number)).next().is_some();
            if has_ports {
                self.held_back.remove(&Subject::Network(number));
                self.dirty.insert(Subject::Network(number));
            }
        }
    }
}
