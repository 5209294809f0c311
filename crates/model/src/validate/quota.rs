//! Whether a project keeps its quota. What it had before the quota became smaller it may keep.

use crate::diagnostic::FieldPath;
use crate::file::StackFile;
use crate::intent::Intent;
use crate::quota::{Counted, members};
use crate::resolve::Resolved;
use crate::rule::{Refusals, Rule};

/// Checks what a file makes of a project.
pub fn check(file: &StackFile, resolved: &Resolved, intent: &Intent, refusals: &mut Refusals) {
    let project = &file.project;
    let quota = intent.quota_of(project);
    for counted in Counted::ALL {
        let Some(limit) = quota.limit(counted) else {
            continue;
        };
        let count = count(file, resolved, counted);
        let has = || intent.count(project, counted);
        if count > limit as usize && count > has() {
            let rule = Rule::Quota {
                counted,
                count,
                limit,
                project: project.clone(),
            };
            refusals.push(FieldPath::keys(section(counted)), rule);
        }
    }
}

/// How much of something the file makes. What cannot be made is counted too, and refused elsewhere.
fn count(file: &StackFile, resolved: &Resolved, counted: Counted) -> usize {
    match counted {
        Counted::Networks => file.networks.len(),
        Counted::Ports => file.ports.len(),
        Counted::Vteps => file.vteps.len(),
        Counted::Routers => file.routers.len(),
        Counted::Groups => file.groups.len(),
        Counted::Members => members(resolved.groups.values(), resolved.ports.iter()),
        Counted::Prefixes => {
            let groups = file.address_groups.values();
            groups.map(|group| group.prefixes.len()).sum()
        }
        Counted::Rules => file.firewall.iter().map(|it| it.rules.len()).sum(),
        Counted::Checks => file.checks.len(),
    }
}

/// Where it is written.
fn section(counted: Counted) -> &'static [&'static str] {
    match counted {
        Counted::Networks => &["networks"],
        Counted::Ports => &["ports"],
        Counted::Vteps => &["vteps"],
        Counted::Routers => &["routers"],
        Counted::Groups | Counted::Members => &["groups"],
        Counted::Prefixes => &["address_groups"],
        Counted::Rules => &["firewall", "rules"],
        Counted::Checks => &["checks"],
    }
}
