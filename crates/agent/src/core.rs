//! The agent's mind, without a socket, a map or a clock: inputs and the time go in, commands come out.
//!
//! It holds what the controller told (slices), what the host has (devices that claim to be ports) and what the data plane has
//! (the mirror), and works the differences off network by network, one batch at a time:
//!
//! - nothing is touched before all devices are known, and rows that are right stay as they are, so a restart changes nothing;
//! - rows that were there when the agent started may be newer than its cache: they are left alone until the controller has
//!   spoken, a device of their network changes, or a time has passed in which it should have spoken;
//! - a change of a device goes before everything else that waits: it may be a VM that arrives;
//! - a failed step is a problem that is reported and tried again, never forgotten.

mod capture;
mod devices;
mod flows;
mod guards;
mod handover;
mod inquiry;
mod measure;
mod plugged;
mod policy;
mod problems;
mod reconcile;
mod serve;
mod standby;
mod stream;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
mod told;
mod touched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coax_api::{Finding, agent::Problem, measure::Durations};
use coax_compile::{NetworkSlice, RouterSlice};
use coax_tables::{MacKey, NetworkId};
use coax_vswitch::{Attachment, Rows};

use self::{reconcile::Failing, reconcile::Subject, standby::Peers};
use crate::cache::CacheContents;
use crate::canary::{self, Sending};
use crate::claims::Claims;
use crate::flows::FlowLog;
use crate::guard_log::GuardLog;
use crate::handover::Moving;
use crate::input::{Batch, Command, Config, Input, Moment, ShutPort};
use crate::mirror::Mirror;
use crate::policies::Policies;
use crate::questions::Questions;
use crate::services::Services;
use crate::session::Session;
use crate::slices::{Part, Slices};
use crate::slots::{Owner, Slots};

/// Rows from before the start are left alone for this time if no controller speaks.
const GRACE: Duration = Duration::from_secs(5);

/// Changes are collected for this time before the cache is written.
const SAVE_DELAY: Duration = Duration::from_millis(200);

/// What an agent finds when it starts.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Everything in the data plane's tables.
    pub rows: Rows,
    /// Devices that have a program.
    pub attached: Vec<(u32, Attachment)>,
    /// The cache, if there was a good one.
    pub cache: Option<CacheContents>,
    /// Why there was none although there should have been.
    pub cache_problem: Option<String>,
    /// Any number; agents with different ones do not come back to a restarted controller all at once.
    pub seed: u64,
}

/// The reconciler. See the module's text.
#[derive(Debug)]
pub struct Core {
    config: Config,
    session: Session,
    peers: Peers,
    mirror: Mirror,
    claims: Claims,
    slots: Slots,
    slices: Slices,
    generation: u64,
    revision: u64,
    /// The newest revision of this generation that a controller told: no older one is believed.
    newest: u64,
    /// The run of the controller that told everything that is here; 0: more than one did.
    told_by: u64,
    listed: bool,
    /// Devices whose program was put on by this process. The others have a program of the process before, and get the new one.
    attached_now: BTreeSet<(u32, Attachment)>,
    /// Ports whose claim the controller refuses, and why.
    refused: BTreeMap<String, String>,
    /// Networks and routers whose rows may be newer than the cache.
    held_back: BTreeSet<Subject>,
    held_until: Moment,
    urgent: BTreeSet<Subject>,
    /// Parts of networks that can be worked on alone, before anything else of their network.
    touched: BTreeMap<u32, Part>,
    /// MAC addresses, by network, whose place the data plane notes by itself.
    learnable: BTreeMap<u32, BTreeSet<MacKey>>,
    /// Programs that are attached look up other tables (of another layout), and the present ones are empty: they must not be
    /// replaced before the controller has filled the tables.
    devices_wait: bool,
    /// Ports whose frames are captured, and until when that is known.
    captured: BTreeMap<String, Moment>,
    /// Ports for which there are no counters left.
    without_slot: BTreeSet<String>,
    dirty: BTreeSet<Subject>,
    in_flight: Option<(Subject, Batch)>,
    failing: BTreeMap<Subject, Failing>,
    batches: u64,
    /// Networks of which the controller has to send the whole again.
    needs_snapshot: BTreeSet<u32>,
    /// Networks and routers of which the controller offered something older than what is here.
    behind: BTreeMap<Subject, String>,
    /// What could not be made into rows, by network.
    row_problems: BTreeMap<u32, Vec<String>>,
    owes_realised: bool,
    told_problems: Vec<Problem>,
    told_claims: BTreeMap<String, (String, u32)>,
    told_mtu: u32,
    /// What guards drop of ports' frames.
    guards: GuardLog,
    /// Ports that a guard has shut.
    shut: BTreeMap<Owner, ShutPort>,
    /// The data plane is being asked for both.
    looking: bool,
    next_look: Moment,
    /// What blocks this host, as it found by itself.
    findings: Vec<Finding>,
    cache_problem: Option<String>,
    services: Services,
    policies: Policies,
    flows: FlowLog,
    questions: Questions,
    /// Ports whose connections are to go along, after the rows that send their stragglers on.
    leaving: Vec<Moving>,
    /// When the devices of ports came that are still another host's, by the port's name.
    arrivals: BTreeMap<String, Moment>,
    /// How long they waited for their rows.
    migration_gap: Durations,
    /// When rows of policies that nothing refers to any more may go.
    leftovers_at: Option<Moment>,
    unsaved_since: Option<Moment>,
    commands: Vec<Command>,
}

impl Core {
    /// An agent that starts now and found this.
    pub fn new(config: Config, found: Found, now: Moment) -> Self {
        let mut slots = Slots::new(config.capacity.ports);
        let mirror = Mirror::new(&found.rows, &found.attached);
        for row in mirror.ports.values() {
            slots.reserve(row.slot);
        }
        let policies = Policies::new(&mirror, &config.capacity);
        let cache = found.cache.unwrap_or_default();
        for (owner, slot) in &cache.slots {
            slots.adopt_unless_reserved(owner, *slot);
        }
        let mut core = Self {
            config,
            session: Session::new(found.seed),
            peers: Peers::new(found.seed, cache.controllers, cache.main),
            mirror,
            claims: Claims::default(),
            guards: GuardLog::new(slots.counting()),
            slots,
            slices: Slices::default(),
            touched: BTreeMap::new(),
            generation: cache.generation,
            revision: cache.revision,
            newest: cache.newest,
            told_by: cache.told_by,
            listed: false,
            attached_now: BTreeSet::new(),
            refused: BTreeMap::new(),
            held_back: BTreeSet::new(),
            held_until: now + GRACE,
            urgent: BTreeSet::new(),
            // In this order: rows are there before programs look them up.
            dirty: BTreeSet::from([Subject::Host]),
            learnable: BTreeMap::new(),
            devices_wait: false,
            captured: BTreeMap::new(),
            without_slot: BTreeSet::new(),
            in_flight: None,
            failing: BTreeMap::new(),
            batches: 0,
            needs_snapshot: BTreeSet::new(),
            behind: BTreeMap::new(),
            row_problems: BTreeMap::new(),
            owes_realised: false,
            told_problems: Vec::new(),
            told_claims: BTreeMap::new(),
            told_mtu: 0,
            shut: BTreeMap::new(),
            looking: false,
            next_look: now,
            findings: Vec::new(),
            cache_problem: found.cache_problem,
            services: Services::default(),
            policies,
            flows: FlowLog::default(),
            questions: Questions::default(),
            leaving: Vec::new(),
            arrivals: BTreeMap::new(),
            migration_gap: Durations::default(),
            leftovers_at: None,
            unsaved_since: None,
            commands: Vec::new(),
        };
        core.take_cached(cache.slices, cache.routers);
        core.take_cached_policies(&cache.policies, cache.highest_rule, now);
        let nothing_to_look_up = core.mirror.networks.is_empty() && core.slices.all().is_empty();
        core.devices_wait = nothing_to_look_up && !core.mirror.attached.is_empty();
        core.dirty.insert(Subject::Devices);
        core
    }

    /// What the cache says: rows that are there stay as they are until the controller has been heard.
    fn take_cached(
        &mut self,
        networks: BTreeMap<u32, Arc<NetworkSlice>>,
        routers: BTreeMap<u32, Arc<RouterSlice>>,
    ) {
        for (network, slice) in networks {
            self.slices.replace(slice);
            let subject = Subject::Network(network);
            match self.has_rows(network) {
                true => self.held_back.insert(subject),
                false => self.dirty.insert(subject),
            };
        }
        for (number, slice) in routers {
            self.slices.replace_router(slice);
            let subject = Subject::Router(number);
            match self.mirror.routes.contains_key(&number) {
                true => self.held_back.insert(subject),
                false => self.dirty.insert(subject),
            };
        }
    }

    /// Takes an input and tells what is to be done now, in order.
    pub fn handle(&mut self, input: Input, now: Moment) -> Vec<Command> {
        match input {
            Input::Device(device) => self.device_changed(device, now),
            Input::DeviceGone { ifindex } => self.device_gone(ifindex, now),
            Input::DevicesListed => self.devices_listed(now),
            Input::Connected { stream } => self.connected(stream, now),
            Input::Disconnected { stream, reason } => self.disconnected(stream, &reason, now),
            Input::Received { stream, message } => self.received(stream, message, now),
            Input::Punted(punt) => self.punted(&punt),
            Input::Flows(seen) => self.flows_seen(&seen, now),
            Input::Applied { batch, failures } => self.applied(batch, &failures, now),
            Input::Reported { request_id, json } => self.reported(request_id, json),
            Input::Answered { question_id, json } => self.answered(question_id, json),
            Input::HandedOver(connections) => self.handed_over(connections),
            Input::GuardsSeen(seen) => self.guards_seen(&seen, now),
            Input::Examined(findings) => self.examined(findings),
            Input::Tick => {}
        }
        self.notice_mtu(now);
        self.pass_time(now);
        self.flush();
        let leaving = std::mem::take(&mut self.leaving);
        self.commands
            .extend(leaving.into_iter().map(Command::HandOver));
        self.answer_late(now);
        self.tell_claims();
        self.tell_realised();
        self.serve_standbys();
        self.advertise(now);
        self.look_at_guards(now);
        self.tell_flows(now);
        std::mem::take(&mut self.commands)
    }

    /// The canaries that are due once in [`crate::canary::PERIOD`]: one for each port in the tables whose guards may
    /// shut it.
    pub(crate) fn canaries(&self) -> Vec<Sending> {
        canary::canaries(self.config.canary, self.mirror.ports.iter())
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    pub fn deadline(&self) -> Option<Moment> {
        let retry = self
            .failing
            .values()
            .filter_map(|failing| failing.retry_at)
            .min();
        let held = self.is_holding_back().then_some(self.held_until);
        let save = self.unsaved_since.map(|since| since + SAVE_DELAY);
        let advertise = self.services.schedule.deadline();
        [
            self.session.deadline(),
            self.peers.deadline(),
            retry,
            held,
            save,
            self.guards_due(),
            self.captured.values().min().copied(),
            advertise,
            self.leftovers_at,
            self.flows.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is worth keeping across a reboot.
    pub fn cache_contents(&self) -> CacheContents {
        CacheContents {
            generation: self.generation,
            revision: self.revision,
            newest: self.newest,
            told_by: self.told_by,
            main: self.peers.main.clone().unwrap_or_default(),
            controllers: self.peers.addresses.clone(),
            slices: self.slices.all().clone(),
            routers: self.slices.routers().clone(),
            policies: self.policies.to_store(),
            highest_rule: self.policies.highest_rule(),
            slots: self
                .slots
                .iter()
                .map(|(owner, slot)| (owner.clone(), slot))
                .collect(),
        }
    }

    fn pass_time(&mut self, now: Moment) {
        if self.session.is_overdue(now) {
            tracing::warn!("the controller does not answer");
            self.close_stream();
            self.session.pause(now);
        }
        self.connect_due(now);
        if self.is_holding_back() && self.held_until <= now {
            tracing::warn!("no controller so far: rows are brought to the state of the cache");
            self.release_all();
        }
        self.end_captures(now);
        if self.leftovers_at.is_some_and(|at| at <= now) {
            self.leftovers_at = None;
            self.dirty.insert(Subject::Leftovers);
        }
        let due: Vec<Subject> = self
            .failing
            .iter()
            .filter(|(_, failing)| failing.retry_at.is_some_and(|retry_at| retry_at <= now))
            .map(|(subject, _)| *subject)
            .collect();
        for subject in due {
            if let Some(failing) = self.failing.get_mut(&subject) {
                failing.retry_at = None;
            }
            self.dirty.insert(subject);
        }
        if self
            .unsaved_since
            .is_some_and(|since| since + SAVE_DELAY <= now)
        {
            self.unsaved_since = None;
            self.cache_problem = None;
            self.commands.push(Command::Save(self.cache_contents()));
        }
    }

    fn is_holding_back(&self) -> bool {
        self.listed && (self.devices_wait || !self.held_back.is_empty())
    }

    /// Networks are no longer left alone.
    fn release_all(&mut self) {
        if std::mem::take(&mut self.devices_wait) {
            self.dirty.insert(Subject::Devices);
        }
        let held = std::mem::take(&mut self.held_back);
        self.dirty.extend(held);
    }

    fn has_rows(&self, network: u32) -> bool {
        let id = NetworkId(network);
        self.mirror.network(id).is_some() || self.mirror.ports_of(id).next().is_some()
    }

    fn save_soon(&mut self, now: Moment) {
        self.unsaved_since.get_or_insert(now);
    }
}
