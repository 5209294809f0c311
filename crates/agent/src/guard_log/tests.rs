//! Reports of what guards drop: when they begin and end, and how many there can be.

use super::*;

const STORM: DropReason = DropReason::Storm;

/// A log, and what one slot for each port has counted, second by second.
struct Watched {
    log: GuardLog,
    counts: BTreeMap<u32, BTreeMap<DropReason, u64>>,
    now: u64,
    begun: usize,
}

impl Watched {
    fn new(before: &[u32]) -> Self {
        Self {
            log: GuardLog::new(before.iter().copied()),
            counts: BTreeMap::from([(1, BTreeMap::new())]),
            now: 0,
            begun: 0,
        }
    }

    fn drops(&mut self, slot: u32, reason: DropReason, frames: u64) {
        let counts = self.counts.entry(slot).or_default();
        *counts.entry(reason).or_default() += frames;
    }

    /// Looks once in each of so many seconds.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1;
            let seen = self.counts.iter().map(|(slot, counts)| GuardDrops {
                slot: *slot,
                counts: counts
                    .iter()
                    .map(|(reason, count)| (*reason, *count))
                    .collect(),
            });
            let seen: Vec<_> = seen.collect();
            let names: BTreeMap<u32, String> =
                seen.iter().map(|it| (it.slot, name_of(it.slot))).collect();
            let before = self.told().len();
            let now = Duration::from_secs(self.now);
            let name = |slot| names.get(&slot).map(String::as_str);
            self.log.note(&seen, self.now, now, name);
            self.begun += self.told().len().saturating_sub(before);
        }
    }

    fn told(&self) -> Vec<(String, DropReason, String)> {
        let present = self.log.present();
        present
            .map(|(port, reason, words)| (port.to_owned(), reason, words.to_owned()))
            .collect()
    }
}

/// Ports of a thousand slots are of one project.
fn name_of(slot: u32) -> String {
    match slot / 1000 {
        0 => format!("p/{slot}"),
        project => format!("p{project}/{slot}"),
    }
}

#[test]
fn a_report_begins_with_the_first_drop_and_ends_a_minute_after_the_last() {
    let mut watched = Watched::new(&[]);
    watched.pass(3);
    assert_eq!(watched.told(), []);
    watched.drops(1, STORM, 7);
    watched.pass(1);
    let told = watched.told();
    assert_eq!((told[0].0.as_str(), told[0].1), ("p/1", STORM));
    assert!(
        told[0].2.contains("dropped 7 frames since 00:00:04 UTC;"),
        "{told:?}"
    );
    watched.drops(1, STORM, 1);
    watched.pass(30);
    let told = watched.told();
    let now = "dropped 8 frames since 00:00:04 UTC, the last at 00:00:05;";
    assert!(told[0].2.contains(now), "{told:?}");
    watched.pass(30);
    assert_eq!(watched.told().len(), 1);
    watched.pass(1);
    assert_eq!(watched.told(), []);
}

#[test]
fn words_change_every_ten_seconds_at_most() {
    let mut watched = Watched::new(&[]);
    let mut words = BTreeSet::new();
    for _ in 0..100 {
        watched.drops(1, STORM, 1000);
        watched.pass(1);
        words.extend(watched.told().into_iter().map(|told| told.2));
    }
    assert!((10..=11).contains(&words.len()), "{words:?}");
    assert_eq!(watched.begun, 1);
}

#[test]
fn whoever_begins_again_and_again_is_told_of_ever_less() {
    let mut watched = Watched::new(&[]);
    for _ in 0..24 * 60 {
        watched.drops(1, STORM, 1);
        watched.pass(61);
    }
    assert_eq!(
        watched.begun, 2,
        "a minute of quiet is too short the second time"
    );
    let mut patient = Watched::new(&[]);
    for _ in 0..24 {
        patient.drops(1, STORM, 1);
        while !patient.told().is_empty() || patient.begun == 0 {
            patient.pass(1);
        }
        patient.drops(1, STORM, 1);
        patient.pass(1);
    }
    let hours = patient.now / 3600;
    assert!(
        patient.begun as u64 <= hours + 8,
        "{} in {hours} hours",
        patient.begun
    );
}

#[test]
fn there_are_never_too_many_and_no_project_takes_the_room_of_others() {
    let mut watched = Watched::new(&[]);
    for slot in 1..=300 {
        watched.drops(slot, STORM, 1);
    }
    watched.pass(1);
    assert_eq!(watched.told().len(), MOST_OF_PROJECT);
    // The first slots of the next thousands are of other projects.
    for slot in [1001, 2001] {
        watched.drops(slot, STORM, 1);
    }
    watched.pass(1);
    assert_eq!(watched.told().len(), MOST_OF_PROJECT + 2);
    watched.pass(62);
    assert_eq!(watched.told().len(), 0);
    // What is over makes room.
    watched.drops(299, STORM, 1);
    watched.pass(1);
    assert_eq!(watched.told().len(), 1);
    for slot in (3..9).flat_map(|project| 1000 * project..1000 * project + 60) {
        watched.drops(slot, STORM, 1);
    }
    watched.pass(1);
    assert_eq!(watched.told().len(), MOST);
}

#[test]
fn what_was_counted_before_is_no_news_and_a_port_that_leaves_takes_its_report_along() {
    let mut watched = Watched::new(&[1]);
    watched.drops(1, STORM, 500);
    watched.drops(2, STORM, 1);
    watched.pass(1);
    assert_eq!(watched.told()[0].0, "p/2");
    watched.drops(1, STORM, 1);
    watched.pass(1);
    assert!(
        watched.told()[0].2.contains(" 1 frame "),
        "{:?}",
        watched.told()
    );
    watched.counts.remove(&1);
    watched.pass(1);
    assert_eq!(watched.told().len(), 1);
    // It returns, and its counters go on.
    watched.drops(1, STORM, 501);
    watched.pass(1);
    assert_eq!(watched.told().len(), 1);
    watched.counts.remove(&1);
    // Another port has its slot now, which counts from zero.
    watched.drops(1, DropReason::ForgedArp, 3);
    watched.pass(1);
    assert_eq!(watched.told()[0].1, DropReason::ForgedArp);
}
