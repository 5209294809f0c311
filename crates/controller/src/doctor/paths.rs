//! Packets between hosts, small ones and ones as large as the largest network needs, on several flows so that every
//! equal-cost path has some.

use std::collections::{BTreeMap, BTreeSet};

use coax_api::Finding;
use coax_api::finding::{Ends, PathProbe};
use coax_api::question::{HostAnswer, HostQuestion};
use futures::future::join_all;

use super::Patients;
use crate::trace::Hosts;

/// Flows between two ends. One that meets a bad path of two is missed once in 2^16.
const FLOWS: u16 = 16;
/// The first source port of theirs.
const FIRST_PORT: u16 = 49_152;
/// Hosts that one host sends to at a time.
const AT_ONCE: usize = 16;
/// The receivers watch for so long.
const WATCHED: u64 = 1500;
/// And have so long to begin; the first packet to a neighbour waits longer, for its MAC address.
const LEAD: u64 = 150;
/// Ways that a finding names.
const MOST_NAMED: usize = 4;
/// A packet with nothing but its headers and a marker.
const SMALL: u16 = 0;

/// Who sends to whom, between which ends.
type Course = (String, String, Ends);

/// A way, and its flows' markers: small ones, then large ones.
struct Way {
    from: String,
    to: String,
    ends: Ends,
    length: u32,
    markers: Vec<[[u8; 8]; 2]>,
}

impl Way {
    fn course(&self) -> Course {
        (self.from.clone(), self.to.clone(), self.ends)
    }
}

/// Sends on every way; says on how many, and what is wrong with them. `known`: what needs no second name. What does not arrive is
/// sent once more, without the ways that work: a host that is busy is not a cable that is cut.
pub async fn probe(
    patients: &Patients,
    hosts: &impl Hosts,
    known: &[Finding],
) -> (usize, Vec<Finding>) {
    let small_uplinks: BTreeSet<&str> = known
        .iter()
        .filter(|finding| finding.code == "uplink-mtu")
        .map(|finding| finding.host.as_str())
        .collect();
    let named = |way: &Way| {
        let ends = [&way.from, &way.to];
        ends.iter()
            .any(|host| small_uplinks.contains(host.as_str()))
    };
    let mut probed = 0;
    let mut lost: BTreeMap<(String, Fault), Vec<(Way, usize)>> = BTreeMap::new();
    for round in rounds(patients) {
        let first = look(patients, hosts, &round, &named).await;
        probed += first.len();
        let mut failing: BTreeMap<Course, (Way, (Fault, usize))> = first
            .into_iter()
            .filter_map(|(way, verdict)| Some((way.course(), (way, verdict?))))
            .collect();
        let again: Vec<Course> = failing.keys().cloned().collect();
        // Where nobody can look again, the first look counts.
        for (way, verdict) in look(patients, hosts, &again, &named).await {
            match verdict {
                Some(verdict) => failing.insert(way.course(), (way, verdict)),
                None => failing.remove(&way.course()),
            };
        }
        for (way, (fault, flows)) in failing.into_values() {
            let alike = lost.entry((way.from.clone(), fault)).or_default();
            alike.push((way, flows));
        }
    }
    let findings = lost.iter().filter_map(|((from, fault), ways)| {
        let ways: Vec<(&Way, usize)> = ways.iter().map(|(way, flows)| (way, *flows)).collect();
        finding(from, *fault, &ways)
    });
    (probed, findings.collect())
}

/// Sends on these ways at the same time. Ways whose ends both did their part are looked at: whether and how each fails, and on how
/// many flows.
async fn look(
    patients: &Patients,
    hosts: &impl Hosts,
    courses: &[Course],
    named: &impl Fn(&Way) -> bool,
) -> Vec<(Way, Option<(Fault, usize)>)> {
    if courses.is_empty() {
        return Vec::new();
    }
    let marked = courses.iter().map(|(from, to, ends)| Way {
        from: from.clone(),
        to: to.clone(),
        ends: *ends,
        length: patients.length(*ends),
        markers: (0..FLOWS)
            .map(|_| [hosts.marker(), hosts.marker()])
            .collect(),
    });
    let ways: Vec<Way> = marked.collect();
    let (seen, sent) = exchange(hosts, &ways).await;
    let looked_at = ways.into_iter().filter_map(|way| {
        let seen = seen.get(&way.to).filter(|_| sent.contains(&way.from))?;
        let verdict = judge(&way, seen, named(&way));
        Some((way, verdict))
    });
    looked_at.collect()
}

/// Who sends to whom, some at a time: each host to the next ones after it.
fn rounds(patients: &Patients) -> Vec<Vec<Course>> {
    let mut rounds: Vec<Vec<Course>> = Vec::new();
    for (from, _) in patients.attached() {
        let ways = patients.ways(from).into_iter();
        let meant = ways.filter(|(to, _)| patients.is_meant(from) || patients.is_meant(to));
        let mut meant: Vec<(String, Ends)> = meant.map(|(to, ends)| (to.clone(), ends)).collect();
        // So that not everybody sends to the first ones first.
        let after = meant.iter().position(|(to, _)| to > from).unwrap_or(0);
        meant.rotate_left(after);
        for (number, chunk) in meant.chunks(AT_ONCE).enumerate() {
            if rounds.len() <= number {
                rounds.push(Vec::new());
            }
            let ways = chunk.iter().cloned();
            rounds[number].extend(ways.map(|(to, ends)| (from.clone(), to, ends)));
        }
    }
    rounds
}

/// What each receiver saw, and who could send; receivers that could not watch are left out.
async fn exchange(
    hosts: &impl Hosts,
    ways: &[Way],
) -> (BTreeMap<String, BTreeSet<[u8; 8]>>, BTreeSet<String>) {
    let mut markers: BTreeMap<&str, Vec<[u8; 8]>> = BTreeMap::new();
    let mut probes: BTreeMap<&str, Vec<PathProbe>> = BTreeMap::new();
    for way in ways {
        let expected = markers.entry(&way.to).or_default();
        let sent = probes.entry(&way.from).or_default();
        for (port, pair) in (FIRST_PORT..).zip(&way.markers) {
            expected.extend(pair);
            let length = u16::try_from(way.length).unwrap_or(u16::MAX);
            for (marker, length) in pair.iter().zip([SMALL, length]) {
                sent.push(PathProbe {
                    ends: way.ends,
                    source_port: port,
                    marker: *marker,
                    length,
                });
            }
        }
    }
    let watches = markers.into_iter().map(|(host, markers)| async move {
        let question = HostQuestion::Watch {
            markers: markers.clone(),
            milliseconds: WATCHED,
        };
        match hosts.ask(host, question).await {
            Ok(HostAnswer::Watched { seen }) => {
                let arrived = markers.into_iter().zip(seen);
                let arrived = arrived.filter(|(_, seen)| *seen).map(|(marker, _)| marker);
                Some((host.to_owned(), arrived.collect()))
            }
            _ => None,
        }
    });
    let sends = probes.into_iter().map(|(host, probes)| async move {
        let question = HostQuestion::Probe {
            probes,
            milliseconds: LEAD,
        };
        let sent = hosts.ask(host, question).await;
        matches!(sent, Ok(HostAnswer::Sent)).then(|| host.to_owned())
    });
    let (seen, sent) = tokio::join!(join_all(watches), join_all(sends));
    (
        seen.into_iter().flatten().collect(),
        sent.into_iter().flatten().collect(),
    )
}

/// How a way fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Blocked,
    Mtu,
}

/// What follows for a way: how it fails, and on how many flows. `named`: its large packets are known to be lost at one of
/// its ends.
fn judge(way: &Way, seen: &BTreeSet<[u8; 8]>, named: bool) -> Option<(Fault, usize)> {
    let lost = |which: usize| {
        let flows = way.markers.iter();
        flows.filter(|pair| !seen.contains(&pair[which])).count()
    };
    match (lost(0), lost(1)) {
        (0, 0) => None,
        (0, large) => (!named).then_some((Fault::Mtu, large)),
        (small, _) => Some((Fault::Blocked, small)),
    }
}

/// One finding for all ways of a host that fail alike: a dead cable must not fill pages.
fn finding(from: &str, fault: Fault, lost: &[(&Way, usize)]) -> Option<Finding> {
    let (first, _) = lost.first()?;
    let said = lost.iter().take(MOST_NAMED).map(|(way, flows)| {
        let Ends { to, .. } = way.ends;
        let all = way.markers.len();
        match *flows == all {
            true => format!("{} ({to})", way.to),
            false => format!("{} ({to}) on {flows} of {all} flows", way.to),
        }
    });
    let mut said = said.collect::<Vec<_>>().join(", ");
    if lost.len() > MOST_NAMED {
        said += &format!(", and on {} more ways", lost.len() - MOST_NAMED);
    }
    let names: BTreeSet<&str> = lost.iter().map(|(way, _)| way.to.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let about = format!("{from} → {}", names.join(", "));
    let Ends {
        from: source,
        to: destination,
    } = first.ends;
    Some(match fault {
        Fault::Blocked => Finding::new(
            from,
            "path-blocked",
            about,
            format!("tunnel packets from {from} do not arrive at {said}"),
            format!(
                "ip route get {destination} from {source} ipproto udp sport {FIRST_PORT} dport 4789; from that next hop \
                 on, look for a cut cable, a filter of UDP 4789 or a missing route"
            ),
        ),
        Fault::Mtu => {
            let length = first.length;
            Finding::new(
                from,
                "path-mtu",
                about,
                format!(
                    "packets of {length} bytes, which the largest network needs, do not arrive from {from} at {said}; \
                     small ones do"
                ),
                format!(
                    "raise the MTU of the fabric between {from} and {} to {length}, or give networks a smaller one",
                    first.to
                ),
            )
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
