//! Objects as records and back.

use std::fmt::Display;
use std::str::FromStr;

use coax_model::{
    AddressGroup, Binding, Change, Checks, Firewall, FirewallRule, Group, Host, Network, Port,
    Quota, Router, Vtep,
};
use coax_store::KeyValue;
use serde::Deserializer;
use serde::de::DeserializeOwned;

use crate::history::Step;

/// The name of what is for all projects.
const ALL: &str = "all";

/// What becomes of one record.
pub(super) struct Stored<'a> {
    pub(super) kind: &'static str,
    pub(super) name: &'a dyn Display,
    /// `None`: it is deleted.
    pub(super) value: Option<Value<'a>>,
}

pub(super) enum Value<'a> {
    Network(&'a Network),
    Port(&'a Port),
    Vtep(&'a Vtep),
    Host(&'a Host),
    Binding(&'a Binding),
    Group(&'a Group),
    AddressGroup(&'a AddressGroup),
    Router(&'a Router),
    Rule(&'a FirewallRule),
    Firewall(&'a Firewall),
    Checks(&'a Checks),
    Quota(&'a Quota),
}

impl Value<'_> {
    fn json(&self) -> serde_json::Value {
        let value = match self {
            Self::Network(value) => serde_json::to_value(value),
            Self::Port(value) => serde_json::to_value(value),
            Self::Vtep(value) => serde_json::to_value(value),
            Self::Host(value) => serde_json::to_value(value),
            Self::Binding(value) => serde_json::to_value(value),
            Self::Group(value) => serde_json::to_value(value),
            Self::AddressGroup(value) => serde_json::to_value(value),
            Self::Router(value) => serde_json::to_value(value),
            Self::Rule(value) => serde_json::to_value(value),
            Self::Firewall(value) => serde_json::to_value(value),
            Self::Checks(value) => serde_json::to_value(value),
            Self::Quota(value) => serde_json::to_value(value),
        };
        // Plain values always encode; an empty record would be noticed when it is read.
        value.unwrap_or_default()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.json().to_string().into_bytes()
    }
}

pub(super) fn records_of(change: &Change) -> Vec<Stored<'_>> {
    let record = |kind, name, value| vec![Stored { kind, name, value }];
    match change {
        Change::PutNetwork { name, network } => {
            record("network", name, Some(Value::Network(network)))
        }
        Change::DeleteNetwork { name } => record("network", name, None),
        Change::PutPort { name, port } => record("port", name, Some(Value::Port(port))),
        Change::DeletePort { name } => ["port", "binding"]
            .map(|kind| Stored {
                kind,
                name,
                value: None,
            })
            .into(),
        Change::PutVtep { name, vtep } => record("vtep", name, Some(Value::Vtep(vtep))),
        Change::DeleteVtep { name } => record("vtep", name, None),
        Change::PutHost { name, host } => record("host", name, Some(Value::Host(host))),
        Change::DeleteHost { name } => record("host", name, None),
        Change::PutBinding { port, binding } => {
            record("binding", port, Some(Value::Binding(binding)))
        }
        Change::DeleteBinding { port } => record("binding", port, None),
        Change::PutGroup { name, group } => record("group", name, Some(Value::Group(group))),
        Change::DeleteGroup { name } => record("group", name, None),
        Change::PutAddressGroup { name, group } => {
            record("address-group", name, Some(Value::AddressGroup(group)))
        }
        Change::DeleteAddressGroup { name } => record("address-group", name, None),
        Change::PutRouter { name, router } => record("router", name, Some(Value::Router(router))),
        Change::DeleteRouter { name } => record("router", name, None),
        Change::PutRule { name, rule } => record("firewall-rule", name, Some(Value::Rule(rule))),
        Change::DeleteRule { name } => record("firewall-rule", name, None),
        Change::PutFirewall { project, firewall } => {
            record("firewall", project, Some(Value::Firewall(firewall)))
        }
        Change::DeleteFirewall { project } => record("firewall", project, None),
        Change::PutChecks { project, checks } => {
            record("checks", project, Some(Value::Checks(checks)))
        }
        Change::DeleteChecks { project } => record("checks", project, None),
        Change::PutQuota { project, quota } => {
            let value = quota.as_ref().map(Value::Quota);
            match project {
                Some(project) => record("quota", project, value),
                None => record("default-quota", &ALL, value),
            }
        }
    }
}

/// A record as the change that made it.
pub(super) fn read<'a>(
    kind: &str,
    name: &str,
    item: impl Deserializer<'a, Error: ToString>,
) -> Result<Change, String> {
    Ok(match kind {
        "network" => Change::PutNetwork {
            name: named(name)?,
            network: value(item)?,
        },
        "port" => Change::PutPort {
            name: named(name)?,
            port: value(item)?,
        },
        "vtep" => Change::PutVtep {
            name: named(name)?,
            vtep: value(item)?,
        },
        "host" => Change::PutHost {
            name: named(name)?,
            host: value(item)?,
        },
        "binding" => Change::PutBinding {
            port: named(name)?,
            binding: value(item)?,
        },
        "group" => Change::PutGroup {
            name: named(name)?,
            group: value(item)?,
        },
        "address-group" => Change::PutAddressGroup {
            name: named(name)?,
            group: value(item)?,
        },
        "router" => Change::PutRouter {
            name: named(name)?,
            router: value(item)?,
        },
        "firewall-rule" => Change::PutRule {
            name: named(name)?,
            rule: value(item)?,
        },
        "firewall" => Change::PutFirewall {
            project: named(name)?,
            firewall: value(item)?,
        },
        "checks" => Change::PutChecks {
            project: named(name)?,
            checks: value(item)?,
        },
        "quota" => Change::PutQuota {
            project: Some(named(name)?),
            quota: Some(value(item)?),
        },
        "default-quota" => Change::PutQuota {
            project: None,
            quota: Some(value(item)?),
        },
        other => return Err(format!("nothing is called {other}")),
    })
}

pub(super) fn named<T: FromStr<Err: ToString>>(name: &str) -> Result<T, String> {
    name.parse().map_err(|error: T::Err| error.to_string())
}

pub(super) fn value<'a, T: DeserializeOwned>(
    item: impl Deserializer<'a, Error: ToString>,
) -> Result<T, String> {
    T::deserialize(item).map_err(|error| error.to_string())
}

/// The value of a record, to be read.
pub(super) fn json(item: &KeyValue) -> serde_json::Deserializer<serde_json::de::SliceRead<'_>> {
    serde_json::Deserializer::from_slice(&item.value)
}

/// Changes as steps of the history.
pub fn steps(changes: &[Change]) -> Vec<Step> {
    let stored = changes.iter().flat_map(records_of);
    let step = |stored: Stored<'_>| Step {
        key: format!("{}/{}", stored.kind, stored.name),
        value: stored.value.map(|value| value.json()),
    };
    stored.map(step).collect()
}

/// The change that a step of the history is.
pub fn change_of(step: &Step) -> Result<Change, String> {
    let (kind, name) = step.key.split_once('/').ok_or("its key has no name")?;
    match &step.value {
        Some(value) => read(kind, name, value),
        None => deletion(kind, name),
    }
}

/// What takes a record away.
pub(super) fn deletion(kind: &str, name: &str) -> Result<Change, String> {
    Ok(match kind {
        "network" => Change::DeleteNetwork { name: named(name)? },
        "port" => Change::DeletePort { name: named(name)? },
        "vtep" => Change::DeleteVtep { name: named(name)? },
        "host" => Change::DeleteHost { name: named(name)? },
        "binding" => Change::DeleteBinding { port: named(name)? },
        "group" => Change::DeleteGroup { name: named(name)? },
        "address-group" => Change::DeleteAddressGroup { name: named(name)? },
        "router" => Change::DeleteRouter { name: named(name)? },
        "firewall-rule" => Change::DeleteRule { name: named(name)? },
        "firewall" => Change::DeleteFirewall {
            project: named(name)?,
        },
        "checks" => Change::DeleteChecks {
            project: named(name)?,
        },
        "quota" => Change::PutQuota {
            project: Some(named(name)?),
            quota: None,
        },
        "default-quota" => Change::PutQuota {
            project: None,
            quota: None,
        },
        other => return Err(format!("nothing is called {other}")),
    })
}
