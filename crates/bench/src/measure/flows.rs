//! Datagrams of many flows: known ones in turn, and new ones.

use super::{RECEIVING_CPU, SENDING_CPU, SMALL, Worker, nothing, udp};
use crate::Error;
use coax_netlink::Namespace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Source port of the first flow.
const FIRST_PORT: u16 = 10_000;

/// How long a last datagram may be under way.
const ARRIVAL: Duration = Duration::from_millis(20);

/// One socket for each flow.
pub(super) fn sockets(
    vm: &Namespace,
    address: Ipv4Addr,
    flows: u16,
) -> Result<Vec<UdpSocket>, Error> {
    allow_files(u64::from(flows) + 1000)?;
    let bind = move || -> std::io::Result<Vec<UdpSocket>> {
        (0..flows)
            .map(|flow| UdpSocket::bind(SocketAddr::new(address.into(), FIRST_PORT + flow)))
            .collect()
    };
    vm.run(bind)?.map_err(Error::io("bind UDP sockets"))
}

fn allow_files(files: u64) -> Result<(), Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|error| Error::io("read limits")(error.into()))?;
    if soft >= files {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, files, hard.max(files))
        .map_err(|error| Error::io("allow as many sockets as flows")(error.into()))
}

/// Counts what arrives, on the receiver's CPU. The first `answered` datagrams are answered: connection tracking of most
/// kinds knows a flow only when it has seen both directions.
pub(super) fn count(receiver: UdpSocket, arrived: Arc<AtomicU64>, answered: u64) -> Worker<()> {
    Worker::start(RECEIVING_CPU, move |stop| {
        let mut buffer = [0; 64];
        while !stop.load(Ordering::Relaxed) {
            if let Ok((length, from)) = receiver.recv_from(&mut buffer)
                && arrived.fetch_add(1, Ordering::Relaxed) < answered
            {
                receiver.send_to(&buffer[..length], from)?;
            }
        }
        Ok(())
    })
}

/// Flows of one datagram each, as fast as one CPU begins them: how many arrive per second. Whoever uses a `port` for the
/// first time begins flows that nobody has seen.
///
/// # Errors
/// When a socket fails.
pub fn new_flows(
    vms: &[Namespace; 2],
    addresses: [Ipv4Addr; 2],
    flows: u16,
    port: u16,
) -> Result<f64, Error> {
    let senders = sockets(&vms[0], addresses[0], flows)?;
    let receiver = udp(&vms[1], addresses[1], port)?;
    let arrived = Arc::new(AtomicU64::new(0));
    let receiving = count(receiver, Arc::clone(&arrived), 0);
    let to = SocketAddr::new(addresses[1].into(), port);
    let sending = Worker::start(SENDING_CPU, move |_| {
        let start = Instant::now();
        for sender in &senders {
            let _ = sender.send_to(&[0x5a; SMALL], to);
        }
        Ok(start.elapsed())
    });
    let elapsed = sending.end()?;
    std::thread::sleep(ARRIVAL);
    receiving.end()?;
    match arrived.load(Ordering::Relaxed) {
        0 => Err(nothing("new UDP flows")),
        arrived => Ok(arrived as f64 / elapsed.as_secs_f64()),
    }
}
