//! Numbers of rules on this host: under these the data plane counts them.

use std::collections::{BTreeMap, BTreeSet};

use coax_compile::policy::Label;

/// A number is a rule's until its counters are gone.
#[derive(Debug, Default)]
pub(super) struct RuleNumbers {
    numbers: BTreeMap<(u32, Label), u32>,
    names: BTreeMap<u32, (u32, Label)>,
    free: BTreeSet<u32>,
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

    /// Gives a rule the number that it had before a restart.
    pub(super) fn adopt(&mut self, policy: u32, rule: &str, number: u32) {
        if number > 0 && !self.names.contains_key(&number) {
            self.free.extend(self.highest + 1..number);
            self.free.remove(&number);
            self.give(policy, rule.into(), number);
        }
    }

    /// The number is nobody's any more.
    pub(super) fn release(&mut self, number: u32) {
        if let Some(rule) = self.names.remove(&number) {
            self.numbers.remove(&rule);
            self.free.insert(number);
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

    #[test]
    fn numbers_are_dense_and_come_back() {
        let mut numbers = RuleNumbers::default();
        let rules: Vec<Label> = ["a", "b", "c"].map(Label::from).into();
        let given: Vec<u32> = rules.iter().map(|rule| numbers.number(7, rule)).collect();
        assert_eq!(given, [1, 2, 3]);
        assert_eq!(numbers.number(7, &rules[1]), 2);
        assert_eq!(numbers.number(8, &rules[1]), 4, "another policy's");
        assert_eq!(numbers.rule(3), Some(&(7, "c".into())));
        numbers.release(2);
        assert_eq!(numbers.rule(2), None);
        assert_eq!(numbers.number(9, &rules[0]), 2);

        let mut restarted = RuleNumbers::default();
        for (rule, number) in numbers.of(8) {
            restarted.adopt(8, &rule, number);
        }
        assert_eq!(restarted.number(8, &rules[1]), 4);
        assert_eq!(restarted.number(8, &rules[0]), 1);
    }
}
