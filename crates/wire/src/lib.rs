//! Header layouts and checked numbers of the formats that Coax reads and writes.
//!
//! Every header is a `repr(C)` struct of byte arrays: it has alignment one, can be read from any
//! place of a frame and looks the same to the kernel program and to the host. Methods turn the
//! bytes into numbers. Nothing here allocates, and nothing knows what a frame is stored in.

#![cfg_attr(not(any(feature = "std", test)), no_std)]

pub mod arp;
pub mod canary;
pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod ip;
pub mod llc;
pub mod mac;
pub mod numbers;
pub mod tcp;
pub mod udp;
pub mod vxlan;
pub mod words;

pub use ethernet::{EtherType, Ethernet, VlanTag};
pub use mac::{MacAddress, ParseMacError};
pub use numbers::{Mtu, OutOfRange, VlanId, Vni};
