//! The history: every change that somebody asked for, with author, reason, difference and the way
//! back. A record is stored in the transaction that makes its change, so there is no change without
//! its record and no record without its change.
//!
//! ```text
//! /coax/v1/history/000000000000000b          who, why, when, what about
//! /coax/v1/history-body/000000000000000b/0   the difference and its inverse, in pieces
//! ```
//!
//! A record's number is the revision that created its key. That is not known before it is stored, so
//! the key is the revision that the change was decided on: no two changes have that in common.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use coax_api::PlannedChange;
use coax_model::Name;
use coax_store::{Operation, Revision};
use serde::{Deserialize, Serialize};

/// Where the heads are.
pub const HEADS: &str = "/coax/v1/history/";
/// Where the bodies are.
pub const BODIES: &str = "/coax/v1/history-body/";
/// Bytes of one piece of a body: well below what any store takes as one value.
const PIECE: usize = 512 << 10;

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Bytes of all bodies.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records: 1000,
            bytes: 64 << 20,
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// A file was applied.
    Apply,
    /// A project was deleted.
    Destroy,
    /// A port was sent to another host.
    Move,
    /// A host was forgotten.
    RemoveHost,
    /// Somebody went back.
    Rollback,
    /// An unconfirmed change was taken back.
    Revert,
    /// A change was confirmed.
    Confirm,
    /// A quota was set.
    Quota,
}

impl Deed {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Destroy => "destroy",
            Self::Move => "move",
            Self::RemoveHost => "remove-host",
            Self::Rollback => "rollback",
            Self::Revert => "revert",
            Self::Confirm => "confirm",
            Self::Quota => "quota",
        }
    }
}

/// The name that a client gave a request, and what the request was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatKey {
    /// The name.
    pub key: String,
    /// A number made of the request; another request under the same name has another one.
    pub digest: u64,
}

/// What lists show of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Who asked for it.
    pub author: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// What was done.
    pub deed: Deed,
    /// The project that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Name>,
    /// How many objects it created, changed and deleted.
    pub counts: [usize; 3],
    /// The revision that it went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<Revision>,
    /// What makes a repeated request known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatKey>,
    /// Into how many pieces the body is cut.
    pub pieces: usize,
}

/// The difference that a change made, and the way back.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Body {
    /// Object by object, for people.
    pub changes: Vec<PlannedChange>,
    /// What takes it back, in this order.
    pub undo: Vec<Step>,
}

/// One object as it was, written as the store writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its key, without what all keys begin with: `port/shop/web-1`.
    pub key: String,
    /// Its value; none: there was no such object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// The revision that a change was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId(pub Revision);

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub id: RecordId,
    /// What lists show.
    pub head: Head,
    /// A [`Body`] in JSON.
    pub body: Bytes,
}

impl Record {
    /// A record of a change that was decided on the revision `id`.
    pub fn new(id: RecordId, head: Head, body: &Body) -> Self {
        // Plain values always encode; an empty body would be noticed when it is read.
        let body = Bytes::from(serde_json::to_vec(body).unwrap_or_default());
        let head = Head {
            pieces: body.len().div_ceil(PIECE),
            ..head
        };
        Self { id, head, body }
    }

    /// The body, understood.
    pub fn read(&self) -> Result<Body, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// What stores it.
    pub fn puts(&self) -> impl Iterator<Item = Operation> + '_ {
        let head = Operation::Put {
            key: head_key(self.id).into_bytes(),
            value: serde_json::to_vec(&self.head).unwrap_or_default(),
        };
        let pieces = self.body.chunks(PIECE).enumerate();
        std::iter::once(head).chain(pieces.map(|(number, piece)| Operation::Put {
            key: body_key(self.id, number).into_bytes(),
            value: piece.to_vec(),
        }))
    }

    /// What deletes it.
    fn deletes(&self) -> impl Iterator<Item = Operation> + '_ {
        let keys = std::iter::once(head_key(self.id))
            .chain((0..self.head.pieces).map(|it| body_key(self.id, it)));
        keys.map(|key| Operation::Delete {
            key: key.into_bytes(),
        })
    }
}

fn head_key(id: RecordId) -> String {
    format!("{HEADS}{:016x}", id.0)
}

fn body_key(id: RecordId, piece: usize) -> String {
    format!("{BODIES}{:016x}/{piece:04}", id.0)
}

/// All records that are kept.
#[derive(Debug, Clone, Default)]
pub struct History {
    records: BTreeMap<Revision, Record>,
    numbers: BTreeMap<RecordId, Revision>,
    bytes: usize,
}

impl History {
    /// Takes a record in.
    pub fn add(&mut self, revision: Revision, record: Record) {
        self.bytes += record.body.len();
        self.numbers.insert(record.id, revision);
        self.records.insert(revision, record);
    }

    /// Whether this very record is among them, under whatever revision.
    pub fn holds(&self, record: &Record) -> Option<Revision> {
        let revision = self.numbers.get(&record.id)?;
        let found = self.records.get(revision)?;
        (found == record).then_some(*revision)
    }

    /// Leaves a record out.
    pub fn forget(&mut self, id: RecordId) {
        let number = self.numbers.remove(&id);
        if let Some(record) = number.and_then(|number| self.records.remove(&number)) {
            self.bytes -= record.body.len();
        }
    }

    /// One record.
    pub fn get(&self, revision: Revision) -> Option<&Record> {
        self.records.get(&revision)
    }

    /// The records, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = (Revision, &Record)> {
        self.records
            .iter()
            .rev()
            .map(|(revision, record)| (*revision, record))
    }

    /// The records after a revision, the newest first. `None`: some of them may be gone.
    pub fn since(
        &self,
        revision: Revision,
    ) -> Option<impl Iterator<Item = (Revision, &Record)> + use<'_>> {
        let oldest = self.numbers.first_key_value();
        let known = oldest.is_none_or(|(oldest, _)| oldest.0 <= revision);
        let after = (
            std::ops::Bound::Excluded(revision),
            std::ops::Bound::Unbounded,
        );
        known.then(|| {
            let records = self.records.range(after).rev();
            records.map(|(revision, record)| (*revision, record))
        })
    }

    /// The oldest records that have no room beside a new one. Those after `needed` stay whatever
    /// their size.
    pub fn overdue<'a>(
        &'a self,
        limits: Limits,
        new: &Record,
        needed: Option<Revision>,
    ) -> impl Iterator<Item = &'a Record> + use<'a> {
        let mut records = self.records.len() + 1;
        let mut bytes = self.bytes + new.body.len();
        let mut overdue = Vec::new();
        for (revision, record) in &self.records {
            let fits = records <= limits.records && bytes <= limits.bytes;
            if fits || needed.is_some_and(|needed| *revision >= needed) {
                break;
            }
            records -= 1;
            bytes -= record.body.len();
            overdue.push(record);
        }
        overdue.into_iter()
    }
}

/// What deletes these records.
pub fn deletes<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<Operation> {
    records.flat_map(Record::deletes).collect()
}

/// Puts records together from keys as they are read.
#[derive(Debug, Default)]
pub struct Assembly {
    heads: BTreeMap<RecordId, (Revision, Head)>,
    pieces: BTreeMap<(RecordId, usize), Vec<u8>>,
}

impl Assembly {
    /// A key below [`HEADS`], without it.
    pub fn head(&mut self, rest: &str, value: &[u8], revision: Revision) -> Result<(), String> {
        let head = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        self.heads.insert(read_id(rest)?, (revision, head));
        Ok(())
    }

    /// A key below [`BODIES`], without it.
    pub fn piece(&mut self, rest: &str, value: &[u8]) -> Result<(), String> {
        let (id, piece) = rest.split_once('/').ok_or("its key has no number")?;
        let piece = piece
            .parse()
            .map_err(|_| format!("`{piece}` is not a number"))?;
        self.pieces.insert((read_id(id)?, piece), value.to_vec());
        Ok(())
    }

    /// The records with their revisions.
    pub fn records(mut self) -> Result<Vec<(Revision, Record)>, String> {
        let mut records = Vec::with_capacity(self.heads.len());
        for (id, (revision, head)) in self.heads {
            let mut body = BytesMut::new();
            for number in 0..head.pieces {
                let piece = self.pieces.remove(&(id, number));
                body.extend(piece.ok_or(format!("piece {number} of revision {revision} is gone"))?);
            }
            let body = body.freeze();
            records.push((revision, Record { id, head, body }));
        }
        Ok(records)
    }
}

/// The record of a key below [`HEADS`].
pub fn read_id(text: &str) -> Result<RecordId, String> {
    let id = Revision::from_str_radix(text, 16);
    id.map(RecordId)
        .map_err(|_| format!("`{text}` is not a record"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
