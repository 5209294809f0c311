//! ICMP and ICMPv6 echo to many targets at once, from one raw socket per family.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, recvfrom};
use serde::Serialize;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Below this, waiting is done in naps.
const COARSE: Duration = Duration::from_millis(10);
const NAP: Duration = Duration::from_micros(100);
const ECHO_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
/// Length of an echo message's header.
const HEADER: usize = 8;

/// How to ping.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long to wait in total.
    pub limit: Duration,
    /// How often to try a target that does not answer.
    pub tries: u32,
    /// Bytes after the ICMP header.
    pub payload: usize,
    /// Between two tries for a target that has not answered.
    pub interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(1),
            tries: 3,
            payload: 48,
            interval: Duration::from_millis(200),
        }
    }
}

/// What became of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pinged {
    /// The target.
    pub target: IpAddr,
    /// Time to the first answer; none if there was none.
    pub answered: Option<Duration>,
    /// How many requests were sent.
    pub tries: u32,
}

/// Pings all targets from the namespace of the calling thread.
pub fn ping(targets: &[IpAddr], options: Options) -> io::Result<Vec<Pinged>> {
    let mut results = Vec::with_capacity(targets.len());
    for v6 in [false, true] {
        let family: Vec<IpAddr> = targets
            .iter()
            .copied()
            .filter(|t| t.is_ipv6() == v6)
            .collect();
        if !family.is_empty() {
            results.extend(Pinger::open(v6, options)?.all(&family)?);
        }
    }
    // As they were asked for.
    results.sort_by_key(|r| targets.iter().position(|target| *target == r.target));
    Ok(results)
}

struct Pinger {
    socket: Socket,
    v6: bool,
    identifier: u16,
    options: Options,
}

impl Pinger {
    fn open(v6: bool, options: Options) -> io::Result<Self> {
        let (domain, protocol) = if v6 {
            (Domain::IPV6, Protocol::ICMPV6)
        } else {
            (Domain::IPV4, Protocol::ICMPV4)
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        // Answers to another pinger of the same namespace are told apart by the identifier.
        let unspecified: IpAddr = if v6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        socket.bind(&SockAddr::from(SocketAddr::new(unspecified, 0)))?;
        let identifier = rand_u16();
        Ok(Self {
            socket,
            v6,
            identifier,
            options,
        })
    }

    fn all(&self, targets: &[IpAddr]) -> io::Result<Vec<Pinged>> {
        let start = Instant::now();
        let pinged = |target: &IpAddr| Pinged {
            target: *target,
            answered: None,
            tries: 0,
        };
        let mut results: Vec<Pinged> = targets.iter().map(pinged).collect();
        let mut sent = vec![start; targets.len()];
        for round in 0..self.options.tries {
            for (index, result) in results.iter_mut().enumerate() {
                if result.answered.is_none() {
                    sent[index] = Instant::now();
                    result.tries += 1;
                    self.send(index, result.target);
                }
            }
            let last = round + 1 == self.options.tries;
            let limit = start + self.options.limit;
            let end = if last {
                limit
            } else {
                limit.min(Instant::now() + self.options.interval)
            };
            self.collect(&mut results, &sent, end)?;
            if Instant::now() >= limit || results.iter().all(|r| r.answered.is_some()) {
                break;
            }
        }
        Ok(results)
    }

    /// Sends one request. That there is no route is an answer too: none.
    fn send(&self, index: usize, target: IpAddr) {
        let mut message = vec![0u8; HEADER + self.options.payload];
        message[0] = if self.v6 { ECHO_V6 } else { ECHO_V4 };
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&sequence(index).to_be_bytes());
        for (offset, byte) in message[HEADER..].iter_mut().enumerate() {
            *byte = (offset % 251) as u8;
        }
        if !self.v6 {
            // The kernel fills in the checksum of ICMPv6 only.
            let checksum = checksum(&message);
            message[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
        let address = SockAddr::from(SocketAddr::new(target, 0));
        if let Err(error) = self.socket.send_to(&message, &address) {
            tracing::debug!(%target, %error, "no echo request sent");
        }
    }

    fn collect(&self, results: &mut [Pinged], sent: &[Instant], end: Instant) -> io::Result<()> {
        let mut buffer = vec![0u8; 65536];
        while results.iter().any(|r| r.answered.is_none()) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // A time-out of the kernel's is a multiple of its clock's ticks, which can be too coarse.
            let briefly = left < COARSE;
            self.socket.set_nonblocking(briefly)?;
            if !briefly {
                self.socket.set_read_timeout(Some(left))?;
            }
            let (length, from) = match receive(&self.socket, &mut buffer) {
                Ok(received) => received,
                Err(Errno::EAGAIN) if briefly => {
                    std::thread::sleep(left.min(NAP));
                    continue;
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(from) = from else {
                continue;
            };
            if let Some(index) = self.answer(&buffer[..length], from, results) {
                results[index].answered = Some(sent[index].elapsed());
            }
        }
        Ok(())
    }

    /// The target that a message is the answer of.
    fn answer(&self, message: &[u8], from: IpAddr, results: &[Pinged]) -> Option<usize> {
        // A raw IPv4 socket gets the IP header too.
        let header = if self.v6 {
            0
        } else {
            usize::from(message.first()? & 0x0f) * 4
        };
        let message = message.get(header..)?;
        let reply = if self.v6 {
            ECHO_REPLY_V6
        } else {
            ECHO_REPLY_V4
        };
        let identifier = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
        let number = u16::from_be_bytes(message.get(6..8)?.try_into().ok()?);
        let ours = *message.first()? == reply && identifier == self.identifier;
        let whole = message.len() == HEADER + self.options.payload;
        let waiting = |(index, result): &(usize, &Pinged)| {
            sequence(*index) == number && result.target == from && result.answered.is_none()
        };
        let found = results.iter().enumerate().find(waiting);
        found.filter(|_| ours && whole).map(|(index, _)| index)
    }
}

fn sequence(index: usize) -> u16 {
    (index % usize::from(u16::MAX)) as u16
}

/// Two bytes that differ from call to call.
fn rand_u16() -> u16 {
    use std::hash::{BuildHasher, Hasher};
    let hash = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    hash as u16
}

/// Receives a message with its sender. (socket2's own function hands out uninitialised memory.)
fn receive(socket: &Socket, buffer: &mut [u8]) -> Result<(usize, Option<IpAddr>), Errno> {
    let (length, from) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer)?;
    let address = from.and_then(|from| {
        let v4 = from.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| from.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    });
    Ok((length, address))
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
