//! The schema of files, by somebody else's validator: it takes what Coax takes, and refuses what has not the right form.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{MISTAKES, SHOP};

/// What is wrong with each file.
fn judged(files: &[String]) -> Vec<Vec<String>> {
    let values = files.iter().map(|text| {
        let value: Value = serde_saphyr::from_str(text).unwrap();
        value
    });
    let asked =
        json!({ "schema": coax_model::schema::files(), "values": values.collect::<Vec<_>>() });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/schema.py");
    // Debian's Python, whatever else is on PATH: it has the validator.
    let mut judge = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = judge.stdin.take().unwrap();
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Everything that a file can say.
const EVERYTHING: &str = r#"
version: 1
project: shop
networks:
  web:
    subnets: [10.1.0.0/24, { prefix: "fd00::/64", gateway: "fd00::9", dhcp: false }]
    type: routed
    vni: 7000
    mtu: 1400
    dhcp: { lease_time: 12h, routes: [{ to: 0.0.0.0/0, via: 10.1.0.9 }] }
    router_advertisements: true
    dns: { domain: example.org, servers: [192.0.2.53] }
    storm_control: { broadcast: 20, unknown: unlimited }
    shut_time: 90
    max_endpoints: 16
  db: { subnets: [10.2.0.0/24], dhcp: true, isolated: true, own_servers: false }
ports:
  web-1: { network: web, host: hv1.example.org, mac: "02:00:00:00:00:01", addresses: [10.1.0.7, "fd00::7"] }
  web-2: { network: web, labels: { tier: 007, on: yes }, allowed_addresses: [10.1.0.100, { ip: 10.1.0.101, mac: "00:00:5e:00:01:07" }] }
  trunk: { network: web, trunk: { 100: db, 4094: { network: db, addresses: [] } }, any_address: true, any_mac: true }
vteps:
  old: { address: 192.0.2.99, networks: [web], macs: ["02:00:00:00:00:99"] }
routers:
  gw: { networks: [web, db], routes: [{ to: "::/0", via: "fd00::1" }] }
groups:
  web: { match: { vm: "web-*", labels: { tier: "007" } }, ports: [trunk] }
address_groups:
  office: [192.0.2.0/24, 198.51.100.7, "2001:db8::/32"]
firewall:
  default: allow
  mode: audit
  rules:
    - { name: one, from: [group/web, 192.0.2.0/24], to: address-group/office, allow: [tcp/80, udp/8000-8080, icmp/8, icmpv6/1/4, ip/47, any], log: true }
    - { name: two, from: any, to: network/db, reject: [tcp], mode: audit }
checks:
  - { name: first, from: port/web-1, to: [group/web, network/db], port: [tcp/80, any], expect: deny }
moved:
  - { from: network/www, to: network/web }
"#;

/// A line that is right, and one that has not the right form, as a file would be refused for it.
const BAD_FORMS: [(&str, &str); 12] = [
    ("project: shop", ""),
    ("project: shop", "project: My_Shop"),
    ("version: 1", "version: 2"),
    ("type: routed", "type: brigded"),
    ("subnets: [10.2.0.0/24]", "subnets: [10.2.0.0]"),
    ("\"02:00:00:00:00:01\"", "\"02:00\""),
    ("unknown: unlimited", "unknown: 0"),
    ("reject: [tcp]", "reject: [tcp], allow: [tcp]"),
    ("to: network/db, reject", "to: lb/site, reject"),
    ("expect: deny", "expect: maybe"),
    ("moved:", "load_balancers: {}\nmoved:"),
    ("100: db", "4095: db"),
];

#[test]
fn the_schema_takes_what_coax_takes() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files = vec![SHOP.to_owned(), EVERYTHING.to_owned()];
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        // That one describes a lab.
        if path.is_file() && path.file_name().is_some_and(|it| it != "leaf-spine.yaml") {
            files.push(std::fs::read_to_string(path).unwrap());
        }
    }
    assert!(files.len() >= 6, "{}", files.len());
    for file in &files {
        let read = coax_model::file::File::parse(file);
        assert!(read.is_ok(), "{read:?}\n{file}");
    }
    for (file, wrong) in files.iter().zip(judged(&files)) {
        assert_eq!(wrong, [""; 0], "{file}");
    }
}

#[test]
fn the_schema_refuses_what_has_not_the_right_form() {
    let structural = |code: &&str| matches!(*code, "unknown-field" | "missing-field" | "bad-value");
    let corpus = MISTAKES.iter().filter(|(_, _, code, ..)| structural(code));
    let corpus = corpus.map(|(right, wrong, ..)| (SHOP, *right, *wrong));
    let forms = BAD_FORMS
        .iter()
        .map(|(right, wrong)| (EVERYTHING, *right, *wrong));
    let cases: Vec<_> = corpus.chain(forms).collect();
    assert!(cases.len() > BAD_FORMS.len());
    let files = cases.iter().map(|(text, right, wrong)| {
        assert!(text.contains(right), "{right}");
        text.replace(right, wrong)
    });
    let files: Vec<String> = files.collect();
    for ((_, _, wrong), found) in cases.iter().zip(judged(&files)) {
        assert!(!found.is_empty(), "`{wrong}` is taken");
    }
}
