//! The model and the pipeline, packet by packet: what becomes of each must be the same.

mod observed;

use super::census::Census;
use super::firewall::Firewall;
use super::neighbours::{Owners, Reaction, Saying, on_device, shared};
use super::packet::Packet;
use super::placement::{ROW, Rows};
use super::script::{Script, Step};
use super::switch::{Fates, Way};
use super::world::{ABROAD, World, device_of, host_of, is_stranger, network_id, vlan_of};
use crate::stand::{Device, Stand, Vtep};
use crate::{Enters, Host, Outcome, SimRows, SimState, SimTables};
use coax_pipeline::{Stage as Stages, Verdict};
use coax_tables::DropReason;
use observed::{fate, hops, said_by, tunnel};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

/// What the pipeline does not promise to the moment: it notes the time of a connection about once a second, and
/// counts in ticks. So nothing is sent shortly before and behind the moment at which something is forgotten.
const BEFORE: Duration = Duration::from_millis(2500);
const BEHIND: Duration = Duration::from_millis(2000);
/// What the pipeline counts time in. Only whole ticks pass, so that no part of one is lost on either side.
const TICK: u64 = 1 << 27;
/// What passes before each packet where places are few: whose attempt is older must be clear to both.
const PACE: Duration = Duration::from_nanos(12 * TICK);

/// No port has this number.
const NOBODY: u8 = 0;

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
    /// The model's knowledge of addresses that move.
    pub owners: Owners,
    /// The simulated hosts.
    pub hosts: [Host; 2],
    /// What happened to each of them.
    pub entries: [Vec<Entry>; 2],
    /// What has happened, by name, and how often.
    pub seen: BTreeMap<&'static str, u64>,
    before: Vec<(usize, String)>,
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
            let state = world
                .crowded
                .map(|places| SimState::new(places as u32, SimState::FRAGMENTS, SimState::DOMAINS));
            let tables = SimTables {
                rows,
                underlay: stand.underlay(),
                state: state.unwrap_or_default(),
                ..SimTables::default()
            };
            Host::new(tables, stand.sending())
        });
        let rows = |places: usize| Rows {
            count: places / ROW,
            seed: script.seed,
        };
        let models = [0, 1].map(|_| {
            let rows = world.crowded.map(rows);
            rows.map_or_else(Firewall::default, Firewall::with_rows)
        });
        Self {
            world,
            models,
            owners: Owners::default(),
            hosts,
            entries,
            seen: BTreeMap::new(),
            before: Vec::new(),
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
                    self.pace();
                    let moment = (self.now, self.versions);
                    let (models, owners) = (&mut self.models, &self.owners);
                    let expected = self.world.judge(models, *way, packet, moment, owners);
                    let found = self.send(*way, packet);
                    self.see_fates(*way, packet, &expected);
                    self.agree(number, way.host(), (&expected, &found), &(way, packet))?;
                }
                Step::Say(saying) => {
                    self.pace();
                    let expected = self.owners.judge(&self.world, saying);
                    let found = self.say(saying);
                    self.see(match &expected {
                        Reaction::Dropped(reason) => reason.name(),
                        Reaction::Answered(_) => "answered",
                        Reaction::Heard(ports) if ports.is_empty() => "heard by hosts",
                        Reaction::Heard(ports) if ports.contains(&ABROAD) => "heard abroad",
                        Reaction::Heard(_) => "heard",
                    });
                    let host = host_of(saying.port);
                    self.agree(number, host, (&expected, &found), saying)?;
                }
            }
        }
        self.compare_counts()
    }

    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn see_fates(&mut self, way: Way, packet: &Packet, fates: &Fates) {
        for reason in [Some(fates.here), fates.there].into_iter().flatten() {
            self.see(reason.err().map_or("passed", DropReason::name));
        }
        let (stranger, abroad) = (is_stranger(way.from), fates.arrives.contains(&ABROAD));
        let arrived = !fates.arrives.is_empty();
        let within = |to: u8| self.world.home(to) == self.world.home(way.from);
        let routed = self.world.routed.contains(&self.world.home(way.from));
        let is_shared = way
            .to
            .is_some_and(|to| packet.destination == shared(self.world.home(to), packet.is_ipv6()));
        for (happened, what) in [
            (
                fates.arrives.iter().any(|port| vlan_of(*port) != 0),
                "arrived in a VLAN",
            ),
            (arrived && fates.hops > 0, "arrived over a router"),
            (
                arrived && routed && way.to.is_some_and(within),
                "arrived in a routed network",
            ),
            (arrived && is_shared, "arrived at a shared address"),
            (abroad && !stranger, "went abroad"),
            (abroad && stranger, "told abroad"),
            (stranger && arrived && !abroad, "came from abroad"),
        ] {
            if happened {
                self.see(what);
            }
        }
    }

    fn agree<T: PartialEq + Debug>(
        &mut self,
        number: usize,
        host: usize,
        (expected, found): (&T, &T),
        what: &impl Debug,
    ) -> Result<(), String> {
        self.before.push((number, format!("{expected:?}")));
        if expected == found {
            return Ok(());
        }
        let stages = self.last_stages(host);
        Err(format!(
            "step {number}: {what:?}\nmodel:    {expected:?}\npipeline: {found:?} through {stages:?}\nbefore: {:?}",
            self.before
        ))
    }

    /// What was counted, and what is still remembered.
    fn compare_counts(&mut self) -> Result<(), String> {
        for (host, (model, simulated)) in self.models.iter_mut().zip(&mut self.hosts).enumerate() {
            let (expected, found) = (&model.hits, simulated.sink.hits());
            if *expected != found {
                return Err(format!(
                    "hits on host {host}: model {expected:?}, pipeline {found:?}"
                ));
            }
            simulated.tables.now = self.now.as_nanos() as u64;
            for project in 0..2 {
                let expected = model.count(project, self.now);
                let Census { alive, kept, used } = Census::take(&simulated.tables, project);
                if expected != alive || kept != used {
                    return Err(format!(
                        "connections of project {project} on host {host}: model {expected}, pipeline {alive}; \
                         {kept} places are taken, and {used} counted"
                    ));
                }
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

    fn pace(&mut self) {
        if self.world.crowded.is_some() {
            self.wait(PACE);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        loop {
            let ticks = (self.now.as_nanos() as u64).div_ceil(TICK);
            self.now = Duration::from_nanos(ticks * TICK);
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
        let here = way.host();
        let stranger = is_stranger(way.from);
        let mut frame = self.world.frame(way, packet);
        if stranger {
            let network = network_id(self.world.home(way.from));
            frame = tunnel(Vtep::FOREIGN, network.0).around(&frame);
        }
        let outcome = self.enter(here, Enters::new(way.device(), frame));
        let mut arrives = self.ports(here, &outcome);
        let (passed_on, abroad) = self.pass_on(here, &outcome);
        // Back through the sender's own port: nobody sends to himself.
        let returns = outcome.verdict == Verdict::Deliver && arrives.contains(&way.from);
        let told = outcome.verdict == Verdict::Answer;
        if told || returns {
            arrives.clear();
        }
        // Nothing goes out of one tunnel into another but what its sender is told.
        let mut fates = Fates {
            here: if told {
                Err(said_by(outcome.frame.as_deref().unwrap_or_default()))
            } else {
                fate(&outcome, |_| returns || stranger && abroad)
            },
            told,
            hops: hops(&arrives, &outcome),
            there: None,
            arrives,
        };
        for arrived in passed_on {
            let ports = self.ports(1 - here, &arrived);
            fates.hops += hops(&ports, &arrived);
            fates.arrives.extend(ports);
            let is_told = |verdict| verdict == Verdict::Send;
            fates.there = Some(fate(&arrived, is_told));
        }
        fates.arrives.extend(abroad.then_some(ABROAD));
        fates
    }

    fn say(&mut self, saying: &Saying) -> Reaction {
        let here = host_of(saying.port);
        let bytes = on_device(saying.port, &saying.frame());
        let outcome = self.enter(here, Enters::new(device_of(saying.port), bytes));
        let mut heard = self.ports_that_got(saying, here, &outcome);
        let (passed_on, abroad) = self.pass_on(here, &outcome);
        heard.extend(abroad.then_some(ABROAD));
        for arrived in passed_on {
            heard.extend(self.ports_that_got(saying, 1 - here, &arrived));
            if let Err(reason) = fate(&arrived, |_| false) {
                return Reaction::Dropped(reason);
            }
        }
        match (outcome.verdict, outcome.reason) {
            (Verdict::Answer, _) => Reaction::Answered(outcome.frame.unwrap_or_default()),
            (_, None | Some(DropReason::NoReceiver)) => Reaction::Heard(heard),
            (_, Some(reason)) => Reaction::Dropped(reason),
        }
    }

    /// What becomes of frames of one host at the other one, and whether one went to the foreign endpoint.
    fn pass_on(&mut self, here: usize, outcome: &Outcome) -> (Vec<Outcome>, bool) {
        let uplink = self.stand.index(Device::Up1);
        let (mut arrived, mut abroad) = (Vec::new(), false);
        for (device, packet) in outcome.sent() {
            if device != uplink {
                continue;
            }
            if packet.get(30..34) == Some(&Vtep::FOREIGN.ipv4().octets()) {
                abroad = true;
                continue;
            }
            let inner = packet.get(50..).unwrap_or_default();
            let vni = packet.get(46..49).map_or(0, |vni| {
                vni.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
            });
            let bytes = tunnel(Vtep::PEER, vni).around(inner);
            arrived.push(self.enter(1 - here, Enters::new(Device::Up1, bytes)));
        }
        (arrived, abroad)
    }

    /// The ports of a host that got a frame.
    fn ports(&self, host: usize, outcome: &Outcome) -> BTreeSet<u8> {
        let sent = outcome.sent().into_iter();
        sent.filter_map(|(device, bytes)| self.port(host, device, bytes))
            .collect()
    }

    /// As `ports`, if each got what was said; otherwise nobody's port is among them.
    fn ports_that_got(&self, saying: &Saying, host: usize, outcome: &Outcome) -> BTreeSet<u8> {
        let sent = outcome.sent().into_iter();
        sent.filter_map(|(device, bytes)| {
            let port = self.port(host, device, bytes)?;
            let same = on_device(port, &saying.frame()) == bytes;
            Some(if same { port } else { NOBODY })
        })
        .collect()
    }

    /// The port that a frame is on, by its device and its tag; none if it leaves for the other host.
    fn port(&self, host: usize, device: u32, bytes: &[u8]) -> Option<u8> {
        let device = self.stand.device(device)?;
        let vlan = match bytes.get(12..16) {
            Some([0x81, 0, high, low]) => u16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        let port = self.world.port_at(host, device, vlan);
        (!device.is_uplink()).then(|| port.unwrap_or(NOBODY))
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
