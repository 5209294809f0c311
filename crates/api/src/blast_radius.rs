//! How far one misbehaving member of a network gets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What one misbehaving member of a network reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlastRadius {
    /// Full name of the network.
    pub network: String,
    /// In one sentence for those who run servers.
    pub servers: String,
    /// The same for those who run networks.
    pub networking: String,
    /// Hosts that carry the network.
    pub hosts: Vec<ReachedHost>,
    /// Its ports that are on no host yet.
    pub unplugged: Vec<String>,
    /// Ways out of the network: foreign tunnel endpoints and what is behind them.
    pub gateways: Vec<ReachedGateway>,
    /// Routers that join the network to others; they carry its packets, but not its broadcasts.
    pub routers: Vec<ReachedRouter>,
    /// How many ports are reached now.
    pub ports: usize,
    /// Pairs of tunnel endpoints between which its frames pass the fabric.
    pub tunnels: usize,
}

/// A host that carries a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedHost {
    /// The host.
    pub host: String,
    /// The network's ports there.
    pub ports: Vec<String>,
    /// Its tunnel endpoints: its links to the fabric carry the network's frames.
    pub endpoints: Vec<String>,
}

/// A way out of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedGateway {
    /// Full name.
    pub name: String,
    /// Address of its tunnel endpoint.
    pub endpoint: String,
}

/// A router that joins a network to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedRouter {
    /// Full name.
    pub name: String,
    /// Full names of the other networks that it joins.
    pub networks: Vec<String>,
    /// Ports in those.
    pub ports: usize,
}
