//! From flows to the rules that would admit them: few, over groups and networks where there are such.
//!
//! An end of a flow is called by the smallest group that its port is in, or else by its network, or else by its address. Flows with
//! the same ends make one rule with all their services; rules that differ in one end only become one with both. So a rule
//! admits what its groups have in common, not just what was seen: that is what makes it short, and why a person accepts it.
//!
//! What a rule decides is decided: flows that the operator's rails or a rule of the project refuse, or would refuse, are not
//! suggested. Only what the default refuses is. Suggestions stand behind all rules, so they cannot overrule any.

use std::collections::{BTreeMap, BTreeSet};

use coax_api::flows::{Flow, FlowEnd, FlowVerdict};
use coax_api::{Group, SuggestedRule};

/// Services of a rule that have the same protocol and are more than this become ranges where they touch.
const RANGE: u16 = 1;

/// The rules that would admit flows, and the flows that rules refuse.
pub fn suggest(
    project: &str,
    flows: Vec<Flow>,
    groups: &[Group],
    taken: &BTreeSet<String>,
) -> (Vec<SuggestedRule>, u64, Vec<Flow>) {
    let (open, closed): (Vec<Flow>, Vec<Flow>) = flows.into_iter().partition(is_undecided);
    let mut services: BTreeMap<(String, String), BTreeSet<(String, u16)>> = BTreeMap::new();
    let mut count = 0;
    for flow in &open {
        let ends = [&flow.from, &flow.to].map(|end| name_of(end, project, groups));
        let [Some(from), Some(to)] = ends else {
            continue;
        };
        let of_pair = services.entry((from, to)).or_default();
        // Both hosts of a connection have judged it.
        count += u64::from(of_pair.insert((flow.protocol.clone(), flow.port)));
    }
    let pairs = services.into_iter();
    let single = pairs.map(|((from, to), services)| {
        let sides = [BTreeSet::from([from]), BTreeSet::from([to])];
        (sides, services)
    });
    let merged = merge(merge(single.collect(), 0), 1);
    let mut names = taken.clone();
    let rules = merged.into_iter().map(|([from, to], services)| {
        let name = free_name(&from, &to, &mut names);
        SuggestedRule {
            name,
            from: from.into_iter().collect(),
            to: to.into_iter().collect(),
            allow: written(&services),
        }
    });
    (rules.collect(), count, closed)
}

/// No rule refuses the flow on purpose, the default does.
fn is_undecided(flow: &Flow) -> bool {
    use FlowVerdict::{Audit, Deny, Reject};
    flow.rule.is_empty() && matches!(flow.verdict, Audit | Deny | Reject)
}

/// What a rule calls an end.
fn name_of(end: &FlowEnd, project: &str, groups: &[Group]) -> Option<String> {
    let own = |full: &str| {
        let (of, name) = full.split_once('/')?;
        (of == project).then(|| name.to_owned())
    };
    let port = own(&end.port);
    let mut around = groups.iter().filter(|group| {
        let members = &group.members;
        port.as_ref().is_some_and(|port| members.contains(port))
    });
    let smallest = around.by_ref().min_by_key(|group| group.members.len());
    smallest
        .map(|group| format!("group/{}", group.name))
        .or_else(|| own(&end.network).map(|network| format!("network/{network}")))
        .or_else(|| end.address.map(|address| address.to_string()))
}

type Sides = [BTreeSet<String>; 2];
type Services = BTreeSet<(String, u16)>;

/// Makes one of those that differ in this side only.
fn merge(rules: Vec<(Sides, Services)>, side: usize) -> Vec<(Sides, Services)> {
    let mut merged: BTreeMap<(BTreeSet<String>, Services), BTreeSet<String>> = BTreeMap::new();
    for (mut sides, services) in rules {
        let other = std::mem::take(&mut sides[1 - side]);
        let own = std::mem::take(&mut sides[side]);
        merged.entry((other, services)).or_default().extend(own);
    }
    let merged = merged.into_iter();
    merged
        .map(|((other, services), own)| match side {
            0 => ([own, other], services),
            _ => ([other, own], services),
        })
        .collect()
}

/// A name that says who and whom, and that no other rule has.
fn free_name(
    from: &BTreeSet<String>,
    to: &BTreeSet<String>,
    taken: &mut BTreeSet<String>,
) -> String {
    let word = |side: &BTreeSet<String>| match side.first() {
        Some(first) if side.len() == 1 => first.rsplit('/').next().unwrap_or(first).to_owned(),
        _ => "several".to_owned(),
    };
    let plain = format!("{}-to-{}", word(from), word(to));
    let plain = plain.replace(['.', ':'], "-").replace("--", "-");
    let plain = plain.trim_matches('-').to_owned();
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let mut names = std::iter::once(plain.clone()).chain(numbered);
    let name = names.find(|name| !taken.contains(name)).unwrap_or(plain);
    taken.insert(name.clone());
    name
}

/// Services as a stack file has them, neighbouring ports as ranges.
fn written(services: &Services) -> Vec<String> {
    let mut texts = Vec::new();
    let mut ranges: Vec<(&str, u16, u16)> = Vec::new();
    for (protocol, port) in services {
        match protocol.as_str() {
            "tcp" | "udp" => match ranges.last_mut() {
                Some((of, _, last)) if *of == protocol && port - *last <= RANGE => *last = *port,
                _ => ranges.push((protocol, *port, *port)),
            },
            "icmp" | "icmpv6" => texts.push(format!("{protocol}/{}", port >> 8)),
            "sctp" => texts.push("ip/132".to_owned()),
            number => texts.push(format!("ip/{number}")),
        }
    }
    let ranges = ranges
        .iter()
        .map(|(protocol, first, last)| match first == last {
            true => format!("{protocol}/{first}"),
            false => format!("{protocol}/{first}-{last}"),
        });
    let mut all: Vec<String> = ranges.chain(texts).collect();
    all.dedup();
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn flow(from: &str, to: &str, port: u16, verdict: FlowVerdict, rule: &str) -> Flow {
        let end = |text: &str| match text.parse() {
            Ok(address) => FlowEnd {
                address: Some(address),
                ..FlowEnd::default()
            },
            Err(_) => FlowEnd {
                address: None,
                port: format!("shop/{text}"),
                network: format!("shop/{}", text.split('-').next().unwrap()),
            },
        };
        Flow {
            host: "hv1".into(),
            project: "shop".into(),
            network: "shop/web".into(),
            verdict,
            reason: String::new(),
            rule: rule.into(),
            from: end(from),
            to: end(to),
            protocol: "tcp".into(),
            port,
            source_port: 0,
            times: 1,
            bytes: 0,
            first: 0,
            last: 0,
        }
    }

    fn group(name: &str, members: &[&str]) -> Group {
        Group {
            id: format!("shop/{name}"),
            name: name.into(),
            project: "shop".into(),
            revision: 1,
            vm: None,
            labels: BTreeMap::new(),
            ports: Vec::new(),
            members: members.iter().map(|it| (*it).to_owned()).collect(),
            rules: Vec::new(),
        }
    }

    fn lines(rules: &[SuggestedRule]) -> Vec<String> {
        let line = |rule: &SuggestedRule| {
            let (from, to) = (rule.from.join(","), rule.to.join(","));
            format!("{}: {from} > {to} {}", rule.name, rule.allow.join(" "))
        };
        rules.iter().map(line).collect()
    }

    #[test]
    fn flows_of_members_become_one_rule_of_their_groups() {
        use FlowVerdict::{Audit, Deny};
        let groups = [
            group("web", &["web-1", "web-2"]),
            group("all", &["web-1", "web-2", "db-1"]),
            group("db", &["db-1"]),
        ];
        let flows = vec![
            flow("web-1", "db-1", 5432, Deny, ""),
            flow("web-2", "db-1", 5432, Audit, ""),
            flow("web-2", "db-1", 5433, Audit, ""),
            flow("app-1", "db-1", 9000, Deny, ""),
            flow("192.0.2.7", "db-1", 9000, Deny, ""),
        ];
        let taken = BTreeSet::from(["web-to-db".to_owned()]);
        let (rules, count, closed) = suggest("shop", flows, &groups, &taken);
        assert_eq!(
            lines(&rules),
            [
                "several-to-db: 192.0.2.7,network/app > group/db tcp/9000",
                "web-to-db-2: group/web > group/db tcp/5432-5433"
            ]
        );
        assert_eq!((count, closed.len()), (4, 0));
    }

    #[test]
    fn what_rules_refuse_is_never_opened() {
        use FlowVerdict::{Allow, Audit, Deny, Drop, Reject};
        let flows = vec![
            flow("web-1", "db-1", 22, Deny, "rails/no-ssh"),
            flow("web-1", "db-1", 23, Audit, "rails/no-telnet"),
            flow("web-1", "db-1", 24, Reject, "shop/no-guessing"),
            flow("web-1", "db-1", 24, Audit, "shop/strict"),
            flow("web-1", "db-1", 25, Drop, ""),
            flow("web-1", "db-1", 26, Allow, ""),
        ];
        let (rules, count, closed) = suggest("shop", flows, &[], &BTreeSet::new());
        assert_eq!((rules.len(), count, closed.len()), (0, 0, 6));
    }

    #[test]
    fn services_are_written_as_files_have_them() {
        let of = |protocol: &str, port| (protocol.to_owned(), port);
        let services = [
            of("icmp", 0x0800),
            of("tcp", 443),
            of("tcp", 8000),
            of("tcp", 8001),
            of("tcp", 8002),
            of("udp", 53),
            of("47", 0),
        ];
        let texts = written(&services.into());
        assert_eq!(
            texts,
            ["tcp/443", "tcp/8000-8002", "udp/53", "ip/47", "icmp/8"]
        );
        for text in texts {
            assert!(text.parse::<coax_model::Service>().is_ok(), "{text}");
        }
    }
}
