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

/// A way, and its flows' markers: small ones, then large ones.
struct Way {
    from: String,
    to: String,
    ends: Ends,
    length: u32,
    markers: Vec<[[u8; 8]; 2]>,
}

/// Sends on every way; says on how many, and what is wrong with them. `known`: what needs no second name. What does not arrive is
/// sent once more, beside nothing else: a host that is busy is not a cable that is cut.
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
        let (seen, failing) = look(patients, hosts, round, &named).await;
        probed += seen;
        let again = failing.into_iter();
        let again: Vec<_> = again
            .map(|(way, ..)| (way.from, way.to, way.ends))
            .collect();
        let (_, failing) = look(patients, hosts, again, &named).await;
        for (way, fault, flows) in failing {
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

/// Sends on these ways at the same time; says how many were watched, and those that fail with how and on how many flows.
async fn look(
    patients: &Patients,
    hosts: &impl Hosts,
    ways: Vec<(String, String, Ends)>,
    named: &impl Fn(&Way) -> bool,
) -> (usize, Vec<(Way, Fault, usize)>) {
    if ways.is_empty() {
        return (0, Vec::new());
    }
    let marked = ways.into_iter().map(|(from, to, ends)| Way {
        length: patients.length(ends),
        markers: (0..FLOWS)
            .map(|_| [hosts.marker(), hosts.marker()])
            .collect(),
        from,
        to,
        ends,
    });
    let ways: Vec<Way> = marked.collect();
    let seen = exchange(hosts, &ways).await;
    let watched = ways.iter().filter(|way| seen.contains_key(&way.to)).count();
    let failing = ways.into_iter().filter_map(|way| {
        let (fault, flows) = judge(&way, seen.get(&way.to)?, named(&way))?;
        Some((way, fault, flows))
    });
    (watched, failing.collect())
}

/// Who sends to whom, some at a time: each host to the next ones after it.
fn rounds(patients: &Patients) -> Vec<Vec<(String, String, Ends)>> {
    let mut rounds: Vec<Vec<(String, String, Ends)>> = Vec::new();
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

/// What each receiver saw; receivers that could not watch, and ways from hosts that could not send, are left out.
async fn exchange(hosts: &impl Hosts, ways: &[Way]) -> BTreeMap<String, BTreeSet<[u8; 8]>> {
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
        hosts.ask(host, question).await
    });
    let (seen, _) = tokio::join!(join_all(watches), join_all(sends));
    seen.into_iter().flatten().collect()
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
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

    use super::super::Patient;
    use super::*;

    fn way() -> Way {
        Way {
            from: "hv1".into(),
            to: "hv2".into(),
            ends: Ends {
                from: [10, 0, 0, 1].into(),
                to: [10, 0, 0, 2].into(),
            },
            length: 1600,
            markers: (0..4u8).map(|flow| [[flow; 8], [flow + 100; 8]]).collect(),
        }
    }

    #[test]
    fn one_flow_of_several_is_enough() {
        let fault = |lost: &dyn Fn(&[u8; 8]) -> bool, named| {
            let way = way();
            let all = way.markers.iter().flatten();
            let seen = all.filter(|marker| !lost(marker)).copied().collect();
            judge(&way, &seen, named)
        };
        assert_eq!(fault(&|_| false, false), None);
        assert_eq!(fault(&|it| it[0] == 2, false), Some((Fault::Blocked, 1)));
        assert_eq!(fault(&|_| true, false), Some((Fault::Blocked, 4)));
        assert_eq!(fault(&|it| it[0] == 102, false), Some((Fault::Mtu, 1)));
        let large = |it: &[u8; 8]| it[0] >= 100;
        assert_eq!(fault(&large, false), Some((Fault::Mtu, 4)));
        assert_eq!(fault(&large, true), None, "the uplink was named");
    }

    #[test]
    fn ways_that_fail_alike_are_one_finding() {
        let way = way();
        let lost = vec![(&way, 4); 6];
        let said = finding("hv1", Fault::Blocked, &lost).unwrap().cause;
        assert!(said.ends_with("and on 2 more ways"), "{said}");
        let said = finding("hv1", Fault::Mtu, &[(&way, 1)]).unwrap().cause;
        assert!(said.contains("hv2 (10.0.0.2) on 1 of 4 flows"), "{said}");
    }

    /// Hosts whose watchers miss everything so many times.
    struct Busy {
        misses: AtomicUsize,
        marked: AtomicU64,
    }

    impl Hosts for Busy {
        async fn ask(&self, _: &str, question: HostQuestion) -> Result<HostAnswer, String> {
            let HostQuestion::Watch { markers, .. } = question else {
                return Ok(HostAnswer::Sent);
            };
            let one_less = |left: usize| left.checked_sub(1);
            let misses = self.misses.fetch_update(Relaxed, Relaxed, one_less).is_ok();
            Ok(HostAnswer::Watched {
                seen: vec![!misses; markers.len()],
            })
        }

        fn marker(&self) -> [u8; 8] {
            self.marked.fetch_add(1, Relaxed).to_be_bytes()
        }

        async fn pause(&self) {}
    }

    #[tokio::test]
    async fn what_arrives_the_second_time_is_no_finding() {
        let patient = |number: u8| Patient {
            vteps: vec![[10, 0, 0, number].into()],
            attached: true,
        };
        let patients = Patients {
            hosts: (1..=2).map(|it| (format!("hv{it}"), patient(it))).collect(),
            largest: 1550,
            only: None,
        };
        for (misses, named) in [(0, 0), (2, 0), (4, 2)] {
            let hosts = Busy {
                misses: misses.into(),
                marked: 0.into(),
            };
            let (probed, findings) = probe(&patients, &hosts, &[]).await;
            assert_eq!(
                (probed, findings.len()),
                (2, named),
                "{misses}: {findings:?}"
            );
        }
    }

    #[test]
    fn every_way_is_in_exactly_one_round() {
        let patient = |number: u8| Patient {
            vteps: vec![[10, 0, 0, number].into()],
            attached: number != 7,
        };
        let hosts = (1..=40).map(|number| (format!("hv{number:02}"), patient(number)));
        let mut patients = Patients {
            hosts: hosts.collect(),
            largest: 1550,
            only: None,
        };
        let ways: Vec<_> = rounds(&patients).into_iter().flatten().collect();
        let pairs: BTreeSet<_> = ways.iter().map(|(from, to, _)| (from, to)).collect();
        assert_eq!((pairs.len(), ways.len()), (39 * 38, 39 * 38));
        for round in rounds(&patients) {
            let to_first = round.iter().filter(|(_, to, _)| to == "hv01").count();
            assert!(to_first <= 2 * AT_ONCE, "{to_first}");
        }
        patients.only = Some("hv03".into());
        let ways: Vec<_> = rounds(&patients).into_iter().flatten().collect();
        assert_eq!(ways.len(), 2 * 38);
    }
}
