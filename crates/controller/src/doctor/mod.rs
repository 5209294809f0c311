//! `coax doctor`: every host looks at itself, and packets of the largest size go from each to each.
//!
//! | module | holds |
//! | --- | --- |
//! | `compare` | what only shows side by side: clocks, addresses that two have; a pure function |
//! | `paths` | who sends to whom, and what follows from what arrived |

mod compare;
mod paths;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use coax_api::finding::{Ends, Examination};
use coax_api::question::{HostAnswer, HostQuestion};
use coax_api::{Findings, MissingHost};
use coax_model::{HostName, OVERHEAD};
use futures::future::join_all;

use self::compare::Answered;
use crate::core::Core;
use crate::trace::Hosts;

/// What an IPv4 header takes less than an IPv6 header, for which [`OVERHEAD`] is.
const SHORTER_HEADER: u32 = 20;
/// Other hosts whose ways one host is asked for: it has to answer in time.
const MOST_WAYS: usize = 256;

/// What is stored of the hosts, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patients {
    hosts: BTreeMap<String, Patient>,
    /// The largest IP packet of any network.
    largest: u32,
    /// The only host that is looked at, with its ways to others and theirs to it.
    only: Option<String>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Patient {
    vteps: Vec<IpAddr>,
    attached: bool,
}

impl Patients {
    /// All hosts, or one.
    pub fn gather(core: &Core, only: Option<&HostName>) -> Self {
        let intent = core.intent();
        let attached: BTreeMap<_, _> = core
            .host_lags()
            .map(|(name, attached, _)| (name.clone(), attached))
            .collect();
        let hosts = intent.hosts.iter().map(|(name, host)| {
            let ipv4 = host.ipv4.map(IpAddr::from);
            let ipv6 = host.ipv6.map(IpAddr::from);
            let patient = Patient {
                vteps: ipv4.into_iter().chain(ipv6).collect(),
                attached: attached.get(name).copied().unwrap_or(false),
            };
            (name.to_string(), patient)
        });
        let largest = intent.networks.values().map(|it| u32::from(it.mtu.get()));
        Self {
            hosts: hosts.collect(),
            // A network that does not say fills what the underlay was said to carry.
            largest: largest
                .max()
                .unwrap_or(intent.underlay_mtu.saturating_sub(OVERHEAD)),
            only: only.map(ToString::to_string),
        }
    }

    fn attached(&self) -> impl Iterator<Item = (&String, &Patient)> {
        self.hosts.iter().filter(|(_, patient)| patient.attached)
    }

    fn is_meant(&self, host: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == host)
    }

    /// Ways from a host to others that answer.
    fn ways(&self, host: &str) -> Vec<(&String, Ends)> {
        let Some(own) = self.hosts.get(host) else {
            return Vec::new();
        };
        let others = self.attached().filter(|(name, _)| *name != host);
        let ends = others.flat_map(|(name, other)| {
            let same_family = |from: &IpAddr, to: &IpAddr| from.is_ipv4() == to.is_ipv4();
            other.vteps.iter().filter_map(move |to| {
                let from = own.vteps.iter().find(|from| same_family(from, to))?;
                let ends = Ends {
                    from: *from,
                    to: *to,
                };
                Some((name, ends))
            })
        });
        ends.collect()
    }

    /// Bytes of the largest tunnel packet between these ends, from its IP header on.
    fn length(&self, ends: Ends) -> u32 {
        self.largest + overhead(ends.to.is_ipv4())
    }

    /// What each uplink must carry.
    fn length_at(&self, patient: &Patient) -> u32 {
        self.largest + overhead(patient.vteps.iter().all(IpAddr::is_ipv4))
    }
}

/// What a tunnel adds to a packet, from the outer IP header on.
pub(crate) fn overhead(over_ipv4: bool) -> u32 {
    match over_ipv4 {
        true => OVERHEAD - SHORTER_HEADER,
        false => OVERHEAD,
    }
}

/// Looks at hosts and between them.
pub async fn examine(patients: &Patients, hosts: &impl Hosts) -> Findings {
    let meant = patients
        .attached()
        .filter(|(name, _)| patients.is_meant(name));
    let asked = meant.map(|(name, patient)| async move {
        let question = HostQuestion::Examine {
            ways: patients
                .ways(name)
                .into_iter()
                .map(|(_, ends)| ends)
                .take(MOST_WAYS)
                .collect(),
            needed: patients.length_at(patient),
        };
        let before = milliseconds();
        let answer = hosts.ask(name, question).await;
        let after = milliseconds();
        (name.clone(), answer, (before, after))
    });
    let mut found = Findings::default();
    let mut answered = Vec::new();
    for (host, answer, asked) in join_all(asked).await {
        match answer {
            Ok(HostAnswer::Examined(examination)) => {
                let Examination { findings, .. } = &*examination;
                found.findings.extend(findings.iter().cloned());
                found.hosts.push(host.clone());
                answered.push(Answered {
                    host,
                    examination: *examination,
                    asked,
                });
            }
            Ok(HostAnswer::Failed { reason }) | Err(reason) => {
                found.missing.push(MissingHost { host, reason });
            }
            Ok(_) => found.missing.push(MissingHost {
                host,
                reason: "it answers another question".to_owned(),
            }),
        }
    }
    let away = patients.hosts.iter().filter(|(_, it)| !it.attached);
    let away = away.filter(|(name, _)| patients.is_meant(name));
    found.missing.extend(away.map(|(host, _)| MissingHost {
        host: host.clone(),
        reason: "its agent is not attached to the controller".to_owned(),
    }));
    let vteps = |host: &str| patients.hosts.get(host).map(|it| it.vteps.as_slice());
    found.findings.extend(compare::compare(&answered, |host| {
        vteps(host).unwrap_or_default()
    }));
    let (paths, lost) = paths::probe(patients, hosts, &found.findings).await;
    found.paths = paths;
    found.findings.extend(lost);
    found.findings.sort();
    found.findings.dedup();
    found
}

fn milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
