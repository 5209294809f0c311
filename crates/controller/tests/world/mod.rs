//! A controller core with a store, agents and a bad network between them, all in simulated time.
//!
//! Nothing here sleeps or depends on anything but the seed. Messages of a stream may be lost,
//! repeated or overtaken (`faults`); a stream may break; the controller may crash between any two
//! inputs; commits may fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

mod agent;
pub mod check;
pub mod cluster;
mod standby;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::{AgentMessage, ControllerMessage};
use coax_api::{AuditEntry, Problem};
use coax_controller::audit::AuditLog;
use coax_controller::core::Core;
use coax_controller::core::events::Noted;
use coax_controller::core::message::{
    Answer, Command, Input, Request, RequestId, SessionId, Stored, Write,
};
use coax_controller::core::submission::{Clock, Submission};
use coax_controller::records;
use coax_model::StackFile;
use coax_store::{Memory, Outcome, Store, Transaction};

pub use self::agent::Agent;

pub const UNDERLAY_MTU: u32 = 1600;

/// Numbers that look random and depend on the seed only.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[derive(Default)]
struct Link {
    up: VecDeque<AgentMessage>,
    down: VecDeque<ControllerMessage>,
}

pub struct World {
    pub core: Core,
    pub store: Memory,
    pub now: Instant,
    started: Instant,
    pub agents: Vec<Agent>,
    pub dice: Dice,
    /// Whether messages are lost, repeated and overtaken and commits fail.
    pub faults: bool,
    pub replies: BTreeMap<u64, Result<Answer, Box<Problem>>>,
    /// What happened, for people.
    pub notes: Vec<Noted>,
    /// How many transactions were committed.
    pub commits: u64,
    links: BTreeMap<SessionId, (usize, Link)>,
    next_id: u64,
}

fn boot(store: &Memory, run: u64, clock: Clock) -> Core {
    let generation = records::generation(store).unwrap();
    let loaded = records::load(store, UNDERLAY_MTU).unwrap();
    Core::new(generation, run, loaded, clock)
}

impl World {
    pub fn new(agents: u8, seed: u64) -> Self {
        let (store, now) = (Memory::new(), Instant::now());
        Self {
            core: boot(&store, 1, Clock::new(SystemTime::UNIX_EPOCH, now)),
            store,
            started: now,
            now,
            agents: (1..=agents).map(Agent::new).collect(),
            dice: Dice::new(seed),
            faults: false,
            replies: BTreeMap::new(),
            notes: Vec::new(),
            commits: 0,
            links: BTreeMap::new(),
            next_id: 0,
        }
    }

    /// All agents attached and everything delivered.
    pub fn attached(agents: u8, seed: u64) -> Self {
        let mut world = Self::new(agents, seed);
        (0..world.agents.len()).for_each(|agent| world.attach(agent));
        world.settle();
        world
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for command in self.core.handle(input, self.now) {
                match command {
                    Command::Commit {
                        number,
                        transaction,
                        entry,
                    } => {
                        assert!(inputs.is_empty(), "one commit at a time");
                        let outcome = self.commit(&transaction, entry.as_deref());
                        inputs.push_back(Input::Stored { number, outcome });
                    }
                    Command::Send { session, message } => {
                        if let Some((_, link)) = self.links.get_mut(&session) {
                            link.down.push_back(message);
                        }
                    }
                    Command::Recorded(written) => written.set(),
                    Command::Close { session } => self.hang_up(session, false),
                    Command::Note(noted) => self.notes.push(noted),
                    Command::Reply { id, answer } => {
                        assert!(
                            self.replies.insert(id.0, answer).is_none(),
                            "one answer each"
                        );
                    }
                }
            }
        }
    }

    fn commit(&mut self, transaction: &Transaction, entry: Option<&AuditEntry>) -> Stored {
        if self.faults && self.dice.one_in(12) {
            let reason = "no space left".into();
            return Stored::Failed { reason };
        }
        self.commits += 1;
        let outcome = match entry {
            Some(entry) => AuditLog::default()
                .append(&self.store, transaction, entry)
                .unwrap(),
            None => self.store.transact(transaction).unwrap(),
        };
        match outcome {
            Outcome::Done(revision) => Stored::Done(revision),
            Outcome::Conflict { .. } => panic!("nobody else writes"),
        }
    }

    pub fn request(&mut self, request: Request) -> u64 {
        let id = self.id();
        self.input(Input::Request {
            id: RequestId(id),
            request,
        });
        id
    }

    pub fn write(&mut self, write: Write) -> Result<Answer, Box<Problem>> {
        self.submit(write, Submission::default())
    }

    pub fn submit(&mut self, write: Write, submission: Submission) -> Result<Answer, Box<Problem>> {
        let id = self.request(Request::Write { write, submission });
        self.replies
            .remove(&id)
            .expect("writes are answered once they are stored")
    }

    pub fn apply(&mut self, yaml: &str) -> coax_api::Plan {
        let file = StackFile::parse(yaml).unwrap();
        match self.write(Write::Apply {
            file: Box::new(file.into()),
            dry_run: false,
        }) {
            Ok(Answer::Plan(plan)) => plan,
            other => panic!("{other:?}"),
        }
    }

    pub fn move_port(&mut self, port: &str, host: &str) -> Result<Answer, Box<Problem>> {
        self.write(Write::Move {
            port: port.parse().unwrap(),
            host: host.parse().unwrap(),
        })
    }

    pub fn attach(&mut self, agent: usize) {
        let session = SessionId(self.id());
        let up = self.agents[agent].attach(session).into();
        self.links.insert(
            session,
            (
                agent,
                Link {
                    up,
                    down: VecDeque::new(),
                },
            ),
        );
    }

    /// Breaks an agent's stream; what was under way is lost.
    pub fn detach(&mut self, agent: usize) {
        if let Some(session) = self.agents[agent].session {
            self.hang_up(session, true);
        }
    }

    fn hang_up(&mut self, session: SessionId, tell: bool) {
        let Some((agent, mut link)) = self.links.remove(&session) else {
            return;
        };
        if self.agents[agent].session == Some(session) {
            // A clean close delivers what was sent before it.
            while let Some(message) = link.down.pop_front().filter(|_| !tell) {
                if self.agents[agent].take(message).is_err() {
                    break;
                }
            }
            self.agents[agent].session = None;
        }
        if tell {
            self.input(Input::Closed { session });
        }
    }

    fn send_up(&mut self, agent: usize, body: FromAgent) {
        if let Some(session) = self.agents[agent].session {
            let message = self.agents[agent].number(body);
            if let Some((_, link)) = self.links.get_mut(&session) {
                link.up.push_back(message);
            }
        }
    }

    pub fn plug(&mut self, agent: usize, port: &str) {
        let body = self.agents[agent].plug(port, true);
        self.send_up(agent, body);
    }

    pub fn unplug(&mut self, agent: usize, port: &str) {
        let body = self.agents[agent].plug(port, false);
        self.send_up(agent, body);
    }

    /// The controller dies at once and starts again from what is stored.
    pub fn crash_controller(&mut self) {
        self.links.clear();
        self.agents
            .iter_mut()
            .for_each(|agent| agent.session = None);
        let run = self.id();
        self.core = boot(&self.store, run + 1, self.clock());
    }

    /// The time of day: it begins with the world.
    pub fn clock(&self) -> Clock {
        let passed = self.now - self.started;
        Clock::new(SystemTime::UNIX_EPOCH + passed, self.now)
    }

    /// Delivers one message on some stream; says whether there was one.
    pub fn deliver_one(&mut self) -> bool {
        let busy: Vec<SessionId> = self
            .links
            .iter()
            .filter(|(_, (_, link))| !link.up.is_empty() || !link.down.is_empty())
            .map(|(session, _)| *session)
            .collect();
        if busy.is_empty() {
            return false;
        }
        let session = busy[self.dice.below(busy.len())];
        let upwards = self.dice.one_in(2);
        let (agent, link) = self.links.get_mut(&session).unwrap();
        let agent = *agent;
        if link.down.is_empty() || (upwards && !link.up.is_empty()) {
            if let Some(message) = pick(&mut link.up, &mut self.dice, self.faults) {
                self.input(Input::Message { session, message });
            }
        } else if let Some(message) = pick(&mut link.down, &mut self.dice, self.faults) {
            match self.agents[agent].take(message) {
                Ok(Some(answer)) => link.up.push_back(answer),
                Ok(None) => {}
                Err(()) => self.hang_up(session, true),
            }
        }
        true
    }

    /// Time passes, with ticks when the core wants them.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.core.deadline() <= end {
            self.now = self.now.max(self.core.deadline());
            self.input(Input::Tick);
        }
        self.now = end;
    }

    /// Delivers everything that is under way, and what follows from it, without time passing.
    pub fn settle(&mut self) {
        let mut deliveries = 0;
        while self.deliver_one() {
            deliveries += 1;
            assert!(deliveries < 1_000_000, "messages without end");
        }
    }

    /// Delivers everything, and says how many snapshots that were.
    pub fn settle_and_count_snapshots(&mut self) -> usize {
        let count = |world: &Self| {
            world
                .agents
                .iter()
                .map(|agent| agent.snapshots)
                .sum::<usize>()
        };
        let before = count(self);
        self.settle();
        count(self) - before
    }

    /// Good times again: faults end, everybody attaches, and time passes until all is quiet.
    pub fn heal(&mut self) {
        self.faults = false;
        // Long enough for lost messages to be noticed and for lost hosts to be given up.
        for _ in 0..120 {
            for agent in 0..self.agents.len() {
                // An agent whose first words were lost runs out of patience.
                if self.agents[agent].is_attached() && !self.agents[agent].welcome {
                    self.detach(agent);
                }
                if !self.agents[agent].is_attached() {
                    self.attach(agent);
                }
            }
            self.settle();
            self.pass(Duration::from_secs(1));
        }
        self.settle();
    }
}

/// Takes the next message, or, in bad times, loses it, repeats it or takes the one after it.
fn pick<T: Clone>(queue: &mut VecDeque<T>, dice: &mut Dice, faults: bool) -> Option<T> {
    if !faults {
        return queue.pop_front();
    }
    match dice.below(24) {
        0 => {
            queue.pop_front();
            None
        }
        1 => queue.front().cloned(),
        2 if queue.len() > 1 => queue.remove(1),
        _ => queue.pop_front(),
    }
}
