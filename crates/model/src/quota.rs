//! How much a project may have. The admin of the deployment says it; no file does, so no project can
//! raise its own.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::group::Group;
use crate::intent::Intent;
use crate::name::{Name, ObjectName};
use crate::port::Port;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Networks.
    Networks,
    /// Ports.
    Ports,
    /// Foreign tunnel endpoints.
    Vteps,
    /// Routers.
    Routers,
    /// Groups of ports.
    Groups,
    /// Members of all groups of ports together: a port in two groups counts twice.
    Members,
    /// Prefixes of all address groups together.
    Prefixes,
    /// Firewall rules.
    Rules,
    /// Checks.
    Checks,
}

impl Counted {
    /// All of it, in the order in which it is shown.
    pub const ALL: [Self; 9] = [
        Self::Networks,
        Self::Ports,
        Self::Vteps,
        Self::Routers,
        Self::Groups,
        Self::Members,
        Self::Prefixes,
        Self::Rules,
        Self::Checks,
    ];

    /// The word for several.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Networks => "networks",
            Self::Ports => "ports",
            Self::Vteps => "vteps",
            Self::Routers => "routers",
            Self::Groups => "groups",
            Self::Members => "members",
            Self::Prefixes => "prefixes",
            Self::Rules => "rules",
            Self::Checks => "checks",
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Limits; what is not written has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The most networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<u32>,
    /// The most ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<u32>,
    /// The most foreign tunnel endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vteps: Option<u32>,
    /// The most routers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routers: Option<u32>,
    /// The most groups of ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<u32>,
    /// The most members of all groups together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
    /// The most prefixes of all address groups together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<u32>,
    /// The most firewall rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<u32>,
    /// The most checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<u32>,
}

impl Quota {
    /// The limit of something, if it has one.
    pub const fn limit(&self, counted: Counted) -> Option<u32> {
        match counted {
            Counted::Networks => self.networks,
            Counted::Ports => self.ports,
            Counted::Vteps => self.vteps,
            Counted::Routers => self.routers,
            Counted::Groups => self.groups,
            Counted::Members => self.members,
            Counted::Prefixes => self.prefixes,
            Counted::Rules => self.rules,
            Counted::Checks => self.checks,
        }
    }
}

/// How many ports groups have together.
pub(crate) fn members<'a>(
    groups: impl Iterator<Item = &'a Group>,
    ports: impl Iterator<Item = (&'a ObjectName, &'a Port)> + Clone,
) -> usize {
    let of_group = |group: &Group| {
        let ports = ports.clone();
        ports
            .filter(|(name, port)| group.has(&name.name, port))
            .count()
    };
    groups.map(of_group).sum()
}

impl Intent {
    /// The limits of a project: its own, or those of every project that has none of its own.
    pub fn quota_of(&self, project: &Name) -> Quota {
        let own = self.quotas.get(project).copied();
        own.unwrap_or(self.default_quota)
    }

    /// How much of something a project has.
    pub fn count(&self, project: &Name, counted: Counted) -> usize {
        match counted {
            Counted::Networks => self.networks_of(project).count(),
            Counted::Ports => self.ports_of(project).count(),
            Counted::Vteps => self.vteps_of(project).count(),
            Counted::Routers => self.routers_of(project).count(),
            Counted::Groups => self.groups_of(project).count(),
            Counted::Members => {
                let ports: Vec<_> = self.ports_of(project).collect();
                let groups = self.groups_of(project).map(|(_, group)| group);
                members(groups, ports.iter().copied())
            }
            Counted::Prefixes => {
                let groups = self.address_groups_of(project);
                groups.map(|(_, group)| group.prefixes.len()).sum()
            }
            Counted::Rules => self.rules_of(project).count(),
            Counted::Checks => self.checks.get(project).map_or(0, |checks| checks.0.len()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::file::StackFile;
    use crate::intent::Change;
    use crate::plan::plan;

    const SHOP: &str = "\
version: 1
project: shop
networks: { web: { subnets: [10.1.0.0/24] } }
ports: { web-1: { network: web }, web-2: { network: web } }
routers: { gw: { networks: [web] } }
groups: { web: { match: { vm: \"web-*\" } }, first: { ports: [web-1] } }
address_groups: { office: [192.0.2.0/24, 198.51.100.7] }
vteps: { legacy: { address: 192.0.2.99, networks: [web] } }
firewall: { rules: [{ name: all, from: any, to: any, allow: [any] }] }
checks: [{ from: any, to: any, port: any, expect: allow }]
";

    fn shop() -> Name {
        "shop".parse().unwrap()
    }

    fn try_apply(text: &str, intent: &mut Intent) -> Result<(), Vec<String>> {
        let planned = plan(&StackFile::parse(text).unwrap(), intent);
        let planned = planned.map_err(|refusals| {
            let refusals = refusals.0.iter();
            let said = refusals.map(|it| format!("{}: {}", it.path, it.rule));
            said.collect::<Vec<_>>()
        })?;
        planned
            .changes()
            .iter()
            .for_each(|change| intent.apply(change));
        Ok(())
    }

    fn limited(quota: Quota) -> Intent {
        let mut intent = Intent::default();
        intent.apply(&Change::PutQuota {
            project: Some(shop()),
            quota: Some(quota),
        });
        intent
    }

    #[test]
    fn everything_is_counted_and_limited() {
        let mut intent = Intent::default();
        try_apply(SHOP, &mut intent).unwrap();
        let used = Counted::ALL.map(|counted| intent.count(&shop(), counted));
        assert_eq!(used, [1, 2, 1, 1, 2, 3, 2, 1, 1]);
        for (counted, used) in Counted::ALL.into_iter().zip(used) {
            let json = |limit: usize| format!("{{\"{counted}\": {limit}}}");
            let quota = |limit| serde_json::from_str(&json(limit)).unwrap();
            assert_eq!(
                try_apply(SHOP, &mut limited(quota(used))),
                Ok(()),
                "{counted}"
            );
            let refused = try_apply(SHOP, &mut limited(quota(used - 1))).unwrap_err();
            let said = format!(
                "{used} {counted} are more than the {} that project shop may have",
                used - 1
            );
            assert!(refused[0].ends_with(&said), "{refused:?}");
        }
    }

    #[test]
    fn a_lower_quota_takes_nothing_away_and_lets_nothing_in() {
        let mut intent = Intent::default();
        try_apply(SHOP, &mut intent).unwrap();
        let quota = Quota {
            ports: Some(1),
            ..Quota::default()
        };
        intent.apply(&Change::PutQuota {
            project: Some(shop()),
            quota: Some(quota),
        });
        assert_eq!(try_apply(SHOP, &mut intent), Ok(()));
        let more = SHOP.replace("ports: {", "ports: { web-3: { network: web },");
        assert!(try_apply(&more, &mut intent).is_err());
        let less = SHOP.replace(", web-2: { network: web }", "");
        assert_eq!(try_apply(&less, &mut intent), Ok(()));
        assert!(try_apply(SHOP, &mut intent).is_err());
    }

    #[test]
    fn the_default_is_for_those_who_have_none_of_their_own() {
        let mut intent = limited(Quota::default());
        intent.apply(&Change::PutQuota {
            project: None,
            quota: Some(Quota {
                networks: Some(0),
                ..Quota::default()
            }),
        });
        assert_eq!(try_apply(SHOP, &mut intent), Ok(()));
        let bank = SHOP
            .replace("project: shop", "project: bank")
            .replace("192.0.2.99", "192.0.2.98");
        assert!(try_apply(&bank, &mut intent).is_err());
        // Without a quota of its own the project is as all others.
        intent.apply(&Change::PutQuota {
            project: Some(shop()),
            quota: None,
        });
        assert_eq!(intent.quota_of(&shop()).networks, Some(0));
    }
}
