//! All rows of one vSwitch as plain maps.

use coax_tables::{
    AddressKey, AddressRow, ClassKey, ClassRow, DomainId, DomainRow, HostRow, MacKey, MacRow,
    NetworkId, NetworkRow, PolicyKey, PolicyRow, PortKey, PortRow, ReplicaKey, ReplicaRow,
    RouteKey, RouteRow, ServiceKey, SourceKey, SourceRow, TunnelKey, TunnelRow,
};
use std::collections::HashMap;

/// The rows of one vSwitch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SimRows {
    /// The host's own tunnel endpoint. The kernel always has this row; without it, it is zero.
    pub host: HostRow,
    /// Local ports.
    pub ports: HashMap<PortKey, PortRow>,
    /// Networks.
    pub networks: HashMap<NetworkId, NetworkRow>,
    /// Where MAC addresses live.
    pub macs: HashMap<MacKey, MacRow>,
    /// Who owns an IP address.
    pub addresses: HashMap<AddressKey, AddressRow>,
    /// Routes of the routers.
    pub routes: HashMap<RouteKey, RouteRow>,
    /// VTEPs that are members of a VNI.
    pub tunnels: HashMap<TunnelKey, TunnelRow>,
    /// Receivers of copies.
    pub replicas: HashMap<ReplicaKey, ReplicaRow>,
    /// Addresses that ports may send from, beyond those in their rows.
    pub sources: HashMap<SourceKey, SourceRow>,
    /// Classes of addresses, by prefix.
    pub classes: HashMap<ClassKey, ClassRow>,
    /// Classes of services, by prefix.
    pub services: HashMap<ServiceKey, ClassRow>,
    /// What pairs of classes may do.
    pub policies: HashMap<PolicyKey, PolicyRow>,
    /// Policy domains.
    pub domains: HashMap<DomainId, DomainRow>,
}

impl SimRows {
    /// No rows but the host's own.
    pub fn new(host: HostRow) -> Self {
        Self {
            host,
            ..Self::default()
        }
    }

    /// Adds a port.
    pub fn port(&mut self, ifindex: u32, row: PortRow) {
        self.ports.insert(PortKey { ifindex, vlan: 0 }, row);
    }

    /// Says where a MAC address lives.
    pub fn mac(&mut self, network: NetworkId, mac: coax_wire::MacAddress, row: MacRow) {
        self.macs.insert(MacKey::new(network, mac), row);
    }

    /// Gives an address, IPv4 in mapped form, an owner.
    pub fn address(&mut self, network: NetworkId, address: [u8; 16], mac: coax_wire::MacAddress) {
        self.addresses
            .insert(AddressKey { address, network }, AddressRow::new(mac));
    }

    /// Lets the port with the counters `slot` send from an address, IPv4 in mapped form.
    pub fn source(&mut self, slot: u32, address: [u8; 16], row: SourceRow) {
        self.sources.insert(SourceKey { address, slot }, row);
    }

    /// Adds a route of a router to the first `bits` bits of an address, IPv4 in mapped form.
    pub fn route(&mut self, router: u32, address: [u8; 16], bits: u32, row: RouteRow) {
        self.routes
            .insert(RouteKey::new(router, address, bits), row);
    }

    /// Lets a VTEP, IPv4 in mapped form, send frames of a network.
    pub fn tunnel(&mut self, vtep: [u8; 16], network: NetworkId, flags: u32) {
        let key = TunnelKey {
            vtep,
            vni: network.0,
        };
        self.tunnels.insert(key, TunnelRow { network, flags });
    }

    /// Writes a network with its receivers, which are sorted into the order that its row asks for.
    pub fn network(&mut self, id: NetworkId, mtu: u32, flags: u32, receivers: &[Receiver]) {
        let mut receivers = receivers.to_vec();
        receivers.sort_by_key(Receiver::run);
        let in_run = |run| receivers.iter().filter(|one| one.run() == run).count() as u32;
        let row = NetworkRow {
            generation: 1,
            local: in_run(0),
            coax_ipv4: in_run(1),
            foreign_ipv4: in_run(2),
            foreign_ipv6: in_run(3),
            coax_ipv6: in_run(4),
            mtu,
            flags,
            ..NetworkRow::default()
        };
        self.networks.insert(id, row);
        for (slot, receiver) in receivers.iter().enumerate() {
            let key = ReplicaKey {
                network: id,
                generation: 1,
                slot: slot as u32,
            };
            self.replicas.insert(key, receiver.row());
        }
    }
}

/// Who gets copies of a network's broadcasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receiver {
    /// A local port: its device and its counters.
    Port {
        /// Kernel index of the device.
        ifindex: u32,
        /// Index of the counters.
        slot: u32,
    },
    /// A local port of a trunk, or an isolated one, by its row.
    Local(ReplicaRow),
    /// A host of Coax.
    Host([u8; 16]),
    /// A host of Coax that gets announcements of shared addresses only.
    Announced([u8; 16]),
    /// A VTEP that is not run by Coax.
    Foreign([u8; 16]),
}

impl Receiver {
    const fn run(&self) -> u32 {
        match self {
            Self::Port { .. } | Self::Local(_) => 0,
            Self::Host(vtep) | Self::Announced(vtep) => {
                if is_ipv4(vtep) {
                    1
                } else {
                    4
                }
            }
            Self::Foreign(vtep) => {
                if is_ipv4(vtep) {
                    2
                } else {
                    3
                }
            }
        }
    }

    fn row(&self) -> ReplicaRow {
        match *self {
            Self::Port { ifindex, slot } => ReplicaRow {
                vtep: [0; 16],
                ifindex,
                slot,
                ..ReplicaRow::default()
            },
            Self::Local(row) => row,
            Self::Announced(vtep) => ReplicaRow {
                vtep,
                flags: ReplicaRow::ANNOUNCED,
                ..ReplicaRow::default()
            },
            Self::Host(vtep) | Self::Foreign(vtep) => ReplicaRow {
                vtep,
                ifindex: 0,
                slot: 0,
                ..ReplicaRow::default()
            },
        }
    }
}

/// True for an IPv4 address in mapped form.
pub const fn is_ipv4(address: &[u8; 16]) -> bool {
    matches!(
        address,
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, _, _, _, _]
    )
}
