//! A VM of another project beside the measured one: as busy as anybody may be, or hostile.
//!
//! Both conducts send as fast as the second CPU lets them; hostile is what makes a virtual switch work hard: every datagram
//! another flow, some of them to addresses that nobody has, and connections whose pair of ports is still in TIME_WAIT.

use super::{SMALL, Worker, listen, pin};
use crate::Error;
use crate::rows::Tenant;
use coax_netlink::Namespace;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The neighbour's CPU; the measured VM sends from the other one.
const CPU: usize = 1;
/// Where the peer listens.
const TCP_PORT: u16 = 7000;
const UDP_PORT: u16 = 7001;
/// Client ports that are used again and again.
const REUSED_PORTS: u16 = 4;
/// Sockets that the hostile neighbour sends from, in turn.
const SOCKETS: u16 = 64;
/// Addresses that nobody has, and their MAC addresses.
const UNKNOWN: u8 = 16;
/// One in so many datagrams goes to one of them.
const UNKNOWN_SHARE: u64 = 16;

/// How a neighbour behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conduct {
    /// One flow of datagrams, and one connection after the other, each from a port of its own.
    Busy,
    /// New flows, unknown addresses, ports in TIME_WAIT.
    Hostile,
}

/// The neighbour's traffic, until its end.
pub struct Neighbour {
    sending: Worker<()>,
    connecting: Worker<()>,
    serving: Worker<()>,
    sink: UdpSocket,
    vm: Namespace,
    peer: Ipv4Addr,
    flows: Arc<AtomicU64>,
    started: Instant,
}

impl Neighbour {
    /// Lets the first of the VMs behave so towards the second.
    ///
    /// # Errors
    /// When a socket or a thread fails.
    pub async fn start(vms: &[Namespace], conduct: Conduct) -> Result<Self, Error> {
        let [vm, peer_vm] = vms else {
            return Err(Error::Traffic {
                what: "a neighbour".to_owned(),
                expected: "two VMs".to_owned(),
                found: vms.len().to_string(),
            });
        };
        let [own, peer] = [0, 1].map(|place| Tenant::Neighbour.vm(place).ipv4);
        let flows = Arc::new(AtomicU64::new(0));
        let listener = listen(peer_vm, peer, TCP_PORT)?;
        // Whatever is not read from it is dropped there.
        let sink = super::udp(peer_vm, peer, UDP_PORT)?;
        let sockets = match conduct {
            Conduct::Busy => 1,
            Conduct::Hostile => SOCKETS,
        };
        let senders = super::flows::sockets(vm, own, sockets)?;
        invent_neighbours(vm).await?;
        let count = Arc::clone(&flows);
        let sending = Worker::start(CPU, move |stop| {
            match conduct {
                Conduct::Busy => one_flow(&senders, peer, stop),
                Conduct::Hostile => many_flows(&senders, peer, stop, &count),
            }
            Ok(())
        });
        let inside = Namespace::open(vm.name())?;
        let connecting = Worker::start(CPU, move |stop| {
            let run = || connections(conduct, own, peer, stop);
            inside.run(run).map_err(std::io::Error::other)?
        });
        Ok(Self {
            sending,
            connecting,
            serving: Worker::start(CPU, move |stop| serve(&listener, stop)),
            sink,
            vm: Namespace::open(vm.name())?,
            peer,
            flows,
            started: Instant::now(),
        })
    }

    /// Ends it; says how many flows a second it began.
    ///
    /// # Errors
    /// When its traffic failed meanwhile.
    pub fn end(self) -> Result<f64, Error> {
        let elapsed = self.started.elapsed();
        self.sending.end()?;
        self.connecting.end()?;
        self.serving.stop.store(true, Ordering::Relaxed);
        // The server looks up when somebody comes.
        drop(super::connect(&self.vm, self.peer, TCP_PORT)?);
        self.serving.end()?;
        drop(self.sink);
        Ok(self.flows.load(Ordering::Relaxed) as f64 / elapsed.as_secs_f64())
    }
}

/// The VM believes that it knows who has these addresses, so that frames go out.
async fn invent_neighbours(vm: &Namespace) -> Result<(), Error> {
    let netlink = vm.netlink()?;
    let device = netlink.link("eth0").await?.index;
    for number in 0..UNKNOWN {
        let mac = [0x06, 0, 0, 0, 1, number];
        netlink
            .set_neighbour(device, unknown(number).into(), mac)
            .await?;
    }
    Ok(())
}

fn unknown(number: u8) -> Ipv4Addr {
    let [a, b, c, _] = Tenant::Neighbour.vm(0).ipv4.octets();
    Ipv4Addr::new(a, b, c, 200 + number)
}

fn one_flow(senders: &[UdpSocket], peer: Ipv4Addr, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for sender in senders {
            // A full queue is part of the traffic.
            let _ = sender.send_to(&[0x5a; SMALL], (peer, UDP_PORT));
        }
    }
}

fn many_flows(senders: &[UdpSocket], peer: Ipv4Addr, stop: &AtomicBool, flows: &AtomicU64) {
    let ports = (1..=u16::MAX).cycle();
    for (number, port) in (0u64..).zip(ports) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        for sender in senders {
            let _ = sender.send_to(&[0x5a; SMALL], (peer, port));
        }
        flows.fetch_add(senders.len() as u64, Ordering::Relaxed);
        if number.is_multiple_of(UNKNOWN_SHARE) {
            for (host, sender) in (0..UNKNOWN).cycle().zip(senders) {
                let _ = sender.send_to(&[0x5a; SMALL], (unknown(host), port));
            }
        }
    }
}

/// One connection after the other. The server closes first, so that its end is the one in TIME_WAIT.
fn connections(
    conduct: Conduct,
    own: Ipv4Addr,
    peer: Ipv4Addr,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    pin(CPU);
    let mut number = 0u16;
    while !stop.load(Ordering::Relaxed) {
        let port = match conduct {
            Conduct::Busy => 0,
            Conduct::Hostile => 20_000 + number % REUSED_PORTS,
        };
        number = number.wrapping_add(1);
        // A port that the server's kernel or the switch does not give yet: the next one.
        if let Ok(mut stream) = connect_from(SocketAddrV4::new(own, port), peer) {
            stream.set_read_timeout(Some(Duration::from_millis(50)))?;
            let _ = stream.read(&mut [0; 1]);
        }
    }
    Ok(())
}

fn connect_from(own: SocketAddrV4, peer: Ipv4Addr) -> std::io::Result<TcpStream> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    // A lost SYN must not hold the loop up for a second.
    setsockopt(
        &socket,
        sockopt::SendTimeout,
        &nix::sys::time::TimeVal::new(0, 50_000),
    )?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(own))?;
    let peer = SockaddrIn::from(SocketAddrV4::new(peer, TCP_PORT));
    connect(socket.as_raw_fd(), &peer)?;
    Ok(TcpStream::from(socket))
}

fn serve(listener: &TcpListener, stop: &AtomicBool) -> std::io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        drop(listener.accept()?);
    }
    Ok(())
}
