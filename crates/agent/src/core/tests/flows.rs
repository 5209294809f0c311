//! Flows: named as things were called when they happened, told to whoever asks.

use std::time::Duration;

use coax_api::agent::agent_message::Body;
use coax_api::agent::{Question, controller_message};
use coax_api::flows::{Flow, FlowVerdict};
use coax_api::question::{HostAnswer, HostQuestion};
use coax_tables::{DropReason, FlowRecord};
use coax_vswitch::MemoryDataPlane;
use coax_wire::ip::mapped;

use super::policies::protected;
use super::world::World;
use crate::input::{FlowRecords, Input};

impl World {
    /// Asks as a controller does, and takes the answer, which comes within a second.
    fn ask_for_flows(&mut self, reader: u64) -> Vec<Flow> {
        let question = HostQuestion::Flows {
            reader,
            filter: Box::default(),
            most: 100,
        };
        self.sent.clear();
        self.controller_says(controller_message::Body::Question(Question {
            question_id: 77,
            json: serde_json::to_vec(&question).unwrap().into(),
        }));
        self.run_for(Duration::from_secs(1));
        let mut replies = self.sent.iter().filter_map(|body| match body {
            Body::Reply(reply) => Some(serde_json::from_slice(&reply.json).unwrap()),
            _ => None,
        });
        match (replies.next(), replies.next()) {
            (Some(HostAnswer::Flows { flows, .. }), None) => flows,
            other => panic!("{other:?}"),
        }
    }

    fn sees(&mut self, record: FlowRecord) {
        let records = vec![record];
        self.input(Input::Flows(FlowRecords {
            records,
            lost: 0,
            clock_ahead: 5000,
        }));
    }

    /// A record of a connection from the port that is here to another one of its network.
    fn record(&self, from: &str, to: &str) -> FlowRecord {
        let rows = self.rows();
        let port = rows.ports.values().next().unwrap();
        FlowRecord {
            time: 2_000_000_000,
            source: self.address(from),
            destination: self.address(to),
            source_port: [0x80, 1],
            destination_port: 80u16.to_be_bytes(),
            network: port.network.0,
            domain: port.policy.0,
            rule: self.rule_number("p/db-from-web"),
            slot: port.slot,
            reason: FlowRecord::PASSED,
            bytes: 60,
            protocol: 6,
            flags: FlowRecord::NEW,
            missed: 0,
        }
    }

    pub(super) fn address(&self, port: &str) -> [u8; 16] {
        let port = &self.controller.intent.ports[&port.parse().unwrap()];
        match port.addresses.first().unwrap() {
            std::net::IpAddr::V4(address) => mapped(address.octets()),
            std::net::IpAddr::V6(address) => address.octets(),
        }
    }

    fn rule_number(&self, rule: &str) -> u32 {
        let mut rules = self.core.policies.rules();
        let found = rules.find(|(_, name, _)| name.to_string() == rule);
        found.unwrap().2
    }
}

#[test]
fn a_flow_has_the_names_that_were_right_when_it_happened() {
    let mut world = protected(MemoryDataPlane::new());
    let record = world.record("p/web-1", "p/db-1");
    world.sees(record);
    world.no_rule("p/db-from-web");
    world.delete_port("p/db-1");
    world.run_for(Duration::from_secs(5));
    let flows = world.ask_for_flows(0);
    assert_eq!(flows.len(), 1);
    let flow = &flows[0];
    assert_eq!(flow.verdict, FlowVerdict::Allow);
    assert_eq!(flow.rule, "p/db-from-web");
    assert_eq!(flow.project, "p");
    assert_eq!(flow.network, "p/net");
    assert_eq!(
        (flow.from.port.as_str(), flow.to.port.as_str()),
        ("p/web-1", "p/db-1")
    );
    assert_eq!(flow.to.network, "p/net");
    assert_eq!((flow.first, flow.port), (7000, 80));
}

#[test]
fn a_sender_is_known_by_its_device_whatever_address_it_writes() {
    let mut world = protected(MemoryDataPlane::new());
    let forged = FlowRecord {
        source: mapped([192, 0, 2, 9]),
        domain: 0,
        rule: 0,
        reason: DropReason::ForgedAddress as u32,
        ..world.record("p/web-1", "p/db-2")
    };
    world.sees(forged);
    let flows = world.ask_for_flows(0);
    assert_eq!(flows[0].from.port, "p/web-1");
    assert_eq!(flows[0].from.network, "p/net");
    assert_eq!(flows[0].verdict, FlowVerdict::Drop);
    assert_eq!(flows[0].reason, "forged-address");
    assert_eq!(
        (flows[0].project.as_str(), flows[0].rule.as_str()),
        ("p", "")
    );
}

#[test]
fn whoever_follows_is_told_of_what_happens_between_and_during_its_questions() {
    let mut world = protected(MemoryDataPlane::new());
    assert_eq!(world.ask_for_flows(5), []);
    assert_eq!(
        world.ask_for_flows(5),
        [],
        "the answer comes though nothing happens"
    );
    let record = world.record("p/web-1", "p/db-1");
    world.sees(record);
    assert_eq!(world.ask_for_flows(5).len(), 1);
    assert_eq!(world.ask_for_flows(5), []);
}
