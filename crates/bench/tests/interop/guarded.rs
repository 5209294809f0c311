//! One host with three VMs whose ports are guarded: a hostile one with two ports, its victim, and a
//! bystander.
//!
//! ```text
//!   hostile eth0 --- port0 +-------+ port2 --- eth0 victim
//!           eth1 --- port1 | host  | port3 --- eth0 bystander
//!                          +-------+
//! ```

use coax_bench::pair::Pair;
use coax_bench::rows::key_address;
use coax_bench::vm::Vm;
use coax_netlink::{Namespace, ScopedNamespace, VethEnd};
use coax_sim::SimRows;
use coax_sim::rules::{Policy, Prefix, Rule, Service};
use coax_tables::{
    AddressKey, AddressRow, DomainId, DomainRow, DropReason, HostRow, MacKey, MacRow, NetworkId,
    NetworkRow, PolicyRow, PortKey, PortRow, ReplicaKey, ReplicaRow, ShutRow,
};
use coax_vswitch::{
    Attachment, Capacity, DataPlane, KernelDataPlane, KernelOptions, Row, RowOperation,
};
use std::path::PathBuf;

/// What marks the host's canaries.
pub const SECRET: u64 = 0x0123_4567_89ab_cdef;

/// Broadcasts, multicasts and floods that each port may send in a second.
pub const RATE: u32 = 500;

/// Ports, by the numbers of their VMs (1 and 5 are the hostile one's), which are their slots too.
pub const HOSTILE: u8 = 1;
/// The hostile VM's second port.
pub const SECOND: u8 = 5;
/// Who is attacked.
pub const VICTIM: u8 = 2;
/// Who has nothing to do with it.
pub const BYSTANDER: u8 = 3;

const PORTS: [u8; 4] = [HOSTILE, SECOND, VICTIM, BYSTANDER];
const NETWORK: NetworkId = NetworkId(42);
const MTU: u32 = 1450;

/// Lets the VM of a pair's first host say what it likes, for tests of what is carried and answered.
pub fn lift_guards(pair: &mut Pair) {
    let plane = &mut pair.planes()[0];
    for (key, row) in plane.rows().unwrap().ports {
        let row = PortRow {
            flags: row.flags | PortRow::ANY_ADDRESS | PortRow::SERVER,
            ..row
        };
        plane
            .apply(&RowOperation::Put(Row::Port(key, row)))
            .unwrap();
    }
}

/// The host and its VMs.
pub struct Guarded {
    plane: KernelDataPlane,
    pins: PathBuf,
    /// The host's namespace.
    pub host: ScopedNamespace,
    /// The VMs' namespaces: hostile, victim, bystander.
    pub vms: [ScopedNamespace; 3],
    /// Kernel indices of the ports on the host, in the order of their names.
    pub ports: [u32; 4],
}

impl Guarded {
    /// Builds it; a guard that shuts a port does so for `shut_seconds`.
    pub async fn build(label: &str, shut_seconds: u32) -> Self {
        let host = ScopedNamespace::create(&format!("coax-guard-{label}")).unwrap();
        let vms = ["h", "v", "b"]
            .map(|vm| ScopedNamespace::create(&format!("coax-guard-{label}-{vm}")).unwrap());
        for vm in &vms {
            // What VMs say by themselves would only be in the way.
            vm.write_sysctl("net/ipv6/conf/all/disable_ipv6", "1")
                .unwrap();
            vm.write_sysctl("net/ipv6/conf/default/disable_ipv6", "1")
                .unwrap();
        }
        host.write_sysctl("net/ipv6/conf/default/disable_ipv6", "1")
            .unwrap();
        let mut ports = [0; 4];
        let netlink = host.netlink().unwrap();
        for (place, number) in PORTS.into_iter().enumerate() {
            let vm = &vms[place.saturating_sub(1)];
            let name = format!("port{place}");
            let device = if number == SECOND { "eth1" } else { "eth0" };
            let inside = VethEnd::new(device)
                .with_mac(Vm::number(number).mac.0)
                .in_namespace(vm);
            netlink
                .create_veth(&VethEnd::new(&name), &inside)
                .await
                .unwrap();
            ports[place] = netlink.link(&name).await.unwrap().index;
            netlink.set_up(ports[place]).await.unwrap();
            let within = vm.netlink().unwrap();
            let index = within.link(device).await.unwrap().index;
            within.set_up(index).await.unwrap();
        }
        let pins = PathBuf::from(format!(
            "/sys/fs/bpf/coax-guard-{label}-{}",
            std::process::id()
        ));
        let options = KernelOptions {
            pins: pins.clone(),
            capacity: Capacity {
                ports: 16,
                ..Capacity::default()
            },
            take_over_layout: false,
        };
        let plane = host
            .run(|| {
                let mut plane = KernelDataPlane::open(&options).unwrap();
                for row in rows(&ports, shut_seconds) {
                    plane.apply(&RowOperation::Put(row)).unwrap();
                }
                for port in ports {
                    plane.attach(port, Attachment::Port).unwrap();
                }
                plane
            })
            .unwrap();
        Self {
            plane,
            pins,
            host,
            vms,
            ports,
        }
    }

    /// The hostile VM.
    pub fn hostile(&self) -> &Namespace {
        &self.vms[0]
    }

    /// The bystander.
    pub fn bystander(&self) -> &Namespace {
        &self.vms[2]
    }

    /// How often frames of a VM's port were dropped for a reason.
    pub fn dropped(&self, vm: u8, reason: DropReason) -> u64 {
        let found = self.plane.counters(vm.into()).unwrap();
        let drops = found.drops.iter().find(|(own, _)| *own == reason);
        drops.map_or(0, |(_, count)| *count)
    }

    /// Frames that a VM's port was given.
    pub fn got(&self, vm: u8) -> u64 {
        self.plane.counters(vm.into()).unwrap().counters.sent_frames
    }

    /// Whether a guard has shut a VM's port.
    pub fn shut(&self, vm: u8) -> ShutRow {
        self.plane.shut(vm.into()).unwrap()
    }

    /// Puts a firewall on all ports: a VM may open TCP connections to a port, and datagrams pass.
    pub fn allow_tcp(&mut self, vm: u8, port: u16) {
        let rule = |source, protocol, port| Rule {
            source,
            destination: None,
            service: Some(Service { protocol, port }),
            action: PolicyRow::ALLOW,
            flags: 0,
        };
        let mut rules = vec![rule(None, 17, None)];
        for ipv6 in [false, true] {
            let own = Prefix::whole(key_address(Vm::number(vm).address(ipv6)));
            rules.push(rule(Some(own), 6, Some(port)));
        }
        let policy = Policy {
            rules,
            otherwise: PolicyRow::DENY,
        };
        let domain = DomainId(1);
        let mut made = SimRows::default();
        policy.put(&mut made, domain, 1, NETWORK.0);
        let classes = made
            .classes
            .into_iter()
            .map(|(key, row)| Row::Class(key, row));
        let services = made
            .services
            .into_iter()
            .map(|(key, row)| Row::Service(key, row));
        let policies = made
            .policies
            .into_iter()
            .map(|(key, row)| Row::Policy(key, row));
        let domains = made.domains.into_iter().map(|(key, row)| {
            let quota = 10_000;
            Row::Domain(key, DomainRow { quota, ..row })
        });
        let mut rows: Vec<Row> = classes
            .chain(services)
            .chain(policies)
            .chain(domains)
            .collect();
        let found = self.plane.rows().unwrap();
        for (key, row) in found.macs {
            let (policy, scope) = (domain, NETWORK.0);
            rows.push(Row::Mac(
                key,
                MacRow {
                    policy,
                    scope,
                    ..row
                },
            ));
        }
        for (key, row) in found.ports {
            let (policy, scope) = (domain, NETWORK.0);
            rows.push(Row::Port(
                key,
                PortRow {
                    policy,
                    scope,
                    ..row
                },
            ));
        }
        for row in rows {
            self.plane.apply(&RowOperation::Put(row)).unwrap();
        }
    }

    /// Lets the ports of the hostile VM send with any MAC address, as a bridge in it would.
    pub fn allow_any_source(&mut self) {
        let rows = self.plane.rows().unwrap().ports;
        for (key, row) in rows
            .into_iter()
            .filter(|(_, row)| [1, 5].contains(&row.slot))
        {
            let row = PortRow {
                flags: row.flags | PortRow::ANY_SOURCE | PortRow::ANY_ADDRESS,
                ..row
            };
            self.plane
                .apply(&RowOperation::Put(Row::Port(key, row)))
                .unwrap();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        KernelDataPlane::remove(&self.pins).unwrap();
    }
}

fn rows(ports: &[u32; 4], shut_seconds: u32) -> Vec<Row> {
    let mut rows = vec![Row::Host(HostRow {
        canary: SECRET,
        ..HostRow::default()
    })];
    let replicas = (0..).zip(PORTS).zip(ports);
    for ((slot, number), ifindex) in replicas {
        rows.extend(member(
            &Vm::number(number),
            number.into(),
            *ifindex,
            shut_seconds,
        ));
        let key = ReplicaKey {
            network: NETWORK,
            generation: 1,
            slot,
        };
        let row = ReplicaRow {
            ifindex: *ifindex,
            slot: number.into(),
            ..ReplicaRow::default()
        };
        rows.push(Row::Replica(key, row));
    }
    let network = NetworkRow {
        generation: 1,
        local: PORTS.len() as u32,
        mtu: MTU,
        flags: NetworkRow::FLOOD_UNKNOWN,
        ..NetworkRow::default()
    };
    rows.push(Row::Network(NETWORK, network));
    rows
}

fn member(vm: &Vm, slot: u32, ifindex: u32, shut_seconds: u32) -> Vec<Row> {
    let port = PortRow {
        network: NETWORK,
        slot,
        mtu: MTU,
        mac: vm.mac,
        ipv4: vm.ipv4.octets(),
        ipv6: vm.ipv6.octets(),
        broadcast_rate: RATE,
        multicast_rate: RATE,
        unknown_rate: RATE,
        shut_seconds,
        ..PortRow::default()
    };
    let place = MacRow {
        ifindex,
        slot,
        mtu: MTU,
        flags: MacRow::LOCAL,
        ..MacRow::default()
    };
    let mut rows = vec![
        Row::Mac(MacKey::new(NETWORK, vm.mac), place),
        Row::Port(PortKey { ifindex, vlan: 0 }, port),
    ];
    for ipv6 in [false, true] {
        let key = AddressKey {
            address: key_address(vm.address(ipv6)),
            network: NETWORK,
        };
        rows.push(Row::Address(key, AddressRow::new(vm.mac)));
    }
    rows
}
