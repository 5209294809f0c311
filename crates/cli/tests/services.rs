//! DHCP, DHCPv6, router advertisements and DNS in a whole lab: the questions of real clients in VMs go through the kernel's
//! vSwitch to the agent and come back. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/lab.rs"]
mod lab;

use lab::{Lab, until};
use serde_json::Value;

const STACK: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24, 'fd00:10:1::/64'], dhcp: true, dns: { domain: cloud.example } }
  own: { subnets: [10.10.2.0/24, 'fd00:10:2::/64'] }
ports:
  web-1: { network: web, host: hv1 }
  web-2: { network: web, host: hv2 }
  own-1: { network: own, host: hv1 }
";

/// Sets the card up as the client says, and leaves word of what it was told.
const UDHCPC_SCRIPT: &str = r#"#!/bin/sh
case "$1" in
bound|renew) ip addr replace "$ip/$mask" dev "$interface"; ip link set "$interface" mtu "$mtu"; env > "$0.told" ;;
esac
"#;

const DHCLIENT_SCRIPT: &str = r#"#!/bin/sh
case "$reason" in
PREINIT6) ip link set "$interface" up ;;
BOUND6|RENEW6|REBIND6) ip addr replace "$new_ip6_address/128" dev "$interface"; env > "$0.told" ;;
esac
exit 0
"#;

/// The addresses that the manager has given a port: IPv4 and IPv6.
fn addresses(port: &Value) -> (String, String) {
    let addresses = port["addresses"].as_array().unwrap();
    let text = |index: usize| addresses[index].as_str().unwrap().to_owned();
    (text(0), text(1))
}

struct Vms {
    lab: Lab,
    folder: tempfile::TempDir,
}

impl Vms {
    fn new(letters: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stack = folder.path().join("stack.yaml");
        std::fs::write(&stack, STACK).unwrap();
        let lab = Lab::up(letters, stack.to_str().unwrap());
        Self { lab, folder }
    }

    fn script(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What the client that calls the script was told.
    fn told(&self, script: &str) -> String {
        std::fs::read_to_string(format!("{script}.told")).unwrap()
    }

    /// A VM whose card knows nothing.
    fn forget(&self, vm: &str) {
        self.lab.at(vm, "ip addr flush dev eth0 scope global");
        self.lab.at(vm, "ip link set eth0 mtu 1280");
    }

    /// Clients in a VM get what the manager says of its port.
    fn leases(&self, vm: &str, port: &Value) {
        let (ipv4, ipv6) = addresses(port);
        let udhcpc = self.script("udhcpc", UDHCPC_SCRIPT);
        self.lab.at(
            vm,
            &format!("udhcpc -n -q -f -i eth0 -t 5 -T 2 -s {udhcpc}"),
        );
        let told = self.told(&udhcpc);
        let mtu = port["mtu"].to_string();
        for line in [format!("ip={ipv4}"), format!("mtu={mtu}")] {
            assert!(
                told.lines().any(|told| told == line),
                "no {line} in\n{told}"
            );
        }

        let dhclient = self.script("dhclient", DHCLIENT_SCRIPT);
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let (leases, pid) = (file("leases"), file("pid"));
        let _ = std::fs::remove_file(&leases);
        std::fs::write(&leases, "").unwrap();
        self.lab.at(
            vm,
            &format!("dhclient -6 -1 -sf {dhclient} -lf {leases} -pf {pid} eth0"),
        );
        self.lab.at(
            vm,
            &format!("dhclient -6 -x -sf {dhclient} -lf {leases} -pf {pid} eth0"),
        );
        let told = self.told(&dhclient);
        assert!(
            told.contains(&format!("new_ip6_address={ipv6}\n")),
            "{told}"
        );
    }
}

#[test]
fn vms_get_addresses_and_names_from_their_own_host() {
    let vms = Vms::new("sa");
    let (ipv4, ipv6) = addresses(&vms.lab.port("web-2"));
    let port = vms.lab.port("web-1");
    vms.forget("web-1");
    vms.leases("web-1", &port);
    vms.lab.at("web-1", &format!("ping -c 1 -W 2 {ipv4}"));

    let advertised = vms.lab.at("web-1", "rdisc6 -1 -w 3000 eth0");
    assert!(advertised.contains("fd00:10:1::/64"), "{advertised}");

    for (gateway, kind, address) in [("10.10.1.1", "A", &ipv4), ("10.10.1.1", "AAAA", &ipv6)] {
        for name in ["web-2.web.shop", "web-2.web.shop.cloud.example"] {
            let dig = format!("dig +short +tries=3 +timeout=2 @{gateway} {name} {kind}");
            assert_eq!(vms.lab.at("web-1", &dig).trim(), *address, "{dig}");
        }
    }
    let dig = "dig +noall +comments @10.10.1.1 web-9.web.shop A";
    assert!(vms.lab.at("web-1", dig).contains("status: NXDOMAIN"));

    // Nobody answers on a network that did not ask for it.
    let script = vms.script("nobody", UDHCPC_SCRIPT);
    let words = format!("lab exec own-1 -- udhcpc -n -q -f -i eth0 -t 2 -T 1 -s {script}");
    let words: Vec<&str> = words.split(' ').collect();
    assert!(!vms.lab.run(&words).status.success());
}

#[test]
fn leases_and_names_need_no_controller_and_survive_a_restart() {
    let vms = Vms::new("sb");
    let (ipv4, _) = addresses(&vms.lab.port("web-2"));
    let port = vms.lab.port("web-1");
    vms.lab.done(&["lab", "break", "controller"]);
    vms.forget("web-1");
    vms.leases("web-1", &port);

    vms.lab.done(&["lab", "break", "agent", "hv1"]);
    vms.lab.done(&["lab", "heal", "agent", "hv1"]);
    vms.forget("web-1");
    let script = vms.script("again", UDHCPC_SCRIPT);
    let udhcpc = format!("udhcpc -n -q -f -i eth0 -t 10 -T 1 -s {script}");
    vms.lab.at("web-1", &udhcpc);
    until("a name", || {
        let found = vms
            .lab
            .at("web-1", "dig +short +timeout=1 @10.10.1.1 web-2.web.shop A");
        (found.trim() == ipv4).then_some(()).ok_or(found)
    });
    vms.lab.done(&["lab", "heal", "controller"]);
}
