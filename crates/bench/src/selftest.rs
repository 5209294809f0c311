//! Does the running kernel take the programs and forward through them?

mod refusals;

use crate::Error;
use crate::pair::{Datapath, Pair};
use crate::vm::Vm;
use coax_vswitch::{Capacity, DataPlane, KernelDataPlane, KernelOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Sends UDP of many sizes and a TCP stream between two VMs on two hosts, over tunnels of both
/// families; then the second host rejects everything, and senders have to hear of it. At last the counters are compared with
/// each other.
///
/// # Errors
/// The first thing that did not work, in a sentence.
pub async fn kernel() -> Result<(), Error> {
    for over_ipv6 in [false, true] {
        let mut pair = Pair::build(Datapath::Coax, "self", over_ipv6).await?;
        let traffic = [false, true]
            .into_iter()
            .try_for_each(|ipv6| datagrams(&pair, ipv6).and_then(|()| stream(&pair, ipv6)))
            .and_then(|()| refusals::refusals(&mut pair));
        if let Err(error) = traffic {
            show_drops(&mut pair)?;
            return Err(error);
        }
        accounting(&mut pair)?;
        let outer = if over_ipv6 { "IPv6" } else { "IPv4" };
        println!("forwarded IPv4 and IPv6 in VXLAN over {outer}: every frame accounted for");
        println!(
            "TCP and UDP rejected on their host and behind that tunnel: their senders were told"
        );
    }
    Ok(())
}

/// Says on standard error why frames were dropped.
fn show_drops(pair: &mut Pair) -> Result<(), Error> {
    for (place, plane) in pair.planes().iter().enumerate() {
        for slot in [coax_tables::FABRIC_SLOT, crate::rows::SLOT] {
            let found = plane.counters(slot)?;
            eprintln!("host {}, slot {slot}: {:?}", place + 1, found.counters);
            for (reason, drops) in found.drops {
                eprintln!("  {drops} dropped: {} ({})", reason.name(), reason.hint());
            }
        }
    }
    Ok(())
}

/// Instructions that the verifier walked through, per program.
///
/// # Errors
/// When the programs cannot be loaded.
pub fn budget() -> Result<Vec<(&'static str, u32)>, Error> {
    let pins = PathBuf::from(format!("/sys/fs/bpf/coax-budget-{}", std::process::id()));
    let options = KernelOptions {
        pins: pins.clone(),
        capacity: Capacity::default(),
        take_over_layout: false,
    };
    let counted = KernelDataPlane::open(&options).map(|plane| plane.verified_instructions());
    KernelDataPlane::remove(&pins)?;
    Ok(counted?)
}

fn datagrams(pair: &Pair, ipv6: bool) -> Result<(), Error> {
    let bind = |vm: u8, port: u16| -> Result<UdpSocket, Error> {
        let address = SocketAddr::new(Vm::number(vm).address(ipv6), port);
        let socket = pair.vms[usize::from(vm) - 1]
            .run(move || UdpSocket::bind(address))?
            .map_err(Error::io("bind a UDP socket"))?;
        socket
            .set_read_timeout(Some(PATIENCE))
            .map_err(Error::io("set a time-out"))?;
        Ok(socket)
    };
    let (one, other) = (bind(1, 4000)?, bind(2, 4000)?);
    let target = SocketAddr::new(Vm::number(2).address(ipv6), 4000);
    for size in [0, 1, 64, 512, 1400] {
        let sent = vec![size as u8; size];
        one.send_to(&sent, target)
            .map_err(Error::io("send a datagram"))?;
        let mut buffer = [0; 2048];
        let (length, from) = other
            .recv_from(&mut buffer)
            .map_err(Error::io("receive a datagram"))?;
        if buffer[..length] != sent[..] {
            return Err(Error::Traffic {
                what: format!("a datagram of {size} bytes"),
                expected: format!("{size} bytes as sent"),
                found: format!("{length} bytes"),
            });
        }
        other
            .send_to(&buffer[..length], from)
            .map_err(Error::io("send a datagram back"))?;
        one.recv_from(&mut buffer)
            .map_err(Error::io("receive a datagram back"))?;
    }
    Ok(())
}

fn stream(pair: &Pair, ipv6: bool) -> Result<(), Error> {
    const BYTES: usize = 4 << 20;
    let target = SocketAddr::new(Vm::number(2).address(ipv6), 4001);
    let listener = pair.vms[1]
        .run(move || TcpListener::bind(target))?
        .map_err(Error::io("listen"))?;
    let receiver = std::thread::spawn(move || -> std::io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut buffer = vec![0; 1 << 16];
        let mut sum = 0u64;
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(sum),
                length => {
                    sum += buffer[..length]
                        .iter()
                        .map(|byte| u64::from(*byte))
                        .sum::<u64>()
                }
            }
        }
    });
    let sent: Vec<u8> = (0..BYTES).map(|place| (place * 31 % 251) as u8).collect();
    let expected: u64 = sent.iter().map(|byte| u64::from(*byte)).sum();
    pair.vms[0]
        .run(move || -> std::io::Result<()> {
            let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(&sent)
        })?
        .map_err(Error::io("send a TCP stream"))?;
    let found = match receiver.join() {
        Ok(found) => found.map_err(Error::io("receive a TCP stream"))?,
        Err(_) => 0,
    };
    if found == expected {
        return Ok(());
    }
    Err(Error::Traffic {
        what: "a TCP stream".to_owned(),
        expected: format!("bytes with the sum {expected}"),
        found: format!("the sum {found}"),
    })
}

/// received + copies = sent + flooded + punted + drops, on each host and exactly.
///
/// # Errors
/// The first host on which the sums differ.
pub fn accounting(pair: &mut Pair) -> Result<(), Error> {
    for plane in pair.planes() {
        let (mut entered, mut left) = (0, 0);
        for slot in [coax_tables::FABRIC_SLOT, crate::rows::SLOT] {
            let found = plane.counters(slot)?;
            entered += found.counters.received_frames + found.counters.copies;
            let counters = &found.counters;
            left += counters.sent_frames + counters.flooded + counters.punted;
            left += found.drops.iter().map(|(_, drops)| drops).sum::<u64>();
        }
        if entered != left || entered == 0 {
            return Err(Error::Traffic {
                what: "the counters of a host".to_owned(),
                expected: format!("{entered} frames out or dropped"),
                found: left.to_string(),
            });
        }
    }
    Ok(())
}
