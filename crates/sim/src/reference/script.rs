//! Worlds, packets and changes of policy out of any bytes.
//!
//! Most packets are the natural next ones of a few conversations, so that connections get far; the others are
//! these packets a bit different, again, or at the wrong time.

mod conversation;
mod policies;
mod sayings;
mod worlds;

use super::neighbours::Saying;
use super::packet::{Content, Packet, Part};
use super::policy::Policy;
use super::switch::{Tag, Way};
use super::world::{World, host_of, is_stranger};
use crate::craft::{C_TAG, S_TAG};
use crate::noise::Noise;
use conversation::Conversation;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub use worlds::{FEW, SOME};

/// One thing that happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Time passes.
    Wait(Duration),
    /// A VM sends.
    Send(Way, Packet),
    /// A VM says something about addresses.
    Say(Saying),
    /// A project changes its policy.
    Change(usize, Box<Policy>),
}

/// A world, and what happens in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// The world at the beginning.
    pub world: World,
    /// The hosts' secret.
    pub seed: u64,
    /// What happens.
    pub steps: Vec<Step>,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {:#x}, {:?}", self.seed, self.world)?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{number}: {step:?}")?;
        }
        Ok(())
    }
}

/// Waits in one script. Each may move the clocks of model and kernel a bit apart.
const WAITS: usize = 8;
/// Fragments' names that a sender may use on one host: it has two places in a bucket of the table.
const NAMES: usize = 2;

/// Any port that there is.
fn any_port(noise: &mut Noise<'_>, world: &World) -> u8 {
    let ports: Vec<u8> = world.ports().collect();
    let choice = noise.below(ports.len());
    ports.get(choice).copied().unwrap_or(1)
}

impl Script {
    /// The script that the bytes stand for.
    pub fn new(bytes: &[u8]) -> Self {
        let mut noise = Noise::new(bytes);
        let noise = &mut noise;
        let seed = u64::from(noise.byte()) << 56 | u64::from(noise.byte()) << 20 | 1;
        let world = worlds::world(noise);
        // To fill the places, and for what happens then.
        let many = world.crowded.is_some();
        let count = match world.crowded {
            Some(FEW) => 4 + noise.below(9),
            Some(_) => 14 + noise.below(16),
            None => 1 + noise.below(3),
        };
        let mut writer = Writer {
            conversations: (0..count)
                .filter_map(|_| Conversation::begin(noise, &world))
                .collect(),
            policies: world.policies.clone(),
            world: &world,
            chatty: noise.one_in(4),
            sent: Vec::new(),
            names: BTreeMap::new(),
            steps: Vec::new(),
            waits: 0,
        };
        if many {
            writer.warm_up();
        }
        let steps = noise.below(40);
        for _ in 0..steps {
            writer.step(noise);
        }
        let steps = writer.steps;
        Self { world, seed, steps }
    }
}

struct Writer<'a> {
    world: &'a World,
    conversations: Vec<Conversation>,
    policies: [Policy; 2],
    /// Most of what happens is about addresses.
    chatty: bool,
    sent: Vec<(Way, Packet)>,
    /// Datagrams that were sent in fragments, by sender.
    names: BTreeMap<IpAddr, Vec<(IpAddr, u16, u8)>>,
    steps: Vec<Step>,
    waits: usize,
}

impl Writer<'_> {
    fn step(&mut self, noise: &mut Noise<'_>) {
        if self.chatty && !noise.one_in(3) {
            return self.say(noise);
        }
        match noise.below(40) {
            0..=19 => self.natural(noise),
            20 | 21 => self.fragment(noise),
            22 | 23 => self.error(noise),
            24 => self.again(noise),
            25 | 26 => self.change(noise),
            27..=29 => self.wait(noise),
            30 => self.multicast(noise),
            31 => self.stray(noise),
            32 | 33 => self.tagged(noise),
            _ => self
                .steps
                .push(Step::Say(sayings::saying(noise, self.world))),
        }
    }

    /// Both ends of all conversations have sent.
    fn warm_up(&mut self) {
        for place in 0..self.conversations.len() {
            // No headers in between; then who sends.
            for plainest in [[0, 0], [0, 1], [0, 0]] {
                let noise = &mut Noise::new(&plainest);
                let (way, packet) = self.conversations[place].next(noise, self.world);
                self.send(way, packet);
            }
        }
    }

    fn say(&mut self, noise: &mut Noise<'_>) {
        let saying = sayings::saying(noise, self.world);
        self.steps.push(Step::Say(saying));
    }

    /// Sends a packet of a conversation. A foreign endpoint may take another host for its receiver's.
    fn send_by(&mut self, noise: &mut Noise<'_>, mut way: Way, packet: Packet) {
        if is_stranger(way.from) && noise.one_in(8) {
            way.at = 1 - way.at;
        }
        self.send(way, packet);
    }

    fn send(&mut self, way: Way, packet: Packet) {
        self.sent.push((way, packet.clone()));
        self.steps.push(Step::Send(way, packet));
    }

    fn natural(&mut self, noise: &mut Noise<'_>) {
        let choice = noise.below(self.conversations.len().max(1));
        if let Some(conversation) = self.conversations.get_mut(choice) {
            let (way, packet) = conversation.next(noise, self.world);
            self.send_by(noise, way, packet);
        }
    }

    /// A packet of a conversation with other tags than its port's.
    fn tagged(&mut self, noise: &mut Noise<'_>) {
        let Some(mut conversation) = Conversation::begin(noise, self.world) else {
            return;
        };
        let (mut way, packet) = conversation.next(noise, self.world);
        if is_stranger(way.from) {
            return;
        }
        let one = |tag: Tag| [Some(tag), None];
        way.tags = Some(noise.pick(
            one((C_TAG, 10)),
            &[
                one((C_TAG, 10)),
                one((C_TAG, 20)),
                one((C_TAG, 30)),
                one((C_TAG, 0)),
                one((S_TAG, 10)),
                [None, None],
                [Some((C_TAG, 10)), Some((C_TAG, 20))],
                [Some((C_TAG, 30)), Some((C_TAG, 10))],
                [Some((C_TAG, 20)), Some((S_TAG, 10))],
            ],
        ));
        self.send(way, packet);
    }

    /// A part of a datagram of a conversation.
    fn fragment(&mut self, noise: &mut Noise<'_>) {
        let choice = noise.below(self.conversations.len().max(1));
        let Some(conversation) = self.conversations.get_mut(choice) else {
            return;
        };
        let (way, mut packet) = conversation.next(noise, self.world);
        if matches!(packet.content, Content::Error { .. } | Content::Icmp(..)) {
            return;
        }
        packet.headers = 0;
        let identification = noise.pick(1, &[1, 1, 2]);
        let name = (packet.destination, identification, packet.protocol());
        let names = self.names.entry(packet.source).or_default();
        if !names.contains(&name) {
            let routed = way
                .to
                .is_some_and(|to| self.world.home(to) != self.world.home(way.from));
            // Whoever has a shared address may be on any host.
            let local = way.to.is_some_and(|to| {
                host_of(to) == way.host()
                    || packet.destination != self.world.address(to, packet.is_ipv6())
            });
            let room = if routed && local { 1 } else { NAMES };
            if names.len() >= room {
                return;
            }
            names.push(name);
            if routed && local {
                names.push((packet.source, 0, 0));
            }
        }
        for _ in 0..=noise.below(4) {
            let offset = noise.pick(0, &[0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 8189]);
            let more = !noise.one_in(3);
            let length = noise.pick(8, &[8, 16, 24, 32, 40, 13]);
            packet.part = Some(Part {
                identification,
                offset,
                length: if more && !noise.one_in(8) {
                    length / 8 * 8
                } else {
                    length
                },
                more,
            });
            self.send(way, packet.clone());
        }
    }

    /// An error about a packet that was sent, from its receiver or from somebody else.
    fn error(&mut self, noise: &mut Noise<'_>) {
        let Some((way, about)) = self.recent(noise) else {
            return;
        };
        let Some(to) = way
            .to
            .filter(|_| !matches!(about.content, Content::Error { .. }))
        else {
            return;
        };
        let mut about = about;
        if noise.one_in(6) {
            about = conversation::disturbed(noise, &about);
        }
        let neighbours = self.world.neighbours(way.from);
        let Some(other) = neighbours
            .get(noise.below(neighbours.len().max(1)))
            .copied()
        else {
            return;
        };
        let from = if noise.one_in(4) { other } else { to };
        let back = if noise.one_in(8) && from != other {
            other
        } else {
            way.from
        };
        if from == back || is_stranger(from) && is_stranger(back) {
            return;
        }
        let ipv6 = about.is_ipv6();
        let kind = if ipv6 {
            noise.pick((1, 4), &[(1, 0), (2, 0), (3, 0), (4, 1)])
        } else {
            noise.pick((3, 3), &[(3, 4), (3, 1), (11, 0), (12, 0), (4, 0)])
        };
        let too_big = matches!(kind, (3, 4) if !ipv6) || matches!(kind, (2, 0) if ipv6);
        let mtu = noise.pick(1400, &[1280, 1279, 576, 575, 0, 68]);
        let content = Content::Error {
            kind,
            mtu: if too_big { mtu } else { 0 },
            about: Box::new(about),
        };
        let [source, destination] = [from, back].map(|vm| self.world.address(vm, ipv6));
        let way = Way::new(from, Some(back));
        self.send(way, Packet::new(source, destination, content));
    }

    fn recent(&self, noise: &mut Noise<'_>) -> Option<(Way, Packet)> {
        let age = noise.below(self.sent.len().clamp(1, 200));
        self.sent.iter().rev().nth(age).cloned()
    }

    /// A packet once more.
    fn again(&mut self, noise: &mut Noise<'_>) {
        if let Some((way, packet)) = self.recent(noise) {
            self.send(way, packet);
        }
    }

    fn change(&mut self, noise: &mut Noise<'_>) {
        let project = noise.below(4) / 3;
        let before = self.policies[project].clone();
        let policy = policies::changed(noise, self.world, project, before);
        self.policies[project] = policy.clone();
        self.steps.push(Step::Change(project, Box::new(policy)));
    }

    fn wait(&mut self, noise: &mut Noise<'_>) {
        let seconds = noise.pick(
            1,
            &[8, 12, 25, 28, 33, 55, 63, 110, 125, 290, 310, 7400, 7450],
        );
        if self.waits < WAITS {
            self.steps.push(Step::Wait(Duration::from_secs(seconds)));
        }
        self.waits += 1;
    }

    fn multicast(&mut self, noise: &mut Noise<'_>) {
        let mut from = any_port(noise, self.world);
        if noise.one_in(4) {
            let strangers: Vec<u8> = self.world.strangers().collect();
            let choice = noise.below(strangers.len().max(1));
            from = strangers.get(choice).copied().unwrap_or(from);
        }
        let ipv6 = noise.one_in(2);
        let group: IpAddr = if ipv6 {
            [0xff05, 0, 0, 0, 0, 0, 0, 0x99].into()
        } else {
            [239, 1, 1, 1].into()
        };
        let port = noise.pick(80, &[443, 9000]);
        let content = noise.pick(
            Some(Content::Udp as fn((u16, u16), usize) -> Content),
            &[None],
        );
        let content = match content {
            Some(udp) => udp((4000, port), 20),
            None => Content::Icmp(if ipv6 { 144 } else { 13 }, 0),
        };
        let packet = Packet::new(self.world.address(from, ipv6), group, content);
        self.send_by(noise, Way::new(from, None), packet);
    }

    /// A packet that nothing led to.
    fn stray(&mut self, noise: &mut Noise<'_>) {
        if let Some(mut conversation) = Conversation::begin(noise, self.world) {
            let (way, packet) = conversation.next(noise, self.world);
            let packet = conversation::disturbed(noise, &packet);
            self.send(way, packet);
        }
    }
}
