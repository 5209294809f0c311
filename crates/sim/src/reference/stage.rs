//! The model and the pipeline, packet by packet: what becomes of each must be the same.

use super::firewall::{Fate, Firewall};
use super::packet::Packet;
use super::script::{Script, Step};
use super::world::{Fates, Way, World, device_of, host_of};
use crate::craft::Tunnel;
use crate::stand::{Device, Stand, Vtep};
use crate::{Enters, Host, Outcome, SimRows, SimTables};
use coax_pipeline::{Stage as Stages, Verdict};
use coax_tables::DropReason;
use std::time::Duration;

/// What the pipeline does not promise to the moment: it notes the time of a connection about once a second, and
/// counts in ticks. So nothing is sent shortly before and behind the moment at which something is forgotten.
const BEFORE: Duration = Duration::from_millis(2500);
const BEHIND: Duration = Duration::from_millis(2000);

/// Makes rows of policies.
pub trait Compiler {
    /// Writes the policy of a project into the rows of both hosts; gives its version, which differs from that of any
    /// policy before.
    fn change(&mut self, project: usize, world: &World, rows: [&mut SimRows; 2]) -> u32;
}

/// What happened to a host.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Its rows became these.
    Rows(Box<SimRows>),
    /// A frame entered, and this became of it.
    Frame(Box<(Enters, Outcome)>),
}

/// Two hosts, simulated and as a model.
pub struct Stage {
    /// The VMs, and what the projects want.
    pub world: World,
    /// The models.
    pub models: [Firewall; 2],
    /// The simulated hosts.
    pub hosts: [Host; 2],
    /// What happened to each of them.
    pub entries: [Vec<Entry>; 2],
    fates: Vec<(usize, Fates)>,
    versions: [u32; 2],
    now: Duration,
    played: [Duration; 2],
    stand: Stand,
}

impl Stage {
    /// Both hosts with the first policies.
    pub fn new(script: &Script, stand: &Stand, compiler: &mut impl Compiler) -> Self {
        let world = script.world.clone();
        let [mut one, mut other] = [0, 1].map(|host| world.rows(host, script.seed, stand));
        let versions =
            [0, 1].map(|project| compiler.change(project, &world, [&mut one, &mut other]));
        let entries = [&one, &other].map(|rows| vec![Entry::Rows(Box::new(rows.clone()))]);
        let hosts = [one, other].map(|rows| {
            let tables = SimTables {
                rows,
                underlay: stand.underlay(),
                ..SimTables::default()
            };
            Host::new(tables, stand.sending())
        });
        Self {
            world,
            models: Default::default(),
            hosts,
            entries,
            fates: Vec::new(),
            versions,
            now: Duration::ZERO,
            played: [Duration::ZERO; 2],
            stand: stand.clone(),
        }
    }

    /// Plays all steps.
    ///
    /// # Errors
    /// What model and pipeline say of the first packet that they differ about.
    pub fn play(&mut self, script: &Script, compiler: &mut impl Compiler) -> Result<(), String> {
        for (number, step) in script.steps.iter().enumerate() {
            match step {
                Step::Wait(time) => self.wait(*time),
                Step::Change(project, policy) => {
                    self.world.policies[*project] = (**policy).clone();
                    let [one, other] = &mut self.hosts;
                    let rows = [&mut one.tables.rows, &mut other.tables.rows];
                    self.versions[*project] = compiler.change(*project, &self.world, rows);
                    for (entries, host) in self.entries.iter_mut().zip(&self.hosts) {
                        entries.push(Entry::Rows(Box::new(host.tables.rows.clone())));
                    }
                }
                Step::Send(way, packet) => {
                    let moment = (self.now, self.versions);
                    let expected = self.world.judge(&mut self.models, *way, packet, moment);
                    let found = self.send(*way, packet);
                    self.fates.push((number, expected));
                    if expected != found {
                        let stages = self.last_stages(host_of(way.from));
                        return Err(format!(
                            "step {number}, {way:?}: {packet:?}\nmodel:    {expected:?}\n\
                             pipeline: {found:?} through {stages:?}\nbefore: {:?}",
                            self.fates
                        ));
                    }
                }
            }
        }
        for (host, (model, simulated)) in self.models.iter().zip(&self.hosts).enumerate() {
            let (expected, found) = (&model.hits, simulated.sink.hits());
            if *expected != found {
                return Err(format!(
                    "hits on host {host}: model {expected:?}, pipeline {found:?}"
                ));
            }
            simulated
                .check_accounting()
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn last_stages(&self, host: usize) -> &[Stages] {
        match self.entries[host].last() {
            Some(Entry::Frame(played)) => &played.1.stages,
            _ => &[],
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        loop {
            let deadlines = self.models.iter().flat_map(Firewall::deadlines);
            let mut close =
                deadlines.filter(|then| self.now + BEFORE > *then && self.now < *then + BEHIND);
            let Some(then) = close.next() else {
                return;
            };
            self.now = then + BEHIND;
        }
    }

    fn send(&mut self, way: Way, packet: &Packet) -> Fates {
        let here = host_of(way.from);
        let frame = self.world.frame(way, packet);
        let outcome = self.enter(here, Enters::new(device_of(way.from), frame));
        let mut fates = Fates {
            here: fate(&outcome, |verdict| match verdict {
                Verdict::Answer => true,
                // Back through the sender's own port: nobody sends to himself.
                Verdict::Deliver => outcome.device == Some(self.stand.index(device_of(way.from))),
                _ => false,
            }),
            told: outcome.verdict == Verdict::Answer,
            there: None,
        };
        let uplink = self.stand.index(Device::Up1);
        for (_, packet) in outcome
            .sent()
            .into_iter()
            .filter(|(device, _)| *device == uplink)
        {
            let inner = packet.get(50..).unwrap_or_default();
            let vni = packet.get(46..49).map_or(0, |vni| {
                vni.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
            });
            let [from, to] = [Vtep::PEER, Vtep::OWN].map(|vtep| vtep.address(false));
            let bytes = Tunnel::new(from, to, vni).around(inner);
            let arrived = self.enter(1 - here, Enters::new(Device::Up1, bytes));
            // Nothing goes out of one tunnel into another but what its sender is told.
            let is_told = |verdict| verdict == Verdict::Send;
            fates.there = Some(fate(&arrived, is_told));
        }
        fates
    }

    fn enter(&mut self, host: usize, enters: Enters) -> Outcome {
        let enters = enters.after(self.now - self.played[host]);
        self.played[host] = self.now;
        let simulated = &mut self.hosts[host];
        simulated.tables.now = self.now.as_nanos() as u64;
        let ifindex = self.stand.index(enters.device);
        let outcome = simulated.frame(enters.side, ifindex, &enters.bytes, 0);
        let entry = Entry::Frame(Box::new((enters, outcome.clone())));
        self.entries[host].push(entry);
        outcome
    }
}

/// `is_told`: with that verdict the frame goes back to its sender.
fn fate(outcome: &Outcome, is_told: impl Fn(Verdict) -> bool) -> Fate {
    match (outcome.verdict, outcome.reason) {
        (verdict, _) if is_told(verdict) => Err(DropReason::Rejected),
        // The firewall let it pass, and nobody else is in the network.
        (_, Some(DropReason::NoReceiver)) => Ok(()),
        (_, Some(reason)) => Err(reason),
        _ => Ok(()),
    }
}
