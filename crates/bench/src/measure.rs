//! Traffic between two VMs and what it costs.
//!
//! Sender and receiver are plain sockets on threads that are pinned to a CPU each, so that every
//! datapath is driven in the same way.

mod flows;
mod neighbour;

pub use flows::new_flows;
pub use neighbour::{Conduct, Neighbour};

use crate::Error;
use coax_netlink::Namespace;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_millis(200);

/// The CPU that sends.
pub const SENDING_CPU: usize = 0;

/// The CPU that receives.
pub const RECEIVING_CPU: usize = 1;

/// Payload of a UDP datagram in a frame of 64 bytes with its check sequence.
const SMALL: usize = 18;

/// What one run of UDP datagrams showed.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams {
    /// Datagrams that the receiver got, per second.
    pub per_second: f64,
    /// CPU time of the whole machine per datagram that arrived, in nanoseconds.
    pub cpu_per_packet: f64,
}

/// Binds the calling thread to one CPU.
fn pin(cpu: usize) {
    let mut cpus = CpuSet::new();
    // Without the permission the run goes on unpinned; the rounds' spread then shows it.
    let _ = cpus
        .set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &cpus));
}

/// CPU time that everything on the machine used so far.
fn busy() -> Result<Duration, Error> {
    let text = std::fs::read_to_string("/proc/stat").map_err(Error::io("read /proc/stat"))?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    // Fields 3 and 4 are idle and waiting for a disk.
    let used: u64 =
        ticks.iter().take(8).sum::<u64>() - ticks.get(3).unwrap_or(&0) - ticks.get(4).unwrap_or(&0);
    Ok(Duration::from_millis(used * 10))
}

/// A thread inside a VM on one CPU, which runs until told to stop.
struct Worker<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<T>>,
}

impl<T: Send + 'static> Worker<T> {
    fn start(
        cpu: usize,
        work: impl FnOnce(&AtomicBool) -> std::io::Result<T> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            pin(cpu);
            work(&flag)
        });
        Self { stop, thread }
    }

    fn end(self) -> Result<T, Error> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(result) => result.map_err(Error::io("run traffic")),
            Err(_) => Err(Error::Traffic {
                what: "a traffic thread".to_owned(),
                expected: "a result".to_owned(),
                found: "a panic".to_owned(),
            }),
        }
    }
}

fn udp(vm: &Namespace, address: Ipv4Addr, port: u16) -> Result<UdpSocket, Error> {
    let socket = vm
        .run(move || UdpSocket::bind(SocketAddr::new(address.into(), port)))?
        .map_err(Error::io("bind a UDP socket"))?;
    socket
        .set_read_timeout(Some(PATIENCE))
        .map_err(Error::io("set a time-out"))?;
    Ok(socket)
}

fn listen(vm: &Namespace, address: Ipv4Addr, port: u16) -> Result<TcpListener, Error> {
    vm.run(move || TcpListener::bind(SocketAddr::new(address.into(), port)))?
        .map_err(Error::io("listen"))
}

/// Small datagrams of many flows in turn, as fast as one CPU sends them; the receiver has the other CPU.
///
/// # Errors
/// When a socket fails.
pub fn datagrams(
    vms: &[Namespace; 2],
    addresses: [Ipv4Addr; 2],
    time: Duration,
    flows: u16,
) -> Result<Datagrams, Error> {
    let senders = flows::sockets(&vms[0], addresses[0], flows)?;
    let receiver = udp(&vms[1], addresses[1], 5000)?;
    for sender in &senders {
        sender
            .connect((addresses[1], 5000))
            .map_err(Error::io("connect"))?;
    }
    let arrived = Arc::new(AtomicU64::new(0));
    let receiving = flows::count(receiver, Arc::clone(&arrived), flows.into());
    let sending = Worker::start(SENDING_CPU, move |stop| {
        while !stop.load(Ordering::Relaxed) {
            for sender in &senders {
                // A full queue is part of the measurement.
                let _ = sender.send(&[0x5a; SMALL]);
            }
        }
        Ok(())
    });
    std::thread::sleep(Duration::from_millis(200));
    let (start, before, used) = (Instant::now(), arrived.load(Ordering::Relaxed), busy()?);
    std::thread::sleep(time);
    let (elapsed, after, end) = (start.elapsed(), arrived.load(Ordering::Relaxed), busy()?);
    sending.end()?;
    receiving.end()?;
    if after == before {
        return Err(nothing("UDP datagrams"));
    }
    let packets = (after - before) as f64;
    Ok(Datagrams {
        per_second: packets / elapsed.as_secs_f64(),
        cpu_per_packet: end.saturating_sub(used).as_nanos() as f64 / packets,
    })
}

fn nothing(what: &str) -> Error {
    Error::Traffic {
        what: what.to_owned(),
        expected: "some to arrive".to_owned(),
        found: "none".to_owned(),
    }
}

/// One TCP stream, in bits per second.
///
/// # Errors
/// When a socket fails.
pub fn stream(
    vms: &[Namespace; 2],
    addresses: [Ipv4Addr; 2],
    time: Duration,
) -> Result<f64, Error> {
    let listener = listen(&vms[1], addresses[1], 5001)?;
    let arrived = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&arrived);
    let receiving = Worker::start(RECEIVING_CPU, move |_| {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                bytes => count.fetch_add(bytes as u64, Ordering::Relaxed),
            };
        }
    });
    let mut stream = connect(&vms[0], addresses[1], 5001)?;
    // bbr, the default of some machines, paces; what a datapath can carry shows with cubic.
    setsockopt(&stream, sockopt::TcpCongestion, &OsString::from("cubic"))
        .map_err(|error| Error::io("choose cubic")(error.into()))?;
    let sending = Worker::start(SENDING_CPU, move |stop| {
        let data = vec![0x5a; 1 << 18];
        while !stop.load(Ordering::Relaxed) {
            stream.write_all(&data)?;
        }
        stream.shutdown(Shutdown::Both)
    });
    std::thread::sleep(Duration::from_millis(300));
    let (start, before) = (Instant::now(), arrived.load(Ordering::Relaxed));
    std::thread::sleep(time);
    let (elapsed, after) = (start.elapsed(), arrived.load(Ordering::Relaxed));
    sending.end()?;
    receiving.end()?;
    Ok((after - before) as f64 * 8.0 / elapsed.as_secs_f64())
}

fn connect(vm: &Namespace, address: Ipv4Addr, port: u16) -> Result<TcpStream, Error> {
    vm.run(move || TcpStream::connect((address, port)))?
        .map_err(Error::io("connect"))
}

/// Times from a datagram to its answer, in nanoseconds, both ends on one CPU; the shortest first.
///
/// # Errors
/// When a socket fails.
pub fn round_trips(
    vms: &[Namespace; 2],
    addresses: [Ipv4Addr; 2],
    time: Duration,
) -> Result<Vec<f64>, Error> {
    let asking = udp(&vms[0], addresses[0], 0)?;
    let answering = udp(&vms[1], addresses[1], 5002)?;
    asking
        .connect((addresses[1], 5002))
        .map_err(Error::io("connect"))?;
    let answers = Worker::start(SENDING_CPU, move |stop| {
        let mut buffer = [0; 64];
        while !stop.load(Ordering::Relaxed) {
            if let Ok((length, from)) = answering.recv_from(&mut buffer) {
                let _ = answering.send_to(&buffer[..length], from);
            }
        }
        Ok(())
    });
    let questions = Worker::start(SENDING_CPU, move |_| {
        let end = Instant::now() + time;
        let mut samples = Vec::new();
        let mut buffer = [0; 64];
        while Instant::now() < end {
            let start = Instant::now();
            asking.send(&[0x5a; SMALL])?;
            if asking.recv(&mut buffer).is_ok() {
                samples.push(start.elapsed().as_nanos() as f64);
            }
        }
        Ok(samples)
    });
    std::thread::sleep(time);
    let mut samples = questions.end()?;
    answers.end()?;
    samples.sort_by(f64::total_cmp);
    Ok(samples)
}

/// TCP connections with one request and one response each, per second.
///
/// # Errors
/// When a socket fails.
pub fn connections(
    vms: &[Namespace; 2],
    addresses: [Ipv4Addr; 2],
    time: Duration,
    port: u16,
) -> Result<f64, Error> {
    let listener = listen(&vms[1], addresses[1], port)?;
    listener
        .set_nonblocking(false)
        .map_err(Error::io("listen"))?;
    let serving = Worker::start(RECEIVING_CPU, move |_| {
        let mut served = 0u64;
        loop {
            let (mut stream, _) = listener.accept()?;
            let mut request = [0; 64];
            match stream.read(&mut request)? {
                // A connection without a request is the sign to stop.
                0 => return Ok(served),
                length => stream.write_all(&request[..length])?,
            }
            served += 1;
        }
    });
    let done = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&done);
    let target = SocketAddr::new(addresses[1].into(), port);
    let vm = Namespace::open(vms[0].name())?;
    let asking = Worker::start(SENDING_CPU, move |stop| {
        let run = || -> std::io::Result<()> {
            pin(SENDING_CPU);
            while !stop.load(Ordering::Relaxed) {
                let mut stream = TcpStream::connect(target)?;
                stream.write_all(&[0x5a; 32])?;
                let mut response = [0; 64];
                stream.read_exact(&mut response[..32])?;
                // Closing with a reset spares the port table the minute of TIME_WAIT.
                setsockopt(
                    &stream,
                    sockopt::Linger,
                    &nix::libc::linger {
                        l_onoff: 1,
                        l_linger: 0,
                    },
                )?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            drop(TcpStream::connect(target)?);
            Ok(())
        };
        vm.run(run).map_err(std::io::Error::other)?
    });
    std::thread::sleep(Duration::from_millis(200));
    let (start, before) = (Instant::now(), done.load(Ordering::Relaxed));
    std::thread::sleep(time);
    let (elapsed, after) = (start.elapsed(), done.load(Ordering::Relaxed));
    asking.end()?;
    serving.end()?;
    Ok((after - before) as f64 / elapsed.as_secs_f64())
}

/// The middle value; 0 when there is none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[length / 2],
        length => (values[length / 2 - 1] + values[length / 2]) / 2.0,
    }
}

/// The value below which 99 of 100 are; 0 when there is none. They are sorted.
pub fn percentile_99(sorted: &[f64]) -> f64 {
    let place = sorted.len().saturating_sub(1) * 99 / 100;
    sorted.get(place).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::{median, percentile_99};

    #[test]
    fn the_slowest_hundredth() {
        assert_eq!(percentile_99(&[]), 0.0);
        let sorted: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(percentile_99(&sorted), 990.0);
    }

    #[test]
    fn the_middle() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
