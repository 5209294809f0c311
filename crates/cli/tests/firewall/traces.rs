//! Traces of connections that stand.

use serde_json::Value;

use super::lab::{self, until};
use super::{Tiers, read, rescue};

/// Opens a connection from web-1 to db-1, in which nobody says anything, and tells its source port.
fn open(tiers: &Tiers, ipv6: bool) -> (lab::Running, String) {
    let script = "import os,socket,sys,time\n\
         s=socket.create_connection((sys.argv[1],5432),1.5); s.sendall(b'x\\n'); s.recv(99)\n\
         open(sys.argv[2]+'~','w').write(str(s.getsockname()[1])); os.replace(sys.argv[2]+'~',sys.argv[2])\n\
         time.sleep(600)\n";
    let path = tiers.folder.path().join("open.py");
    let port = tiers.folder.path().join(format!("port-{ipv6}"));
    std::fs::write(&path, script).unwrap();
    let (path, address) = (path.display(), tiers.address("db-1", ipv6));
    let words = format!(
        "lab exec web-1 -- python3 {path} {address} {}",
        port.display()
    );
    let running = tiers.lab.start(&words.split(' ').collect::<Vec<_>>());
    let port = until("a connection", || {
        let said = read(&port);
        (!said.is_empty()).then_some(said.clone()).ok_or(said)
    });
    (running, port)
}

/// A trace tells a connection that stands from a new one, in both directions, and what a change of rules means for it.
pub fn trace_connections(tiers: &Tiers) {
    let open = [false, true].map(|ipv6| open(tiers, ipv6));
    let trace = |from: &str, to: &str, ports: [&str; 2], ipv6: bool| -> Value {
        let (service, family) = (
            format!("tcp/{}", ports[1]),
            if ipv6 { "ipv6" } else { "ipv4" },
        );
        let words = [
            "trace",
            from,
            to,
            &service,
            "--from-port",
            ports[0],
            "--family",
            family,
        ];
        let output = tiers.lab.run(&[&words[..], &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let holds = |trace: &Value, verdict: &str, parts: &[&str]| {
        let line = trace["summary"].as_str().unwrap();
        assert_eq!(trace["verdict"], verdict, "{trace:#}");
        assert!(parts.iter().all(|part| line.contains(part)), "{trace:#}");
    };
    let ports = open.each_ref().map(|(_, port)| port.as_str());
    let admitted = ["established since 20", "let pass by rule `tiers/rescue`"];
    let there = trace("web-1", "db-1", [ports[0], "5432"], false);
    holds(&there, "delivered", &admitted);
    let back = trace("db-1", "web-1", ["5432", ports[1]], true);
    holds(&back, "delivered", &admitted);
    // Nobody may open a connection that way.
    let words = [
        "trace",
        "db-1",
        "web-1",
        &format!("tcp/{}", ports[1]),
        "--flags",
        "syn",
    ];
    assert!(!tiers.lab.run(&words).status.success());

    tiers.apply(str::to_owned);
    let ends = [
        "dropped on",
        "because no rule allows it",
        "ends, because the rules have changed",
    ];
    holds(
        &trace("web-1", "db-1", [ports[0], "5432"], false),
        "lost",
        &ends,
    );
    holds(
        &trace("db-1", "web-1", ["5432", ports[1]], true),
        "lost",
        &ends,
    );
    tiers.apply(rescue);
    let address = tiers.address("db-1", false);
    until("the rule once more", || tiers.ask("web-1", &address, 5432));
}
