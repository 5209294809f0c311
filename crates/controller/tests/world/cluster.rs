//! Several controller cores over one store, and a bad network everywhere: between them and the store, whose
//! answers get lost and whose transactions may happen long after they were given up; and between them and
//! their agents.

mod check;
mod links;
mod requests;
mod storing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use coax_api::Problem;
use coax_api::agent::{AgentMessage, ControllerMessage};
use coax_controller::core::Core;
use coax_controller::core::events::Noted;
use coax_controller::core::message::{
    Answer, Command, Input, Request, RequestId, SessionId, Stored, Write,
};
use coax_controller::core::submission::{Clock, Submission};
use coax_controller::records::{self, News};
use coax_store::{Memory, Store, Transaction};

use self::requests::{Arriving, Found};
use self::storing::Asked;
use super::{Agent, Dice, UNDERLAY_MTU};

/// One controller.
struct Member {
    core: Core,
    /// What the store has not answered.
    asked: VecDeque<Asked>,
    /// What it answered, and the core does not know.
    answered: VecDeque<(u64, Stored)>,
    /// What happened, and the core does not know.
    news: VecDeque<News>,
    /// The first revision that is not in `news`.
    next: u64,
    /// Requests that it has not answered.
    waiting: BTreeSet<u64>,
    /// Neither reaches the store nor hears of it.
    cut: bool,
    /// What it told people.
    notes: Vec<Noted>,
}

struct Link {
    member: usize,
    agent: usize,
    up: VecDeque<AgentMessage>,
    down: VecDeque<ControllerMessage>,
    /// Whether its controller has heard of it.
    known: bool,
    /// Whether the agent obeys another one.
    standby: bool,
}

pub struct Cluster {
    members: Vec<Member>,
    pub store: Memory,
    pub agents: Vec<Agent>,
    pub dice: Dice,
    pub faults: bool,
    /// By request: what the user was told.
    pub replies: BTreeMap<u64, Result<Answer, Box<Problem>>>,
    /// When.
    pub replied: BTreeMap<u64, u64>,
    /// By request: what was read.
    pub found: BTreeMap<u64, Found>,
    /// A fault of the controllers: they answer readers with what they know.
    pub stale_readers: bool,
    arriving: Vec<Arriving>,
    /// Counts what happens.
    clock: u64,
    now: Instant,
    started: Instant,
    links: BTreeMap<SessionId, Link>,
    /// Transactions that were given up and are still under way to the store.
    late: Vec<Transaction>,
    next_id: u64,
}

impl Cluster {
    pub fn new(members: usize, agents: u8, seed: u64) -> Self {
        let now = Instant::now();
        let mut cluster = Self {
            members: Vec::new(),
            store: Memory::new(),
            agents: (1..=agents).map(Agent::new).collect(),
            dice: Dice::new(seed),
            faults: true,
            replies: BTreeMap::new(),
            replied: BTreeMap::new(),
            found: BTreeMap::new(),
            stale_readers: false,
            arriving: Vec::new(),
            clock: 0,
            now,
            started: now,
            links: BTreeMap::new(),
            late: Vec::new(),
            next_id: 0,
        };
        for member in 0..members {
            let member = cluster.boot(member);
            cluster.members.push(member);
        }
        cluster
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn boot(&mut self, member: usize) -> Member {
        let generation = records::generation(&self.store).unwrap();
        let loaded = records::load(&self.store, UNDERLAY_MTU).unwrap();
        // Nobody's clock is right, and after a start it is another one.
        let wrong = Duration::from_secs(self.dice.below(200_000) as u64);
        let wall = SystemTime::UNIX_EPOCH + (self.now - self.started) + wrong;
        let next = loaded.read_at + 1;
        let mut core = Core::new(generation, self.id(), loaded, Clock::new(wall, self.now));
        core.share(vec![format!("192.0.2.{member}:7450")]);
        Member {
            core,
            asked: VecDeque::new(),
            answered: VecDeque::new(),
            news: VecDeque::new(),
            next,
            waiting: BTreeSet::new(),
            cut: false,
            notes: Vec::new(),
        }
    }

    /// One of them dies at once, and another starts in its place. What it had asked the store may still happen.
    pub fn crash(&mut self, member: usize) {
        let sessions = self.links.iter().filter(|(_, it)| it.member == member);
        let sessions: Vec<SessionId> = sessions.map(|it| *it.0).collect();
        for session in sessions {
            let link = self.links.remove(&session).unwrap();
            let agent = &mut self.agents[link.agent];
            agent.session.take_if(|present| *present == session);
            agent.standbys.remove(&session);
        }
        let asked = std::mem::take(&mut self.members[member].asked);
        self.late
            .extend(asked.into_iter().filter_map(|it| it.chained));
        self.arriving.retain(|it| it.member != member);
        self.members[member] = self.boot(member);
    }

    pub fn members(&self) -> usize {
        self.members.len()
    }

    pub fn core(&self, member: usize) -> &Core {
        &self.members[member].core
    }

    /// What one of them told people since the last call.
    pub fn notes(&mut self, member: usize) -> Vec<Noted> {
        std::mem::take(&mut self.members[member].notes)
    }

    /// Grows with all that happens.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    fn input(&mut self, member: usize, input: Input) {
        self.clock += 1;
        for command in self.members[member].core.handle(input, self.now) {
            match command {
                Command::Commit {
                    number,
                    transaction,
                    entry,
                } => self.members[member].asked.push_back(Asked {
                    number,
                    transaction,
                    entry,
                    chained: None,
                }),
                Command::Recorded(written) => written.set(),
                Command::Send { session, message } => {
                    if let Some(link) = self.links.get_mut(&session) {
                        link.down.push_back(message);
                    }
                }
                Command::Close { session } => self.hang_up(session, false),
                Command::Note(noted) => self.members[member].notes.push(noted),
                Command::Reply { id, answer } => {
                    self.members[member].waiting.remove(&id.0);
                    self.replied.insert(id.0, self.clock);
                    let before = self.replies.insert(id.0, answer);
                    assert!(before.is_none(), "one answer each");
                }
            }
        }
    }

    /// A user asks one of them.
    pub fn write(&mut self, member: usize, write: Write, submission: Submission) -> u64 {
        let id = self.id();
        self.write_as(id, member, write, submission);
        id
    }

    fn write_as(&mut self, id: u64, member: usize, write: Write, submission: Submission) {
        let request = Request::Write { write, submission };
        let id_of = RequestId(id);
        self.members[member].waiting.insert(id);
        self.input(member, Input::Request { id: id_of, request });
    }

    /// Cuts one of them off from the store, or no more.
    pub fn cut(&mut self, member: usize, cut: bool) {
        self.members[member].cut = cut;
    }

    /// What agents are told by a controller that they attach to is not older than what they were told before.
    fn catch_up(&mut self, member: usize) {
        while !self.members[member].cut && self.follow(member) {}
    }

    /// Something happens somewhere; says whether there was anything.
    pub fn step(&mut self) -> bool {
        let member = self.dice.below(self.members.len());
        match self.dice.below(9) {
            0..=5 if self.members[member].cut => false,
            8 => self.take_in(),
            0 | 1 => self.store(member),
            2 | 3 => self.hear_store(member),
            4 | 5 => self.follow(member),
            6 if !self.late.is_empty() => {
                let late = self.dice.below(self.late.len());
                let transaction = self.late.swap_remove(late);
                self.store.transact(&transaction).unwrap();
                true
            }
            _ => self.carry(),
        }
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = (0..self.members.len()).min_by_key(|it| self.core(*it).deadline());
            let Some(due) = due.filter(|it| self.core(*it).deadline() <= end) else {
                break;
            };
            self.now = self.now.max(self.core(due).deadline());
            self.input(due, Input::Tick);
        }
        self.now = end;
    }

    fn settle(&mut self) {
        let (mut idle, mut steps) = (0, 0);
        while idle < 200 {
            idle = if self.step() { 0 } else { idle + 1 };
            steps += 1;
            assert!(steps < 100_000, "steps without end");
        }
    }

    /// Time passes, second by second, and everything that is said is heard.
    pub fn live(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.settle();
            self.pass(Duration::from_secs(1));
        }
        self.settle();
    }

    /// Good times again, until all is quiet.
    pub fn heal(&mut self) {
        self.faults = false;
        for _ in 0..100 {
            for agent in 0..self.agents.len() {
                if self.agents[agent].is_attached() && !self.agents[agent].welcome {
                    self.detach(agent);
                }
                if !self.agents[agent].is_attached() {
                    let member = self.dice.below(self.members.len());
                    self.attach(agent, member);
                }
            }
            self.attach_all();
            self.settle();
            self.pass(Duration::from_secs(1));
        }
        self.settle();
    }
}
