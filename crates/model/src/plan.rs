//! From a file to what would change: each change with a sentence that says what it means to somebody
//! who runs servers. A plan is made against one intent and is only good for that one.

use std::collections::BTreeMap;
use std::fmt;

use crate::file::StackFile;
use crate::intent::{Binding, Change, Intent, Network, Port, Vtep};
use crate::name::{Name, ObjectName};
use crate::resolve::{Resolved, resolve};
use crate::rule::Refusals;
use crate::validate;

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
}

impl Kind {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Port => "port",
            Self::Vtep => "vtep",
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
    /// The same for machines.
    pub change: Change,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.action, self.kind, self.name)?;
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
        self.steps.iter().map(|step| step.change.clone()).collect()
    }

    /// One sentence for each step.
    pub fn sentences(&self) -> Vec<String> {
        self.steps.iter().map(Step::to_string).collect()
    }
}

/// What has to change for a project to become what its file says.
pub fn plan(file: &StackFile, intent: &Intent) -> Result<Plan, Refusals> {
    let mut refusals = Refusals::default();
    let resolved = resolve(file, intent, &mut refusals);
    validate::check(file, &resolved, intent, &mut refusals);
    refusals.or(difference(&file.project, resolved, intent))
}

/// What has to change for a project to be gone.
pub fn plan_delete(project: &Name, intent: &Intent) -> Plan {
    difference(project, Resolved::default(), intent)
}

fn difference(project: &Name, resolved: Resolved, intent: &Intent) -> Plan {
    let Resolved {
        networks,
        ports,
        vteps,
    } = resolved;
    let (mut networks, drop_networks) = compare(intent.networks_of(project), networks, intent);
    let (ports, mut drop_ports) = compare(intent.ports_of(project), ports, intent);
    let (vteps, drop_vteps) = compare(intent.vteps_of(project), vteps, intent);
    let mut steps = Vec::new();
    steps.append(&mut drop_ports);
    steps.extend(drop_vteps);
    steps.append(&mut networks);
    steps.extend(vteps);
    steps.extend(ports);
    steps.extend(drop_networks);
    Plan {
        project: project.clone(),
        steps,
    }
}

/// An object that plans can speak of.
trait Planned: PartialEq + Sized {
    const KIND: Kind;

    /// Its values, in words.
    fn describe(&self) -> String;
    /// What becomes different, in words.
    fn differences(&self, to: &Self) -> Vec<String>;
    /// What else a user should know before it goes.
    fn loss(name: &ObjectName, intent: &Intent) -> String;
    fn put(name: ObjectName, object: Self) -> Change;
    fn delete(name: ObjectName) -> Change;
}

/// Steps that put, and steps that delete.
fn compare<'a, T: Planned + 'a>(
    stored: impl Iterator<Item = (&'a ObjectName, &'a T)>,
    wanted: BTreeMap<ObjectName, T>,
    intent: &Intent,
) -> (Vec<Step>, Vec<Step>) {
    let stored: BTreeMap<&ObjectName, &T> = stored.collect();
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    for name in stored.keys().filter(|name| !wanted.contains_key(**name)) {
        deletes.push(Step {
            action: Action::Delete,
            kind: T::KIND,
            name: (*name).clone(),
            detail: T::loss(name, intent),
            change: T::delete((*name).clone()),
        });
    }
    for (name, object) in wanted {
        let (action, detail) = match stored.get(&name) {
            None => (Action::Create, object.describe()),
            Some(old) if **old == object => continue,
            Some(old) => (Action::Change, old.differences(&object).join(", ")),
        };
        let change = T::put(name.clone(), object);
        puts.push(Step {
            action,
            kind: T::KIND,
            name,
            detail,
            change,
        });
    }
    (puts, deletes)
}

impl Planned for Network {
    const KIND: Kind = Kind::Network;

    fn describe(&self) -> String {
        let mut words = vec![format!("VNI {}", self.vni), format!("MTU {}", self.mtu)];
        words
            .extend((!self.subnets.is_empty()).then(|| format!("subnets {}", list(&self.subnets))));
        words.extend(
            self.vlan_transparent
                .then(|| "carries VLAN tags".to_owned()),
        );
        words.extend(
            self.flood_unknown
                .then(|| "floods unknown addresses".to_owned()),
        );
        words.join(", ")
    }

    fn differences(&self, to: &Self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(turned("VNI", &self.vni, &to.vni));
        words.extend(turned("MTU", &self.mtu, &to.mtu));
        words.extend(turned("subnets", &list(&self.subnets), &list(&to.subnets)));
        words.extend(turned(
            "vlan_transparent",
            &self.vlan_transparent,
            &to.vlan_transparent,
        ));
        words.extend(turned(
            "flood_unknown",
            &self.flood_unknown,
            &to.flood_unknown,
        ));
        words
    }

    fn loss(_: &ObjectName, _: &Intent) -> String {
        String::new()
    }

    fn put(name: ObjectName, network: Self) -> Change {
        Change::PutNetwork { name, network }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteNetwork { name }
    }
}

impl Planned for Port {
    const KIND: Kind = Kind::Port;

    fn describe(&self) -> String {
        let mut words = vec![
            format!("network {}", self.network),
            format!("MAC {}", self.mac),
        ];
        let addresses = &self.addresses;
        words.extend((!addresses.is_empty()).then(|| format!("addresses {}", list(addresses))));
        words.extend(self.host.as_ref().map(|host| format!("host {host}")));
        words.join(", ")
    }

    fn differences(&self, to: &Self) -> Vec<String> {
        let host = |port: &Self| {
            port.host
                .as_ref()
                .map_or("any".to_owned(), ToString::to_string)
        };
        let mut words = Vec::new();
        words.extend(turned("network", &self.network, &to.network));
        words.extend(turned("MAC", &self.mac, &to.mac));
        words.extend(turned(
            "addresses",
            &list(&self.addresses),
            &list(&to.addresses),
        ));
        words.extend(turned("host", &host(self), &host(to)));
        words
    }

    fn loss(name: &ObjectName, intent: &Intent) -> String {
        match intent.bindings.get(name) {
            Some(Binding {
                host: Some(host), ..
            }) => {
                format!("it is plugged in on {host} and loses its network")
            }
            _ => String::new(),
        }
    }

    fn put(name: ObjectName, port: Self) -> Change {
        Change::PutPort { name, port }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeletePort { name }
    }
}

impl Planned for Vtep {
    const KIND: Kind = Kind::Vtep;

    fn describe(&self) -> String {
        format!(
            "address {}, networks {}",
            self.address,
            list(&self.networks)
        )
    }

    fn differences(&self, to: &Self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(turned("address", &self.address, &to.address));
        words.extend(turned(
            "networks",
            &list(&self.networks),
            &list(&to.networks),
        ));
        words.extend(turned("MAC addresses", &list(&self.macs), &list(&to.macs)));
        let checksum = "udp6_zero_checksum";
        words.extend(turned(
            checksum,
            &self.udp6_zero_checksum,
            &to.udp6_zero_checksum,
        ));
        words
    }

    fn loss(_: &ObjectName, _: &Intent) -> String {
        "its tunnel packets will be dropped".to_owned()
    }

    fn put(name: ObjectName, vtep: Self) -> Change {
        Change::PutVtep { name, vtep }
    }

    fn delete(name: ObjectName) -> Change {
        Change::DeleteVtep { name }
    }
}

fn turned<T: PartialEq + fmt::Display>(what: &str, from: &T, to: &T) -> Option<String> {
    (from != to).then(|| format!("{what} {from} -> {to}"))
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.iter().map(T::to_string).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
