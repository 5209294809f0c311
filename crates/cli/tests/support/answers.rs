//! A small system as the API shows it: always the same.
#![allow(clippy::unwrap_used)]

#[path = "policy.rs"]
mod policy;

use coax_api::*;
use serde::Serialize;

/// Status and body for a request line.
pub fn answers(request: &str) -> (u16, String) {
    let (_, path) = request.split_once(' ').unwrap();
    let path = path.split('?').next().unwrap();
    match path {
        "/v1/ports" => ok(&ports()),
        "/v1/networks" => ok(&networks()),
        "/v1/subnets" => ok(&subnets()),
        "/v1/vteps" => ok(&vteps()),
        "/v1/hosts" => ok(&hosts()),
        "/v1/groups" => ok(&policy::groups()),
        "/v1/groups/shop/web" => ok(&policy::groups().remove(0)),
        "/v1/address-groups" => ok(&policy::address_groups()),
        "/v1/address-groups/rails/management" => ok(&policy::address_groups().remove(0)),
        "/v1/firewalls" => ok(&policy::firewalls()),
        "/v1/firewall-rules" => ok(&policy::rules()),
        "/v1/routers" => ok(&policy::routers()),
        "/v1/routers/shop/gw" => ok(&policy::routers().remove(0)),
        "/v1/projects" => ok(&projects()),
        "/v1/status" => ok(&status()),
        "/v1/drops" => ok(&drops()),
        "/v1/counters" => ok(&counters()),
        "/v1/stacks/shop" => ok(&Plan {
            dry_run: request.contains("dry_run=true"),
            ..plan()
        }),
        "/v1/stacks/bank" => refusal(),
        "/v1/revisions/12/wait" => ok(&realisation()),
        "/v1/ports/shop/web-1" => ok(&ports().remove(0)),
        "/v1/ports/shop/web-2" => ok(&ports().remove(1)),
        "/v1/networks/shop/web" => ok(&networks().remove(0)),
        "/v1/hosts/hv2" => ok(&hosts().remove(1)),
        "/v1/ports/shop/web-1/move" => ok(&Port {
            moving_to: Some("hv2".into()),
            state: PortState::Moving,
            ..ports().remove(0)
        }),
        _ => {
            let hint = "look at the list";
            let kind = path.split('/').nth(2).unwrap().trim_end_matches('s');
            let code = format!("no-such-{kind}");
            let problem = Problem::new(404, &code, "Not found", "no such object", hint);
            (404, serde_json::to_string(&problem).unwrap())
        }
    }
}

fn ok(value: &impl Serialize) -> (u16, String) {
    (200, serde_json::to_string(value).unwrap())
}

fn refusal() -> (u16, String) {
    let refuse = |code: &str, message: &str, hint: &str, field: &str| {
        Problem::new(422, code, "The file breaks a rule", message, hint).at(field)
    };
    let mut problem = refuse(
        "vni-taken",
        "VNI 4096 belongs to network shop/web already",
        "leave `vni` out and a free one is chosen, or write another",
        "networks.vault.vni",
    );
    problem.more.push(refuse(
        "mtu-too-large",
        "MTU 9000 does not fit: the underlay carries 1600, tunnels take 70",
        "leave `mtu` out or write at most 1530",
        "networks.vault.mtu",
    ));
    (422, serde_json::to_string(&problem).unwrap())
}

fn realised(hosts: &[(&str, u64)]) -> ObjectStatus {
    ObjectStatus {
        desired_revision: 12,
        realized: hosts
            .iter()
            .map(|(host, at)| ((*host).to_owned(), *at))
            .collect(),
        conditions: Vec::new(),
    }
}

/// What is plugged in.
pub fn ports() -> Vec<Port> {
    let port = |project: &str, name: &str, last: u8, host: Option<&str>, state| Port {
        id: format!("{project}/{name}"),
        name: name.into(),
        project: project.into(),
        revision: 12,
        network: "web".into(),
        mac: format!("02:aa:bb:cc:dd:{last:02x}"),
        addresses: vec![format!("10.10.1.{last}"), format!("fd00:10:1::{last:x}")],
        gateways: vec!["10.10.1.1".into()],
        prefixes: vec![
            format!("10.10.1.{last}/24"),
            format!("fd00:10:1::{last:x}/64"),
        ],
        mtu: 1530,
        host_wanted: host.map(str::to_owned),
        host: host.map(str::to_owned),
        moving_to: None,
        moved_from: None,
        state,
        device: host.map(|_| "tap0".to_owned()),
        labels: [("role".to_owned(), "front".to_owned())].into(),
        groups: vec!["web".into()],
        allowed_addresses: vec![AllowedAddress {
            ip: "10.10.1.100".into(),
            mac: None,
        }],
        isolated: last == 3,
        trunk: Vec::new(),
        any_address: false,
        any_mac: false,
        may_serve: last == 3,
        status: realised(&[("hv1", 12), ("hv2", 11)]),
    };
    vec![
        port("shop", "web-1", 2, Some("hv1"), PortState::Active),
        port("shop", "web-2", 3, None, PortState::Unbound),
        port("bank", "web-1", 2, Some("hv2"), PortState::Down),
    ]
}

fn networks() -> Vec<Network> {
    vec![Network {
        id: "shop/web".into(),
        name: "web".into(),
        project: "shop".into(),
        revision: 12,
        vni: 4096,
        mtu: 1530,
        subnets: vec!["10.10.1.0/24".into(), "fd00:10:1::/64".into()],
        vlan_transparent: true,
        flood_unknown: false,
        kind: "bridged".into(),
        router: Some("gw".into()),
        dhcp: Some(Dhcp {
            lease_seconds: 86_400,
            routes: Vec::new(),
        }),
        router_advertisements: true,
        dns: Dns {
            domain: "web.shop".into(),
            servers: Vec::new(),
        },
        own_servers: false,
        isolated: false,
        max_endpoints: Some(1000),
        storm_control: StormControl {
            broadcast: Some(500),
            multicast: Some(1000),
            unknown: None,
        },
        shut_seconds: 30,
        ports: 2,
        status: realised(&[("hv1", 12)]),
    }]
}

fn subnets() -> Vec<Subnet> {
    let subnet = |project: &str| Subnet {
        id: format!("{project}/web/10.10.1.0/24"),
        name: "10.10.1.0/24".into(),
        project: project.into(),
        network: "web".into(),
        gateway: "10.10.1.1".into(),
        router: Some("gw".into()),
        dhcp: true,
        used: 2,
        revision: 12,
    };
    vec![subnet("shop"), subnet("bank")]
}

fn vteps() -> Vec<Vtep> {
    Vec::new()
}

fn hosts() -> Vec<Host> {
    let host = |name: &str, last: u8, connected, lag| Host {
        id: name.into(),
        name: name.into(),
        revision: 3,
        vtep_ipv4: Some(format!("192.0.2.{last}")),
        vtep_ipv6: Some(format!("2001:db8::{last}")),
        underlay_mtu: 1600,
        connected,
        ready: connected,
        version: "0.1.0".into(),
        ports: 1,
        networks: 1,
        lag,
        status: ObjectStatus::default(),
    };
    vec![
        host("hv1", 1, true, 0),
        host("hv2", 2, true, 1),
        host("hv3", 3, false, 0),
    ]
}

fn projects() -> Vec<Project> {
    let project = |name: &str| Project {
        id: name.into(),
        name: name.into(),
        networks: 1,
        ports: 2,
        vteps: 0,
        routers: 1,
        groups: 2,
        members: Some(2),
        prefixes: 0,
        rules: 2,
        checks: 0,
        firewall: name == "shop",
        quota: Quota {
            ports: Some(10),
            ..Quota::default()
        },
        own_quota: name == "shop",
    };
    vec![project("bank"), project("shop")]
}

/// A system with one host away.
pub fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        revision: 12,
        generation: 2,
        projects: 2,
        networks: 2,
        ports: PortTotals {
            total: 3,
            active: 1,
            down: 1,
            moving: 0,
            unbound: 1,
        },
        hosts: HostTotals {
            total: 3,
            connected: 2,
            current: 1,
        },
        vteps: 0,
        conditions: vec![Condition {
            code: "host-away".into(),
            host: Some("hv3".into()),
            message: "its agent is not attached".into(),
        }],
        guards: vec![Condition {
            code: "forged-arp".into(),
            host: Some("hv1".into()),
            message: "shop/web-1: its guard `forged-arp` dropped 12 frames since 09:22:40 UTC"
                .into(),
        }],
    }
}

fn drops() -> Drops {
    let drop = |host: &str, port: &str, reason: &str, count, hint: &str| HostDrop {
        host: host.into(),
        port: port.into(),
        reason: reason.into(),
        count,
        hint: hint.into(),
    };
    let hint = "The VM sent with a MAC address that is not its own: nested VMs, a bridge inside the \
                VM, or an attack.";
    Drops {
        drops: vec![
            drop("hv1", "shop/web-1", "forged-source", 7, hint),
            drop("hv2", "bank/web-1", "forged-source", 1024, hint),
            drop(
                "hv2",
                "fabric",
                "no-vni",
                1,
                "A VXLAN header without the flag.",
            ),
        ],
        missing: vec![MissingHost {
            host: "hv3".into(),
            reason: "its agent is away".into(),
        }],
    }
}

fn counters() -> Counters {
    let report = PortReport {
        port: "shop/web-1".into(),
        rx_frames: 100,
        rx_bytes: 6400,
        tx_frames: 90,
        tx_bytes: 5760,
        answered: 4,
        flooded: 2,
        copies: 6,
        punted: 1,
        drops: vec![DropCount {
            reason: "forged-source".into(),
            count: 7,
        }],
    };
    let usage = |name: &str, entries| TableUsage {
        name: name.into(),
        entries,
        capacity: 1000,
    };
    Counters {
        ports: vec![HostPortCounters {
            host: "hv1".into(),
            counters: report,
        }],
        tables: vec![
            HostTable {
                host: "hv1".into(),
                usage: usage("macs", 950),
            },
            HostTable {
                host: "hv1".into(),
                usage: usage("tunnels", 0),
            },
        ],
        rules: vec![rule_hits("hv1", 7, 90), rule_hits("hv2", 3, 5)],
        missing: Vec::new(),
    }
}

fn rule_hits(host: &str, hits: u64, idle_seconds: u64) -> HostRule {
    HostRule {
        host: host.into(),
        hits: RuleHits {
            project: "shop".into(),
            rule: "shop/users".into(),
            hits,
            idle_seconds,
        },
    }
}

fn plan() -> Plan {
    let change = |action, kind: &str, name: &str, detail: &str| PlannedChange {
        action,
        kind: kind.into(),
        name: name.into(),
        detail: detail.into(),
    };
    Plan {
        project: "shop".into(),
        changes: vec![
            change(Action::Delete, "vtep", "legacy", ""),
            change(
                Action::Create,
                "network",
                "web",
                "VNI 4096, MTU 1530, subnets 10.10.1.0/24",
            ),
            change(Action::Change, "port", "web-1", "host hv1 -> hv2"),
        ],
        sentences: Vec::new(),
        hosts: vec!["hv1".into(), "hv2".into()],
        gained: vec!["web-* may now reach db-* on tcp/5432".into()],
        lost: vec!["app-1 may no longer reach db-* on everything".into()],
        checks: policy::checks(),
        dry_run: false,
        revision: 12,
        realisation: None,
    }
}

fn realisation() -> Realisation {
    Realisation {
        revision: 12,
        done: false,
        realized: vec!["hv1".into(), "hv2".into()],
        missing: vec![HostWait {
            host: "hv3".into(),
            revision: 9,
            connected: false,
            reason: "its agent is away since 5 minutes; it has revision 9".into(),
        }],
    }
}
