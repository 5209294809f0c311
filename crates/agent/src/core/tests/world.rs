//! One agent, its data plane and devices, and a controller that follows the protocol, unless told to misbehave.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use coax_api::agent::agent_message::Body;
use coax_api::agent::{ControllerMessage, Current, controller_message};
use coax_compile::Compiler;
use coax_compile::policy::Policies;
use coax_model::intent::{Change, Host, Intent};
use coax_model::name::HostName;
use coax_tables::DropReason;
use coax_vswitch::{Capacity, DataPlane, MemoryDataPlane};

use super::controller::{Attached, Controller};
use crate::cache::CacheContents;
use crate::core::{Core, Found};
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
    /// What was sent on other streams than that to the controller, which is told nothing of it.
    pub(super) sent_elsewhere: Vec<(u64, Body)>,
    /// Standby streams that were asked for: number and address.
    pub(super) standbys: Vec<(u64, String)>,
    /// Where a main controller was looked for.
    pub(super) mains: Vec<String>,
    /// Streams that were closed.
    pub(super) closed: Vec<u64>,
    pub(super) reports: Vec<input::ReportRequest>,
    pub(super) inquiries: Vec<input::Inquiry>,
    pub(super) controller: Controller,
    /// Messages of the controller that have not arrived yet.
    pub(super) wire: VecDeque<(u64, ControllerMessage)>,
    pub(super) resets: Vec<u32>,
    /// Frames for ports.
    pub(super) answers: Vec<(u32, Vec<u8>)>,
}

pub(super) fn config() -> Config {
    Config {
        controllers: vec!["192.0.2.1:7450".into()],
        host: HOST.into(),
        version: "test".into(),
        vtep_ipv4: Some([10, 0, 0, 1].into()),
        vtep_ipv6: None,
        uplinks: vec!["eth0".into()],
        capacity: Capacity {
            ports: MOST_PORTS,
            ..Capacity::default()
        },
        prefer_ipv6: false,
        canary: 1,
        secret: 2,
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
            run: 1,
            revision: 0,
            compiler: Compiler::full(&intent, 0),
            policies: Policies::full(&intent, 0),
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
            sent_elsewhere: Vec::new(),
            standbys: Vec::new(),
            mains: Vec::new(),
            closed: Vec::new(),
            reports: Vec::new(),
            inquiries: Vec::new(),
            controller,
            wire: VecDeque::new(),
            resets: Vec::new(),
            answers: Vec::new(),
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
            Command::Connect {
                stream,
                address,
                standby,
            } => self.connect(stream, address, standby),
            Command::Disconnect { stream } => {
                self.closed.push(stream);
                self.controller
                    .attached
                    .take_if(|attached| attached.stream == stream);
            }
            Command::Send { stream, body, .. } if self.is_standby(stream) => {
                self.sent_elsewhere.push((stream, body));
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
            Command::SendToPort { ifindex, frame } => self.answers.push((ifindex, frame)),
            Command::Save(contents) => self.saved = Some(contents),
            Command::LookAtGuards { slots } => self.look_at_guards(slots),
            Command::HandOver(moving) => {
                let connections = moving.collect(&self.plane);
                self.input(Input::HandedOver(connections));
            }
            Command::TakeOver {
                connections,
                domain,
                ..
            } => {
                let taken = self.plane.adopt_connections(&connections, domain);
                assert_eq!(taken.unwrap(), connections.len());
            }
            Command::Report(request) => {
                let request_id = request.request_id;
                self.reports.push(request);
                self.input(Input::Reported {
                    request_id,
                    json: b"{}".to_vec(),
                });
            }
            Command::Answer(inquiry) => {
                let question_id = inquiry.question_id;
                self.inquiries.push(inquiry);
                self.input(Input::Answered {
                    question_id,
                    json: b"{}".to_vec(),
                });
            }
        }
    }

    fn connect(&mut self, stream: u64, address: String, standby: bool) {
        if standby {
            return self.standbys.push((stream, address));
        }
        self.mains.push(address);
        if self.controller.up {
            self.controller.attached = Some(Attached {
                stream,
                ..Attached::default()
            });
            self.input(Input::Connected { stream });
        } else {
            let reason = "refused".into();
            self.input(Input::Disconnected { stream, reason });
        }
    }

    fn is_standby(&self, stream: u64) -> bool {
        self.standbys.iter().any(|(number, _)| *number == stream)
    }

    fn look_at_guards(&mut self, slots: Vec<u32>) {
        let drops = slots.iter().map(|slot| input::GuardDrops {
            slot: *slot,
            counts: {
                let drops = self.plane.counters(*slot).unwrap().drops.into_iter();
                let guards = drops.filter(|(reason, _)| DropReason::GUARDS.contains(reason));
                guards.collect()
            },
        });
        let drops = drops.collect();
        let clock = 1_000_000 + self.now.as_secs();
        let shut = slots.into_iter().filter_map(|slot| {
            let row = self.plane.shut(slot).unwrap();
            let left = u64::from(row.until).checked_sub(self.now.as_secs());
            let left = left.filter(|left| *left > 0)?;
            Some(input::ShutPort {
                slot,
                row,
                until_clock: clock + left,
            })
        });
        let shut = shut.collect();
        self.input(Input::GuardsSeen(input::GuardsSeen { shut, drops, clock }));
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
