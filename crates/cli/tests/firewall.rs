//! The firewall in a whole lab: what rules allow passes with real connections in both families, nothing else does, and a
//! changed rule counts, also for connections that are there. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "firewall/changes.rs"]
mod changes;
#[path = "firewall/floods.rs"]
mod floods;
#[path = "support/lab.rs"]
mod lab;
#[path = "firewall/metrics.rs"]
mod metrics;
#[path = "firewall/refusals.rs"]
mod refusals;
#[path = "firewall/traces.rs"]
mod traces;

use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Lab, example, until};
use serde_json::Value;

const SECOND: Duration = Duration::from_secs(1);

struct Tiers {
    lab: Lab,
    folder: tempfile::TempDir,
}

impl Tiers {
    fn new(letters: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::up(letters, &example("three-tier.yaml"));
        Self { lab, folder }
    }

    fn address(&self, port: &str, ipv6: bool) -> String {
        let port = self.lab.port(port);
        let addresses = port["addresses"].as_array().unwrap();
        addresses[usize::from(ipv6)].as_str().unwrap().to_owned()
    }

    /// A server in a VM that answers every connection with its name, and goes with the VM.
    fn serve(&self, vm: &str, port: u16) {
        let script = format!(
            "import socketserver,os,sys,time\n\
             class H(socketserver.StreamRequestHandler):\n \
              def handle(self):\n  \
               for line in self.rfile:\n   \
                self.wfile.write(b'{vm} '+line)\n   \
                while line==b'talk\\n': time.sleep(0.02); self.wfile.write(b'on and on\\n')\n\
             class S(socketserver.ThreadingTCPServer): address_family=__import__('socket').AF_INET6; allow_reuse_address=True; daemon_threads=True\n\
             s=S(('::',{port}),H)\n\
             if os.fork()==0:\n \
              os.setsid(); null=os.open('/dev/null',2); [os.dup2(null,n) for n in (0,1,2)]; s.serve_forever()\n"
        );
        let path = self.folder.path().join(format!("serve-{vm}-{port}.py"));
        std::fs::write(&path, script).unwrap();
        self.lab
            .at(vm, &format!("python3 {}", path.to_str().unwrap()));
    }

    /// What a server answers.
    fn ask(&self, from: &str, to: &str, port: u16) -> Result<String, String> {
        let script = "import socket,sys\n\
             s=socket.create_connection((sys.argv[1],int(sys.argv[2])),1.5)\n\
             s.sendall(b'hello\\n'); print(s.recv(99).decode().strip())\n";
        let path = self.folder.path().join("ask.py");
        std::fs::write(&path, script).unwrap();
        let words = format!("lab exec {from} -- python3 {} {to} {port}", path.display());
        let output = self.lab.run(&words.split(' ').collect::<Vec<_>>());
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn apply(&self, change: impl Fn(&str) -> String) {
        let text = std::fs::read_to_string(example("three-tier.yaml")).unwrap();
        let path = self.folder.path().join("changed.yaml");
        std::fs::write(&path, change(&text)).unwrap();
        // The example's own checks are not meant for what is tried here.
        let words = ["apply", "--ignore-checks", "-f", path.to_str().unwrap()];
        self.lab.done(&words);
    }
}

const SERVERS: [(&str, u16); 4] = [
    ("web-1", 443),
    ("app-1", 9000),
    ("db-1", 5432),
    ("db-2", 5432),
];

#[test]
fn rules_decide_who_opens_connections_in_both_families() {
    let tiers = Tiers::new("fw");
    for (vm, port) in SERVERS {
        tiers.serve(vm, port);
    }
    let allowed = [
        ("client-1", "web-1", 443),
        ("client-2", "web-1", 443),
        ("web-2", "app-1", 9000),
        ("app-2", "db-1", 5432),
        ("app-1", "db-2", 5432),
    ];
    let forbidden = [
        ("client-1", "db-1", 5432),
        ("client-1", "app-1", 9000),
        ("web-1", "db-1", 5432),
        ("db-2", "web-1", 443),
        ("app-2", "web-1", 443),
    ];
    for ipv6 in [false, true] {
        for (from, to, port) in allowed {
            let address = tiers.address(to, ipv6);
            let answer = until(&format!("{from} to {to}"), || {
                tiers.ask(from, &address, port)
            });
            assert_eq!(answer, format!("{to} hello"));
        }
        for (from, to, port) in forbidden {
            let address = tiers.address(to, ipv6);
            let answer = tiers.ask(from, &address, port);
            assert!(answer.is_err(), "{from} reached {to}: {answer:?}");
        }
        // A reject is told with the same error that a closed port gives; who waits in vain is told nothing of the kind.
        let address = tiers.address("app-1", ipv6);
        let refused = tiers.ask("client-1", &address, 9000).unwrap_err();
        assert!(refused.contains("refused"), "{refused}");
    }

    let trace = tiers.lab.run(&["trace", "client-1", "db-1", "tcp/5432"]);
    let trace = String::from_utf8_lossy(&trace.stdout).into_owned();
    let first = trace.lines().next().unwrap();
    assert!(first.contains("dropped on hv1"), "{trace}");
    let trace = tiers.lab.done(&["trace", "app-1", "db-1", "tcp/5432"]);
    let first = trace.lines().next().unwrap();
    assert!(first.contains("delivered to tiers/db-1 on hv3"), "{trace}");

    let hits = tiers
        .lab
        .done(&["firewall", "hits", "--project", "tiers", "-o", "json"]);
    let hits: serde_json::Value = serde_json::from_str(&hits).unwrap();
    let of = |rule: &str| {
        let mut rules = hits.as_array().unwrap().iter();
        let found = rules.find(|it| it["rule"] == format!("tiers/{rule}"));
        found.unwrap()["hits"].as_u64().unwrap()
    };
    // Two connections in each family, each judged at both ends; the reject in each family at the sender's.
    assert!(of("app-to-db") >= 8, "{hits:#}");
    assert_eq!(of("no-guessing"), 4, "{hits:#}");
    assert_eq!(of("ping-the-web"), 0, "{hits:#}");

    follow_flows(&tiers);
    changes::act_at_once(&tiers);
    changes::are_tried(&tiers);
    survive(&tiers);
    metrics::are_true(&tiers);
    refusals::are_told_through_tunnels(&tiers);
}

/// What is decided is told within a second, by names.
fn follow_flows(tiers: &Tiers) {
    let told = tiers.folder.path().join("flows");
    let follow = ["flows", "--follow", "--to", "group/db", "-o", "json"];
    let follower = tiers.lab.start_into(&follow, &told);
    // It follows as soon as something is told.
    let address = tiers.address("db-2", false);
    until("the first flow", || {
        let _ = tiers.ask("app-1", &address, 5432);
        find(&told, "app-1", "db-2", "allow").map(drop)
    });
    for ipv6 in [false, true] {
        let address = tiers.address("db-1", ipv6);
        assert!(tiers.ask("app-2", &address, 5432).is_ok());
        let opened = Instant::now();
        let allowed = until("the allowed flow", || {
            find(&told, "app-2", "db-1", "allow").and_then(|flow| of(flow, &address))
        });
        assert!(opened.elapsed() < SECOND);
        assert_eq!(allowed["rule"], "tiers/app-to-db");
        assert_eq!(
            (&allowed["port"], &allowed["protocol"]),
            (&5432.into(), &"tcp".into())
        );
        assert_eq!(allowed["to"]["network"], "tiers/db");
        assert!(tiers.ask("web-1", &address, 5432).is_err());
        let denied = find(&told, "web-1", "db-1", "deny").and_then(|flow| of(flow, &address));
        let denied = denied.unwrap();
        assert_eq!(
            (&denied["rule"], &denied["reason"]),
            (&"".into(), &"denied".into())
        );
        assert_eq!(denied["host"], "hv1");
    }
    drop(follower);
    reports(tiers);
    floods::are_outlasted(tiers);
}

/// What the default refuses can be suggested, what a rule refuses is not; rules that did nothing are known.
fn reports(tiers: &Tiers) {
    let suggested = tiers.lab.done(&["firewall", "suggest", "tiers"]);
    let rule = "group/web, network/outside], to: [group/db], allow: [tcp/5432] }";
    assert!(suggested.contains(rule), "{suggested}");
    assert!(!suggested.contains("tcp/9000"), "{suggested}");
    let audit = tiers
        .lab
        .done(&["firewall", "audit", "tiers", "-o", "json"]);
    let audit: Value = serde_json::from_str(&audit).unwrap();
    assert_eq!(
        audit["never_hit"],
        serde_json::json!(["tiers/ping-the-web"])
    );
    assert_eq!(audit["idle"], serde_json::json!([]));
    assert_eq!(audit["would_refuse"], serde_json::json!([]));
}

/// The last flow that was told between two ports.
fn find(told: &Path, from: &str, to: &str, verdict: &str) -> Result<Value, String> {
    let text = read(told);
    let mut flows = text
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is = |flow: &Value, end: &str, port: &str| flow[end]["port"] == format!("tiers/{port}");
    let found = flows
        .find(|flow| is(flow, "from", from) && is(flow, "to", to) && flow["verdict"] == verdict);
    found.ok_or(text)
}

/// The flow, when it is for this address.
fn of(flow: Value, address: &str) -> Result<Value, String> {
    match flow["to"]["address"] == address {
        true => Ok(flow),
        false => Err(flow.to_string()),
    }
}

/// Waits for a hundred more exchanges of a connection, which take longer than an agent needs to write its tables anew.
fn goes_on(state: &Path, when: &str) {
    let exchanges = || read(state).parse::<u64>().map_err(|_| read(state));
    let before = until(when, exchanges);
    until(when, || match exchanges() {
        Ok(now) if now >= before + 100 => Ok(()),
        other => Err(format!("{other:?}, {before} before")),
    });
}

/// A connection is listed on both of its hosts, with the rule that admitted it, and can be forgotten: its next packet is judged
/// anew.
fn list_and_forget(tiers: &Tiers, address: &str) {
    let wide = ["conntrack", "list", "--address", address, "-o", "json"];
    let listed: serde_json::Value = serde_json::from_str(&tiers.lab.done(&wide)).unwrap();
    let mut hosts: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["rule"] == "tiers/rescue" && it["state"] == "established")
        .map(|it| it["host"].as_str().unwrap())
        .collect();
    hosts.dedup();
    assert_eq!(hosts, ["hv1", "hv3"], "{listed:#}");
    let flushed = tiers
        .lab
        .done(&["conntrack", "flush", "--address", address, "-o", "json"]);
    let flushed: serde_json::Value = serde_json::from_str(&flushed).unwrap();
    assert!(flushed["ended"].as_u64().unwrap() >= 2, "{flushed}");
}

/// Opens a connection from app-1 in which only the other end talks, and counts what it says in a file.
fn listen(tiers: &Tiers, address: &str, heard: &Path) -> lab::Running {
    let script = "import os,socket,sys\n\
         s=socket.create_connection((sys.argv[1],5432),1.5); s.settimeout(None); s.sendall(b'talk\\n'); n=0\n\
         for line in s.makefile():\n \
          n+=1; open(sys.argv[2]+'~','w').write(str(n)); os.replace(sys.argv[2]+'~',sys.argv[2])\n";
    let path = tiers.folder.path().join("listen.py");
    std::fs::write(&path, script).unwrap();
    let (path, heard) = (path.display(), heard.display());
    let words = format!("lab exec app-1 -- python3 {path} {address} {heard}");
    tiers.lab.start(&words.split(' ').collect::<Vec<_>>())
}

/// The stack with one more rule.
fn rescue(text: &str) -> String {
    text.replace("    - { name: no-guessing", "    - { name: rescue, from: group/web, to: group/db, allow: [tcp/5432] }\n    - { name: no-guessing")
}

/// A rule that comes and goes, agents and controller that die: connections pass exactly while rules allow them.
fn survive(tiers: &Tiers) {
    let address = tiers.address("db-1", false);
    tiers.apply(rescue);
    until("the new rule", || tiers.ask("web-1", &address, 5432));
    traces::trace_connections(tiers);

    // A connection that is there, while it is forgotten, an agent dies, its end moves, and at last its rule goes.
    let script = "import os,socket,sys,time\n\
         def say(text):\n \
          open(sys.argv[2]+'~','w').write(text); os.replace(sys.argv[2]+'~',sys.argv[2])\n\
         s=socket.create_connection((sys.argv[1],5432),1.5); s.settimeout(3); n=0\n\
         while True:\n \
          s.sendall(b'x\\n')\n \
          try: s.recv(99)\n \
          except TimeoutError: break\n \
          n+=1; say(str(n)); time.sleep(0.02)\n\
         say('silent')\n";
    let path = tiers.folder.path().join("hold.py");
    let state = tiers.folder.path().join("state");
    std::fs::write(&path, script).unwrap();
    let words = format!(
        "lab exec web-1 -- python3 {} {address} {}",
        path.display(),
        state.display()
    );
    let holder = tiers.lab.start(&words.split(' ').collect::<Vec<_>>());
    goes_on(&state, "after it was opened");
    list_and_forget(tiers, &address);
    goes_on(&state, "after it was forgotten, while a rule allows it");
    tiers.lab.done(&["lab", "break", "agent", "hv3"]);
    tiers.lab.done(&["lab", "heal", "agent", "hv3"]);
    goes_on(&state, "after its agent was killed");
    // In this one only the end talks that moves, which no rule lets open connections.
    let heard = tiers.folder.path().join("heard");
    let listener = listen(tiers, &address, &heard);
    goes_on(&heard, "after it was opened to listen");
    tiers.lab.done(&["lab", "migrate", "tiers/db-1", "hv5"]);
    goes_on(&heard, "after who talks has moved");
    drop(listener);
    goes_on(&state, "after its end has moved");
    // The file says where a VM is wanted, so it has to say where it is now.
    let moved = |text: &str| text.replace("network: db,  host: hv3", "network: db,  host: hv5");
    tiers.apply(moved);
    until("the end of what no rule allows", || {
        let said = read(&state);
        (said == "silent").then_some(()).ok_or(said)
    });
    drop(holder);
    assert!(tiers.ask("web-1", &address, 5432).is_err());
    assert!(tiers.ask("app-1", &address, 5432).is_ok());

    // Who is in a group follows from labels, also later.
    tiers.apply(|text| {
        moved(text).replace(
            "  db-2:     {",
            "  app-3:    { network: app, host: hv6 }\n  db-2:     {",
        )
    });
    tiers
        .lab
        .done(&["lab", "status", &tiers.lab.name(), "--wait", "30s"]);
    until("a new member", || tiers.ask("app-3", &address, 5432));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
