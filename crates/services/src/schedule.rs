//! When unasked router advertisements are due (RFC 4861 section 6.2.4).
//!
//! A link that is new or has changed gets three of them at once in short order, and then one every few minutes at times that
//! differ from link to link, so that thousands of ports do not speak in chorus.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Pauses lie between these two.
const SHORTEST: Duration = Duration::from_secs(200);
const LONGEST: Duration = Duration::from_secs(600);
/// The first ones, and the pause between them.
const FIRST: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(16);
/// Changes in quick succession are told of together.
const LEAST_PAUSE: Duration = Duration::from_secs(3);

/// The links that are advertised on, and when it is their turn. Moments are times since any fixed one.
#[derive(Clone, Debug)]
pub struct Schedule<K> {
    links: BTreeMap<K, Link>,
    queue: BTreeSet<(Duration, K)>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    due: Duration,
    last: Option<Duration>,
    sent: u32,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self {
            links: BTreeMap::new(),
            queue: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Copy + Hash> Schedule<K> {
    /// A link that is new, or about which there is something new to say.
    pub fn announce(&mut self, link: K, now: Duration) {
        let last = self.forget(link);
        let due = last.map_or(now, |last| now.max(last + LEAST_PAUSE));
        self.put(link, Link { due, last, sent: 0 });
    }

    /// A link that others have advertised on before, with nothing new to say: it has its turn soon, but not at once with all
    /// others.
    pub fn resume(&mut self, link: K, now: Duration) {
        self.forget(link);
        let soon = pause(link, 0).as_millis() % FIRST_PAUSE.as_millis();
        let due = now + Duration::from_millis(soon as u64);
        let last = None;
        let sent = FIRST;
        self.put(link, Link { due, last, sent });
    }

    /// A link that is not advertised on any more. Returns when it was the last time, if ever.
    pub fn forget(&mut self, link: K) -> Option<Duration> {
        let known = self.links.remove(&link)?;
        self.queue.remove(&(known.due, link));
        known.last
    }

    /// True if the link is advertised on.
    pub fn has(&self, link: K) -> bool {
        self.links.contains_key(&link)
    }

    /// The links whose turn it is, at most `most` of them. Each is planned anew.
    pub fn take_due(&mut self, now: Duration, most: usize) -> Vec<K> {
        let mut due = Vec::new();
        while let Some(&(moment, link)) = self.queue.first()
            && moment <= now
            && due.len() < most
        {
            self.queue.pop_first();
            if let Some(known) = self.links.get(&link).copied() {
                let sent = known.sent.saturating_add(1);
                let pause = if sent < FIRST {
                    FIRST_PAUSE
                } else {
                    pause(link, sent)
                };
                let last = Some(now);
                self.put(
                    link,
                    Link {
                        due: now + pause,
                        last,
                        sent,
                    },
                );
            }
            due.push(link);
        }
        due
    }

    /// When the next one is due.
    pub fn deadline(&self) -> Option<Duration> {
        self.queue.first().map(|(moment, _)| *moment)
    }

    fn put(&mut self, key: K, link: Link) {
        self.queue.insert((link.due, key));
        self.links.insert(key, link);
    }
}

/// As good as any number between the shortest and the longest pause, and the same in every run.
fn pause<K: Hash>(link: K, sent: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (link, sent).hash(&mut hasher);
    let span = (LONGEST - SHORTEST).as_millis() as u64;
    SHORTEST + Duration::from_millis(hasher.finish() % span)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_at_once_then_seldom() {
        let mut schedule = Schedule::default();
        schedule.announce(7, seconds(100));
        let mut moments = Vec::new();
        for _ in 0..6 {
            let now = schedule.deadline().unwrap();
            assert_eq!(schedule.take_due(now, 9), [7]);
            moments.push(now);
        }
        assert_eq!(moments[..3], [seconds(100), seconds(116), seconds(132)]);
        for pair in moments[2..].windows(2) {
            let pause = pair[1] - pair[0];
            assert!((SHORTEST..LONGEST).contains(&pause), "{pause:?}");
        }
        let mut other = Schedule::default();
        other.announce(8, seconds(100));
        for _ in 0..3 {
            let now = other.deadline().unwrap();
            other.take_due(now, 9);
        }
        assert_ne!(other.deadline(), Some(moments[3]));
    }

    #[test]
    fn changes_are_told_of_soon_but_not_in_a_flood() {
        let mut schedule = Schedule::default();
        schedule.announce(1, seconds(10));
        assert_eq!(schedule.take_due(seconds(10), 9), [1]);
        schedule.announce(1, seconds(11));
        schedule.announce(1, seconds(12));
        assert_eq!(schedule.deadline(), Some(seconds(13)));
        assert_eq!(schedule.take_due(seconds(12), 9), [0; 0]);
        assert_eq!(schedule.forget(1), Some(seconds(10)));
        assert_eq!((schedule.deadline(), schedule.has(1)), (None, false));
    }

    #[test]
    fn after_a_restart_links_have_their_turn_one_after_the_other() {
        let mut schedule = Schedule::default();
        for link in 0..100 {
            schedule.resume(link, seconds(5));
        }
        let at_once = schedule.take_due(seconds(6), 100).len();
        assert!((1..30).contains(&at_once), "{at_once}");
        let rest = schedule.take_due(seconds(5) + FIRST_PAUSE, 100).len();
        assert_eq!(at_once + rest, 100);
        assert!(schedule.deadline().unwrap() >= seconds(6) + SHORTEST);
    }

    proptest! {
        /// Whatever happens: no link waits longer than the longest pause, and none speaks twice within the shortest one.
        #[test]
        fn nobody_is_forgotten_and_nobody_babbles(
            steps in proptest::collection::vec((0u8..4, 0u64..20, any::<bool>()), 1..300),
        ) {
            let mut schedule = Schedule::default();
            let mut spoke: BTreeMap<u8, Duration> = BTreeMap::new();
            let mut now = seconds(0);
            for (link, pass, announce) in steps {
                now += seconds(pass);
                if announce {
                    schedule.announce(link, now);
                    spoke.entry(link).or_insert_with(|| now.saturating_sub(LEAST_PAUSE));
                }
                for due in schedule.take_due(now, 9) {
                    let before = spoke.insert(due, now);
                    prop_assert!(before.is_some_and(|before| now >= before + LEAST_PAUSE || before.is_zero()));
                }
                for (link, moment) in &spoke {
                    prop_assert!(schedule.has(*link));
                    prop_assert!(now - *moment <= LONGEST + seconds(20));
                }
            }
        }
    }
}
