//! How many rows each table takes.

use crate::Table;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Rows that each table takes. The defaults suit a host of a data centre with a thousand hosts;
/// tables take memory only for the rows that are in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Local ports.
    pub ports: u32,
    /// Networks with a port here.
    pub networks: u32,
    /// MAC addresses of those networks.
    pub macs: u32,
    /// IP addresses of those networks.
    pub addresses: u32,
    /// Pairs of VTEP and network.
    pub tunnels: u32,
    /// Receivers of copies, for all networks together; twice that many while lists change.
    pub replicas: u32,
    /// Addresses that ports may send from, beyond one of each family.
    pub sources: u32,
    /// Prefixes that routers know.
    pub routes: u32,
    /// Prefixes that firewall rules name, of all policy tables; twice that many while policy changes.
    pub classes: u32,
    /// Services that firewall rules name, of all policy tables, as prefixes of ports.
    pub services: u32,
    /// Combinations of classes that rules decide, of all policy tables.
    pub policies: u32,
    /// Policy domains: projects with a firewall that have a port here.
    pub domains: u32,
    /// Connections of the firewall. Unlike tables, this memory is taken at once: some 104 bytes each.
    pub connections: u32,
    /// Datagrams in fragments that are on their way at a time; 72 bytes each, taken at once.
    pub fragments: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            ports: 4096,
            networks: 4096,
            macs: 262_144,
            addresses: 524_288,
            tunnels: 262_144,
            replicas: 524_288,
            sources: 65_536,
            routes: 65_536,
            classes: 262_144,
            services: 131_072,
            policies: 524_288,
            domains: 1024,
            connections: 262_144,
            fragments: 8192,
        }
    }
}

/// The text does not name table sizes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseCapacityError {
    /// There is no such table.
    #[error(
        "no table `{0}`: write ports, networks, macs, addresses, tunnels, replicas, sources, routes, classes, services, policies, domains, connections or fragments, as in `macs=500000,ports=200`"
    )]
    Table(String),
    /// The number is missing, no number, zero or above 16 million.
    #[error("`{0}` is no number of rows: write one from 1 to 16777216, as in `macs=500000`")]
    Rows(String),
}

impl Capacity {
    const MOST: u32 = 1 << 24;

    /// Rows that `table` takes.
    pub const fn of(&self, table: Table) -> u32 {
        match table {
            Table::Host => 1,
            Table::Ports => self.ports,
            Table::Networks => self.networks,
            Table::Macs => self.macs,
            Table::Addresses => self.addresses,
            Table::Tunnels => self.tunnels,
            Table::Replicas => self.replicas,
            Table::Sources => self.sources,
            Table::Routes => self.routes,
            Table::Classes => self.classes,
            Table::Services => self.services,
            Table::Policies => self.policies,
            Table::Domains => self.domains,
        }
    }

    /// Buckets of the connection table: a power of two, with room for at least as many.
    pub const fn connection_buckets(&self) -> u32 {
        self.connections
            .div_ceil(coax_tables::connection::WAYS as u32)
            .next_power_of_two()
    }

    /// Buckets of the fragment table.
    pub const fn fragment_buckets(&self) -> u32 {
        self.fragments
            .div_ceil(coax_tables::fragment::WAYS as u32)
            .next_power_of_two()
    }

    fn of_mut(&mut self, table: &str) -> Option<&mut u32> {
        Some(match table {
            "ports" => &mut self.ports,
            "networks" => &mut self.networks,
            "macs" => &mut self.macs,
            "addresses" => &mut self.addresses,
            "tunnels" => &mut self.tunnels,
            "replicas" => &mut self.replicas,
            "sources" => &mut self.sources,
            "routes" => &mut self.routes,
            "classes" => &mut self.classes,
            "services" => &mut self.services,
            "policies" => &mut self.policies,
            "domains" => &mut self.domains,
            "connections" => &mut self.connections,
            "fragments" => &mut self.fragments,
            _ => return None,
        })
    }
}

impl FromStr for Capacity {
    type Err = ParseCapacityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut capacity = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (table, rows) = part.split_once('=').unwrap_or((part, ""));
            let place = capacity
                .of_mut(table.trim())
                .ok_or_else(|| ParseCapacityError::Table(table.to_owned()))?;
            *place = rows
                .trim()
                .parse()
                .ok()
                .filter(|rows| (1..=Self::MOST).contains(rows))
                .ok_or_else(|| ParseCapacityError::Rows(rows.to_owned()))?;
        }
        Ok(capacity)
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ports,
            networks,
            macs,
            addresses,
            tunnels,
            replicas,
            sources,
            routes,
            classes,
            services,
            policies,
            domains,
            connections,
            fragments,
        } = self;
        write!(
            f,
            "ports={ports},networks={networks},macs={macs},addresses={addresses},tunnels={tunnels},replicas={replicas},sources={sources},routes={routes},classes={classes},services={services},policies={policies},domains={domains},connections={connections},fragments={fragments}"
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn text_changes_only_what_it_names() {
        let capacity: Capacity = "macs=10,ports=2".parse().unwrap();
        assert_eq!(
            capacity,
            Capacity {
                macs: 10,
                ports: 2,
                ..Capacity::default()
            }
        );
        assert_eq!(capacity.to_string().parse::<Capacity>().unwrap(), capacity);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        assert_eq!(
            "mac=1".parse::<Capacity>(),
            Err(ParseCapacityError::Table("mac".into()))
        );
        for rows in ["", "0", "-1", "16777217", "many"] {
            assert_eq!(
                format!("macs={rows}").parse::<Capacity>(),
                Err(ParseCapacityError::Rows(rows.into()))
            );
        }
    }
}
