//! What the firewall decided lately, in a bounded memory.
//!
//! Records of the data plane go in, flows come out: all connections from one address to one service of another, judged by
//! one rule, are one flow, however many there are. So a client that connects again and again, and a scan of source ports,
//! take one place. When there is no room, the flow goes that was quiet for the longest time; and since every domain has its own
//! share, a flood of new flows in one project makes that project forget, and no other.
//!
//! Whoever follows is a reader: it is told what is new or went on since it asked last, and what it missed.

mod entry;
mod filter;
mod reader;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use coax_api::flows::{Flow, FlowVerdict};
use coax_api::measure::{Measures, Usage, VerdictCount};
use coax_api::question::HostAnswer;
use coax_tables::FlowRecord;

pub(crate) use entry::{FlowNames, Named, address};
pub(crate) use filter::FlowMatcher;

use crate::input::Moment;
use entry::{Entry, Key};
use reader::{Reader, Waiting};

/// Flows of one domain, or of a port that is in none.
const MOST_OF_ONE: usize = 4096;
/// Flows of all together.
const MOST: usize = 32_768;
/// Flows in one answer to a reader, so that other messages get through between two.
const MOST_IN_ANSWER: usize = 1000;
/// Readers at the same time.
const MOST_READERS: usize = 16;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct FlowLog {
    /// The number of each flow's last change.
    places: HashMap<Key, u64>,
    /// Flows by the number of their last change: the first is quiet for the longest time.
    entries: BTreeMap<u64, Box<Entry>>,
    /// The numbers that belong to one account.
    accounts: BTreeMap<u64, BTreeSet<u64>>,
    changes: u64,
    lost: u64,
    /// Records by verdict, in the order of [`FlowVerdict::ALL`].
    verdicts: [u64; FlowVerdict::ALL.len()],
    readers: BTreeMap<u64, Reader>,
}

impl FlowLog {
    /// Takes a record in. `time` is when it was made, in milliseconds since 1970. `names` is asked for what a new flow's
    /// numbers and addresses are called.
    pub(crate) fn note(
        &mut self,
        record: &FlowRecord,
        time: u64,
        names: impl FnOnce(&FlowRecord) -> FlowNames,
    ) {
        self.lose(record.missed.into());
        let key = Key::of(record);
        if record.domain != 0 {
            self.count(key.verdict());
        }
        self.changes += 1;
        let known = self.places.insert(key, self.changes);
        let known = known.and_then(|place| {
            self.account(&key).remove(&place);
            self.entries.remove(&place)
        });
        let mut entry = match known {
            Some(entry) => entry,
            None => {
                self.make_room(&key);
                Box::new(Entry::new(key, time, names(record)))
            }
        };
        entry.count(record, time);
        let place = self.changes;
        self.account(&key).insert(place);
        self.entries.insert(place, entry);
    }

    fn count(&mut self, verdict: FlowVerdict) {
        let mut counts = FlowVerdict::ALL.iter().zip(&mut self.verdicts);
        if let Some((_, count)) = counts.find(|(known, _)| **known == verdict) {
            *count += 1;
        }
    }

    /// What was read since the agent started, what could not be read, and how full this memory is.
    pub(crate) fn measures(&self) -> Measures {
        let verdicts = FlowVerdict::ALL.iter().zip(self.verdicts);
        let verdicts = verdicts.map(|(verdict, count)| VerdictCount {
            verdict: verdict.as_str().to_owned(),
            count,
        });
        Measures {
            flows: Usage {
                entries: self.entries.len() as u64,
                capacity: MOST as u64,
            },
            verdicts: verdicts.collect(),
            flow_records_lost: self.lost,
            ..Measures::default()
        }
    }

    /// Decisions were not noted.
    pub(crate) fn lose(&mut self, count: u64) {
        self.lost += count;
        for reader in self.readers.values_mut().filter(|_| count > 0) {
            reader.lost += count;
        }
    }

    /// A question. What can be answered at once is; a reader that asks again may have to wait, see [`Self::due`].
    pub(crate) fn ask(
        &mut self,
        question: u64,
        reader: u64,
        matcher: FlowMatcher,
        most: usize,
        now: Moment,
    ) -> Option<HostAnswer> {
        self.readers.retain(|_, reader| !reader.is_gone(now));
        if let Some(known) = self.readers.get_mut(&reader) {
            let news = self.changes > known.told || known.lost > 0;
            known.waiting = Some(Waiting::new(question, matcher, news, now));
            return None;
        }
        if reader != 0 {
            if self.readers.len() >= MOST_READERS {
                let reason = format!("{MOST_READERS} readers follow this host's flows already");
                return Some(HostAnswer::Failed { reason });
            }
            self.readers.insert(reader, Reader::new(self.changes, now));
        }
        // What was lost before is no concern of those who follow from now on.
        let lost = if reader == 0 { self.lost } else { 0 };
        Some(self.newest(&matcher, most, lost))
    }

    fn newest(&self, matcher: &FlowMatcher, most: usize, lost: u64) -> HostAnswer {
        let newest = self.entries.values().rev();
        let wanted = newest.filter(|entry| matcher.takes(entry));
        let mut flows: Vec<Flow> = Vec::new();
        let mut left_out = 0;
        for entry in wanted {
            match flows.len() < most {
                true => flows.push(entry.flow()),
                false => left_out += 1,
            }
        }
        flows.reverse();
        HostAnswer::Flows {
            flows,
            left_out,
            lost,
        }
    }

    /// Readers that wait are told soon that something has happened.
    pub(crate) fn wake(&mut self, now: Moment) {
        for reader in self.readers.values_mut() {
            reader.wake(now);
        }
    }

    /// When [`Self::due`] has something to say at the latest.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let waiting = self.readers.values();
        waiting
            .filter_map(|reader| Some(reader.waiting.as_ref()?.due))
            .min()
    }

    /// Answers to questions whose time has come.
    pub(crate) fn due(&mut self, now: Moment) -> Vec<(u64, HostAnswer)> {
        let mut answers = Vec::new();
        for reader in self.readers.values_mut() {
            let Some(waiting) = reader.waiting.take_if(|waiting| waiting.due <= now) else {
                continue;
            };
            let mut flows = Vec::new();
            let news = self.entries.range(reader.told + 1..);
            for (place, entry) in news {
                if flows.len() == MOST_IN_ANSWER {
                    break;
                }
                reader.told = *place;
                if waiting.matcher.takes(entry) {
                    flows.push(entry.flow());
                }
            }
            if flows.is_empty() && reader.lost == 0 && waiting.until > now {
                reader.waiting = Some(waiting.sleep());
                continue;
            }
            reader.seen = now;
            let answer = HostAnswer::Flows {
                flows,
                left_out: 0,
                lost: std::mem::take(&mut reader.lost),
            };
            answers.push((waiting.question, answer));
        }
        answers
    }

    fn account(&mut self, key: &Key) -> &mut BTreeSet<u64> {
        self.accounts.entry(key.account()).or_default()
    }

    /// Forgets a flow when there is no room for another one: one of the same account when that has its share, or of the
    /// account that has the most.
    fn make_room(&mut self, key: &Key) {
        let oldest = if self.account(key).len() >= MOST_OF_ONE {
            self.account(key).first().copied()
        } else if self.entries.len() >= MOST {
            let largest = self.accounts.values().max_by_key(|places| places.len());
            largest.and_then(|places| places.first().copied())
        } else {
            None
        };
        if let Some(oldest) = oldest {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, place: u64) {
        let Some(entry) = self.entries.remove(&place) else {
            return;
        };
        self.places.remove(&entry.key);
        let account = entry.key.account();
        if let Some(places) = self.accounts.get_mut(&account) {
            places.remove(&place);
            if places.is_empty() {
                self.accounts.remove(&account);
            }
        }
        let untold = self.readers.values_mut();
        for reader in untold.filter(|reader| reader.told < place) {
            reader.lost += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
