//! A router of a whole lab: VMs on different hypervisors and networks reach each other through it, in one hop. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/lab.rs"]
mod lab;

use std::path::Path;

use lab::{Lab, until};

const NETWORKS: &str = "
version: 1
project: tiers
networks:
  web: { subnets: [10.20.1.0/24, 'fd00:20:1::/64'] }
  db:  { subnets: [10.20.3.0/24, 'fd00:20:3::/64'] }
  ip:  { subnets: [10.20.4.0/24, 'fd00:20:4::/64'], type: routed }
ports:
  web-1: { network: web, host: hv1 }
  db-1:  { network: db, host: hv1 }
  db-2:  { network: db, host: hv4 }
  ip-1:  { network: ip, host: hv2 }
  ip-2:  { network: ip, host: hv5 }
";

const ROUTERS: &str = "
routers:
  gw: { networks: [web, db, ip] }
";

/// Another project with the same addresses, which has a router of its own.
const OTHER: &str = "
version: 1
project: other
networks:
  web: { subnets: [10.20.1.0/24, 'fd00:20:1::/64'] }
  db:  { subnets: [10.20.3.0/24, 'fd00:20:3::/64'] }
ports:
  web-1: { network: web, host: hv1 }
  db-9:  { network: db, host: hv4, addresses: [10.20.3.9, 'fd00:20:3::9'] }
routers:
  gw: { networks: [web, db] }
";

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn address(lab: &Lab, port: &str, ipv6: bool) -> String {
    let port = lab.port(port);
    let addresses = port["addresses"].as_array().unwrap();
    addresses[usize::from(ipv6)].as_str().unwrap().to_owned()
}

/// Pings once, and says how many hops the answer had left.
fn ping(lab: &Lab, from: &str, to: &str) -> Result<String, String> {
    let words = format!("lab exec {from} -- ping -n -c 1 -W 2 {to}");
    let output = lab.run(&words.split(' ').collect::<Vec<_>>());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ttl = text.split("ttl=").nth(1);
    let ttl = ttl.and_then(|rest| rest.split(' ').next());
    ttl.map(str::to_owned).ok_or(text)
}

#[test]
fn networks_of_a_router_reach_each_other_in_one_hop() {
    let folder = tempfile::tempdir().unwrap();
    let stack = written(folder.path(), "tiers.yaml", &[NETWORKS, ROUTERS].concat());
    let lab = Lab::up("ro", &stack);
    lab.done(&["apply", "-f", &written(folder.path(), "other.yaml", OTHER)]);
    lab.done(&["lab", "status", &lab.name(), "--wait", "30s"]);

    for ipv6 in [false, true] {
        for port in ["tiers/db-1", "tiers/db-2", "tiers/ip-1"] {
            let to = address(&lab, port, ipv6);
            let hops = until(port, || ping(&lab, "tiers/web-1", &to));
            assert_eq!(hops, "63", "{port} is one hop away");
        }
        // Neighbours of a routed network are neighbours.
        let to = address(&lab, "tiers/ip-2", ipv6);
        assert_eq!(until("neighbours", || ping(&lab, "tiers/ip-1", &to)), "64");
        let gateway = if ipv6 { "fd00:20:1::1" } else { "10.20.1.1" };
        assert_eq!(
            until("gateway", || ping(&lab, "tiers/web-1", gateway)),
            "64"
        );
        let to = address(&lab, "tiers/db-2", ipv6);
        // What traceroute shows: the router is the first hop.
        let path = ping(&lab, "tiers/web-1", &format!("-t 1 {to}")).unwrap_err();
        assert!(path.contains(&format!("From {gateway} ")), "{path}");
    }

    // Another project's router knows the same addresses as other VMs.
    for to in ["10.20.3.9", "fd00:20:3::9"] {
        let hops = until("the other project", || ping(&lab, "other/web-1", to));
        assert_eq!(hops, "63");
        assert!(ping(&lab, "tiers/web-1", to).is_err(), "{to}");
    }

    let trace = lab.done(&["trace", "tiers/web-1", "tiers/db-2", "icmp"]);
    let first = trace.lines().next().unwrap();
    assert!(first.contains("delivered to tiers/db-2 on hv4"), "{first}");

    // Without the router nobody gets out of the network.
    lab.done(&[
        "apply",
        "-f",
        &written(folder.path(), "without.yaml", NETWORKS),
    ]);
    let to = address(&lab, "tiers/db-1", false);
    until("no router any more", || {
        match ping(&lab, "tiers/web-1", &to) {
            Ok(_) => Err("an answer".to_owned()),
            Err(_) => Ok(()),
        }
    });
}
