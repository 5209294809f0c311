//! `coax doctor` on the same lab: nothing on a healthy one, and every seeded fault by its name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::lab::{Lab, until};

/// Where each fault is, how it is seeded, how it is mended, and what finds it.
const FAULTS: [(&str, &str, &str, &str); 6] = [
    (
        "hv2",
        "ip link set up1 mtu 1500",
        "ip link set up1 mtu 9216",
        "uplink-mtu",
    ),
    (
        "hv3",
        "sysctl -qw net.ipv4.conf.all.rp_filter=1",
        "sysctl -qw net.ipv4.conf.all.rp_filter=0",
        "rp-filter",
    ),
    (
        "hv4",
        "ip address add 10.255.2.1/32 dev lo",
        "ip address del 10.255.2.1/32 dev lo",
        "vtep-duplicate",
    ),
    (
        "hv5",
        "sysctl -qw net.ipv4.fib_multipath_hash_policy=0",
        "sysctl -qw net.ipv4.fib_multipath_hash_policy=1",
        "multipath-hash",
    ),
    (
        "hv6",
        "ip link set up2 down",
        "ip link set up2 up",
        "uplink-down",
    ),
    (
        "leaf1",
        "ip link set hv1 mtu 8000",
        "ip link set hv1 mtu 9216",
        "path-mtu",
    ),
];

fn examine(lab: &Lab) -> (i32, Value) {
    let output = lab.run(&["doctor", "-o", "json"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{text}"));
    (output.status.code().unwrap(), found)
}

fn codes(found: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| (text(&finding["host"]), text(&finding["code"])))
        .collect()
}

fn state_of(lab: &Lab, host: &str) -> Result<(), String> {
    let list = lab.done(&["host", "list"]);
    let line = list.lines().find(|line| line.starts_with(host)).unwrap();
    match line.contains("not ready") {
        true => Err(line.to_owned()),
        false => Ok(()),
    }
}

/// Seeds every fault at once, each on a node of its own.
pub fn doctor(lab: &Lab) {
    until("a healthy lab", || {
        let (code, found) = examine(lab);
        let healthy = code == 0 && found["paths"] == 60 && codes(&found).is_empty();
        healthy.then_some(()).ok_or_else(|| format!("{found:#}"))
    });
    for (node, seed, _, _) in FAULTS {
        lab.at(node, seed);
    }
    let (code, found) = examine(lab);
    assert_eq!(code, 1, "{found:#}");
    let named = codes(&found);
    for (node, _, _, finding) in FAULTS {
        // What is wrong on a leaf is found by a host that sends through it.
        let by_name = |(host, code): &(String, String)| {
            code == finding && (host == node || node.starts_with("leaf"))
        };
        assert!(named.iter().any(by_name), "{node} {finding}: {found:#}");
    }
    until("hv2 is not ready", || match state_of(lab, "hv2") {
        Err(_) => Ok(()),
        Ok(()) => Err(lab.done(&["host", "list"])),
    });
    for (node, _, mend, _) in FAULTS {
        lab.at(node, mend);
    }
    until("everything is mended", || {
        let (code, found) = examine(lab);
        (code == 0)
            .then_some(())
            .ok_or_else(|| format!("{found:#}"))
    });
    until("hv2 is ready", || state_of(lab, "hv2"));
    // One host alone: its own ways and those to it, over both families.
    let one = lab.done(&["doctor", "hv1", "-o", "json"]);
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (&one["hosts"][0], &one["paths"]),
        (&"hv1".into(), &20.into())
    );
}
