//! What agents say: who they are, which ports they have, how far they are.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use coax_api::ReportedProblem;
use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{
    AgentMessage, Claims, ControllerMessage, Current, Hello, Realised, Refused, SliceKind, Welcome,
};
use coax_api::protocol::{self, PROTOCOL};
use coax_api::sequence::{Arrival, Receiver, Sender};
use coax_model::{Host, HostName, PortName, check_host};

use super::host::{Device, HostState, Session};
use super::message::{Command, SessionId};
use super::{Core, DEAD, QUIET, events, problem};

impl Core {
    pub(super) fn message(
        &mut self,
        session: SessionId,
        message: AgentMessage,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let Some(known) = self.sessions.get_mut(&session) else {
            match message.body {
                Some(FromAgent::Hello(hello)) if message.sequence == 1 => {
                    self.hello(session, hello, now, out);
                }
                // Without a Hello nobody knows who is talking.
                _ => out.push(Command::Close { session }),
            }
            return;
        };
        known.heard = now;
        let host = known.host.clone();
        match (known.receiver.accept(message.sequence), message.body) {
            (Arrival::Duplicate, _) => {}
            (Arrival::Fresh, Some(FromAgent::Claims(claims))) => self.claims(&host, claims, out),
            (Arrival::Fresh, Some(FromAgent::Realised(realised))) => {
                self.realised(&host, realised, out);
            }
            (Arrival::Fresh, Some(FromAgent::Report(report))) => {
                self.collect(&host, report.request_id, &report.json, out);
            }
            (Arrival::Fresh, Some(FromAgent::CurrentRequest(request))) => {
                self.asked_for_current(&host, request.revision, out);
            }
            (Arrival::Fresh, Some(FromAgent::Reply(reply))) => self.replied(&host, &reply, out),
            (Arrival::Fresh, Some(FromAgent::Connections(connections))) => {
                self.pass_connections(&host, connections, out);
            }
            // A kind of message that a newer agent knows.
            (Arrival::Fresh, None) => {}
            // A gap or a second Hello: start over.
            (Arrival::Gap, _) | (Arrival::Fresh, Some(FromAgent::Hello(_))) => {
                self.close(session, now, out);
            }
        }
    }

    fn hello(&mut self, session: SessionId, hello: Hello, now: Instant, out: &mut Vec<Command>) {
        let (name, host) = match read_hello(&hello) {
            Ok(read) => read,
            Err(reason) => return refuse_session(session, reason, out),
        };
        if let Err(reason) = protocol::understood(hello.protocol) {
            let version = &hello.version;
            let reason =
                format!("the agent of {name} is of version {version}: {reason}; upgrade the agent");
            return refuse_session(session, reason, out);
        }
        if let Err(refusals) = check_host(&name, &host, &self.intent) {
            return refuse_session(session, problem::sentences(&refusals), out);
        }
        let old = self.hosts.get(&name);
        if hello.standby && old.is_some_and(HostState::is_obedient) {
            return self.refuse_standby(session, out);
        }
        if let Some(old) = old.and_then(|state| state.session) {
            // The agent attached again before its old stream was seen to end.
            self.close(old, now, out);
        }
        let current = hello.generation == self.generation && hello.run == self.run;
        let have = hello.have.iter().filter_map(|held| {
            // One of a kind that a newer agent knows was not told by this controller.
            let kind = SliceKind::try_from(held.kind).ok()?;
            let revision = if current { held.revision } else { 0 };
            Some(((kind, held.number), revision))
        });
        let revision = self.revision;
        let state = self
            .hosts
            .entry(name.clone())
            .or_insert_with(|| HostState::away(now, revision));
        state.session = Some(session);
        state.standby = hello.standby;
        state.asked_for = None;
        state.ready = false;
        state.heard = true;
        state.away_since = None;
        state.version = hello.version;
        state.realised = 0;
        if !hello.standby {
            state.owed = revision;
        }
        state.problems.clear();
        state.have = have.collect();
        let mut receiver = Receiver::default();
        receiver.accept(1);
        let session_state = Session {
            host: name.clone(),
            receiver,
            sender: Sender::default(),
            heard: now,
            asked: now,
        };
        self.sessions.insert(session, session_state);
        if hello.standby || self.intent.hosts.get(&name) == Some(&host) {
            self.presented.remove(&name);
        } else {
            self.presented.insert(name.clone(), host);
        }
        self.send(&name, ToAgent::Welcome(self.welcome()), out);
        if !hello.standby {
            self.tell_controllers(&name, out);
        }
        self.note_attached(&name, out);
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            generation: self.generation,
            revision: self.revision,
            run: self.run,
            protocol: PROTOCOL,
        }
    }

    /// The host obeys this controller, or did a moment ago.
    fn refuse_standby(&self, session: SessionId, out: &mut Vec<Command>) {
        let refused = Refused {
            port: String::new(),
            reason: "this controller has a stream of the host already".to_owned(),
        };
        let bodies = [ToAgent::Welcome(self.welcome()), ToAgent::Refused(refused)];
        for (sequence, body) in (1..).zip(bodies) {
            let body = Some(body);
            let message = ControllerMessage { sequence, body };
            out.push(Command::Send { session, message });
        }
        out.push(Command::Close { session });
    }

    fn claims(&mut self, host: &HostName, claims: Claims, out: &mut Vec<Command>) {
        let mut plugged = BTreeMap::new();
        for claim in claims.plugged {
            match claim.port.parse::<PortName>() {
                Ok(port) => {
                    let device = Device {
                        name: claim.device,
                        ifindex: claim.ifindex,
                    };
                    plugged.insert(port, device);
                }
                Err(error) => {
                    let reason = error.to_string();
                    let port = claim.port;
                    self.send(host, ToAgent::Refused(Refused { port, reason }), out);
                }
            }
        }
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        let standby = state.standby;
        let unplugged: Vec<PortName> = if claims.full {
            let gone = state
                .claims
                .keys()
                .filter(|port| !plugged.contains_key(*port));
            gone.cloned().collect()
        } else {
            let names = claims.unplugged.iter().filter_map(|name| name.parse().ok());
            names.filter(|port| !plugged.contains_key(port)).collect()
        };
        for port in &unplugged {
            state.claims.remove(port);
            if let Some(claimants) = self.claimants.get_mut(port) {
                claimants.remove(host);
                if claimants.is_empty() {
                    self.claimants.remove(port);
                }
            }
        }
        for (port, device) in &plugged {
            state.claims.insert(port.clone(), device.clone());
            self.claimants
                .entry(port.clone())
                .or_default()
                .insert(host.clone());
        }
        // Of a host that obeys another controller that one hears the same, and decides.
        let ports = match standby {
            true => &mut self.recheck_next,
            false => &mut self.dirty,
        };
        ports.extend(unplugged);
        ports.extend(plugged.into_keys());
        if claims.full {
            self.became_ready(host, out);
        }
    }

    /// The host said everything that it has: what it is bound to and does not have, it lost.
    fn became_ready(&mut self, host: &HostName, out: &mut Vec<Command>) {
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        let first = !std::mem::replace(&mut state.ready, true);
        if state.standby {
            let revision = state.owed;
            return self.send(host, ToAgent::Current(Current { revision }), out);
        }
        self.dirty
            .extend(self.compiler.reach().ports(host).cloned());
        if first {
            self.catch_up(host, out);
        }
    }

    fn realised(&mut self, host: &HostName, realised: Realised, out: &mut Vec<Command>) {
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        // A revision of another generation, one that was never sent or one that was passed already
        // says nothing about now. What another controller sent may not be known here yet.
        let sent = state.standby || realised.revision <= self.revision;
        let known = realised.generation == self.generation && sent;
        if !known || !state.ready || realised.revision < state.realised {
            return;
        }
        state.realised = realised.revision;
        let problems = realised.problems.into_iter().map(ReportedProblem::said);
        state.problems = problems.collect();
        let before = std::mem::take(&mut state.noted);
        if !(before.is_empty() && state.problems.is_empty()) {
            let problems = state.problems.clone();
            state.noted = problems.iter().map(events::key).collect();
            self.note_problems(host, &before, &problems, out);
        }
    }

    /// An agent's stream ended by itself.
    pub(super) fn closed(&mut self, session: SessionId, now: Instant) {
        let Some(ended) = self.sessions.remove(&session) else {
            return;
        };
        self.forget_refusals(&ended.host);
        if let Some(state) = self.hosts.get_mut(&ended.host)
            && state.session == Some(session)
        {
            state.session = None;
            state.ready = false;
            state.away_since = Some(now);
        }
    }

    /// Ends an agent's stream.
    fn close(&mut self, session: SessionId, now: Instant, out: &mut Vec<Command>) {
        self.closed(session, now);
        out.push(Command::Close { session });
    }

    /// Sends an attached host away.
    pub(super) fn turn_away(
        &mut self,
        host: &HostName,
        reason: String,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        self.presented.remove(host);
        let port = String::new();
        self.send(host, ToAgent::Refused(Refused { port, reason }), out);
        if let Some(session) = self.hosts.get(host).and_then(|state| state.session) {
            self.close(session, now, out);
        }
    }

    /// Asks silent agents for a sign of life, and gives up on those that stay silent.
    pub(super) fn check_silence(&mut self, now: Instant, out: &mut Vec<Command>) {
        let mut dead = Vec::new();
        let mut quiet = Vec::new();
        for (session, state) in &mut self.sessions {
            if now.duration_since(state.heard) >= DEAD {
                dead.push(*session);
            } else if now.duration_since(state.heard.max(state.asked)) >= QUIET {
                state.asked = now;
                quiet.push(state.host.clone());
            }
        }
        for session in dead {
            self.close(session, now, out);
        }
        for host in quiet {
            let state = self.hosts.get(&host).filter(|state| state.ready);
            if let Some(state) = state {
                let revision = if state.standby {
                    state.owed
                } else {
                    self.revision
                };
                self.send(&host, ToAgent::Current(Current { revision }), out);
            }
        }
    }

    /// Sends to a host, if it is attached.
    pub(super) fn send(&mut self, host: &HostName, body: ToAgent, out: &mut Vec<Command>) {
        let session = self.hosts.get(host).and_then(|state| state.session);
        let Some(session) = session else {
            return;
        };
        if let Some(state) = self.sessions.get_mut(&session) {
            let message = ControllerMessage {
                sequence: state.sender.number(),
                body: Some(body),
            };
            out.push(Command::Send { session, message });
        }
    }
}

fn refuse_session(session: SessionId, reason: String, out: &mut Vec<Command>) {
    let refused = Refused {
        port: String::new(),
        reason,
    };
    let message = ControllerMessage {
        sequence: 1,
        body: Some(ToAgent::Refused(refused)),
    };
    out.push(Command::Send { session, message });
    out.push(Command::Close { session });
}

fn read_hello(hello: &Hello) -> Result<(HostName, Host), String> {
    let name = hello
        .host
        .parse::<HostName>()
        .map_err(|error| error.to_string())?;
    let host = Host {
        ipv4: read_address::<4>(&hello.vtep_ipv4)?.map(Ipv4Addr::from),
        ipv6: read_address::<16>(&hello.vtep_ipv6)?.map(Ipv6Addr::from),
        underlay_mtu: hello.underlay_mtu,
    };
    Ok((name, host))
}

fn read_address<const LENGTH: usize>(bytes: &[u8]) -> Result<Option<[u8; LENGTH]>, String> {
    match bytes {
        [] => Ok(None),
        bytes => {
            let wrong = |_| format!("a VTEP address has {} bytes", bytes.len());
            bytes.try_into().map(Some).map_err(wrong)
        }
    }
}
