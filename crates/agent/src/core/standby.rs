//! The controllers that do not tell this host what to do: they hear what it says of itself, and ask it what they want to know.
//!
//! Which ones there are, the main controller tells. Each has a standby stream; it says Hello, all claims, and how far the maps
//! are whenever that is different or a controller asks. What such a controller says of slices is not even read.
//! When the main stream breaks, the next main controller is one whose standby stream is open.

use std::collections::BTreeMap;

use coax_api::agent::{
    Controllers, CurrentRequest, Realised, Welcome, agent_message, controller_message,
};
use coax_api::protocol;
use coax_api::sequence::Arrival;

use super::Core;
use super::plugged::{ToldClaims, all_claims};
use super::stream::Verdict;
use crate::input::{Command, Moment};
use crate::session::Session;

/// Questions that may be without an answer; of more, the oldest are forgotten.
const QUESTIONS: usize = 1024;

/// The stream to one of the other controllers.
#[derive(Debug)]
pub(super) struct Standby {
    pub(super) session: Session,
    addresses: Vec<String>,
    attempts: usize,
    pub(super) told_claims: ToldClaims,
    /// What it was told last of the maps.
    told: Option<Realised>,
    /// It waits for an answer.
    owes: bool,
    /// What it says that this host must have.
    wanted: u64,
}

/// Who is where, and who asked what.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Addresses of all controllers that the main one told of.
    pub(super) addresses: Vec<String>,
    /// The others, by their run.
    pub(super) standbys: BTreeMap<u64, Standby>,
    /// Number of the last stream.
    last_stream: u64,
    /// Attempts to reach a main controller.
    attempts: usize,
    /// Where the last of them went.
    pub(super) main: Option<String>,
    /// Where the next one goes, whoever else is there.
    stay: Option<String>,
    /// Whether the main controller told of others on the present stream.
    told: bool,
    /// What the main controller was asked for.
    asked_for: u64,
    /// How far the maps are, as the main controller was told last.
    realised: Option<Realised>,
    /// Questions that are not answered: the stream and the controller's number.
    questions: BTreeMap<u64, (u64, u64)>,
    last_question: u64,
    /// Spreads the attempts of many agents.
    seed: u64,
}

impl Peers {
    /// Those that were known before, and the main one. `seed` spreads the attempts of many agents.
    pub(super) fn new(seed: u64, addresses: Vec<String>, main: String) -> Self {
        Self {
            seed,
            addresses,
            stay: Some(main).filter(|main| !main.is_empty()),
            ..Self::default()
        }
    }

    /// Has a number for a question that a controller asked.
    pub(super) fn question(&mut self, stream: u64, number: u64) -> u64 {
        self.last_question += 1;
        self.questions.insert(self.last_question, (stream, number));
        if self.questions.len() > QUESTIONS {
            self.questions.pop_first();
        }
        self.last_question
    }

    /// Who asked, and under which number.
    pub(super) fn asker(&mut self, question: u64) -> Option<(u64, u64)> {
        self.questions.remove(&question)
    }

    fn run_of(&self, stream: u64) -> Option<u64> {
        let mut standbys = self.standbys.iter();
        let found = standbys.find(|(_, standby)| standby.session.is_present(stream));
        found.map(|(run, _)| *run)
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let standbys = self.standbys.values();
        standbys.filter_map(|it| it.session.deadline()).min()
    }

    pub(super) fn any_open(&self) -> bool {
        let mut standbys = self.standbys.values();
        standbys.any(|standby| standby.session.is_open())
    }

    /// The main stream ends because the agent wants another one. The same controller is tried first: it knows what this host
    /// has, and another one would send everything anew.
    pub(super) fn stay(&mut self) {
        self.stay.clone_from(&self.main);
    }

    /// The main stream is another one: nobody was told or asked on it.
    pub(super) fn main_connected(&mut self) {
        self.told = false;
        self.asked_for = 0;
    }
}

impl Core {
    /// Opens the streams that are due.
    pub(super) fn connect_due(&mut self, now: Moment) {
        if let Some(stream) = self.session.open_if_due(&mut self.peers.last_stream, now) {
            let stay = self.peers.stay.take();
            let address = stay.or_else(|| self.next_main());
            self.peers.main.clone_from(&address);
            self.commands
                .extend(address.map(|address| Command::Connect {
                    stream,
                    address,
                    standby: false,
                }));
        }
        let Peers {
            standbys,
            last_stream,
            ..
        } = &mut self.peers;
        for standby in standbys.values_mut() {
            let stream = standby.session.stream();
            if standby.session.is_overdue(now) {
                self.commands.push(Command::Disconnect { stream });
                standby.session.pause(now);
            }
            if let Some(stream) = standby.session.open_if_due(last_stream, now) {
                standby.attempts += 1;
                let place = standby.attempts % standby.addresses.len().max(1);
                let address = standby.addresses.get(place).cloned();
                self.commands
                    .extend(address.map(|address| Command::Connect {
                        stream,
                        address,
                        standby: true,
                    }));
            }
        }
    }

    /// Where the next main controller is tried: one that is there, if any is.
    fn next_main(&mut self) -> Option<String> {
        let attempt = self.peers.attempts;
        self.peers.attempts += 1;
        let open = self.peers.standbys.iter();
        let open = open.filter(|(_, standby)| standby.session.is_welcome());
        let open: Vec<u64> = open.map(|(run, _)| *run).collect();
        if let Some(run) = open.get(attempt.checked_rem(open.len()).unwrap_or(0))
            && let Some(standby) = self.peers.standbys.remove(run)
        {
            let stream = standby.session.stream();
            self.commands.push(Command::Disconnect { stream });
            let place = standby.attempts % standby.addresses.len().max(1);
            return standby.addresses.get(place).cloned();
        }
        let given = &self.config.controllers;
        let told = self.peers.addresses.iter();
        let told = told.filter(|address| !given.contains(address));
        let all: Vec<&String> = given.iter().chain(told).collect();
        let place = attempt.checked_rem(all.len())?;
        all.get(place).map(|address| (*address).clone())
    }

    /// The main controller tells which others there are.
    pub(super) fn controllers(&mut self, controllers: Controllers, now: Moment) {
        self.peers.told = true;
        let own = self.session.run();
        let all = controllers.controllers.iter();
        let addresses: Vec<String> = all.flat_map(|it| it.addresses.iter().cloned()).collect();
        if addresses != self.peers.addresses {
            self.peers.addresses = addresses;
            self.save_soon(now);
        }
        let mut before = std::mem::take(&mut self.peers.standbys);
        let seed = self.peers.seed;
        for controller in controllers.controllers {
            if controller.run == own || controller.addresses.is_empty() {
                continue;
            }
            let standby = before.remove(&controller.run);
            let standby = standby.unwrap_or_else(|| {
                // Agents do not come all at once when a controller starts.
                let mut session = Session::new(seed ^ controller.run);
                session.start(now);
                session.pause(now);
                Standby {
                    session,
                    addresses: Vec::new(),
                    attempts: 0,
                    told_claims: ToldClaims::new(),
                    told: None,
                    owes: false,
                    wanted: 0,
                }
            });
            let addresses = controller.addresses;
            let standby = Standby {
                addresses,
                ..standby
            };
            self.peers.standbys.insert(controller.run, standby);
        }
        for gone in before.into_values() {
            let stream = gone.session.stream();
            self.commands.push(Command::Disconnect { stream });
        }
    }

    /// The main controller of this run has no standby stream any more.
    pub(super) fn end_standby(&mut self, run: u64) {
        if let Some(standby) = self.peers.standbys.remove(&run) {
            let stream = standby.session.stream();
            self.commands.push(Command::Disconnect { stream });
        }
    }

    pub(super) fn standby_connected(&mut self, stream: u64, now: Moment) {
        let Some(run) = self.peers.run_of(stream) else {
            return;
        };
        let mut hello = self.hello();
        (hello.standby, hello.run) = (true, 0);
        hello.have.clear();
        let present = self.claims_to_tell();
        let claims = all_claims(&present);
        if let Some(standby) = self.peers.standbys.get_mut(&run) {
            standby.session.opened(now);
            (standby.told, standby.owes, standby.wanted) = (None, true, 0);
            standby.told_claims = present;
        }
        self.send_to(stream, agent_message::Body::Hello(hello));
        self.send_to(stream, agent_message::Body::Claims(claims));
    }

    pub(super) fn standby_disconnected(&mut self, stream: u64, reason: &str, now: Moment) {
        let run = self.peers.run_of(stream);
        if let Some(standby) = run.and_then(|run| self.peers.standbys.get_mut(&run)) {
            tracing::debug!(reason, "no standby stream to a controller");
            standby.session.pause(now);
        }
    }

    pub(super) fn standby_received(
        &mut self,
        stream: u64,
        sequence: u64,
        body: Option<controller_message::Body>,
        now: Moment,
    ) {
        let Some(run) = self.peers.run_of(stream) else {
            return;
        };
        let generation = self.generation;
        let Some(standby) = self.peers.standbys.get_mut(&run) else {
            return;
        };
        let verdict = match standby.session.accept(sequence) {
            Some(Arrival::Fresh) => match body {
                Some(controller_message::Body::Welcome(welcome)) => {
                    standby.welcome(&welcome, generation)
                }
                Some(controller_message::Body::Refused(refused)) if refused.port.is_empty() => {
                    Verdict::TurnAway(refused.reason)
                }
                _ if !standby.session.is_welcome() => {
                    Verdict::Reattach("the controller did not introduce itself".into())
                }
                Some(controller_message::Body::Current(current)) => {
                    standby.owes = true;
                    standby.wanted = current.revision;
                    standby.session.became_current();
                    Verdict::Keep
                }
                Some(body) => {
                    self.answer_controller(stream, body, now);
                    Verdict::Keep
                }
                // A kind of message that a newer controller knows.
                None => Verdict::Keep,
            },
            Some(Arrival::Gap) => Verdict::Reattach("a message is missing".into()),
            Some(Arrival::Duplicate) | None => Verdict::Keep,
        };
        let Some(standby) = self.peers.standbys.get_mut(&run) else {
            return;
        };
        match verdict {
            Verdict::Keep => return,
            Verdict::Reattach(reason) => {
                tracing::debug!(reason, "a standby stream is opened again");
                standby.session.pause(now);
            }
            Verdict::TurnAway(reason) => {
                tracing::debug!(reason, "a controller does not take a standby stream");
                standby.session.pause_long(now);
            }
        }
        self.commands.push(Command::Disconnect { stream });
    }

    /// The main controller was told how far the maps are.
    pub(super) fn note_realised(&mut self, realised: &Realised) {
        self.peers.realised = Some(realised.clone());
    }

    /// Does what they wait for.
    pub(super) fn serve_standbys(&mut self) {
        self.tell_realised_to_standbys();
        self.ask_for_current();
    }

    /// Tells the other controllers how far the maps are: those that ask, and all when it is different.
    fn tell_realised_to_standbys(&mut self) {
        let Some(realised) = &self.peers.realised else {
            return;
        };
        let mut told = Vec::new();
        for standby in self.peers.standbys.values_mut() {
            let new = standby.told.as_ref() != Some(realised);
            if standby.session.is_welcome() && (standby.owes || new) {
                standby.owes = false;
                standby.told = Some(realised.clone());
                told.push(standby.session.stream());
            }
        }
        let realised = realised.clone();
        for stream in told {
            self.send_to(stream, agent_message::Body::Realised(realised.clone()));
        }
    }

    /// Asks the main controller for what another one says that this host must have.
    fn ask_for_current(&mut self) {
        let standbys = self.peers.standbys.values();
        let revision = standbys.map(|standby| standby.wanted).max().unwrap_or(0);
        let news = revision > self.revision && revision > self.peers.asked_for;
        if news && self.peers.told && self.session.is_current() {
            self.peers.asked_for = revision;
            let request = CurrentRequest { revision };
            self.send(agent_message::Body::CurrentRequest(request));
        }
    }

    /// Sends on a stream, if it is open still.
    pub(super) fn send_to(&mut self, stream: u64, body: agent_message::Body) {
        if self.session.is_present(stream) {
            return self.send(body);
        }
        let run = self.peers.run_of(stream);
        let standby = run.and_then(|run| self.peers.standbys.get_mut(&run));
        if let Some(sequence) = standby.and_then(|standby| standby.session.number()) {
            self.commands.push(Command::Send {
                stream,
                sequence,
                body,
            });
        }
    }
}

impl Standby {
    fn welcome(&mut self, welcome: &Welcome, generation: u64) -> Verdict {
        if let Err(reason) = protocol::understood(welcome.protocol) {
            return Verdict::TurnAway(reason.to_string());
        }
        if welcome.generation < generation {
            return Verdict::TurnAway("it runs on an old copy of the state".into());
        }
        self.session.welcomed(welcome.run);
        Verdict::Keep
    }
}
