//! Connections that only the receiver's host rejects, through a router: kernels as senders hear of it at once, as if the
//! receiver had refused them.

use crate::between::{Between, of_vm};
use crate::capture::{Capture, PATIENCE};
use crate::raw;
use coax_bench::vm::Vm;
use coax_netlink::Namespace;
use coax_tables::{DomainId, DomainRow, MacRow, PolicyRow};
use coax_vswitch::{DataPlane, Row, RowOperation};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::JoinHandle;

const DOMAIN: DomainId = DomainId(1);
const PORT: u16 = 8080;

/// Hosts reject whatever is handed to VM 2 and VM 3. What VMs send they let pass.
fn reject_everything(between: &mut Between) {
    let domain = DomainRow {
        table: 1,
        generation: 1,
        default_action: PolicyRow::REJECT,
        quota: 1000,
        ..DomainRow::default()
    };
    for plane in between.pair.planes() {
        let mut rows = vec![Row::Domain(DOMAIN, domain)];
        let found = plane.rows().unwrap();
        let scope = found.ports.values().next().unwrap().scope;
        let local = found
            .macs
            .into_iter()
            .filter(|(key, row)| row.has(MacRow::LOCAL) && key.mac != Vm::number(1).mac);
        for (key, row) in local {
            let policy = DOMAIN;
            rows.push(Row::Mac(
                key,
                MacRow {
                    policy,
                    scope,
                    ..row
                },
            ));
        }
        for row in rows {
            plane.apply(&RowOperation::Put(row)).unwrap();
        }
    }
}

/// What a socket of VM 1 hears of a service of another VM.
fn hears(vm: &Namespace, to: SocketAddr, own: SocketAddr) -> [JoinHandle<ErrorKind>; 2] {
    let connect = move || TcpStream::connect_timeout(&to, PATIENCE).map(drop);
    let ask = move || -> std::io::Result<()> {
        let socket = UdpSocket::bind(own)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(to)?;
        socket.send(b"hello")?;
        socket.recv(&mut [0; 9]).map(drop)
    };
    let start = |wait: Box<dyn FnOnce() -> std::io::Result<()> + Send>| {
        let vm = vm.clone();
        std::thread::spawn(move || vm.run(wait).unwrap().unwrap_err().kind())
    };
    [start(Box::new(connect)), start(Box::new(ask))]
}

/// TCP hears a reset, UDP that it is administratively prohibited.
fn assert_told(heard: [JoinHandle<ErrorKind>; 2], ipv6: bool) {
    let prohibited = match ipv6 {
        false => ErrorKind::HostUnreachable,
        true => ErrorKind::PermissionDenied,
    };
    let heard = heard.map(|thread| thread.join().unwrap());
    assert_eq!(heard, [ErrorKind::ConnectionRefused, prohibited]);
}

/// VM 2 is on another host, VM 3 on that of VM 1, both in another network. They do serve the port.
async fn rejected(label: &str, over_ipv6: bool) {
    let mut between = Between::build(label, over_ipv6).await;
    reject_everything(&mut between);
    let host = between.pair.host(0).unwrap().clone();
    for ipv6 in [false, true] {
        let own = SocketAddr::new(of_vm(1, ipv6), 0);
        for vm in [2, 3] {
            let to = SocketAddr::new(of_vm(vm, ipv6), PORT);
            let bind = move || (TcpListener::bind(to).unwrap(), UdpSocket::bind(to).unwrap());
            let _services = between.vm(vm).run(bind).unwrap();
            let capture = Capture::of_uplink(&between.pair, "udp port 4789");
            let heard = hears(between.vm(1), to, own);
            if vm == 2 {
                // The same from a card: between namespaces, frames keep a mark of the kernel that put them into a tunnel.
                let ours = |packet: &&Vec<u8>| {
                    let frame = raw::unwrap(packet).1;
                    let at = if ipv6 { 54 } else { 34 };
                    frame.get(at + 2..at + 4) == Some(&PORT.to_be_bytes()[..])
                };
                let sent = capture.until("both", |got| got.iter().filter(ours).count() >= 2);
                let sent: Vec<_> = sent.iter().filter(ours).cloned().collect();
                raw::send(&host, "ul0", &sent);
            }
            assert_told(heard, ipv6);
        }
    }
    between.assert_accounted();
}

#[tokio::test]
async fn senders_hear_at_once_that_the_receivers_host_rejects_them() {
    rejected("reject4", false).await;
    rejected("reject6", true).await;
}
