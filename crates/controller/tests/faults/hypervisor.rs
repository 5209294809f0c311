//! One host: the real agent core over a data plane in memory, with devices, routes and a place in the fabric.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use coax_agent::trace::{HostView, KnownWay, Link, Run};
use coax_agent::{Config, Core, Device, Found, Input, Inquiry};
use coax_api::question::{HostAnswer, HostQuestion};
use coax_pipeline::Path;
use coax_sim::tables::Way;
use coax_sim::trace::PathQuestion;
use coax_vswitch::{Capacity, DataPlane, MemoryDataPlane, Rows};
use coax_wire::MacAddress;

/// Number of every uplink.
pub const UPLINK: u32 = 1;

/// One host.
pub struct Hypervisor {
    pub number: u8,
    /// None: the agent is dead.
    pub agent: Option<Core>,
    pub plane: MemoryDataPlane,
    pub devices: BTreeMap<u32, Device>,
    pub down: Vec<u32>,
    /// Devices that lost their program behind the agent's back.
    pub without_program: Vec<u32>,
    pub uplink_mtu: u32,
    /// Whether the fabric has a route from here.
    pub has_route: bool,
    /// Whether the next hop answers ARP.
    pub next_hop_answers: bool,
    /// Its kernel never finishes a change, so the agent falls behind.
    pub stuck: bool,
    /// Its agent hangs when it is asked for a trace.
    pub mute: bool,
    /// What was done to the rows after the agent wrote them.
    corruptions: Vec<Corruption>,
}

/// Changes rows behind the agent's back.
pub type Corruption = Box<dyn Fn(&mut Rows) + Send + Sync>;

impl Hypervisor {
    /// A fresh host `hvN`.
    pub fn new(number: u8, plane: MemoryDataPlane) -> Self {
        let config = Config {
            controllers: vec!["192.0.2.1:7450".into()],
            host: format!("hv{number}"),
            version: "test".into(),
            vtep_ipv4: Some(Ipv4Addr::new(192, 0, 2, number)),
            vtep_ipv6: None,
            uplinks: vec!["eth0".into()],
            capacity: Capacity::default(),
            prefer_ipv6: false,
            canary: 0,
            secret: 2,
        };
        let mut hypervisor = Self {
            number,
            agent: Some(Core::new(config, Found::default(), Duration::ZERO)),
            plane,
            devices: BTreeMap::new(),
            down: Vec::new(),
            without_program: Vec::new(),
            uplink_mtu: 1600,
            has_route: true,
            next_hop_answers: true,
            stuck: false,
            mute: false,
            corruptions: Vec::new(),
        };
        let uplink = Device {
            ifindex: UPLINK,
            name: "eth0".into(),
            alias: None,
            mtu: 1600,
            veth_into_namespace: false,
        };
        hypervisor.devices.insert(UPLINK, uplink);
        hypervisor
    }

    /// A device for a port, with the next free number.
    pub fn new_device(&mut self, port: &str) -> Device {
        let ifindex = self.devices.keys().max().unwrap() + 1;
        let device = Device {
            ifindex,
            name: format!("tap{ifindex}"),
            alias: Some(format!("coax:{port}")),
            mtu: 9000,
            veth_into_namespace: false,
        };
        self.devices.insert(ifindex, device.clone());
        device
    }

    /// The number of a port's device.
    pub fn device_of(&self, port: &str) -> u32 {
        let alias = format!("coax:{port}");
        let mut devices = self.devices.values();
        devices
            .find(|device| device.alias.as_ref() == Some(&alias))
            .unwrap()
            .ifindex
    }

    /// Changes rows behind the agent's back.
    pub fn corrupt(&mut self, corruption: impl Fn(&mut Rows) + Send + Sync + 'static) {
        self.corruptions.push(Box::new(corruption));
    }

    /// What the kernel would hold.
    pub fn rows(&self) -> Rows {
        let mut rows = self.plane.rows().unwrap();
        for corruption in &self.corruptions {
            corruption(&mut rows);
        }
        rows
    }

    /// Answers a question that needs nobody else.
    pub fn run(&self, inquiry: &Inquiry) -> HostAnswer {
        let HostQuestion::Run { frames } = &inquiry.question else {
            panic!("{inquiry:?}")
        };
        let mut view = self.view(inquiry);
        loop {
            match coax_agent::trace::run(&view, frames) {
                Run::Done(run) => return HostAnswer::Ran(run),
                Run::Ask(unanswered) => {
                    for question in unanswered.ways {
                        let way = self.way(&question);
                        view.ways.insert(question, way);
                    }
                    let copy = self.plane.connection_buckets(&unanswered.buckets).unwrap();
                    view.connections.buckets.extend(copy.buckets);
                }
            }
        }
    }

    fn view(&self, inquiry: &Inquiry) -> HostView {
        let links = self.devices.values().map(|device| {
            let mtu = match device.ifindex {
                UPLINK => self.uplink_mtu,
                _ => device.mtu,
            };
            let link = Link {
                name: device.name.clone(),
                up: !self.down.contains(&device.ifindex),
                mtu,
                mac: MacAddress([2, 0, 0, 1, 0, self.number]),
            };
            (device.ifindex, link)
        });
        let mut attached = self.plane.attached().unwrap();
        attached.retain(|(ifindex, _)| !self.without_program.contains(ifindex));
        let rows = self.rows();
        let slots = rows.ports.values().map(|row| row.slot).chain([0]);
        let counters = slots.map(|slot| (slot, self.plane.counters(slot).unwrap()));
        HostView {
            counters: counters.collect(),
            rows,
            attached,
            links: links.collect(),
            ways: BTreeMap::new(),
            connections: self.plane.connection_buckets(&BTreeSet::new()).unwrap(),
            names: inquiry.names.clone(),
            revision: inquiry.revision,
            now: 0,
            problems: inquiry.problems.clone(),
        }
    }

    fn way(&self, _question: &PathQuestion) -> Option<KnownWay> {
        let destination = match self.next_hop_answers {
            true => MacAddress([2, 0, 0, 2, 0, self.number]),
            false => MacAddress::default(),
        };
        self.has_route.then(|| KnownWay {
            way: Way {
                path: Path {
                    ifindex: UPLINK,
                    destination,
                    source: MacAddress([2, 0, 0, 1, 0, self.number]),
                },
                resolved: self.next_hop_answers,
                mtu: self.uplink_mtu,
            },
            next_hop: IpAddr::from([198, 51, 100, self.number]),
        })
    }

    /// The inputs with which an agent starts.
    pub fn first_inputs(&self) -> Vec<Input> {
        let devices = self.devices.values().cloned().map(Input::Device);
        devices.chain([Input::DevicesListed]).collect()
    }
}
