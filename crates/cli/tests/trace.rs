//! `coax trace` in a whole lab, with faults that are seeded for real: devices, routes, programs, filters and processes. What can
//! be seeded in one process is in the controller's tests (`faults`). Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

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

    devices_and_programs(&lab);
    lab.names(THERE, "", &["delivered"]);
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
