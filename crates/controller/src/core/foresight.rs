//! What a plan would do beside changing objects: which hosts it touches, and who gains or loses
//! connectivity by it.

use std::collections::BTreeSet;

use coax_api::Plan;
use coax_model::{Change, HostName, Name, NetworkName, Plan as ModelPlan, connectivity};

use super::Core;

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

fn sibling(project: &Name, network: &Name) -> NetworkName {
    NetworkName::new(project.clone(), network.clone())
}
