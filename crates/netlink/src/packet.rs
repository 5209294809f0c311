//! Sending whole frames out of a device, as the device's own host does.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket,
};

use crate::Error;

/// A packet socket that sends by any device of the namespace in which it was opened, and hears nothing.
#[derive(Debug)]
pub struct PacketSender {
    socket: OwnedFd,
    /// The devices as packet sockets name them.
    devices: HashMap<u32, LinkAddr>,
}

impl PacketSender {
    /// Opens the socket.
    ///
    /// # Errors
    /// `Request` when the system refuses.
    pub fn open() -> Result<Self, Error> {
        // Without a protocol the kernel hands the socket nothing.
        let opened = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        );
        let socket = opened.map_err(|errno| refused("open a socket for", "packets", errno))?;
        Ok(Self {
            socket,
            devices: HashMap::new(),
        })
    }

    /// Sends a frame out of the device with this kernel index.
    ///
    /// # Errors
    /// `Request` when the device is gone or down, or its queue is full.
    pub fn send(&mut self, ifindex: u32, frame: &[u8]) -> Result<(), Error> {
        let object = || format!("device {ifindex}");
        if !self.devices.contains_key(&ifindex) {
            self.list_devices()?;
        }
        let Some(device) = self.devices.get(&ifindex) else {
            return Err(Error::Request {
                action: "send by",
                object: object(),
                source: io::ErrorKind::NotFound.into(),
            });
        };
        sendto(
            self.socket.as_raw_fd(),
            frame,
            device,
            MsgFlags::MSG_DONTWAIT,
        )
        .map(drop)
        .map_err(|errno| refused("send by", &object(), errno))
    }

    fn list_devices(&mut self) -> Result<(), Error> {
        let listed = getifaddrs().map_err(|errno| refused("list", "devices", errno))?;
        self.devices = listed
            .filter_map(|interface| {
                let address = *interface.address?.as_link_addr()?;
                debug_assert_eq!(address.family(), Some(AddressFamily::Packet));
                Some((u32::try_from(address.ifindex()).ok()?, address))
            })
            .collect();
        Ok(())
    }
}

fn refused(action: &'static str, object: &str, errno: nix::errno::Errno) -> Error {
    Error::Request {
        action,
        object: object.to_owned(),
        source: errno.into(),
    }
}
