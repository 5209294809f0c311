//! Whether a host is lost, where several controllers share a store.
//!
//! A controller knows which hosts it hears itself. What the others hear it does not know, and need not
//! until it matters: when a host is away and another one claims its port. Then it asks, by a record in the store
//! that every controller sees (a *doubt*). Whoever hears the host takes the doubt back. If nobody did for
//! [`OBJECTION`], the host is lost, to all controllers alike, until one of them hears it again.
//!
//! Doubt, objection and take-over are transactions, and each holds only on the state that it was decided on:
//! so a take-over never passes an objection. A controller that cannot write takes nothing over; what it hears counts
//! for nothing either, since it can neither object nor bring that host anything new.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coax_model::{HostName, PortName};

use super::binding::{Hold, decide};
use super::{Core, LOST_AFTER};
use crate::records::Notice;

/// How long the others have to say that they hear a host. An agent that lost its controller has found
/// another one by then.
pub const OBJECTION: Duration = Duration::from_secs(10);
/// How long nothing is asked about a host after an objection.
const RESPITE: Duration = Duration::from_secs(30);

/// What was asked of hosts.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Hosts that nobody objected for so far, and since when that is known here.
    standing: BTreeMap<HostName, Instant>,
    /// Until when nothing is asked about a host.
    respite: BTreeMap<HostName, Instant>,
    /// Hosts that are in the way.
    wanted: Vec<HostName>,
}

impl Core {
    /// Takes in what controllers told each other.
    pub(super) fn take_notices(&mut self, notices: Vec<Notice>, now: Instant) {
        for notice in notices {
            match notice {
                Notice::Doubt { host, stands: true } => {
                    self.doubts.standing.entry(host).or_insert(now);
                }
                Notice::Controller { name, registration } => {
                    self.take_registration(name, registration, now);
                }
                Notice::Doubt { host, .. } => {
                    if self.doubts.standing.remove(&host).is_some() {
                        self.doubts.respite.insert(host, now + RESPITE);
                    }
                }
            }
        }
    }

    /// Takes in all that controllers told each other: what is not in it does not stand any more.
    pub(super) fn replace_notices(&mut self, notices: Vec<Notice>, now: Instant) {
        let stands = |host: &HostName| {
            let doubt =
                |notice: &Notice| matches!(notice, Notice::Doubt { host: it, .. } if it == host);
            notices.iter().any(doubt)
        };
        self.doubts.standing.retain(|host, _| stands(host));
        self.keep_registrations(&notices);
        self.take_notices(notices, now);
    }

    /// Whether nobody hears a host that was away for long enough.
    pub(super) fn is_lost(&self, host: &HostName, away_since: Instant, now: Instant) -> bool {
        if now.duration_since(away_since) < LOST_AFTER {
            return false;
        }
        let doubted = self.doubts.standing.get(host);
        let agreed = doubted.is_some_and(|since| now.duration_since(*since) >= OBJECTION);
        agreed || !self.shared
    }

    /// Finds the hosts that are away and have what others claim.
    pub(super) fn look_for_doubts(&mut self, now: Instant) {
        self.doubts.respite.retain(|_, until| now < *until);
        self.doubts.wanted.clear();
        if !self.shared {
            return;
        }
        let ports = self.refused.keys();
        let mut wanted: Vec<HostName> = ports
            .filter_map(|port| self.in_the_way(port, now))
            .cloned()
            .collect();
        wanted.sort();
        wanted.dedup();
        self.doubts.wanted = wanted;
    }

    /// The host that has a port, if another one would get the port were this one lost.
    fn in_the_way(&self, name: &PortName, now: Instant) -> Option<&HostName> {
        let binding = self.intent.bindings.get(name)?;
        let host = binding.host.as_ref()?;
        let away_since = self.hosts.get(host)?.away_since?;
        let away = now.duration_since(away_since);
        if away < LOST_AFTER || self.doubts.standing.contains_key(host) {
            return None;
        }
        let wish = self.intent.ports.get(name)?.host.as_ref();
        let mut facts = self.facts(name, wish, Some(binding), now);
        facts.holder = Hold::Lost;
        let decided = decide(&facts).unwrap_or_default();
        (decided.host != binding.host).then_some(host)
    }

    /// What is to be told the other controllers.
    pub(super) fn notices(&self, now: Instant) -> Vec<Notice> {
        let notice = |host: &HostName, stands| Notice::Doubt {
            host: host.clone(),
            stands,
        };
        let ask = |host: &&HostName| {
            !self.doubts.standing.contains_key(*host) && !self.doubts.respite.contains_key(*host)
        };
        let asked = self.doubts.wanted.iter().filter(ask);
        let answered = self.doubts.standing.keys();
        let answered = answered.filter(|host| self.hears(host, now));
        let asked = asked.map(|host| notice(host, true));
        asked
            .chain(answered.map(|host| notice(host, false)))
            .chain(self.registrations(now))
            .collect()
    }

    /// Whether a host is heard here, or was a moment ago. Of one that was removed there is nothing to ask.
    fn hears(&self, host: &HostName, now: Instant) -> bool {
        let Some(state) = self.hosts.get(host) else {
            return true;
        };
        let heard = |since: Instant| now.duration_since(since) < LOST_AFTER;
        state.heard && state.away_since.is_none_or(heard)
    }
}
