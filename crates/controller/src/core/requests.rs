//! Requests that end when hosts have done something: waiting for a revision, collecting reports.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use coax_api::agent::ReportRequest;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::{HostReport, HostWait, MissingHost, Realisation};
use coax_model::HostName;
use coax_store::Revision;

use super::host::HostState;
use super::message::{Answer, Command, RequestId};
use super::{AWAY_GRACE, Core, REPORT_DEADLINE, problem};

/// Somebody who waits for hosts to have a revision.
#[derive(Debug)]
pub(super) struct Wait {
    id: RequestId,
    revision: Revision,
    pub(super) deadline: Instant,
}

/// Reports that are coming in.
#[derive(Debug)]
pub(super) struct Collection {
    id: RequestId,
    asked: BTreeSet<HostName>,
    reports: Vec<HostReport>,
    missing: Vec<MissingHost>,
    pub(super) deadline: Instant,
}

impl Core {
    pub(super) fn wait(
        &mut self,
        id: RequestId,
        revision: Revision,
        timeout: Duration,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        if revision > self.revision {
            let answer = Err(Box::new(problem::no_such_revision(revision, self.revision)));
            return out.push(Command::Reply { id, answer });
        }
        self.waits.push(Wait {
            id,
            revision,
            deadline: now + timeout,
        });
    }

    /// Answers those whose wait is over: every host has it, or those that do not are away, or it took
    /// too long.
    pub(super) fn answer_waits(&mut self, now: Instant, out: &mut Vec<Command>) {
        if self.waits.is_empty() {
            return;
        }
        let (over, on): (Vec<Wait>, Vec<Wait>) = std::mem::take(&mut self.waits)
            .into_iter()
            .partition(|wait| now >= wait.deadline || !self.is_awaited(wait.revision, now));
        self.waits = on;
        for wait in over {
            let answer = Answer::Realisation(self.realisation(wait.revision));
            out.push(Command::Reply {
                id: wait.id,
                answer: Ok(answer),
            });
        }
    }

    /// Whether some host is still expected to get a revision by itself. A host that is away for a
    /// while is not: it is named instead.
    fn is_awaited(&self, revision: Revision, now: Instant) -> bool {
        let expected = |state: &HostState| {
            let away = state
                .away_since
                .map_or(Duration::ZERO, |since| now.duration_since(since));
            away < AWAY_GRACE
        };
        self.hosts
            .values()
            .any(|state| !state.has(revision) && expected(state))
    }

    fn realisation(&self, revision: Revision) -> Realisation {
        let mut realized = Vec::new();
        let mut missing = Vec::new();
        for (name, state) in &self.hosts {
            if state.has(revision) {
                realized.push(name.to_string());
                continue;
            }
            let connected = state.session.is_some();
            let reason = if connected {
                format!(
                    "has revision {}, needs {}",
                    state.realised,
                    state.owed.min(revision)
                )
            } else {
                "its agent is not attached to the controller".to_owned()
            };
            missing.push(HostWait {
                host: name.to_string(),
                revision: state.realised,
                connected,
                reason,
            });
        }
        Realisation {
            revision,
            done: missing.is_empty(),
            realized,
            missing,
        }
    }

    pub(super) fn ask_for_reports(&mut self, id: RequestId, now: Instant, out: &mut Vec<Command>) {
        self.last_collection += 1;
        let request_id = self.last_collection;
        let mut asked = BTreeSet::new();
        let mut missing = Vec::new();
        for (name, state) in &self.hosts {
            if state.session.is_some() {
                asked.insert(name.clone());
            } else {
                missing.push(MissingHost {
                    host: name.to_string(),
                    reason: "its agent is not attached to the controller".to_owned(),
                });
            }
        }
        for host in &asked {
            self.send(
                host,
                ToAgent::ReportRequest(ReportRequest { request_id }),
                out,
            );
        }
        let collection = Collection {
            id,
            asked,
            reports: Vec::new(),
            missing,
            deadline: now + REPORT_DEADLINE,
        };
        self.collections.insert(request_id, collection);
        self.end_collections(now, out);
    }

    pub(super) fn collect(
        &mut self,
        host: &HostName,
        request_id: u64,
        json: &[u8],
        out: &mut Vec<Command>,
    ) {
        let Some(collection) = self.collections.get_mut(&request_id) else {
            return;
        };
        if !collection.asked.remove(host) {
            return;
        }
        match serde_json::from_slice::<HostReport>(json) {
            Ok(report) => collection.reports.push(HostReport {
                host: host.to_string(),
                ..report
            }),
            Err(error) => collection.missing.push(MissingHost {
                host: host.to_string(),
                reason: format!("its report cannot be read: {error}"),
            }),
        }
        if collection.asked.is_empty() {
            self.end_collection(request_id, out);
        }
    }

    /// Answers with the reports that came, where all did or time is over.
    pub(super) fn end_collections(&mut self, now: Instant, out: &mut Vec<Command>) {
        let over = self
            .collections
            .iter()
            .filter(|(_, collection)| collection.asked.is_empty() || now >= collection.deadline);
        let over: Vec<u64> = over.map(|(request_id, _)| *request_id).collect();
        for request_id in over {
            self.end_collection(request_id, out);
        }
    }

    fn end_collection(&mut self, request_id: u64, out: &mut Vec<Command>) {
        let Some(mut ended) = self.collections.remove(&request_id) else {
            return;
        };
        ended
            .missing
            .extend(ended.asked.into_iter().map(|host| MissingHost {
                host: host.to_string(),
                reason: format!(
                    "its agent did not answer within {} s",
                    REPORT_DEADLINE.as_secs()
                ),
            }));
        ended.reports.sort_by(|a, b| a.host.cmp(&b.host));
        ended.missing.sort_by(|a, b| a.host.cmp(&b.host));
        let answer = Answer::Reports {
            reports: ended.reports,
            missing: ended.missing,
        };
        out.push(Command::Reply {
            id: ended.id,
            answer: Ok(answer),
        });
    }
}
