//! The thread that reads what the firewall decided. The core takes its batches when it has nothing else to do: what does not
//! fit into the channel is thrown away and counted, so a flood of new flows costs the agent a bounded share of its time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coax_tables::FlowRecord;
use coax_vswitch::Flows;
use nix::time::ClockId;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::input::{FlowRecords, Input};
use crate::reader_thread::{PATIENCE, ReaderThread};

/// Records in a batch.
const MOST: usize = 512;
/// Records are left in the ring buffer for this time, so that many come at once. It has room for more than are made in it.
const COLLECTED: Duration = Duration::from_millis(10);

/// Starts the thread.
pub(crate) fn start(
    flows: Box<dyn Flows>,
    batches: mpsc::Sender<Input>,
) -> Result<ReaderThread, Error> {
    let what = "start the thread that reads what the firewall decides";
    ReaderThread::start("flows", what, move |over| read_all(flows, &batches, over))
}

fn read_all(mut flows: Box<dyn Flows>, batches: &mpsc::Sender<Input>, over: &AtomicBool) {
    let mut lost = 0;
    while !over.load(Ordering::Relaxed) {
        let mut records = Vec::new();
        if let Err(error) = flows.wait(PATIENCE, MOST, &mut records) {
            tracing::error!(%error, "flows are not noted any more");
            return;
        }
        if records.is_empty() {
            continue;
        }
        match hand_over(batches, records, lost) {
            Some(still_lost) => lost = still_lost,
            None => return,
        }
        std::thread::sleep(COLLECTED);
    }
}

/// Tells the core, and says how many decisions it still has to be told that they are lost; nothing when it is gone.
fn hand_over(batches: &mpsc::Sender<Input>, records: Vec<FlowRecord>, lost: u64) -> Option<u64> {
    let more = of(&records);
    let batch = FlowRecords {
        records,
        lost,
        clock_ahead: clock_ahead(),
    };
    match batches.try_send(Input::Flows(batch)) {
        Ok(()) => Some(0),
        Err(mpsc::error::TrySendError::Full(_)) => Some(lost + more),
        Err(mpsc::error::TrySendError::Closed(_)) => None,
    }
}

/// The decisions that records stand for, with those that the data plane has left out itself.
fn of(records: &[FlowRecord]) -> u64 {
    let each = records.iter().map(|record| 1 + u64::from(record.missed));
    each.sum()
}

/// What the clock on the wall is ahead of the monotonic one, in milliseconds.
fn clock_ahead() -> u64 {
    let milliseconds = |clock: ClockId| {
        let time = clock.now().map_or(Duration::ZERO, Duration::from);
        u64::try_from(time.as_millis()).unwrap_or(0)
    };
    milliseconds(ClockId::CLOCK_REALTIME).saturating_sub(milliseconds(ClockId::CLOCK_MONOTONIC))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use coax_vswitch::MemoryFlows;

    use super::*;

    fn next(batches: &mut mpsc::Receiver<Input>) -> FlowRecords {
        match batches.blocking_recv() {
            Some(Input::Flows(batch)) => batch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_with_the_next_batch() {
        let (sender, mut batches) = mpsc::channel(1);
        let record = FlowRecord {
            missed: 2,
            ..FlowRecord::default()
        };
        assert_eq!(hand_over(&sender, vec![record], 0), Some(0));
        assert_eq!(hand_over(&sender, vec![record; 5], 0), Some(15));
        assert_eq!(hand_over(&sender, vec![record], 15), Some(18));
        assert_eq!(next(&mut batches).lost, 0);
        assert_eq!(hand_over(&sender, vec![record], 18), Some(0));
        let batch = next(&mut batches);
        assert_eq!((batch.lost, batch.records.len()), (18, 1));
        drop(batches);
        assert_eq!(hand_over(&sender, vec![record], 0), None);
    }

    #[test]
    fn records_get_the_time_of_the_clock_on_the_wall() {
        let (sender, flows) = MemoryFlows::new();
        let (batch_sender, mut batches) = mpsc::channel(8);
        let thread = start(Box::new(flows), batch_sender).unwrap();
        let now = ClockId::CLOCK_MONOTONIC.now().map(Duration::from).unwrap();
        let record = FlowRecord {
            time: u64::try_from(now.as_nanos()).unwrap(),
            ..FlowRecord::default()
        };
        sender.send(record).unwrap();
        let batch = next(&mut batches);
        let wall = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let age = wall.abs_diff(Duration::from_millis(batch.clock_of(record.time)));
        assert!(age < Duration::from_secs(2), "{age:?}");
        drop(thread);
    }
}
