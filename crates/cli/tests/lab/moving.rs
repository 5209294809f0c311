//! A deployment goes from a file into an etcd while its agents and VMs run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use coax_lab::name::MANAGER;
use coax_lab::process::ProcessId;
use coax_lab::state::Record;
use coax_netlink::Namespace;
use serde_json::Value;
use tempfile::TempDir;

use super::Lab;
use super::certificates::Certificates;

/// Where the etcd is, in the manager's namespace.
const ETCD: &str = "https://127.0.0.1:2379";

/// The etcd and the controller that took over; they end with the value.
pub struct Moved {
    processes: Vec<Child>,
    _folder: TempDir,
}

impl Drop for Moved {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// What must not be forgotten.
#[derive(Debug, PartialEq)]
struct Known {
    export: String,
    history: Value,
    /// Name, MAC address, host, state and revision of each port.
    ports: Vec<[Value; 5]>,
    hosts: Vec<Value>,
    log: Vec<Value>,
}

impl Known {
    fn ask(lab: &Lab) -> Self {
        let list = |words: &[&str]| -> Vec<Value> {
            let printed = lab.done(&[words, &["-o", "json"]].concat());
            serde_json::from_str(&printed).unwrap()
        };
        let ports = list(&["port", "list"]);
        let of = |port: &Value| {
            ["name", "mac", "host", "state", "revision"].map(|field| port[field].clone())
        };
        let hosts = list(&["host", "list"]);
        Self {
            export: lab.done(&["export", "shop"]),
            history: list(&["history"]).into(),
            ports: ports.iter().map(of).collect(),
            hosts: hosts.iter().map(|it| it["name"].clone()).collect(),
            log: list(&["audit", "list", "--last", "1000"]),
        }
    }
}

fn generation(lab: &Lab) -> u64 {
    let status: Value = serde_json::from_str(&lab.done(&["status", "-o", "json"])).unwrap();
    status["generation"].as_u64().unwrap()
}

/// Does what the page about etcd says, and looks whether everything is as it was.
pub fn into_etcd(lab: &Lab) -> Moved {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    fs::write(place("passphrase"), "correct horse battery staple\n").unwrap();
    let (before, older) = (Known::ask(lab), generation(lab));
    let passphrase = ["--passphrase-file", &place("passphrase")];
    lab.done(&[&["backup", "create", &place("backup")], &passphrase[..]].concat());
    lab.done(&["lab", "break", "controller"]);

    let manager = Namespace::open(&lab.name.namespace(MANAGER)).unwrap();
    let certificates = Certificates::new();
    let mut moved = Moved {
        processes: vec![etcd(&manager, &certificates, folder.path())],
        _folder: folder,
    };
    let folder = moved._folder.path();
    let state = folder.join("state");
    let client = certificates.client("controller");
    let mut restore = Command::new(env!("CARGO_BIN_EXE_coax"));
    restore
        .args(["backup", "restore"])
        .arg(folder.join("backup"))
        .arg("--state")
        .arg(&state)
        .args(passphrase)
        .args(["--store", ETCD])
        .arg("--store-cacert")
        .arg(client.cacert)
        .arg("--store-cert")
        .arg(client.cert)
        .arg("--store-key")
        .arg(client.key)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let printed = manager.spawn(&mut restore).unwrap();
    let printed = printed.wait_with_output().unwrap();
    assert!(printed.status.success());
    let config = format!(
        "{}state: {}\napi: unix:{}\nagents: {}:7400\nunderlay-mtu: 9216\n",
        String::from_utf8(printed.stdout).unwrap(),
        state.display(),
        lab.name.api_socket().display(),
        coax_lab::build::manager_address(),
    );
    let file: PathBuf = folder.join("controller.yaml");
    fs::write(&file, config).unwrap();
    let mut controller = Command::new(env!("CARGO_BIN_EXE_coax"));
    controller.args(["controller", "--config"]).arg(file);
    let controller = manager.spawn(&mut controller).unwrap();
    // From now on it is the lab's.
    let process = ProcessId::of(controller.id().try_into().unwrap()).unwrap();
    let adopt = |record: &mut Record| record.processes.insert("controller".to_owned(), process);
    Record::update(&lab.name, adopt).unwrap();
    moved.processes.push(controller);

    lab.done(&["lab", "status", lab.name.as_str(), "--wait", "20s"]);
    let (mut after, newer) = (Known::ask(lab), generation(lab));
    assert!(newer > older + 1_000_000, "{older} {newer}");
    let added: Vec<Value> = after.log.split_off(before.log.len());
    assert_eq!(added[0]["method"], "RESTORE", "{added:?}");
    assert_eq!(after, before);
    moved
}

fn etcd(manager: &Namespace, certificates: &Certificates, folder: &Path) -> Child {
    let [cert, key] = certificates.member("member", &["127.0.0.1"]);
    let mut etcd = Command::new("etcd");
    etcd.arg("--data-dir")
        .arg(folder.join("etcd"))
        .arg("--cert-file")
        .arg(cert)
        .arg("--key-file")
        .arg(key)
        .arg("--trusted-ca-file")
        .arg(certificates.authority())
        .arg("--client-cert-auth")
        .args(["--listen-client-urls", ETCD])
        .args(["--advertise-client-urls", ETCD])
        .args(["--max-txn-ops", "50000"])
        .args(["--logger", "zap", "--log-level", "error"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    manager.spawn(&mut etcd).unwrap()
}
