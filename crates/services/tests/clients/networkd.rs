//! systemd-networkd: DHCPv4, router advertisements and DHCPv6 together, as most Linux images of clouds have it.

use crate::bed::Bed;
use coax_services::stand::Stand;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The service, with files of its own, in a system without udev. The time limit ends it if the test does not.
fn start(bed: &Bed) -> Running {
    let settings = bed.file(
        "port.network",
        &format!(
            "[Match]\nName={}\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n[DHCPv4]\nUseMTU=yes\nUseDomains=yes\nRapidCommit=no\n\
             [DHCPv6]\nUseDomains=yes\n[IPv6AcceptRA]\nUseMTU=yes\n",
            bed.device
        ),
    );
    let script = format!(
        "mount -t tmpfs none /run/systemd && mkdir -p /run/systemd/netif/links /run/systemd/netif/leases && \
         mkdir -p /run/systemd/network && cp {settings} /run/systemd/network/ && \
         chown -R systemd-network /run/systemd/netif && mount -o remount,ro /sys && \
         exec timeout 30 /lib/systemd/systemd-networkd"
    );
    Running(bed.spawn(&["sh", "-c", &script]))
}

/// Ends with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // `timeout` hands this one on to the service, which it could not do with SIGKILL.
        let pid = Pid::from_raw(self.0.id() as i32);
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

#[test]
fn networkd_configures_everything() {
    let bed = Bed::new(Stand::routed().with_route("172.16.0.0/12", "10.10.1.20"));
    let _running = start(&bed);
    let addresses = ["ip", "addr", "show", "dev", &bed.device];
    bed.wait_until_shown(&addresses, "inet 10.10.1.11/24");
    bed.wait_until_shown(&addresses, "inet6 fd00:10:1::11/128");
    let shown = bed.must(&addresses);
    assert!(shown.contains("mtu 1442"), "{shown}");
    let routes = bed.must(&["ip", "route", "show"]);
    for route in ["default via 10.10.1.1 ", "172.16.0.0/12 via 10.10.1.20 "] {
        assert!(routes.contains(route), "{routes}");
    }
    let routes = ["ip", "-6", "route", "show"];
    bed.wait_until_shown(&routes, "default via fe80::c0:a0ff:fe00:1");
    bed.wait_until_shown(&routes, "fd00:10:1::/64");
    // It asks for "rapid commit".
    assert!(bed.told().contains(&"dhcpv6-solicit answered".to_owned()));
}

#[test]
fn networkd_gets_nothing_where_nothing_is_served() {
    let mut stand = Stand::routed();
    stand.network.dhcp = None;
    stand.network.router_advertisements = false;
    let bed = Bed::new(stand);
    let _running = start(&bed);
    bed.wait_for("dhcpv4-discover ignored");
    bed.wait_for("router-solicitation ignored");
    let shown = bed.must(&["ip", "addr", "show", "dev", &bed.device]);
    assert!(
        !shown.contains("10.10.1.11") && !shown.contains("fd00:"),
        "{shown}"
    );
}
