//! What the firewall decided, as programs report it.

use coax_tables::FlowRecord;
use std::sync::mpsc;
use std::time::Duration;
use thiserror::Error;

/// Whoever wrote the records is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the data plane that reports flows is gone")]
pub struct FlowsClosed;

/// The one reader of the records. Its calls block: it wants a thread of its own.
pub trait Flows: Send {
    /// Waits for records, at most so long, and adds those that are there to `records`, at most `most` of them.
    ///
    /// # Errors
    /// When there will never be one again.
    fn wait(
        &mut self,
        patience: Duration,
        most: usize,
        records: &mut Vec<FlowRecord>,
    ) -> Result<(), FlowsClosed>;
}

/// Records from the other end of a channel, for tests.
#[derive(Debug)]
pub struct MemoryFlows(mpsc::Receiver<FlowRecord>);

/// The end of the channel that tests hold.
pub type FlowSender = mpsc::Sender<FlowRecord>;

impl MemoryFlows {
    /// A reader, and the way to it.
    pub fn new() -> (FlowSender, Self) {
        let (sender, receiver) = mpsc::channel();
        (sender, Self(receiver))
    }
}

impl Flows for MemoryFlows {
    fn wait(
        &mut self,
        patience: Duration,
        most: usize,
        records: &mut Vec<FlowRecord>,
    ) -> Result<(), FlowsClosed> {
        match self.0.recv_timeout(patience) {
            Ok(record) => records.push(record),
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(()),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(FlowsClosed),
        }
        let more = most.saturating_sub(1);
        records.extend(self.0.try_iter().take(more));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_in_batches_until_the_sender_is_gone() {
        let (sender, mut flows) = MemoryFlows::new();
        for rule in 1..=5 {
            let record = FlowRecord {
                rule,
                ..FlowRecord::default()
            };
            assert!(sender.send(record).is_ok());
        }
        drop(sender);
        let mut rules = Vec::new();
        loop {
            let mut records = Vec::new();
            if flows.wait(Duration::ZERO, 3, &mut records).is_err() {
                break;
            }
            assert!(records.len() <= 3);
            rules.extend(records.iter().map(|record| record.rule));
        }
        assert_eq!(rules, [1, 2, 3, 4, 5]);
    }
}
