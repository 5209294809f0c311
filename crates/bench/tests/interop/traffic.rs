//! Traffic of programs in the VMs: plain sockets, and ping.

use crate::capture::PATIENCE;
use coax_bench::pair::Pair;
use coax_bench::vm::Vm;
use coax_netlink::Namespace;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::net::{Shutdown, UdpSocket};
use std::process::{Command, Stdio};

/// Sizes around everything that has a limit: empty, one byte, 64-byte frames, the MTU.
pub const SIZES: [usize; 9] = [0, 1, 17, 18, 64, 511, 1024, 1451, 1452];

/// The port of RFC 862: tshark sees nothing but bytes in what goes there, where it would take noise
/// at another port for this or that protocol, and complain about it.
const ECHO: u16 = 7;

fn bind(vm: &Namespace, address: IpAddr, port: u16) -> UdpSocket {
    let socket = vm
        .run(move || UdpSocket::bind(SocketAddr::new(address, port)))
        .unwrap()
        .unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Bytes that differ from place to place and from seed to seed.
pub fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Datagrams of all `sizes` there and back.
pub fn datagrams(pair: &Pair, ipv6: bool, sizes: &[usize]) {
    let addresses = [1, 2].map(|vm| Vm::number(vm).address(ipv6));
    let sockets = [0, 1].map(|vm| bind(&pair.vms[vm], addresses[vm], ECHO));
    let mut buffer = vec![0; 1 << 16];
    for (from, to) in [(0, 1), (1, 0)] {
        for &size in sizes {
            let sent = noise(size, size as u32);
            sockets[from].send_to(&sent, (addresses[to], ECHO)).unwrap();
            let length = sockets[to]
                .recv(&mut buffer)
                .unwrap_or_else(|error| panic!("{size} bytes from VM {}: {error}", from + 1));
            assert_eq!(buffer[..length], sent[..], "{size} bytes");
        }
    }
}

/// A TCP stream of `length` bytes from VM `from` (0 or 1) to the other one.
pub fn stream(pair: &Pair, from: usize, ipv6: bool, length: usize) {
    let to = 1 - from;
    let target = Vm::number(to as u8 + 1).address(ipv6);
    stream_between(&pair.vms[from], &pair.vms[to], target, length);
}

/// A TCP stream of `length` bytes to the address `target` of `to`.
pub fn stream_between(from: &Namespace, to: &Namespace, target: IpAddr, length: usize) {
    let target = SocketAddr::new(target, ECHO);
    let listener = to.run(move || TcpListener::bind(target)).unwrap().unwrap();
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).map(|_| received)
    });
    let sent = noise(length, 7);
    let mut stream = from
        .run(move || TcpStream::connect_timeout(&target, PATIENCE))
        .unwrap()
        .expect("connects");
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&sent).expect("the stream goes on");
    stream.shutdown(Shutdown::Write).unwrap();
    let received = receiver.join().unwrap().expect("the stream arrives");
    assert!(received == sent, "a TCP stream arrives as it was sent");
}

/// Runs a command in a namespace: whether it succeeded, and what it said.
pub fn command(namespace: &Namespace, line: &str) -> (bool, String) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = namespace
        .spawn(&mut command)
        .unwrap()
        .wait_with_output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

/// Runs a command that must succeed.
pub fn must(namespace: &Namespace, line: &str) -> String {
    let (done, said) = command(namespace, line);
    assert!(done, "{line}: {said}");
    said
}

/// `ping` from VM `from` to the other one.
pub fn ping(pair: &Pair, from: usize, ipv6: bool) {
    let target = Vm::number(2 - from as u8).address(ipv6);
    let line = format!("ping -n -c 3 -i 0.01 -W 5 {target}");
    let said = must(&pair.vms[from], &line);
    assert!(said.contains(" 0% packet loss"), "{said}");
}

/// A broadcast over IPv4, or a multicast to all nodes over IPv6, from VM `from` to the other one.
pub async fn broadcast(pair: &Pair, from: usize, ipv6: bool) {
    let to = 1 - from;
    let (any, target) = if ipv6 {
        let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let device = pair.vms[from]
            .netlink()
            .unwrap()
            .link("eth0")
            .await
            .unwrap();
        let target = SocketAddrV6::new(all_nodes, 40002, 0, device.index);
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), SocketAddr::V6(target))
    } else {
        let network = Ipv4Addr::new(10, 10, 0, 255);
        let target = SocketAddr::new(network.into(), 40002);
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), target)
    };
    let receiver = bind(&pair.vms[to], any, 40002);
    let sender = bind(&pair.vms[from], any, 40003);
    if !ipv6 {
        sender.set_broadcast(true).unwrap();
    }
    let sent = noise(100, 9);
    sender.send_to(&sent, target).unwrap();
    let mut buffer = [0; 256];
    let (length, source) = receiver.recv_from(&mut buffer).expect("a broadcast");
    assert_eq!(buffer[..length], sent[..]);
    assert_eq!(source.port(), 40003);
}

/// Everything that two VMs of one network do with each other.
pub async fn everything(pair: &Pair) {
    for ipv6 in [false, true] {
        let largest = if ipv6 { 1452 } else { 1472 };
        let mut sizes = SIZES.to_vec();
        sizes.push(largest);
        datagrams(pair, ipv6, &sizes);
        for from in 0..2 {
            stream(pair, from, ipv6, 2 << 20);
            ping(pair, from, ipv6);
            broadcast(pair, from, ipv6).await;
        }
    }
}
