//! The core's side of the stream to the controller: what is said, and what is believed.

use bytes::Bytes;
use coax_api::agent::{
    ControllerMessage, Current, Held, Hello, Question, Realised, Refused, Report, SliceKind,
    Welcome, agent_message, controller_message,
};
use coax_api::protocol::{self, PROTOCOL};
use coax_api::sequence::Arrival;

use super::Core;
use super::plugged::all_claims;
use super::reconcile::Subject;
use crate::input::{Command, Moment, ReportRequest};

/// What to do with the stream after a message.
pub(super) enum Verdict {
    /// Go on.
    Keep,
    /// Close it and attach again soon: something is missing or cannot be understood.
    Reattach(String),
    /// Close it and attach again much later: this controller will not do.
    TurnAway(String),
}

impl Core {
    pub(super) fn connected(&mut self, stream: u64, now: Moment) {
        if !self.session.is_present(stream) {
            return self.standby_connected(stream, now);
        }
        self.session.opened(now);
        self.told_mtu = self.underlay_mtu();
        self.peers.main_connected();
        let hello = self.hello();
        self.send(agent_message::Body::Hello(hello));
        self.told_claims = self.claims_to_tell();
        let claims = all_claims(&self.told_claims);
        self.send(agent_message::Body::Claims(claims));
    }

    /// Who this is, and what is here.
    pub(super) fn hello(&self) -> Hello {
        let networks = self.slices.all().values();
        let networks = networks.filter(|slice| !self.needs_snapshot.contains(&slice.network_id));
        let networks = networks.map(|slice| Held {
            number: slice.network_id,
            revision: slice.revision,
            kind: SliceKind::Network.into(),
        });
        let routers = self.slices.routers().values().map(|slice| Held {
            number: slice.router,
            revision: slice.revision,
            kind: SliceKind::Router.into(),
        });
        let policies = self.policies.revisions().map(|(number, revision)| Held {
            number,
            revision,
            kind: SliceKind::Policy.into(),
        });
        Hello {
            host: self.config.host.clone(),
            version: self.config.version.clone(),
            vtep_ipv4: self
                .config
                .vtep_ipv4
                .map_or_else(Bytes::new, |a| a.octets().to_vec().into()),
            vtep_ipv6: self
                .config
                .vtep_ipv6
                .map_or_else(Bytes::new, |a| a.octets().to_vec().into()),
            underlay_mtu: self.underlay_mtu(),
            generation: self.generation,
            have: networks.chain(routers).chain(policies).collect(),
            run: self.told_by,
            protocol: PROTOCOL,
            standby: false,
        }
    }

    pub(super) fn disconnected(&mut self, stream: u64, reason: &str, now: Moment) {
        if self.session.is_present(stream) {
            // Once, not for days.
            match self.session.is_failing() {
                false => tracing::warn!(reason, "no stream to the controller; forwarding goes on"),
                true => tracing::debug!(reason, "still no stream to the controller"),
            }
            self.session.pause(now);
        } else {
            self.standby_disconnected(stream, reason, now);
        }
    }

    pub(super) fn received(&mut self, stream: u64, message: ControllerMessage, now: Moment) {
        if !self.session.is_present(stream) {
            return self.standby_received(stream, message.sequence, message.body, now);
        }
        let verdict = match self.session.accept(message.sequence) {
            Some(Arrival::Fresh) => self.believe(message.body, now),
            Some(Arrival::Gap) => Verdict::Reattach("a message is missing".into()),
            Some(Arrival::Duplicate) | None => Verdict::Keep,
        };
        match verdict {
            Verdict::Keep => {}
            Verdict::Reattach(reason) => {
                tracing::warn!(reason, "attaching to the controller again");
                self.close_stream();
                // One that has failed before may never do.
                if !self.session.is_failing() {
                    self.peers.stay();
                }
                self.session.pause(now);
            }
            Verdict::TurnAway(reason) => {
                tracing::error!(reason, "this controller is not obeyed");
                self.close_stream();
                self.session.pause_long(now);
            }
        }
    }

    fn believe(&mut self, body: Option<controller_message::Body>, now: Moment) -> Verdict {
        use controller_message::Body;
        match body {
            Some(Body::Welcome(welcome)) => self.welcome(&welcome, now),
            Some(Body::Refused(refused)) => self.refused(refused),
            _ if !self.session.is_welcome() => {
                Verdict::Reattach("the controller did not introduce itself".into())
            }
            Some(Body::Snapshot(snapshot)) => match self.whole(snapshot, now) {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Reattach(format!("an unreadable snapshot: {error}")),
            },
            Some(Body::Delta(delta)) => match self.part(delta, now) {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Reattach(format!("an unreadable change: {error}")),
            },
            Some(Body::Forget(forget)) => {
                match SliceKind::try_from(forget.kind) {
                    Ok(SliceKind::Network) => self.forget(forget.number, now),
                    Ok(SliceKind::Router) => self.forget_router(forget.number, now),
                    Ok(SliceKind::Policy) => self.forget_policy(forget.number, now),
                    // A kind of slice that a newer controller knows.
                    Err(_) => {}
                }
                Verdict::Keep
            }
            Some(Body::Current(Current { revision })) => self.current(revision, now),
            Some(Body::Controllers(controllers)) => {
                self.controllers(controllers, now);
                Verdict::Keep
            }
            Some(body) => {
                self.answer_controller(self.session.stream(), body, now);
                Verdict::Keep
            }
            // A kind of message that a newer controller knows.
            None => Verdict::Keep,
        }
    }

    /// Does what any controller may ask for.
    pub(super) fn answer_controller(
        &mut self,
        stream: u64,
        body: controller_message::Body,
        now: Moment,
    ) {
        use controller_message::Body;
        match body {
            Body::ReportRequest(request) => {
                let request_id = self.peers.question(stream, request.request_id);
                self.commands.push(Command::Report(ReportRequest {
                    request_id,
                    slots: self.slots_to_report(),
                    revision: self.revision,
                    problems: self.problems(),
                    requests: self.services.counts(),
                    rules: self.rules_to_report(),
                    measures: Box::new(self.measures()),
                }));
            }
            Body::Connections(connections) => self.take_over(&connections),
            Body::Question(question) => {
                let question_id = self.peers.question(stream, question.question_id);
                let question = Question {
                    question_id,
                    ..question
                };
                self.asked(&question, now);
            }
            // What only the main controller says.
            _ => {}
        }
    }

    fn welcome(&mut self, welcome: &Welcome, now: Moment) -> Verdict {
        if let Err(reason) = protocol::understood(welcome.protocol) {
            return Verdict::TurnAway(format!(
                "{reason}; upgrade the controller, or go back to the agent that was here before"
            ));
        }
        if welcome.generation < self.generation {
            return Verdict::TurnAway(format!(
                "its generation is {}, but generation {} was here before: it runs on an old copy of its state",
                welcome.generation, self.generation
            ));
        }
        if welcome.generation > self.generation {
            self.generation = welcome.generation;
            self.newest = 0;
            self.save_soon(now);
        }
        if let Err(reason) = self.not_older(welcome.revision) {
            return Verdict::TurnAway(reason);
        }
        if welcome.run == 0 || welcome.run != self.told_by {
            // It sends everything anew. What it says counts as newer than what is here: a store that was restored
            // counts on from an older revision.
            self.told_by = 0;
            self.slices.forget_revisions();
            self.policies.forget_revisions();
        }
        self.session.welcomed(welcome.run);
        self.end_standby(welcome.run);
        Verdict::Keep
    }

    /// Whoever tells an older state than another told before has an old copy of it.
    fn not_older(&self, revision: u64) -> Result<(), String> {
        if revision >= self.newest {
            return Ok(());
        }
        Err(format!(
            "it is at revision {revision}, but revision {} of the same generation was here before: it runs on an \
             old copy of the state (where a backup was restored on purpose, begin a new generation)",
            self.newest
        ))
    }

    fn refused(&mut self, refused: Refused) -> Verdict {
        if refused.port.is_empty() {
            return Verdict::TurnAway(refused.reason);
        }
        tracing::warn!(
            port = refused.port,
            reason = refused.reason,
            "the controller refuses a port"
        );
        let networks = self.slices.networks_of(&refused.port);
        self.urgent.extend(networks.map(Subject::Network));
        // If it still waits, then for somebody to decide and not for its rows.
        self.arrivals.remove(&refused.port);
        self.refused.insert(refused.port, refused.reason);
        Verdict::Keep
    }

    fn current(&mut self, revision: u64, now: Moment) -> Verdict {
        if let Err(reason) = self.not_older(revision) {
            return Verdict::TurnAway(reason);
        }
        if !self.session.is_current() {
            self.session.became_current();
            if self.told_by != self.session.run() {
                self.told_by = self.session.run();
                self.save_soon(now);
            }
            let (generation, networks) = (self.generation, self.slices.all().len());
            tracing::info!(
                generation,
                revision,
                networks,
                "the controller has told everything"
            );
            // The controller was not told that these are here, and did not send them: they are none of this host's any more.
            for network in std::mem::take(&mut self.needs_snapshot) {
                self.forget(network, now);
            }
            self.release_all();
            // Rows of networks that neither the cache nor the controller knows.
            let known = |network: &u32| self.slices.all().contains_key(network);
            let in_networks = self.mirror.networks.keys().map(|network| network.0);
            let in_ports = self.mirror.ports.values().map(|row| row.network.0);
            let unknown: Vec<u32> = in_networks
                .chain(in_ports)
                .filter(|network| !known(network))
                .collect();
            self.dirty.extend(unknown.into_iter().map(Subject::Network));
            self.clean_policies(now);
            let routers = self.mirror.routes.keys();
            let unknown = routers.filter(|number| self.slices.router(**number).is_none());
            self.dirty.extend(unknown.copied().map(Subject::Router));
        }
        if self.session.run() != 0 {
            self.newest = revision;
        }
        if self.revision != revision {
            self.revision = revision;
            self.save_soon(now);
        }
        self.owes_realised = true;
        Verdict::Keep
    }

    pub(super) fn reported(&mut self, request_id: u64, json: Vec<u8>) {
        let Some((stream, request_id)) = self.peers.asker(request_id) else {
            return;
        };
        let report = Report {
            request_id,
            json: json.into(),
        };
        self.send_to(stream, agent_message::Body::Report(report));
    }

    /// The controller learns the underlay's MTU when the agent introduces itself, so a new one needs a new stream.
    pub(super) fn notice_mtu(&mut self, now: Moment) {
        if self.session.is_open() && self.underlay_mtu() != self.told_mtu {
            self.close_stream();
            self.peers.stay();
            self.session.restart(now);
        }
    }

    pub(super) fn close_stream(&mut self) {
        self.commands.push(Command::Disconnect {
            stream: self.session.stream(),
        });
    }

    /// Says how far the maps are: when the controller waits for it, and when the problems are others than before.
    pub(super) fn tell_realised(&mut self) {
        if !self.session.is_current() || !self.is_settled() {
            return;
        }
        let problems = self.problems();
        if !self.owes_realised && problems == self.told_problems {
            return;
        }
        self.owes_realised = false;
        self.told_problems.clone_from(&problems);
        let (generation, revision) = (self.generation, self.revision);
        let realised = Realised {
            generation,
            revision,
            problems,
        };
        self.note_realised(&realised);
        self.send(agent_message::Body::Realised(realised));
    }

    pub(super) fn send(&mut self, body: agent_message::Body) {
        if let Some(sequence) = self.session.number() {
            let stream = self.session.stream();
            self.commands.push(Command::Send {
                stream,
                sequence,
                body,
            });
        }
    }
}
