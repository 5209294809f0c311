//! The packet for real: it enters the vSwitch of the sender as if the VM had sent it, and the counters of the hosts on
//! its way tell what became of it. Where they say something else than the trace, one of both is wrong, which is said.
//!
//! Counters count everybody's packets, so the packet is sent several times, and what moved by at least as much counts.

use std::collections::{BTreeMap, BTreeSet};

use coax_api::question::{HostAnswer, HostQuestion, SideCounters};
use coax_api::{Injected, Trace, TraceLeg, TraceVerdict};

use super::facts::Facts;
use super::{Cause, Hosts};

/// How often the packet is sent.
const PACKETS: u32 = 7;

/// What moved: by host and side.
type Moved = BTreeMap<(String, String), SideCounters>;

/// Sends the packet and completes the trace.
pub(super) async fn inject(
    facts: &Facts,
    hosts: &impl Hosts,
    trace: &mut Trace,
    packet: Option<&[u8]>,
) {
    let (Some(packet), Some(host)) = (packet, facts.source.host()) else {
        let note = "no packet was sent for real: the sender never learns where to send it";
        trace.notes.push(note.to_owned());
        return;
    };
    let on_its_way = trace.hops.iter().filter(|hop| hop.leg == TraceLeg::Packet);
    let mut asked: BTreeSet<&str> = on_its_way.map(|hop| hop.host.as_str()).collect();
    asked.extend(facts.destination.host());
    let asked: Vec<String> = asked.into_iter().map(str::to_owned).collect();
    let before = count(facts, hosts, &asked).await;
    let question = HostQuestion::Inject {
        port: facts.source.name.clone(),
        frame: packet.to_vec(),
        times: PACKETS,
    };
    let failure = match hosts.ask(host, question).await {
        Ok(HostAnswer::Sent) => None,
        Ok(HostAnswer::Failed { reason }) | Err(reason) => Some(reason),
        Ok(_) => Some("it answers another question".to_owned()),
    };
    if let Some(reason) = failure {
        trace
            .notes
            .push(format!("no packet was sent for real: {host}: {reason}"));
        return;
    }
    hosts.pause().await;
    let after = count(facts, hosts, &asked).await;
    compare(facts, trace, &moved(&before, &after));
}

async fn count(facts: &Facts, hosts: &impl Hosts, asked: &[String]) -> Moved {
    let ports = vec![facts.source.name.clone(), facts.destination.name.clone()];
    let mut counted = Moved::new();
    for host in asked {
        let ports = ports.clone();
        if let Ok(HostAnswer::Counted { sides }) =
            hosts.ask(host, HostQuestion::Count { ports }).await
        {
            for side in sides {
                counted.insert((host.clone(), side.name.clone()), side);
            }
        }
    }
    counted
}

fn moved(before: &Moved, after: &Moved) -> Moved {
    let nothing = SideCounters::default();
    let difference = after.iter().map(|(key, after)| {
        let before = before.get(key).unwrap_or(&nothing);
        let drops = after.drops.iter().map(|(reason, count)| {
            let earlier = before.drops.get(reason).copied().unwrap_or(0);
            (reason.clone(), count.saturating_sub(earlier))
        });
        let side = SideCounters {
            name: after.name.clone(),
            received: after.received.saturating_sub(before.received),
            sent: after.sent.saturating_sub(before.sent),
            drops: drops.filter(|(_, count)| *count > 0).collect(),
        };
        (key.clone(), side)
    });
    difference.collect()
}

fn compare(facts: &Facts, trace: &mut Trace, moved: &Moved) {
    let all = u64::from(PACKETS);
    let side = |host: Option<&str>, port: &str| {
        let key = (host.unwrap_or_default().to_owned(), port.to_owned());
        moved.get(&key)
    };
    let source = side(facts.source.host(), &facts.source.name);
    let target = side(facts.destination.host(), &facts.destination.name);
    let entered = source.is_some_and(|side| side.received >= all);
    let arrived = target.is_some_and(|side| side.sent >= all);
    let dropped = moved.iter().find_map(|((host, name), side)| {
        let mut drops = side.drops.iter();
        let (reason, _) = drops.find(|(_, count)| **count >= all)?;
        Some((host.as_str(), name.as_str(), reason.as_str()))
    });
    let last = trace
        .hops
        .iter()
        .rev()
        .find(|hop| hop.leg == TraceLeg::Packet);
    let reached =
        last.is_some_and(|hop| hop.outcome == format!("handed to {}", facts.destination.name));
    let agrees = match trace.verdict {
        TraceVerdict::Delivered => entered && arrived,
        // Only the answer is lost.
        _ if reached => entered && arrived,
        _ => match dropped {
            Some((host, _, reason)) => {
                reason == trace.cause && last.is_some_and(|hop| hop.host == host)
            }
            None => entered && !arrived,
        },
    };
    trace.injected = Some(Injected {
        packets: PACKETS,
        agrees,
        observed: moved.iter().map(line).collect(),
    });
    if !agrees {
        let really = match (entered, arrived, dropped) {
            (false, ..) => {
                "the packets that were sent for real did not enter the vSwitch".to_owned()
            }
            (true, true, _) => "the packets that were sent for real arrived".to_owned(),
            (true, false, Some((host, name, reason))) => format!(
                "the packets that were sent for real were dropped on {host} as {reason} ({name})"
            ),
            (true, false, None) => {
                "the packets that were sent for real did not arrive, and no vSwitch dropped them"
                    .to_owned()
            }
        };
        trace.summary = format!("{really}, but by the tables: {}", trace.summary);
        trace.cause = Cause::Differs.name().to_owned();
        trace.verdict = if arrived {
            TraceVerdict::Delivered
        } else {
            TraceVerdict::Lost
        };
    }
}

fn line(((host, name), side): (&(String, String), &SideCounters)) -> String {
    let drops = side.drops.iter();
    let drops: Vec<String> = drops
        .map(|(reason, count)| format!(", {count} dropped as {reason}"))
        .collect();
    format!(
        "{host} {name}: {} in, {} out{}",
        side.received,
        side.sent,
        drops.concat()
    )
}
