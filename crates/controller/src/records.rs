//! How intent lies in the store: one small record per object, its key the object's name, its value
//! JSON. The `v1` in the keys is the version of that encoding.
//!
//! ```text
//! /coax/v1/network/shop/web     /coax/v1/port/shop/web-1     /coax/v1/vtep/shop/legacy
//! /coax/v1/host/hv1             /coax/v1/binding/shop/web-1  /coax/v1/meta/generation
//! /coax/v1/group/shop/web       /coax/v1/router/shop/gw      /coax/v1/address-group/shop/office
//! /coax/v1/firewall/shop        /coax/v1/firewall-rule/shop/web-to-app
//! /coax/v1/project/shop         /coax/v1/confirm/shop        /coax/v1/meta/head
//! /coax/v1/checks/shop          /coax/v1/quota/shop          /coax/v1/default-quota/all
//! /coax/v1/doubt/hv1            /coax/v1/controller/10.0.0.1:7450
//! ```
//!
//! A record's revision in the store is the revision of the object. `project` is put with every change
//! of a project's file, `head` with every change at all: who has seen its revision has seen everything,
//! and it says whose change that was. [`crate::history`] says what lies there of changes, `confirm` what is
//! still to be confirmed, and [`Notice`] what controllers tell each other.

mod codec;
mod news;
mod notice;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use coax_model::{Change, Intent, Name, ObjectName};
use coax_store::{
    Compare, KeyValue, Operation, Outcome, Range, Revision, Store, StoreError, Transaction,
};
use serde::{Deserialize, Serialize};

pub use self::codec::{change_of, steps};
use self::codec::{json, named, read, records_of, value};
pub use self::news::{News, Ticket, difference, read_events};
pub use self::notice::{Notice, Registration};
use crate::history::{self, Assembly, History, Record, RecordId};

/// What all keys of intent begin with.
pub const ROOT: &str = "/coax/v1/";
const GENERATION: &str = "/coax/v1/meta/generation";
/// The key that every change puts: its revision is that of the newest change.
pub const HEAD: &str = "/coax/v1/meta/head";

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

    /// The revision of a project's last change.
    pub fn of_project(&self, project: &Name, intent: &Intent) -> Revision {
        let noted = self.of("project", project);
        if noted > 0 || !intent.projects().contains(project) {
            return noted;
        }
        // Stored by a version that did not note it.
        let newest = |kind: &str, names: &mut dyn Iterator<Item = &ObjectName>| {
            names.map(|name| self.of(kind, name)).max().unwrap_or(0)
        };
        let networks = newest("network", &mut intent.networks_of(project).map(|it| it.0));
        networks.max(newest("port", &mut intent.ports_of(project).map(|it| it.0)))
    }

    /// Notes that a project changed.
    pub fn note_project(&mut self, project: &Name, revision: Revision) {
        self.0.insert(format!("project/{project}"), revision);
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
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The intent.
    pub intent: Intent,
    /// When its objects last changed.
    pub revisions: ObjectRevisions,
    /// The revision of the newest change of anything.
    pub revision: Revision,
    /// The store's revision that was read: what comes after it is news.
    pub read_at: Revision,
    /// What was asked for.
    pub history: History,
    /// What is still to be confirmed.
    pub unconfirmed: BTreeMap<Name, Unconfirmed>,
    /// What controllers told each other.
    pub notices: Vec<Notice>,
}

/// A project whose last changes are taken back unless somebody confirms them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unconfirmed {
    /// What it goes back to.
    pub back_to: Revision,
    /// When, in milliseconds since 1970 by the clock of the controller that was asked.
    pub until: u64,
    /// How many milliseconds that was from then.
    pub within: u64,
}

/// What one transaction changes.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Objects.
    pub changes: Vec<Change>,
    /// Projects whose file changed.
    pub projects: Vec<Name>,
    /// What it is called in the history, if somebody asked for it.
    pub record: Option<Record>,
    /// What the history has no room for any more.
    pub forgotten: Vec<RecordId>,
    /// What is to be confirmed from now on, or no more.
    pub unconfirmed: Vec<(Name, Option<Unconfirmed>)>,
    /// What controllers tell each other.
    pub notices: Vec<Notice>,
}

/// The transaction that stores a batch if nothing has changed since `head`. `deletes` is what
/// [`Batch::forgotten`] means.
pub fn transaction(
    batch: &Batch,
    deletes: Vec<Operation>,
    head: Revision,
    ticket: Ticket,
) -> Transaction {
    let mut operations = operations(&batch.changes);
    let put = |key: String, value: Vec<u8>| Operation::Put {
        key: key.into_bytes(),
        value,
    };
    let empty = || b"{}".to_vec();
    // A plain value always encodes.
    let ticket = serde_json::to_vec(&ticket).unwrap_or_default();
    operations.push(put(HEAD.to_owned(), ticket));
    let projects = batch.projects.iter();
    operations.extend(projects.map(|name| put(format!("{ROOT}project/{name}"), empty())));
    operations.extend(batch.record.iter().flat_map(Record::puts));
    operations.extend(deletes);
    operations.extend(batch.notices.iter().map(Notice::operation));
    for (project, unconfirmed) in &batch.unconfirmed {
        let key = format!("{ROOT}confirm/{project}");
        operations.push(match unconfirmed {
            Some(it) => put(key, serde_json::to_vec(it).unwrap_or_default()),
            None => Operation::Delete { key: key.into() },
        });
    }
    let unchanged = Compare::Modified {
        key: HEAD.into(),
        revision: head,
    };
    Transaction {
        compares: vec![unchanged],
        operations,
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
    read_range(&store.range(ROOT.as_bytes())?, underlay_mtu)
}

/// Understands what a range of all keys below [`ROOT`] holds.
pub fn read_range(range: &Range, underlay_mtu: u32) -> Result<Loaded, RecordError> {
    let mut loaded = Loaded {
        intent: Intent::new(underlay_mtu),
        revisions: ObjectRevisions::default(),
        revision: 0,
        read_at: range.revision,
        history: History::default(),
        unconfirmed: BTreeMap::new(),
        notices: Vec::new(),
    };
    let mut assembly = Assembly::default();
    for item in &range.items {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        take_in(&key, item, &mut loaded, &mut assembly)
            .map_err(|reason| RecordError::Unreadable { key, reason })?;
    }
    let records = assembly.records();
    let records = records.map_err(|reason| RecordError::Unreadable {
        key: history::HEADS.to_owned(),
        reason,
    })?;
    for (revision, record) in records {
        loaded.history.add(revision, record);
    }
    Ok(loaded)
}

fn take_in(
    key: &str,
    item: &KeyValue,
    loaded: &mut Loaded,
    assembly: &mut Assembly,
) -> Result<(), String> {
    if let Some(rest) = key.strip_prefix(history::HEADS) {
        return assembly.head(rest, &item.value, item.created);
    }
    if let Some(rest) = key.strip_prefix(history::BODIES) {
        return assembly.piece(rest, &item.value);
    }
    if key == HEAD {
        loaded.revision = item.modified;
        return Ok(());
    }
    let Some(path) = key.strip_prefix(ROOT) else {
        return Ok(());
    };
    let (kind, name) = path.split_once('/').ok_or("its key has no name")?;
    if let Some(notice) = Notice::read(kind, name, Some(item))? {
        loaded.notices.push(notice);
        return Ok(());
    }
    match kind {
        "project" => loaded.revisions.note_project(&named(name)?, item.modified),
        "confirm" => drop(
            loaded
                .unconfirmed
                .insert(named(name)?, value(&mut json(item))?),
        ),
        "meta" => {}
        _ => {
            let change = read(kind, name, &mut json(item))?;
            loaded.intent.apply(&change);
            loaded.revisions.0.insert(path.to_owned(), item.modified);
        }
    }
    Ok(())
}

/// The store's generation: it begins with the store, and a new one begins when a backup is restored.
/// Revisions are comparable within a generation only.
pub fn generation(store: &dyn Store) -> Result<u64, RecordError> {
    loop {
        let (_, generation) = read_generation(store)?;
        if generation > 0 {
            return Ok(generation);
        }
        // Another controller may begin it at the same time.
        put_generation(store, 0, 1)?;
    }
}

/// Begins a new generation, in a store that is not what it was: a backup was restored. It is at least `least`.
pub fn begin_generation(store: &dyn Store, least: u64) -> Result<u64, RecordError> {
    loop {
        let (modified, before) = read_generation(store)?;
        let next = least.max(before + 1);
        if let Outcome::Done(_) = put_generation(store, modified, next)? {
            return Ok(next);
        }
    }
}

/// The revision of the record, and what it says; 0: there is none.
fn read_generation(store: &dyn Store) -> Result<(Revision, u64), RecordError> {
    let Some(item) = store.get(GENERATION.as_bytes())? else {
        return Ok((0, 0));
    };
    let generation = value::<u64>(&mut json(&item)).map_err(|reason| RecordError::Unreadable {
        key: GENERATION.to_owned(),
        reason,
    })?;
    Ok((item.modified, generation))
}

fn put_generation(
    store: &dyn Store,
    modified: Revision,
    generation: u64,
) -> Result<Outcome, StoreError> {
    let transaction = Transaction::new()
        .when(Compare::Modified {
            key: GENERATION.into(),
            revision: modified,
        })
        .put(GENERATION, generation.to_string());
    store.transact(&transaction)
}
