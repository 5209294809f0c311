//! The store that several controllers share: etcd's v3 interface over gRPC.
//!
//! | module | holds |
//! | --- | --- |
//! | `access` | where the members are, what is proved to them, and why one is refused |
//! | `tls` | connections with certificates at both ends |
//! | `login` | a user's password, and the token that it gives |
//! | `member` | the channel to one of them |
//! | `link` | all of them, and calls that are repeated until one answers |
//! | `transact` | transactions that happen once, whatever becomes of the answer |
//! | `stream` | watches that survive the loss of a member |
//! | `restore` | what another store held, with its revisions |
//!
//! Revisions are etcd's, less one: an etcd without data is at 1, a [`Store`] at 0. The etcd is ours
//! alone; what others write there takes revisions, too, and is seen by ranges and watches of its
//! prefix only.
//!
//! Calls block their thread, as those of the other stores do; the work is done on a runtime of its own.

mod access;
mod link;
mod login;
mod member;
mod restore;
mod stream;
mod tls;
mod transact;

pub use access::{AccessError, EtcdAccess, EtcdCredentials, EtcdLogin};

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::link::Link;
use self::stream::Stream;
use self::transact::Marker;
use crate::transaction::{Outcome, Transaction};
use crate::watch::Watch;
use crate::{KeyValue, Range, Revision, Store, StoreError};

/// What is generated from `proto/etcd.proto`.
#[allow(missing_docs, clippy::all)]
mod wire {
    tonic::include_proto!("etcdserverpb");
}

/// Keys that this module keeps for itself; no other key begins like this. They are among those of Coax, so that one right is
/// enough for all.
const OWN: &[u8] = b"/coax/client/";
/// How many keys a range asks for at a time.
const PAGE: i64 = 2000;

/// A store in an etcd cluster. Clones share it.
#[derive(Clone)]
pub struct Etcd {
    shared: Arc<Shared>,
}

struct Shared {
    link: Link,
    marker: Mutex<Marker>,
}

impl Etcd {
    /// Reaches an etcd at one of its members, and waits until it answers.
    pub fn open(access: &EtcdAccess) -> Result<Self, StoreError> {
        let link = Link::new(access)?;
        let etcd = Self {
            shared: Arc::new(Shared {
                marker: Mutex::new(Marker::new()),
                link,
            }),
        };
        etcd.revision()?;
        Ok(etcd)
    }

    /// The same store that goes on trying for so long where nobody answers.
    #[must_use]
    pub fn patient_for(self, time: Duration) -> Self {
        self.shared.link.patient_for(time);
        self
    }

    /// The same store whose own key in etcd goes so long after its last transaction: whole seconds, and longer than it is patient.
    #[must_use]
    pub fn remembered_for(self, time: Duration) -> Self {
        let marker = self.shared.marker.lock();
        marker
            .unwrap_or_else(PoisonError::into_inner)
            .last_for(time);
        self
    }
}

/// Our number of one of etcd's revisions.
fn ours(revision: i64) -> Revision {
    revision.saturating_sub(1).try_into().unwrap_or(0)
}

/// etcd's number of one of our revisions.
fn theirs(revision: Revision) -> i64 {
    i64::try_from(revision).map_or(i64::MAX, |revision| revision.saturating_add(1))
}

fn header(header: Option<wire::ResponseHeader>) -> i64 {
    header.map_or(1, |header| header.revision)
}

fn item(found: wire::KeyValue) -> KeyValue {
    KeyValue {
        key: found.key,
        value: found.value,
        created: ours(found.create_revision),
        modified: ours(found.mod_revision),
    }
}

/// Key and end of the range of keys that begin with `prefix`, in etcd's terms.
fn bounds(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let key = if prefix.is_empty() {
        vec![0]
    } else {
        prefix.to_vec()
    };
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return (key, end);
        }
    }
    // No key is above those that begin with 0xff: to the end.
    (key, vec![0])
}

impl Store for Etcd {
    fn revision(&self) -> Result<Revision, StoreError> {
        let request = wire::RangeRequest {
            key: OWN.to_vec(),
            count_only: true,
            ..wire::RangeRequest::default()
        };
        let answer = self.shared.link.range(request)?;
        Ok(ours(header(answer.header)))
    }

    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let request = wire::RangeRequest {
            key: key.to_vec(),
            ..wire::RangeRequest::default()
        };
        let answer = self.shared.link.range(request)?;
        Ok(answer.kvs.into_iter().next().map(item))
    }

    fn range(&self, prefix: &[u8]) -> Result<Range, StoreError> {
        let (mut key, range_end) = bounds(prefix);
        let mut items = Vec::new();
        // The first page decides at which revision the others are read.
        let mut revision = 0;
        loop {
            let request = wire::RangeRequest {
                key: key.clone(),
                range_end: range_end.clone(),
                limit: PAGE,
                revision,
                count_only: false,
            };
            let answer = self.shared.link.range(request)?;
            if revision == 0 {
                revision = header(answer.header);
            }
            if let Some(last) = answer.kvs.last() {
                key = last.key.clone();
                key.push(0);
            }
            let kvs = answer.kvs.into_iter();
            items.extend(kvs.filter(|kv| !kv.key.starts_with(OWN)).map(item));
            if !answer.more {
                let revision = ours(revision);
                return Ok(Range { revision, items });
            }
        }
    }

    fn transact(&self, transaction: &Transaction) -> Result<Outcome, StoreError> {
        // One at a time: what the marker says is about the last one.
        let marker = self.shared.marker.lock();
        let mut marker = marker.unwrap_or_else(PoisonError::into_inner);
        transact::transact(&self.shared.link, &mut marker, transaction)
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
        let stream = Stream::new(self.shared.clone(), prefix, from.max(1));
        stream.check()?;
        Ok(Watch::new(stream))
    }

    fn compact(&self, through: Revision) -> Result<(), StoreError> {
        if through == 0 {
            return Ok(());
        }
        let newest = self.revision()?;
        if through > newest {
            let asked = through;
            return Err(StoreError::Future { asked, newest });
        }
        match self.shared.link.compact(theirs(through)) {
            // Compacting less than before takes nothing back.
            Err(StoreError::Refused { reason }) if reason.contains("compacted") => Ok(()),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_where_the_prefix_does() {
        assert_eq!(bounds(b"a/"), (b"a/".to_vec(), b"a0".to_vec()));
        assert_eq!(bounds(b""), (vec![0], vec![0]));
        assert_eq!(bounds(&[7, 255]), (vec![7, 255], vec![8]));
        assert_eq!(bounds(&[255]), (vec![255], vec![0]));
    }

    #[test]
    fn an_empty_etcd_is_at_revision_zero() {
        assert_eq!((ours(1), theirs(0)), (0, 1));
        assert_eq!((ours(theirs(42)), ours(0)), (42, 0));
    }
}
