//! A firewall of many rules, as nftables on a bridge and as rows of Coax: the same rules for both.
//!
//! All rules but the last one are about connections that the traffic does not belong to, as most rules of
//! most firewalls are. The last one lets the two VMs talk, by TCP, UDP and ICMP.

use crate::Error;
use crate::rows::Tenant;
use crate::vm::Vm;
use coax_compile::policy::{
    Action, AddressPrefix, Domain, Element, Label, Limits, Match, Operation, Place, Policy, Rule,
    Selector, ServiceRange, Settings, Verdict,
};
use coax_netlink::Namespace;
use coax_vswitch::Row;
use coax_wire::ip::protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Connections that the ports of one host may have: enough for every figure.
const QUOTA: u32 = 200_000;

/// Who the rules that do not matter are about.
const ELSEWHERE: u32 = u32::from_be_bytes([198, 18, 0, 0]);

/// A firewall on both hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filter {
    /// How many rules; the last one lets the traffic pass.
    pub rules: u32,
    /// For nftables: packets of known connections are let through before the rules. Otherwise behind them, as where
    /// rules are to hold for connections that stand, too, which those of Coax always do.
    pub state_first: bool,
}

/// A rule that the traffic does not match.
struct Other {
    from: Ipv4Addr,
    port: u16,
}

impl Filter {
    fn others(self) -> impl Iterator<Item = Other> {
        (0..self.rules.saturating_sub(1)).map(|number| Other {
            from: Ipv4Addr::from(ELSEWHERE + number),
            port: (number % 50_000) as u16 + 1,
        })
    }

    /// Puts the rules in front of what the host's bridges forward.
    ///
    /// # Errors
    /// When `nft` is not there or refuses them.
    pub(crate) fn install(self, host: &Namespace) -> Result<(), Error> {
        for family in ["ip", "ip6"] {
            host.write_sysctl(&format!("net.bridge.bridge-nf-call-{family}tables"), "1")?;
        }
        let mut nft = host.spawn(Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()))?;
        if let Some(mut input) = nft.stdin.take() {
            input
                .write_all(self.ruleset().as_bytes())
                .map_err(Error::io("write to nft"))?;
        }
        let status = nft.wait().map_err(Error::io("wait for nft"))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Traffic {
            what: "nft -f".to_owned(),
            expected: "success".to_owned(),
            found: status.to_string(),
        })
    }

    fn ruleset(self) -> String {
        const KNOWN: &str = "ct state established,related accept\n";
        let mut text = String::from(
            "table inet coax {\nchain forward {\ntype filter hook forward priority 0; policy drop;\n",
        );
        if self.state_first {
            text.push_str(KNOWN);
        }
        for Other { from, port } in self.others() {
            let _ = writeln!(text, "ip saddr {from} tcp dport {port} accept");
        }
        if !self.state_first {
            text.push_str(KNOWN);
        }
        let (one, other) = (Vm::number(1).ipv4, Vm::number(2).ipv4);
        let _ = writeln!(
            text,
            "ip saddr {{ {one}, {other} }} ip daddr {{ {one}, {other} }} accept\n}}\n}}"
        );
        text
    }

    /// The rules as rows of a host of Coax.
    ///
    /// # Errors
    /// When there are more than the tables take.
    pub(crate) fn rows(self, tenant: Tenant) -> Result<Vec<Row>, Error> {
        let place = Place {
            domain: tenant.domain(),
            table: tenant.domain().0,
            generation: 1,
            scopes: BTreeSet::from([tenant.network().0]),
            limits: Limits::DEFAULT,
        };
        let mut last = 0;
        let mut number = |_: &Label| {
            last += 1;
            last
        };
        let (_, update) = Domain::compile(place, &self.policy(tenant), &mut number)?;
        Ok(update.make.into_iter().filter_map(row).collect())
    }

    fn policy(self, tenant: Tenant) -> Policy {
        let others = self.others().enumerate().map(|(place, other)| {
            let from = AddressPrefix::host(other.from.into());
            rule(
                place as u32,
                Selector::Prefix(from),
                Match::OneOf(vec![service(protocol::TCP, other.port, other.port)]),
            )
        });
        let vms = rule(self.rules, Selector::Group("group/vms".into()), Match::Any);
        let members = [0, 1].map(|place| Element {
            scope: None,
            prefix: AddressPrefix::host(IpAddr::V4(tenant.vm(place).ipv4)),
        });
        Policy {
            settings: Settings {
                default: verdict(Action::Deny),
                quota: QUOTA,
            },
            rules: others
                .chain([vms])
                .map(|rule| (rule.name.clone(), Arc::new(rule)))
                .collect(),
            groups: BTreeMap::from([("group/vms".into(), BTreeSet::from(members))]),
        }
    }
}

const fn verdict(action: Action) -> Verdict {
    Verdict {
        action,
        log: false,
        audit: false,
    }
}

const fn service(protocol: u8, first: u16, last: u16) -> ServiceRange {
    ServiceRange {
        protocol,
        first,
        last,
    }
}

fn rule(place: u32, from: Selector, services: Match<ServiceRange>) -> Rule {
    Rule {
        name: format!("bench/rule-{place}").into(),
        order: (1 << 30) + place * 1024,
        from: Match::OneOf(vec![from]),
        to: Match::OneOf(vec![Selector::Group("group/vms".into())]),
        services,
        verdict: verdict(Action::Allow),
    }
}

/// The row that an operation writes; a first policy deletes none.
fn row(operation: Operation) -> Option<Row> {
    match operation {
        Operation::PutDomain(id, row) => Some(Row::Domain(id, row)),
        Operation::PutClass(key, row) => Some(Row::Class(key, row)),
        Operation::PutService(key, row) => Some(Row::Service(key, row)),
        Operation::PutPolicy(key, row) => Some(Row::Policy(key, row)),
        Operation::DeleteDomain(_)
        | Operation::DeleteClass(_)
        | Operation::DeleteService(_)
        | Operation::DeletePolicy(_) => None,
    }
}
