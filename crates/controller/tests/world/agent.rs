//! The smallest agent that keeps the protocol.

use std::collections::{BTreeMap, BTreeSet};

use coax_api::HostReport;
use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{
    AgentMessage, Claims, ControllerMessage, Held, Hello, Plugged, Realised, SliceKind, Snapshot,
    Welcome,
};
use coax_api::protocol::PROTOCOL;
use coax_api::question::HostAnswer;
use coax_api::sequence::{Arrival, Receiver, Sender};
use coax_compile::policy::{Policy, PolicyDelta, PolicySlice};
use coax_compile::{NetworkSlice, RouterSlice, SliceDelta};
use coax_controller::core::message::SessionId;
use prost::Message;

use super::UNDERLAY_MTU;
use super::standby::Standby;

/// The policy of a project.
pub struct HeldPolicy {
    pub project: String,
    pub revision: u64,
    pub policy: Policy,
}

/// Holds slices and nothing else.
pub struct Agent {
    pub name: String,
    pub number: u8,
    /// Ports that have a device here.
    pub devices: BTreeSet<String>,
    pub slices: BTreeMap<u32, NetworkSlice>,
    pub routers: BTreeMap<u32, RouterSlice>,
    pub policies: BTreeMap<u32, HeldPolicy>,
    pub generation: u64,
    /// The newest revision that a controller told.
    pub newest: u64,
    /// The run of the controller at the other end, and that of the one that told all that is held.
    pub run: u64,
    pub told_by: u64,
    /// Claims that were refused, and sessions (empty name).
    pub refusals: Vec<(String, String)>,
    pub answers_reports: bool,
    /// What it told its controller last of its maps.
    pub realised: Option<Realised>,
    /// What another controller says that it must have.
    pub asks: Option<u64>,
    /// The runs of all controllers, as its own told.
    pub controllers: BTreeSet<u64>,
    pub standbys: BTreeMap<SessionId, Standby>,
    /// What it says it cannot do.
    pub problems: Vec<coax_api::agent::Problem>,
    /// Neither hears nor says anything, but its stream stays.
    pub deaf: bool,
    pub(super) snapshots: usize,
    pub(super) session: Option<SessionId>,
    sender: Sender,
    receiver: Receiver,
    /// Whether the controller has said who it is.
    pub welcome: bool,
}

impl Agent {
    pub fn new(number: u8) -> Self {
        Self {
            name: format!("hv{number}"),
            number,
            devices: BTreeSet::new(),
            slices: BTreeMap::new(),
            routers: BTreeMap::new(),
            policies: BTreeMap::new(),
            generation: 0,
            newest: 0,
            run: 0,
            told_by: 0,
            refusals: Vec::new(),
            answers_reports: true,
            realised: None,
            asks: None,
            controllers: BTreeSet::new(),
            standbys: BTreeMap::new(),
            problems: Vec::new(),
            deaf: false,
            snapshots: 0,
            session: None,
            sender: Sender::default(),
            receiver: Receiver::default(),
            welcome: false,
        }
    }

    pub fn is_attached(&self) -> bool {
        self.session.is_some()
    }

    pub(super) fn number(&mut self, body: FromAgent) -> AgentMessage {
        AgentMessage {
            sequence: self.sender.number(),
            body: Some(body),
        }
    }

    pub(super) fn attach(&mut self, session: SessionId) -> Vec<AgentMessage> {
        self.session = Some(session);
        self.sender = Sender::default();
        self.receiver = Receiver::default();
        self.welcome = false;
        self.introduction(false)
            .map(|body| self.number(body))
            .into()
    }

    /// What it says first.
    pub(super) fn introduction(&self, standby: bool) -> [FromAgent; 2] {
        let networks = self.slices.values().map(|slice| Held {
            number: slice.network_id,
            revision: slice.revision,
            kind: SliceKind::Network.into(),
        });
        let routers = self.routers.values().map(|slice| Held {
            number: slice.router,
            revision: slice.revision,
            kind: SliceKind::Router.into(),
        });
        let policies = self.policies.iter().map(|(number, held)| Held {
            number: *number,
            revision: held.revision,
            kind: SliceKind::Policy.into(),
        });
        let hello = Hello {
            host: self.name.clone(),
            version: "test".into(),
            vtep_ipv4: vec![192, 0, 2, self.number].into(),
            vtep_ipv6: Default::default(),
            underlay_mtu: UNDERLAY_MTU,
            generation: self.generation,
            have: networks.chain(routers).chain(policies).collect(),
            run: self.told_by,
            protocol: PROTOCOL,
            standby,
        };
        let plugged = self.devices.iter().map(|port| plugged(port)).collect();
        let claims = Claims {
            full: true,
            plugged,
            unplugged: Vec::new(),
        };
        [FromAgent::Hello(hello), FromAgent::Claims(claims)]
    }

    /// A device comes or goes: what the agent says of it.
    pub(super) fn plug(&mut self, port: &str, comes: bool) -> FromAgent {
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        if comes {
            self.devices.insert(port.to_owned());
            new.push(plugged(port));
        } else {
            self.devices.remove(port);
            gone.push(port.to_owned());
        }
        FromAgent::Claims(Claims {
            full: false,
            plugged: new,
            unplugged: gone,
        })
    }

    fn take_snapshot(&mut self, snapshot: Snapshot) {
        assert!(self.welcome, "nothing comes before Welcome");
        self.snapshots += 1;
        match snapshot.kind() {
            SliceKind::Network => {
                let slice = NetworkSlice::decode(snapshot.slice).unwrap();
                self.slices.insert(slice.network_id, slice);
            }
            SliceKind::Router => {
                let slice = RouterSlice::decode(snapshot.slice).unwrap();
                self.routers.insert(slice.router, slice);
            }
            SliceKind::Policy => {
                let slice = PolicySlice::decode(snapshot.slice).unwrap();
                let held = HeldPolicy {
                    policy: slice.policy().unwrap(),
                    project: slice.project,
                    revision: slice.revision,
                };
                self.policies.insert(slice.number, held);
            }
        }
    }

    fn change_policy(&mut self, delta: &PolicyDelta) {
        let mut policies = self.policies.values_mut();
        let held = policies.find(|held| held.project == delta.project);
        let held = held.expect("a delta is only sent to those who have the policy");
        assert_eq!(
            held.revision, delta.from_revision,
            "a stream without gaps has no gaps"
        );
        held.policy.apply(&delta.change().unwrap());
        held.revision = delta.to_revision;
    }

    fn welcomed(&mut self, welcome: &Welcome) -> Result<(), ()> {
        if welcome.generation < self.generation {
            return Err(());
        }
        self.generation = welcome.generation;
        assert!(welcome.revision >= self.newest, "nothing older is told");
        self.run = welcome.run;
        if self.told_by != welcome.run {
            self.told_by = 0;
        }
        self.welcome = true;
        Ok(())
    }

    /// Takes a message; `Err`: the stream is to be closed.
    pub(super) fn take(&mut self, message: ControllerMessage) -> Result<Option<AgentMessage>, ()> {
        if self.deaf {
            return Ok(None);
        }
        match self.receiver.accept(message.sequence) {
            Arrival::Duplicate => return Ok(None),
            Arrival::Gap => return Err(()),
            Arrival::Fresh => {}
        }
        match message.body.unwrap() {
            ToAgent::Welcome(welcome) => self.welcomed(&welcome)?,
            ToAgent::Refused(refused) => {
                let session = refused.port.is_empty();
                self.refusals.push((refused.port, refused.reason));
                if session {
                    return Err(());
                }
            }
            ToAgent::Snapshot(snapshot) => self.take_snapshot(snapshot),
            ToAgent::Delta(delta) if delta.kind() == SliceKind::Policy => {
                self.change_policy(&PolicyDelta::decode(delta.delta).unwrap());
            }
            ToAgent::Delta(delta) => {
                let delta = SliceDelta::decode(delta.delta).unwrap();
                let slice = self.slices.get_mut(&delta.network_id);
                let slice = slice.expect("a delta is only sent to those who have the slice");
                slice
                    .apply(&delta)
                    .expect("a stream without gaps has no gaps in revisions");
            }
            ToAgent::Forget(forget) => match forget.kind() {
                SliceKind::Network => drop(self.slices.remove(&forget.number)),
                SliceKind::Router => drop(self.routers.remove(&forget.number)),
                SliceKind::Policy => drop(self.policies.remove(&forget.number)),
            },
            ToAgent::Current(current) => {
                let (generation, revision) = (self.generation, current.revision);
                assert!(revision >= self.newest, "nothing older is told");
                (self.newest, self.told_by) = (revision, self.run);
                let realised = Realised {
                    generation,
                    revision,
                    problems: self.problems.clone(),
                };
                self.realised = Some(realised.clone());
                return Ok(Some(self.number(FromAgent::Realised(realised))));
            }
            ToAgent::ReportRequest(request) if self.answers_reports => {
                let report = HostReport {
                    host: self.name.clone(),
                    ..HostReport::default()
                };
                let json = serde_json::to_vec(&report).unwrap().into();
                let request_id = request.request_id;
                let report = coax_api::agent::Report { request_id, json };
                return Ok(Some(self.number(FromAgent::Report(report))));
            }
            ToAgent::Question(question) if self.answers_reports => {
                let json = serde_json::to_vec(&HostAnswer::Sent).unwrap().into();
                let question_id = question.question_id;
                let reply = coax_api::agent::Reply { question_id, json };
                return Ok(Some(self.number(FromAgent::Reply(reply))));
            }
            ToAgent::Controllers(told) => {
                self.controllers = told.controllers.iter().map(|it| it.run).collect();
            }
            ToAgent::ReportRequest(_) | ToAgent::Question(_) | ToAgent::Connections(_) => {}
        }
        Ok(None)
    }
}

fn plugged(port: &str) -> Plugged {
    Plugged {
        port: port.to_owned(),
        device: format!("dev-{}", port.replace('/', "-")),
        ifindex: 1,
    }
}
