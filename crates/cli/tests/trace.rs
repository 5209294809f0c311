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

    /// The uplink by which a host reaches another one now.
    fn uplink(&self, from: &str, to: &str) -> (String, String) {
        let trace = self.trace(&[from, to]);
        let hops = trace["hops"].as_array().unwrap();
        let hop = hops.iter().find(|hop| hop["leg"] == "packet").unwrap();
        let text = |field: &str| hop["underlay"][field].as_str().unwrap().to_owned();
        (text("device"), text("to"))
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
    underlay(&lab);
    the_vm_itself(&lab);
    processes(&lab);
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

fn underlay(lab: &Lab) {
    let (uplink, endpoint) = lab.uplink("web-1", "web-2");
    lab.at(
        "hv1",
        &format!("ip route add unreachable {endpoint}/32 metric 1"),
    );
    lab.names(THERE, "no-path", &["hv1", "no route to", &endpoint, "hv2"]);
    lab.at(
        "hv1",
        &format!("ip route del unreachable {endpoint}/32 metric 1"),
    );

    let silent = "192.168.250.2";
    lab.at(
        "hv1",
        &format!("ip address add 192.168.250.1/24 dev {uplink}"),
    );
    let route = format!("{endpoint}/32 via {silent} dev {uplink} metric 2");
    lab.at("hv1", &format!("ip route add {route}"));
    lab.names(THERE, "next-hop-silent", &["hv1", silent, &uplink]);
    lab.at("hv1", &format!("ip route del {route}"));
    lab.at(
        "hv1",
        &format!("ip address del 192.168.250.1/24 dev {uplink}"),
    );
    lab.names(THERE, "", &["delivered"]);

    let (uplink, _) = lab.uplink("web-1", "web-2");
    lab.at("hv1", &format!("ip link set {uplink} mtu 1500"));
    lab.names(
        THERE,
        "underlay-mtu-lost",
        &["large packets", "hv1", &uplink, "1500"],
    );
    lab.at("hv1", &format!("ip link set {uplink} mtu 9216"));
    lab.names(THERE, "", &["delivered"]);

    filters(lab, &endpoint);
}

/// A filter in the fabric: for all tunnel packets, then for large ones. Where nft is not installed nothing filters.
fn filters(lab: &Lab, endpoint: &str) {
    if Command::new("nft").arg("--version").output().is_err() {
        eprintln!("nft is not installed: no filter in the fabric is tried");
        return;
    }
    for (filter, cause, line) in [
        (
            "",
            "underlay-blocked",
            "lost in the fabric between hv1 and hv2",
        ),
        ("ip length > 1400", "underlay-mtu-lost", "small ones arrive"),
    ] {
        for leaf in ["leaf1", "leaf2"] {
            lab.at(leaf, "nft add table ip trace");
            let chain = "nft add chain ip trace forward { type filter hook forward priority 0 ; }";
            lab.at(leaf, chain);
            let rule = format!(
                "nft add rule ip trace forward ip daddr {endpoint} {filter} udp dport 4789 drop"
            );
            lab.at(leaf, &rule.replace("  ", " "));
        }
        lab.names(THERE, cause, &[line]);
        for leaf in ["leaf1", "leaf2"] {
            lab.at(leaf, "nft delete table ip trace");
        }
        lab.names(THERE, "", &["delivered"]);
    }
}

fn the_vm_itself(lab: &Lab) {
    let links = lab.at("web-5", "ip -o link show");
    let device = links.lines().find(|line| !line.contains(": lo:")).unwrap();
    let device = device.split(": ").nth(1).unwrap();
    let device = device.split('@').next().unwrap().to_owned();
    lab.at(
        "web-5",
        &format!("ip link set {device} address 02:00:00:00:66:66"),
    );
    lab.run(&[
        "lab",
        "exec",
        "web-5",
        "--",
        "ping",
        "-c",
        "2",
        "-W",
        "1",
        "10.10.1.2",
    ]);
    let from = &["web-5", "web-2", "tcp/443"];
    lab.names(from, "sender-drops", &["shop/web-5", "forged-source"]);
}

fn processes(lab: &Lab) {
    lab.done(&["lab", "break", "agent", "hv2"]);
    lab.names(
        THERE,
        "host-away",
        &["hv1 sends", "agent of hv2", "not attached"],
    );
    lab.done(&["lab", "heal", "agent", "hv2"]);
    lab.names(THERE, "", &["delivered"]);

    lab.done(&["lab", "break", "agent", "hv1"]);
    lab.names(THERE, "host-away", &["agent of hv1", "not attached"]);
    lab.done(&["lab", "heal", "agent", "hv1"]);
    lab.names(THERE, "", &["delivered"]);

    // The vSwitch forwards on; the fabric does not.
    lab.done(&["lab", "break", "node", "hv2"]);
    lab.names(THERE, "host-away", &["hv2"]);
    lab.done(&["lab", "heal", "node", "hv2"]);
}
