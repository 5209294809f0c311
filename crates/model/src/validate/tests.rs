//! One test row for each rule: what is written, which field is blamed, and why.

use crate::file::StackFile;
use crate::intent::{Change, Host, Intent};
use crate::plan::plan;
use crate::validate::check_host;

/// The fields and codes of everything refused.
fn refused(objects: &str, intent: &Intent) -> Vec<(String, &'static str)> {
    let text = format!("version: 1\nproject: shop\n{objects}");
    let file = StackFile::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    match plan(&file, intent) {
        Ok(_) => Vec::new(),
        Err(refusals) => {
            assert!(
                refusals
                    .0
                    .iter()
                    .all(|refusal| !refusal.rule.hint().is_empty())
            );
            let seen = |refusal: &crate::Refusal| (refusal.path.to_string(), refusal.rule.code());
            refusals.0.iter().map(seen).collect()
        }
    }
}

fn alone(objects: &str) -> Vec<(String, &'static str)> {
    refused(objects, &Intent::default())
}

/// An intent with project `bank`: network `web` (VNI 4096), and host hv1 at 192.0.2.1, 2001:db8::1.
fn intent() -> Intent {
    let text = "version: 1\nproject: bank\nnetworks:\n  web: { subnets: [10.10.1.0/24] }\n";
    let mut intent = Intent::default();
    let plan = plan(&StackFile::parse(text).unwrap(), &intent).unwrap();
    plan.changes()
        .iter()
        .for_each(|change| intent.apply(change));
    let (ipv4, ipv6) = ("192.0.2.1".parse().ok(), "2001:db8::1".parse().ok());
    let host = Host {
        ipv4,
        ipv6,
        underlay_mtu: 1600,
    };
    intent.apply(&Change::PutHost {
        name: "hv1".parse().unwrap(),
        host,
    });
    intent
}

fn one(field: &str, code: &'static str) -> Vec<(String, &'static str)> {
    vec![(field.to_owned(), code)]
}

#[test]
fn what_is_right_is_taken() {
    let objects = "\
networks: { web: { subnets: [10.10.1.0/24, \"fd00:10:1::/64\"] }, raw: { vlan_transparent: true } }
ports:
  a: { network: web, addresses: [10.10.1.1, \"fd00:10:1::1\"] }
  b: { network: web, mac: 02:00:00:00:00:01, host: hv1 }
  c: { network: raw, mac: 02:00:00:00:00:01 }
vteps:
  x: { address: 192.0.2.99, networks: [web], macs: [02:00:00:00:00:02] }
  y: { address: \"2001:db8::99\", networks: [web, raw], udp6_zero_checksum: true }
";
    assert_eq!(refused(objects, &intent()), []);
}

#[test]
fn versions() {
    let file = StackFile::parse("version: 2\nproject: shop\n").unwrap();
    let refusals = plan(&file, &Intent::default()).unwrap_err();
    assert_eq!(refusals.0[0].rule.code(), "file-version");
}

#[test]
fn vnis() {
    let network = |vni: &str| format!("networks: {{ a: {{ vni: {vni} }} }}\n");
    assert_eq!(alone(&network("0")), one("networks.a.vni", "vni-range"));
    assert_eq!(
        alone(&network("16777216")),
        one("networks.a.vni", "vni-range")
    );
    assert_eq!(
        refused(&network("4096"), &intent()),
        one("networks.a.vni", "vni-taken")
    );
    let twice = "networks: { a: { vni: 7 }, b: { vni: 7 } }\n";
    assert_eq!(alone(twice), one("networks.b.vni", "vni-taken"));
}

#[test]
fn mtus() {
    let network = |mtu: u32| format!("networks: {{ a: {{ mtu: {mtu} }} }}\n");
    assert_eq!(alone(&network(1279)), one("networks.a.mtu", "mtu-range"));
    assert_eq!(alone(&network(1530)), []);
    assert_eq!(
        alone(&network(1531)),
        one("networks.a.mtu", "mtu-too-large")
    );
    let tagged =
        |mtu: u32| format!("networks: {{ a: {{ mtu: {mtu}, vlan_transparent: true }} }}\n");
    assert_eq!(alone(&tagged(1522)), []);
    assert_eq!(alone(&tagged(1523)), one("networks.a.mtu", "mtu-too-large"));
    let small = Intent::new(1300);
    assert_eq!(
        refused("networks: { a: {} }\n", &small),
        one("networks.a.mtu", "underlay-too-small")
    );
    assert_eq!(refused(&network(9216), &Intent::new(65_536)), []);
}

#[test]
fn subnets() {
    for (subnets, code) in [
        ("[10.0.0.0/24, 10.0.0.128/25]", "subnet-overlap"),
        ("[10.0.0.0/24, 10.0.0.0/24]", "subnet-overlap"),
        ("[10.1.0.0/24, 10.0.0.1/24]", "subnet-host-bits"),
        ("[10.1.0.0/24, 10.0.0.0/31]", "subnet-too-small"),
        ("[10.1.0.0/24, \"fd00::/127\"]", "subnet-too-small"),
        ("[10.1.0.0/24, 224.0.0.0/24]", "subnet-unusable"),
        ("[10.1.0.0/24, \"::ffff:10.0.0.0/104\"]", "subnet-unusable"),
        ("[10.1.0.0/24, \"fe80::/64\"]", "subnet-unusable"),
        ("[\"fd00::/64\", 0.0.0.0/0]", "subnet-unusable"),
    ] {
        let objects = format!("networks: {{ a: {{ subnets: {subnets} }} }}\n");
        assert_eq!(
            alone(&objects),
            one("networks.a.subnets[1]", code),
            "{subnets}"
        );
    }
    let many: Vec<String> = (0..17).map(|n| format!("10.{n}.0.0/24")).collect();
    let objects = format!("networks: {{ a: {{ subnets: [{}] }} }}\n", many.join(", "));
    assert_eq!(alone(&objects), one("networks.a.subnets", "too-many"));
}

#[test]
fn ports() {
    let network = "networks: { web: { subnets: [10.10.1.0/24] } }\n";
    for (port, field, code) in [
        ("network: app", "network", "unknown-network"),
        (
            "network: web, mac: 01:00:00:00:00:01",
            "mac",
            "mac-unusable",
        ),
        (
            "network: web, mac: 00:00:00:00:00:00",
            "mac",
            "mac-unusable",
        ),
        ("network: web, mac: 02:00:00:00:00:01", "mac", "mac-taken"),
        (
            "network: web, addresses: [10.10.1.9, 10.10.2.9]",
            "addresses[1]",
            "address-outside",
        ),
        (
            "network: web, addresses: [10.10.1.9, 10.10.1.7]",
            "addresses[1]",
            "address-taken",
        ),
        (
            "network: web, addresses: [10.10.1.9, 10.10.1.9]",
            "addresses[1]",
            "address-taken",
        ),
        (
            "network: web, addresses: [10.10.1.9, 10.10.1.0]",
            "addresses[1]",
            "address-reserved",
        ),
        (
            "network: web, addresses: [10.10.1.9, 10.10.1.255]",
            "addresses[1]",
            "address-reserved",
        ),
    ] {
        let first = "a: { network: web, mac: 02:00:00:00:00:01, addresses: [10.10.1.7] }";
        let objects = format!("{network}ports:\n  {first}\n  b: {{ {port} }}\n");
        assert_eq!(
            alone(&objects),
            one(&format!("ports.b.{field}"), code),
            "{port}"
        );
    }
    let many: Vec<String> = (2..35).map(|n| format!("10.10.1.{n}")).collect();
    let list = many.join(", ");
    let objects = format!("{network}ports: {{ a: {{ network: web, addresses: [{list}] }} }}\n");
    assert_eq!(alone(&objects), one("ports.a.addresses", "too-many"));
}

#[test]
fn a_clash_with_a_chosen_address_is_blamed_on_what_was_written() {
    let network = "networks: { web: { subnets: [10.10.1.0/24] } }\n";
    let before =
        format!("version: 1\nproject: shop\n{network}ports: {{ z: {{ network: web }} }}\n");
    let mut intent = Intent::default();
    let changes = plan(&StackFile::parse(&before).unwrap(), &intent)
        .unwrap()
        .changes();
    changes.iter().for_each(|change| intent.apply(change));
    let ports = "ports:\n  a: { network: web, addresses: [10.10.1.2] }\n  z: { network: web }\n";
    let objects = format!("{network}{ports}");
    assert_eq!(
        refused(&objects, &intent),
        one("ports.a.addresses[0]", "address-taken")
    );
}

#[test]
fn a_full_subnet_is_refused() {
    let objects = "\
networks: { web: { subnets: [10.10.1.0/30] } }
ports: { a: { network: web }, b: { network: web } }
";
    assert_eq!(alone(objects), one("ports.b", "addresses-exhausted"));
}

#[test]
fn foreign_endpoints() {
    let network = "networks: { web: { subnets: [10.10.1.0/24] } }\n";
    for (vtep, field, code) in [
        (
            "address: 192.0.2.9, networks: [wbe]",
            "networks[0]",
            "unknown-network",
        ),
        (
            "address: \"2001:db8::9\", networks: [web]",
            "address",
            "zero-checksum",
        ),
        (
            "address: 224.0.0.9, networks: [web]",
            "address",
            "endpoint-unusable",
        ),
        (
            "address: 127.0.0.1, networks: [web]",
            "address",
            "endpoint-unusable",
        ),
        (
            "address: \"fe80::1\", networks: [web]",
            "address",
            "endpoint-unusable",
        ),
        (
            "address: \"::ffff:192.0.2.9\", networks: [web]",
            "address",
            "endpoint-unusable",
        ),
        (
            "address: 192.0.2.1, networks: [web]",
            "address",
            "endpoint-is-host",
        ),
        (
            "address: 192.0.2.7, networks: [web]",
            "address",
            "endpoint-taken",
        ),
        (
            "address: 192.0.2.9, networks: [web], macs: [01:00:00:00:00:00]",
            "macs[0]",
            "mac-unusable",
        ),
        (
            "address: 192.0.2.9, networks: [web], macs: [02:00:00:00:00:01]",
            "macs[0]",
            "mac-taken",
        ),
    ] {
        let first = "a: { address: 192.0.2.7, networks: [web] }";
        let ports = "ports: { p: { network: web, mac: 02:00:00:00:00:01 } }\n";
        let objects = format!("{network}{ports}vteps:\n  {first}\n  b: {{ {vtep} }}\n");
        let field = format!("vteps.b.{field}");
        assert_eq!(refused(&objects, &intent()), one(&field, code), "{vtep}");
    }
}

#[test]
fn hosts() {
    let mut intent = intent();
    let objects = "\
version: 1
project: shop
networks: { web: {} }
vteps: { x: { address: 192.0.2.99, networks: [web] } }
";
    let changes = plan(&StackFile::parse(objects).unwrap(), &intent)
        .unwrap()
        .changes();
    changes.iter().for_each(|change| intent.apply(change));
    let code = |name: &str, ipv4: Option<&str>, ipv6: Option<&str>| {
        let ipv4 = ipv4.map(|text| text.parse().unwrap());
        let ipv6 = ipv6.map(|text| text.parse().unwrap());
        let host = Host {
            ipv4,
            ipv6,
            underlay_mtu: 1600,
        };
        let result = check_host(&name.parse().unwrap(), &host, &intent);
        result.map_err(|refusals| refusals.0[0].rule.code())
    };
    assert_eq!(code("hv1", Some("192.0.2.1"), Some("2001:db8::1")), Ok(()));
    assert_eq!(code("hv2", Some("192.0.2.2"), None), Ok(()));
    assert_eq!(code("hv2", None, None), Err("host-without-address"));
    assert_eq!(
        code("hv2", Some("192.0.2.1"), None),
        Err("endpoint-is-host")
    );
    assert_eq!(
        code("hv2", Some("192.0.2.2"), Some("2001:db8::1")),
        Err("endpoint-is-host")
    );
    assert_eq!(
        code("hv2", Some("192.0.2.99"), None),
        Err("host-is-endpoint")
    );
    assert_eq!(code("hv2", Some("0.0.0.0"), None), Err("endpoint-unusable"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let objects = "networks: { a: { vni: 0, mtu: 5 } }\nports: { p: { network: x } }\n";
    assert_eq!(alone(objects).len(), 3);
}

#[test]
fn two_projects_may_be_equal_in_everything_but_the_vni() {
    let objects =
        "networks: { web: { subnets: [10.10.1.0/24] } }\nports: { a: { network: web } }\n";
    assert_eq!(refused(objects, &intent()), []);
}
