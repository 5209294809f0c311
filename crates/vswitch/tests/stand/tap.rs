//! What passes the devices of a namespace, in order.
//!
//! A packet socket sees a frame while it is handed to a device, before the sender goes on. So
//! whatever a program sent is there when the program's run is over, and nobody has to wait.

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket, sockopt,
};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Milliseconds that nothing takes that happens at once.
const PATIENCE: u16 = 1000;

/// Outgoing frames, for `LinkAddr::pkttype`.
const OUTGOING: u8 = 4;

/// The bit of the status in the auxiliary data that says that a tag is beside the frame.
const VLAN_VALID: u32 = 1 << 4;

/// Bytes of `struct virtio_net_hdr`.
const OFFLOAD: usize = 10;

/// In `struct virtio_net_hdr`: the checksum is for the device to complete.
pub const NEEDS_CHECKSUM: u8 = 1;

/// A frame that passed a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Kernel index of the device.
    pub index: u32,
    /// It left by the device; else it came in.
    pub leaves: bool,
    /// The frame, with the tag that the kernel keeps beside it.
    pub bytes: Vec<u8>,
    /// Payload of each segment that it stands for.
    pub segment_payload: u32,
    /// Somebody still has to complete a checksum.
    pub needs_checksum: bool,
}

/// A packet socket on all devices of the namespace in which it was opened.
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
        setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).unwrap();
        switch_on(&socket, libc::PACKET_AUXDATA);
        switch_on(&socket, libc::PACKET_VNET_HDR);
        Self(socket)
    }

    /// All frames that passed since the last call.
    pub fn take(&self) -> Vec<Seen> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Waits for the next frame that `wanted` accepts; the others that passed are left out.
    pub fn wait_for(&self, wanted: impl Fn(&Seen) -> bool) -> Option<Seen> {
        loop {
            match self.next() {
                Some(seen) if wanted(&seen) => return Some(seen),
                Some(_) => {}
                None => {
                    let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
                    if poll(&mut fds, PollTimeout::from(PATIENCE)).unwrap() == 0 {
                        return None;
                    }
                }
            }
        }
    }

    fn next(&self) -> Option<Seen> {
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
        let offload: Vec<u8> = bytes.drain(..OFFLOAD).collect();
        if let Some(tag) = tag {
            bytes.splice(12..12, tag);
        }
        Some(Seen {
            index: address.ifindex() as u32,
            leaves: address.pkttype() == OUTGOING,
            bytes,
            segment_payload: u16::from_ne_bytes([offload[4], offload[5]]).into(),
            needs_checksum: offload[0] & NEEDS_CHECKSUM != 0,
        })
    }

    /// Sends a frame by a device, with what `struct virtio_net_hdr` says of it.
    pub fn send(&self, index: u32, offload: [u8; OFFLOAD], frame: &[u8]) -> std::io::Result<()> {
        let message = [&offload, frame].concat();
        // SAFETY: all fields are numbers, for which zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = index as i32;
        // SAFETY: message and address are valid and as long as is said.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                message.as_ptr().cast(),
                message.len(),
                0,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        if sent == message.len() as isize {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    }
}

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
