//! One agent, its data plane and devices, and a controller that follows the protocol, unless told to misbehave.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use coax_api::agent::agent_message::Body;
use coax_api::agent::{ControllerMessage, Current, Problem, controller_message};
use coax_compile::rows::{self, LocalPort, NetworkRows};
use coax_compile::{Compiler, NetworkSlice};
use coax_model::intent::{Change, Host, Intent};
use coax_model::name::{HostName, PortName};
use coax_tables::{MacKey, MacRow, NetworkId, PortKey, ReplicaKey};
use coax_vswitch::{Attachment, DataPlane, MemoryDataPlane, Row, RowKey, RowOperation, Rows};

use super::controller::{Attached, Controller};
use crate::cache::CacheContents;
use crate::core::{Core, Found};
use crate::desired::here;
use crate::execute::execute;
use crate::input::{self, Command, Config, Device, Input, Moment};

pub(super) const HOST: &str = "hv1";
pub(super) const OTHER: &str = "hv2";
pub(super) const MOST_PORTS: u32 = 12;
const HOSTS: [&str; 4] = [HOST, OTHER, "hv3", "hv4"];

/// Everything around one core.
pub(super) struct World {
    pub(super) core: Core,
    pub(super) plane: MemoryDataPlane,
    pub(super) now: Moment,
    pub(super) devices: BTreeMap<u32, Device>,
    pub(super) uplink: u32,
    next_ifindex: u32,
    pub(super) saved: Option<CacheContents>,
    pub(super) sent: Vec<Body>,
    pub(super) reports: Vec<input::ReportRequest>,
    pub(super) controller: Controller,
    /// Messages of the controller that have not arrived yet.
    pub(super) wire: VecDeque<(u64, ControllerMessage)>,
    pub(super) resets: Vec<u32>,
}

pub(super) fn config() -> Config {
    Config {
        host: HOST.into(),
        version: "test".into(),
        vtep_ipv4: Some([10, 0, 0, 1].into()),
        vtep_ipv6: None,
        uplinks: vec!["eth0".into()],
        most_ports: MOST_PORTS,
        prefer_ipv6: false,
    }
}

impl World {
    /// An agent on a fresh host with one uplink; four hosts that the controller knows.
    pub(super) fn new() -> Self {
        let mut world = Self::without_start(MemoryDataPlane::new());
        world.start();
        world
    }

    /// As [`World::new`] with a data plane of one's own.
    pub(super) fn with_plane(plane: MemoryDataPlane) -> Self {
        let mut world = Self::without_start(plane);
        world.start();
        world
    }

    fn without_start(plane: MemoryDataPlane) -> Self {
        let intent = Intent::new(1600);
        let controller = Controller {
            generation: 1,
            revision: 0,
            compiler: Compiler::full(&intent, 0),
            intent,
            attached: None,
            up: true,
            refuse: BTreeSet::new(),
        };
        let mut world = Self {
            core: Core::new(config(), Found::default(), Duration::ZERO),
            plane,
            now: Duration::ZERO,
            devices: BTreeMap::new(),
            uplink: 0,
            next_ifindex: 1,
            saved: None,
            sent: Vec::new(),
            reports: Vec::new(),
            controller,
            wire: VecDeque::new(),
            resets: Vec::new(),
        };
        for (number, host) in (1..).zip(HOSTS) {
            let ipv4 = Some([10, 0, 0, number].into());
            let host_value = Host {
                ipv4,
                ipv6: None,
                underlay_mtu: 1600,
            };
            world.change(Change::PutHost {
                name: HostName::new(host).unwrap(),
                host: host_value,
            });
        }
        world.uplink = world.plug_uplink(1600);
        world
    }

    /// Starts the agent on whatever the data plane, the devices and the saved cache are now.
    pub(super) fn start(&mut self) {
        let found = Found {
            rows: self.plane.rows().unwrap(),
            attached: self.plane.attached().unwrap(),
            cache: self.saved.clone(),
            cache_problem: None,
            seed: 1,
        };
        self.controller.attached = None;
        self.wire.clear();
        self.core = Core::new(config(), found, self.now);
        for device in self.devices.clone().into_values() {
            self.input(Input::Device(device));
        }
        self.input(Input::DevicesListed);
    }

    /// The agent is killed and started again.
    pub(super) fn restart(&mut self) {
        self.start();
    }

    /// The host is rebooted: tables, programs and devices are gone, the disk is not.
    pub(super) fn reboot(&mut self) {
        self.plane = MemoryDataPlane::new();
        self.devices.clear();
        self.uplink = self.next_ifindex;
        self.next_ifindex += 1;
        self.devices.insert(self.uplink, uplink(self.uplink, 1600));
        self.start();
    }

    /// Feeds an input and everything that follows from it at once.
    pub(super) fn input(&mut self, input: Input) {
        let commands = self.core.handle(input, self.now);
        for command in commands {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Connect { stream } if self.controller.up => {
                self.controller.attached = Some(Attached {
                    stream,
                    ..Attached::default()
                });
                self.input(Input::Connected { stream });
            }
            Command::Connect { stream } => {
                self.input(Input::Disconnected {
                    stream,
                    reason: "refused".into(),
                });
            }
            Command::Disconnect { stream } => {
                self.controller
                    .attached
                    .take_if(|attached| attached.stream == stream);
            }
            Command::Send { stream, body, .. } => {
                self.sent.push(body.clone());
                self.controller_hears(stream, body);
            }
            Command::Apply(batch) => {
                for step in &batch.steps {
                    if let input::Step::ResetCounters(slot) = step {
                        self.resets.push(*slot);
                    }
                }
                let failures = execute(&mut self.plane, &batch);
                self.input(Input::Applied {
                    batch: batch.number,
                    failures,
                });
            }
            Command::Save(contents) => self.saved = Some(contents),
            Command::Report(request) => {
                let request_id = request.request_id;
                self.reports.push(request);
                self.input(Input::Reported {
                    request_id,
                    json: b"{}".to_vec(),
                });
            }
        }
    }

    /// Delivers messages and lets time pass until nothing is left to happen within a minute.
    pub(super) fn run(&mut self) {
        self.run_for(Duration::from_secs(60));
    }

    /// Delivers messages and lets `time` pass.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while let Some((stream, message)) = self.wire.pop_front() {
                self.input(Input::Received { stream, message });
            }
            match self.core.deadline() {
                Some(deadline) if deadline <= end => {
                    self.now = self.now.max(deadline);
                    self.input(Input::Tick);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// The controller says again how far it is, as it does from time to time.
    pub(super) fn heartbeat(&mut self) {
        let revision = self.controller.revision;
        self.controller_says(controller_message::Body::Current(Current { revision }));
    }

    // Devices.

    pub(super) fn new_device(&mut self, alias: &str) -> Device {
        let ifindex = self.next_ifindex;
        self.next_ifindex += 1;
        let device = Device {
            ifindex,
            name: format!("tap{ifindex}"),
            alias: Some(alias.into()),
            mtu: 9000,
            veth_into_namespace: false,
        };
        self.devices.insert(ifindex, device.clone());
        device
    }

    pub(super) fn plug(&mut self, port: &str) -> u32 {
        let device = self.new_device(&format!("coax:{port}"));
        let ifindex = device.ifindex;
        self.input(Input::Device(device));
        ifindex
    }

    pub(super) fn plug_uplink(&mut self, mtu: u32) -> u32 {
        self.uplink = self.next_ifindex;
        self.next_ifindex += 1;
        self.change_device(uplink(self.uplink, mtu));
        self.uplink
    }

    pub(super) fn change_device(&mut self, device: Device) {
        self.devices.insert(device.ifindex, device.clone());
        self.input(Input::Device(device));
    }

    pub(super) fn unplug(&mut self, ifindex: u32) {
        self.devices.remove(&ifindex);
        self.input(Input::DeviceGone { ifindex });
    }

    // What is to be seen.

    pub(super) fn rows(&self) -> Rows {
        self.plane.rows().unwrap()
    }

    pub(super) fn slot_of(&self, ifindex: u32) -> u32 {
        self.rows().ports[&PortKey { ifindex, vlan: 0 }].slot
    }

    pub(super) fn mac_row(&self, port: &str) -> MacRow {
        let name: PortName = port.parse().unwrap();
        let port = &self.controller.intent.ports[&name];
        let network = self.controller.compiler.network_of(&name).unwrap();
        self.rows().macs[&MacKey::new(NetworkId(network), port.mac)]
    }

    /// The device that claims the port, the oldest if there are several.
    pub(super) fn find_local(&self, port: &str) -> Option<u32> {
        let alias = format!("coax:{port}");
        let claims = |device: &&Device| device.alias.as_deref() == Some(alias.as_str());
        self.devices
            .values()
            .find(claims)
            .map(|device| device.ifindex)
    }

    pub(super) fn next_local(&self, port: &str) -> u32 {
        self.find_local(port).expect("a device for the port")
    }

    /// Exactly the uplink and the devices of known ports have a program; devices of ports that nobody knows may have one.
    pub(super) fn assert_attached(&self) {
        let attached = self.plane.attached().unwrap();
        assert!(attached.contains(&(self.uplink, Attachment::Uplink)));
        for key in self.rows().ports.keys() {
            assert!(
                attached.contains(&(key.ifindex, Attachment::Port)),
                "{key:?}"
            );
        }
        for (ifindex, side) in &attached {
            let device = self
                .devices
                .get(ifindex)
                .expect("a program on a device that is gone");
            assert!(*side == Attachment::Uplink || device.alias.is_some());
        }
    }

    /// The revision of the agent's last word about it.
    pub(super) fn realised(&self) -> Option<u64> {
        self.last_realised().map(|realised| realised.revision)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        self.last_realised()
            .map(|realised| realised.problems.clone())
            .unwrap_or_default()
    }

    fn last_realised(&self) -> Option<&coax_api::agent::Realised> {
        self.sent.iter().rev().find_map(|body| match body {
            Body::Realised(realised) => Some(realised),
            _ => None,
        })
    }

    /// The tables hold exactly what follows from the controller's slices and the devices, worked out from nothing.
    pub(super) fn assert_converged(&self) {
        let attached = self.controller.attached.as_ref().expect("an open stream");
        let mut wanted = BTreeMap::new();
        for network in attached.told.keys() {
            let slice = self.controller.compiler.slice(*network).unwrap();
            let locals = self.locals(&slice);
            wanted.insert(
                NetworkId(*network),
                rows::network(&slice, &here(&config()), &locals),
            );
        }
        assert_eq!(normal_form(&self.rows()), wanted);
    }

    fn locals(&self, slice: &NetworkSlice) -> Vec<LocalPort> {
        let rows = self.rows();
        let mut locals = BTreeMap::new();
        for device in self.devices.values() {
            let port = device
                .alias
                .as_deref()
                .and_then(|alias| alias.strip_prefix("coax:"));
            let Some(port) = port.filter(|port| slice.member(port).is_some()) else {
                continue;
            };
            let row = rows.ports.get(&PortKey {
                ifindex: device.ifindex,
                vlan: 0,
            });
            // Any slot is right that no other port has (looked at below), and any of several devices that claim the port.
            let local = LocalPort {
                port: port.to_owned(),
                ifindex: device.ifindex,
                slot: row.map_or(0, |row| row.slot),
                peer_redirect: device.veth_into_namespace,
            };
            if row.is_some() || !locals.contains_key(port) {
                locals.insert(port.to_owned(), local);
            }
        }
        let slots: BTreeSet<u32> = rows.ports.values().map(|row| row.slot).collect();
        assert_eq!(slots.len(), rows.ports.len(), "two ports share a slot");
        assert!(!slots.contains(&0), "a port has the fabric's slot");
        locals.into_values().collect()
    }

    /// Plays all operations again and looks after each one whether a frame could have met a network whose replica list is
    /// incomplete.
    pub(super) fn assert_never_half(&self) {
        let mut rows = Rows::default();
        for operation in self.plane.operations() {
            rows.apply(operation);
            for (network, row) in &rows.networks {
                let generation = row.generation;
                for slot in 0..row.replicas() {
                    let key = ReplicaKey {
                        network: *network,
                        generation,
                        slot,
                    };
                    assert!(
                        rows.replicas.contains_key(&key),
                        "after {operation:?}: no {key:?}"
                    );
                }
            }
            if let RowOperation::Put(Row::Port(_, row)) = operation {
                assert!(
                    rows.networks.contains_key(&row.network),
                    "a port without its network"
                );
            }
            if let RowOperation::Delete(RowKey::Network(network)) = operation {
                assert!(!rows.ports.values().any(|row| row.network == *network));
            }
        }
    }
}

fn uplink(ifindex: u32, mtu: u32) -> Device {
    let name = "eth0".into();
    Device {
        ifindex,
        name,
        alias: None,
        mtu,
        veth_into_namespace: false,
    }
}

/// Rows by network, without the generation of the replica list; leftovers of other generations fail the test.
pub(super) fn normal_form(rows: &Rows) -> BTreeMap<NetworkId, NetworkRows> {
    let mut networks: BTreeMap<NetworkId, NetworkRows> = BTreeMap::new();
    for (key, row) in &rows.tunnels {
        networks
            .entry(row.network)
            .or_default()
            .tunnels
            .insert(*key, *row);
    }
    for (key, row) in &rows.macs {
        networks
            .entry(key.network)
            .or_default()
            .macs
            .insert(*key, *row);
    }
    for (key, row) in &rows.addresses {
        networks
            .entry(key.network)
            .or_default()
            .addresses
            .insert(*key, *row);
    }
    for (key, row) in &rows.replicas {
        let valid = rows
            .networks
            .get(&key.network)
            .map(|network| network.generation);
        assert_eq!(valid, Some(key.generation), "a leftover: {key:?}");
        let list = &mut networks.entry(key.network).or_default().replicas;
        assert_eq!(
            list.len(),
            key.slot as usize,
            "a hole in the list before {key:?}"
        );
        list.push(*row);
    }
    for (network, row) in &rows.networks {
        let row = coax_tables::NetworkRow {
            generation: 0,
            ..*row
        };
        networks.entry(*network).or_default().network = Some(row);
    }
    for (key, row) in &rows.ports {
        networks
            .entry(row.network)
            .or_default()
            .ports
            .insert(*key, *row);
    }
    networks
}
