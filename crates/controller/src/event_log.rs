//! The last things that happened, numbered, for those who ask and those who follow.
//!
//! It is this controller's memory and goes with it: what must not be lost is in the history and the audit log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use coax_api::Event;
use tokio::sync::broadcast;

use crate::core::events::Noted;

/// Events that are kept.
pub const KEPT: usize = 4096;
/// Events that may wait for one who follows; then the longest ago are lost to him, and he is told.
const WAITING: usize = 1024;

/// The number of an event, and the run of the controller that noted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    run: u64,
    number: u64,
}

impl EventId {
    /// As it was written.
    pub fn parse(text: &str) -> Option<Self> {
        let (run, number) = text.split_once('-')?;
        Some(Self {
            run: u64::from_str_radix(run, 16).ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:016x}-{}", self.run, self.number)
    }
}

/// What happened until now.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The longest ago first.
    pub events: Vec<Arc<Event>>,
    /// Whether there were others that are not known any more.
    pub incomplete: bool,
}

/// The events of this run.
pub struct EventLog {
    run: u64,
    kept: Mutex<Kept>,
    news: broadcast::Sender<Arc<Event>>,
}

#[derive(Default)]
struct Kept {
    /// How many there were.
    last: u64,
    events: VecDeque<Arc<Event>>,
}

impl EventLog {
    /// Empty; `run` is a number that no other run of a controller has.
    pub fn new(run: u64) -> Self {
        Self {
            run,
            kept: Mutex::default(),
            news: broadcast::channel(WAITING).0,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whoever held it has at most left an event out.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes something in that happened just now.
    pub fn note(&self, noted: Noted) {
        let mut kept = self.kept();
        kept.last += 1;
        let id = EventId {
            run: self.run,
            number: kept.last,
        };
        let event = Arc::new(event(id, noted));
        if kept.events.len() == KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(event.clone());
        // Under the lock, so that everybody gets them in order. Nobody may be listening.
        let _ = self.news.send(event);
    }

    /// What happened after an event, or all that is kept.
    pub fn past(&self, after: Option<EventId>) -> Past {
        self.kept().past(self.run, after)
    }

    /// The same, and what happens from then on: nothing twice and nothing left out.
    pub fn follow(&self, after: Option<EventId>) -> (Past, broadcast::Receiver<Arc<Event>>) {
        let kept = self.kept();
        (kept.past(self.run, after), self.news.subscribe())
    }
}

impl Kept {
    fn past(&self, run: u64, after: Option<EventId>) -> Past {
        let gone = self.last - self.events.len() as u64;
        // An event of another run, or one that is still to come, says nothing about which of these are known.
        let known = after.filter(|id| id.run == run && id.number <= self.last);
        let known = known.map(|id| id.number);
        let seen = known.unwrap_or(gone).max(gone);
        let skip = usize::try_from(seen - gone).unwrap_or(usize::MAX);
        Past {
            events: self.events.iter().skip(skip).cloned().collect(),
            incomplete: match (after, known) {
                (_, Some(number)) => number < gone,
                (Some(_), None) => true,
                (None, None) => gone > 0,
            },
        }
    }
}

fn event(id: EventId, noted: Noted) -> Event {
    let Noted {
        kind,
        project,
        object,
        host,
        revision,
        code,
        message,
    } = noted;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let text = |name: Option<String>| name.unwrap_or_default();
    Event {
        id: id.to_string(),
        time: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        kind,
        project: text(project.map(|it| it.to_string())),
        object,
        host: text(host.map(|it| it.to_string())),
        revision,
        code,
        message,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use coax_api::EventKind;

    use super::*;

    fn noted(object: usize) -> Noted {
        Noted {
            kind: EventKind::HostAway,
            project: None,
            object: object.to_string(),
            host: None,
            revision: None,
            code: String::new(),
            message: String::new(),
        }
    }

    fn objects(past: &Past) -> Vec<usize> {
        let numbers = past.events.iter().map(|it| it.object.parse().unwrap());
        numbers.collect()
    }

    #[test]
    fn whoever_comes_back_goes_on_where_he_was() {
        let log = EventLog::new(7);
        (1..=5).for_each(|number| log.note(noted(number)));
        let all = log.past(None);
        assert_eq!(objects(&all), [1, 2, 3, 4, 5]);
        assert!(!all.incomplete);
        let third = EventId::parse(&all.events[2].id);
        assert!(third.is_some());
        let rest = log.past(third);
        assert_eq!(objects(&rest), [4, 5]);
        assert!(!rest.incomplete);
        let fifth = EventId::parse(&all.events[4].id);
        assert!(log.past(fifth).events.is_empty());
    }

    #[test]
    fn what_is_gone_is_said() {
        let log = EventLog::new(7);
        (0..KEPT + 10).for_each(|number| log.note(noted(number)));
        let past = log.past(None);
        assert!(past.incomplete);
        assert_eq!(past.events.len(), KEPT);
        assert_eq!(past.events[0].object, "10");
        let first = EventId { run: 7, number: 3 };
        assert!(log.past(Some(first)).incomplete);
        let next = EventId { run: 7, number: 10 };
        let past = log.past(Some(next));
        assert!(!past.incomplete, "the eleventh is the oldest that is kept");
        assert_eq!(past.events.len(), KEPT);
        for strange in ["6-3", "7-9999999"] {
            let past = log.past(EventId::parse(strange));
            assert!(past.incomplete, "{strange}");
            assert_eq!(past.events.len(), KEPT);
        }
        assert_eq!(EventId::parse("x"), None);
    }

    #[test]
    fn followers_get_everything_once() {
        let log = EventLog::new(7);
        log.note(noted(1));
        let (past, mut news) = log.follow(None);
        log.note(noted(2));
        assert_eq!(objects(&past), [1]);
        assert_eq!(news.try_recv().unwrap().object, "2");
        assert!(news.try_recv().is_err());
    }
}
