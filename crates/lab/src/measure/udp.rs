//! A paced UDP stream with sequence numbers: what was lost, came twice or out of order, and how long
//! the receiver heard nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coax_netlink::Namespace;
use serde::Serialize;

use super::{Running, Stop, start};
use crate::error::Error;

/// Stream number and sequence number.
const HEADER: usize = 12;
/// How long the receiver listens on after the sender has stopped.
const LINGER: Duration = Duration::from_millis(300);
/// How long one look for a datagram takes; the receiver notices its end after that.
const LOOK: Duration = Duration::from_millis(20);
/// A sender that is behind catches up in bursts of this many datagrams at most, and lets the rest be:
/// a stream of 1,000 per second must not become one of 100,000 because the machine was busy.
const BURST: u32 = 8;

/// A stream to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Where to.
    pub to: SocketAddr,
    /// Datagrams per second.
    pub rate: u32,
    /// Bytes per datagram.
    pub size: usize,
    /// Source port; 0 lets the kernel choose.
    pub from_port: u16,
}

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Datagrams sent.
    pub sent: u64,
    /// Different datagrams received.
    pub received: u64,
    /// Sent and never received.
    pub lost: u64,
    /// Received again.
    pub duplicated: u64,
    /// Received after a later one.
    pub reordered: u64,
    /// Longest time between two datagrams, in milliseconds; at a rate of 1,000 it is 1 without any gap.
    pub longest_gap_ms: f64,
    /// Longest time between two datagrams *sent*: what of the gap is the busy sender's own.
    pub longest_pause_ms: f64,
    /// Datagrams per second that arrived, over the whole time.
    pub rate: f64,
}

/// A stream that is running.
#[derive(Debug)]
pub struct Flow {
    stop: Stop,
    heard: Arc<AtomicU64>,
    sender: Running<Sent>,
    receiver: Running<Received>,
}

#[derive(Debug)]
struct Sent {
    count: u64,
    longest_pause: Duration,
}

#[derive(Debug)]
struct Received {
    different: u64,
    duplicated: u64,
    reordered: u64,
    longest_gap: Duration,
    span: Duration,
}

/// Starts a stream from one namespace to another.
pub fn flow(from: &Namespace, to: &Namespace, stream: Stream) -> Result<Flow, Error> {
    let (stop, heard) = (Stop::default(), Arc::new(AtomicU64::new(0)));
    let socket = super::run(to, move || listen(stream.to))?;
    let (stop_receiver, count) = (stop.flag(), heard.clone());
    let receiver = start(to, move || receive(&socket, &stop_receiver, &count));
    let stop_sender = stop.flag();
    let sender = start(from, move || send(stream, &stop_sender));
    Ok(Flow {
        stop,
        heard,
        sender,
        receiver,
    })
}

impl Flow {
    /// How many datagrams have arrived so far.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Waits until `more` further datagrams have arrived; says whether they did in time.
    pub fn wait_for(&self, more: u64, limit: Duration) -> bool {
        let (goal, end) = (self.heard() + more, Instant::now() + limit);
        while self.heard() < goal {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Ends the stream.
    pub fn finish(self) -> Result<Report, Error> {
        self.stop.set();
        let sent = self.sender.join()?;
        let received = self.receiver.join()?;
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Ok(Report {
            sent: sent.count,
            received: received.different,
            lost: sent.count.saturating_sub(received.different),
            duplicated: received.duplicated,
            reordered: received.reordered,
            longest_gap_ms: ms(received.longest_gap),
            longest_pause_ms: ms(sent.longest_pause),
            rate: received.different as f64 / received.span.as_secs_f64().max(f64::EPSILON),
        })
    }
}

/// Waits until each of several streams has brought `more` further datagrams; how many did in time.
pub fn wait_for_all(flows: &[Flow], more: u64, limit: Duration) -> usize {
    let goals: Vec<u64> = flows.iter().map(|flow| flow.heard() + more).collect();
    let end = Instant::now() + limit;
    loop {
        let there = flows
            .iter()
            .zip(&goals)
            .filter(|(flow, goal)| flow.heard() >= **goal);
        let there = there.count();
        if there == flows.len() || Instant::now() >= end {
            return there;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends several streams at the same time.
pub fn finish_all(flows: Vec<Flow>) -> Result<Vec<Report>, Error> {
    flows.iter().for_each(|flow| flow.stop.set());
    flows.into_iter().map(Flow::finish).collect()
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn listen(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(unspecified(at.ip()), at.port()))?;
    // A busy machine schedules the receiver late: the queue must hold some hundred milliseconds.
    socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20)?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

fn send(stream: Stream, stop: &AtomicBool) -> io::Result<Sent> {
    let socket = UdpSocket::bind(SocketAddr::new(
        unspecified(stream.to.ip()),
        stream.from_port,
    ))?;
    socket.connect(stream.to)?;
    let interval = Duration::from_secs(1) / stream.rate.max(1);
    let mut datagram = vec![0u8; stream.size.max(HEADER)];
    let (mut count, mut longest_pause) = (0u64, Duration::ZERO);
    let (mut due, mut before) = (Instant::now(), None::<Instant>);
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now < due {
            std::thread::sleep(due - now);
            continue;
        }
        due = (due + interval).max(now.checked_sub(interval * BURST).unwrap_or(now));
        datagram[4..HEADER].copy_from_slice(&count.to_be_bytes());
        match socket.send(&datagram) {
            // No route at this moment, or an ICMP error about an earlier one: it counts as sent and lost.
            Ok(_) | Err(_) => count += 1,
        }
        longest_pause = longest_pause.max(before.map_or(Duration::ZERO, |before| now - before));
        before = Some(now);
    }
    Ok(Sent {
        count,
        longest_pause,
    })
}

fn receive(socket: &UdpSocket, stop: &AtomicBool, heard: &AtomicU64) -> io::Result<Received> {
    let mut seen = Seen::default();
    let (mut duplicated, mut reordered, mut longest_gap) = (0, 0, Duration::ZERO);
    let (mut first, mut last) = (None::<Instant>, None::<Instant>);
    let mut highest = None::<u64>;
    let mut stopped = None::<Instant>;
    let mut buffer = vec![0u8; 65536];
    loop {
        if stop.load(Ordering::Relaxed) {
            let since = *stopped.get_or_insert_with(Instant::now);
            if since.elapsed() > LINGER {
                break;
            }
        }
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let Some(number) = buffer[..length]
            .get(4..HEADER)
            .and_then(|b| b.try_into().ok())
        else {
            continue;
        };
        let number = u64::from_be_bytes(number);
        longest_gap = longest_gap.max(last.map_or(Duration::ZERO, |last| now - last));
        (first, last) = (first.or(Some(now)), Some(now));
        if !seen.insert(number) {
            duplicated += 1;
            continue;
        }
        heard.fetch_add(1, Ordering::Relaxed);
        reordered += u64::from(highest.is_some_and(|highest| number < highest));
        highest = highest.max(Some(number));
    }
    Ok(Received {
        different: seen.count,
        duplicated,
        reordered,
        longest_gap,
        span: first
            .zip(last)
            .map_or(Duration::ZERO, |(first, last)| last - first),
    })
}

/// A set of sequence numbers, one bit each.
#[derive(Debug, Default)]
struct Seen {
    words: Vec<u64>,
    count: u64,
}

impl Seen {
    /// Adds a number; says whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        let Ok(word) = usize::try_from(number / 64) else {
            return false;
        };
        // A stream of a day has fewer; a stray datagram must not fill the memory.
        if word > 1 << 24 {
            return false;
        }
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (number % 64);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u64::from(new);
        new
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_over_loopback_loses_nothing() {
        let here = Namespace::current().unwrap();
        let to = "127.0.0.1:47110".parse().unwrap();
        let stream = Stream {
            to,
            rate: 2000,
            size: 64,
            from_port: 0,
        };
        let flow = flow(&here, &here, stream).unwrap();
        assert!(flow.wait_for(200, Duration::from_secs(5)));
        let report = flow.finish().unwrap();
        assert!(report.sent >= 200);
        assert_eq!(
            (report.lost, report.duplicated, report.reordered),
            (0, 0, 0)
        );
    }

    #[test]
    fn duplicates_and_disorder_are_counted() {
        let at = "127.0.0.1:47111".parse().unwrap();
        let (socket, stop) = (listen(at).unwrap(), AtomicBool::new(true));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in [0u64, 2, 1, 1, 3] {
            let mut datagram = vec![0u8; HEADER];
            datagram[4..].copy_from_slice(&number.to_be_bytes());
            sender.send_to(&datagram, at).unwrap();
        }
        let heard = AtomicU64::new(0);
        let got = receive(&socket, &stop, &heard).unwrap();
        assert_eq!((got.different, got.duplicated, got.reordered), (4, 1, 1));
    }
}
