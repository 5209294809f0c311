//! Frames of ports, for those who read them bit by bit: a thread per reader collects what passes by the port's device, and
//! forgets the oldest of what nobody fetches, so that neither a flood nor a slow reader takes memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use coax_api::question::CapturedFrame;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::packet_socket::PacketSocket;

/// Bytes that wait for a reader.
const MOST_BYTES: usize = 4 << 20;
/// Bytes of one answer, so that other messages get through between two.
const MOST_IN_ANSWER: usize = 256 << 10;
/// Readers at the same time.
const MOST_READERS: usize = 4;
/// A reader that does not come back in this time is gone.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// The largest frame.
const LARGEST: usize = 65_550;

/// All captures.
#[derive(Clone, Default)]
pub(crate) struct Captures {
    readers: Arc<Mutex<HashMap<u64, Arc<Waiting>>>>,
}

struct Waiting {
    frames: Mutex<Frames>,
    arrived: Notify,
    /// When the reader came last.
    read: Mutex<Instant>,
}

impl Waiting {
    fn is_over(&self) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.elapsed() > READ_WITHIN
    }
}

#[derive(Default)]
struct Frames {
    frames: VecDeque<CapturedFrame>,
    bytes: usize,
    lost: u64,
}

impl Frames {
    fn push(&mut self, frame: CapturedFrame) {
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
        while self.bytes > MOST_BYTES {
            if let Some(oldest) = self.frames.pop_front() {
                self.bytes -= oldest.bytes.len();
                self.lost += 1;
            }
        }
    }

    /// The oldest frames, and how many were forgotten.
    fn take(&mut self) -> (Vec<CapturedFrame>, u64) {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < MOST_IN_ANSWER
            && let Some(frame) = self.frames.pop_front()
        {
            bytes += frame.bytes.len();
            taken.push(frame);
        }
        self.bytes -= bytes;
        (taken, std::mem::take(&mut self.lost))
    }
}

impl Captures {
    /// What passed by `device` since reader `number` came last; waits for something to pass. The first call only begins.
    pub(crate) async fn read(
        &self,
        number: u64,
        device: &str,
        wait: Duration,
    ) -> Result<(Vec<CapturedFrame>, u64), String> {
        let waiting = self.reader(number, device)?;
        let take = || {
            let mut frames = waiting
                .frames
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            frames.take()
        };
        let arrived = waiting.arrived.notified();
        let (frames, lost) = take();
        if !frames.is_empty() || lost > 0 {
            return Ok((frames, lost));
        }
        // Nothing may pass; then there is nothing to tell.
        let _ = timeout(wait, arrived).await;
        Ok(take())
    }

    fn reader(&self, number: u64, device: &str) -> Result<Arc<Waiting>, String> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|_, waiting| !waiting.is_over());
        if let Some(waiting) = readers.get(&number) {
            *waiting.read.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            return Ok(Arc::clone(waiting));
        }
        if readers.len() >= MOST_READERS {
            return Err(format!("{MOST_READERS} captures run on this host already"));
        }
        let socket = PacketSocket::open(device, &[])
            .map_err(|error| format!("{device} cannot be watched: {error}"))?;
        let waiting = Arc::new(Waiting {
            frames: Mutex::default(),
            arrived: Notify::new(),
            read: Mutex::new(Instant::now()),
        });
        let theirs = Arc::clone(&waiting);
        std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || collect(&socket, &theirs))
            .map_err(|error| format!("no thread can be started: {error}"))?;
        readers.insert(number, Arc::clone(&waiting));
        Ok(waiting)
    }
}

fn collect(socket: &PacketSocket, waiting: &Waiting) {
    let mut buffer = vec![0; LARGEST];
    while !waiting.is_over() {
        let passing = match socket.receive(&mut buffer) {
            Ok(Some(passing)) => passing,
            Ok(None) => continue,
            // The device is gone; the reader's next question says so.
            Err(_) => return,
        };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let frame = CapturedFrame {
            nanoseconds: since.map_or(0, |since| since.as_nanos() as u64),
            to_vm: passing.outgoing,
            bytes: buffer.get(..passing.length).unwrap_or_default().to_vec(),
            comment: String::new(),
        };
        let mut frames = waiting
            .frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        frames.push(frame);
        drop(frames);
        waiting.arrived.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> CapturedFrame {
        CapturedFrame {
            nanoseconds: 0,
            to_vm: false,
            bytes: vec![0; bytes],
            comment: String::new(),
        }
    }

    #[test]
    fn what_nobody_reads_is_forgotten_and_counted() {
        let mut frames = Frames::default();
        for _ in 0..100 {
            frames.push(frame(60_000));
        }
        let kept = MOST_BYTES / 60_000;
        assert_eq!(frames.frames.len(), kept);
        let mut taken = 0;
        let mut lost = 0;
        loop {
            let (some, forgotten) = frames.take();
            lost += forgotten;
            if some.is_empty() {
                break;
            }
            assert!(some.len() <= MOST_IN_ANSWER / 60_000 + 1);
            taken += some.len();
        }
        assert_eq!((taken, lost), (kept, 100 - kept as u64));
        assert_eq!(frames.bytes, 0);
    }
}
