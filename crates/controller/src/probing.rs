//! Checks put to the proof on the real hosts: packets as [`crate::trace`] sends them, from ports of one
//! side to ports of the other, and what the check makes of each. A check that fails by rules and members
//! has failed, whatever the probes say.
//!
//! A check that wants nobody to be reached is only kept by what decides on purpose: a packet that is lost
//! because a cable is dead says nothing of the rules, so it is not called passed.

use std::collections::BTreeSet;
use std::time::Instant;

use coax_api::{
    CheckResult, ProbeResult, ProbeState, Trace, TraceLeg, TraceRequest, TraceVerdict, Traffic,
};
use coax_model::{Check, Expect, Name, Probe, ProbeTraffic, Proof, ProofState};
use coax_tables::DropReason;
use futures::future::join_all;

use crate::core::Core;
use crate::trace::{self, Cause, Facts, Hosts};

/// The most packets of one check.
const MOST_PROBES: usize = 64;
/// The most packets at once: what an agent answers at once.
const AT_ONCE: usize = 8;

/// What decides on purpose that a packet does not arrive.
const ON_PURPOSE: [Cause; 7] = [
    Cause::NoRouter,
    Cause::NoGateway,
    Cause::Dropped(DropReason::Denied),
    Cause::Dropped(DropReason::Rejected),
    Cause::Dropped(DropReason::NotAllowed),
    Cause::Dropped(DropReason::Isolated),
    Cause::Dropped(DropReason::NoRoute),
];

/// A packet with all that is known of its ends, or why it cannot be sent.
type Ready = (Probe, Result<Facts, String>);

/// A check with its packets.
#[derive(Debug)]
pub struct Task {
    project: Name,
    place: usize,
    check: Check,
    notes: Vec<String>,
    probes: Vec<Ready>,
    /// Why the check fails whatever hosts do, if it does.
    fails: Option<String>,
}

/// The tasks of the checks of a project, or of one of them, which were proved a moment ago.
pub fn tasks(core: &Core, project: &Name, place: Option<usize>, proofs: &[Proof]) -> Vec<Task> {
    let checks = core.intent().checks.get(project);
    let checks = checks.iter().flat_map(|checks| checks.0.iter().enumerate());
    let wanted = checks.filter(|(at, _)| place.is_none_or(|place| place == *at));
    let task = |(place, check): (usize, &Check)| {
        let found = check.probes(project, core.intent(), MOST_PROBES);
        let ready = |probe: Probe| {
            let facts = Facts::gather(core, &request(&probe));
            (probe, facts.map_err(|problem| problem.message))
        };
        // A check that was changed since is left to the packets.
        let proof = proofs.get(place).filter(|proof| proof.check == *check);
        let fails = proof.filter(|proof| proof.state == ProofState::Fails);
        Task {
            fails: fails.map(|proof| proof.sentence.clone()),
            project: project.clone(),
            place,
            check: check.clone(),
            notes: found.notes,
            probes: found.probes.into_iter().map(ready).collect(),
        }
    };
    wanted.map(task).collect()
}

fn request(probe: &Probe) -> TraceRequest {
    TraceRequest {
        from: probe.from.to_string(),
        to: probe.to.to_string(),
        traffic: Some(traffic(probe).to_string()),
        family: Some(family(probe).to_owned()),
        inject: true,
        ..TraceRequest::default()
    }
}

fn traffic(probe: &Probe) -> Traffic {
    match probe.traffic {
        ProbeTraffic::Tcp(port) => Traffic::Tcp(port),
        ProbeTraffic::Udp(port) => Traffic::Udp(port),
        ProbeTraffic::Echo => Traffic::Icmp,
    }
}

fn family(probe: &Probe) -> &'static str {
    if probe.ipv6 { "ipv6" } else { "ipv4" }
}

/// Sends the packets of a check.
pub async fn run(task: Task, hosts: &impl Hosts) -> CheckResult {
    let started = Instant::now();
    let Task {
        project,
        place,
        check,
        notes,
        probes,
        fails,
    } = task;
    let mut results = Vec::new();
    for batch in batches(probes) {
        let batch = batch.into_iter().map(|it| one(it, check.expect, hosts));
        results.extend(join_all(batch).await);
    }
    let worst = results.iter().map(|probe| probe.state).max();
    let mut state = worst.unwrap_or(ProbeState::Skipped);
    let mut said = sentence(&check, state, &results);
    if let Some(fails) = fails.filter(|_| state != ProbeState::Failed) {
        // Not every pair is probed; the rules of all are known.
        (state, said) = (ProbeState::Failed, fails);
    }
    CheckResult {
        project: project.to_string(),
        place,
        title: check.title(),
        state,
        sentence: said,
        notes,
        probes: results,
        milliseconds: started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
    }
}

fn sentence(check: &Check, state: ProbeState, probes: &[ProbeResult]) -> String {
    let alike: Vec<&ProbeResult> = probes.iter().filter(|it| it.state == state).collect();
    let first = alike.first();
    let told = first.map(|probe| {
        let more = match alike.len() {
            1 => String::new(),
            2 => ", and one more probe".to_owned(),
            count => format!(", and {} more probes", count - 1),
        };
        let ProbeResult {
            from,
            to,
            family,
            traffic,
            summary,
            ..
        } = probe;
        format!("{from} to {to}, {traffic} over {family}: {summary}{more}")
    });
    match (state, told) {
        (ProbeState::Failed, Some(told)) => format!("{check}, but {told}"),
        (ProbeState::Unknown, Some(told)) => format!("{check}: it cannot be told: {told}"),
        (ProbeState::Skipped, _) => format!("{check}: nothing could be probed"),
        _ => check.to_string(),
    }
}

/// Packets that may be under way together: counters tell them apart by their ports.
fn batches(probes: Vec<Ready>) -> Vec<Vec<Ready>> {
    let mut batches: Vec<(BTreeSet<_>, Vec<Ready>)> = Vec::new();
    for (probe, facts) in probes {
        let ends = [probe.from.clone(), probe.to.clone()];
        let free = |(taken, batch): &&mut (BTreeSet<_>, Vec<Ready>)| {
            batch.len() < AT_ONCE && ends.iter().all(|end| !taken.contains(end))
        };
        match batches.iter_mut().find(free) {
            Some((taken, batch)) => {
                taken.extend(ends);
                batch.push((probe, facts));
            }
            None => batches.push((BTreeSet::from(ends), vec![(probe, facts)])),
        }
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

async fn one((probe, facts): Ready, expect: Expect, hosts: &impl Hosts) -> ProbeResult {
    let (state, summary, cause) = match facts {
        Ok(facts) => {
            let trace = trace::trace(&facts, hosts).await;
            let (state, summary) = judge(&trace, expect);
            (state, summary, trace.cause)
        }
        Err(reason) => (ProbeState::Unknown, reason, String::new()),
    };
    ProbeResult {
        from: probe.from.to_string(),
        to: probe.to.to_string(),
        family: family(&probe).to_owned(),
        traffic: traffic(&probe).to_string(),
        state,
        summary,
        cause,
    }
}

/// What a check makes of what became of a packet.
fn judge(trace: &Trace, expect: Expect) -> (ProbeState, String) {
    let summary = trace.summary.clone();
    let sent = trace.injected.is_some();
    let state = match (expect, trace.verdict) {
        (_, TraceVerdict::Unknown) => ProbeState::Unknown,
        (Expect::Allow, TraceVerdict::Delivered) if sent => ProbeState::Passed,
        (Expect::Allow, TraceVerdict::Delivered) => {
            let notes = trace.notes.join("; ");
            return (
                ProbeState::Unknown,
                format!("{summary} by the tables, but {notes}"),
            );
        }
        (Expect::Allow, TraceVerdict::Lost) => ProbeState::Failed,
        (Expect::Deny, _) if arrives(trace) => ProbeState::Failed,
        (Expect::Deny, _) if ON_PURPOSE.iter().any(|it| it.name() == trace.cause) => {
            ProbeState::Passed
        }
        (Expect::Deny, _) => {
            let other = format!("{summary}, which says nothing of what is allowed");
            return (ProbeState::Unknown, other);
        }
    };
    (state, summary)
}

/// Whether the packet itself reaches whom it is for, whatever becomes of the answer.
fn arrives(trace: &Trace) -> bool {
    if trace.verdict == TraceVerdict::Delivered || trace.cause == Cause::Differs.name() {
        return trace.verdict == TraceVerdict::Delivered;
    }
    let mut hops = trace.hops.iter().rev();
    let last = hops.find(|hop| hop.leg == TraceLeg::Packet);
    last.is_some_and(|hop| hop.outcome == format!("handed to {}", trace.to))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use coax_api::{Injected, TraceHop};

    fn traced(verdict: TraceVerdict, cause: &str) -> Trace {
        Trace {
            verdict,
            cause: cause.to_owned(),
            to: "shop/db-1".to_owned(),
            injected: Some(Injected::default()),
            ..Trace::default()
        }
    }

    #[test]
    fn what_was_lost_for_another_reason_says_nothing_of_the_rules() {
        use ProbeState::{Failed, Passed, Unknown};
        use TraceVerdict::{Delivered, Lost};
        let cases = [
            (Delivered, "", Passed, Failed),
            (Lost, "denied", Failed, Passed),
            (Lost, "no-router", Failed, Passed),
            (Lost, "underlay-blocked", Failed, Unknown),
            (TraceVerdict::Unknown, "host-away", Unknown, Unknown),
            // The tables deny, but the packets arrived.
            (Delivered, "trace-differs", Passed, Failed),
            (Lost, "trace-differs", Failed, Unknown),
        ];
        for (verdict, cause, allow, deny) in cases {
            let trace = traced(verdict, cause);
            assert_eq!(judge(&trace, Expect::Allow).0, allow, "{cause}");
            assert_eq!(judge(&trace, Expect::Deny).0, deny, "{cause}");
        }
    }

    #[test]
    fn a_packet_whose_answer_is_lost_has_arrived() {
        let mut trace = traced(TraceVerdict::Lost, "no-connection");
        trace.hops.push(TraceHop {
            outcome: "handed to shop/db-1".to_owned(),
            ..TraceHop::default()
        });
        assert_eq!(judge(&trace, Expect::Deny).0, ProbeState::Failed);
        assert_eq!(judge(&trace, Expect::Allow).0, ProbeState::Failed);
    }

    #[test]
    fn what_was_not_sent_is_not_passed() {
        let trace = Trace {
            injected: None,
            ..traced(TraceVerdict::Delivered, "")
        };
        assert_eq!(judge(&trace, Expect::Allow).0, ProbeState::Unknown);
    }

    #[test]
    fn no_two_packets_of_a_port_are_under_way_together() {
        let probe = |from: &str, to: &str| {
            let probe = Probe {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                ipv6: false,
                traffic: ProbeTraffic::Echo,
            };
            (probe, Err(String::new()))
        };
        let probes = vec![
            probe("a/1", "a/2"),
            probe("a/3", "a/4"),
            probe("a/2", "a/3"),
        ];
        let sizes: Vec<usize> = batches(probes).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1]);
    }
}
