//! Rows of all tables as values: what an agent wants, what a data plane holds, what changes.

use coax_tables::{
    AddressKey, AddressRow, ClassKey, ClassRow, DomainId, DomainRow, HostRow, MacKey, MacRow,
    NetworkId, NetworkRow, PolicyKey, PolicyRow, PortKey, PortRow, ReplicaKey, ReplicaRow,
    RouteKey, RouteRow, ServiceKey, SourceKey, SourceRow, TunnelKey, TunnelRow,
};
use std::collections::BTreeMap;
use std::fmt;

/// The tables of a data plane, in the order in which rows that others refer to come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// The host's own tunnel endpoint.
    Host,
    /// VTEPs that are members of a VNI.
    Tunnels,
    /// Where MAC addresses live.
    Macs,
    /// Who owns an IP address.
    Addresses,
    /// Who gets copies of broadcasts.
    Replicas,
    /// Addresses that ports may send from.
    Sources,
    /// Where routers send packets.
    Routes,
    /// Networks.
    Networks,
    /// Local ports.
    Ports,
    /// Classes of addresses.
    Classes,
    /// Classes of services.
    Services,
    /// What pairs of classes may do.
    Policies,
    /// Policy domains.
    Domains,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 13] = [
        Self::Host,
        Self::Tunnels,
        Self::Macs,
        Self::Addresses,
        Self::Replicas,
        Self::Sources,
        Self::Routes,
        Self::Networks,
        Self::Ports,
        Self::Classes,
        Self::Services,
        Self::Policies,
        Self::Domains,
    ];

    /// The name that users see, and that the table's capacity option has.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Tunnels => "tunnels",
            Self::Macs => "macs",
            Self::Addresses => "addresses",
            Self::Replicas => "replicas",
            Self::Sources => "sources",
            Self::Routes => "routes",
            Self::Networks => "networks",
            Self::Ports => "ports",
            Self::Classes => "classes",
            Self::Services => "services",
            Self::Policies => "policies",
            Self::Domains => "domains",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key of any table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RowKey {
    /// The one host row.
    Host,
    /// Key of the tunnel table.
    Tunnel(TunnelKey),
    /// Key of the MAC table.
    Mac(MacKey),
    /// Key of the address table.
    Address(AddressKey),
    /// Key of the replica table.
    Replica(ReplicaKey),
    /// Key of the source table.
    Source(SourceKey),
    /// A prefix of a router.
    Route(RouteKey),
    /// Key of the network table.
    Network(NetworkId),
    /// Key of the port table.
    Port(PortKey),
    /// Key of the class table.
    Class(ClassKey),
    /// Key of the service table.
    Service(ServiceKey),
    /// Key of the policy table.
    Policy(PolicyKey),
    /// Key of the domain table.
    Domain(DomainId),
}

impl RowKey {
    /// The table that the key belongs to.
    pub const fn table(&self) -> Table {
        match self {
            Self::Host => Table::Host,
            Self::Tunnel(_) => Table::Tunnels,
            Self::Mac(_) => Table::Macs,
            Self::Address(_) => Table::Addresses,
            Self::Replica(_) => Table::Replicas,
            Self::Source(_) => Table::Sources,
            Self::Route(_) => Table::Routes,
            Self::Network(_) => Table::Networks,
            Self::Port(_) => Table::Ports,
            Self::Class(_) => Table::Classes,
            Self::Service(_) => Table::Services,
            Self::Policy(_) => Table::Policies,
            Self::Domain(_) => Table::Domains,
        }
    }
}

/// A key with its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    /// The host's own tunnel endpoint.
    Host(HostRow),
    /// A VTEP that is a member of a VNI.
    Tunnel(TunnelKey, TunnelRow),
    /// Where a MAC address lives.
    Mac(MacKey, MacRow),
    /// Who owns an IP address.
    Address(AddressKey, AddressRow),
    /// Who gets a copy.
    Replica(ReplicaKey, ReplicaRow),
    /// An address that a port may send from.
    Source(SourceKey, SourceRow),
    /// Where packets of a prefix go.
    Route(RouteKey, RouteRow),
    /// A network.
    Network(NetworkId, NetworkRow),
    /// A local port.
    Port(PortKey, PortRow),
    /// The class of a prefix of addresses.
    Class(ClassKey, ClassRow),
    /// The class of a prefix of services.
    Service(ServiceKey, ClassRow),
    /// What a pair of classes may do.
    Policy(PolicyKey, PolicyRow),
    /// A policy domain.
    Domain(DomainId, DomainRow),
}

impl Row {
    /// The key of the row.
    pub const fn key(&self) -> RowKey {
        match *self {
            Self::Host(_) => RowKey::Host,
            Self::Tunnel(key, _) => RowKey::Tunnel(key),
            Self::Mac(key, _) => RowKey::Mac(key),
            Self::Address(key, _) => RowKey::Address(key),
            Self::Replica(key, _) => RowKey::Replica(key),
            Self::Source(key, _) => RowKey::Source(key),
            Self::Route(key, _) => RowKey::Route(key),
            Self::Network(key, _) => RowKey::Network(key),
            Self::Port(key, _) => RowKey::Port(key),
            Self::Class(key, _) => RowKey::Class(key),
            Self::Service(key, _) => RowKey::Service(key),
            Self::Policy(key, _) => RowKey::Policy(key),
            Self::Domain(key, _) => RowKey::Domain(key),
        }
    }
}

/// One change of one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowOperation {
    /// Insert the row or replace the value under its key.
    Put(Row),
    /// Remove the row; removing what is not there is no error.
    Delete(RowKey),
}

/// All rows of a data plane.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rows {
    /// The host's own tunnel endpoint.
    pub host: HostRow,
    /// VTEPs that are members of a VNI.
    pub tunnels: BTreeMap<TunnelKey, TunnelRow>,
    /// Where MAC addresses live.
    pub macs: BTreeMap<MacKey, MacRow>,
    /// Who owns an IP address.
    pub addresses: BTreeMap<AddressKey, AddressRow>,
    /// Who gets copies of broadcasts.
    pub replicas: BTreeMap<ReplicaKey, ReplicaRow>,
    /// Addresses that ports may send from.
    pub sources: BTreeMap<SourceKey, SourceRow>,
    /// Routes.
    pub routes: BTreeMap<RouteKey, RouteRow>,
    /// Networks.
    pub networks: BTreeMap<NetworkId, NetworkRow>,
    /// Local ports.
    pub ports: BTreeMap<PortKey, PortRow>,
    /// Classes of addresses.
    pub classes: BTreeMap<ClassKey, ClassRow>,
    /// Classes of services.
    pub services: BTreeMap<ServiceKey, ClassRow>,
    /// What pairs of classes may do.
    pub policies: BTreeMap<PolicyKey, PolicyRow>,
    /// Policy domains.
    pub domains: BTreeMap<DomainId, DomainRow>,
}

impl Rows {
    /// Inserts or replaces one row.
    pub fn put(&mut self, row: Row) {
        match row {
            Row::Host(row) => self.host = row,
            Row::Tunnel(key, row) => drop(self.tunnels.insert(key, row)),
            Row::Mac(key, row) => drop(self.macs.insert(key, row)),
            Row::Address(key, row) => drop(self.addresses.insert(key, row)),
            Row::Replica(key, row) => drop(self.replicas.insert(key, row)),
            Row::Source(key, row) => drop(self.sources.insert(key, row)),
            Row::Route(key, row) => drop(self.routes.insert(key, row)),
            Row::Network(key, row) => drop(self.networks.insert(key, row)),
            Row::Port(key, row) => drop(self.ports.insert(key, row)),
            Row::Class(key, row) => drop(self.classes.insert(key, row)),
            Row::Service(key, row) => drop(self.services.insert(key, row)),
            Row::Policy(key, row) => drop(self.policies.insert(key, row)),
            Row::Domain(key, row) => drop(self.domains.insert(key, row)),
        }
    }

    /// Removes one row; false when it was not there. The host row is reset instead.
    pub fn delete(&mut self, key: &RowKey) -> bool {
        match key {
            RowKey::Host => {
                self.host = HostRow::default();
                true
            }
            RowKey::Tunnel(key) => self.tunnels.remove(key).is_some(),
            RowKey::Mac(key) => self.macs.remove(key).is_some(),
            RowKey::Address(key) => self.addresses.remove(key).is_some(),
            RowKey::Replica(key) => self.replicas.remove(key).is_some(),
            RowKey::Source(key) => self.sources.remove(key).is_some(),
            RowKey::Route(key) => self.routes.remove(key).is_some(),
            RowKey::Network(key) => self.networks.remove(key).is_some(),
            RowKey::Port(key) => self.ports.remove(key).is_some(),
            RowKey::Class(key) => self.classes.remove(key).is_some(),
            RowKey::Service(key) => self.services.remove(key).is_some(),
            RowKey::Policy(key) => self.policies.remove(key).is_some(),
            RowKey::Domain(key) => self.domains.remove(key).is_some(),
        }
    }

    /// Carries out one operation.
    pub fn apply(&mut self, operation: &RowOperation) {
        match operation {
            RowOperation::Put(row) => self.put(*row),
            RowOperation::Delete(key) => drop(self.delete(key)),
        }
    }

    /// Rows in `table`.
    pub fn len(&self, table: Table) -> usize {
        match table {
            Table::Host => 1,
            Table::Tunnels => self.tunnels.len(),
            Table::Macs => self.macs.len(),
            Table::Addresses => self.addresses.len(),
            Table::Replicas => self.replicas.len(),
            Table::Sources => self.sources.len(),
            Table::Routes => self.routes.len(),
            Table::Networks => self.networks.len(),
            Table::Ports => self.ports.len(),
            Table::Classes => self.classes.len(),
            Table::Services => self.services.len(),
            Table::Policies => self.policies.len(),
            Table::Domains => self.domains.len(),
        }
    }

    /// All rows, table by table in the order of `Table::ALL`.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        std::iter::once(Row::Host(self.host))
            .chain(
                self.tunnels
                    .iter()
                    .map(|(key, row)| Row::Tunnel(*key, *row)),
            )
            .chain(self.macs.iter().map(|(key, row)| Row::Mac(*key, *row)))
            .chain(
                self.addresses
                    .iter()
                    .map(|(key, row)| Row::Address(*key, *row)),
            )
            .chain(
                self.replicas
                    .iter()
                    .map(|(key, row)| Row::Replica(*key, *row)),
            )
            .chain(
                self.sources
                    .iter()
                    .map(|(key, row)| Row::Source(*key, *row)),
            )
            .chain(self.routes.iter().map(|(key, row)| Row::Route(*key, *row)))
            .chain(
                self.networks
                    .iter()
                    .map(|(key, row)| Row::Network(*key, *row)),
            )
            .chain(self.ports.iter().map(|(key, row)| Row::Port(*key, *row)))
            .chain(self.classes.iter().map(|(key, row)| Row::Class(*key, *row)))
            .chain(
                self.services
                    .iter()
                    .map(|(key, row)| Row::Service(*key, *row)),
            )
            .chain(
                self.policies
                    .iter()
                    .map(|(key, row)| Row::Policy(*key, *row)),
            )
            .chain(
                self.domains
                    .iter()
                    .map(|(key, row)| Row::Domain(*key, *row)),
            )
    }
}
