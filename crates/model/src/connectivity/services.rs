//! Services cut into pieces that every rule treats alike, and sets of such pieces.

use std::collections::{BTreeMap, BTreeSet};

use crate::intent::Intent;
use crate::name::Name;
use crate::service::{IcmpKind, PortRange, Service};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// The most services that one sentence names.
const MOST_WORDS: usize = 6;

/// A set of pieces, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Atoms(Vec<u64>);

impl Atoms {
    fn insert(&mut self, atom: usize) {
        if let Some(word) = self.0.get_mut(atom / 64) {
            *word |= 1 << (atom % 64);
        }
    }

    fn has(&self, atom: usize) -> bool {
        self.0
            .get(atom / 64)
            .is_some_and(|word| word & (1 << (atom % 64)) != 0)
    }

    /// The first piece of the set alone.
    pub(super) fn first(&self) -> Self {
        let mut found = false;
        let words = self.0.iter().map(|word| {
            let lowest = if found { 0 } else { word & word.wrapping_neg() };
            found |= lowest != 0;
            lowest
        });
        Self(words.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & !b).collect())
    }

    pub(super) fn both(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }
}

/// One piece: a protocol with a range of ports or ICMP types; `None`: every protocol that no rule names.
type Piece = (Option<u8>, u16, u16);

/// All pieces.
pub(super) struct Services(Vec<Piece>);

impl Services {
    /// The pieces that the rules which judge a project cut services into, and those services that are
    /// asked about.
    pub(super) fn of<'a>(
        intents: impl IntoIterator<Item = &'a Intent>,
        project: &Name,
        asked: &[Service],
    ) -> Self {
        let mut cuts: BTreeMap<u8, BTreeSet<u32>> = BTreeMap::new();
        for protocol in [ICMP, TCP, UDP, ICMPV6] {
            cuts.entry(protocol).or_default();
        }
        let intents = intents.into_iter();
        let domains = intents.filter_map(|intent| intent.domain(project));
        let rules = domains.flat_map(|domain| domain.rules());
        let named = rules.flat_map(|(_, rule, _)| rule.services.iter());
        for service in named.chain(asked) {
            if let Some(matched) = service.matched() {
                let cuts = cuts.entry(matched.protocol).or_default();
                cuts.insert((*matched.numbers.start()).into());
                cuts.insert(u32::from(*matched.numbers.end()) + 1);
            }
        }
        let mut pieces = Vec::new();
        for (protocol, mut cuts) in cuts {
            cuts.extend([0, 1 << 16]);
            let cuts: Vec<u32> = cuts.into_iter().collect();
            for pair in cuts.windows(2) {
                if let [first, next] = *pair
                    && let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(next - 1))
                {
                    pieces.push((Some(protocol), first, last));
                }
            }
        }
        pieces.push((None, 0, u16::MAX));
        Self(pieces)
    }

    pub(super) fn none(&self) -> Atoms {
        Atoms(vec![0; self.0.len().div_ceil(64)])
    }

    fn all_that(&self, wanted: impl Fn(&Piece) -> bool) -> Atoms {
        let mut atoms = self.none();
        for (number, piece) in self.0.iter().enumerate() {
            if wanted(piece) {
                atoms.insert(number);
            }
        }
        atoms
    }

    /// What packets of one family, or of any, may be.
    pub(super) fn of_family(&self, ipv6: Option<bool>) -> Atoms {
        let foreign = match ipv6 {
            None => None,
            Some(true) => Some(ICMP),
            Some(false) => Some(ICMPV6),
        };
        self.all_that(|(protocol, _, _)| protocol.is_none() || *protocol != foreign)
    }

    /// The pieces of a service.
    pub(super) fn matching(&self, service: Service) -> Atoms {
        let Some(matched) = service.matched() else {
            return self.of_family(None);
        };
        self.all_that(|(protocol, first, last)| {
            *protocol == Some(matched.protocol)
                && matched.numbers.start() <= first
                && last <= matched.numbers.end()
        })
    }

    /// A set as people write it: `tcp/443, udp/53`, or what is missing from everything.
    pub(super) fn words(&self, atoms: &Atoms) -> String {
        let said = self.list(atoms);
        let mut missing = self.of_family(None).without(atoms);
        // Where packets are of one family, nobody misses the ICMP of the other.
        let only = |ipv6: bool| self.of_family(None).without(&self.of_family(Some(!ipv6)));
        let (icmp, icmpv6) = (only(false), only(true));
        match (atoms.both(&icmp).is_empty(), atoms.both(&icmpv6).is_empty()) {
            (false, true) => missing = missing.without(&icmpv6),
            (true, false) => missing = missing.without(&icmp),
            _ => {}
        }
        let missing = self.list(&missing);
        match missing.len() {
            0 => "everything".to_owned(),
            few if few < said.len() => format!("everything but {}", joined(&missing)),
            _ => joined(&said),
        }
    }

    fn list(&self, atoms: &Atoms) -> Vec<String> {
        let mut merged: Vec<Piece> = Vec::new();
        for (number, piece) in self.0.iter().enumerate() {
            if !atoms.has(number) {
                continue;
            }
            match merged.last_mut() {
                Some((protocol, _, last))
                    if *protocol == piece.0 && last.checked_add(1) == Some(piece.1) =>
                {
                    *last = piece.2;
                }
                _ => merged.push(*piece),
            }
        }
        merged.into_iter().map(named).collect()
    }
}

fn joined(words: &[String]) -> String {
    match words.get(MOST_WORDS..) {
        Some(more) if !more.is_empty() => {
            let first = words.get(..MOST_WORDS).unwrap_or_default();
            format!("{} and {} more", first.join(", "), more.len())
        }
        _ => words.join(", "),
    }
}

fn named((protocol, first, last): Piece) -> String {
    let ports = PortRange::new(first, last).unwrap_or(PortRange::ALL);
    let [kind, code] = first.to_be_bytes();
    let icmp = || match last {
        u16::MAX if first == 0 => IcmpKind::All,
        last if first == last => IcmpKind::Code(kind, code),
        _ => IcmpKind::Type(kind),
    };
    let several = first.to_be_bytes().first() != last.to_be_bytes().first();
    match protocol {
        None => "other protocols".to_owned(),
        Some(TCP) => Service::Tcp(ports).to_string(),
        Some(UDP) => Service::Udp(ports).to_string(),
        Some(ICMP | ICMPV6) if several && (first, last) != (0, u16::MAX) => {
            let name = if protocol == Some(ICMP) {
                "icmp"
            } else {
                "icmpv6"
            };
            format!("{name}/{kind}-{}", last >> 8)
        }
        Some(ICMP) => Service::Icmp(icmp()).to_string(),
        Some(ICMPV6) => Service::Icmpv6(icmp()).to_string(),
        Some(other) => Service::Protocol(other).to_string(),
    }
}
