//! What ports may use, where their trunks lead, and how many a network takes.

use super::*;

#[test]
fn allowed_addresses_are_shared_or_free() {
    let allow = |entry: &str| port(&format!("network: web, allowed_addresses: [{entry}]"));
    assert_eq!(
        allow("10.1.0.100, { ip: 10.1.0.101, mac: 00:00:5e:00:01:01 }"),
        [""; 0]
    );
    let path = "ports.db-1.allowed_addresses[0]";
    for (entry, expected) in [
        ("10.9.0.1", format!("{path} address-outside")),
        ("10.1.0.9", format!("{path} allowed-taken")),
        (
            "{ ip: 10.1.0.100, mac: 01:00:00:00:00:01 }",
            format!("{path}.mac mac-unusable"),
        ),
    ] {
        assert_eq!(allow(entry), [expected], "{entry}");
    }
}

#[test]
fn a_trunk_leads_into_each_network_once() {
    assert_eq!(port("network: raw, trunk: { 10: web, 20: app }"), [""; 0]);
    for (entry, expected) in [
        (
            "network: web, trunk: { 10: web }",
            "ports.db-1.trunk.10 network-twice",
        ),
        (
            "network: raw, trunk: { 10: web, 20: web }",
            "ports.db-1.trunk.20 network-twice",
        ),
        (
            "network: raw, trunk: { 10: wbe }",
            "ports.db-1.trunk.10 unknown-network",
        ),
        (
            "network: raw, trunk: { 10: { network: web, addresses: [10.1.0.9] } }",
            "ports.web-1.addresses[0] address-taken",
        ),
        (
            "network: raw, trunk: { 10: { network: web, addresses: [10.2.0.9] } }",
            "ports.db-1.trunk.10.addresses[0] address-outside",
        ),
    ] {
        let seen: Vec<String> = port(entry);
        assert!(seen.contains(&expected.to_owned()), "{entry}: {seen:?}");
    }
    let tagged = BASE.replace("raw: {}", "raw: { vlan_transparent: true }");
    let trunk = tagged.replace("{ network: app }", "{ network: raw, trunk: { 10: web } }");
    assert_eq!(
        refused_by(&trunk, &Intent::default()),
        ["ports.db-1.trunk trunk-transparent"]
    );
}

#[test]
fn the_port_over_the_limit_is_refused_and_those_who_are_there_are_not() {
    let file = |max: u32, ports: &str| {
        format!(
            "version: 1\nproject: shop\nnetworks: {{ net: {{ max_endpoints: {max} }}, m: {{}} }}\nports:\n{ports}"
        )
    };
    let two = "  b: { network: net }\n  c: { network: net }\n";
    let mut intent = Intent::default();
    let plan = plan_file(&File::parse(&file(2, two)).unwrap(), &intent).unwrap();
    plan.changes()
        .iter()
        .for_each(|change| intent.apply(change));
    let three = format!("  a: {{ network: net }}\n{two}");
    assert_eq!(
        refused_by(&file(2, &three), &intent),
        ["ports.a.network endpoints-exceeded"]
    );
    let trunk = format!("{two}  d: {{ network: m, trunk: {{ 7: net }} }}\n");
    assert_eq!(
        refused_by(&file(2, &trunk), &intent),
        ["ports.d.trunk.7 endpoints-exceeded"]
    );
    assert_eq!(
        refused_by(&file(1, two), &intent),
        ["networks.net.max_endpoints endpoints-exceeded"]
    );
    assert_eq!(refused_by(&file(3, &three), &intent), [""; 0]);
}
