//! Ports that a guard has shut. The data plane shuts and opens them by itself; the agent looks every second and tells: a line in
//! the log when it happens, and a problem of the port for as long as it lasts.

use std::time::Duration;

use coax_tables::DropReason;

use super::Core;
use crate::input::{Command, Moment, ShutPort};
use crate::slots::Owner;

/// How often is looked.
const PAUSE: Duration = Duration::from_secs(1);

/// Name of the problem of a port that is shut.
pub(super) const PORT_SHUT: &str = "port-shut";

impl Core {
    /// When is to be looked next; not while nobody is here whom a guard could shut.
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

    pub(super) fn guards_seen(&mut self, shut: &[ShutPort], now: Moment) {
        self.looking = false;
        self.next_look = now + PAUSE;
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

    /// The ports that are shut, each with the reason in words.
    pub(super) fn shut_problems(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let shut = self.shut.iter();
        shut.map(|(owner, port)| (owner.port.clone(), why_shut(owner, port)))
    }
}

fn why_shut(owner: &Owner, port: &ShutPort) -> String {
    let reasons = DropReason::ALL.iter();
    let reason = reasons
        .copied()
        .find(|reason| *reason as u32 == port.row.reason);
    let name = reason.map_or("unknown", DropReason::name);
    let what = match owner.vlan {
        0 => format!("{} is shut", owner.port),
        vlan => format!("VLAN {vlan} of {} is shut", owner.port),
    };
    let seconds = port.until_clock % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "{what} until {hours:02}:{minutes:02}:{seconds:02} UTC by its guard `{name}`; \
         `coax explain {name}` says what its VM did"
    )
}
