//! `coax trace` in a whole lab, with faults that are seeded for real: devices, routes, programs, filters and processes. What can
//! be seeded in one process is in the controller's tests (`faults`). Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use coax_lab::LabName;
use serde_json::Value;

/// A lab that is gone with the test, whatever becomes of the test.
struct Lab(LabName);

fn example(file: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    path.join(file).to_string_lossy().into_owned()
}

impl Lab {
    fn up() -> Self {
        let name: LabName = format!("trace{}", std::process::id()).parse().unwrap();
        let lab = Self(name);
        let file = example("leaf-spine.yaml");
        lab.done(&["lab", "up", &file, "--name", lab.0.as_str()]);
        lab.done(&["apply", "-f", &example("shop.yaml")]);
        lab.done(&["lab", "status", lab.0.as_str(), "--wait", "30s"]);
        lab
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        command
            .args(arguments)
            .env_remove("COAX_API")
            .env("COAX_LAB", self.0.as_str());
        command.output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let command = arguments.join(" ");
        assert!(output.status.success(), "coax {command}:\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a program in a node or VM.
    fn at(&self, node: &str, program: &str) -> String {
        let words: Vec<&str> = ["lab", "exec", node, "--"]
            .into_iter()
            .chain(program.split(' '))
            .collect();
        self.done(&words)
    }

    fn trace(&self, arguments: &[&str]) -> Value {
        let words = [&["trace"], arguments, &["-o", "json"]].concat();
        let output = self.run(&words);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        })
    }

    /// Traces until the cause is what it should be, because agents need a moment to notice; the first line must then hold
    /// these parts.
    fn names(&self, arguments: &[&str], cause: &str, parts: &[&str]) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let trace = self.trace(arguments);
            let line = trace["summary"].as_str().unwrap();
            let right = trace["cause"] == cause && parts.iter().all(|part| line.contains(part));
            if right {
                return;
            }
            assert!(
                Instant::now() < end,
                "{cause} expected of {arguments:?}: {trace:#}"
            );
        }
    }

    fn device(&self, port: &str) -> String {
        let port = self.done(&["port", "show", port, "-o", "json"]);
        let port: Value = serde_json::from_str(&port).unwrap();
        port["device"].as_str().unwrap().to_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let gone = self.run(&["lab", "down", self.0.as_str()]);
        assert!(std::thread::panicking() || gone.status.success());
    }
}

const THERE: &[&str] = &["web-1", "web-2", "tcp/443"];

#[test]
fn faults_of_the_real_world_are_named_in_the_first_line() {
    let lab = Lab::up();
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

fn devices_and_programs(lab: &Lab) {
    let device = lab.device("web-1");
    lab.at("hv1", &format!("ip link set {device} down"));
    lab.names(
        THERE,
        "device-down",
        &["shop/web-1", &device, "hv1", "down"],
    );
    lab.at("hv1", &format!("ip link set {device} up"));

    let alias = "ip link set";
    lab.at("hv1", &format!("{alias} {device} alias nobody"));
    lab.names(THERE, "port-unbound", &["shop/web-1", "is on no host"]);
    lab.at("hv1", &format!("{alias} {device} alias coax:shop/web-1"));
    lab.names(THERE, "", &["delivered"]);
}
