//! Which names exist, and in which zone.

use super::*;
use crate::stand::Stand;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn found(text: &str, stand: &Stand) -> Option<(String, Data)> {
    let entry = find(&name(text), &stand.asker())?;
    Some((entry.apex.to_ascii(), entry.data))
}

#[test]
fn names_of_ports_and_networks() {
    let stand = Stand::routed();
    let web_1 = Data::Addresses(vec![address("10.10.1.11"), address("fd00:10:1::11")]);
    let app_1 = Data::Addresses(vec![address("10.10.3.7")]);
    let gateway = Data::Addresses(vec![address("10.10.2.1")]);
    for (text, apex, data) in [
        ("web-1.web.shop.", "web.shop", web_1.clone()),
        ("WEB-1.Web.SHOP.", "web.shop", web_1.clone()),
        (
            "web-1.web.shop.cloud.example.",
            "shop.cloud.example.",
            web_1,
        ),
        ("app-1.app.shop.", "app.shop", app_1),
        ("app.shop.", "app.shop", gateway.clone()),
        ("app.shop.cloud.example.", "shop.cloud.example.", gateway),
        ("bare.web.shop.", "web.shop", Data::Addresses(vec![])),
        (
            "shop.cloud.example.",
            "shop.cloud.example.",
            Data::Addresses(vec![]),
        ),
        ("web-9.web.shop.", "web.shop", Data::Nothing),
        ("app-1.web.shop.", "web.shop", Data::Nothing),
        ("a.web-1.web.shop.", "web.shop", Data::Nothing),
        (
            "db.shop.cloud.example.",
            "shop.cloud.example.",
            Data::Nothing,
        ),
        (
            "db-1.db.shop.cloud.example.",
            "shop.cloud.example.",
            Data::Nothing,
        ),
        (
            "a.web-1.web.shop.cloud.example.",
            "shop.cloud.example.",
            Data::Nothing,
        ),
    ] {
        let (found_apex, found_data) = found(text, &stand).unwrap();
        assert_eq!(
            found_apex.trim_end_matches('.'),
            apex.trim_end_matches('.'),
            "{text}"
        );
        assert_eq!(found_data, data, "{text}");
    }
}

#[test]
fn other_names_are_elsewhere() {
    let stand = Stand::routed();
    for text in [
        ".",
        "example.org.",
        "shop.",
        "db.shop.",
        "db-1.db.shop.",
        "web-1.web.other.",
        "cloud.example.",
        "other.cloud.example.",
        "web-1.web.other.cloud.example.",
        "arpa.",
        "1.0.168.192.in-addr.arpa.",
        "10.in-addr.arpa.",
        "10.10.in-addr.arpa.",
        "1.0.0.0.ip6.arpa.",
    ] {
        assert_eq!(found(text, &stand), None, "{text}");
    }
    // Without a router, the other network is not in reach; without a domain, there is no name below it.
    let isolated = Stand::isolated();
    for text in [
        "app.shop.",
        "app-1.app.shop.",
        "web-1.web.shop.cloud.example.",
    ] {
        assert_eq!(found(text, &isolated), None, "{text}");
    }
}

#[test]
fn addresses_have_names() {
    let stand = Stand::routed();
    let web_1 = Data::Pointer(name("web-1.web.shop.cloud.example."));
    let ip6 = "0.0.0.0.0.0.0.0.1.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa";
    for (text, apex, data) in [
        (
            "11.1.10.10.in-addr.arpa.",
            "1.10.10.in-addr.arpa",
            web_1.clone(),
        ),
        (
            "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa.",
            "0.0.0.0.1.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa",
            web_1,
        ),
        (
            "1.1.10.10.in-addr.arpa.",
            "1.10.10.in-addr.arpa",
            Data::Pointer(name("web.shop.cloud.example.")),
        ),
        (
            "99.1.10.10.in-addr.arpa.",
            "1.10.10.in-addr.arpa",
            Data::Nothing,
        ),
        (
            "1.10.10.in-addr.arpa.",
            "1.10.10.in-addr.arpa",
            Data::Addresses(vec![]),
        ),
        // A /23: two zones of a /24 each.
        (
            "7.3.10.10.in-addr.arpa.",
            "3.10.10.in-addr.arpa",
            Data::Pointer(name("app-1.app.shop.cloud.example.")),
        ),
        (
            "7.2.10.10.in-addr.arpa.",
            "2.10.10.in-addr.arpa",
            Data::Nothing,
        ),
    ] {
        let (found_apex, found_data) = found(text, &stand).unwrap();
        assert_eq!(found_apex.trim_end_matches('.'), apex, "{text}");
        assert_eq!(found_data, data, "{text}");
    }
    let short = format!("{}.", &ip6[8..]);
    let (_, data) = found(&short, &stand).unwrap();
    assert_eq!(data, Data::Addresses(vec![]), "{short}");
    let isolated = Stand::isolated();
    let (_, data) = found("11.1.10.10.in-addr.arpa.", &isolated).unwrap();
    assert_eq!(data, Data::Pointer(name("web-1.web.shop.")));
}

#[test]
fn a_prefix_between_whole_octets_is_cut_behind() {
    for (prefix, cut) in [
        ("10.0.0.0/8", 8),
        ("10.0.0.0/9", 16),
        ("10.0.0.0/26", 32),
        ("fd00::/64", 64),
        ("fd00::/61", 64),
        ("fd00::/126", 128),
    ] {
        assert_eq!(cut_of(prefix.parse().unwrap()), cut, "{prefix}");
    }
}

#[test]
fn unqualified_names_are_looked_for_where_they_can_be_found() {
    let names = |stand: &Stand| -> Vec<String> {
        search(&stand.network)
            .iter()
            .map(|name| name.to_ascii())
            .collect()
    };
    assert_eq!(
        names(&Stand::routed()),
        [
            "web.shop.cloud.example.",
            "shop.cloud.example.",
            "cloud.example."
        ]
    );
    let isolated = names(&Stand::isolated());
    assert_eq!(isolated.len(), 1);
    assert_eq!(isolated[0].trim_end_matches('.'), "web.shop");
}

#[test]
fn domains_are_written_with_or_without_a_dot() {
    assert_eq!(crate::domain("cloud.example"), Some(name("cloud.example.")));
    assert_eq!(
        crate::domain("cloud.example."),
        Some(name("cloud.example."))
    );
    for none in ["", ".", "a..b", &"x".repeat(64)] {
        assert_eq!(crate::domain(none), None, "{none}");
    }
}
