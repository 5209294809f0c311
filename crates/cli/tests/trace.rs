//! `coax trace` in a whole lab, with faults that are seeded for real: devices, routes, programs, filters and processes. What can
//! be seeded in one process is in the controller's tests (`faults`). Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "trace/agreement.rs"]
mod agreement;
#[path = "trace/doctor.rs"]
mod doctor;
#[path = "trace/documents.rs"]
mod documents;
#[path = "support/lab.rs"]
mod lab;

use lab::{Lab, example, until};
use serde_json::Value;

struct Traces(Lab);

impl Traces {
    fn trace(&self, arguments: &[&str]) -> Value {
        let words = [&["trace"], arguments, &["-o", "json"]].concat();
        let output = self.0.run(&words);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        })
    }

    /// Traces until the cause is what it should be, because agents need a moment to notice; the first line must then hold
    /// these parts.
    fn names(&self, arguments: &[&str], cause: &str, parts: &[&str]) {
        until(cause, || {
            let trace = self.trace(arguments);
            let line = trace["summary"].as_str().unwrap();
            let right = trace["cause"] == cause && parts.iter().all(|part| line.contains(part));
            right
                .then_some(())
                .ok_or_else(|| format!("{arguments:?}: {trace:#}"))
        });
    }
}

const THERE: &[&str] = &["web-1", "web-2", "tcp/443"];

#[test]
fn faults_of_the_real_world_are_named_in_the_first_line() {
    let lab = Traces(Lab::up("trace", &example("shop.yaml")));
    for family in ["ipv4", "ipv6"] {
        let there = [THERE, &["--family", family]].concat();
        lab.names(&there, "", &["delivered to shop/web-2 on hv2 in 2 hops"]);
    }

    // What is really sent does what the tables say.
    let trace = lab.trace(&["web-1", "web-3", "icmp", "--inject"]);
    assert_eq!(trace["injected"]["agrees"], true, "{trace:#}");

    agreement::agree(&lab);
    agreement::capture(&lab);
    devices_and_programs(&lab);
    checks(&lab.0);
    doctor::doctor(&lab.0);
    lab.names(THERE, "", &["delivered"]);
}

const CHECKS: &str = "
groups:
  web: { ports: [web-1, web-2] }
checks:
  - { name: web-to-web, from: group/web, to: group/web, port: [tcp/443, icmp/8, icmpv6/128], expect: allow }
  - { from: group/web, to: port/db-1, port: any, expect: deny }
";

/// What `coax check` says: its exit code, and each check with its state.
fn checked(lab: &Lab, junit: &str) -> (Option<i32>, Vec<Value>) {
    let output = lab.run(&["check", "shop", "--junit", junit, "-o", "json"]);
    let results = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code(), results)
}

/// What another reader of JUnit finds: class, name and result of each case.
fn junitparser(file: &str) -> Vec<[String; 3]> {
    let script = "import json, sys; from junitparser import JUnitXml\n\
        name = lambda case: ' '.join(type(result).__name__ for result in case.result)\n\
        suites = JUnitXml.fromfile(sys.argv[1])\n\
        print(json.dumps([[case.classname, case.name, name(case)] for suite in suites for case in suite]))";
    let mut python = std::process::Command::new("/usr/bin/python3");
    let output = python.args(["-c", script, file]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"))
}

fn checks(lab: &Lab) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (stack, junit) = (path("shop.yaml"), path("junit.xml"));
    let shop = std::fs::read_to_string(example("shop.yaml")).unwrap();
    std::fs::write(&stack, shop + CHECKS).unwrap();
    lab.done(&["apply", "-f", &stack]);
    let said = "group/web must not reach port/db-1 on any";
    let passed = || {
        let (exit, results) = checked(lab, &junit);
        assert_eq!(exit, Some(0), "{results:#?}");
        let probes = results[0]["probes"].as_array().unwrap();
        for family in ["ipv4", "ipv6"] {
            let of_family = probes.iter().filter(|probe| probe["family"] == family);
            assert_eq!(of_family.count(), 4, "{probes:#?}");
        }
        let cases = [["shop", "web-to-web", ""], ["shop", said, ""]];
        assert_eq!(
            junitparser(&junit),
            cases.map(|case| case.map(str::to_owned))
        );
    };
    passed();

    // Somebody's firewall between the hosts.
    let foreign = [
        "add table inet foreign",
        "add chain inet foreign forward { type filter hook forward priority 0 ; }",
        "add rule inet foreign forward udp dport 4789 drop",
    ];
    for leaf in ["leaf1", "leaf2"] {
        for rule in foreign {
            lab.at(leaf, &format!("nft {rule}"));
        }
    }
    let (exit, results) = checked(lab, &junit);
    assert_eq!(exit, Some(1), "{results:#?}");
    let sentence = results[0]["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("but shop/web-1 to shop/web-2"),
        "{sentence}"
    );
    assert_eq!(results[0]["probes"][0]["cause"], "underlay-blocked");
    let cases = [["shop", "web-to-web", "Failure"], ["shop", said, ""]];
    assert_eq!(
        junitparser(&junit),
        cases.map(|case| case.map(str::to_owned))
    );
    for leaf in ["leaf1", "leaf2"] {
        lab.at(leaf, "nft delete table inet foreign");
    }
    passed();

    // Nobody can be asked what becomes of packets there.
    lab.done(&["lab", "break", "agent", "hv2"]);
    until("an agent that is away", || {
        let (exit, results) = checked(lab, &junit);
        let states: Vec<&Value> = results.iter().map(|it| &it["state"]).collect();
        let right = exit == Some(3) && states == ["unknown", "passed"];
        right.then_some(()).ok_or_else(|| format!("{results:#?}"))
    });
    assert_eq!(junitparser(&junit)[0][2], "Error");
    lab.done(&["lab", "heal", "agent", "hv2"]);
    lab.done(&["lab", "status", &lab.name(), "--wait", "30s"]);
    passed();
}

fn devices_and_programs(lab: &Traces) {
    let device = lab.0.device("web-1");
    lab.0.at("hv1", &format!("ip link set {device} down"));
    lab.names(
        THERE,
        "device-down",
        &["shop/web-1", &device, "hv1", "down"],
    );
    lab.0.at("hv1", &format!("ip link set {device} up"));

    let alias = "ip link set";
    lab.0.at("hv1", &format!("{alias} {device} alias nobody"));
    lab.names(THERE, "port-unbound", &["shop/web-1", "is on no host"]);
    lab.0
        .at("hv1", &format!("{alias} {device} alias coax:shop/web-1"));
    lab.names(THERE, "", &["delivered"]);
}
