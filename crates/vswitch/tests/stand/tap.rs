//! What leaves by any device of a namespace, in order.
//!
//! A packet socket sees a frame while it is handed to the device, before the sender goes on. So
//! whatever a program sent is there when the program's run is over, and nobody has to wait.

use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket, sockopt,
};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};

/// Switches an option of packet sockets on.
fn switch_on(socket: &OwnedFd, option: i32) {
    let on: i32 = 1;
    // SAFETY: the option is a number, which `on` is; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const on).cast(),
            size_of::<i32>() as u32,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Outgoing frames, for `LinkAddr::pkttype`.
const OUTGOING: u8 = 4;

/// Bits of the status in the auxiliary data.
const VLAN_VALID: u32 = 1 << 4;

/// A tap on all devices of the namespace in which it was opened.
pub struct Tap(OwnedFd);

impl Tap {
    /// Opens a tap in the namespace of this thread.
    pub fn open() -> Self {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            flags,
            SockProtocol::EthAll,
        )
        .unwrap();
        switch_on(&socket, libc::PACKET_AUXDATA);
        setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).unwrap();
        Self(socket)
    }

    /// All frames that left since the last call, with the devices that they left by.
    pub fn take(&self) -> Vec<(u32, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some((index, direction, bytes)) = self.next() {
            if direction == OUTGOING {
                frames.push((index, bytes));
            }
        }
        frames
    }

    fn next(&self) -> Option<(u32, u8, Vec<u8>)> {
        let mut bytes = vec![0; 1 << 17];
        let mut beside = [0; 64];
        let (length, address, tag) = {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let message = recvmsg::<LinkAddr>(
                self.0.as_raw_fd(),
                &mut parts,
                Some(&mut beside),
                MsgFlags::empty(),
            )
            .ok()?;
            let tag = message.cmsgs().unwrap().find_map(tag_beside);
            (message.bytes, message.address.unwrap(), tag)
        };
        bytes.truncate(length);
        if let Some(tag) = tag {
            bytes.splice(12..12, tag);
        }
        Some((address.ifindex() as u32, address.pkttype(), bytes))
    }
}

/// The tag in `struct tpacket_auxdata`, as it would stand in the frame.
fn tag_beside(message: ControlMessageOwned) -> Option<[u8; 4]> {
    let ControlMessageOwned::Unknown(message) = message else {
        return None;
    };
    let data = &message.data_bytes;
    let word = |at: usize| u16::from_ne_bytes([data[at], data[at + 1]]).to_be_bytes();
    let status = u32::from_ne_bytes([data[0], data[1], data[2], data[3]]);
    if status & VLAN_VALID == 0 {
        return None;
    }
    let ([a, b], [c, d]) = (word(18), word(16));
    Some([a, b, c, d])
}
