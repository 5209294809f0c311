//! rdisc6 and the kernel's own stack as readers of router advertisements.

use crate::bed::Bed;
use coax_services::stand::Stand;

const ROUTER: &str = "fe80::c0:a0ff:fe00:1";

#[test]
fn rdisc6_reads_everything() {
    let bed = Bed::new(Stand::routed());
    let text = bed.must(&["rdisc6", "-1", "-v", &bed.device]);
    let squeezed: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "Hop limit : 64 ( 0x40)",
        "Stateful address conf. : Yes",
        "Stateful other conf. : Yes",
        "Router lifetime : 1800 (0x00000708) seconds",
        "MTU : 1442 bytes (valid)",
        "Prefix : fd00:10:1::/64",
        "On-link : Yes",
        "Autonomous address conf.: No",
        "Source link-layer address: 02:C0:A0:00:00:01",
        "Recursive DNS server : fd00:10:1::1",
        "Recursive DNS server : 2001:db8::53",
        "DNS search list : web.shop.cloud.example",
        &format!("from {ROUTER}"),
    ] {
        assert!(squeezed.contains(wanted), "no `{wanted}` in\n{text}");
    }
}

#[test]
fn rdisc6_hears_nothing_where_there_is_nothing_to_hear() {
    let mut stand = Stand::routed();
    stand.network.router_advertisements = false;
    let bed = Bed::new(stand);
    let (success, text) = bed.run(&["rdisc6", "-1", "-r", "2", "-w", "500", &bed.device]);
    assert!(!success && !text.contains(ROUTER), "{text}");
    bed.wait_for("router-solicitation ignored");
}

/// The kernel sends solicitations when a device goes up, and learns what it is told.
fn listen(bed: &Bed) {
    let device = &bed.device;
    let accept = format!("net.ipv6.conf.{device}.accept_ra=2");
    bed.must(&["sysctl", "-q", "-w", &accept]);
    bed.must(&["ip", "link", "set", device, "down"]);
    bed.must(&["ip", "link", "set", device, "up"]);
}

#[test]
fn the_kernel_learns_route_prefix_and_mtu_but_makes_up_no_address() {
    let bed = Bed::new(Stand::routed());
    listen(&bed);
    let routes = ["ip", "-6", "route", "show"];
    bed.wait_until_shown(&routes, &format!("default via {ROUTER}"));
    let shown = bed.must(&routes);
    assert!(
        shown.contains("fd00:10:1::/64 dev") && shown.contains("mtu 1442"),
        "{shown}"
    );
    let addresses = bed.must(&["ip", "-6", "addr", "show", "dev", &bed.device]);
    assert!(!addresses.contains("fd00:"), "{addresses}");
    bed.wait_for("router-solicitation answered");
}

#[test]
fn the_kernel_learns_no_route_where_there_is_no_router() {
    let bed = Bed::new(Stand::isolated());
    listen(&bed);
    let routes = ["ip", "-6", "route", "show"];
    bed.wait_until_shown(&routes, "fd00:10:1::/64 dev");
    let shown = bed.must(&routes);
    assert!(!shown.contains("default"), "{shown}");
}

#[test]
fn the_kernel_forgets_a_router_that_says_good_bye() {
    let bed = Bed::new(Stand::routed());
    listen(&bed);
    let default = ["ip", "-6", "route", "show", "default"];
    bed.wait_until_shown(&default, ROUTER);
    bed.advertise(false);
    bed.wait_until_shown(
        &[
            "sh",
            "-c",
            "ip -6 route show default | grep -q . || echo none",
        ],
        "none",
    );
    bed.advertise(true);
    bed.wait_until_shown(&default, ROUTER);
}
