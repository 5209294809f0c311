//! The way back: for each change the one that takes it back, and what a project was before changes.
//!
//! Only what files say is taken back. Hosts and bindings are facts that agents report; going back to
//! an older file does not unplug anything.

use crate::export::{export, export_rails};
use crate::file::File;
use crate::intent::{Change, Intent};
use crate::name::{Name, ObjectName};

impl Change {
    /// What takes this change back, applied to `before`, the intent that it has not reached yet.
    /// `None`: it is about a host, a binding or a quota, or takes away what is not there.
    pub fn inverse(&self, before: &Intent) -> Option<Change> {
        macro_rules! restored {
            ($map:ident, $name:expr, $put:ident, $delete:ident, $field:ident) => {{
                let name = $name.clone();
                match before.$map.get(&name) {
                    Some(old) => Some(Change::$put {
                        name,
                        $field: old.clone(),
                    }),
                    None => Some(Change::$delete { name }),
                }
            }};
        }
        match self {
            Self::PutNetwork { name, .. } | Self::DeleteNetwork { name } => {
                restored!(networks, name, PutNetwork, DeleteNetwork, network)
            }
            Self::PutPort { name, .. } | Self::DeletePort { name } => {
                restored!(ports, name, PutPort, DeletePort, port)
            }
            Self::PutVtep { name, .. } | Self::DeleteVtep { name } => {
                restored!(vteps, name, PutVtep, DeleteVtep, vtep)
            }
            Self::PutGroup { name, .. } | Self::DeleteGroup { name } => {
                restored!(groups, name, PutGroup, DeleteGroup, group)
            }
            Self::PutAddressGroup { name, .. } | Self::DeleteAddressGroup { name } => {
                restored!(
                    address_groups,
                    name,
                    PutAddressGroup,
                    DeleteAddressGroup,
                    group
                )
            }
            Self::PutRouter { name, .. } | Self::DeleteRouter { name } => {
                restored!(routers, name, PutRouter, DeleteRouter, router)
            }
            Self::PutRule { name, .. } | Self::DeleteRule { name } => {
                restored!(rules, name, PutRule, DeleteRule, rule)
            }
            Self::PutFirewall { project, .. } | Self::DeleteFirewall { project } => {
                let project = project.clone();
                Some(match before.firewalls.get(&project) {
                    Some(firewall) => Change::PutFirewall {
                        project,
                        firewall: *firewall,
                    },
                    None => Change::DeleteFirewall { project },
                })
            }
            Self::PutChecks { project, .. } | Self::DeleteChecks { project } => {
                let project = project.clone();
                Some(match before.checks.get(&project).cloned() {
                    Some(checks) => Change::PutChecks { project, checks },
                    None => Change::DeleteChecks { project },
                })
            }
            Self::PutHost { .. }
            | Self::DeleteHost { .. }
            | Self::PutBinding { .. }
            | Self::DeleteBinding { .. }
            | Self::PutQuota { .. } => None,
        }
    }

    /// The project whose file says it; `None`: hosts, bindings and quotas are in no file.
    pub fn project(&self) -> Option<&Name> {
        let name: &ObjectName = match self {
            Self::PutNetwork { name, .. }
            | Self::DeleteNetwork { name }
            | Self::PutPort { name, .. }
            | Self::DeletePort { name }
            | Self::PutVtep { name, .. }
            | Self::DeleteVtep { name }
            | Self::PutGroup { name, .. }
            | Self::DeleteGroup { name }
            | Self::PutAddressGroup { name, .. }
            | Self::DeleteAddressGroup { name }
            | Self::PutRouter { name, .. }
            | Self::DeleteRouter { name }
            | Self::PutRule { name, .. }
            | Self::DeleteRule { name } => name,
            Self::PutFirewall { project, .. }
            | Self::DeleteFirewall { project }
            | Self::PutChecks { project, .. }
            | Self::DeleteChecks { project } => return Some(project),
            Self::PutHost { .. }
            | Self::DeleteHost { .. }
            | Self::PutBinding { .. }
            | Self::DeleteBinding { .. }
            | Self::PutQuota { .. } => return None,
        };
        Some(&name.project)
    }
}

/// What takes a list of changes back, in the order in which to apply it.
pub fn inverses(changes: &[Change], before: &Intent) -> Vec<Change> {
    // No list changes an object twice, so each inverse can be read off the same intent.
    let inverses = changes.iter().rev();
    inverses
        .filter_map(|change| change.inverse(before))
        .collect()
}

/// One project of an intent, without hosts and bindings.
pub fn only(project: &Name, intent: &Intent) -> Intent {
    macro_rules! copied {
        ($objects:expr) => {
            $objects
                .map(|(name, object)| (name.clone(), object.clone()))
                .collect()
        };
    }
    let firewall = intent.firewalls.get_key_value(project);
    let checks = intent.checks.get_key_value(project);
    Intent {
        networks: copied!(intent.networks_of(project)),
        ports: copied!(intent.ports_of(project)),
        vteps: copied!(intent.vteps_of(project)),
        groups: copied!(intent.groups_of(project)),
        address_groups: copied!(intent.address_groups_of(project)),
        rules: copied!(intent.rules_of(project)),
        routers: copied!(intent.routers_of(project)),
        firewalls: copied!(firewall.into_iter()),
        checks: copied!(checks.into_iter()),
        ..Intent::new(intent.underlay_mtu)
    }
}

/// The file that a project was before the changes that `undo` takes back, the newest first. `None`:
/// the project had nothing.
pub fn file_before<'a>(
    project: &Name,
    intent: &Intent,
    undo: impl IntoIterator<Item = &'a Change>,
) -> Option<File> {
    let mut past = only(project, intent);
    for change in undo {
        if change.project() == Some(project) {
            past.apply(change);
        }
    }
    if project.is_rails() {
        let empty = past.rules.is_empty() && past.address_groups.is_empty();
        return (!empty).then(|| File::Rails(export_rails(&past)));
    }
    let file = export(project, &past);
    (!file.is_empty()).then_some(File::Stack(file))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::{Plan, StackFile, plan, plan_delete};

    const FIRST: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24], dhcp: true }
  db: { subnets: [10.10.2.0/24], mtu: 1400 }
ports:
  web-1: { network: web }
  db-1: { network: db }
routers:
  gw: { networks: [web, db] }
groups:
  web: { match: { vm: \"web-*\" } }
firewall:
  default: deny
  rules:
    - { name: one, from: any, to: group/web, allow: [tcp/80] }
    - { name: two, from: group/web, to: any, allow: [tcp/5432] }
checks:
  - { from: group/web, to: port/db-1, port: tcp/5432, expect: allow }
";

    const SECOND: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24], flood_unknown: true }
ports:
  web-1: { network: web, labels: { role: front } }
  web-2: { network: web }
vteps:
  legacy: { address: 192.0.2.99, networks: [web] }
address_groups:
  office: [192.0.2.0/24]
";

    fn planned(text: &str, intent: &Intent) -> Plan {
        plan(&StackFile::parse(text).unwrap(), intent).unwrap()
    }

    #[test]
    fn taking_all_changes_back_gives_each_file_that_was() {
        let project: Name = "shop".parse().unwrap();
        let mut intent = Intent::default();
        let (mut files, mut undo) = (Vec::new(), Vec::new());
        let destroyed = |intent: &Intent| plan_delete(&project, intent);
        let steps: [&dyn Fn(&Intent) -> Plan; 4] = [
            &|intent| planned(FIRST, intent),
            &|intent| planned(SECOND, intent),
            &destroyed,
            &|intent| planned(FIRST, intent),
        ];
        for step in steps {
            files.push(file_before(&project, &intent, []));
            let changes = step(&intent).changes();
            undo.push(inverses(&changes, &intent));
            changes.iter().for_each(|change| intent.apply(change));
        }
        assert_eq!(files.first(), Some(&None), "the project began with nothing");
        for (past, file) in files.iter().enumerate() {
            let back = undo.get(past..).unwrap().iter().rev().flatten();
            assert_eq!(&file_before(&project, &intent, back), file, "before {past}");
        }
    }

    #[test]
    fn other_projects_stay_as_they_are() {
        let mut intent = Intent::default();
        let shop: Name = "shop".parse().unwrap();
        let bank = FIRST.replace("shop", "bank");
        for text in [FIRST, bank.as_str()] {
            let changes = planned(text, &intent).changes();
            changes.iter().for_each(|change| intent.apply(change));
        }
        let gone = plan_delete(&"bank".parse().unwrap(), &intent).changes();
        let undo = inverses(&gone, &intent);
        let file = file_before(&shop, &intent, &undo);
        assert_eq!(file, file_before(&shop, &intent, []));
        assert_eq!(only(&shop, &intent).projects(), [shop]);
    }
}
