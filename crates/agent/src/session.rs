//! The agent's end of its stream to the controller: which stream counts, numbers of messages, when to try again.

use std::time::Duration;

use coax_api::sequence::{Arrival, Receiver, Sender};

use crate::input::Moment;

/// First pause before the stream is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause: after a controller's restart every agent is back within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A controller that takes a stream and says nothing is given up after this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the stream stands.
#[derive(Clone, Debug)]
enum State {
    /// Not wanted yet: the devices are not known.
    Idle,
    /// The next attempt is at this time.
    Pausing(Moment),
    /// Asked for; given up at this time.
    Opening(Moment),
    /// Open.
    Open {
        sender: Sender,
        receiver: Receiver,
        welcome_until: Option<Moment>,
        /// The run of the controller at the other end.
        run: u64,
        current: bool,
    },
}

/// The stream to the controller.
#[derive(Clone, Debug)]
pub struct Session {
    state: State,
    stream: u64,
    failures: u32,
    random: u64,
}

impl Session {
    /// A session that waits for [`Session::start`]. `seed` spreads the attempts of many agents.
    pub fn new(seed: u64) -> Self {
        Self {
            state: State::Idle,
            stream: 0,
            failures: 0,
            random: seed | 1,
        }
    }

    /// Lets the first attempt be made now.
    pub fn start(&mut self, now: Moment) {
        if matches!(self.state, State::Idle) {
            self.state = State::Pausing(now);
        }
    }

    /// When [`Session::tick`] has something to do.
    pub fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Idle => None,
            State::Pausing(until) | State::Opening(until) => Some(*until),
            State::Open { welcome_until, .. } => *welcome_until,
        }
    }

    /// Number of the present stream.
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// True if `stream` is the present one; messages of former ones are late.
    pub fn is_present(&self, stream: u64) -> bool {
        self.stream == stream && !matches!(self.state, State::Idle | State::Pausing(_))
    }

    /// Time has passed: the number of a stream to open now, if it is time.
    /// `last` is the number of the last stream of any session.
    pub fn open_if_due(&mut self, last: &mut u64, now: Moment) -> Option<u64> {
        match self.state {
            State::Pausing(until) if until <= now => {
                *last += 1;
                self.stream = *last;
                self.state = State::Opening(now + PATIENCE);
                Some(self.stream)
            }
            _ => None,
        }
    }

    /// True if the controller has kept silent for too long.
    pub fn is_overdue(&self, now: Moment) -> bool {
        match &self.state {
            State::Opening(until) => *until <= now,
            State::Open {
                welcome_until: Some(until),
                ..
            } => *until <= now,
            _ => false,
        }
    }

    /// The stream is open.
    pub fn opened(&mut self, now: Moment) {
        self.state = State::Open {
            sender: Sender::default(),
            receiver: Receiver::default(),
            welcome_until: Some(now + PATIENCE),
            run: 0,
            current: false,
        };
    }

    /// The controller has said who it is.
    pub fn welcomed(&mut self, by: u64) {
        if let State::Open {
            welcome_until, run, ..
        } = &mut self.state
        {
            *welcome_until = None;
            *run = by;
        }
    }

    /// The run of the controller at the other end; 0 if it did not say or there is no stream.
    pub fn run(&self) -> u64 {
        match &self.state {
            State::Open { run, .. } => *run,
            _ => 0,
        }
    }

    /// True once [`Session::welcomed`] was called on the present stream.
    pub fn is_welcome(&self) -> bool {
        matches!(
            &self.state,
            State::Open {
                welcome_until: None,
                ..
            }
        )
    }

    /// The controller has told everything.
    pub fn became_current(&mut self) {
        if let State::Open { current: told, .. } = &mut self.state {
            *told = true;
            self.failures = 0;
        }
    }

    /// True once [`Session::became_current`] was called on the present stream.
    pub fn is_current(&self) -> bool {
        matches!(&self.state, State::Open { current: true, .. })
    }

    /// True if messages can be sent.
    pub fn is_open(&self) -> bool {
        matches!(&self.state, State::Open { .. })
    }

    /// Number for the next message to the controller; none if there is no stream.
    pub fn number(&mut self) -> Option<u64> {
        match &mut self.state {
            State::Open { sender, .. } => Some(sender.number()),
            _ => None,
        }
    }

    /// What to do with a message of this number; none if there is no stream.
    pub fn accept(&mut self, sequence: u64) -> Option<Arrival> {
        match &mut self.state {
            State::Open { receiver, .. } => Some(receiver.accept(sequence)),
            _ => None,
        }
    }

    /// True if the last attempt failed, too.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// The stream has ended or is to be closed: pause, longer with every failure in a row.
    pub fn pause(&mut self, now: Moment) {
        let doublings = self.failures.min(10);
        self.failures = self.failures.saturating_add(1);
        let longest = (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE);
        self.state = State::Pausing(now + longest.mul_f64(0.5 + self.random_fraction() / 2.0));
    }

    /// As [`Session::pause`], at full length at once: trying again soon would not help.
    pub fn pause_long(&mut self, now: Moment) {
        self.failures = u32::MAX;
        self.pause(now);
    }

    /// The next attempt is made at once: the agent itself wants to start over.
    pub fn restart(&mut self, now: Moment) {
        if !matches!(self.state, State::Idle) {
            self.state = State::Pausing(now);
        }
    }

    /// A number from 0 to 1 (xorshift64; spreads load, keeps no secret).
    fn random_fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_every_failure_and_never_beyond_the_limit() {
        let mut session = Session::new(42);
        let now = Duration::from_secs(100);
        session.start(now);
        assert_eq!(session.deadline(), Some(now));
        assert_eq!(session.open_if_due(&mut 0, now), Some(1));
        let mut longest = FIRST_PAUSE;
        for _ in 0..12 {
            session.pause(now);
            let until = session.deadline().unwrap_or_default();
            assert!(
                until >= now + longest / 2 && until <= now + longest,
                "{until:?}"
            );
            longest = (longest * 2).min(LONGEST_PAUSE);
        }
        assert_eq!(longest, LONGEST_PAUSE);
    }

    #[test]
    fn agents_do_not_come_back_all_at_once() {
        let pauses: std::collections::BTreeSet<_> = (1..100)
            .map(|seed: u64| {
                let mut session = Session::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                session.pause(Duration::ZERO);
                session.deadline()
            })
            .collect();
        assert!(pauses.len() > 90);
    }

    #[test]
    fn success_makes_the_next_pause_short_again() {
        let mut session = Session::new(7);
        session.start(Duration::ZERO);
        session.pause_long(Duration::ZERO);
        assert!(session.deadline() >= Some(LONGEST_PAUSE / 2));
        session.opened(Duration::ZERO);
        session.became_current();
        session.pause(Duration::ZERO);
        assert!(session.deadline() <= Some(FIRST_PAUSE));
    }

    #[test]
    fn a_silent_controller_is_overdue() {
        let mut session = Session::new(7);
        session.start(Duration::ZERO);
        session.open_if_due(&mut 0, Duration::ZERO);
        assert!(!session.is_overdue(PATIENCE / 2) && session.is_overdue(PATIENCE));
        session.opened(PATIENCE);
        assert!(!session.is_overdue(PATIENCE) && session.is_overdue(PATIENCE * 2));
        session.welcomed(1);
        assert!(!session.is_overdue(PATIENCE * 10));
        assert_eq!(session.deadline(), None);
    }
}
