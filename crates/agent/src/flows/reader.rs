//! Those who follow the flows of this host.

use std::time::Duration;

use super::FlowMatcher;
use crate::input::Moment;

/// A reader is answered after this time, though nothing happened.
const LONGEST_WAIT: Duration = Duration::from_millis(800);
/// What happens in this time is told together.
const SETTLED: Duration = Duration::from_millis(100);
/// A reader that does not come back in this time is gone.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// One who asks again and again.
#[derive(Debug)]
pub(super) struct Reader {
    /// The last change that it was told of.
    pub(super) told: u64,
    /// Decisions that it will never be told of.
    pub(super) lost: u64,
    /// Its question, while there is no answer.
    pub(super) waiting: Option<Waiting>,
    /// When it was answered last.
    pub(super) seen: Moment,
}

/// A question that waits for something to happen.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) question: u64,
    pub(super) matcher: FlowMatcher,
    /// When it is looked at.
    pub(super) due: Moment,
    /// When it is answered at the latest.
    pub(super) until: Moment,
}

impl Reader {
    /// One that begins behind this change.
    pub(super) const fn new(told: u64, now: Moment) -> Self {
        Self {
            told,
            lost: 0,
            waiting: None,
            seen: now,
        }
    }

    pub(super) fn is_gone(&self, now: Moment) -> bool {
        self.waiting.is_none() && now.saturating_sub(self.seen) > READ_WITHIN
    }

    pub(super) fn wake(&mut self, now: Moment) {
        if let Some(waiting) = &mut self.waiting {
            waiting.due = waiting.due.min(now + SETTLED);
        }
    }
}

impl Waiting {
    /// `news`: there is something to be told already.
    pub(super) fn new(question: u64, matcher: FlowMatcher, news: bool, now: Moment) -> Self {
        let until = now + LONGEST_WAIT;
        Self {
            question,
            matcher,
            due: if news { now + SETTLED } else { until },
            until,
        }
    }

    /// Nothing of what happened is wanted.
    pub(super) fn sleep(self) -> Self {
        Self {
            due: self.until,
            ..self
        }
    }
}
