//! Numbers of rules on this host: under these the data plane counts them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coax_compile::policy::Label;

use crate::input::Moment;

/// So long a connection may live without a packet. Its next packet makes policy name another rule.
const LONGEST_IDLE: Duration = Duration::from_secs(7440);

/// A number is a rule's until its counters are gone. Then it rests until no connection can carry it any more, so that none is
/// told to be another rule's.
#[derive(Debug, Default)]
pub(super) struct RuleNumbers {
    numbers: BTreeMap<(u32, Label), u32>,
    names: BTreeMap<u32, (u32, Label)>,
    free: BTreeSet<u32>,
    /// Nobody's numbers that connections may carry, and until when.
    resting: BTreeMap<u32, Moment>,
    /// No number above this one was ever given.
    highest: u32,
}

impl RuleNumbers {
    /// The number of a rule of a policy; a new one if it has none.
    pub(super) fn number(&mut self, policy: u32, rule: &Label) -> u32 {
        if let Some(number) = self.get(policy, rule) {
            return number;
        }
        let number = self.free.pop_first().unwrap_or(self.highest + 1);
        self.give(policy, rule.clone(), number);
        number
    }

    /// The number that a rule has.
    pub(super) fn get(&self, policy: u32, rule: &Label) -> Option<u32> {
        self.numbers.get(&(policy, rule.clone())).copied()
    }

    /// The policy and the name of the rule with this number.
    pub(super) fn rule(&self, number: u32) -> Option<&(u32, Label)> {
        self.names.get(&number)
    }

    /// The numbers of a policy's rules, by name.
    pub(super) fn of(&self, policy: u32) -> BTreeMap<String, u32> {
        let first = (policy, Label::from(""));
        let from = self.numbers.range(first..);
        from.take_while(|((of, _), _)| *of == policy)
            .map(|((_, rule), number)| (rule.to_string(), *number))
            .collect()
    }

    /// No number above this one was ever given.
    pub(super) fn highest(&self) -> u32 {
        self.highest
    }

    /// Numbers up to this one were given before a restart. Those that no rule adopts rest, as connections may carry them. When
    /// the cache is lost nobody knows how many there were, and numbers that connections carry are given at once.
    pub(super) fn rest(&mut self, highest: u32, now: Moment) {
        let given = self.highest + 1..=highest;
        self.resting
            .extend(given.map(|number| (number, now + LONGEST_IDLE)));
        self.highest = self.highest.max(highest);
    }

    /// Gives a rule the number that it had before a restart. Those below may have been other rules'.
    pub(super) fn adopt(&mut self, policy: u32, rule: &str, number: u32, now: Moment) {
        if number > 0 && !self.names.contains_key(&number) {
            self.rest(number, now);
            self.resting.remove(&number);
            self.give(policy, rule.into(), number);
        }
    }

    /// The number is nobody's any more. Those that have rested are free.
    pub(super) fn release(&mut self, number: u32, now: Moment) {
        if let Some(rule) = self.names.remove(&number) {
            self.numbers.remove(&rule);
            let rested = self.resting.extract_if(.., |_, until| *until <= now);
            self.free.extend(rested.map(|(number, _)| number));
            self.resting.insert(number, now + LONGEST_IDLE);
        }
    }

    fn give(&mut self, policy: u32, rule: Label, number: u32) {
        self.highest = self.highest.max(number);
        self.numbers.insert((policy, rule.clone()), number);
        self.names.insert(number, (policy, rule));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coax_tables::ConnectionState;
    use coax_tables::connection::seconds;

    #[test]
    fn numbers_are_dense_and_come_back_when_no_connection_carries_them() {
        let mut numbers = RuleNumbers::default();
        let rules: Vec<Label> = ["a", "b", "c"].map(Label::from).into();
        let given: Vec<u32> = rules.iter().map(|rule| numbers.number(7, rule)).collect();
        assert_eq!(given, [1, 2, 3]);
        assert_eq!(numbers.number(7, &rules[1]), 2);
        assert_eq!(numbers.number(8, &rules[1]), 4, "another policy's");
        assert_eq!(numbers.rule(3), Some(&(7, "c".into())));
        let start = Duration::from_secs(9);
        numbers.release(2, start);
        assert_eq!(numbers.rule(2), None);
        assert_eq!(numbers.number(9, &rules[0]), 5);
        numbers.release(1, start + LONGEST_IDLE - Duration::from_secs(1));
        assert_eq!(numbers.number(9, &rules[1]), 6);
        numbers.release(6, start + LONGEST_IDLE);
        assert_eq!(numbers.number(9, &rules[2]), 2);

        let mut restarted = RuleNumbers::default();
        for (rule, number) in numbers.of(8) {
            restarted.adopt(8, &rule, number, start);
        }
        assert_eq!(restarted.number(8, &rules[1]), 4);
        assert_eq!(restarted.number(8, &rules[0]), 5);
        restarted.release(5, start + LONGEST_IDLE);
        assert_eq!(restarted.number(8, &rules[0]), 1);

        // Number 6 was given and released before the restart.
        assert_eq!(numbers.highest(), 6);
        let mut restarted = RuleNumbers::default();
        restarted.rest(numbers.highest(), start);
        restarted.adopt(8, "b", 4, start);
        assert_eq!(restarted.number(8, &rules[1]), 4);
        assert_eq!(restarted.number(8, &rules[0]), 7);
        restarted.release(7, start + LONGEST_IDLE);
        let given: Vec<u32> = [9, 10, 11, 12, 13, 14]
            .map(|policy| restarted.number(policy, &rules[0]))
            .into();
        assert_eq!(given, [1, 2, 3, 5, 6, 8]);
    }

    #[test]
    fn no_connection_lives_for_longer_without_a_packet() {
        let established = ConnectionState::lifetime(ConnectionState::ESTABLISHED, false);
        assert_eq!(established, seconds(LONGEST_IDLE.as_secs() as u32));
        for state in 0..=u8::MAX {
            assert!(ConnectionState::lifetime(state, false) <= established);
        }
    }
}
