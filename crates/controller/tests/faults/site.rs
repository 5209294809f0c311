//! A controller core, three hypervisors and a fabric between them.

mod hosts;
mod replay;
mod stacks;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use coax_agent::{Command as AgentCommand, FlowRecords, GuardsSeen, Input as AgentInput, execute};
use coax_api::HostReport;
use coax_api::agent::{AgentMessage, ControllerMessage};
use coax_api::question::{Hexadecimal, HostAnswer, HostQuestion};
use coax_controller::core::Core;
use coax_controller::core::message::{
    Answer, Command, Input, Request, RequestId, SessionId, Stored, Write,
};
use coax_controller::core::submission::{Clock, Submission};
use coax_controller::records;
use coax_model::File;
use coax_store::{Memory, Outcome, Store};
use coax_tables::FlowRecord;
use coax_vswitch::{DataPlane, MemoryDataPlane};

use self::replay::{REPLAY, Said};
pub use self::stacks::{OTHER_STACK, STACK};
use crate::hypervisor::Hypervisor;

const UNDERLAY_MTU: u32 = 1600;

/// Everything.
pub struct Site(Mutex<State>);

struct State {
    core: Core,
    store: Memory,
    now: Instant,
    elapsed: Duration,
    hypervisors: Vec<Hypervisor>,
    replies: Vec<(u64, Answer)>,
    next_request: u64,
    /// Pairs of hosts between which no tunnel packet passes, in this direction.
    blocked: BTreeSet<(u8, u8)>,
    /// Largest packet that the fabric carries.
    fabric_mtu: usize,
    /// What is on its way in the fabric: receiver and packet.
    packets: Vec<(u8, Vec<u8>)>,
    to_agents: VecDeque<(usize, ControllerMessage)>,
    to_controller: VecDeque<(usize, AgentMessage)>,
    stream: u64,
    sessions: u64,
    /// All that was said so far, by host.
    said: Vec<(usize, Said)>,
    /// What was sent to who replays an agent; nothing stands for the end of the stream.
    replayed: Vec<Option<ControllerMessage>>,
}

impl Site {
    /// web-1 and web-3 on hv1, web-2 and db-1 on hv2; hv3 has web-4.
    pub fn new() -> Self {
        Self::with_planes(|_| MemoryDataPlane::new())
    }

    /// The same with data planes of one's own, by number of the host.
    pub fn with_planes(planes: impl Fn(u8) -> MemoryDataPlane) -> Self {
        let (store, now) = (Memory::new(), Instant::now());
        let generation = records::generation(&store).unwrap();
        let loaded = records::load(&store, UNDERLAY_MTU).unwrap();
        let clock = Clock::new(SystemTime::UNIX_EPOCH, now);
        let core = Core::new(generation, 1, loaded, clock);
        let hypervisors = (1..=3).map(|number| Hypervisor::new(number, planes(number)));
        let site = Self(Mutex::new(State {
            core,
            store,
            now,
            elapsed: Duration::ZERO,
            hypervisors: hypervisors.collect(),
            replies: Vec::new(),
            next_request: 0,
            blocked: BTreeSet::new(),
            fabric_mtu: 1600,
            packets: Vec::new(),
            to_agents: VecDeque::new(),
            to_controller: VecDeque::new(),
            stream: 0,
            sessions: 100,
            said: Vec::new(),
            replayed: Vec::new(),
        }));
        let mut state = site.state();
        for host in 0..3 {
            for input in state.hypervisors[host].first_inputs() {
                state.agent(host, input);
            }
        }
        state.settle();
        drop(state);
        site.apply(STACK);
        site.apply(OTHER_STACK);
        for (host, port) in [
            (1, "shop/web-1"),
            (1, "shop/web-3"),
            (2, "shop/web-2"),
            (2, "shop/db-1"),
            (2, "bank/safe"),
            (3, "shop/web-4"),
        ] {
            site.plug(host, port);
        }
        site
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The controller's core, to read.
    pub fn core(&self) -> impl std::ops::Deref<Target = Core> + '_ {
        struct Reading<'a>(MutexGuard<'a, State>);
        impl std::ops::Deref for Reading<'_> {
            type Target = Core;
            fn deref(&self) -> &Core {
                &self.0.core
            }
        }
        Reading(self.state())
    }

    /// Changes a host.
    pub fn host(&self, number: u8, change: impl FnOnce(&mut Hypervisor)) {
        change(&mut self.state().hypervisors[usize::from(number) - 1]);
    }

    /// Makes a project, or the operator's rails, what the file says.
    pub fn apply(&self, yaml: &str) {
        let file = Box::new(File::parse(yaml).unwrap());
        let dry_run = false;
        self.write(Write::Apply { file, dry_run });
    }

    fn write(&self, write: Write) {
        let mut state = self.state();
        let submission = Submission::default();
        state.request(Request::Write { write, submission });
        state.settle();
    }

    /// A VM's device appears.
    pub fn plug(&self, number: u8, port: &str) {
        let mut state = self.state();
        let host = usize::from(number) - 1;
        let device = state.hypervisors[host].new_device(port);
        state.agent(host, AgentInput::Device(device));
        state.settle();
    }

    /// A VM's device goes.
    pub fn unplug(&self, number: u8, port: &str) {
        let mut state = self.state();
        let host = usize::from(number) - 1;
        let ifindex = state.hypervisors[host].device_of(port);
        state.hypervisors[host].devices.remove(&ifindex);
        state.agent(host, AgentInput::DeviceGone { ifindex });
        state.settle();
    }

    /// The agent of a host is killed; what is in its kernel stays.
    pub fn kill(&self, number: u8) {
        let mut state = self.state();
        let host = usize::from(number) - 1;
        state.hypervisors[host].agent = None;
        state.end_stream(host);
        state.settle();
    }

    /// The data plane of a host reports a decision.
    pub fn decided(&self, number: u8, record: FlowRecord) {
        let flows = FlowRecords {
            records: vec![record],
            ..FlowRecords::default()
        };
        let host = usize::from(number) - 1;
        self.state().agent(host, AgentInput::Flows(flows));
    }

    /// Tunnel packets are lost in the fabric from one host to another.
    pub fn block(&self, from: u8, to: u8) {
        self.state().blocked.insert((from, to));
    }

    /// The fabric carries packets of so many bytes.
    pub fn fabric_mtu(&self, bytes: usize) {
        self.state().fabric_mtu = bytes;
    }
}

/// The stream of a host: one each, which never breaks unless the agent dies.
fn session(host: usize) -> SessionId {
    SessionId(host as u64 + 1)
}

impl State {
    fn request(&mut self, request: Request) -> u64 {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.controller(Input::Request { id, request });
        self.next_request
    }

    fn controller(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for command in self.core.handle(input, self.now) {
                match command {
                    Command::Commit {
                        number,
                        transaction,
                        ..
                    } => {
                        let Outcome::Done(revision) = self.store.transact(&transaction).unwrap()
                        else {
                            panic!("nobody else writes")
                        };
                        let outcome = Stored::Done(revision);
                        inputs.push_back(Input::Stored { number, outcome });
                    }
                    Command::Send { session, message } if session == REPLAY => {
                        self.replayed.push(Some(message));
                    }
                    Command::Close { session } if session == REPLAY => self.replayed.push(None),
                    Command::Send { session, message } => {
                        let host = session.0 as usize - 1;
                        self.to_agents.push_back((host, message));
                    }
                    Command::Recorded(_) => {}
                    Command::Close { session } => self.end_stream(session.0 as usize - 1),
                    Command::Note(_) => {}
                    Command::Reply { id, answer } => {
                        self.replies.push((id.0, answer.expect("granted")));
                    }
                }
            }
        }
    }

    fn end_stream(&mut self, host: usize) {
        let session = session(host);
        self.controller(Input::Closed { session });
    }

    fn agent(&mut self, host: usize, input: AgentInput) {
        let hypervisor = &mut self.hypervisors[host];
        let Some(agent) = &mut hypervisor.agent else {
            return;
        };
        for command in agent.handle(input, self.elapsed) {
            match command {
                AgentCommand::Connect { stream, .. } => {
                    self.stream = stream;
                    self.agent(host, AgentInput::Connected { stream });
                }
                AgentCommand::Disconnect { .. } => panic!("no stream breaks here"),
                AgentCommand::Send { sequence, body, .. } => {
                    let body = Some(body);
                    let message = AgentMessage { sequence, body };
                    self.to_controller.push_back((host, message));
                }
                AgentCommand::Apply(_) if self.hypervisors[host].stuck => {}
                AgentCommand::Apply(batch) => {
                    let failures = execute(&mut self.hypervisors[host].plane, &batch);
                    let batch = batch.number;
                    self.agent(host, AgentInput::Applied { batch, failures });
                }
                AgentCommand::Answer(inquiry) => {
                    if self.hypervisors[host].mute {
                        continue;
                    }
                    let answer = self.answer(host, &inquiry);
                    let question_id = inquiry.question_id;
                    let json = serde_json::to_vec(&answer).unwrap();
                    self.agent(host, AgentInput::Answered { question_id, json });
                }
                AgentCommand::Report(request) => {
                    let report = HostReport {
                        host: format!("hv{}", host + 1),
                        ..HostReport::default()
                    };
                    let request_id = request.request_id;
                    let json = serde_json::to_vec(&report).unwrap();
                    self.agent(host, AgentInput::Reported { request_id, json });
                }
                AgentCommand::LookAtGuards { .. } => {
                    self.agent(host, AgentInput::GuardsSeen(GuardsSeen::default()));
                }
                AgentCommand::Save(_)
                | AgentCommand::HandOver(_)
                | AgentCommand::TakeOver { .. }
                | AgentCommand::SendToPort { .. } => {}
            }
        }
    }

    fn answer(&mut self, host: usize, inquiry: &coax_agent::Inquiry) -> HostAnswer {
        let number = host as u8 + 1;
        match &inquiry.question {
            HostQuestion::Run { .. } => self.hypervisors[host].run(inquiry),
            HostQuestion::Send { packets, .. } => {
                for Hexadecimal(packet) in packets {
                    let to = packet[33];
                    let fits = packet.len() - 14 <= self.fabric_mtu;
                    if fits && !self.blocked.contains(&(number, to)) {
                        self.packets.push((to, packet.clone()));
                    }
                }
                HostAnswer::Sent
            }
            HostQuestion::Watch { markers, .. } => {
                let seen = markers.iter().map(|marker| {
                    let holds = |packet: &[u8]| packet.windows(8).any(|bytes| bytes == marker);
                    let mut packets = self.packets.iter();
                    packets.any(|(to, packet)| *to == number && holds(packet))
                });
                HostAnswer::Watched {
                    seen: seen.collect(),
                }
            }
            HostQuestion::Resolve { .. } => HostAnswer::Sent,
            HostQuestion::Standing(wanted) => {
                let hypervisor = &self.hypervisors[host];
                let listed = hypervisor.plane.connections().unwrap();
                let (names, rows) = (&inquiry.names, hypervisor.rows());
                coax_agent::connections::between(names, &rows, wanted, listed)
            }
            HostQuestion::Connections { .. }
            | HostQuestion::EndConnections { .. }
            | HostQuestion::Capture { .. }
            | HostQuestion::Flows { .. }
            | HostQuestion::Count { .. }
            | HostQuestion::Examine { .. }
            | HostQuestion::Probe { .. }
            | HostQuestion::Inject { .. } => HostAnswer::Failed {
                reason: "there is no kernel here".into(),
            },
        }
    }

    /// Delivers all messages.
    fn settle(&mut self) {
        loop {
            if let Some((host, message)) = self.to_controller.pop_front() {
                self.said.push((host, Said::ByAgent(message.clone())));
                let session = session(host);
                self.controller(Input::Message { session, message });
            } else if let Some((host, message)) = self.to_agents.pop_front() {
                self.said.push((host, Said::ByController(message.clone())));
                let stream = self.stream;
                self.agent(host, AgentInput::Received { stream, message });
            } else {
                return;
            }
        }
    }
}
