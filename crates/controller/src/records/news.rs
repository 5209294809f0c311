//! What happened in the store, as the core takes it in: one [`News`] for each revision that changed
//! intent. It is how a controller learns what others stored, and whether what it stored itself and never
//! heard of again is there.

use std::collections::BTreeMap;

use coax_model::{Change, Name};
use coax_store::{Event, KeyValue, Range, Revision};
use serde::{Deserialize, Serialize};

use super::codec::{deletion, json, named, read, value};
use super::{GENERATION, HEAD, Notice, ObjectRevisions, ROOT, RecordError, Unconfirmed};
use crate::history::{self, Assembly, Record, RecordId};

/// By what a controller knows its own transactions again: the value of `meta/head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The run of a controller that wrote it; a number that no other run has.
    pub by: u64,
    /// Counts its transactions.
    pub number: u64,
}

/// What one revision changed.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// The revision.
    pub revision: Revision,
    /// Whose transaction it was; `None`: that of a version that did not say so.
    pub ticket: Option<Ticket>,
    /// Objects.
    pub changes: Vec<Change>,
    /// Projects whose file changed.
    pub projects: Vec<Name>,
    /// What the history says of it.
    pub records: Vec<Record>,
    /// What the history says no more.
    pub forgotten: Vec<RecordId>,
    /// What is to be confirmed from then on, or no more.
    pub unconfirmed: Vec<(Name, Option<Unconfirmed>)>,
    /// What controllers tell each other.
    pub notices: Vec<Notice>,
}

/// Reads events of the store, those of a revision together.
pub fn read_events(events: &[Event]) -> Result<Vec<News>, RecordError> {
    let mut by_revision: BTreeMap<Revision, Vec<&Event>> = BTreeMap::new();
    for event in events {
        by_revision.entry(event.revision()).or_default().push(event);
    }
    let news = by_revision.into_iter();
    let news = news.filter_map(|(revision, events)| read_revision(revision, &events));
    news.collect()
}

/// `None`: the revision changed no intent.
fn read_revision(revision: Revision, events: &[&Event]) -> Option<Result<News, RecordError>> {
    let head = events.iter().find_map(|event| match event {
        Event::Put(item) if item.key == HEAD.as_bytes() => Some(item),
        _ => None,
    })?;
    let mut news = News {
        revision,
        ticket: serde_json::from_slice(&head.value).ok(),
        ..News::default()
    };
    let mut assembly = Assembly::default();
    for event in events {
        let key = String::from_utf8_lossy(event.key()).into_owned();
        if let Err(reason) = take_in(&key, event, &mut news, &mut assembly) {
            return Some(Err(RecordError::Unreadable { key, reason }));
        }
    }
    let records = assembly.records();
    let unreadable = |reason| RecordError::Unreadable {
        key: history::HEADS.to_owned(),
        reason,
    };
    Some(records.map_err(unreadable).map(|records| {
        news.records = records.into_iter().map(|(_, record)| record).collect();
        news
    }))
}

fn take_in(
    key: &str,
    event: &Event,
    news: &mut News,
    assembly: &mut Assembly,
) -> Result<(), String> {
    let item = match event {
        Event::Put(item) => Some(item),
        Event::Delete { .. } => None,
    };
    if let Some(rest) = key.strip_prefix(history::HEADS) {
        match item {
            Some(item) => assembly.head(rest, &item.value, item.created)?,
            None => news.forgotten.push(history::read_id(rest)?),
        }
        return Ok(());
    }
    if let Some(rest) = key.strip_prefix(history::BODIES) {
        return item.map_or(Ok(()), |item| assembly.piece(rest, &item.value));
    }
    let Some(path) = key.strip_prefix(ROOT) else {
        return Ok(());
    };
    let (kind, name) = path.split_once('/').ok_or("its key has no name")?;
    if let Some(notice) = Notice::read(kind, name, item)? {
        news.notices.push(notice);
        return Ok(());
    }
    match (kind, item) {
        ("meta", _) | ("project", None) => {}
        ("project", Some(_)) => news.projects.push(named(name)?),
        ("confirm", item) => {
            let unconfirmed = item.map(|item| value(&mut json(item))).transpose()?;
            news.unconfirmed.push((named(name)?, unconfirmed));
        }
        (_, Some(item)) => news.changes.push(read(kind, name, &mut json(item))?),
        (_, None) => news.changes.push(deletion(kind, name)?),
    }
    Ok(())
}

/// The changes that lead from objects of these revisions to what a range of the store holds.
pub fn difference(known: &ObjectRevisions, range: &Range) -> Result<Vec<Change>, RecordError> {
    let mut changes = Vec::new();
    let mut gone = known.0.clone();
    for item in &range.items {
        let key = String::from_utf8_lossy(&item.key).into_owned();
        let Some(path) = object_path(&key) else {
            continue;
        };
        if gone.remove(path) != Some(item.modified) {
            changes.push(read_object(path, item).map_err(|reason| {
                let key = key.clone();
                RecordError::Unreadable { key, reason }
            })?);
        }
    }
    for path in gone
        .into_keys()
        .filter(|path| !path.starts_with("project/"))
    {
        let (kind, name) = path.split_once('/').unwrap_or((&path, ""));
        let deleted = deletion(kind, name);
        changes.push(deleted.map_err(|reason| RecordError::Unreadable {
            key: path.clone(),
            reason,
        })?);
    }
    Ok(changes)
}

fn read_object(path: &str, item: &KeyValue) -> Result<Change, String> {
    let (kind, name) = path.split_once('/').ok_or("its key has no name")?;
    read(kind, name, &mut json(item))
}

/// The part of an object's key after the version; `None`: the key is of something else.
pub(super) fn object_path(key: &str) -> Option<&str> {
    if key.starts_with(history::HEADS) || key.starts_with(history::BODIES) || key == GENERATION {
        return None;
    }
    let path = key.strip_prefix(ROOT)?;
    let other = ["meta/", "project/", "confirm/"];
    let mut other = other.iter().chain(&Notice::KINDS);
    (!other.any(|kind| path.starts_with(kind))).then_some(path)
}
