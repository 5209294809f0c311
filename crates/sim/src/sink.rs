//! Counters of a simulated host, and the stages that a frame went through.

use coax_pipeline::{Sink, Stage};
use coax_tables::{Counters, DropReason, FlowRecord, Limit, PolicyRow, Rate, RuleCounters};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What the counters of one slot say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Frames and bytes.
    pub counters: Counters,
    /// Drops by reason; reasons without a drop are absent.
    pub drops: BTreeMap<DropReason, u64>,
}

/// What the law of the counters compares, summed over all slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    /// Frames received, and copies made.
    pub entered: u64,
    /// Frames sent, flooded, punted and dropped.
    pub left: u64,
}

/// The word of a limit whose bucket stays empty.
pub const EXHAUSTED: u64 = u64::MAX / 2;

/// Counters by slot. Slots without any count are absent.
#[derive(Clone, Debug, Default)]
pub struct SimSink {
    slots: RefCell<BTreeMap<u32, Tally>>,
    stages: RefCell<Vec<Stage>>,
    limits: RefCell<BTreeMap<(u32, Limit), u64>>,
    rules: RefCell<BTreeMap<u32, RuleCounters>>,
    flows: RefCell<Vec<FlowRecord>>,
}

impl SimSink {
    /// The counters of every slot that counted something.
    pub fn tallies(&self) -> BTreeMap<u32, Tally> {
        self.slots.borrow().clone()
    }

    /// The counters of one slot.
    pub fn tally(&self, slot: u32) -> Tally {
        self.slots.borrow().get(&slot).cloned().unwrap_or_default()
    }

    /// Both sides of the law `received + copies = sent + flooded + punted + sum of all drops`.
    pub fn balance(&self) -> Balance {
        let mut sum = Balance::default();
        for tally in self.slots.borrow().values() {
            sum.entered += tally.counters.received_frames + tally.counters.copies;
            sum.left += tally.counters.sent_frames + tally.counters.flooded;
            sum.left += tally.counters.punted;
            sum.left += tally.drops.values().sum::<u64>();
        }
        sum
    }

    /// The stages that were entered since the last call.
    pub fn take_stages(&self) -> Vec<Stage> {
        self.stages.take()
    }

    /// What the port with these counters may do only so often, it has done already.
    pub fn exhaust(&self, slot: u32, limit: Limit) {
        self.limits.borrow_mut().insert((slot, limit), EXHAUSTED);
    }

    /// Counters of the firewall rules that decided anything.
    pub fn rules(&self) -> BTreeMap<u32, RuleCounters> {
        self.rules.borrow().clone()
    }

    /// What each of them decided.
    pub fn hits(&self) -> BTreeMap<u32, u64> {
        let rules = self.rules.borrow();
        rules.iter().map(|(rule, one)| (*rule, one.hits)).collect()
    }

    /// What the firewall reported since the last call.
    pub fn take_flows(&self) -> Vec<FlowRecord> {
        self.flows.take()
    }

    fn change(&self, slot: u32, change: impl FnOnce(&mut Tally)) {
        change(self.slots.borrow_mut().entry(slot).or_default());
    }
}

impl Sink for SimSink {
    fn enter(&self, stage: Stage) {
        self.stages.borrow_mut().push(stage);
    }

    fn received(&self, slot: u32, bytes: u32) {
        self.change(slot, |tally| {
            tally.counters.received_frames += 1;
            tally.counters.received_bytes += u64::from(bytes);
        });
    }

    fn sent(&self, slot: u32, bytes: u32) {
        self.change(slot, |tally| {
            tally.counters.sent_frames += 1;
            tally.counters.sent_bytes += u64::from(bytes);
        });
    }

    fn answered(&self, slot: u32, bytes: u32) {
        self.change(slot, |tally| {
            tally.counters.answered += 1;
            tally.counters.sent_frames += 1;
            tally.counters.sent_bytes += u64::from(bytes);
        });
    }

    fn punted(&self, slot: u32) {
        self.change(slot, |tally| tally.counters.punted += 1);
    }

    fn permit(&self, limit: Limit, slot: u32, rate: &Rate, now: u64) -> bool {
        let mut limits = self.limits.borrow_mut();
        let word = limits.entry((slot, limit)).or_default();
        match rate.spend(*word, now) {
            Some(after) => {
                *word = after;
                true
            }
            None => false,
        }
    }

    fn flooded(&self, slot: u32, copies: u32, unknown_unicast: bool) {
        self.change(slot, |tally| {
            tally.counters.flooded += 1;
            tally.counters.copies += u64::from(copies);
            tally.counters.unknown_unicast += u64::from(unknown_unicast);
        });
    }

    fn dropped(&self, slot: u32, reason: DropReason) {
        self.change(slot, |tally| *tally.drops.entry(reason).or_default() += 1);
    }

    fn hit(&self, rule: u32, time: u64) {
        if rule != PolicyRow::NO_RULE {
            let mut rules = self.rules.borrow_mut();
            let counters = rules.entry(rule).or_default();
            counters.hits += 1;
            counters.last_hit = time;
        }
    }

    fn flow(&self, record: &mut FlowRecord) {
        self.flows.borrow_mut().push(*record);
    }
}
