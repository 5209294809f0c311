//! From what a host did with a frame to the cause, in the words of those who run it.
//!
//! A drop says what is missing where; why it is missing is mostly known to the controller: the host is behind, its table is
//! full, or another host's row is wrong. Where there is such a cause it comes first in the sentence.

use coax_api::question::{HostRun, HostVerdict, TunnelPacket};
use coax_api::{Host, TraceLeg, TracePath};
use coax_tables::DropReason;
use coax_wire::MacAddress;

use super::answer;
use super::facts::{End, Facts};
use super::rules::refused;
use super::walk::{Journey, host_of, instead};
use super::{Cause, Ending};

fn reason(run: &HostRun) -> &str {
    run.reason.as_deref().unwrap_or("unknown")
}

/// The drop reason of a run, if it is one that this version knows.
fn drop_reason(run: &HostRun) -> Option<DropReason> {
    let mut known = DropReason::ALL.iter();
    known.find(|known| known.name() == reason(run)).copied()
}

/// Drops that say that a row is missing.
const MISSING: [DropReason; 6] = [
    DropReason::UnknownPort,
    DropReason::UnknownAddress,
    DropReason::UnknownUnicast,
    DropReason::NotHere,
    DropReason::NotMember,
    DropReason::NoReceiver,
];

/// A frame that a host dropped.
pub(super) fn dropped(facts: &Facts, journey: Journey<'_>, host: &str, run: &HostRun) -> Ending {
    match drop_reason(run) {
        Some(reason) => dropped_for(facts, journey, host, run, reason),
        None => {
            let name = reason(run);
            let summary = format!("dropped on {host} as {name}");
            let hint = format!("`coax explain {name}`");
            Ending::lost(Cause::HostProblem, summary, hint)
        }
    }
}

fn dropped_for(
    facts: &Facts,
    journey: Journey<'_>,
    host: &str,
    run: &HostRun,
    reason: DropReason,
) -> Ending {
    let root = match MISSING.contains(&reason) {
        true => root(facts, journey, host, run),
        false => None,
    };
    match root {
        Some((cause, why, hint)) => {
            let summary = format!("dropped on {host} as {}, because {why}", reason.name());
            Ending::lost(cause, summary, hint)
        }
        None => meaning(facts, journey, host, run, reason),
    }
}

/// Why a row is missing on a host, if that is known.
fn root(
    facts: &Facts,
    journey: Journey<'_>,
    host: &str,
    run: &HostRun,
) -> Option<(Cause, String, String)> {
    let ends = [journey.from, journey.to];
    let concerned = |object: &str| {
        ends.iter().any(|end| {
            let port = end.port.as_ref();
            object == end.name || port.is_some_and(|port| object == port.network.to_string())
        })
    };
    let mut problems = run.problems.iter();
    if let Some((object, reason)) = problems.find(|(object, _)| concerned(object)) {
        let why = format!("{host} could not carry out what {object} needs: {reason}");
        let hint = format!("`coax host show {host}` lists all that it could not do");
        return Some((Cause::HostProblem, why, hint));
    }
    let known = facts.hosts.get(host).filter(|known| known.lag > 0)?;
    let why = format!(
        "{host} is behind: it has revision {}, and needs {}",
        run.revision, known.status.desired_revision
    );
    let hint = format!("`coax host show {host}`; see whether its agent is stopped or overloaded");
    Some((Cause::HostBehind, why, hint))
}

/// What a drop means for this packet.
fn meaning(
    facts: &Facts,
    journey: Journey<'_>,
    host: &str,
    run: &HostRun,
    reason: DropReason,
) -> Ending {
    let Journey { from, to, .. } = journey;
    let cause = Cause::Dropped(reason);
    let path = run.path.clone().unwrap_or_default();
    let network = from.port.as_ref().map(|port| port.network.to_string());
    let network = network.unwrap_or_default();
    let mend = format!("`coax host show {host}`; restart its agent if it says that all is well");
    let (what, hint) = match reason {
        DropReason::UnknownPort => {
            let device = &run.device;
            (
                format!(
                    "its row for the device {device} of {} is missing",
                    from.name
                ),
                mend,
            )
        }
        DropReason::ForgedSource => {
            let text = format!("it takes {} for a port with another MAC address", from.name);
            (text, mend)
        }
        DropReason::UnknownAddress if to.port.is_none() => (
            format!("nobody in {network} has {}", to.address),
            "`coax port list` shows who has which address".to_owned(),
        ),
        DropReason::UnknownAddress => {
            let text = format!(
                "its row for {}, the address of {}, is missing",
                to.address, to.name
            );
            (text, mend)
        }
        DropReason::UnknownUnicast => {
            let text = format!("its row for the MAC address of {} is missing", to.name);
            (text, mend)
        }
        DropReason::NotHere => not_here(to, host, &mend),
        DropReason::NotMember => {
            let sender = facts_sender(facts, journey);
            let text = format!("it takes no tunnel packets of {network} from {sender}");
            (text, mend)
        }
        DropReason::NoPath | DropReason::PathTooSmall => no_way(facts, host, &path, reason),
        DropReason::NoTunnelAddress => (
            format!(
                "it has no tunnel endpoint of the family that {} needs",
                to.name
            ),
            format!("start the agent of {host} with a tunnel endpoint of that family"),
        ),
        other => (
            answer::in_a_sentence(other.hint()),
            format!("`coax explain {}`", other.name()),
        ),
    };
    match &run.rule {
        Some(rule) => refused(facts, host, reason, rule),
        None => {
            let summary = format!("dropped on {host} as {}: {what}", reason.name());
            Ending::lost(cause, summary, hint)
        }
    }
}

/// A packet that finds no way through the underlay.
fn no_way(facts: &Facts, host: &str, path: &TracePath, reason: DropReason) -> (String, String) {
    if reason == DropReason::NoPath {
        return (
            format!("it has no route to {}", endpoint(facts, &path.to)),
            format!(
                "`ip route get {}` on {host}; see whether its uplinks and routing are up",
                path.to
            ),
        );
    }
    let TracePath {
        device,
        mtu,
        length,
        ..
    } = path;
    (
        format!(
            "its uplink {device} takes packets of {mtu} bytes, this one has {length} in its tunnel"
        ),
        format!("`ip link set {device} mtu {length}` on {host}, and the same in the fabric"),
    )
}

fn not_here(to: &End, host: &str, mend: &str) -> (String, String) {
    match to.host() {
        Some(right) if right != host => (
            format!("{} is on {right}, but was sent to {host}", to.name),
            format!(
                "`coax port show {}` and the hops below: the sender's host is wrong",
                to.name
            ),
        ),
        _ => (
            format!("its row for the MAC address of {} is missing", to.name),
            mend.to_owned(),
        ),
    }
}

/// The host that sent the tunnel packet which is refused.
fn facts_sender(facts: &Facts, journey: Journey<'_>) -> String {
    let sender = journey.from.host().unwrap_or_default();
    match facts.hosts.contains_key(sender) {
        true => sender.to_owned(),
        false => "the sender's host".to_owned(),
    }
}

/// A tunnel endpoint with its owner.
fn endpoint(facts: &Facts, address: &str) -> String {
    let owner = facts.host_with(address).map(|host| host.name.clone());
    let foreign = || facts.foreign.get(&address.parse().ok()?).cloned();
    match owner.or_else(foreign) {
        Some(owner) => format!("{address}, the tunnel endpoint of {owner}"),
        None => address.to_owned(),
    }
}

/// The next host of a tunnel packet.
pub(super) fn next_host(
    facts: &Facts,
    journey: Journey<'_>,
    host: &str,
    packet: &TunnelPacket,
) -> Result<String, Ending> {
    let vtep = &packet.path.to;
    if let Some(next) = facts.host_with(vtep) {
        return match journey.to.host() {
            Some(right) if right != next.name && !is_passing_on(journey.to, &next.name) => {
                Err(wrong_host(journey.to, host, right, &next.name))
            }
            _ => Ok(next.name.clone()),
        };
    }
    let foreign = vtep.parse().ok().and_then(|vtep| facts.foreign.get(&vtep));
    if let Some(foreign) = foreign {
        let summary = format!(
            "{host} hands the packet to the foreign tunnel endpoint {foreign} ({vtep}); what is behind it \
             Coax cannot see"
        );
        return Err(Ending::unknown(
            Cause::ForeignEndpoint,
            summary,
            "look on that device",
        ));
    }
    let summary = format!(
        "{host} sends the packet for {} to the tunnel endpoint {vtep}, which no host has",
        journey.to.name
    );
    let hint =
        format!("`coax host list -o wide` shows the hosts' endpoints; restart the agent of {host}");
    Err(Ending::lost(Cause::UnknownEndpoint, summary, hint))
}

/// A port that moves is passed on by the host that it leaves.
fn is_passing_on(to: &End, host: &str) -> bool {
    let port = to.port.as_ref().map(|port| &port.view);
    port.is_some_and(|view| {
        view.moved_from.as_deref() == Some(host) || view.moving_to.as_deref() == Some(host)
    })
}

fn wrong_host(to: &End, host: &str, right: &str, wrong: &str) -> Ending {
    let summary = format!(
        "{host} sends the packet to {wrong}, but {} is on {right}: the row of {host} names the wrong tunnel \
         endpoint",
        to.name
    );
    let hint = format!("`coax host show {host}`; restart its agent if it says that all is well");
    Ending::lost(Cause::WrongHost, summary, hint)
}

/// A frame that ended without reaching whom it was meant for.
pub(super) fn ended(facts: &Facts, journey: Journey<'_>, host: &str, run: &HostRun) -> Ending {
    let to = journey.to;
    match run.verdict {
        HostVerdict::Drop => dropped(facts, journey, host, run),
        HostVerdict::Deliver => {
            let summary = format!(
                "{host} hands the packet to {} instead of {}",
                run.ports.join(", "),
                to.name
            );
            let hint =
                format!("`coax host show {host}`; restart its agent if it says that all is well");
            Ending::lost(Cause::WrongPort, summary, hint)
        }
        HostVerdict::Answer => answer::told(facts, host, run),
        HostVerdict::Pass => not_taken(facts, journey, host, run),
        // Copies go to foreign endpoints, or to all members, but not to the receiver.
        HostVerdict::Flood => dropped_for(facts, journey, host, run, DropReason::UnknownUnicast),
        HostVerdict::Send | HostVerdict::SendUnresolved | HostVerdict::Punt => {
            not_followed(&journey.from.name)
        }
    }
}

/// The uplink's program left the tunnel packet to the host's own stack.
fn not_taken(facts: &Facts, journey: Journey<'_>, host: &str, run: &HostRun) -> Ending {
    let own = run.stages.iter().flat_map(|stage| &stage.rows).next();
    let own = own.map_or(String::new(), |row| format!(", {}", row.text));
    let known = facts.hosts.get(host);
    let endpoint = |host: &Host| {
        let both = [host.vtep_ipv4.clone(), host.vtep_ipv6.clone()];
        both.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    };
    let believed = known.map(endpoint).unwrap_or_default();
    let leg = match journey.leg {
        TraceLeg::Answer => "the answer",
        _ => "the packet",
    };
    let summary = format!(
        "{host} does not take {leg} for a tunnel packet of its own: it was sent to {believed}{own}"
    );
    let hint = format!("`coax host show {host}`; restart its agent");
    Ending::lost(Cause::NotForVswitch, summary, hint)
}

/// The vSwitch answers with a MAC address that the port does not have.
pub(super) fn stale_address(from: &End, to: &End, mac: MacAddress, owner: MacAddress) -> Ending {
    let host = host_of(from);
    let summary = format!(
        "{host} tells {} the wrong MAC address for {} of {}: {}",
        from.name,
        to.address,
        to.name,
        instead(mac, owner)
    );
    let hint = format!("`coax host show {host}`; restart its agent if it says that all is well");
    Ending::lost(Cause::StaleAddress, summary, hint)
}

/// The sender's question for its next hop goes to others than whom it is about.
pub(super) fn unanswered(facts: &Facts, asking: Journey<'_>, host: &str, run: &HostRun) -> Ending {
    dropped_for(facts, asking, host, run, DropReason::UnknownAddress)
}

/// What should not happen, because a frame like this always ends otherwise.
pub(super) fn not_followed(name: &str) -> Ending {
    let summary = format!("the packet of {name} cannot be followed");
    Ending::unknown(
        Cause::Differs,
        summary,
        "please report it with the output of `-o json`",
    )
}
