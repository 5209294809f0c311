//! Raw Ethernet frames: sent by our own hand, captured by tcpdump, whose eyes are not ours. (It also
//! shows VLAN tags that the kernel keeps beside the frame.)

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use coax_netlink::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use smoltcp::phy::{Device, Medium, RawSocket, TxToken};

use super::run;
use crate::error::Error;

/// Length of the header of a capture file, and of each frame in it.
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;
/// How long tcpdump may take to start.
const START: Duration = Duration::from_secs(10);

/// Sends frames as they are from a device of a namespace.
pub fn send(namespace: &Namespace, device: &str, frames: Vec<Vec<u8>>) -> Result<(), Error> {
    let device = device.to_owned();
    run(namespace, move || {
        let mut socket = RawSocket::new(&device, Medium::Ethernet)?;
        for frame in frames {
            let token = socket.transmit(smoltcp::time::Instant::ZERO);
            let token = token.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))?;
            token.consume(frame.len(), |buffer| buffer.copy_from_slice(&frame));
        }
        Ok(())
    })
}

/// Starts a capture in each namespace, all at once: the kernel takes its time to open and close one.
pub fn capture_all(
    namespaces: &[Namespace],
    device: &str,
    filter: &str,
) -> Result<Vec<Capture>, Error> {
    at_once(
        namespaces
            .iter()
            .map(|namespace| || Capture::start(namespace, device, filter)),
    )
}

/// Ends captures, all at once; the frames of each.
pub fn finish_all(captures: Vec<Capture>) -> Result<Vec<Vec<Vec<u8>>>, Error> {
    at_once(captures.into_iter().map(|capture| || capture.finish()))
}

fn at_once<T: Send>(
    work: impl Iterator<Item = impl FnOnce() -> Result<T, Error> + Send>,
) -> Result<Vec<T>, Error> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = work.map(|work| scope.spawn(work)).collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err(Error::io("run", "a thread")(io::Error::other(
                "it panicked",
            ))),
        });
        // All are joined before the first error is told.
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

/// A capture that is running.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    frames: Arc<Frames>,
    reader: Option<std::thread::JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Frames {
    list: Mutex<Vec<Vec<u8>>>,
    more: Condvar,
}

impl Capture {
    /// Captures the frames that come in at `device` (`any` for all devices) and match `filter`, in the
    /// language of tcpdump. Returns when the capture has begun.
    pub fn start(namespace: &Namespace, device: &str, filter: &str) -> Result<Self, Error> {
        let mut command = Command::new("tcpdump");
        command.args([
            "-i",
            device,
            "-Q",
            "in",
            "-n",
            "-U",
            "--immediate-mode",
            "-s",
            "0",
        ]);
        // Large enough that nothing is lost when the machine is busy.
        command.args(["-B", "8192", "-w", "-", filter]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = namespace.spawn(&mut command)?;
        let fail = || Error::io("capture in", namespace.name());
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(fail()(io::ErrorKind::BrokenPipe.into()));
        };
        wait_for_start(err).map_err(fail())?;
        let frames = Arc::new(Frames::default());
        let list = frames.clone();
        let reader = std::thread::spawn(move || read(out, &list));
        Ok(Self {
            child,
            frames,
            reader: Some(reader),
        })
    }

    /// Waits until so many frames were captured; says whether they were in time.
    pub fn wait_for(&self, count: usize, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut list = self
            .frames
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while list.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.frames.more.wait_timeout(list, left);
            list = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Ends the capture; the frames in the order in which they came.
    pub fn finish(mut self) -> Result<Vec<Vec<u8>>, Error> {
        self.interrupt();
        self.child
            .wait()
            .map_err(Error::io("wait for", "tcpdump"))?;
        if let Some(reader) = self.reader.take() {
            let panicked = |_| io::Error::other("the reading thread panicked");
            let done = reader.join().map_err(panicked).and_then(|done| done);
            done.map_err(Error::io("read from", "tcpdump"))?;
        }
        let mut list = self
            .frames
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *list))
    }

    /// Asks tcpdump to write what it has and to end.
    fn interrupt(&self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended by itself, which reading will show.
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
    }
}

impl Drop for Capture {
    /// A capture that nobody finished must not slow down what is measured after it.
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.interrupt();
            // Only to leave no zombie; there is nobody to tell an error to.
            let _ = self.child.wait();
        }
    }
}

fn wait_for_start(err: impl Read + Send + 'static) -> io::Result<()> {
    let (sender, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Reads on to the end, so that tcpdump never waits for a reader of its messages.
        for line in BufReader::new(err).lines() {
            match line {
                Ok(line) => {
                    let _ = sender.send(line);
                }
                Err(_) => return,
            }
        }
    });
    let mut said = String::new();
    let end = Instant::now() + START;
    while let Ok(line) = started.recv_timeout(end.saturating_duration_since(Instant::now())) {
        if line.contains("listening on") {
            return Ok(());
        }
        said.push_str(&line);
        said.push('\n');
    }
    Err(io::Error::other(format!("tcpdump did not start: {said}")))
}

fn read(mut out: impl Read, frames: &Frames) -> io::Result<()> {
    let mut header = [0u8; FILE_HEADER];
    if !fill(&mut out, &mut header)? {
        return Ok(());
    }
    let mut header = [0u8; FRAME_HEADER];
    while fill(&mut out, &mut header)? {
        // Written by a program on this machine: its byte order is ours.
        let length = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let mut frame = vec![0u8; usize::try_from(length).unwrap_or(0)];
        out.read_exact(&mut frame)?;
        frames
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(frame);
        frames.more.notify_all();
    }
    Ok(())
}

/// Fills a buffer; `false` at the end of the stream.
fn fill(out: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match out.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Builds frames for tests: header, any tags, and a payload that names its place, so that a byte that is
/// moved or lost is seen.
pub fn build(to: [u8; 6], from: [u8; 6], types: &[u8], length: usize, seed: u8) -> Vec<u8> {
    let mut frame = Vec::with_capacity(length);
    frame.extend(to);
    frame.extend(from);
    frame.extend(types);
    let start = frame.len();
    frame.extend((start..length).map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ seed));
    frame
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use coax_netlink::{ScopedNamespace, VethEnd};

    #[test]
    fn frames_with_and_without_tags_arrive_over_a_veth_pair() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (one, other) = (
            ScopedNamespace::create("coax-frames").unwrap(),
            ScopedNamespace::create("coax-frames").unwrap(),
        );
        runtime.block_on(async {
            let (a, b) = (one.netlink().unwrap(), other.netlink().unwrap());
            let ends = (
                VethEnd::new("eth0").with_mtu(9000),
                VethEnd::new("eth0").with_mtu(9000).in_namespace(&other),
            );
            a.create_veth(&ends.0, &ends.1).await.unwrap();
            for netlink in [&a, &b] {
                netlink
                    .set_up(netlink.link("eth0").await.unwrap().index)
                    .await
                    .unwrap();
            }
        });
        let (to, from) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let sent = vec![
            build(to, from, &[0x88, 0xb5], 60, 1),
            build(to, from, &[0x81, 0x00, 0x00, 0x64, 0x88, 0xb5], 1000, 2),
            build(to, from, &[0x88, 0xb5], 9014, 3),
        ];
        let capture = Capture::start(&other, "eth0", "ether src 02:00:00:00:00:02").unwrap();
        send(&one, "eth0", sent.clone()).unwrap();
        assert!(capture.wait_for(3, Duration::from_secs(5)));
        assert_eq!(capture.finish().unwrap(), sent);
    }
}
