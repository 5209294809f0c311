//! What became of a transaction, and what others stored.
//!
//! A transaction holds only while `meta/head` is as it was when the transaction was decided, and puts it
//! anew with a ticket of its own. So the first news after the state that it was decided on settles it: if they
//! carry its ticket it happened, and if they do not it never will. Whatever a broken connection leaves
//! unknown becomes known thereby, and until then the same transaction may be tried again.

use std::time::{Duration, Instant};

use coax_api::Plan;
use coax_model::Change;
use coax_store::{Range, Revision};

use super::host::HostState;
use super::message::{Answer, Command, Stored};
use super::publish::port_of;
use super::writes::{Pending, Reply};
use super::{Core, problem};
use crate::audit::Written;
use crate::records::{self, Loaded, News};

/// After a failed commit the core's own decisions rest this long, and one that nobody knows the end of is
/// tried again.
const REST: Duration = Duration::from_secs(1);
/// How long a user waits for his turn while the store does not answer.
const TURN: Duration = Duration::from_secs(15);
/// How long a user waits for what became of his change.
const PATIENCE: Duration = Duration::from_secs(60);

impl Core {
    /// The store said what became of a commit. What it says of one that news have settled is late.
    pub(super) fn stored(
        &mut self,
        number: u64,
        outcome: Stored,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let of_it = |pending: &mut Pending| pending.ticket.number == number;
        let Some(mut pending) = self.pending.take_if(of_it) else {
            return;
        };
        match outcome {
            Stored::Done(revision) => self.committed(pending, revision, now, out),
            Stored::Failed { reason } => self.commit_failed(pending, &reason, now, out),
            Stored::Unknown { .. } => {
                pending.again_at = Some(now + REST);
                self.pending = Some(pending);
            }
            // What the other one did is under way to here.
            Stored::Lost => self.pending = Some(pending),
        }
    }

    /// A revision came into being.
    pub(super) fn news(&mut self, news: News, now: Instant, out: &mut Vec<Command>) {
        if news.revision <= self.revision {
            return;
        }
        match self.pending.take() {
            Some(pending) if news.ticket == Some(pending.ticket) => {
                return self.committed(pending, news.revision, now, out);
            }
            Some(pending) => self.decide_anew(pending),
            None => {}
        }
        self.end_removed_sessions(&news.changes, now, out);
        self.publish(news.revision, &news.changes, out);
        self.meet_hosts(&news.changes, now);
        for project in &news.projects {
            self.revisions.note_project(project, news.revision);
        }
        for record in news.records {
            Self::note_record(news.revision, &record, out);
            self.history.add(news.revision, record);
        }
        for id in news.forgotten {
            self.history.forget(id);
        }
        for (project, unconfirmed) in news.unconfirmed {
            self.count_down(project, unconfirmed, now);
        }
        self.take_notices(news.notices, now);
    }

    /// News were missed: everything is taken as it is now.
    pub(super) fn reread(
        &mut self,
        range: &Range,
        loaded: Loaded,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        if loaded.revision <= self.revision {
            return;
        }
        let changes = match records::difference(&self.revisions, range) {
            Ok(changes) => changes,
            Err(error) => {
                // It was understood a moment ago.
                tracing::error!(%error, "what others stored is not taken in");
                return;
            }
        };
        let mut told = None;
        if let Some(pending) = self.pending.take() {
            // Nobody else has a record that was decided on the same state.
            let record = pending.batch.record.as_ref();
            let done = record.and_then(|record| loaded.history.holds(record));
            match done {
                Some(revision) => told = Some((pending, revision)),
                None => self.decide_anew(pending),
            }
        }
        self.end_removed_sessions(&changes, now, out);
        let missed = loaded.history.since(self.revision).into_iter().flatten();
        for (revision, record) in missed.collect::<Vec<_>>().into_iter().rev() {
            Self::note_record(revision, record, out);
        }
        self.publish(loaded.revision, &changes, out);
        self.meet_hosts(&changes, now);
        self.revisions = loaded.revisions;
        self.history = loaded.history;
        self.unconfirmed.clear();
        for (project, unconfirmed) in loaded.unconfirmed {
            self.count_down(project, Some(unconfirmed), now);
        }
        self.replace_notices(loaded.notices, now);
        // From the state that has it.
        if let Some((pending, revision)) = told {
            self.answer(pending.reply, pending.written, revision, out);
        }
    }

    /// A host that another controller removed is none any more: its stream ends here. If it joined again, it comes back.
    fn end_removed_sessions(&mut self, changes: &[Change], now: Instant, out: &mut Vec<Command>) {
        for change in changes {
            if let Change::DeleteHost { name } = change {
                self.turn_away(name, format!("{name} was removed"), now, out);
            }
        }
    }

    /// A host that was removed here and obeys another controller is heard no more.
    fn end_heard_sessions(&mut self, changes: &[Change], now: Instant, out: &mut Vec<Command>) {
        for change in changes {
            if let Change::DeleteHost { name } = change
                && self.hosts.get(name).is_some_and(|state| state.standby)
            {
                self.turn_away(name, format!("{name} was removed"), now, out);
            }
        }
    }

    /// Hosts that came to another controller.
    fn meet_hosts(&mut self, changes: &[Change], now: Instant) {
        for change in changes {
            if let Change::PutHost { name, .. } = change {
                let unheard = || HostState::away(now, self.revision);
                self.hosts.entry(name.clone()).or_insert_with(unheard);
            }
        }
    }

    fn committed(
        &mut self,
        pending: Pending,
        revision: Revision,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        if let Some(record) = &pending.batch.record {
            Self::note_record(revision, record, out);
        }
        self.end_heard_sessions(&pending.batch.changes, now, out);
        self.publish(revision, &pending.batch.changes, out);
        self.remember(revision, pending.batch, now);
        self.answer(pending.reply, pending.written, revision, out);
    }

    /// Tells whoever asked for it that a revision is stored.
    fn answer(
        &self,
        reply: Option<Reply>,
        written: Option<Written>,
        revision: Revision,
        out: &mut Vec<Command>,
    ) {
        out.extend(written.map(Command::Recorded));
        let reply = match reply {
            Some(Reply::Plan(id, plan)) => Some((id, Answer::Plan(Plan { revision, ..*plan }))),
            Some(Reply::Port(id, name)) => {
                let port = self.view_port(&name);
                port.map(|port| (id, Answer::Port(Box::new(port))))
            }
            Some(Reply::Host(id, host)) => Some((id, Answer::Host(host))),
            Some(Reply::Record(id)) => {
                let record = self.revision_named(revision);
                record.map(|record| (id, Answer::Record(Box::new(record))))
            }
            None => None,
        };
        out.extend(reply.map(|(id, answer)| Command::Reply {
            id,
            answer: Ok(answer),
        }));
    }

    /// It did not happen and will not: whoever wanted it is next, and the core's own decisions are taken
    /// from the facts as they are now.
    fn decide_anew(&mut self, pending: Pending) {
        self.redecide_ports(&pending);
        if let Some(asked) = pending.asked {
            self.queue.push_front(asked);
        }
    }

    fn commit_failed(
        &mut self,
        pending: Pending,
        reason: &str,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        if let Some(reply) = pending.reply {
            let answer = Err(Box::new(problem::store(reason)));
            let id = reply.id();
            return out.push(Command::Reply { id, answer });
        }
        self.rest_until = now + REST;
        self.redecide_ports(&pending);
    }

    fn redecide_ports(&mut self, pending: &Pending) {
        let changes = pending.batch.changes.iter();
        self.dirty.extend(changes.filter_map(port_of).cloned());
    }

    /// Tries a commit again that nobody knows the end of.
    pub(super) fn ask_again(&mut self, now: Instant, out: &mut Vec<Command>) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        if pending.again_at.is_some_and(|at| now >= at) {
            pending.again_at = None;
            out.push(Command::Commit {
                number: pending.ticket.number,
                transaction: pending.transaction.clone(),
                entry: pending.entry.clone(),
            });
        }
    }

    /// Answers users who have waited too long for a store that does not answer.
    pub(super) fn end_waiting(&mut self, now: Instant, out: &mut Vec<Command>) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        let waited = now.duration_since(pending.since);
        if waited >= PATIENCE
            && let Some(reply) = pending.reply.take()
        {
            // Whoever is told this decides himself whether to ask again.
            pending.asked = None;
            let answer = Err(Box::new(problem::outcome_unknown()));
            let id = reply.id();
            out.push(Command::Reply { id, answer });
        }
        if waited < TURN {
            return;
        }
        while let Some(asked) = self
            .queue
            .pop_front_if(|it| now.duration_since(it.since) >= TURN)
        {
            let answer = Err(Box::new(problem::store_silent()));
            out.push(Command::Reply {
                id: asked.id,
                answer,
            });
        }
    }
}
