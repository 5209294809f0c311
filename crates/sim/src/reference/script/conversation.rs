//! What two VMs say to each other.

use crate::noise::Noise;
use crate::reference::neighbours::{shared, shares};
use crate::reference::packet::{Content, Packet, Segment, flag};
use crate::reference::switch::Way;
use crate::reference::world::{World, is_stranger};
use flag::{ACK, FIN, RST, SYN};
use std::net::IpAddr;

/// What they speak.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tcp,
    Udp,
    Sctp,
    Echo,
    Other(u8),
    Message(u8, u8),
}

/// A conversation of two VMs, the first of which begins.
#[derive(Clone, Debug)]
pub struct Conversation {
    vms: [u8; 2],
    /// The second end is called by the address that it shares with others.
    shared: bool,
    ipv6: bool,
    kind: Kind,
    ports: [u16; 2],
    /// TCP: what each end sends next.
    next: [u32; 2],
    window: u16,
    scales: [Option<u8>; 2],
    /// TCP: what is going on, and how far it is.
    plan: &'static [(usize, u8)],
    done: usize,
}

/// Natural courses of TCP: who sends, and with which flags.
const OPENS: &[(usize, u8)] = &[(0, SYN), (1, SYN | ACK), (0, ACK)];
const TALKS: &[(usize, u8)] = &[(0, ACK), (1, ACK), (1, ACK), (0, ACK)];
const CLOSES: &[(usize, u8)] = &[(0, ACK | FIN), (1, ACK), (1, ACK | FIN), (0, ACK)];
const CLOSES_BACK: &[(usize, u8)] = &[(1, ACK | FIN), (0, ACK | FIN), (1, ACK)];
const RESETS: &[(usize, u8)] = &[(1, RST), (0, ACK)];
const REFUSES: &[(usize, u8)] = &[(0, SYN), (1, RST | ACK)];
const AT_ONCE: &[(usize, u8)] = &[(0, SYN), (1, SYN), (0, SYN | ACK), (1, SYN | ACK), (0, ACK)];

impl Conversation {
    /// Two ports of VMs that can reach each other, if there are any.
    pub fn begin(noise: &mut Noise<'_>, world: &World) -> Option<Self> {
        let mut from = super::any_port(noise, world);
        let neighbours = world.neighbours(from);
        let mut to = *neighbours.get(noise.below(neighbours.len().max(1)))?;
        let shared = !is_stranger(to) && noise.one_in(6);
        if !shared && is_stranger(to) && noise.one_in(2) {
            (from, to) = (to, from);
        }
        let ipv6 = noise.one_in(2);
        let message = if ipv6 { (144, 0) } else { (13, 0) };
        let kind = noise.pick(
            Kind::Tcp,
            &[
                Kind::Tcp,
                Kind::Tcp,
                Kind::Tcp,
                Kind::Udp,
                Kind::Echo,
                Kind::Sctp,
                Kind::Other(47),
                Kind::Other(50),
                Kind::Message(message.0, message.1),
            ],
        );
        let scale = |noise: &mut Noise<'_>| {
            noise.pick(
                Some(2),
                &[None, Some(0), Some(7), Some(14), Some(15), Some(20)],
            )
        };
        Some(Self {
            vms: [from, to],
            shared,
            ipv6,
            kind,
            ports: [
                noise.pick(4000, &[4001, 80]),
                noise.pick(80, &[443, 9000, 53]),
            ],
            next: [
                noise.pick(1000, &[0xffff_fff0, 0, 0x1000_0000]),
                noise.pick(5_000_000, &[0xffff_ff00, 0, 0x0800_0000]),
            ],
            window: noise.pick(1000, &[65535, 1, 0]),
            scales: [scale(noise), scale(noise)],
            plan: noise.pick(OPENS, &[OPENS, OPENS, AT_ONCE, TALKS, REFUSES]),
            done: 0,
        })
    }

    /// The address of an end. Who is refused hears of it by his own address only, so across networks nobody sends from a shared
    /// one: the refusal would go to whoever has it.
    fn address(&self, world: &World, end: usize, sends: bool) -> IpAddr {
        let [one, port] = self.vms;
        let network = world.home(port);
        let is_near = world.home(one) == network && !world.routed.contains(&network);
        if end == 1 && self.shared && (!sends || is_near && shares(port)) {
            shared(network, self.ipv6)
        } else {
            world.address(self.vms[end], self.ipv6)
        }
    }

    /// The next packet.
    pub fn next(&mut self, noise: &mut Noise<'_>, world: &World) -> (Way, Packet) {
        let this = self.clone();
        let content = |content: Content, from: usize| {
            let source = this.address(world, from, true);
            let destination = this.address(world, 1 - from, false);
            let way = Way::new(this.vms[from], Some(this.vms[1 - from]));
            (way, Packet::new(source, destination, content))
        };
        let headers = noise.pick(0, &[0, 0, 0, 0, 0, 1, 2, 8, 9]);
        let from = noise.below(2);
        let ports = (self.ports[from], self.ports[1 - from]);
        let (way, mut packet) = match self.kind {
            Kind::Tcp => {
                let (from, segment) = self.segment(noise);
                content(Content::Tcp(segment), from)
            }
            Kind::Udp => content(Content::Udp(ports, noise.below(40)), from),
            Kind::Sctp => content(Content::Sctp(ports), from),
            Kind::Echo => {
                let identifier = noise.pick(7, &[7, 7, 8]);
                let request = (from == 0) != noise.one_in(8);
                content(
                    Content::Echo {
                        request,
                        identifier,
                    },
                    from,
                )
            }
            Kind::Other(protocol) => content(Content::Other(protocol), from),
            Kind::Message(kind, code) => content(Content::Icmp(kind, code), from),
        };
        // No more options than an IPv4 header has room for.
        packet.headers = if self.ipv6 { headers } else { headers.min(3) };
        if matches!(packet.content, Content::Icmp(..) | Content::Echo { .. }) {
            packet.headers = 0;
        }
        (way, packet)
    }

    /// A natural segment, mostly.
    fn segment(&mut self, noise: &mut Noise<'_>) -> (usize, Segment) {
        let (mut from, mut flags) = self.planned(noise);
        let odd = noise.one_in(5);
        if odd {
            (from, flags) = noise.pick(
                (1, SYN),
                &[
                    (0, SYN),
                    (0, SYN | ACK),
                    (1, SYN | ACK),
                    (1, RST),
                    (0, RST | ACK),
                    (1, ACK),
                    (0, FIN),
                    (0, SYN | RST),
                    (0, ACK | 8),
                ],
            );
        }
        let data = if flags & (SYN | RST) == 0 || noise.one_in(12) {
            noise.pick(0, &[10, 100, 1000])
        } else {
            0
        };
        let segment = Segment {
            ports: (self.ports[from], self.ports[1 - from]),
            flags,
            sequence: self.next[from],
            acknowledgement: if flags & ACK == 0 {
                0
            } else {
                self.next[1 - from]
            },
            window: if noise.one_in(6) { 65535 } else { self.window },
            scale: self.scales[from].filter(|_| flags & SYN != 0),
            data,
        };
        let strange = noise.one_in(6);
        let segment = if strange {
            strange_numbers(noise, segment)
        } else {
            segment
        };
        let aside = strange || odd && noise.one_in(2);
        if !aside {
            let numbers = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
            self.next[from] = self.next[from].wrapping_add(numbers + data as u32);
            self.done += 1;
        }
        (from, segment)
    }

    /// Who sends next, and with which flags. A plan that begins with a SYN begins with other numbers.
    fn planned(&mut self, noise: &mut Noise<'_>) -> (usize, u8) {
        if self.done == self.plan.len() {
            self.plan = noise.pick(
                TALKS,
                &[TALKS, OPENS, CLOSES, CLOSES_BACK, RESETS, REFUSES, AT_ONCE],
            );
            self.done = 0;
            if self.plan[0].1 == SYN {
                self.next = self.next.map(|next| next.wrapping_add(0x0123_4567));
                // The receiver of the numbers before these may still be there.
                if noise.one_in(3) {
                    self.next[1] = self.next[1].wrapping_sub(0x0123_4567);
                }
            }
        }
        self.plan[self.done]
    }
}

/// Numbers near the edges that matter, or far away; but never so far that they are as near from the other side.
fn strange_numbers(noise: &mut Noise<'_>, mut segment: Segment) -> Segment {
    let window = u32::from(segment.window);
    let distance = noise.pick(
        1,
        &[
            2,
            10,
            1000,
            window,
            window + 1,
            window << 2,
            (window << 2) + 1,
            (window << 7) + 1,
            window << 14,
            (window << 14) + 1,
            0xffff,
            0x1_0000,
            window + 0xffff,
            window + 0x1_0000,
            66_000,
            66_001,
            0x3fff,
            0x4000,
            1 << 20,
            1 << 29,
        ],
    );
    let distance = if noise.one_in(2) {
        distance.wrapping_neg()
    } else {
        distance
    };
    if noise.one_in(2) && segment.has(ACK) {
        segment.acknowledgement = segment.acknowledgement.wrapping_add(distance);
    } else {
        segment.sequence = segment.sequence.wrapping_add(distance);
    }
    segment
}

/// The packet with something in it changed.
pub fn disturbed(noise: &mut Noise<'_>, packet: &Packet) -> Packet {
    let mut packet = packet.clone();
    match &mut packet.content {
        Content::Tcp(segment) if noise.one_in(2) => *segment = strange_numbers(noise, *segment),
        Content::Tcp(segment) => segment.ports.1 ^= 1,
        Content::Udp(ports, _) | Content::Sctp(ports) => ports.0 ^= 1,
        Content::Echo { identifier, .. } => *identifier ^= 1,
        Content::Other(protocol) => *protocol = 33,
        Content::Icmp(..) | Content::Error { .. } => {}
    }
    packet
}
