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
  db-1:  { network: db, host: hv1, allowed_addresses: [10.20.3.100, 'fd00:20:3::100'] }
  db-2:  { network: db, host: hv4, allowed_addresses: [10.20.3.100, 'fd00:20:3::100'] }
  ip-1:  { network: ip, host: hv2, allowed_addresses: [10.20.4.100, 'fd00:20:4::100'] }
  ip-2:  { network: ip, host: hv5, allowed_addresses: [10.20.4.100, 'fd00:20:4::100'] }
  ip-3:  { network: ip, host: hv5 }
";

/// What VRRP does: takes both addresses and says so once, or only says so.
const ANNOUNCE: &str = r"
import socket, struct, subprocess, sys
four, six, have = sys.argv[1:]
if have == 'have':
    for address in ([four + '/32'], [six + '/128', 'nodad']):
        subprocess.run(['ip', 'addr', 'add', *address, 'dev', 'eth0'], check=True)
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(('eth0', 0))
mac = out.getsockname()[4]
own = socket.inet_aton(four)
out.send(b'\xff' * 6 + mac + bytes.fromhex('08060001080006040001') + mac + own + bytes(6) + own)
own, all_nodes = socket.inet_pton(socket.AF_INET6, six), socket.inet_pton(socket.AF_INET6, 'ff02::1')
body = bytes([136, 0, 0, 0, 32, 0, 0, 0]) + own + bytes([2, 1]) + mac
data = own + all_nodes + struct.pack('!II', len(body), 58) + body
total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
while total > 0xffff:
    total = (total & 0xffff) + (total >> 16)
body = body[:2] + struct.pack('!H', 0xffff - total) + body[4:]
out.send(bytes.fromhex('333300000001') + mac + b'\x86\xdd' + struct.pack('!IHBB', 6 << 28, len(body), 58, 255) + own + all_nodes + body)
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

/// The VM takes a shared address of its network over, or only claims to have it.
fn announce(lab: &Lab, folder: &Path, vm: &str, network: u8, have: bool) {
    let script = written(folder, "announce.py", ANNOUNCE);
    let have = if have { "have" } else { "claim" };
    lab.at(
        vm,
        &format!("python3 {script} 10.20.{network}.100 fd00:20:{network}::100 {have}"),
    );
}

/// Addresses that VMs share (VRRP) are reached where they were announced last, from hosts that have no port in their network,
/// and in a network that is looked up by address; the very next packet goes to the new owner.
fn shared_addresses_move(lab: &Lab, folder: &Path) {
    // hv1 has no port in `ip`, hv2 none in `db`; ip-3 is in the network and on the host of one of the two that share.
    for (network, vms, from) in [
        (4, ["ip-1", "ip-2"], ["web-1", "ip-3"]),
        (3, ["db-2", "db-1"], ["ip-1", "web-1"]),
    ] {
        let addresses = [
            format!("10.20.{network}.100"),
            format!("fd00:20:{network}::100"),
        ];
        for (place, vm) in vms.iter().enumerate() {
            if let Some(before) = place.checked_sub(1).map(|before| vms[before]) {
                for (address, bits) in addresses.iter().zip([32, 128]) {
                    let gone = format!("ip addr del {address}/{bits} dev eth0");
                    lab.at(before, &gone);
                }
            }
            announce(lab, folder, vm, network, true);
            for from in from {
                for address in &addresses {
                    let answer = ping(lab, &format!("tiers/{from}"), address);
                    assert!(answer.is_ok(), "{from} to {address} at {vm}: {answer:?}");
                }
            }
        }
    }
    // Who does not share an address cannot take it.
    announce(lab, folder, "ip-3", 4, false);
    for address in ["10.20.4.100", "fd00:20:4::100"] {
        for from in ["tiers/web-1", "tiers/ip-1", "tiers/ip-3"] {
            let answer = ping(lab, from, address);
            assert!(answer.is_ok(), "{from} to {address}: {answer:?}");
        }
    }
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

    shared_addresses_move(&lab, folder.path());

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
