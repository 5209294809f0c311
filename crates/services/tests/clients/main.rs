//! Real clients ask, the responder answers: a veth pair between two namespaces, and a loop in place of punts. Needs root and the
//! programs that `cargo xtask setup` installs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod advertisement;
mod bed;
mod dhcpv4;
mod dhcpv6;
mod dns;
mod networkd;
