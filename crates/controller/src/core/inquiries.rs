//! Questions to single agents, for those who follow a packet from host to host.

use std::time::Instant;

use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{Question, Reply};
use coax_api::question::{HostAnswer, HostQuestion};
use coax_model::HostName;

use super::message::{Answer, Command, RequestId};
use super::{Core, QUESTION_DEADLINE};

/// Somebody who waits for an agent's answer.
#[derive(Debug)]
pub(super) struct Inquiry {
    id: RequestId,
    host: HostName,
    pub(super) deadline: Instant,
}

impl Core {
    pub(super) fn ask(
        &mut self,
        id: RequestId,
        host: HostName,
        question: &HostQuestion,
        now: Instant,
        out: &mut Vec<Command>,
    ) {
        let attached = |core: &Self| core.hosts.get(&host)?.session;
        if attached(self).is_none() {
            let reason = "its agent is not attached to the controller".to_owned();
            return reply(id, Err(reason), out);
        }
        self.last_inquiry += 1;
        let question_id = self.last_inquiry;
        // A value of plain strings and numbers always has a JSON form.
        let json = serde_json::to_vec(question).unwrap_or_default().into();
        self.send(
            &host,
            ToAgent::Question(Question { question_id, json }),
            out,
        );
        let deadline = now + QUESTION_DEADLINE;
        let inquiry = Inquiry { id, host, deadline };
        self.inquiries.insert(question_id, inquiry);
    }

    pub(super) fn replied(&mut self, host: &HostName, answer: &Reply, out: &mut Vec<Command>) {
        let asked = self.inquiries.get(&answer.question_id);
        if asked.is_none_or(|inquiry| inquiry.host != *host) {
            return;
        }
        let Some(inquiry) = self.inquiries.remove(&answer.question_id) else {
            return;
        };
        let answer = serde_json::from_slice::<HostAnswer>(&answer.json);
        let answer = answer.map_err(|error| format!("its answer cannot be read: {error}"));
        reply(inquiry.id, answer, out);
    }

    /// Gives up on answers that are overdue.
    pub(super) fn end_inquiries(&mut self, now: Instant, out: &mut Vec<Command>) {
        let overdue = self.inquiries.iter();
        let overdue = overdue.filter(|(_, inquiry)| now >= inquiry.deadline);
        let overdue: Vec<u64> = overdue.map(|(number, _)| *number).collect();
        for number in overdue {
            if let Some(inquiry) = self.inquiries.remove(&number) {
                let seconds = QUESTION_DEADLINE.as_secs();
                let reason = format!("its agent did not answer within {seconds} s");
                reply(inquiry.id, Err(reason), out);
            }
        }
    }
}

fn reply(id: RequestId, answer: Result<HostAnswer, String>, out: &mut Vec<Command>) {
    let answer = Ok(Answer::Told(answer));
    out.push(Command::Reply { id, answer });
}
