//! Transactions that happen once, whatever becomes of the answer.
//!
//! When a connection breaks, nobody knows whether the transaction on it happened. So every
//! transaction that puts something also puts a marker, a key of this client alone, and holds only
//! if the marker is as this client left it. A repetition of one that happened finds another marker:
//! its own, and thereby the revision at which it happened. One that is still under way somewhere
//! when its repetition happens cannot happen any more.
//!
//! Markers are put under a lease, so that they go some time after their client did. That of a client which was idle for so long
//! goes, too: the next transaction finds none, and begins anew. No repetition is under way then, because nobody is as patient.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::link::{Failure, Link, refused};
use super::wire::compare::{CompareResult, CompareTarget, TargetUnion};
use super::wire::request_op::Request;
use super::wire::response_op::Response;
use super::{OWN, header, item, ours, theirs, wire};
use crate::transaction::{Compare, Operation, Outcome, Transaction, check};
use crate::{KeyValue, Revision, StoreError};

/// What etcd's answer is about when a transaction is too large for it.
const TOO_LARGE: [&str; 3] = ["too many operations", "too large", "larger than max"];

/// How long a marker stays after its client's last transaction, at least half of it: many times as long as anybody repeats one.
const LEASE: Duration = Duration::from_secs(3600);
/// What etcd says of a lease that has ended, and with it did nothing else of the transaction.
const NO_LEASE: &str = "lease not found";

/// What etcd says when it has no room, which is not always that it did nothing: a transaction that takes the last of the room is
/// done and answered with this all the same.
const NO_SPACE: &str = "space exceeded";

/// The key by which a client knows its own transactions again.
pub(super) struct Marker {
    key: Vec<u8>,
    /// The revision of the last transaction that etcd acknowledged, by etcd's count; 0: none yet.
    revision: i64,
    count: u64,
    /// What it is put under, and since when.
    lease: Option<(i64, Instant)>,
    lasts: Duration,
}

impl Marker {
    pub(super) fn new() -> Self {
        // Unique among the clients of one etcd: no two processes are the same at the same time.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        let unique = std::ptr::from_ref(&now) as usize;
        let process = std::process::id();
        let key = format!("transaction/{now:x}-{process:x}-{unique:x}");
        Self {
            key: [OWN, key.as_bytes()].concat(),
            revision: 0,
            count: 0,
            lease: None,
            lasts: LEASE,
        }
    }

    /// From the next lease on it stays for so long.
    pub(super) fn last_for(&mut self, time: Duration) {
        self.lasts = time;
    }

    /// A lease that does not end soon.
    fn lease(&mut self, link: &Link) -> Result<i64, StoreError> {
        let fresh = |(_, since): &(i64, Instant)| since.elapsed() < self.lasts / 2;
        if let Some((lease, _)) = self.lease.filter(fresh) {
            return Ok(lease);
        }
        let since = Instant::now();
        let seconds = self.lasts.as_secs().try_into().unwrap_or(i64::MAX);
        let lease = link.grant(seconds)?;
        self.lease = Some((lease, since));
        Ok(lease)
    }
}

/// What became of an attempt.
enum Attempt {
    Over(Outcome),
    /// An earlier transaction happened after all; now that it is known, again.
    Again,
}

/// Does a transaction once.
pub(super) fn transact(
    link: &Link,
    marker: &mut Marker,
    transaction: &Transaction,
) -> Result<Outcome, StoreError> {
    let mut open = false;
    repeat(link, marker, transaction, &mut open).map_err(|error| {
        if !open || error.leaves_open() {
            return error;
        }
        // That the last attempt did nothing does not settle what became of those before.
        let reason = error.to_string();
        StoreError::Unreachable { reason }
    })
}

/// Tries until there is an answer; `open`: an attempt had none.
fn repeat(
    link: &Link,
    marker: &mut Marker,
    transaction: &Transaction,
    open: &mut bool,
) -> Result<Outcome, StoreError> {
    check(&transaction.operations)?;
    let puts = transaction.operations.iter();
    let marked = puts.clone().any(|it| matches!(it, Operation::Put { .. }));
    marker.count += 1;
    let value = marker.count.to_be_bytes().to_vec();
    let mut patience = link.patience();
    loop {
        let lease = if marked { marker.lease(link)? } else { 0 };
        let mark = marked.then_some((&*marker, value.as_slice(), lease));
        let request = request(transaction, mark);
        let answer = link.attempt(move |door| async move {
            let request = door.request(request);
            door.keys().txn(request).await
        })?;
        match answer {
            Ok(answer) => match read(answer, marker, marked.then_some(&value), transaction) {
                Attempt::Over(outcome) => return Ok(outcome),
                Attempt::Again => {}
            },
            Err(Failure::Refused(status)) if status.message().contains(NO_LEASE) => {
                // The etcd was restored, or did not run for long.
                marker.lease = None;
                patience.wait(&status)?;
            }
            Err(Failure::Refused(status)) if marked && status.message().contains(NO_SPACE) => {
                let done = happened(link, marker, &value)?;
                return done.map(Outcome::Done).ok_or_else(|| refused(&status));
            }
            Err(Failure::Refused(status)) => {
                let large = TOO_LARGE.iter().any(|word| status.message().contains(word));
                return Err(if large {
                    too_large(transaction)
                } else {
                    refused(&status)
                });
            }
            Err(Failure::Denied(error)) => return Err(error.into()),
            Err(Failure::Locked(error)) => patience.wait_for(error)?,
            Err(Failure::Shut(error)) => patience.next_door(error)?,
            Err(Failure::NotYet(status)) => patience.wait(&status)?,
            Err(Failure::Unknown(status)) => {
                *open = true;
                patience.wait(&status)?;
            }
        }
    }
}

/// At which revision the marker was put with this value, if it was. Nothing may be under way.
fn happened(
    link: &Link,
    marker: &mut Marker,
    value: &[u8],
) -> Result<Option<Revision>, StoreError> {
    let answer = link.range(wire::RangeRequest {
        key: marker.key.clone(),
        ..wire::RangeRequest::default()
    })?;
    let found = answer.kvs.into_iter().next().map(item);
    let mine = found.filter(|mine| mine.value == value);
    if let Some(mine) = &mine {
        marker.revision = theirs(mine.modified);
    }
    Ok(mine.map(|mine| mine.modified))
}

fn request(transaction: &Transaction, marker: Option<(&Marker, &[u8], i64)>) -> wire::TxnRequest {
    let compared = |key: &[u8], target, union| wire::Compare {
        result: CompareResult::Equal.into(),
        target: i32::from(target),
        key: key.to_vec(),
        target_union: Some(union),
    };
    let modified = |key: &[u8], revision| {
        compared(key, CompareTarget::Mod, TargetUnion::ModRevision(revision))
    };
    let compares = transaction.compares.iter().map(|compare| match compare {
        Compare::Modified { key, revision: 0 } => modified(key, 0),
        Compare::Modified { key, revision } => modified(key, theirs(*revision)),
        Compare::Value { key, value } => {
            compared(key, CompareTarget::Value, TargetUnion::Value(value.clone()))
        }
    });
    let put = |key: &[u8], value: &[u8], lease| wire::RequestOp {
        request: Some(Request::RequestPut(wire::PutRequest {
            key: key.to_vec(),
            value: value.to_vec(),
            lease,
        })),
    };
    let operations = transaction
        .operations
        .iter()
        .map(|operation| match operation {
            Operation::Put { key, value } => put(key, value, 0),
            Operation::Delete { key } => wire::RequestOp {
                request: Some(Request::RequestDeleteRange(wire::DeleteRangeRequest {
                    key: key.clone(),
                })),
            },
        });
    let look = |key: &[u8]| wire::RequestOp {
        request: Some(Request::RequestRange(wire::RangeRequest {
            key: key.to_vec(),
            ..wire::RangeRequest::default()
        })),
    };
    let marked = marker.into_iter();
    wire::TxnRequest {
        compare: marked
            .clone()
            .map(|(marker, ..)| modified(&marker.key, marker.revision))
            .chain(compares)
            .collect(),
        success: operations
            .chain(
                marked
                    .clone()
                    .map(|(marker, value, lease)| put(&marker.key, value, lease)),
            )
            .collect(),
        // If it fails: what the marker is, and what each compare saw.
        failure: marked
            .map(|(marker, ..)| look(&marker.key))
            .chain(
                transaction
                    .compares
                    .iter()
                    .map(|compare| look(compare.key())),
            )
            .collect(),
    }
}

fn read(
    answer: wire::TxnResponse,
    marker: &mut Marker,
    value: Option<&Vec<u8>>,
    transaction: &Transaction,
) -> Attempt {
    let newest = header(answer.header);
    if answer.succeeded {
        if value.is_some() {
            marker.revision = newest;
        }
        return Attempt::Over(Outcome::Done(ours(newest)));
    }
    let mut found = answer.responses.into_iter().map(seen);
    if let Some(value) = value {
        let mine = found.next().flatten();
        let revision = mine.as_ref().map_or(0, |mine| theirs(mine.modified));
        if revision != marker.revision {
            marker.revision = revision;
            // This very transaction, or one before it that was given up.
            return match mine {
                Some(mine) if mine.value == *value => Attempt::Over(Outcome::Done(mine.modified)),
                _ => Attempt::Again,
            };
        }
    }
    let compares = transaction.compares.iter().zip(found);
    let failed = compares
        .enumerate()
        .find(|(_, (compare, found))| !compare.holds(found.as_ref()));
    match failed {
        Some((compare, _)) => Attempt::Over(Outcome::Conflict {
            compare,
            revision: ours(newest),
        }),
        // Reads and compares of one transaction see the same: this is not reached.
        None => Attempt::Again,
    }
}

fn seen(operation: wire::ResponseOp) -> Option<KeyValue> {
    match operation.response {
        Some(Response::ResponseRange(range)) => range.kvs.into_iter().next().map(item),
        _ => None,
    }
}

fn too_large(transaction: &Transaction) -> StoreError {
    let size = |operation: &Operation| match operation {
        Operation::Put { key, value } => key.len() + value.len(),
        Operation::Delete { key } => key.len(),
    };
    StoreError::TooLarge {
        operations: transaction.operations.len(),
        bytes: transaction.operations.iter().map(size).sum(),
    }
}
