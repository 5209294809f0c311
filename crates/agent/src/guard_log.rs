//! Which guards drop what a port sends, since when, and for how long after the last drop that is told.
//!
//! A VM decides what it sends, so it must not decide how much is told of it: for each port and reason there is one report, which
//! begins with the first drop and ends when there was none for a while. That while is a minute, and twice as long each time when
//! the same begins again, up to an hour. In between, words change every ten seconds at most, for all reports at once. What finds
//! no room is counted in the drops all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coax_tables::DropReason;

use crate::input::{GuardDrops, Moment};

/// A report ends when there was no drop for this time.
const QUIET: Duration = Duration::from_secs(60);
/// The same for one that begins again and again; and what is over is remembered for so long after it.
const MOST_QUIET: Duration = Duration::from_secs(3600);
/// Words are not changed more often.
const WORDS: Duration = Duration::from_secs(10);
/// Reports at the same time, with those that are remembered.
const MOST: usize = 256;
/// The same of one project: no tenant takes the room of another.
const MOST_OF_PROJECT: usize = 64;

/// A port's full name, and why its frames are dropped.
type Key = (String, DropReason);

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct GuardLog {
    /// What was counted when it was looked last, by slot, and of which port: also of ports that left, whose counters go on when they
    /// return.
    counts: BTreeMap<u32, (String, BTreeMap<DropReason, u64>)>,
    /// Slots that counted before the agent started: what is found there first is not news.
    before: BTreeSet<u32>,
    reports: BTreeMap<Key, Report>,
    words_at: Moment,
    /// Until when it was said that there was no room for some.
    full_until: Moment,
}

/// Drops of one port for one reason.
#[derive(Debug)]
struct Report {
    frames: u64,
    /// By the clock on the wall, in seconds since 1970.
    since: u64,
    last_clock: u64,
    last: Moment,
    quiet: Duration,
    is_over: bool,
    /// What is told.
    words: String,
}

impl GuardLog {
    /// These slots count already.
    pub(crate) fn new(before: impl IntoIterator<Item = u32>) -> Self {
        Self {
            before: before.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Takes in what was seen. `port` knows the full names of the ports that are here by their slots.
    pub(crate) fn note<'a>(
        &mut self,
        seen: &[GuardDrops],
        clock: u64,
        now: Moment,
        port: impl Fn(u32) -> Option<&'a str>,
    ) {
        let mut here = BTreeSet::new();
        for drops in seen {
            let Some(port) = port(drops.slot) else {
                continue;
            };
            here.insert(port);
            for (reason, frames) in self.news(drops, port) {
                self.add((port.to_owned(), reason), frames, clock, now);
            }
        }
        self.end(now, |port| here.contains(port));
        if self.words_at <= now {
            self.words_at = now + WORDS;
            for ((_, reason), report) in &mut self.reports {
                report.words = report.in_words(*reason);
            }
        }
    }

    /// What was dropped since the last time.
    fn news(&mut self, drops: &GuardDrops, port: &str) -> Vec<(DropReason, u64)> {
        let first = self.before.remove(&drops.slot);
        let counts: BTreeMap<_, _> = drops.counts.iter().copied().collect();
        let known = self
            .counts
            .insert(drops.slot, (port.to_owned(), counts.clone()));
        if first {
            return Vec::new();
        }
        // A slot that begins to serve another port begins with nothing.
        let known = known.filter(|(of, _)| of == port);
        let known = known.map(|(_, counts)| counts).unwrap_or_default();
        let news = counts.into_iter().map(|(reason, count)| {
            let known = known.get(&reason).copied().unwrap_or(0);
            let frames = count.checked_sub(known).unwrap_or(count);
            (reason, frames)
        });
        news.filter(|(_, frames)| *frames > 0).collect()
    }

    fn add(&mut self, key: Key, frames: u64, clock: u64, now: Moment) {
        if let Some(report) = self.reports.get_mut(&key) {
            if report.is_over {
                *report = Report {
                    quiet: (2 * report.quiet).min(MOST_QUIET),
                    ..Report::new(key.1, frames, clock, now)
                };
                return tell_begin(&key, report);
            }
            report.frames += frames;
            (report.last, report.last_clock) = (now, clock);
            return;
        }
        if !self.has_room_for(&key.0) {
            self.tell_full(&key.0, now);
            return;
        }
        let report = Report::new(key.1, frames, clock, now);
        tell_begin(&key, &report);
        self.reports.insert(key, report);
    }

    /// Whether there is room for one more of a port, perhaps after something was forgotten.
    fn has_room_for(&mut self, port: &str) -> bool {
        let own = project(port).to_owned();
        let of_project = |other: &str| project(other) == own;
        let count = self
            .reports
            .keys()
            .filter(|(other, _)| of_project(other))
            .count();
        if count >= MOST_OF_PROJECT {
            return self.make_room(of_project);
        }
        self.reports.len() < MOST || self.make_room(|_| true)
    }

    /// A line in the log once in an hour: what is told elsewhere a VM could have told again and again.
    fn tell_full(&mut self, port: &str, now: Moment) {
        if self.full_until <= now {
            self.full_until = now + MOST_QUIET;
            tracing::warn!(
                port,
                "guards drop frames of too many ports to report each: `coax drops` has all"
            );
        }
    }

    /// Forgets what has been over for the longest time, of some ports.
    fn make_room(&mut self, of: impl Fn(&str) -> bool) -> bool {
        let over = self.reports.iter();
        let over = over.filter(|((port, _), report)| report.is_over && of(port));
        let oldest = over.min_by_key(|(_, report)| report.last);
        let oldest = oldest.map(|(key, _)| key.clone());
        oldest.is_some_and(|key| self.reports.remove(&key).is_some())
    }

    fn end(&mut self, now: Moment, is_here: impl Fn(&str) -> bool) {
        self.reports.retain(|(port, reason), report| {
            let gone = !is_here(port);
            if !report.is_over && (gone || report.last + report.quiet <= now) {
                report.is_over = true;
                let guard = reason.name();
                tracing::info!(port, guard, "a guard drops nothing of a port any more");
            }
            !gone && report.last + report.quiet + MOST_QUIET > now
        });
    }

    /// What guards drop: port, reason, and all of it in words.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&str, DropReason, &str)> {
        let present = self.reports.iter().filter(|(_, report)| !report.is_over);
        present.map(|((port, reason), report)| (port.as_str(), *reason, report.words.as_str()))
    }
}

/// Whose a port is.
fn project(port: &str) -> &str {
    port.split('/').next().unwrap_or_default()
}

impl Report {
    fn new(reason: DropReason, frames: u64, clock: u64, now: Moment) -> Self {
        let mut report = Self {
            frames,
            since: clock,
            last_clock: clock,
            last: now,
            quiet: QUIET,
            is_over: false,
            words: String::new(),
        };
        report.words = report.in_words(reason);
        report
    }

    fn in_words(&self, reason: DropReason) -> String {
        let name = reason.name();
        let frames = match self.frames {
            1 => "1 frame".to_owned(),
            frames => format!("{frames} frames"),
        };
        let last = match self.last_clock > self.since {
            true => format!(", the last at {}", time_of_day(self.last_clock)),
            false => String::new(),
        };
        let since = time_of_day(self.since);
        format!(
            "its guard `{name}` dropped {frames} since {since} UTC{last}; `coax explain {name}` says what its VM does"
        )
    }
}

fn tell_begin((port, reason): &Key, report: &Report) {
    let guard = reason.name();
    let frames = report.frames;
    tracing::warn!(port, guard, frames, "a guard drops what a port sends");
}

/// A time since 1970 as hours, minutes and seconds of its day.
pub(crate) fn time_of_day(seconds: u64) -> String {
    let seconds = seconds % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

#[cfg(test)]
mod tests;
