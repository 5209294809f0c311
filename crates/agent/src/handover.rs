//! Connections that go along with a port to another host, so that the firewall there judges what comes next by what was
//! before: which they are, and how they travel.
//!
//! Nothing is admitted by it. The new host takes over only what has an end at the port, for the networks of the port; each
//! connection is judged by the new host's own policy with its next packet, and counts against the project's quota there.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use coax_api::agent;
use coax_vswitch::{Connection, ConnectionMemory, DataPlane};

/// Connections of one port that go along; those that would live longest.
const MOST: usize = 4096;

/// A port on its way, and by which networks and addresses its connections are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    /// Full name of the port.
    pub port: String,
    /// Its addresses by network.
    pub ends: BTreeSet<(u32, IpAddr)>,
}

impl Moving {
    fn has(&self, connection: &Connection) -> bool {
        let is_end = |address| self.ends.contains(&(connection.network.0, address));
        is_end(connection.originator.address) || is_end(connection.responder.address)
    }

    /// What this host knows of the port's connections, as it travels. What cannot be read stays here: the port's new host can do
    /// without.
    pub fn collect(&self, plane: &dyn DataPlane) -> agent::Connections {
        let mut connections = match plane.connections() {
            Ok(connections) => connections,
            Err(error) => {
                tracing::warn!(port = self.port, %error, "no connections go along");
                Vec::new()
            }
        };
        connections.retain(|connection| self.has(connection));
        connections.sort_by_key(|connection| std::cmp::Reverse(connection.expires_in));
        connections.truncate(MOST);
        agent::Connections {
            port: self.port.clone(),
            connections: connections.iter().map(written).collect(),
        }
    }

    /// What another host knew of the port's connections. What is not the port's, or no connection, is left out.
    pub fn read(&self, message: &agent::Connections) -> Vec<Connection> {
        let connections = message.connections.iter().take(MOST);
        connections
            .filter_map(read)
            .filter(|connection| self.has(connection))
            .collect()
    }
}

fn written(connection: &Connection) -> agent::Connection {
    let milliseconds = connection.expires_in.as_millis();
    agent::Connection {
        network: connection.network.0,
        state: connection.state.into(),
        expires_milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX),
        words: connection.memory.0.to_vec(),
    }
}

fn read(message: &agent::Connection) -> Option<Connection> {
    let words = message.words.as_slice().try_into().ok()?;
    let state = u8::try_from(message.state).ok()?;
    let left = Duration::from_millis(message.expires_milliseconds);
    let connection = Connection::remembered(ConnectionMemory(words), state, left)?;
    (connection.network.0 == message.network).then_some(connection)
}
