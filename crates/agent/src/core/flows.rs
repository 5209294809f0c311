//! Flows: what their numbers and addresses are called here, and who is told of them.

use std::net::IpAddr;

use coax_api::agent::Question;
use coax_api::flows::FlowFilter;
use coax_api::question::HostAnswer;
use coax_tables::{FABRIC_SLOT, FlowRecord};

use super::Core;
use crate::flows::{self, FlowMatcher, FlowNames, Named};
use crate::input::{FlowRecords, Moment};

impl Core {
    /// The data plane reports what it decided.
    pub(super) fn flows_seen(&mut self, seen: &FlowRecords, now: Moment) {
        // The log is asked to ask the core for names.
        let mut log = std::mem::take(&mut self.flows);
        log.lose(seen.lost);
        for record in &seen.records {
            self.questions.note(record, now);
            // A question that went to foreign endpoints is no flow.
            if record.has(FlowRecord::ASKS) && record.reason == FlowRecord::PASSED {
                log.lose(record.missed.into());
                continue;
            }
            log.note(record, seen.clock_of(record.time), |record| {
                self.flow_names(record)
            });
        }
        log.wake(now);
        self.flows = log;
    }

    /// Somebody asks what the firewall decided.
    pub(super) fn asked_for_flows(
        &mut self,
        question: &Question,
        reader: u64,
        filter: FlowFilter,
        most: usize,
        now: Moment,
    ) {
        let answer = match FlowMatcher::new(filter) {
            Ok(matcher) => self
                .flows
                .ask(question.question_id, reader, matcher, most, now),
            Err(reason) => Some(HostAnswer::Failed { reason }),
        };
        if let Some(answer) = answer {
            self.answer(question.question_id, &answer);
        }
    }

    /// Answers those who have waited long enough.
    pub(super) fn tell_flows(&mut self, now: Moment) {
        for (question, answer) in self.flows.due(now) {
            self.answer(question, &answer);
        }
    }

    fn flow_names(&mut self, record: &FlowRecord) -> FlowNames {
        let reach = self.reach(record.network);
        let network = self.slices.get(record.network);
        let of_network = network.and_then(|slice| slice.params.as_ref());
        let of_domain = self.policies.project_of(record.domain);
        let sender = Some(record.slot).filter(|slot| *slot != FABRIC_SLOT);
        let sender = sender.and_then(|slot| self.slots.owner(slot)).cloned();
        let of_sender = sender.as_ref().and_then(|owner| owner.port.split_once('/'));
        let project = of_domain
            .or_else(|| of_network.map(|params| params.project.as_str()))
            .or_else(|| of_sender.map(|(project, _)| project));
        let mut names = FlowNames {
            project: project.unwrap_or_default().to_owned(),
            network: network.map(|slice| slice.full_name()).unwrap_or_default(),
            rule: self.policies.rule(record.rule).unwrap_or_default(),
            from: Named::default(),
            to: Named::default(),
        };
        names.from = self.named(&reach, flows::address(&record.source));
        names.to = self.named(&reach, flows::address(&record.destination));
        // Who sent it is known, whatever address it has written.
        if let Some(owner) = sender
            && owner.port != names.from.port
        {
            names.from.port.clone_from(&owner.port);
            let networks = self.slices.networks_of(&owner.port);
            let mut slices = networks.filter_map(|network| self.slices.get(network));
            let slice = slices.find(|slice| {
                let member = slice.member(&owner.port);
                member.is_some_and(|member| member.vlan == owner.vlan)
            });
            names.from.network = slice.map(|slice| slice.full_name()).unwrap_or_default();
        }
        names
    }

    /// The port that has an address, of these networks.
    fn named(&mut self, reach: &[u32], address: Option<IpAddr>) -> Named {
        for number in reach {
            if let (Some(slice), Some(address)) = (self.slices.get(*number), address) {
                self.services.index(slice);
                if let Some(member) = self.services.member(slice, address) {
                    return Named {
                        port: member.port.clone(),
                        network: slice.full_name(),
                    };
                }
            }
        }
        Named::default()
    }
}
