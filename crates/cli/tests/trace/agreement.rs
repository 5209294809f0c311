//! What a trace says and what becomes of real connections of real VMs is the same, whatever the policy: random rules, every
//! kind of pair, both families. And what a capture of a port shows is what tshark reads there.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

use super::lab::until;
use super::{Traces, documents};

const VMS: [&str; 5] = ["red-1", "red-2", "blue-1", "blue-2", "alone-1"];
const SERVICES: [&str; 4] = ["tcp/7001", "tcp/7002", "udp/7001", "icmp"];
/// Traces of each policy. A trace through the fabric takes some hundredths of a second.
const TRACES: usize = 30;

const MAZE: &str = "version: 1
project: maze
networks:
  red: { subnets: [10.60.1.0/24, 'fd00:60:1::/64'] }
  blue: { subnets: [10.60.2.0/24, 'fd00:60:2::/64'] }
  alone: { subnets: [10.60.3.0/24, 'fd00:60:3::/64'] }
routers: { gw: { networks: [red, blue] } }
ports:
  red-1: { network: red, host: hv1 }
  red-2: { network: red, host: hv2 }
  blue-1: { network: blue, host: hv2 }
  blue-2: { network: blue, host: hv3 }
  alone-1: { network: alone, host: hv1 }
groups:
  red: { match: { vm: 'red-*' } }
  first: { match: { vm: '*-1' } }
  last: { ports: [blue-2] }
address_groups: { near: [10.60.1.0/24, 'fd00:60:1::/64'] }
vteps: { leaf: { address: 192.0.2.200, networks: [alone] } }
checks: [ { from: port/alone-1, to: group/last, port: any, expect: deny } ]
firewall:
  default: DEFAULT
  rules:
";

/// Every VM answers TCP connections and datagrams to the ports that rules are about.
const SERVER: &str = "
import os, select, socket
def of(kind, port):
    s = socket.socket(socket.AF_INET6, kind); s.bind(('::', port))
    if kind == socket.SOCK_STREAM: s.listen(99)
    return s
tcp = [of(socket.SOCK_STREAM, port) for port in (7001, 7002)]
udp = of(socket.SOCK_DGRAM, 7001)
if os.fork() == 0:
    os.setsid(); null = os.open('/dev/null', 2); [os.dup2(null, n) for n in (0, 1, 2)]
    while True:
        for s in select.select(tcp + [udp], [], [])[0]:
            if s is udp: data, peer = udp.recvfrom(99); udp.sendto(data, peer)
            else: s.accept()[0].close()
";

/// Tries all at once what is asked for, and prints what was answered within a moment.
const PROBER: &str = "
import errno, json, select, socket, subprocess, sys, time
asked = json.load(open(sys.argv[1])); found = [False] * len(asked); socks = {}; pings = {}
for n, (service, address) in enumerate(asked):
    if service == 'icmp':
        pings[n] = subprocess.Popen(['ping', '-c2', '-i0.2', '-W1', address], stdout=subprocess.DEVNULL)
        continue
    protocol, port = service.split('/')
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM)
    s.setblocking(False)
    if s.connect_ex((address, int(port))) not in (0, errno.EINPROGRESS): continue
    socks[s] = (n, protocol)
    if protocol == 'udp': s.send(b'x')
end = time.time() + 2.5
while socks and time.time() < end:
    tcp = [s for s, (_, p) in socks.items() if p == 'tcp']; udp = [s for s, (_, p) in socks.items() if p == 'udp']
    for s in sum(select.select(udp, tcp, [], 0.1)[:2], []):
        n, protocol = socks.pop(s)
        if protocol == 'tcp': found[n] = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        else:
            try: found[n] = s.recv(9) == b'x'
            except OSError: pass
for n, ping in pings.items(): found[n] = ping.wait() == 0
print(json.dumps(found))
";

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

fn random_policy(dice: &mut Dice) -> String {
    let sides = [
        "any",
        "group/red",
        "group/first",
        "group/last",
        "network/blue",
        "address-group/near",
        "network/alone",
    ];
    let mut text = MAZE.replace("DEFAULT", dice.one_of(&["deny", "deny", "allow"]));
    for number in 0..8 {
        let services = [
            "tcp/7001",
            "tcp/7001-7002",
            "udp/7001",
            "'icmp/8', 'icmpv6/128'",
            "tcp",
            "any",
        ];
        let (from, to) = (dice.one_of(&sides), dice.one_of(&sides));
        let action = dice.one_of(&["allow", "allow", "deny", "reject"]);
        let services = dice.one_of(&services);
        text += &format!(
            "    - {{ name: rule-{number}, from: {from}, to: {to}, {action}: [{services}] }}\n"
        );
    }
    text
}

struct Maze<'a> {
    lab: &'a Traces,
    folder: tempfile::TempDir,
    addresses: BTreeMap<&'static str, [String; 2]>,
}

/// Who, to whom, over which family, for what.
type Case = (&'static str, &'static str, usize, &'static str);

impl Maze<'_> {
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn apply(&self, policy: &str) {
        let file = self.write("maze.yaml", policy);
        self.lab.0.done(&["apply", "-f", &file]);
    }

    /// What really is answered, from all VMs at once.
    fn tried(&self, cases: &BTreeSet<Case>) -> BTreeMap<Case, bool> {
        let prober = self.write("prober.py", PROBER);
        let try_from = |from: &'static str| {
            let own: Vec<Case> = cases
                .iter()
                .copied()
                .filter(|case| case.0 == from)
                .collect();
            let asked: Vec<Value> = own
                .iter()
                .map(|(_, to, family, service)| json!([service, self.addresses[to][*family]]))
                .collect();
            let asked = self.write(&format!("{from}.json"), &json!(asked).to_string());
            let words = ["lab", "exec", from, "--", "python3", &prober, &asked];
            let found: Vec<bool> = serde_json::from_str(&self.lab.0.done(&words)).unwrap();
            own.into_iter().zip(found).collect::<Vec<_>>()
        };
        side_by_side(VMS.to_vec(), try_from)
            .into_iter()
            .flatten()
            .collect()
    }

    /// Traces that do not say what was answered.
    fn disagreements(&self, tried: BTreeMap<Case, bool>) -> Vec<String> {
        let compare = |((from, to, family, service), answered): (Case, bool)| {
            let family = ["ipv4", "ipv6"][family];
            let (from, to) = (format!("maze/{from}"), format!("maze/{to}"));
            let trace = self.lab.trace(&[&from, &to, service, "--family", family]);
            let said = trace["verdict"] == "delivered";
            let line = &trace["summary"];
            (said != answered)
                .then(|| format!("{from} {to} {service} {family}: answered {answered}, but {line}"))
        };
        let mut wrong = Vec::new();
        let mut tried: Vec<_> = tried.into_iter().collect();
        while !tried.is_empty() {
            let some = tried.split_off(tried.len().saturating_sub(VMS.len()));
            wrong.extend(side_by_side(some, compare).into_iter().flatten());
        }
        wrong
    }
}

/// What becomes of each, all at once: most of the time is spent waiting.
pub fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads = items
            .into_iter()
            .map(|item| scope.spawn(move || work(item)));
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

fn cases(dice: &mut Dice) -> BTreeSet<Case> {
    let mut cases = BTreeSet::new();
    while cases.len() < TRACES {
        let (from, to) = (dice.one_of(&VMS), dice.one_of(&VMS));
        if from != to {
            cases.insert((from, to, dice.below(2), dice.one_of(&SERVICES)));
        }
    }
    cases
}

/// Random policies, and what traces and VMs say under each.
pub fn agree(lab: &Traces) {
    let mut dice = Dice(7);
    let mut maze = Maze {
        lab,
        folder: tempfile::tempdir().unwrap(),
        addresses: BTreeMap::new(),
    };
    maze.apply(&random_policy(&mut dice));
    lab.0
        .done(&["lab", "status", &lab.0.name(), "--wait", "30s"]);
    for vm in VMS {
        let port = lab.0.port(&format!("maze/{vm}"));
        let address = |at: usize| port["addresses"][at].as_str().unwrap().to_owned();
        maze.addresses.insert(vm, [address(0), address(1)]);
        let server = maze.write("server.py", SERVER);
        lab.0.at(vm, &format!("python3 {server}"));
    }
    for policy in 0..2 {
        let cases = cases(&mut dice);
        // Not by chance: under each policy some pass and some do not.
        let tried = maze.tried(&cases);
        let passing = tried.values().filter(|it| **it).count();
        assert!(
            (1..cases.len()).contains(&passing),
            "{passing} of policy {policy}"
        );
        let wrong = maze.disagreements(tried);
        assert!(wrong.is_empty(), "policy {policy}:\n{}", wrong.join("\n"));
        maze.apply(&random_policy(&mut dice));
    }
    let file = maze.folder.path().join("maze.yaml");
    documents::are_described(lab, file.to_str().unwrap());
    lab.0.done(&["project", "delete", "maze"]);
}

/// Frames of a port and what the vSwitch does with them, as another program reads them while they are written.
pub fn capture(lab: &Traces) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web-2.pcapng");
    let path = file.to_str().unwrap();
    let words = ["capture", "shop/web-2", "-w", path, "--seconds", "60"];
    let _capturing = lab.0.start(&words);
    let (own, peer) = (lab.0.port("web-2"), lab.0.port("web-1"));
    let macs = [&peer, &own].map(|port| port["mac"].as_str().unwrap());
    // Once the first is seen, all that follow are.
    let seen = |source: &str, protocol: &str, comment: &str| {
        let parts = [source, protocol, comment];
        let lines = read_by_tshark(path);
        let fits = |line: &&String| parts.iter().all(|part| line.contains(part));
        lines.iter().filter(fits).count()
    };
    until("the first frame that is captured", || {
        let peer = peer["addresses"][0].as_str().unwrap();
        lab.0.at("web-2", &format!("ping -c 1 {peer}"));
        let any = seen(macs[1], "", "");
        (any > 0).then_some(()).ok_or_else(|| "none".to_owned())
    });
    for address in 0..2 {
        let address = own["addresses"][address].as_str().unwrap();
        lab.0.at("web-1", &format!("ping -c 3 -i 0.2 {address}"));
    }
    // As somebody else.
    let forged = "from scapy.all import *; sendp(Ether(src='02:bb:bb:bb:bb:bb',dst='ff:ff:ff:ff:ff:ff')/(b'hello'*9),iface='eth0',count=3,verbose=0)";
    let script = folder.path().join("forged.py");
    std::fs::write(&script, forged).unwrap();
    lab.0
        .at("web-2", &format!("/usr/bin/python3 {}", script.display()));
    for (source, protocol, comment) in [
        (macs[0], "ICMP\t", "handed to shop/web-2"),
        (macs[1], "ICMP\t", "sent to "),
        (macs[0], "ICMPv6", "handed to shop/web-2"),
        (macs[1], "ICMPv6", "sent to "),
        ("02:bb:bb:bb:bb:bb", "", "forged-source"),
    ] {
        until(comment, || {
            let frames = seen(source, protocol, comment);
            let told = || {
                format!(
                    "{frames} of {source} {protocol}: {:#?}",
                    read_by_tshark(path)
                )
            };
            (frames >= 3).then_some(()).ok_or_else(told)
        });
    }
}

/// Source, protocol and comment of each frame that is there so far; the last one may be written in part.
fn read_by_tshark(path: &str) -> Vec<String> {
    let fields = ["eth.src", "_ws.col.Protocol", "frame.comment"];
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let mut tshark = Command::new("tshark");
    tshark.args(["-r", path, "-T", "fields"]).args(fields);
    let text = String::from_utf8(tshark.output().unwrap().stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}
