//! What it means that a host answers a packet itself: its sender hears why it goes no further.

use coax_api::question::HostRun;
use coax_tables::DropReason;

use super::facts::Facts;
use super::rules::refused;
use super::{Cause, Ending};

/// Offset of an ICMP message behind Ethernet and IPv4 or IPv6 headers, as the vSwitch writes them.
const ICMP: usize = 14 + 20;
const ICMPV6: usize = 14 + 40;

/// The vSwitch itself answered: the packet is too big, or refused with a word.
pub(super) fn told(facts: &Facts, host: &str, run: &HostRun) -> Ending {
    let stage = run.stages.last().map_or("", |stage| stage.stage.as_str());
    let mtu = facts.source.port.as_ref().map_or(0, |port| port.mtu);
    match (stage, &run.rule, error(run)) {
        ("mtu", ..) => {
            let summary = format!(
                "{host} answers {} that the packet is too big: its network takes {mtu} bytes",
                facts.source.name
            );
            let hint = format!("set the MTU of the VM's interface to {mtu}");
            Ending::lost(Cause::Dropped(DropReason::TooBig), summary, hint)
        }
        ("firewall", Some(rule), _) => refused(facts, host, DropReason::Rejected, rule),
        ("route", _, Some(reason)) => not_routed(host, run, reason),
        _ => {
            let summary = format!("{host} answers the packet itself, in its stage `{stage}`");
            Ending::lost(Cause::NotForVswitch, summary, "the stages below say why")
        }
    }
}

/// The router of the packet's network knows no way.
fn not_routed(host: &str, run: &HostRun, reason: DropReason) -> Ending {
    let rows = run.stages.last().map_or(&[][..], |stage| &stage.rows);
    let missing = rows.iter().rev().find(|row| !row.found);
    let why = match missing {
        Some(row) => row.text.clone(),
        None => in_a_sentence(reason.hint()),
    };
    let name = reason.name();
    let summary = format!("refused on {host} as {name}: {why}");
    let hint = match reason {
        DropReason::NoRoute => "add a route to the router in the stack file".to_owned(),
        DropReason::NoNeighbour => "`coax port list` shows who has which address".to_owned(),
        _ => format!("`coax explain {name}`"),
    };
    Ending::lost(Cause::Dropped(reason), summary, hint)
}

/// What the ICMP error in the answer is about.
fn error(run: &HostRun) -> Option<DropReason> {
    let frame = &run.answer.as_ref()?.frame;
    let at = |at: usize| Some((*frame.get(at)?, *frame.get(at + 1)?));
    let ipv6 = frame.get(12) == Some(&0x86);
    let message = if ipv6 { at(ICMPV6)? } else { at(ICMP)? };
    Some(match (ipv6, message) {
        (false, (3, 0)) | (true, (1, 0)) => DropReason::NoRoute,
        (false, (3, 1)) | (true, (1, 3)) => DropReason::NoNeighbour,
        (false, (3, 4)) | (true, (2, 0)) => DropReason::TooBig,
        (false, (11, 0)) | (true, (3, 0)) => DropReason::TimeToLive,
        _ => return None,
    })
}

/// A hint as a part of a sentence.
pub(super) fn in_a_sentence(hint: &str) -> String {
    let hint = hint.trim_end_matches('.');
    let mut letters = hint.chars();
    match letters.next() {
        // An abbreviation stays as it is.
        Some(first) if !letters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => hint.to_owned(),
    }
}
