//! How intent lies in the store: one small record per object, its key the object's name, its value
//! JSON. The `v1` in the keys is the version of that encoding.
//!
//! ```text
//! /coax/v1/network/shop/web     /coax/v1/port/shop/web-1     /coax/v1/vtep/shop/legacy
//! /coax/v1/host/hv1             /coax/v1/binding/shop/web-1  /coax/v1/meta/generation
//! /coax/v1/group/shop/web       /coax/v1/router/shop/gw      /coax/v1/address-group/shop/office
//! /coax/v1/firewall/shop        /coax/v1/firewall-rule/shop/web-to-app
//! ```
//!
//! A record's revision in the store is the revision of the object.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::str::FromStr;

use coax_model::{
    AddressGroup, Binding, Change, Firewall, FirewallRule, Group, Host, Intent, Network, Port,
    Router, Vtep,
};
use coax_store::{Compare, KeyValue, Operation, Outcome, Revision, Store, StoreError, Transaction};
use serde::de::DeserializeOwned;

const ROOT: &str = "/coax/v1/";
const GENERATION: &str = "/coax/v1/meta/generation";

/// Why what is stored cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record that this version does not understand.
    #[error("the record {key} is not understood: {reason}")]
    Unreadable {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another controller starts on the same store at the same time.
    #[error("another controller is starting on the same store")]
    Contended,
}

/// When each object last changed, by the part of its key after the version: `port/shop/web-1`.
#[derive(Debug, Default, Clone)]
pub struct ObjectRevisions(HashMap<String, Revision>);

impl ObjectRevisions {
    /// The revision of an object's last change; 0 if there is no such object.
    pub fn of(&self, kind: &str, name: &impl Display) -> Revision {
        let key = format!("{kind}/{name}");
        self.0.get(&key).copied().unwrap_or(0)
    }

    /// Notes a change.
    pub fn note(&mut self, change: &Change, revision: Revision) {
        for record in records_of(change) {
            let path = format!("{}/{}", record.kind, record.name);
            match record.value {
                Some(_) => self.0.insert(path, revision),
                None => self.0.remove(&path),
            };
        }
    }
}

/// What is stored, as the core wants it.
#[derive(Debug)]
pub struct Loaded {
    /// The intent.
    pub intent: Intent,
    /// When its objects last changed.
    pub revisions: ObjectRevisions,
    /// The newest revision.
    pub revision: Revision,
}

/// What becomes of one record.
struct Record<'a> {
    kind: &'static str,
    name: &'a dyn Display,
    /// `None`: it is deleted.
    value: Option<Value<'a>>,
}

enum Value<'a> {
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
}

impl Value<'_> {
    fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Self::Network(value) => serde_json::to_vec(value),
            Self::Port(value) => serde_json::to_vec(value),
            Self::Vtep(value) => serde_json::to_vec(value),
            Self::Host(value) => serde_json::to_vec(value),
            Self::Binding(value) => serde_json::to_vec(value),
            Self::Group(value) => serde_json::to_vec(value),
            Self::AddressGroup(value) => serde_json::to_vec(value),
            Self::Router(value) => serde_json::to_vec(value),
            Self::Rule(value) => serde_json::to_vec(value),
            Self::Firewall(value) => serde_json::to_vec(value),
        };
        // Plain values always encode; an empty record would be noticed when it is read.
        encoded.unwrap_or_default()
    }
}

fn records_of(change: &Change) -> Vec<Record<'_>> {
    let record = |kind, name, value| vec![Record { kind, name, value }];
    match change {
        Change::PutNetwork { name, network } => {
            record("network", name, Some(Value::Network(network)))
        }
        Change::DeleteNetwork { name } => record("network", name, None),
        Change::PutPort { name, port } => record("port", name, Some(Value::Port(port))),
        Change::DeletePort { name } => ["port", "binding"]
            .map(|kind| Record {
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
    }
}

/// The operations that store changes. Where two changes are about one record, the later one counts.
pub fn operations(changes: &[Change]) -> Vec<Operation> {
    let mut by_key = BTreeMap::new();
    for record in changes.iter().flat_map(records_of) {
        let key = format!("{ROOT}{}/{}", record.kind, record.name).into_bytes();
        let operation = match record.value {
            Some(value) => Operation::Put {
                key: key.clone(),
                value: value.encode(),
            },
            None => Operation::Delete { key: key.clone() },
        };
        by_key.insert(key, operation);
    }
    by_key.into_values().collect()
}

/// Reads everything.
pub fn load(store: &dyn Store, underlay_mtu: u32) -> Result<Loaded, RecordError> {
    let range = store.range(ROOT.as_bytes())?;
    let mut intent = Intent::new(underlay_mtu);
    let mut revisions = ObjectRevisions::default();
    for item in &range.items {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        let Some(path) = key.strip_prefix(ROOT) else {
            continue;
        };
        let change = read(path, item).map_err(|reason| RecordError::Unreadable {
            key: key.clone(),
            reason,
        })?;
        if let Some(change) = change {
            intent.apply(&change);
            revisions.0.insert(path.to_owned(), item.modified);
        }
    }
    Ok(Loaded {
        intent,
        revisions,
        revision: range.revision,
    })
}

/// A record as the change that made it; `None` for what is not intent.
fn read(path: &str, item: &KeyValue) -> Result<Option<Change>, String> {
    let (kind, name) = path.split_once('/').ok_or("its key has no name")?;
    Ok(Some(match kind {
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
        "meta" => return Ok(None),
        other => return Err(format!("nothing is called {other}")),
    }))
}

fn named<T: FromStr<Err: ToString>>(name: &str) -> Result<T, String> {
    name.parse().map_err(|error: T::Err| error.to_string())
}

fn value<T: DeserializeOwned>(item: &KeyValue) -> Result<T, String> {
    serde_json::from_slice(&item.value).map_err(|error| error.to_string())
}

/// Counts one more start of a controller on this store, and says the count.
pub fn next_generation(store: &dyn Store) -> Result<u64, RecordError> {
    let found = store.get(GENERATION.as_bytes())?;
    let before = match &found {
        None => 0,
        Some(item) => value::<u64>(item).map_err(|reason| RecordError::Unreadable {
            key: GENERATION.to_owned(),
            reason,
        })?,
    };
    let generation = before + 1;
    let transaction = Transaction::new()
        .when(Compare::Modified {
            key: GENERATION.into(),
            revision: found.map_or(0, |item| item.modified),
        })
        .put(GENERATION, generation.to_string());
    match store.transact(&transaction)? {
        Outcome::Done(_) => Ok(generation),
        Outcome::Conflict { .. } => Err(RecordError::Contended),
    }
}
