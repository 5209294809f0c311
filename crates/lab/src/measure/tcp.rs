//! TCP: a session that talks all the time and notices every silence, and how fast connections are
//! opened, used and closed.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coax_netlink::Namespace;
use serde::Serialize;

use super::{Running, Stop, pin, start};
use crate::error::Error;

/// Bytes of one request and of its echo.
const MESSAGE: usize = 64;
/// A session without an answer for this long is dead.
const PATIENCE: Duration = Duration::from_secs(15);
/// Ports that connections are spread over, so that no pair of ports is used twice in a run.
const PORTS: u16 = 8;

/// What became of a session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionReport {
    /// Requests that were answered.
    pub exchanges: u64,
    /// Longest time between two answers, in milliseconds.
    pub longest_silence_ms: f64,
    /// Whether the session lived until it was ended.
    pub alive: bool,
    /// Why it died.
    pub error: Option<String>,
}

/// A session that is running.
#[derive(Debug)]
pub struct Session {
    stop: Stop,
    exchanges: Arc<AtomicU64>,
    client: Running<SessionReport>,
    server: Running<()>,
}

/// Opens a session that asks once per `interval` and waits for each answer.
pub fn session(
    from: &Namespace,
    to: &Namespace,
    address: SocketAddr,
    interval: Duration,
) -> Result<Session, Error> {
    let listener = super::run(to, move || TcpListener::bind(address))?;
    let server = start(to, move || echo(&listener));
    let (stop, exchanges) = (Stop::default(), Arc::new(AtomicU64::new(0)));
    let (stopped, count) = (stop.flag(), exchanges.clone());
    let stream = super::run(from, move || TcpStream::connect_timeout(&address, PATIENCE))?;
    let client = start(from, move || talk(stream, interval, &stopped, &count));
    Ok(Session {
        stop,
        exchanges,
        client,
        server,
    })
}

impl Session {
    /// How many requests were answered so far.
    pub fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// Ends the session.
    pub fn finish(self) -> Result<SessionReport, Error> {
        self.stop.set();
        let report = self.client.join()?;
        if report.alive {
            self.server.join()?;
        }
        Ok(report)
    }
}

fn echo(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut buffer = [0u8; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}

fn talk(
    mut stream: TcpStream,
    interval: Duration,
    stop: &AtomicBool,
    exchanges: &AtomicU64,
) -> io::Result<SessionReport> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut silence, mut last) = (Duration::ZERO, Instant::now());
    let mut error = None;
    while !stop.load(Ordering::Relaxed) {
        let number = exchanges.load(Ordering::Relaxed);
        match exchange(&mut stream, number) {
            Ok(()) => {
                exchanges.fetch_add(1, Ordering::Relaxed);
            }
            Err(failed) => {
                error = Some(failed.to_string());
                break;
            }
        }
        silence = silence.max(last.elapsed());
        last = Instant::now();
        std::thread::sleep(interval);
    }
    Ok(SessionReport {
        exchanges: exchanges.load(Ordering::Relaxed),
        longest_silence_ms: silence.as_secs_f64() * 1000.0,
        alive: error.is_none(),
        error,
    })
}

fn exchange(stream: &mut TcpStream, number: u64) -> io::Result<()> {
    let mut request = [0u8; MESSAGE];
    request[..8].copy_from_slice(&number.to_be_bytes());
    stream.write_all(&request)?;
    let mut answer = [0u8; MESSAGE];
    stream.read_exact(&mut answer)?;
    if answer == request {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the echo differs from the request",
        ))
    }
}

/// How connections went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConnectionReport {
    /// Connections that were opened, answered and closed.
    pub completed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Completed per second.
    pub rate: f64,
}

/// Opens, uses and closes connections one after the other for `time`, both ends on one processor. Ports
/// from `port` on are used.
pub fn connections(
    from: &Namespace,
    to: &Namespace,
    address: IpAddr,
    port: u16,
    time: Duration,
) -> Result<ConnectionReport, Error> {
    let stop = Stop::default();
    let listeners = super::run(to, move || {
        (0..PORTS)
            .map(|n| TcpListener::bind((address, port + n)))
            .collect::<io::Result<Vec<_>>>()
    })?;
    let servers: Vec<Running<()>> = listeners
        .into_iter()
        .map(|listener| {
            let stop = stop.flag();
            start(to, move || {
                pin(0)?;
                serve(&listener, &stop)
            })
        })
        .collect();
    let report = super::run(from, move || {
        pin(0)?;
        Ok(connect_all(address, port, time))
    });
    stop.set();
    // Each server waits in accept: one last connection lets it look at `stop`.
    super::run(to, move || {
        (0..PORTS).try_for_each(|n| TcpStream::connect((address, port + n)).map(drop))
    })?;
    servers.into_iter().try_for_each(Running::join)?;
    report
}

fn serve(listener: &TcpListener, stop: &AtomicBool) -> io::Result<()> {
    let mut buffer = [0u8; MESSAGE];
    loop {
        let (mut stream, _) = listener.accept()?;
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        // A client that gives up is counted at its end.
        let _ = stream
            .read(&mut buffer)
            .and_then(|length| stream.write_all(&buffer[..length]));
    }
}

fn connect_all(address: IpAddr, port: u16, time: Duration) -> ConnectionReport {
    let start = Instant::now();
    let (mut completed, mut failed) = (0u64, 0u64);
    while start.elapsed() < time {
        let number = u16::try_from(completed % u64::from(PORTS)).unwrap_or(0);
        match connect_one(SocketAddr::new(address, port + number)) {
            Ok(()) => completed += 1,
            Err(error) => {
                tracing::debug!(%error, "a connection failed");
                failed += 1;
            }
        }
    }
    ConnectionReport {
        completed,
        failed,
        rate: completed as f64 / start.elapsed().as_secs_f64(),
    }
}

fn connect_one(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(&[1; 16])?;
    stream.read_exact(&mut [0; 16])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_session_over_loopback_stays_alive() {
        let here = Namespace::current().unwrap();
        let address = "127.0.0.1:47120".parse().unwrap();
        let session = session(&here, &here, address, Duration::from_micros(100)).unwrap();
        while session.exchanges() < 50 {
            std::thread::yield_now();
        }
        let report = session.finish().unwrap();
        assert!(report.alive && report.exchanges >= 50, "{report:?}");
    }

    #[test]
    fn connections_are_counted() {
        let here = Namespace::current().unwrap();
        let address = "127.0.0.1".parse().unwrap();
        let time = Duration::from_millis(100);
        let report = connections(&here, &here, address, 47130, time).unwrap();
        assert!(report.completed > 10 && report.failed == 0, "{report:?}");
    }
}
