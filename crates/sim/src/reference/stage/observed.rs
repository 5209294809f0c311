//! What simulated hosts do, in the model's words.

use crate::Outcome;
use crate::craft::Tunnel;
use crate::reference::firewall::Fate;
use crate::stand::Vtep;
use coax_pipeline::Verdict;
use coax_tables::DropReason;
use std::collections::BTreeSet;

/// A tunnel from an endpoint to a host.
pub fn tunnel(from: Vtep, vni: u32) -> Tunnel {
    Tunnel::new(from.address(false), Vtep::OWN.address(false), vni)
}

/// Why a packet went no further, by what its sender is told: that a host is unreachable (RFC 792, RFC 4443 section 3.1), or
/// anything else.
pub fn said_by(answer: &[u8]) -> DropReason {
    let untagged = match answer.get(12..14) {
        Some([0x81, 0]) => answer.get(4..),
        _ => Some(answer),
    };
    let packet = untagged.and_then(|frame| frame.get(14..));
    let packet = packet.unwrap_or_default();
    let unreachable = match packet.first() {
        Some(0x45) => packet.get(9) == Some(&1) && packet.get(20..22) == Some(&[3, 1]),
        Some(_) => packet.get(6) == Some(&58) && packet.get(40..42) == Some(&[1, 3]),
        None => false,
    };
    if unreachable {
        DropReason::NoNeighbour
    } else {
        DropReason::Rejected
    }
}

/// How many hops a packet lacks that arrives at ports.
pub fn hops(ports: &BTreeSet<u8>, outcome: &Outcome) -> u8 {
    let sent = outcome.sent();
    let Some((_, frame)) = sent.first().filter(|_| !ports.is_empty()) else {
        return 0;
    };
    let tag = if frame.get(12..14) == Some(&[0x81, 0]) {
        4
    } else {
        0
    };
    let left = match frame.get(14 + tag) {
        Some(first) if first >> 4 == 6 => frame.get(14 + tag + 7),
        _ => frame.get(14 + tag + 8),
    };
    left.map_or(0, |left| 64u8.wrapping_sub(*left))
}

/// `is_told`: with that verdict the frame goes back to its sender.
pub fn fate(outcome: &Outcome, is_told: impl Fn(Verdict) -> bool) -> Fate {
    match (outcome.verdict, outcome.reason) {
        (verdict, _) if is_told(verdict) => Err(DropReason::Rejected),
        // The firewall let it pass, and nobody else is in the network.
        (_, Some(DropReason::NoReceiver)) => Ok(()),
        (_, Some(reason)) => Err(reason),
        _ => Ok(()),
    }
}
