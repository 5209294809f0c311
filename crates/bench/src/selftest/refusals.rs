//! Is a sender told that a rule rejects it, on its own host and behind a tunnel?

use super::PATIENCE;
use crate::Error;
use crate::pair::Pair;
use crate::vm::Vm;
use coax_tables::{DomainId, DomainRow, PolicyRow};
use coax_vswitch::{DataPlane, Row, RowOperation};
use std::io::{Error as IoError, ErrorKind};
use std::net::{SocketAddr, TcpStream, UdpSocket};

const DOMAIN: DomainId = DomainId(1);
const PORT: u16 = 4009;

/// The second host's firewall rejects everything: what its VM sends at once, and what comes out of the tunnel. Kernels of the
/// VMs have to understand the answers.
pub(super) fn refusals(pair: &mut Pair) -> Result<(), Error> {
    reject_everything(pair)?;
    for ipv6 in [false, true] {
        for (from, to) in [(2, 1), (1, 2)] {
            let target = SocketAddr::new(Vm::number(to).address(ipv6), PORT);
            let own = SocketAddr::new(Vm::number(from).address(ipv6), 0);
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            let way = if from == 2 {
                "on its host"
            } else {
                "behind a tunnel"
            };
            let vm = &pair.vms[usize::from(from) - 1];
            let told = vm.run(move || connect(target))?;
            check(
                format!("TCP over {family}, rejected {way}"),
                told,
                &[ErrorKind::ConnectionRefused],
            )?;
            let told = vm.run(move || ask(own, target))?;
            // "Administratively prohibited", as Linux has it over IPv4 and over IPv6.
            let prohibited = [ErrorKind::HostUnreachable, ErrorKind::PermissionDenied];
            check(
                format!("UDP over {family}, rejected {way}"),
                told,
                &prohibited,
            )?;
        }
    }
    Ok(())
}

fn reject_everything(pair: &mut Pair) -> Result<(), Error> {
    let Some(plane) = pair.planes().last_mut() else {
        return Ok(());
    };
    let rows = plane.rows()?;
    let domain = DomainRow {
        table: 1,
        generation: 1,
        default_action: PolicyRow::REJECT,
        quota: 100,
        ..DomainRow::default()
    };
    let ports = rows.ports.into_iter().map(|(key, mut row)| {
        row.policy = DOMAIN;
        Row::Port(key, row)
    });
    let local = rows.macs.into_iter().filter(|(_, row)| row.ifindex != 0);
    let macs = local.map(|(key, mut row)| {
        row.policy = DOMAIN;
        Row::Mac(key, row)
    });
    let all = [Row::Domain(DOMAIN, domain)].into_iter().chain(ports);
    for row in all.chain(macs) {
        plane.apply(&RowOperation::Put(row))?;
    }
    Ok(())
}

fn connect(target: SocketAddr) -> Option<IoError> {
    TcpStream::connect_timeout(&target, PATIENCE).err()
}

/// What the socket hears after a datagram. One answer may be about an earlier packet of the kernel's own, none is lost.
fn ask(own: SocketAddr, target: SocketAddr) -> Option<IoError> {
    let asked = || -> std::io::Result<usize> {
        let socket = UdpSocket::bind(own)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(target)?;
        socket.send(b"hello")?;
        socket.recv(&mut [0; 16])
    };
    asked().err()
}

fn check(what: String, told: Option<IoError>, expected: &[ErrorKind]) -> Result<(), Error> {
    let found = told.as_ref().map(IoError::kind);
    if found.is_some_and(|kind| expected.contains(&kind)) {
        return Ok(());
    }
    Err(Error::Traffic {
        what,
        expected: format!("{expected:?}"),
        found: told.map_or_else(|| "no error".to_owned(), |error| error.to_string()),
    })
}
