//! The slice of a router: what a host looks up to send packets from one network into another.
//!
//! A router is small, so it always travels whole: no host ever routes by half of a table.

use prost::Message;

/// One router, whole.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RouterSlice {
    /// Which router this is in the tables of a host.
    #[prost(uint32, tag = "1")]
    pub router: u32,
    /// The revision of its last change.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    /// The project that owns it.
    #[prost(string, tag = "3")]
    pub project: String,
    /// Its name in the project.
    #[prost(string, tag = "4")]
    pub name: String,
    /// The numbers of the networks that it joins, sorted.
    #[prost(uint32, repeated, tag = "5")]
    pub networks: Vec<u32>,
    /// The prefixes on these networks and what lies behind them, sorted.
    #[prost(message, repeated, tag = "6")]
    pub routes: Vec<Route>,
}

/// Where packets of a prefix go.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct Route {
    /// The destination's address, 4 or 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub address: Vec<u8>,
    /// Its length in bits.
    #[prost(uint32, tag = "2")]
    pub length: u32,
    /// The number of the network that they leave into; 0: they are answered with "unreachable".
    #[prost(uint32, tag = "3")]
    pub network: u32,
    /// The next hop in that network; empty: the destination itself.
    #[prost(bytes = "vec", tag = "4")]
    pub via: Vec<u8>,
}

impl RouterSlice {
    /// The full name of the router, `shop/gw`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.project, self.name)
    }
}
