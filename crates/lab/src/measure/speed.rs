//! How fast: one TCP stream, small UDP datagrams per second, round trip time. Both ends are pinned
//! to processors, because a scheduler that moves them measures itself.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use coax_netlink::Namespace;
use serde::Serialize;
use socket2::SockRef;

use super::{pin, run, start};
use crate::error::Error;

/// UDP payload of a 64 byte Ethernet frame (with its checksum) over IPv4.
const SMALL: usize = 18;
/// What is written and read at once; more would not fit into the processors' caches.
const CHUNK: usize = 128 << 10;
/// Congestion control: pacing ones measure their own timers.
const CONGESTION: &[u8] = b"cubic";
/// First byte of the datagram that ends a flood.
const END: u8 = 0xff;
/// Where the kernel tells what processors did.
const STAT: &str = "/proc/stat";
/// Round trips before those that count.
const WARM_UP: usize = 50;

/// Round trip times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RoundTrip {
    /// The median, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 were faster, in microseconds.
    pub p99_us: f64,
}

/// One TCP stream for `time`: gigabits per second that arrived.
pub fn tcp_stream(
    from: &Namespace,
    to: &Namespace,
    address: SocketAddr,
    time: Duration,
) -> Result<f64, Error> {
    let listener = run(to, move || {
        let listener = TcpListener::bind(address)?;
        SockRef::from(&listener).set_tcp_congestion(CONGESTION)?;
        Ok(listener)
    })?;
    let receiver = start(to, move || {
        pin(1)?;
        let (mut stream, _) = listener.accept()?;
        let (mut buffer, mut bytes) = (vec![0u8; CHUNK], 0u64);
        let start = Instant::now();
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9),
                length => bytes += length as u64,
            }
        }
    });
    let sender = start(from, move || {
        pin(0)?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        SockRef::from(&stream).set_tcp_congestion(CONGESTION)?;
        let (chunk, end) = (vec![0x5a; CHUNK], Instant::now() + time);
        while Instant::now() < end {
            stream.write_all(&chunk)?;
        }
        Ok(())
    });
    sender.join()?;
    receiver.join()
}

/// Small UDP datagrams as fast as one sender can for `time`: thousands per second that arrived.
pub fn udp_flood(
    from: &Namespace,
    to: &Namespace,
    address: SocketAddr,
    time: Duration,
) -> Result<f64, Error> {
    let socket = run(to, move || {
        let socket = UdpSocket::bind(address)?;
        SockRef::from(&socket).set_recv_buffer_size(8 << 20)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    })?;
    let receiver = start(to, move || {
        pin(1)?;
        count(&socket)
    });
    let sender = start(from, move || {
        pin(0)?;
        let socket = UdpSocket::bind(unspecified(address))?;
        socket.connect(address)?;
        let (mut datagram, end) = ([0u8; SMALL], Instant::now() + time);
        while Instant::now() < end {
            for _ in 0..64 {
                socket.send(&datagram)?;
            }
        }
        datagram[0] = END;
        // The queue is full at this moment: the end must not be what is lost.
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(5));
            if socket.send(&datagram).is_err() {
                // Refused: the receiver has seen the end and is gone.
                break;
            }
        }
        Ok(())
    });
    sender.join()?;
    receiver.join()
}

fn count(socket: &UdpSocket) -> io::Result<f64> {
    let mut buffer = [0u8; 64];
    let (mut datagrams, mut first, mut last) = (0u64, None::<Instant>, Instant::now());
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) if buffer[0] == END => break,
            Ok(_) => {
                datagrams += 1;
                first.get_or_insert_with(Instant::now);
                if datagrams.is_multiple_of(64) {
                    last = Instant::now();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    let time = first.map_or(0.0, |first| {
        (last.saturating_duration_since(first)).as_secs_f64()
    });
    Ok(if time > 0.0 {
        datagrams as f64 / time / 1000.0
    } else {
        0.0
    })
}

/// UDP request and answer, one after the other, both ends on one processor.
pub fn round_trip(
    from: &Namespace,
    to: &Namespace,
    address: SocketAddr,
    samples: usize,
) -> Result<RoundTrip, Error> {
    let socket = run(to, move || UdpSocket::bind(address))?;
    let server = start(to, move || {
        pin(0)?;
        let mut buffer = [0u8; 64];
        loop {
            let (length, from) = socket.recv_from(&mut buffer)?;
            if buffer[0] == END {
                return Ok(());
            }
            socket.send_to(&buffer[..length], from)?;
        }
    });
    let times = run(from, move || {
        pin(0)?;
        let socket = UdpSocket::bind(unspecified(address))?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        let (mut times, mut buffer) = (Vec::with_capacity(samples), [0u8; 64]);
        for round in 0..samples + WARM_UP {
            let start = Instant::now();
            socket.send(&[0; SMALL])?;
            socket.recv(&mut buffer)?;
            if round >= WARM_UP {
                times.push(start.elapsed());
            }
        }
        socket.send(&[END; SMALL])?;
        Ok(times)
    });
    let mut times = times?;
    server.join()?;
    times.sort_unstable();
    let us = |per_cent: usize| {
        let place = (times.len() * per_cent / 100).min(times.len().saturating_sub(1));
        times
            .get(place)
            .map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    Ok(RoundTrip {
        p50_us: us(50),
        p99_us: us(99),
    })
}

/// How much of the machine's processors others use, from 0 to 1, while this thread does nothing for
/// `time`. A figure that was measured while others worked says little.
pub fn busy(time: Duration) -> Result<f64, Error> {
    let read = || -> Result<(f64, f64), Error> {
        let text = std::fs::read_to_string(STAT).map_err(Error::io("read", STAT))?;
        let first = text.lines().next().unwrap_or_default();
        let counts: Vec<f64> = first
            .split_whitespace()
            .skip(1)
            .filter_map(|count| count.parse().ok())
            .collect();
        // user, nice, system, idle, iowait, …; guests are in user and nice already.
        let idle = counts.iter().skip(3).take(2).sum();
        Ok((counts.iter().take(8).sum(), idle))
    };
    let (total, idle) = read()?;
    std::thread::sleep(time);
    let (total_after, idle_after) = read()?;
    let passed = (total_after - total).max(1.0);
    Ok((1.0 - (idle_after - idle) / passed).clamp(0.0, 1.0))
}

fn unspecified(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0u16; 8], 0)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_a_speed() {
        let here = Namespace::current().unwrap();
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let time = Duration::from_millis(50);
        assert!(tcp_stream(&here, &here, at(47140), time).unwrap() > 0.01);
        assert!(udp_flood(&here, &here, at(47141), time).unwrap() > 1.0);
        let trip = round_trip(&here, &here, at(47142), 100).unwrap();
        assert!(trip.p50_us > 0.0 && trip.p50_us <= trip.p99_us);
    }
}
