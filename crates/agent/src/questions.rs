//! Questions for the owner of an address that nobody had when a VM asked: they are answered late, when its row is there.
//!
//! A new port can be heard of before every host has its rows: its first packet takes less time than the controller's word. A VM
//! that gets such a packet asks for its sender, and when nobody answers it asks again after a second, not earlier. So the
//! agent, which hears of the question with the drop, answers in the owner's name as soon as it can.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use coax_sim::craft::{self, Discovery};
use coax_tables::{AddressKey, AddressRow, DropReason, FlowRecord, NetworkId, NetworkRow};
use coax_wire::icmp::Neighbour;
use coax_wire::{EtherType, MacAddress, VlanTag};

use crate::input::Moment;

/// Who waits longer has asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// Questions of one port that are remembered, and of all together: the oldest go first.
const MOST_OF_PORT: usize = 16;
const MOST: usize = 1024;

/// A question that nobody has answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Counters of the port whose VM asks.
    pub(crate) slot: u32,
    /// Its network.
    pub(crate) network: NetworkId,
    /// The address of the VM.
    asker: IpAddr,
    /// The address that it asks for.
    target: [u8; 16],
    until: Moment,
}

impl Question {
    /// The row that answers it.
    pub(crate) const fn key(&self) -> AddressKey {
        AddressKey {
            address: self.target,
            network: self.network,
        }
    }

    /// The answer to the VM at `asker`, in the VLAN of a trunk; nothing: the row is not that of an owner who speaks for
    /// himself.
    pub(crate) fn answer(
        &self,
        (asker, vlan): (MacAddress, u32),
        owner: AddressRow,
        network: NetworkRow,
    ) -> Option<Vec<u8>> {
        // On a routed network nobody sends to anybody but the gateway.
        let mac = match network.has(NetworkRow::ROUTED) {
            true => network.gateway_mac,
            false => owner.mac,
        };
        if owner.mac == MacAddress::default() || owner.mac == asker {
            return None;
        }
        let target = Ipv6Addr::from(self.target).to_canonical();
        let mut frame = match (self.asker, target) {
            (IpAddr::V4(own), IpAddr::V4(target)) => {
                let packet = craft::arp(2, (mac, target), (asker, own));
                craft::ethernet(asker, mac, craft::ARP, &packet)
            }
            (IpAddr::V6(own), IpAddr::V6(target)) => {
                let router = match owner.has(AddressRow::ROUTER) {
                    true => Neighbour::ROUTER,
                    false => 0,
                };
                let flags = Neighbour::SOLICITED | Neighbour::OVERRIDE | router;
                let packet = Discovery::advertisement((mac, target), own, flags).packet();
                craft::ethernet(asker, mac, craft::IPV6, &packet)
            }
            _ => return None,
        };
        if let Some(vlan) = u16::try_from(vlan).ok().filter(|vlan| *vlan != 0) {
            let VlanTag { protocol, control } = VlanTag::of_vlan(vlan);
            let EtherType([a, b]) = protocol;
            let [c, d] = control;
            frame.splice(12..12, [a, b, c, d]);
        }
        Some(frame)
    }
}

/// The questions that wait.
#[derive(Debug, Default)]
pub(crate) struct Questions(VecDeque<Question>);

impl Questions {
    /// Notes a question, if what is reported was one: dropped because nobody has the address, or asked of foreign endpoints, where
    /// nobody may have it either.
    pub(crate) fn note(&mut self, record: &FlowRecord, now: Moment) {
        let reasons = [DropReason::UnknownAddress as u32, FlowRecord::PASSED];
        let asks = reasons.contains(&record.reason)
            && record.has(FlowRecord::ASKS)
            && record.source != [0; 16]
            && record.destination != [0; 16];
        let asker = Ipv6Addr::from(record.source).to_canonical();
        // Who asks without an address wants nobody to answer.
        if !asks || asker.is_unspecified() {
            return;
        }
        let question = Question {
            slot: record.slot,
            network: NetworkId(record.network),
            asker,
            target: record.destination,
            until: now + PATIENCE,
        };
        self.forget(|other| {
            (other.slot, other.key(), other.asker)
                == (question.slot, question.key(), question.asker)
        });
        let of_port = self.0.iter().filter(|other| other.slot == question.slot);
        if of_port.count() >= MOST_OF_PORT {
            let mut others = self.0.iter();
            if let Some(oldest) = others.position(|other| other.slot == question.slot) {
                self.0.remove(oldest);
            }
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(question);
    }

    fn forget(&mut self, is: impl Fn(&Question) -> bool) {
        self.0.retain(|question| !is(question));
    }

    /// Takes those out that `is` accepts, and those that have waited for too long.
    pub(crate) fn take(&mut self, now: Moment, is: impl Fn(&Question) -> bool) -> Vec<Question> {
        self.forget(|question| question.until <= now);
        let taken = self.0.iter().filter(|question| is(question)).copied();
        let taken: Vec<Question> = taken.collect();
        self.forget(|question| is(question));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coax_wire::ip::mapped;

    fn record(slot: u32, last: u8) -> FlowRecord {
        FlowRecord {
            slot,
            network: 7,
            reason: DropReason::UnknownAddress as u32,
            flags: FlowRecord::ASKS,
            source: mapped([10, 0, 0, 1]),
            destination: mapped([10, 0, 0, last]),
            ..FlowRecord::default()
        }
    }

    #[test]
    fn a_port_that_asks_for_everybody_takes_no_place_of_another() {
        let mut questions = Questions::default();
        let now = Duration::ZERO;
        questions.note(&record(1, 99), now);
        for last in 2..=250 {
            questions.note(&record(2, last), now);
        }
        assert_eq!(questions.0.len(), 1 + MOST_OF_PORT);
        // The same once more is the same.
        questions.note(&record(1, 99), now);
        assert_eq!(questions.take(now, |it| it.slot == 1).len(), 1);
        assert_eq!(questions.take(now, |_| true).len(), MOST_OF_PORT);
        assert!(questions.take(now, |_| true).is_empty());
    }

    #[test]
    fn nobody_is_answered_who_has_asked_again_or_wants_no_answer() {
        let mut questions = Questions::default();
        questions.note(&record(1, 2), Duration::ZERO);
        assert!(questions.take(PATIENCE, |_| true).is_empty());
        let probe = FlowRecord {
            source: mapped([0; 4]),
            ..record(1, 2)
        };
        let of_no_address = FlowRecord {
            destination: [0; 16],
            ..record(1, 2)
        };
        let for_another_reason = FlowRecord {
            reason: DropReason::Denied as u32,
            ..record(1, 2)
        };
        let announcement = FlowRecord {
            flags: 0,
            ..record(1, 2)
        };
        for record in [probe, of_no_address, for_another_reason, announcement] {
            questions.note(&record, Duration::ZERO);
        }
        assert!(questions.0.is_empty());
    }
}
