//! The store in one file, by redb.
//!
//! Three tables: the keys as they are, the events by revision, and three numbers (format, revision,
//! oldest event). A transaction is one redb transaction with one `fsync`; that is also all the time
//! it takes. redb lets one process open the file, so two controllers cannot share it by mistake.
//!
//! Once the disk has failed, redb refuses everything until the file is opened again. If the disk was full, that is done here, and what
//! the file holds then says whether the transaction happened that met the failure. After any other failure it takes a new start.

mod opened;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, Table,
    TableDefinition,
};

use self::opened::{Shared, create};
use crate::record::{self, FORMAT};
use crate::transaction::{Decision, Outcome, Transaction, decide};
use crate::watch::{Bell, Event, History, Replay, Watch};
use crate::{KeyValue, Range, Revision, Store, StoreError};

const CURRENT: TableDefinition<&[u8], &[u8]> = TableDefinition::new("current");
const HISTORY: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("history");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

const NUMBER_FORMAT: &str = "format";
const NUMBER_REVISION: &str = "revision";
const NUMBER_COMPACTED: &str = "compacted";

/// A store in one file. Clones share it.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

/// A transaction that did not return.
struct Broken {
    error: StoreError,
    /// What it would have written, if it came so far.
    events: Vec<Event>,
}

impl<E: Into<StoreError>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            events: Vec::new(),
        }
    }
}

impl Embedded {
    /// Opens the file, or creates it. Fails if another process has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source: redb::DatabaseError| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let database = create(path)?;
        // A new file is only as safe as its entry in the folder.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed(redb::StorageError::from(error).into()))?;
        Self::start(database, Some(path.to_owned()))
    }

    /// Makes a new file that holds what another store held: each key with the revisions that it had there.
    /// What happened before cannot be watched any more.
    pub fn restore(path: &Path, content: &Range) -> Result<Self, StoreError> {
        let store = Self::open(path)?;
        store
            .shared
            .look(|database| Self::fill(database, path, content))?;
        store.shared.bell.ring(content.revision);
        Ok(store)
    }

    fn fill(database: &Database, path: &Path, content: &Range) -> Result<(), StoreError> {
        let write = database.begin_write()?;
        {
            let mut current = write.open_table(CURRENT)?;
            for item in &content.items {
                current.insert(item.key.as_slice(), record::encode_value(item).as_slice())?;
            }
            let mut numbers = write.open_table(NUMBERS)?;
            if number(&numbers, NUMBER_REVISION)? != 0 {
                return Err(StoreError::NotEmpty {
                    path: path.to_owned(),
                });
            }
            numbers.insert(NUMBER_REVISION, content.revision)?;
            numbers.insert(NUMBER_COMPACTED, content.revision)?;
        }
        write.commit()?;
        Ok(())
    }

    /// The same on any storage: how tests lose power between two writes.
    pub fn open_backend(backend: impl StorageBackend) -> Result<Self, StoreError> {
        let database = Builder::new().create_with_backend(backend);
        let failed = |source| StoreError::Open {
            path: "(backend)".into(),
            source: Box::new(source),
        };
        Self::start(database.map_err(failed)?, None)
    }

    fn start(database: Database, path: Option<PathBuf>) -> Result<Self, StoreError> {
        let write = database.begin_write()?;
        let revision = {
            write.open_table(CURRENT)?;
            write.open_table(HISTORY)?;
            let mut numbers = write.open_table(NUMBERS)?;
            let format = number(&numbers, NUMBER_FORMAT)?;
            if format == 0 {
                numbers.insert(NUMBER_FORMAT, FORMAT)?;
            } else if format != FORMAT {
                return Err(StoreError::Format {
                    found: format,
                    known: FORMAT,
                });
            }
            number(&numbers, NUMBER_REVISION)?
        };
        write.commit()?;
        Ok(Self {
            shared: Arc::new(Shared::new(database, path, Bell::at(revision))),
        })
    }
}

impl Shared {
    /// What became of a transaction that did not return: it happened after all, or the error.
    fn settle(&self, broken: Broken, times: u64) -> Result<Revision, StoreError> {
        let reason = broken.error.to_string();
        if !broken.error.is_of_a_full_disk() {
            return Err(match broken.events.is_empty() {
                true => broken.error,
                // What the commit left on the disk shows only after a new start.
                false => StoreError::Unsettled { reason },
            });
        }
        let opened = self.open_again(times);
        match opened.then(|| self.happened(&broken.events)) {
            Some(Ok(Some(revision))) => Ok(revision),
            Some(Ok(None)) => Err(broken.error),
            // It never came so far that it could have happened.
            _ if broken.events.is_empty() => Err(broken.error),
            _ => Err(StoreError::Unsettled { reason }),
        }
    }

    /// Whether these events happened, all of one revision.
    fn happened(&self, events: &[Event]) -> Result<Option<Revision>, StoreError> {
        let Some(revision) = events.first().map(Event::revision) else {
            return Ok(None);
        };
        let found = self.look(|database| {
            let history = database.begin_read()?.open_table(HISTORY)?;
            let mut found = Vec::new();
            for entry in history.range((revision, 0)..=(revision, u32::MAX))? {
                let (place, bytes) = entry?;
                found.push(record::decode_event(place.value().0, bytes.value())?);
            }
            Ok(found)
        })?;
        Ok((found == events).then_some(revision))
    }
}

/// Does a transaction, unless the disk fails.
fn attempt(database: &Database, transaction: &Transaction) -> Result<Outcome, Broken> {
    let write = database.begin_write()?;
    let decision = {
        let mut current = write.open_table(CURRENT)?;
        let mut numbers = write.open_table(NUMBERS)?;
        let revision = number(&numbers, NUMBER_REVISION)?;
        let decision = decide(transaction, revision, |key| look_up(&current, key))?;
        if let Decision::Write(revision, events) = &decision {
            let mut history = write.open_table(HISTORY)?;
            write_events(&mut current, &mut history, *revision, events)?;
            numbers.insert(NUMBER_REVISION, *revision)?;
        }
        decision
    };
    match decision {
        Decision::Nothing(outcome) => {
            write.abort()?;
            Ok(outcome)
        }
        Decision::Write(revision, events) => match write.commit() {
            Ok(()) => Ok(Outcome::Done(revision)),
            Err(error) => Err(Broken {
                error: error.into(),
                events,
            }),
        },
    }
}

fn number(numbers: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, StoreError> {
    Ok(numbers.get(name)?.map_or(0, |found| found.value()))
}

fn look_up(
    current: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<KeyValue>, StoreError> {
    match current.get(key)? {
        Some(found) => record::decode_value(key, found.value()).map(Some),
        None => Ok(None),
    }
}

fn write_events(
    current: &mut Table<'_, &'static [u8], &'static [u8]>,
    history: &mut Table<'_, (u64, u32), &'static [u8]>,
    revision: Revision,
    events: &[Event],
) -> Result<(), StoreError> {
    for (index, event) in (0..).zip(events) {
        match event {
            Event::Put(item) => {
                current.insert(item.key.as_slice(), record::encode_value(item).as_slice())?;
            }
            Event::Delete { key, .. } => {
                current.remove(key.as_slice())?;
            }
        }
        history.insert((revision, index), record::encode_event(event).as_slice())?;
    }
    Ok(())
}

impl Store for Embedded {
    fn revision(&self) -> Result<Revision, StoreError> {
        self.shared.look(|database| newest(&database.begin_read()?))
    }

    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let get = |database: &Database| look_up(&database.begin_read()?.open_table(CURRENT)?, key);
        self.shared.look(get)
    }

    fn range(&self, prefix: &[u8]) -> Result<Range, StoreError> {
        self.shared.look(|database| {
            let read = database.begin_read()?;
            let current = read.open_table(CURRENT)?;
            let mut items = Vec::new();
            for entry in current.range(prefix..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                items.push(record::decode_value(key.value(), value.value())?);
            }
            Ok(Range {
                revision: newest(&read)?,
                items,
            })
        })
    }

    fn transact(&self, transaction: &Transaction) -> Result<Outcome, StoreError> {
        let shared = &self.shared;
        let (times, result) = shared.with(|database| attempt(database, transaction));
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(broken) => shared.settle(broken, times).map(Outcome::Done)?,
        };
        if let Outcome::Done(revision) = outcome {
            shared.bell.ring(revision);
        }
        Ok(outcome)
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
        self.shared.events(prefix, from)?;
        Ok(Watch::new(Replay::new(self.shared.clone(), prefix, from)))
    }

    fn compact(&self, through: Revision) -> Result<(), StoreError> {
        self.shared.look(|database| compact(database, through))
    }
}

fn compact(database: &Database, through: Revision) -> Result<(), StoreError> {
    let write = database.begin_write()?;
    {
        let mut numbers = write.open_table(NUMBERS)?;
        let revision = number(&numbers, NUMBER_REVISION)?;
        if through > revision {
            return Err(StoreError::Future {
                asked: through,
                newest: revision,
            });
        }
        let compacted = number(&numbers, NUMBER_COMPACTED)?;
        numbers.insert(NUMBER_COMPACTED, compacted.max(through))?;
        let mut history = write.open_table(HISTORY)?;
        history.retain_in(..=(through, u32::MAX), |_, _| false)?;
    }
    write.commit()?;
    Ok(())
}

fn newest(read: &ReadTransaction) -> Result<Revision, StoreError> {
    number(&read.open_table(NUMBERS)?, NUMBER_REVISION)
}

impl History for Shared {
    fn events(&self, prefix: &[u8], from: Revision) -> Result<(Vec<Event>, Revision), StoreError> {
        let from = from.max(1);
        self.look(|database| events(database, prefix, from))
    }

    fn bell(&self) -> &Bell {
        &self.bell
    }
}

fn events(
    database: &Database,
    prefix: &[u8],
    from: Revision,
) -> Result<(Vec<Event>, Revision), StoreError> {
    let read = database.begin_read()?;
    let compacted = number(&read.open_table(NUMBERS)?, NUMBER_COMPACTED)?;
    if from <= compacted {
        return Err(StoreError::Compacted {
            asked: from,
            oldest: compacted + 1,
        });
    }
    let history = read.open_table(HISTORY)?;
    let mut events = Vec::new();
    for entry in history.range((from, 0)..)? {
        let (place, bytes) = entry?;
        let event = record::decode_event(place.value().0, bytes.value())?;
        if event.key().starts_with(prefix) {
            events.push(event);
        }
    }
    Ok((events, newest(&read)?))
}
