//! How records look on disk: our own encoding, so that a file outlives the library's versions.
//!
//! Value of a key: `created` (8 bytes, big endian), `modified` (8), then the value as it is.
//! Event: 0 and the length of the key (4) and the key for a delete; 1, the length of the key (4), the
//! key and then what a value looks like for a put.

use crate::error::shown;
use crate::watch::Event;
use crate::{KeyValue, Revision, StoreError};

/// Number of this format, written into every file.
pub(crate) const FORMAT: u64 = 1;

pub(crate) fn encode_value(item: &KeyValue) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + item.value.len());
    put_value(&mut bytes, item);
    bytes
}

fn put_value(bytes: &mut Vec<u8>, item: &KeyValue) {
    bytes.extend_from_slice(&item.created.to_be_bytes());
    bytes.extend_from_slice(&item.modified.to_be_bytes());
    bytes.extend_from_slice(&item.value);
}

pub(crate) fn decode_value(key: &[u8], bytes: &[u8]) -> Result<KeyValue, StoreError> {
    read_value(key, bytes).ok_or_else(|| StoreError::Damaged { key: shown(key) })
}

fn read_value(key: &[u8], bytes: &[u8]) -> Option<KeyValue> {
    let (created, bytes) = bytes.split_first_chunk()?;
    let (modified, value) = bytes.split_first_chunk()?;
    Some(KeyValue {
        key: key.to_vec(),
        value: value.to_vec(),
        created: u64::from_be_bytes(*created),
        modified: u64::from_be_bytes(*modified),
    })
}

pub(crate) fn encode_event(event: &Event) -> Vec<u8> {
    let key = event.key();
    let mut bytes = vec![u8::from(matches!(event, Event::Put(_)))];
    // A key of 4 GiB does not fit into a transaction, let alone into the database.
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(key);
    if let Event::Put(item) = event {
        put_value(&mut bytes, item);
    }
    bytes
}

pub(crate) fn decode_event(revision: Revision, bytes: &[u8]) -> Result<Event, StoreError> {
    read_event(revision, bytes).ok_or_else(|| StoreError::Damaged {
        key: format!("event of revision {revision}"),
    })
}

fn read_event(revision: Revision, bytes: &[u8]) -> Option<Event> {
    let (&kind, bytes) = bytes.split_first()?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (key, bytes) = bytes.split_at_checked(length)?;
    match kind {
        0 => Some(Event::Delete {
            key: key.to_vec(),
            revision,
        }),
        1 => Some(Event::Put(read_value(key, bytes)?)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn events_survive(key in any::<Vec<u8>>(), value in any::<Vec<u8>>(),
                          created: u64, modified: u64) {
            let item = KeyValue { key: key.clone(), value, created, modified };
            let stored = encode_value(&item);
            prop_assert_eq!(&decode_value(&key, &stored).unwrap(), &item);
            for event in [Event::Put(item), Event::Delete { key, revision: modified }] {
                let stored = encode_event(&event);
                prop_assert_eq!(decode_event(modified, &stored).unwrap(), event);
            }
        }

        #[test]
        fn noise_is_an_error_or_an_event(noise in any::<Vec<u8>>()) {
            let _ = decode_event(1, &noise);
            let _ = decode_value(b"key", &noise);
        }
    }
}
