//! Coax beside programs that are not ours: the kernel's own vxlan device at the other end of the
//! tunnels, tshark as reader of what is on the wire, and hosts that send what nobody should.
//!
//! ```text
//!   vm1 eth0 --- port0 hv1 ul0 ======= ul0 hv2 port0 --- eth0 vm2
//!                     Coax                  kernel vxlan, Coax, or nothing
//! ```
//!
//! docs/conformance/ names these tests, standard by standard. They need root.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod between;
mod bystander;
mod capture;
mod congestion;
mod counters;
mod foreign;
mod guard;
mod guarded;
mod hostile;
mod kernel;
mod mtu;
mod nested;
mod raw;
mod rejected;
mod resolve;
mod routed;
mod routing;
mod sequences;
mod stragglers;
mod tracking;
mod traffic;
mod tshark;
mod vlan;
mod wire;
