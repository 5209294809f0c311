//! The controllers that share the store, as hosts reach them: each registers itself when it starts, and hosts are told of all.
//!
//! A registration is renewed once a day. One that was not renewed for [`EXPIRY`] is removed by whoever sees it: that
//! controller does not come back. Whether a controller is alive at the moment, no registration tells, and nobody asks it that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{Controller, Controllers, Current};
use coax_model::HostName;

use super::Core;
use super::message::Command;
use crate::records::{Notice, Registration};

/// How often a controller says that it is there still.
const RENEWAL: Duration = Duration::from_secs(86_400);
/// How long a controller waits before it registers again, when another one removed its registration.
const PAUSE: Duration = Duration::from_secs(60);
/// After this time without a word a controller is forgotten.
pub const EXPIRY: Duration = Duration::from_secs(3 * 86_400);

/// The controllers that are known.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// By their names.
    registered: BTreeMap<String, Registration>,
    /// Where hosts reach this one; empty: nowhere.
    addresses: Vec<String>,
    /// When this one is to register itself.
    due: Option<Instant>,
    /// Whether hosts do not know yet what is known here.
    news: bool,
}

impl Core {
    /// Expects others to store in the same store, too. Hosts reach this controller at `addresses`.
    pub fn share(&mut self, addresses: Vec<String>) {
        self.shared = true;
        self.peers.due = (!addresses.is_empty()).then(|| self.clock.start());
        self.peers.addresses = addresses;
    }

    /// Takes in where a controller is.
    pub(super) fn take_registration(
        &mut self,
        name: String,
        registration: Option<Registration>,
        now: Instant,
    ) {
        self.peers.news = true;
        match registration {
            Some(registration) => {
                if registration.run == self.run {
                    self.peers.due = Some(now + RENEWAL);
                }
                self.peers.registered.insert(name, registration);
            }
            None => {
                if self.peers.addresses.first() == Some(&name) {
                    // Somebody's clock is wrong: not at once, or this would go on and on.
                    self.peers.due = Some(now + PAUSE);
                }
                self.peers.registered.remove(&name);
            }
        }
    }

    /// Takes in that only those are there.
    pub(super) fn keep_registrations(&mut self, notices: &[Notice]) {
        self.peers.registered.retain(|known, _| {
            let same = |notice: &Notice| matches!(notice, Notice::Controller { name, .. } if name == known);
            notices.iter().any(same)
        });
        self.peers.news = true;
    }

    /// What is to be stored of controllers: that this one is there, and that others are not.
    pub(super) fn registrations(&self, now: Instant) -> Vec<Notice> {
        if !self.shared {
            return Vec::new();
        }
        let mut notices = Vec::new();
        let milliseconds = self.clock.milliseconds(now);
        let addresses = &self.peers.addresses;
        if let Some(name) = addresses.first()
            && self.peers.due.is_some_and(|due| due <= now)
        {
            let registration = Registration {
                run: self.run,
                addresses: addresses.clone(),
                at: milliseconds,
            };
            notices.push(Notice::Controller {
                name: name.clone(),
                registration: Some(registration),
            });
        }
        let expiry = u64::try_from(EXPIRY.as_millis()).unwrap_or(u64::MAX);
        let registered = self.peers.registered.iter();
        let expired = registered.filter(|(name, it)| {
            it.at.saturating_add(expiry) < milliseconds && Some(*name) != addresses.first()
        });
        notices.extend(expired.map(|(name, _)| Notice::Controller {
            name: name.clone(),
            registration: None,
        }));
        notices
    }

    /// Tells a host which controllers there are.
    pub(super) fn tell_controllers(&mut self, host: &HostName, out: &mut Vec<Command>) {
        if self.shared {
            let controllers = self.controllers();
            self.send(host, ToAgent::Controllers(controllers), out);
        }
    }

    /// Tells all hosts that obey this controller, if it is different from what they know.
    pub(super) fn tell_controllers_to_all(&mut self, out: &mut Vec<Command>) {
        if !std::mem::take(&mut self.peers.news) || !self.shared {
            return;
        }
        let controllers = self.controllers();
        for host in self.obedient() {
            self.send(&host, ToAgent::Controllers(controllers.clone()), out);
        }
    }

    /// The names of the controllers that hosts are told of.
    pub fn registered(&self) -> Vec<String> {
        self.peers.registered.keys().cloned().collect()
    }

    fn controllers(&self) -> Controllers {
        let registered = self.peers.registered.values();
        let controllers = registered.map(|it| Controller {
            run: it.run,
            addresses: it.addresses.clone(),
        });
        Controllers {
            controllers: controllers.collect(),
        }
    }

    fn obedient(&self) -> Vec<HostName> {
        let hosts = self.hosts.iter().filter(|(_, state)| state.is_obedient());
        hosts.map(|(name, _)| name.clone()).collect()
    }

    /// A host heard from another controller that it must have a revision.
    pub(super) fn asked_for_current(
        &mut self,
        host: &HostName,
        revision: u64,
        out: &mut Vec<Command>,
    ) {
        let Some(state) = self.hosts.get_mut(host).filter(|state| state.is_obedient()) else {
            return;
        };
        if state.ready && revision <= self.revision {
            let revision = self.revision;
            self.send(host, ToAgent::Current(Current { revision }), out);
        } else {
            state.asked_for = Some(revision);
            self.behind.insert(host.clone());
        }
    }

    /// Answers hosts that asked for a revision before it was known here.
    pub(super) fn answer_hosts(&mut self, out: &mut Vec<Command>) {
        let revision = self.revision;
        for host in std::mem::take(&mut self.behind) {
            let Some(state) = self.hosts.get_mut(&host) else {
                continue;
            };
            match state.asked_for {
                Some(asked) if asked > revision || !state.ready => {
                    self.behind.insert(host);
                }
                Some(_) => {
                    state.asked_for = None;
                    self.send(&host, ToAgent::Current(Current { revision }), out);
                }
                None => {}
            }
        }
    }
}
