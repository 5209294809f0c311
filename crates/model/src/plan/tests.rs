//! Plans: what they say, what they choose, and that applying one leaves nothing to plan.

use super::*;
use crate::export::{export, to_yaml};
use crate::intent::Binding;
use crate::name::HostName;
use proptest::collection::btree_map;
use proptest::prelude::*;

const SHOP: &str = "\
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24, \"fd00:10:1::/64\"] }
  raw: { vlan_transparent: true }
ports:
  web-1: { network: web, host: hv1 }
  web-2: { network: web, addresses: [10.10.1.2] }
  tap: { network: raw }
vteps:
  old: { address: 192.0.2.99, networks: [web] }
";

fn list(addresses: &[std::net::IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(" ")
    }
}

fn apply(text: &str, intent: &mut Intent) -> Plan {
    let plan = plan(&StackFile::parse(text).unwrap(), intent).unwrap();
    plan.changes()
        .iter()
        .for_each(|change| intent.apply(change));
    plan
}

#[test]
fn what_was_left_out_is_chosen_around_what_was_written() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let port = |name: &str| &intent.ports[&name.parse().unwrap()];
    assert_eq!(
        list(&port("shop/web-1").addresses),
        "10.10.1.3 fd00:10:1::2"
    );
    assert_eq!(list(&port("shop/web-2").addresses), "10.10.1.2");
    assert_eq!(list(&port("shop/tap").addresses), "none");
    let network = |name: &str| &intent.networks[&name.parse().unwrap()];
    assert_eq!(network("shop/raw").vni.get(), 4096);
    assert_eq!(network("shop/web").vni.get(), 4097);
    assert_eq!(network("shop/web").mtu.get(), 1530);
}

#[test]
fn applying_a_plan_leaves_nothing_to_plan() {
    let mut intent = Intent::default();
    assert_eq!(apply(SHOP, &mut intent).steps.len(), 6);
    assert!(apply(SHOP, &mut intent).is_empty());
}

#[test]
fn sentences_say_what_changes() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let host: HostName = "hv4".parse().unwrap();
    let port = "shop/web-2".parse().unwrap();
    intent.apply(&Change::PutBinding {
        port,
        binding: Binding::at(host),
    });
    let changed = SHOP
        .replace("host: hv1", "host: hv3")
        .replace("raw: { vlan_transparent: true }", "raw: { mtu: 1400 }")
        .replace("  web-2: { network: web, addresses: [10.10.1.2] }\n", "")
        .replace(
            "  tap: { network: raw }\n",
            "  tap: { network: raw }\n  new: { network: web }\n",
        );
    let file = StackFile::parse(&changed).unwrap();
    let expected = [
        "delete port shop/web-2: it is plugged in on hv4 and loses its network",
        "change network shop/raw: MTU 1522 -> 1400, vlan_transparent true -> false",
        "create port shop/new: network web, MAC 02:52:58:77:4b:d2, addresses 10.10.1.2 fd00:10:1::3",
        "change port shop/web-1: host hv1 -> hv3",
    ];
    assert_eq!(plan(&file, &intent).unwrap().sentences(), expected);
}

#[test]
fn what_the_file_does_not_say_is_kept() {
    let mut intent = Intent::default();
    let written = SHOP.replace(
        "raw: { vlan_transparent: true }",
        "raw: { mtu: 1400, vni: 77 }",
    );
    apply(&written, &mut intent);
    let silent = SHOP.replace("raw: { vlan_transparent: true }", "raw: {}");
    assert!(apply(&silent, &mut intent).is_empty());
}

#[test]
fn a_new_subnet_gives_addresses_to_ports_that_left_them_to_coax() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    apply(
        &SHOP.replace("[10.10.1.0/24,", "[10.10.1.0/24, 10.20.0.0/24,"),
        &mut intent,
    );
    let port = |name: &str| list(&intent.ports[&name.parse().unwrap()].addresses);
    assert_eq!(port("shop/web-1"), "10.10.1.3 10.20.0.2 fd00:10:1::2");
    assert_eq!(port("shop/web-2"), "10.10.1.2");
}

#[test]
fn a_port_that_changes_its_network_keeps_its_mac_and_gets_addresses_there() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let name = "shop/tap".parse().unwrap();
    let before = intent.ports[&name].clone();
    apply(
        &SHOP.replace("tap: { network: raw }", "tap: { network: web }"),
        &mut intent,
    );
    assert_eq!(intent.ports[&name].mac, before.mac);
    assert_eq!(
        list(&intent.ports[&name].addresses),
        "10.10.1.4 fd00:10:1::3"
    );
}

#[test]
fn a_smaller_underlay_lowers_what_was_chosen() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    intent.underlay_mtu = 1500;
    let plan = apply(SHOP, &mut intent);
    assert_eq!(
        plan.sentences()[0],
        "change network shop/raw: MTU 1522 -> 1422"
    );
}

#[test]
fn deleting_a_project_leaves_the_others() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    apply(&SHOP.replace("shop", "shop-2"), &mut intent);
    let mut expected = Intent::default();
    apply(&SHOP.replace("shop", "shop-2"), &mut expected);
    let gone = plan_delete(&"shop".parse().unwrap(), &intent);
    gone.changes()
        .iter()
        .for_each(|change| intent.apply(change));
    assert_eq!(
        intent.ports.keys().collect::<Vec<_>>(),
        expected.ports.keys().collect::<Vec<_>>()
    );
    assert_eq!(intent.projects(), ["shop-2".parse().unwrap()]);
}

#[test]
fn the_export_of_an_import_is_the_same_text() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    let project = "shop".parse().unwrap();
    let text = to_yaml(&export(&project, &intent)).unwrap();
    assert!(apply(&text, &mut intent).is_empty());
    let mut empty = Intent::default();
    apply(&text, &mut empty);
    assert_eq!(empty.networks, intent.networks);
    assert_eq!(empty.ports, intent.ports);
    assert_eq!(empty.vteps, intent.vteps);
    assert_eq!(to_yaml(&export(&project, &empty)).unwrap(), text);
}

#[test]
fn json_carries_a_file_as_well() {
    let file = StackFile::parse(SHOP).unwrap();
    let json = serde_json::to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<StackFile>(&json).unwrap(), file);
}

#[test]
fn changes_and_intents_survive_json() {
    let mut intent = Intent::default();
    let changes = apply(SHOP, &mut intent).changes();
    let json = serde_json::to_string(&changes).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Change>>(&json).unwrap(), changes);
    let json = serde_json::to_string(&intent).unwrap();
    assert_eq!(serde_json::from_str::<Intent>(&json).unwrap(), intent);
}

#[test]
fn two_projects_with_equal_files_get_equal_addresses_and_their_own_numbers() {
    let mut intent = Intent::default();
    apply(SHOP, &mut intent);
    apply(&SHOP.replace("project: shop", "project: bank"), &mut intent);
    let port = |name: &str| &intent.ports[&name.parse().unwrap()];
    assert_eq!(port("shop/web-1").addresses, port("bank/web-1").addresses);
    let network = |name: &str| &intent.networks[&name.parse().unwrap()];
    assert_ne!(network("shop/web").vni, network("bank/web").vni);
}

/// Files of one project with few names, so that two of them overlap.
fn files() -> impl Strategy<Value = String> {
    let network = prop_oneof![
        Just("{}"),
        Just("{ subnets: [10.0.0.0/28] }"),
        Just("{ subnets: [10.0.0.0/28, \"fd00::/64\"], vni: 9 }"),
        Just("{ subnets: [\"fd00::/64\"], mtu: 1300, flood_unknown: true }"),
    ];
    let port = prop_oneof![
        Just("{ network: n }"),
        Just("{ network: m, host: hv1 }"),
        Just("{ network: n, addresses: [] }"),
        Just("{ network: m, mac: 02:00:00:00:00:07 }"),
    ];
    (network.clone(), network, btree_map("[a-e]", port, 0..5)).prop_map(|(n, m, ports)| {
        let ports: String = ports
            .iter()
            .map(|(name, port)| format!("  {name}: {port}\n"))
            .collect();
        let ports = if ports.is_empty() {
            "  {}\n".to_owned()
        } else {
            ports
        };
        format!("version: 1\nproject: p\nnetworks:\n  n: {n}\n  m: {m}\nports:\n{ports}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was there before: an applied plan leaves nothing to plan, and the export changes
    /// nothing here and makes the same elsewhere.
    #[test]
    fn plans_converge_and_exports_are_the_identity(texts in prop::collection::vec(files(), 1..4)) {
        let mut intent = Intent::default();
        let project: Name = "p".parse().unwrap();
        for text in &texts {
            let file = StackFile::parse(text).unwrap();
            let Ok(plan) = plan(&file, &intent) else { continue };
            plan.changes().iter().for_each(|change| intent.apply(change));
            prop_assert!(super::plan(&file, &intent).unwrap().is_empty());
        }
        let exported = export(&project, &intent);
        prop_assert!(super::plan(&exported, &intent).unwrap().is_empty());
        let mut empty = Intent::default();
        let elsewhere = super::plan(&exported, &empty).unwrap();
        elsewhere.changes().iter().for_each(|change| empty.apply(change));
        prop_assert_eq!(empty, intent);
    }
}
