//! What a firewall's refusal means beside the rules as they are stored: which rule was probably meant to allow the connection, or that
//! the host does not do what the rules say.

use coax_api::Traffic;
use coax_api::question::{DecidingRule, by_rule};
use coax_model::{NearMiss, Obstacle, Ruling};
use coax_tables::DropReason;

use super::facts::{End, Facts};
use super::{Cause, Ending};

/// A packet that the firewall does not let pass, and the smallest rule with which it would.
pub(super) fn refused(
    facts: &Facts,
    host: &str,
    reason: DropReason,
    rule: &DecidingRule,
) -> Ending {
    let summary = format!(
        "{} on {host}{}",
        match reason.name() {
            "rejected" => "rejected",
            _ => "dropped",
        },
        by_rule(&rule.name)
    );
    let (from, to) = (&facts.source, &facts.destination);
    let service = match (facts.traffic, from.address.is_ipv6()) {
        (Traffic::Icmp, true) => "icmpv6/128".to_owned(),
        (Traffic::Icmp, false) => "icmp/8".to_owned(),
        (traffic, _) => traffic.to_string(),
    };
    let allow = smallest_rule(from, to, &service);
    let hint = if rule.rail {
        "the operator's rules come first: only the operator can change this".to_owned()
    } else if rule.name.is_empty() {
        "add the rule below, if the packet is to pass".to_owned()
    } else {
        "put the rule below in front of the one that decides, if the packet is to pass".to_owned()
    };
    Ending {
        allow: (!rule.rail).then_some(allow),
        ..Ending::lost(Cause::Dropped(reason), summary, hint)
    }
}

/// The smallest rule that lets one end use a service of the other.
pub(super) fn smallest_rule(from: &End, to: &End, service: &str) -> String {
    let short = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let name = match to.port {
        Some(_) => format!("{}-to-{}", short(&from.name), short(&to.name)),
        None => format!("{}-out", short(&from.name)),
    };
    format!(
        "{{ name: {name}, from: {}, to: {}, allow: [{service}] }}",
        from.address, to.address
    )
}

/// A refusal of the packet that would begin a connection, told once more beside what the rules say of it.
pub(super) fn beside_the_rules(
    facts: &Facts,
    host: &str,
    summary: &str,
    ending: &mut Ending,
) -> String {
    match &facts.ruling {
        Some(ruling) if ruling.admits => disobeyed(facts, host, ruling, ending),
        Some(Ruling {
            near: Some(near), ..
        }) => format!("{summary}; {}", missed(facts, near)),
        _ => summary.to_owned(),
    }
}

/// That hosts let a connection pass which the rules refuse.
pub(super) fn disobeyed_by_all(facts: &Facts) -> Option<String> {
    let ruling = facts.ruling.as_ref().filter(|ruling| !ruling.admits)?;
    let refuses = match &ruling.rule {
        Some(rule) => format!("rule `{rule}` refuses it"),
        None => "no rule allows it".to_owned(),
    };
    Some(format!(
        "{refuses}, but no host refuses it: their rows are not what the rules say; `coax status` shows hosts that are behind"
    ))
}

/// A host refuses what the rules allow.
fn disobeyed(facts: &Facts, host: &str, ruling: &Ruling, ending: &mut Ending) -> String {
    let refused = match ending.cause.name() {
        "rejected" => "rejected",
        _ => "dropped",
    };
    let allows = match &ruling.rule {
        Some(rule) => format!("rule `{rule}` allows it"),
        None => "no rule forbids it".to_owned(),
    };
    ending.allow = None;
    let behind = facts.hosts.get(host).filter(|known| known.lag > 0);
    let why = match behind {
        Some(known) => {
            ending.cause = Cause::HostBehind;
            ending.hint =
                format!("`coax host show {host}`; see whether its agent is stopped or overloaded");
            let wanted = known.status.desired_revision;
            format!("{host} is behind: it has not carried out revision {wanted}")
        }
        None => {
            ending.cause = Cause::PolicyDiffers;
            ending.hint =
                format!("`coax host show {host}`; restart its agent if it says that all is well");
            format!("the rows of {host} are not what the rules say")
        }
    };
    format!("{refused} on {host}, although {allows}: {why}")
}

/// Which rule allows something like it.
fn missed(facts: &Facts, near: &NearMiss) -> String {
    let rule = &near.rule;
    let (from, to) = (&facts.source.name, &facts.destination.name);
    match &near.but {
        Obstacle::Service(allowed) => format!("rule `{rule}` allows only {allowed} between them"),
        Obstacle::Direction => format!("rule `{rule}` allows it in the other direction only"),
        Obstacle::To(side) => format!("rule `{rule}` would, but {to} is not in {side}"),
        Obstacle::From(side) => format!("rule `{rule}` would, but {from} is not in {side}"),
    }
}
