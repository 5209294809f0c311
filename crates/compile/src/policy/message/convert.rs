//! Between the parts of a policy and their messages.

use std::net::IpAddr;

use super::{
    BadPolicy, ElementMessage, EndMessage, GroupMessage, PolicySettings, RangeMessage, RuleMessage,
    ServicesMessage, VerdictMessage,
};
use crate::policy::rule::{
    Action, AddressPrefix, Element, Match, Rule, Selector, ServiceRange, Settings, Verdict,
};

pub(super) fn settings_message(settings: Settings) -> PolicySettings {
    PolicySettings {
        default: Some(verdict_message(settings.default)),
        quota: settings.quota,
    }
}

pub(super) fn settings(project: &str, message: PolicySettings) -> Result<Settings, BadPolicy> {
    Ok(Settings {
        default: verdict(project, message.default.unwrap_or_default())?,
        quota: message.quota,
    })
}

fn verdict_message(verdict: Verdict) -> VerdictMessage {
    VerdictMessage {
        action: verdict.action.code().into(),
        log: verdict.log,
        audit: verdict.audit,
    }
}

fn verdict(object: &str, message: VerdictMessage) -> Result<Verdict, BadPolicy> {
    let all = [Action::Allow, Action::Deny, Action::Reject];
    let action = all
        .into_iter()
        .find(|action| u32::from(action.code()) == message.action);
    let bad = || BadPolicy::Action {
        object: object.to_owned(),
        action: message.action,
    };
    Ok(Verdict {
        action: action.ok_or_else(bad)?,
        log: message.log,
        audit: message.audit,
    })
}

pub(super) fn rule_message(rule: &Rule) -> RuleMessage {
    let services = match &rule.services {
        Match::Any => None,
        Match::OneOf(ranges) => Some(ServicesMessage {
            ranges: ranges.iter().copied().map(range_message).collect(),
        }),
    };
    RuleMessage {
        name: rule.name.to_string(),
        order: rule.order,
        from: end_message(&rule.from),
        to: end_message(&rule.to),
        services,
        verdict: Some(verdict_message(rule.verdict)),
    }
}

pub(super) fn rule(message: &RuleMessage) -> Result<Rule, BadPolicy> {
    let name = &message.name;
    let services = match &message.services {
        None => Match::Any,
        Some(services) => {
            let ranges = services.ranges.iter().map(|message| range(name, *message));
            Match::OneOf(ranges.collect::<Result<_, _>>()?)
        }
    };
    Ok(Rule {
        name: name.as_str().into(),
        order: message.order,
        from: end(name, message.from.as_ref())?,
        to: end(name, message.to.as_ref())?,
        services,
        verdict: verdict(name, message.verdict.unwrap_or_default())?,
    })
}

fn range_message(range: ServiceRange) -> RangeMessage {
    RangeMessage {
        protocol: range.protocol.into(),
        first: range.first.into(),
        last: range.last.into(),
    }
}

fn range(rule: &str, message: RangeMessage) -> Result<ServiceRange, BadPolicy> {
    let RangeMessage {
        protocol,
        first,
        last,
    } = message;
    match (protocol.try_into(), first.try_into(), last.try_into()) {
        (Ok(protocol), Ok(first), Ok(last)) if first <= last => Ok(ServiceRange {
            protocol,
            first,
            last,
        }),
        _ => Err(BadPolicy::Service {
            rule: rule.to_owned(),
            protocol,
            first,
            last,
        }),
    }
}

fn end_message(end: &Match<Selector>) -> Option<EndMessage> {
    let Match::OneOf(selectors) = end else {
        return None;
    };
    let mut message = EndMessage::default();
    for selector in selectors {
        match selector {
            Selector::Group(group) => message.groups.push(group.to_string()),
            Selector::Prefix(prefix) => message.prefixes.push(element_message(Element {
                scope: None,
                prefix: *prefix,
            })),
        }
    }
    Some(message)
}

/// Groups come before prefixes; what a rule matches does not depend on their order.
fn end(rule: &str, message: Option<&EndMessage>) -> Result<Match<Selector>, BadPolicy> {
    let Some(message) = message else {
        return Ok(Match::Any);
    };
    let groups = message.groups.iter();
    let groups = groups.map(|group| Ok(Selector::Group(group.as_str().into())));
    let prefixes = message.prefixes.iter();
    let prefixes = prefixes.map(|message| Ok(Selector::Prefix(element(rule, message)?.prefix)));
    Ok(Match::OneOf(
        groups.chain(prefixes).collect::<Result<_, _>>()?,
    ))
}

pub(super) fn group_message<'a>(
    name: &str,
    elements: impl IntoIterator<Item = &'a Element>,
) -> GroupMessage {
    GroupMessage {
        name: name.to_owned(),
        elements: elements.into_iter().copied().map(element_message).collect(),
    }
}

pub(super) fn elements(message: &GroupMessage) -> Result<Vec<Element>, BadPolicy> {
    let elements = message.elements.iter();
    elements.map(|it| element(&message.name, it)).collect()
}

fn element_message(element: Element) -> ElementMessage {
    let address = match element.prefix.address() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    ElementMessage {
        scope: element.scope.unwrap_or(0),
        address,
        length: element.prefix.length().into(),
    }
}

fn element(object: &str, message: &ElementMessage) -> Result<Element, BadPolicy> {
    let bytes = message.address.as_slice();
    let ipv4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = ipv4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    let length = u8::try_from(message.length);
    let prefix = match (address, length) {
        (Ok(address), Ok(length)) => AddressPrefix::new(address, length),
        _ => None,
    };
    let bad = || BadPolicy::Prefix {
        object: object.to_owned(),
        length: message.length,
        bytes: bytes.len(),
    };
    Ok(Element {
        scope: (message.scope != 0).then_some(message.scope),
        prefix: prefix.ok_or_else(bad)?,
    })
}
