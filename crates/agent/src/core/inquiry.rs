//! Questions of the controller that take more than the core: it adds what things are called, and passes them on.

use coax_api::agent::{Question, Reply, agent_message};
use coax_api::question::{HostAnswer, HostQuestion};

use super::Core;
use crate::input::{Command, Inquiry, Moment};
use crate::trace::Names;

impl Core {
    pub(super) fn asked(&mut self, question: &Question, now: Moment) {
        let question_id = question.question_id;
        match serde_json::from_slice::<HostQuestion>(&question.json) {
            Ok(HostQuestion::Flows {
                reader,
                filter,
                most,
            }) => self.asked_for_flows(question, reader, *filter, most, now),
            Ok(question) => {
                if let HostQuestion::Capture { port, .. } = &question {
                    self.port_is_captured(port, now);
                }
                let problems = self.problems().into_iter();
                let inquiry = Inquiry {
                    question_id,
                    question,
                    names: self.names(),
                    revision: self.revision,
                    // What guards do is seen in the rows, and no work that was left undone.
                    problems: problems
                        .filter(|problem| problem.code.is_empty())
                        .map(|problem| (problem.object, problem.reason))
                        .collect(),
                };
                self.commands.push(Command::Answer(inquiry));
            }
            // A kind of question that a newer controller asks.
            Err(error) => {
                let reason = format!("this agent does not understand the question: {error}");
                self.answer(question_id, &HostAnswer::Failed { reason });
            }
        }
    }

    pub(super) fn answer(&mut self, question_id: u64, answer: &HostAnswer) {
        // Values of plain strings and numbers always have a JSON form.
        let json = serde_json::to_vec(answer).unwrap_or_default();
        self.answered(question_id, json);
    }

    pub(super) fn answered(&mut self, question_id: u64, json: Vec<u8>) {
        let Some((stream, question_id)) = self.peers.asker(question_id) else {
            return;
        };
        let reply = Reply {
            question_id,
            json: json.into(),
        };
        self.send_to(stream, agent_message::Body::Reply(reply));
    }

    fn names(&self) -> Names {
        let ports = self.claims.iter();
        let uplinks = self.uplink_devices();
        Names {
            slices: self.slices.all().clone(),
            ports: ports
                .map(|(port, device)| (port.to_owned(), device.ifindex, device.name.clone()))
                .collect(),
            uplinks: uplinks
                .map(|device| (device.ifindex, device.name.clone()))
                .collect(),
            rules: self
                .policies
                .rules()
                .map(|(_, rule, number)| (number, rule.to_string()))
                .collect(),
        }
    }
}
