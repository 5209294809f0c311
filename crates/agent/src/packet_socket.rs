//! Raw frames of one device: what passes by it is seen, and frames leave by it as they are.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use coax_wire::vxlan::Vxlan;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt, socket,
    sockopt,
};
use socket2::{SockFilter, Socket};

/// What the socket is told by the kernel of a frame that the host sends (`PACKET_OUTGOING`).
const OUTGOING: u8 = 4;

/// [`PacketSocket::receive`] comes back after this time though nothing passed, so that whoever waits can stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// A socket that is bound to one device. It blocks.
pub(crate) struct PacketSocket {
    socket: Socket,
    ifindex: usize,
}

/// A frame that passed the device.
pub(crate) struct Passing {
    /// Bytes of it that are in the buffer.
    pub(crate) length: usize,
    /// The host sends it by the device; otherwise it came in.
    pub(crate) outgoing: bool,
}

impl PacketSocket {
    /// Opens a socket on a device; with a filter only what it lets pass is received.
    pub(crate) fn open(device: &str, filter: &[SockFilter]) -> io::Result<Self> {
        let not_there = || io::Error::new(io::ErrorKind::NotFound, format!("no device {device}"));
        let address = getifaddrs()?
            .filter(|interface| interface.interface_name == device)
            .find_map(|interface| interface.address?.as_link_addr().copied())
            .ok_or_else(not_there)?;
        let flags = SockFlag::SOCK_CLOEXEC;
        let protocol = SockProtocol::EthAll;
        let descriptor: OwnedFd = socket(AddressFamily::Packet, SockType::Raw, flags, protocol)?;
        let socket = Socket::from(descriptor);
        if !filter.is_empty() {
            socket.attach_filter(filter)?;
        }
        socket.set_read_timeout(Some(PATIENCE))?;
        bind(socket.as_raw_fd(), &address)?;
        Ok(Self {
            socket,
            ifindex: address.ifindex(),
        })
    }

    /// Keeps so many bytes for who reads later, beyond what programs without rights may have.
    pub(crate) fn make_room(&self, bytes: usize) -> io::Result<()> {
        Ok(setsockopt(&self.socket, sockopt::RcvBufForce, &bytes)?)
    }

    /// Marks what is sent from now on (`SO_MARK`).
    pub(crate) fn mark(&self, mark: u32) -> io::Result<()> {
        self.socket.set_mark(mark)
    }

    /// Sends a frame as it is.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }

    /// Waits a moment for the next frame that passes the device.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Passing>> {
        let (length, address) = match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), buffer) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Frames of other devices may have come in before the socket was bound.
        let own = address.filter(|address| address.ifindex() == self.ifindex);
        Ok(own.map(|address| Passing {
            length,
            outgoing: address.pkttype() == OUTGOING,
        }))
    }
}

/// Lets pass what [`coax_api::question::HostQuestion::Watch`] waits for: VXLAN packets, over either family, whose header says
/// that its VNI is not valid. Everything else costs the kernel a few comparisons and nobody else anything.
pub(crate) fn probes_only() -> Vec<SockFilter> {
    // Operations of classic BPF: load a half word or byte, jump if equal, return.
    const HALF: u16 = 0x28;
    const BYTE: u16 = 0x30;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let load = |operation, at| SockFilter::new(operation, 0, 0, at);
    let equal = |value, yes, no| SockFilter::new(EQUAL, yes, no, value);
    vec![
        load(HALF, 12),
        equal(0x0800, 0, 4),
        load(HALF, 36),
        equal(u32::from(Vxlan::PORT), 0, 8),
        load(BYTE, 42),
        equal(0, 5, 6),
        equal(0x86dd, 0, 5),
        load(HALF, 56),
        equal(u32::from(Vxlan::PORT), 0, 3),
        load(BYTE, 62),
        equal(0, 0, 1),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
