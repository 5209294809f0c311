//! The scripted controller: follows the protocol with a real compiler, unless it is told to misbehave.

use std::collections::{BTreeMap, BTreeSet};

use coax_api::agent::agent_message::Body;
use coax_api::agent::{
    ControllerMessage, Current, Delta, Forget, Question, Refused, ReportRequest, SliceKind,
    Snapshot, Welcome, controller_message,
};
use coax_api::protocol::PROTOCOL;
use coax_compile::Compiler;
use coax_compile::policy::{Policies, PolicyNews};
use coax_model::intent::{Binding, Change, Intent, Network, Port};
use coax_model::name::{HostName, NetworkName, PortName};
use coax_model::{Name, Router, RouterName, Subnet, TrunkVlan};
use coax_wire::{MacAddress, Mtu, VlanId, Vni};
use prost::Message;

use super::world::{HOST, World};
use crate::input::Input;

/// What the controller remembers of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Attached {
    pub(super) stream: u64,
    pub(super) sequence: u64,
    pub(super) told: BTreeMap<(SliceKind, u32), u64>,
    pub(super) claimed: BTreeSet<String>,
    pub(super) ready: bool,
}

/// A controller with a real compiler.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) generation: u64,
    pub(super) run: u64,
    pub(super) revision: u64,
    pub(super) intent: Intent,
    pub(super) compiler: Compiler,
    pub(super) policies: Policies,
    pub(super) attached: Option<Attached>,
    pub(super) up: bool,
    /// Claims of these ports are refused.
    pub(super) refuse: BTreeSet<String>,
}

impl World {
    // Intent.

    pub(super) fn change(&mut self, change: Change) {
        self.controller.intent.apply(&change);
        self.controller.revision += 1;
        let revision = self.controller.revision;
        let changes = [change];
        let steps = self.controller.compiler.apply(revision, &changes);
        let intent = &self.controller.intent;
        let policies = self.controller.policies.apply(intent, revision, &changes);
        if !self.controller.attached.as_ref().is_some_and(|it| it.ready) {
            return;
        }
        for step in steps.networks {
            let delta = step.delta;
            let id = (SliceKind::Network, delta.network_id);
            let told = &mut self.controller.attached.as_mut().unwrap().told;
            if !told.contains_key(&id) {
                continue;
            }
            if delta.deleted {
                told.remove(&id);
            } else {
                told.insert(id, delta.to_revision);
            }
            self.say_delta(SliceKind::Network, delta.encode_to_vec());
        }
        for step in policies {
            let told = &mut self.controller.attached.as_mut().unwrap().told;
            if let Some(told) = told.get_mut(&(SliceKind::Policy, step.number))
                && let PolicyNews::Delta(delta) = step.news
            {
                *told = delta.to_revision;
                self.say_delta(SliceKind::Policy, delta.encode_to_vec());
            }
        }
        self.bring_up_to_date();
    }

    fn say_delta(&mut self, kind: SliceKind, delta: Vec<u8>) {
        let delta = Delta {
            delta: delta.into(),
            kind: kind.into(),
        };
        self.controller_says(controller_message::Body::Delta(delta));
    }

    pub(super) fn network(&mut self, name: &str) {
        let count = self.controller.intent.networks.len() as u32;
        self.network_with_vni(name, 4096 + count);
    }

    pub(super) fn network_with_vni(&mut self, name: &str, vni: u32) {
        let name: NetworkName = name.parse().unwrap();
        let network = Network {
            subnets: vec![Subnet::new("10.1.0.0/16".parse().unwrap())],
            ..Network::new(Vni::try_from(vni).unwrap(), Mtu::try_from(1530u32).unwrap())
        };
        self.change(Change::PutNetwork { name, network });
    }

    pub(super) fn delete_network(&mut self, name: &str) {
        self.change(Change::DeleteNetwork {
            name: name.parse().unwrap(),
        });
    }

    /// Creates the port, or puts it into another network; MAC and IP address follow from its name.
    pub(super) fn port(&mut self, name: &str, network: &str) {
        let hash = crc32fast::hash(name.as_bytes()).to_be_bytes();
        let network: NetworkName = network.parse().unwrap();
        let mac = MacAddress([2, 0, hash[0], hash[1], hash[2], hash[3]]);
        let port = Port {
            addresses: vec![[10, 1, hash[2], hash[3]].into()],
            ..Port::new(network.name, mac)
        };
        self.change(Change::PutPort {
            name: name.parse().unwrap(),
            port,
        });
    }

    /// Changes something about a port that is there.
    pub(super) fn edit_port(&mut self, name: &str, edit: impl FnOnce(&mut Port)) {
        let name: PortName = name.parse().unwrap();
        if let Some(mut port) = self.controller.intent.ports.get(&name).cloned() {
            edit(&mut port);
            self.change(Change::PutPort { name, port });
        }
    }

    /// Lets a port carry further networks of its project, by VLAN, with an address in each.
    pub(super) fn trunk(&mut self, name: &str, vlans: &[(u32, &str)]) {
        let vlans = vlans.iter().map(|(vlan, network)| {
            let network: NetworkName = network.parse().unwrap();
            let hash = crc32fast::hash(format!("{name} {vlan}").as_bytes()).to_be_bytes();
            let to = TrunkVlan {
                network: network.name,
                addresses: vec![[10, 1, hash[2], hash[3]].into()],
            };
            (VlanId::try_from(*vlan).unwrap(), to)
        });
        let vlans = vlans.collect();
        self.edit_port(name, |port| port.trunk = vlans);
    }

    /// Creates a router, or changes which networks it joins.
    pub(super) fn router(&mut self, name: &str, networks: &[&str]) {
        let networks = networks.iter().map(|network| Name::new(network).unwrap());
        let router = Router {
            networks: networks.collect(),
            ..Router::default()
        };
        self.change(Change::PutRouter {
            name: name.parse().unwrap(),
            router,
        });
    }

    pub(super) fn delete_router(&mut self, name: &str) {
        let name: RouterName = name.parse().unwrap();
        self.change(Change::DeleteRouter { name });
    }

    pub(super) fn delete_port(&mut self, name: &str) {
        self.change(Change::DeletePort {
            name: name.parse().unwrap(),
        });
    }

    pub(super) fn bind(&mut self, port: &str, host: &str) {
        self.put_binding(port, Binding::at(HostName::new(host).unwrap()));
    }

    pub(super) fn put_binding(&mut self, port: &str, binding: Binding) {
        self.change(Change::PutBinding {
            port: port.parse().unwrap(),
            binding,
        });
    }

    pub(super) fn unbind(&mut self, port: &str) {
        self.change(Change::DeleteBinding {
            port: port.parse().unwrap(),
        });
    }

    // The controller.

    pub(super) fn controller_dies(&mut self) {
        self.controller.up = false;
        self.wire.clear();
        if let Some(attached) = self.controller.attached.take() {
            let stream = attached.stream;
            self.input(Input::Disconnected {
                stream,
                reason: "killed".into(),
            });
        }
    }

    pub(super) fn controller_comes_back(&mut self) {
        self.controller.up = true;
        self.controller.generation += 1;
        self.controller.run += 1;
    }

    /// Goes back to what was the intent at a revision; a new generation follows from coming back.
    pub(super) fn controller_restores(&mut self, (intent, revision): (Intent, u64)) {
        self.controller.compiler = Compiler::full(&intent, revision);
        self.controller.policies = Policies::full(&intent, revision);
        self.controller.intent = intent;
        self.controller.revision = revision;
    }

    pub(super) fn ask_for_report(&mut self, request_id: u64) {
        self.controller_says(controller_message::Body::ReportRequest(ReportRequest {
            request_id,
        }));
    }

    pub(super) fn ask(&mut self, question_id: u64, json: &[u8]) {
        let json = json.to_vec().into();
        self.controller_says(controller_message::Body::Question(Question {
            question_id,
            json,
        }));
    }

    pub(super) fn controller_says(&mut self, body: controller_message::Body) {
        let Some(attached) = &mut self.controller.attached else {
            return;
        };
        attached.sequence += 1;
        let message = ControllerMessage {
            sequence: attached.sequence,
            body: Some(body),
        };
        self.wire.push_back((attached.stream, message));
    }

    pub(super) fn controller_hears(&mut self, stream: u64, body: Body) {
        let Some(attached) = &mut self.controller.attached else {
            return;
        };
        if attached.stream != stream {
            return;
        }
        match body {
            Body::Hello(hello) => {
                let (generation, revision) = (self.controller.generation, self.controller.revision);
                // Revisions of another generation say nothing.
                let current = hello.generation == generation && hello.run == self.controller.run;
                let have = hello.have.iter().map(|held| {
                    let revision = if current { held.revision } else { 0 };
                    ((held.kind(), held.number), revision)
                });
                attached.told = have.collect();
                let welcome = Welcome {
                    generation,
                    revision,
                    run: self.controller.run,
                    protocol: PROTOCOL,
                };
                self.controller_says(controller_message::Body::Welcome(welcome));
            }
            Body::Claims(claims) => {
                attached.ready = true;
                for port in &claims.unplugged {
                    attached.claimed.remove(port);
                }
                let plugged = claims.plugged.iter().map(|plugged| plugged.port.clone());
                attached.claimed.extend(plugged);
                for plugged in &claims.plugged {
                    self.take_claim(&plugged.port);
                }
                self.bring_up_to_date();
            }
            _ => {}
        }
    }

    /// Binds a claimed port to the host of the agent.
    fn take_claim(&mut self, port: &str) {
        if self.controller.refuse.contains(port) {
            let refused = Refused {
                port: port.into(),
                reason: "it runs elsewhere".into(),
            };
            self.controller_says(controller_message::Body::Refused(refused));
            return;
        }
        let name: PortName = port.parse().unwrap();
        if !self.controller.intent.ports.contains_key(&name) {
            return;
        }
        let here = HostName::new(HOST).unwrap();
        let former = self
            .controller
            .intent
            .bindings
            .get(&name)
            .and_then(|it| it.host.clone());
        if former.as_ref() == Some(&here) {
            return;
        }
        self.put_binding(
            port,
            Binding {
                host: Some(here),
                moving_to: None,
                moved_from: former,
            },
        );
    }

    /// The policies of the projects of these networks.
    fn wanted_policies<'a>(
        &self,
        ids: impl Iterator<Item = &'a (SliceKind, u32)>,
    ) -> BTreeMap<(SliceKind, u32), (u64, Vec<u8>)> {
        let networks = ids.filter(|(kind, _)| *kind == SliceKind::Network);
        let params =
            networks.filter_map(|(_, number)| self.controller.compiler.slice(*number)?.params);
        let policies = &self.controller.policies;
        let numbers = params.filter_map(|it| policies.number(&Name::new(&it.project).unwrap()));
        let slices = numbers.map(|number| {
            let slice = policies.slice(number).unwrap();
            let told = (slice.revision, slice.encode_to_vec());
            ((SliceKind::Policy, number), told)
        });
        slices.collect()
    }

    /// Sends snapshots of what the agent should have and has not, and takes back what it should not have.
    fn bring_up_to_date(&mut self) {
        let Some(attached) = &self.controller.attached else {
            return;
        };
        if !attached.ready {
            return;
        }
        let here = HostName::new(HOST).unwrap();
        let compiler = &self.controller.compiler;
        let mut networks: BTreeSet<u32> = compiler.networks_of_host(&here).collect();
        let claimed = attached
            .claimed
            .iter()
            .filter_map(|port| port.parse::<PortName>().ok());
        networks.extend(claimed.flat_map(|port| compiler.networks_of(&port).collect::<Vec<_>>()));
        let networks = networks.into_iter().map(|number| {
            let slice = compiler.slice(number).unwrap();
            (
                (SliceKind::Network, number),
                (slice.revision, slice.encode_to_vec()),
            )
        });
        let routers = compiler.routers_of_host(&here).map(|number| {
            let slice = compiler.router(number).unwrap();
            (
                (SliceKind::Router, number),
                (slice.revision, slice.encode_to_vec()),
            )
        });
        let wanted: BTreeMap<_, _> = networks.chain(routers).collect();
        let policies = self.wanted_policies(wanted.keys());
        let mut bodies = Vec::new();
        let attached = self.controller.attached.as_mut().unwrap();
        for id in attached.told.keys().copied().collect::<Vec<_>>() {
            if !wanted.contains_key(&id) && !policies.contains_key(&id) {
                attached.told.remove(&id);
                let (kind, number) = (id.0.into(), id.1);
                bodies.push(controller_message::Body::Forget(Forget { number, kind }));
            }
        }
        // Policies come before the networks whose ports obey them.
        for (id, (revision, slice)) in policies.into_iter().chain(wanted) {
            if attached.told.get(&id) != Some(&revision) {
                attached.told.insert(id, revision);
                let (kind, slice) = (id.0.into(), slice.into());
                bodies.push(controller_message::Body::Snapshot(Snapshot { slice, kind }));
            }
        }
        let revision = self.controller.revision;
        bodies.push(controller_message::Body::Current(Current { revision }));
        for body in bodies {
            self.controller_says(body);
        }
    }
}
