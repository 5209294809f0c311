//! What the controller tells of networks and routers: taken in, and which rows are to be worked on for it.

use std::sync::Arc;

use coax_api::agent::{Delta, SliceKind, Snapshot};
use coax_compile::policy::{PolicyDelta, PolicySlice};
use coax_compile::{DeltaError, NetworkSlice, RouterSlice, SliceDelta};
use prost::{DecodeError, Message};

use super::Core;
use super::reconcile::Subject;
use super::stream::Verdict;
use crate::input::Moment;
use crate::slices::Effect;

impl Core {
    /// Takes a slice as a whole.
    pub(super) fn whole(
        &mut self,
        snapshot: Snapshot,
        now: Moment,
    ) -> Result<Verdict, DecodeError> {
        match SliceKind::try_from(snapshot.kind) {
            Ok(SliceKind::Network) => {
                let slice = NetworkSlice::decode(snapshot.slice)?;
                self.network_snapshot(slice, now);
            }
            Ok(SliceKind::Router) => {
                let slice = RouterSlice::decode(snapshot.slice)?;
                self.router_snapshot(slice, now);
            }
            Ok(SliceKind::Policy) => {
                let slice = PolicySlice::decode(snapshot.slice)?;
                return Ok(self.policy_snapshot(&slice, now));
            }
            // A kind of slice that a newer controller knows.
            Err(_) => {}
        }
        Ok(Verdict::Keep)
    }

    /// Takes a step of a slice.
    pub(super) fn part(&mut self, delta: Delta, now: Moment) -> Result<Verdict, DecodeError> {
        match SliceKind::try_from(delta.kind) {
            Ok(SliceKind::Network) => {
                let delta = SliceDelta::decode(delta.delta)?;
                Ok(self.delta(&delta, now))
            }
            Ok(SliceKind::Policy) => {
                let delta = PolicyDelta::decode(delta.delta)?;
                Ok(self.policy_delta(&delta, now))
            }
            // Routers come as a whole; the rest is of a kind that a newer controller knows.
            Ok(SliceKind::Router) | Err(_) => Ok(Verdict::Keep),
        }
    }

    fn network_snapshot(&mut self, slice: NetworkSlice, now: Moment) {
        let network = slice.network_id;
        let held = self.slices.get(network).map(|held| held.revision);
        if self.is_behind(Subject::Network(network), held, slice.revision) {
            return;
        }
        self.slices.replace(Arc::new(slice));
        self.services.stale.insert(network);
        self.needs_snapshot.remove(&network);
        self.slice_changed(network, now);
    }

    fn router_snapshot(&mut self, slice: RouterSlice, now: Moment) {
        let number = slice.router;
        let held = self.slices.router(number).map(|held| held.revision);
        if self.is_behind(Subject::Router(number), held, slice.revision) {
            return;
        }
        self.slices.replace_router(Arc::new(slice));
        self.router_changed(number, now);
    }

    /// The controller offers something older than what is here: noted, and not taken.
    pub(super) fn is_behind(&mut self, subject: Subject, held: Option<u64>, offered: u64) -> bool {
        let Some(held) = held.filter(|held| *held > offered) else {
            return false;
        };
        let reason = format!(
            "the controller offers revision {offered}, but revision {held} is here; nothing is changed"
        );
        tracing::error!(object = self.subject_name(subject), reason);
        self.behind.insert(subject, reason);
        true
    }

    fn delta(&mut self, delta: &SliceDelta, now: Moment) -> Verdict {
        let network = delta.network_id;
        if delta.deleted {
            let held = self.slices.get(network).map_or(0, |slice| slice.revision);
            if delta.to_revision > held {
                self.forget(network, now);
            }
            return Verdict::Keep;
        }
        if delta.params.is_some() {
            self.services.stale.insert(network);
        }
        match self.slices.apply(delta) {
            Ok(Effect::Part(part)) if !self.held_back.contains(&Subject::Network(network)) => {
                self.hand_over_moved(&part.ports);
                self.touch(network, part);
                self.end_refusals(network);
                self.behind.remove(&Subject::Network(network));
                self.save_soon(now);
                Verdict::Keep
            }
            Ok(_) => {
                self.slice_changed(network, now);
                Verdict::Keep
            }
            Err(DeltaError::Older { .. }) => Verdict::Keep,
            Err(error) => {
                self.needs_snapshot.insert(network);
                Verdict::Reattach(error.to_string())
            }
        }
    }

    /// A slice has another content: refusals that it overrules end, and its rows are worked on.
    fn slice_changed(&mut self, network: u32, now: Moment) {
        self.behind.remove(&Subject::Network(network));
        self.held_back.remove(&Subject::Network(network));
        self.end_refusals(network);
        self.dirty.insert(Subject::Network(network));
        self.cover(network);
        self.save_soon(now);
    }

    fn router_changed(&mut self, number: u32, now: Moment) {
        let subject = Subject::Router(number);
        self.behind.remove(&subject);
        self.held_back.remove(&subject);
        self.dirty.insert(subject);
        self.save_soon(now);
    }

    /// Refusals end with a binding to this host.
    fn end_refusals(&mut self, network: u32) {
        let Some(slice) = self.slices.get(network) else {
            return;
        };
        let host = &self.config.host;
        let overruled = |port: &String| {
            let member = slice.member(port);
            member.is_some_and(|member| member.host == *host || member.moving_to == *host)
        };
        let ended: Vec<String> = self
            .refused
            .keys()
            .filter(|port| overruled(port))
            .cloned()
            .collect();
        for port in ended {
            self.refused.remove(&port);
            self.dirty.insert(Subject::Network(network));
        }
    }

    pub(super) fn forget(&mut self, network: u32, now: Moment) {
        self.slices.remove(network);
        self.services.forget(network);
        self.needs_snapshot.remove(&network);
        self.slice_changed(network, now);
    }

    pub(super) fn forget_router(&mut self, number: u32, now: Moment) {
        self.slices.remove_router(number);
        self.router_changed(number, now);
    }
}
