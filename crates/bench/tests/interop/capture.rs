//! What passes a device, as tcpdump sees it.

use crate::raw;
use coax_bench::pair::Pair;
use coax_netlink::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;

#[derive(Default)]
struct Frames {
    list: Mutex<Vec<Vec<u8>>>,
    more: Condvar,
}

/// The ethertype of the frame that ends a capture, one of those for experiments.
const LAST: [u8; 2] = [0x88, 0xb6];

/// A running capture.
pub struct Capture {
    child: Child,
    frames: Arc<Frames>,
    reader: Option<JoinHandle<()>>,
    /// The other end of the link: what is sent there is captured here.
    opposite: (Namespace, &'static str),
}

impl Capture {
    /// Captures what VM `place` (0 or 1) gets.
    pub fn of_vm(pair: &Pair, place: usize, filter: &str) -> Self {
        let opposite = (pair.host(place).unwrap().clone(), "port0");
        Self::start(&pair.vms[place], "eth0", opposite, filter)
    }

    /// Captures what the second host gets from the first one.
    pub fn of_uplink(pair: &Pair, filter: &str) -> Self {
        let opposite = (pair.host(0).unwrap().clone(), "ul0");
        Self::start(pair.host(1).unwrap(), "ul0", opposite, filter)
    }

    /// Captures the frames that come in at `device` from the `opposite` end of its link and match
    /// `filter`, in tcpdump's language. Returns when the capture has begun.
    pub fn start(
        namespace: &Namespace,
        device: &str,
        opposite: (Namespace, &'static str),
        filter: &str,
    ) -> Self {
        let last = format!("ether proto 0x{:04x}", u16::from_be_bytes(LAST));
        let filter = if filter.is_empty() {
            String::new()
        } else {
            format!("({filter}) or {last}")
        };
        let mut command = Command::new("tcpdump");
        // The kernel's buffer has places of the largest size, so that size is kept small.
        command
            .args(["-i", device, "-Q", "in", "-n", "-U", "--immediate-mode"])
            .args(["-s", "2048", "-B", "32768", "-w", "-", &filter])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = namespace.spawn(&mut command).unwrap();
        wait_for_start(child.stderr.take().unwrap());
        let frames = Arc::new(Frames::default());
        let (list, out) = (Arc::clone(&frames), child.stdout.take().unwrap());
        let reader = Some(std::thread::spawn(move || read(out, &list)));
        Self {
            child,
            frames,
            reader,
            opposite,
        }
    }

    /// Waits until `enough` says yes to what has been captured, and returns that.
    pub fn until(&self, what: &str, mut enough: impl FnMut(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
        let end = Instant::now() + PATIENCE;
        let mut list = self.frames.list.lock().unwrap();
        while !enough(&list) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: not in {} frames", list.len());
            list = self.frames.more.wait_timeout(list, left).unwrap().0;
        }
        list.clone()
    }

    /// Sends a last frame behind all others, waits for it, and returns what came before.
    pub fn finish(mut self) -> Vec<Vec<u8>> {
        let (namespace, device) = &self.opposite;
        let last = raw::ethernet([0xff; 6], [2, 0xff, 0, 0, 0, 0xff], &LAST, &[0; 46]);
        let is_last = |frame: &Vec<u8>| frame[12..14] == LAST;
        raw::send(namespace, device, &[last]);
        let mut frames = self.until("the last frame", |got| got.iter().any(is_last));
        self.stop();
        frames.truncate(frames.iter().position(is_last).unwrap_or_default());
        frames
    }

    fn stop(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT);
            let _ = self.child.wait();
            let _ = reader.join();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait_for_start(err: impl Read + Send + 'static) {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        // Reads on to the end, so that tcpdump never waits for a reader of its messages.
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let said = read_until(&lines, "listening on");
    assert!(said.contains("listening on"), "tcpdump: {said}");
}

fn read_until(lines: &Receiver<String>, wanted: &str) -> String {
    let mut said = String::new();
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        said += &line;
        if line.contains(wanted) {
            break;
        }
    }
    said
}

fn read(mut out: impl Read, frames: &Frames) {
    let mut file = [0; FILE_HEADER];
    if out.read_exact(&mut file).is_err() {
        return;
    }
    let mut header = [0; FRAME_HEADER];
    while out.read_exact(&mut header).is_ok() {
        // Written by a program on this machine: its byte order is ours.
        let length = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let mut frame = vec![0; length as usize];
        if out.read_exact(&mut frame).is_err() {
            return;
        }
        frames.list.lock().unwrap().push(frame);
        frames.more.notify_all();
    }
}

/// A capture file of these frames.
pub fn file(frames: &[Vec<u8>]) -> Vec<u8> {
    const ETHERNET: u32 = 1;
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x0004_0000, ETHERNET] {
        bytes.extend(u32::to_ne_bytes(word));
    }
    for frame in frames {
        let length = frame.len() as u32;
        for word in [0, 0, length, length] {
            bytes.extend(u32::to_ne_bytes(word));
        }
        bytes.extend(frame);
    }
    bytes
}
