//! The streams between agents and controllers: each agent obeys one, and is heard by the others.

use std::collections::VecDeque;

use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::{CurrentRequest, Realised};
use coax_controller::core::message::{Input, SessionId};

use super::{Cluster, Link};
use crate::world::pick;

impl Cluster {
    pub fn attach(&mut self, agent: usize, member: usize) {
        let session = SessionId(self.id());
        let link = Link {
            member,
            agent,
            up: self.agents[agent].attach(session).into(),
            down: VecDeque::new(),
            known: false,
            standby: false,
        };
        self.links.insert(session, link);
    }

    /// A stream to a controller that is not the agent's own, if there is none.
    pub fn attach_standby(&mut self, agent: usize, member: usize) {
        let mut links = self.links.values();
        if links.any(|link| (link.agent, link.member) == (agent, member)) {
            return;
        }
        let session = SessionId(self.id());
        let link = Link {
            member,
            agent,
            up: self.agents[agent].attach_standby(session).into(),
            down: VecDeque::new(),
            known: false,
            standby: true,
        };
        self.links.insert(session, link);
    }

    /// All streams that are not there.
    pub fn attach_all(&mut self) {
        for agent in 0..self.agents.len() {
            let strange = self.agents[agent].standbys.iter();
            let strange = strange.filter(|(_, standby)| !standby.welcome);
            let strange: Vec<SessionId> = strange.map(|it| *it.0).collect();
            for session in strange {
                self.hang_up(session, true);
            }
            for member in 0..self.members.len() {
                self.attach_standby(agent, member);
            }
        }
    }

    pub fn detach(&mut self, agent: usize) {
        if let Some(session) = self.agents[agent].session {
            self.hang_up(session, true);
        }
    }

    pub(super) fn hang_up(&mut self, session: SessionId, tell: bool) {
        let Some(link) = self.links.remove(&session) else {
            return;
        };
        if self.agents[link.agent].session == Some(session) {
            self.agents[link.agent].session = None;
        }
        self.agents[link.agent].standbys.remove(&session);
        if tell {
            self.input(link.member, Input::Closed { session });
        }
    }

    pub fn plug(&mut self, agent: usize, port: &str, plugged: bool) {
        let body = self.agents[agent].plug(port, plugged);
        self.say(agent, &body);
        self.say_to_standbys(agent, &body);
    }

    fn say(&mut self, agent: usize, body: &FromAgent) {
        let Some(session) = self.agents[agent].session else {
            return;
        };
        if let Some(link) = self.links.get_mut(&session) {
            let message = self.agents[agent].number(body.clone());
            link.up.push_back(message);
        }
    }

    fn say_to_standbys(&mut self, agent: usize, body: &FromAgent) {
        for (session, standby) in &mut self.agents[agent].standbys {
            if let Some(link) = self.links.get_mut(session) {
                link.up.push_back(standby.number(body.clone()));
            }
        }
    }

    pub(super) fn carry(&mut self) -> bool {
        let busy = self.links.iter();
        let busy = busy.filter(|(_, link)| !link.up.is_empty() || !link.down.is_empty());
        let busy: Vec<SessionId> = busy.map(|it| *it.0).collect();
        if busy.is_empty() {
            return false;
        }
        let session = busy[self.dice.below(busy.len())];
        let link = self.links.get_mut(&session).unwrap();
        let (member, agent) = (link.member, link.agent);
        let upwards = link.down.is_empty() || (!link.up.is_empty() && self.dice.one_in(2));
        if upwards {
            let first = !std::mem::replace(&mut link.known, true);
            let message = pick(&mut link.up, &mut self.dice, self.faults);
            if first {
                self.catch_up(member);
            }
            if let Some(message) = message {
                self.input(member, Input::Message { session, message });
            }
        } else if let Some(message) = pick(&mut link.down, &mut self.dice, self.faults) {
            let (standby, before) = (link.standby, self.agents[agent].realised.clone());
            let taken = match standby {
                true => self.agents[agent].take_standby(session, message),
                false => self.agents[agent].take(message),
            };
            match taken {
                Ok(answer) => link.up.extend(answer),
                Err(()) => self.hang_up(session, true),
            }
            self.pass_on(agent, before);
        }
        true
    }

    /// What its own controller made of it the others hear, and what they want it asks its own for.
    fn pass_on(&mut self, agent: usize, before: Option<Realised>) {
        let realised = self.agents[agent].realised.clone();
        if realised != before
            && let Some(realised) = realised
        {
            self.say_to_standbys(agent, &FromAgent::Realised(realised));
        }
        if self.agents[agent].welcome
            && let Some(revision) = self.agents[agent].asks.take()
        {
            let request = CurrentRequest { revision };
            self.say(agent, &FromAgent::CurrentRequest(request));
        }
    }
}
