//! Ports whose frames guards drop, and those that a guard has shut. The data plane does both by itself; the agent looks every second
//! and tells: a line in the log when it happens, and a problem of the port for as long as it lasts.

use std::time::Duration;

use coax_api::agent::Problem;
use coax_tables::DropReason;

use super::Core;
use crate::guard_log::time_of_day;
use crate::input::{Command, GuardsSeen, Moment, ShutPort};
use crate::slots::Owner;

/// How often is looked.
const PAUSE: Duration = Duration::from_secs(1);

/// Name of the problem of a port that is shut.
const PORT_SHUT: &str = "port-shut";

impl Core {
    /// When is to be looked next; not while no port is here.
    pub(super) fn guards_due(&self) -> Option<Moment> {
        let wanted = self.listed && !self.looking && !self.mirror.ports.is_empty();
        wanted.then_some(self.next_look)
    }

    pub(super) fn look_at_guards(&mut self, now: Moment) {
        if self.guards_due().is_some_and(|due| due <= now) {
            self.looking = true;
            let slots = self.mirror.ports.values().map(|row| row.slot);
            self.commands.push(Command::LookAtGuards {
                slots: slots.collect(),
            });
        }
    }

    pub(super) fn guards_seen(&mut self, seen: &GuardsSeen, now: Moment) {
        self.looking = false;
        self.next_look = now + PAUSE;
        let slots = &self.slots;
        self.guards.note(&seen.drops, seen.clock, now, |slot| {
            slots.owner(slot).map(|owner| owner.port.as_str())
        });
        self.note_shut(&seen.shut);
    }

    fn note_shut(&mut self, shut: &[ShutPort]) {
        let seen = shut.iter().filter_map(|port| {
            let owner = self.slots.owner(port.slot)?.clone();
            // The clock's seconds may round differently each time: what was said first stays.
            let known = self.shut.get(&owner).filter(|known| known.row == port.row);
            Some((owner, known.unwrap_or(port).clone()))
        });
        let seen = seen.collect();
        let before = std::mem::replace(&mut self.shut, seen);
        for (owner, port) in &self.shut {
            if before.get(owner) != Some(port) {
                tracing::warn!(
                    port = owner.port,
                    reason = why_shut(owner, port),
                    "a guard has shut a port"
                );
            }
        }
        for owner in before
            .keys()
            .filter(|owner| !self.shut.contains_key(*owner))
        {
            tracing::info!(
                port = owner.port,
                "a port that a guard had shut is open again"
            );
        }
    }

    /// What guards do now, as problems of ports.
    pub(super) fn guard_problems(&self) -> impl Iterator<Item = Problem> + '_ {
        let shut = self.shut.iter().map(|(owner, port)| Problem {
            object: owner.port.clone(),
            reason: why_shut(owner, port),
            code: PORT_SHUT.into(),
        });
        let dropped = self.guards.present().map(|(port, reason, words)| Problem {
            object: port.to_owned(),
            reason: words.to_owned(),
            code: reason.name().into(),
        });
        shut.chain(dropped)
    }
}

fn why_shut(owner: &Owner, port: &ShutPort) -> String {
    let mut reasons = DropReason::ALL.iter().copied();
    let reason = reasons.find(|reason| *reason as u32 == port.row.reason);
    let name = reason.map_or("unknown", DropReason::name);
    let what = match owner.vlan {
        0 => "shut".to_owned(),
        vlan => format!("VLAN {vlan} is shut"),
    };
    let until = time_of_day(port.until_clock);
    format!(
        "{what} until {until} UTC by its guard `{name}`; \
         `coax explain {name}` says what its VM did"
    )
}
