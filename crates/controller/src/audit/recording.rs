//! A request on its way through the controller: what the log is to say of it, and whether it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use coax_api::AuditEntry;

use crate::identity::seconds;

/// Sentences of one entry; a plan of a large project has more.
const SENTENCES: usize = 100;
/// The HTTP status of what was done.
const DONE: u16 = 200;

/// Who asked for what, and whether the log has it.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    entry: Arc<AuditEntry>,
    written: Written,
}

impl Recording {
    /// Of a request; what became of it is filled in later.
    pub fn new(entry: AuditEntry) -> Self {
        Self {
            entry: Arc::new(entry),
            written: Written::default(),
        }
    }

    /// Of a machine that becomes a host or a controller. Nobody asks for it at that moment: who did is in the entry of the
    /// invitation.
    pub fn of_join(invitation: &str, from: &str, becomes: &str, now: SystemTime) -> Self {
        Self::new(AuditEntry {
            time: seconds(now),
            who: invitation.to_owned(),
            role: "invited".to_owned(),
            from: from.to_owned(),
            method: "JOIN".to_owned(),
            path: becomes.to_owned(),
            ..AuditEntry::default()
        })
    }

    /// What is known of it before anything is done.
    pub fn entry(&self) -> &AuditEntry {
        &self.entry
    }

    /// The entry of what was done.
    #[must_use]
    pub fn of_change(&self, sentences: impl Iterator<Item = String>) -> AuditEntry {
        AuditEntry {
            status: DONE,
            changes: sentences.take(SENTENCES).collect(),
            ..AuditEntry::clone(&self.entry)
        }
    }

    /// To say that the log has it.
    pub fn written(&self) -> &Written {
        &self.written
    }
}

/// Whether the entry of a request is in the log, together with what it changed.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<AtomicBool>);

impl Written {
    /// From now on it is.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
