//! Renames: objects that a file calls by another name than before. They keep what was chosen for them: a
//! network its VNI, a port its MAC and IP addresses, a rule its place.
//!
//! An entry that was carried out may stay in the file. So may one whose object does not exist, or whose old name
//! the file still uses: neither says anything.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StackFile;
use crate::intent::{Change, Intent};
use crate::name::{Name, ObjectName};
use crate::plan::{Action, Kind, Step};
use crate::schema::Renamed;

/// An object that has another name from now on: `{ from: network/web, to: network/www }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Table", into = "Table")]
pub struct Moved {
    kind: Kind,
    from: Name,
    to: Name,
}

/// An object that is called something else now; it keeps what was chosen for it.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    #[schemars(with = "Renamed")]
    from: String,
    #[schemars(with = "Renamed")]
    to: String,
}

/// What can be renamed.
const KINDS: [Kind; 7] = [
    Kind::Network,
    Kind::Port,
    Kind::Vtep,
    Kind::Router,
    Kind::Group,
    Kind::AddressGroup,
    Kind::FirewallRule,
];

fn read(text: &str) -> Result<(Kind, Name), String> {
    let (kind, name) = text
        .split_once('/')
        .ok_or_else(|| format!("`{text}` names no object; write it like network/web"))?;
    let known = KINDS.into_iter().find(|it| it.name() == kind);
    let known = known.ok_or_else(|| {
        let names = KINDS.map(Kind::name).join(", ");
        format!("`{kind}` cannot be renamed; what can is {names}")
    })?;
    let name = Name::from_str(name).map_err(|error| error.to_string())?;
    Ok((known, name))
}

impl TryFrom<Table> for Moved {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let (from, to) = (read(&table.from)?, read(&table.to)?);
        if from.0 != to.0 {
            return Err(format!(
                "{} cannot become {}: a rename keeps what an object is",
                table.from, table.to
            ));
        }
        Ok(Self {
            kind: from.0,
            from: from.1,
            to: to.1,
        })
    }
}

impl From<Moved> for Table {
    fn from(moved: Moved) -> Self {
        let named = |name: &Name| format!("{}/{name}", moved.kind);
        Self {
            from: named(&moved.from),
            to: named(&moved.to),
        }
    }
}

/// The steps that give objects their new names.
pub(crate) fn renames(file: &StackFile, intent: &Intent) -> Vec<Step> {
    let steps = file.moved.iter().filter_map(|moved| {
        let full = |name: &Name| ObjectName::new(file.project.clone(), name.clone());
        let (from, to) = (full(&moved.from), full(&moved.to));
        if still_used(moved, file) {
            return None;
        }
        let (delete, change) = renamed(moved.kind, intent, from, to.clone())?;
        Some(Step {
            action: Action::Change,
            kind: moved.kind,
            name: to,
            detail: detail(moved),
            gone: Some(delete),
            change,
        })
    });
    steps.collect()
}

fn detail(moved: &Moved) -> String {
    match moved.kind {
        Kind::Port => format!(
            "renamed from {}; it is unplugged until its device has the new alias",
            moved.from
        ),
        _ => format!("renamed from {}", moved.from),
    }
}

/// Whether the file has an object of the old name.
fn still_used(moved: &Moved, file: &StackFile) -> bool {
    let from = &moved.from;
    match moved.kind {
        Kind::Network => file.networks.contains_key(from),
        Kind::Port => file.ports.contains_key(from),
        Kind::Vtep => file.vteps.contains_key(from),
        Kind::Router => file.routers.contains_key(from),
        Kind::Group => file.groups.contains_key(from),
        Kind::AddressGroup => file.address_groups.contains_key(from),
        Kind::Firewall | Kind::FirewallRule | Kind::Checks => {
            let mut rules = file.firewall.iter().flat_map(|firewall| &firewall.rules);
            rules.any(|rule| rule.name == *from)
        }
    }
}

/// What takes the object away under its old name, and puts it under its new one; nothing if there is no such
/// object, or something has the new name already.
fn renamed(
    kind: Kind,
    intent: &Intent,
    from: ObjectName,
    to: ObjectName,
) -> Option<(Change, Change)> {
    macro_rules! renamed {
        ($map:ident, $put:ident, $delete:ident, $field:ident) => {{
            let $field = intent.$map.get(&from).cloned();
            let $field = $field.filter(|_| !intent.$map.contains_key(&to))?;
            Some((
                Change::$delete { name: from },
                Change::$put { name: to, $field },
            ))
        }};
    }
    match kind {
        Kind::Network => renamed!(networks, PutNetwork, DeleteNetwork, network),
        Kind::Port => renamed!(ports, PutPort, DeletePort, port),
        Kind::Vtep => renamed!(vteps, PutVtep, DeleteVtep, vtep),
        Kind::Router => renamed!(routers, PutRouter, DeleteRouter, router),
        Kind::Group => renamed!(groups, PutGroup, DeleteGroup, group),
        Kind::AddressGroup => renamed!(address_groups, PutAddressGroup, DeleteAddressGroup, group),
        Kind::FirewallRule => renamed!(rules, PutRule, DeleteRule, rule),
        // A project has one of these: they have no name of their own.
        Kind::Firewall | Kind::Checks => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::plan::plan;

    const SHOP: &str = "\
version: 1
project: shop
networks:
  web: { subnets: [10.1.0.0/24] }
  db: { subnets: [10.2.0.0/24] }
ports:
  web-1: { network: web }
  db-1: { network: db }
routers: { gw: { networks: [web, db] } }
groups: { web: { ports: [web-1] } }
firewall:
  rules:
    - { name: first, from: any, to: any, allow: [icmp] }
    - { name: second, from: group/web, to: any, allow: [tcp/80] }
";

    fn file(text: &str) -> StackFile {
        StackFile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn apply(text: &str, intent: &mut Intent) -> Vec<String> {
        let plan = plan(&file(text), intent).unwrap();
        let changes = plan.changes();
        changes.iter().for_each(|change| intent.apply(change));
        plan.sentences()
    }

    fn moved() -> String {
        let renamed = SHOP
            .replace("  web: { subnets", "  www: { subnets")
            .replace("network: web", "network: www")
            .replace("networks: [web, db]", "networks: [www, db]")
            .replace("web-1: {", "front: {")
            .replace("ports: [web-1]", "ports: [front]")
            .replace("name: second", "name: later");
        renamed
            + "moved:\n  - { from: network/web, to: network/www }\n  - { from: port/web-1, to: port/front }\n  \
               - { from: firewall-rule/second, to: firewall-rule/later }\n"
    }

    #[test]
    fn what_was_chosen_stays_with_the_object() {
        let mut intent = Intent::default();
        apply(SHOP, &mut intent);
        let before = intent.clone();
        let said = apply(&moved(), &mut intent);
        assert!(said.iter().all(|it| it.starts_with("change ")), "{said:#?}");
        assert!(said.contains(&"change network shop/www: renamed from web".to_owned()));
        let vni = |intent: &Intent, name: &str| intent.networks[&name.parse().unwrap()].vni;
        assert_eq!(vni(&intent, "shop/www"), vni(&before, "shop/web"));
        let port = |intent: &Intent, name: &str| intent.ports[&name.parse().unwrap()].clone();
        let (old, new) = (port(&before, "shop/web-1"), port(&intent, "shop/front"));
        assert_eq!((old.mac, old.addresses), (new.mac, new.addresses));
        let order = |intent: &Intent, name: &str| intent.rules[&name.parse().unwrap()].order;
        assert_eq!(order(&intent, "shop/later"), order(&before, "shop/second"));
        assert_eq!(intent.networks.len(), before.networks.len());
        // Carried out, the entries say nothing.
        assert_eq!(apply(&moved(), &mut intent), [""; 0]);
        // And back, by what the history would take back.
        let back = crate::plan::plan(&file(SHOP), &intent).unwrap().changes();
        back.iter().for_each(|change| intent.apply(change));
        assert_eq!(intent.networks.len(), before.networks.len());
    }

    #[test]
    fn a_rename_can_be_taken_back() {
        let mut intent = Intent::default();
        apply(SHOP, &mut intent);
        let before = intent.clone();
        let changes = plan(&file(&moved()), &intent).unwrap().changes();
        let undo = crate::undo::inverses(&changes, &intent);
        changes.iter().for_each(|change| intent.apply(change));
        undo.iter().for_each(|change| intent.apply(change));
        assert_eq!(intent, before);
    }

    #[test]
    fn entries_that_mean_nothing_do_nothing() {
        let mut intent = Intent::default();
        apply(SHOP, &mut intent);
        for entry in [
            "{ from: network/web, to: network/db }",
            "{ from: network/nothing, to: network/something }",
            "{ from: group/web, to: group/other }",
        ] {
            let text = format!("{SHOP}moved: [{entry}]\n");
            assert_eq!(apply(&text, &mut intent), [""; 0], "{entry}");
        }
        for entry in [
            "{ from: network/web, to: port/web }",
            "{ from: web, to: www }",
            "{ from: host/hv1, to: host/hv2 }",
            "{ from: network/Web, to: network/www }",
        ] {
            let text = format!("{SHOP}moved: [{entry}]\n");
            assert!(StackFile::parse(&text).is_err(), "{entry}");
        }
    }
}
