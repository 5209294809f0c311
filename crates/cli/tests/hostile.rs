//! A VM that attacks with what scapy builds: tshark says what it is, tcpdump in its neighbours that none of it arrives, and
//! `coax` for which reason each frame was dropped. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/lab.rs"]
mod lab;
#[path = "hostile/loops.rs"]
mod loops;
#[path = "hostile/ports.rs"]
mod ports;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{Lab, Running, until};
use serde_json::Value;

/// The attacker has a neighbour on its own host and one on another.
const STACK: &str = "
version: 1
project: zoo
networks:
  cage: { subnets: [10.66.0.0/24, 'fd00:66::/64'] }
  pen: { subnets: [10.67.0.0/24, 'fd00:67::/64'] }
routers:
  gate: { networks: [cage, pen] }
ports:
  wolf: { network: cage, host: hv1 }
  near: { network: cage, host: hv1 }
  far:  { network: cage, host: hv4 }
firewall:
  default: allow
  rules: []
";

/// Another project on the same hosts, with the same addresses: nothing of the attacker may get there.
const OTHER: &str = "
version: 1
project: den
networks:
  hole: { subnets: [10.66.0.0/24, 'fd00:66::/64'] }
ports:
  bait:  { network: hole, host: hv1 }
  decoy: { network: hole, host: hv4 }
";

/// Each attack is sent so often.
const TIMES: u64 = 2;

/// What must not arrive, in tcpdump's words: `OWN` is the attacker's MAC address, the neighbour's own frames are not seen.
const FORGED: &str = "(ether src OWN and (arp or ether[12:2] < 1536 or ether[12:2] == 0x8100 or ether[12:2] == 0x88a8 \
    or ether[0:4] == 0x0180c200 or udp port 68 or udp port 546 or udp port 5353 or icmp or tcp \
    or (icmp6 and (ip6[40] == 134 or ip6[40] == 135 or ip6[40] == 136 or ip6[40] == 137)) or (ip6 and (ip6[6] == 60 or (ip6[6] == 44 and not (ip6[40] == 17 and ip6[42:2] == 1)))) or (udp and (src host :: or src host ff02::1:2)) \
    or (ip6 and ip6[6] == 0 and (ip6[48] == 134 or ip6[48] == 136)) or (ip and ip[6:2] & 0x1fff != 0) \
    or src host NEAR4 or src host NEAR6 or udp src port 4444)) or ether src 02:bb:bb:bb:bb:bb or ether src NEAR";

struct Vm {
    mac: String,
    ipv4: String,
    ipv6: String,
}

impl Vm {
    fn of(lab: &Lab, port: &str) -> Self {
        let port = lab.port(port);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            mac: text(&port["mac"]),
            ipv4: text(&port["addresses"][0]),
            ipv6: text(&port["addresses"][1]),
        }
    }
}

/// What a neighbour gets.
struct Listener {
    path: PathBuf,
    _running: Running,
}

impl Listener {
    fn start(lab: &Lab, folder: &Path, vm: &str) -> Self {
        let path = folder.join(format!("{vm}.pcap"));
        let program = format!(
            "lab exec {vm} -- tcpdump -i eth0 -Q in -n -U --immediate-mode -w {}",
            path.display()
        );
        let running = lab.start(&program.split(' ').collect::<Vec<_>>());
        until(vm, || match std::fs::metadata(&path) {
            // The file's own header is there when the capture has begun.
            Ok(file) if file.len() >= 24 => Ok(()),
            other => Err(format!("{other:?}")),
        });
        Self {
            path,
            _running: running,
        }
    }

    fn frames(&self, filter: &str) -> Vec<String> {
        frames(&self.path, filter)
    }
}

/// The frames of a file that match a filter, a line each.
fn frames(file: &Path, filter: &str) -> Vec<String> {
    let mut command = Command::new("tcpdump");
    command.args(["-n", "-e", "-q", "-r"]).arg(file).arg(filter);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| !line.starts_with(['\t', ' ']));
    lines.map(str::to_owned).collect()
}

/// An attack as the script tells it.
struct Attack {
    name: String,
    reasons: Vec<String>,
    protocols: String,
}

fn attack(lab: &Lab, vms: [&Vm; 2], file: &Path, victim: &[String; 6]) -> Vec<Attack> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/hostile.py");
    let mut words = vec!["lab", "exec", "wolf", "--", "/usr/bin/python3", script];
    for vm in vms {
        words.extend([vm.mac.as_str(), &vm.ipv4, &vm.ipv6]);
    }
    words.push(file.to_str().unwrap());
    words.extend(victim.iter().map(String::as_str));
    let told = lab.done(&words);
    let attacks = told.lines().map(|line| {
        let [name, reasons, protocols] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let reasons = reasons.split(' ').filter(|reason| *reason != "-");
        Attack {
            name: name.to_owned(),
            reasons: reasons.map(str::to_owned).collect(),
            protocols: protocols.to_owned(),
        }
    });
    attacks.collect()
}

/// A value of what a command shows.
fn text(lab: &Lab, words: &[&str], key: &str) -> String {
    let shown: Value = serde_json::from_str(&lab.done(&[words, &["-o", "json"]].concat())).unwrap();
    let value = &shown[key];
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The other project, and the attacker's host, which watches what its own stack gets of the attacker's.
struct Den {
    strangers: [Listener; 2],
    /// The tunnel endpoints of two hosts over IPv4 and over IPv6, the VNI, and the MAC address of a port.
    tunnel: [String; 6],
}

impl Den {
    fn dig(lab: &Lab, folder: &Path) -> Self {
        let other = folder.join("den.yaml");
        std::fs::write(&other, OTHER).unwrap();
        lab.done(&["apply", "-f", other.to_str().unwrap()]);
        lab.done(&["lab", "status", &lab.name(), "--wait", "30s"]);
        let bait = Vm::of(lab, "den/bait");
        let strangers = ["bait", "decoy"].map(|vm| Listener::start(lab, folder, vm));
        let of_both = |key| ["hv1", "hv4"].map(|host| text(lab, &["host", "show", host], key));
        let [vtep, far_vtep] = of_both("vtep_ipv4");
        let [vtep6, far_vtep6] = of_both("vtep_ipv6");
        let vni = text(lab, &["network", "show", "den/hole"], "vni");
        // What of the attacker's the host's own stack gets to see, by nftables.
        for rule in [
            "add table inet watch",
            "add chain inet watch in { type filter hook prerouting priority -300 ; }",
            &format!(
                "add rule inet watch in iifname {} counter",
                lab.device("zoo/wolf")
            ),
            "add rule inet watch in ip saddr 10.66.0.0/24 counter",
            "add rule inet watch in ip6 saddr fd00:66::/64 counter",
            // The host's own traffic.
            "add rule inet watch in counter",
        ] {
            lab.at("hv1", &format!("nft {rule}"));
        }
        let tunnel = [vtep, far_vtep, vtep6, far_vtep6, vni, bait.mac];
        Self { strangers, tunnel }
    }

    fn is_untouched(&self, lab: &Lab, wolf: &Vm) {
        let stack = lab.at("hv1", "nft list table inet watch");
        let counters = stack.split("counter packets ").skip(1);
        let counts = counters.map(|rest| rest.split(' ').next().unwrap().parse().unwrap());
        let [from_device, over_ipv4, over_ipv6, all]: [u64; 4] =
            counts.collect::<Vec<_>>().try_into().unwrap();
        assert_eq!([from_device, over_ipv4, over_ipv6], [0; 3], "{stack}");
        assert!(all > 0, "the rules see nothing at all: {stack}");
        for stranger in &self.strangers {
            let escaped = stranger.frames(&format!("ether src {} or host 10.66.0.9", wolf.mac));
            assert!(escaped.is_empty(), "{}", escaped.join("\n"));
        }
    }
}

/// What was sent to the gateway ended there: it says that no route leads to a host, in both families.
fn no_way_by_the_gateway(lab: &Lab, attacks: &[Attack], listeners: &[Listener]) {
    for (file, over_ipv6) in [("snmp", false), ("snmp6", true)] {
        let names = attacks.iter().map(|attack| attack.name.as_str());
        let by_gateway = names.filter(|name| name.ends_with("by the gateway"));
        let sent = by_gateway.filter(|name| name.contains("IPv6") == over_ipv6);
        let sent = sent.count() as u64 * TIMES;
        until(file, || {
            let told = unreachable(&lab.at("wolf", &format!("cat /proc/net/{file}")));
            let enough = sent > 0 && told >= sent;
            enough.then_some(()).ok_or(format!("{told} of {sent}"))
        });
    }
    for listener in listeners {
        let arrived = listener.frames("udp src port 4441 or ip proto 47");
        let own = |line: &&String| line.contains("02:c0:a0:00:00:01");
        assert!(!arrived.iter().any(|line| own(&line)), "{arrived:?}");
    }
}

/// How often a kernel has heard that something is unreachable, by its own counters: a line of names above one of numbers, or a
/// name and a number in each line.
fn unreachable(counters: &str) -> u64 {
    let lines = counters
        .lines()
        .map(|line| line.split_whitespace().collect());
    let lines: Vec<Vec<&str>> = lines.collect();
    if counters.contains("Icmp6InMsgs") {
        let line = lines.iter().find(|line| line[0] == "Icmp6InDestUnreachs");
        return line.map_or(0, |line| line[1].parse().unwrap());
    }
    let mut of_icmp = lines.iter().filter(|line| line[0] == "Icmp:");
    let (names, numbers) = (of_icmp.next().unwrap(), of_icmp.next().unwrap());
    let place = names.iter().position(|name| *name == "InDestUnreachs");
    numbers[place.unwrap()].parse().unwrap()
}

/// Drops of a port's frames, by reason.
fn drops(lab: &Lab, port: &str) -> BTreeMap<String, u64> {
    let drops: Value = serde_json::from_str(&lab.done(&["drops", "-o", "json"])).unwrap();
    let drops = drops["drops"].as_array().unwrap().iter();
    let own = drops.filter(|drop| drop["port"] == port);
    own.map(|drop| {
        let reason = drop["reason"].as_str().unwrap().to_owned();
        (reason, drop["count"].as_u64().unwrap())
    })
    .collect()
}

/// tshark sees in each frame what the script says that it built.
fn confirm(attacks: &[Attack], file: &Path) {
    let mut command = Command::new("tshark");
    command
        .args(["-T", "fields", "-e", "frame.protocols", "-r"])
        .arg(file);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let seen: Vec<&str> = text.lines().collect();
    assert_eq!(seen.len(), attacks.len(), "{text}");
    for (attack, seen) in attacks.iter().zip(seen) {
        assert!(seen.contains(&attack.protocols), "{}: {seen}", attack.name);
    }
}

/// How many frames must be dropped for each reason.
fn expected(attacks: &[Attack]) -> BTreeMap<&str, u64> {
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for attack in attacks {
        for reason in &attack.reasons {
            *expected.entry(reason).or_default() += TIMES / attack.reasons.len() as u64;
        }
    }
    expected
}

#[test]
fn nothing_that_scapy_forges_arrives_and_each_frame_is_counted_under_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let stack = folder.path().join("zoo.yaml");
    std::fs::write(&stack, STACK).unwrap();
    let lab = Lab::up("sc", stack.to_str().unwrap());
    let [wolf, near] = ["zoo/wolf", "zoo/near"].map(|port| Vm::of(&lab, port));
    let den = Den::dig(&lab, folder.path());
    let listeners = ["near", "far"].map(|vm| Listener::start(&lab, folder.path(), vm));

    let file = folder.path().join("attacks.pcap");
    let attacks = attack(&lab, [&wolf, &near], &file, &den.tunnel);
    confirm(&attacks, &file);

    let expected = expected(&attacks);
    assert!(expected.len() >= 10 && attacks.len() >= 40);
    // What the VM's own kernel says may be dropped, too, but never for one of these reasons.
    until("drops", || {
        let found = drops(&lab, "zoo/wolf");
        let found: BTreeMap<&str, u64> = expected
            .keys()
            .map(|reason| (*reason, found.get(*reason).copied().unwrap_or(0)))
            .collect();
        if found == expected {
            Ok(())
        } else {
            Err(format!("found {found:?}\nexpected {expected:?}"))
        }
    });
    let shut = lab.done(&["port", "show", "zoo/wolf"]);
    assert!(shut.contains("bpdu"), "{shut}");
    let control = attacks.iter().filter(|attack| attack.name == "control");
    let control = control.count() * TIMES as usize;
    let forged = FORGED
        .replace("OWN", &wolf.mac)
        .replace("NEAR4", &near.ipv4);
    let forged = forged.replace("NEAR6", &near.ipv6);
    // The filter sees all attacks, and nothing else.
    let whole = forged.replace("NEAR", &near.mac);
    let peaceful =
        |attack: &&Attack| attack.name.starts_with("control") || attack.reasons.is_empty();
    let seen = attacks.len() - attacks.iter().filter(peaceful).count();
    assert_eq!(frames(&file, &whole).len(), seen);
    for (listener, vm) in listeners.iter().zip(["near", "far"]) {
        until(vm, || {
            let arrived = listener.frames("ether proto 0x88b5").len();
            if arrived == control {
                Ok(())
            } else {
                Err(format!("{arrived} of {control} control frames"))
            }
        });
        // Frames of the other neighbour may arrive at the far one.
        let forged = match vm {
            "near" => whole.clone(),
            _ => forged.replace(" or ether src NEAR", ""),
        };
        let arrived = listener.frames(&forged);
        assert!(arrived.is_empty(), "{vm} got:\n{}", arrived.join("\n"));
    }
    den.is_untouched(&lab, &wolf);
    no_way_by_the_gateway(&lab, &attacks, &listeners);
    let first = listeners[0].frames("udp dst port 9");
    assert_eq!(
        first.len(),
        TIMES as usize,
        "the first fragments: {first:?}"
    );
    ports::keep_to_their_rights(&lab, folder.path());
    loops::are_found(&lab, folder.path());
}
