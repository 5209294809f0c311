//! dhclient and dhcpcd as DHCPv6 clients.

use crate::bed::Bed;
use coax_services::stand::Stand;

const SCRIPT: &str = r#"
echo "event=$reason" >> "$0.log"
env >> "$0.log"
case "$reason" in
BOUND6|RENEW6|REBIND6) ip addr replace "$new_ip6_address/$new_ip6_prefixlen" dev "$interface" ;;
esac
exit 0
"#;

fn dhclient(bed: &Bed, arguments: &[&str]) -> (bool, String) {
    let script = bed.script(SCRIPT);
    let configuration = bed.file(
        "dhclient.conf",
        "timeout 10;\nalso request dhcp6.domain-search, dhcp6.name-servers;\n",
    );
    let (leases, pid) = (bed.path("leases"), bed.path("pid"));
    let command = [
        "timeout",
        "20",
        "dhclient",
        "-6",
        "-1",
        "-v",
        "-sf",
        &script,
        "-cf",
        &configuration,
        "-lf",
        &leases,
        "-pf",
        &pid,
    ];
    bed.run(&[&command[..], arguments, &[&bed.device]].concat())
}

fn assert_log_has(bed: &Bed, lines: &[&str]) {
    let log = bed.read("script.log");
    for line in lines {
        assert!(
            log.lines().any(|other| other == *line),
            "no `{line}` in\n{log}"
        );
    }
}

#[test]
fn dhclient_gets_a_lease_confirms_it_and_gives_it_back() {
    let bed = Bed::new(Stand::routed());
    let (success, text) = dhclient(&bed, &[]);
    assert!(success, "{text}");
    assert_log_has(
        &bed,
        &[
            "event=BOUND6",
            "new_ip6_address=fd00:10:1::11",
            "new_max_life=3600",
            "new_dhcp6_name_servers=fd00:10:1::1 2001:db8::53",
            "new_dhcp6_domain_search=web.shop.cloud.example. shop.cloud.example. cloud.example.",
        ],
    );
    assert_eq!(
        bed.told_of_leases()[..2],
        ["dhcpv6-solicit answered", "dhcpv6-request answered"]
    );
    bed.end_client();
    let before = bed.told_of_leases().len();
    let (success, text) = dhclient(&bed, &[]);
    assert!(success, "{text}");
    // It comes back with a lease: it asks whether it is still where that belongs.
    assert_eq!(bed.told_of_leases()[before..], ["dhcpv6-confirm answered"]);
    bed.end_client();
    let (success, text) = dhclient(&bed, &["-r"]);
    assert!(success, "{text}");
    bed.wait_for("dhcpv6-release noted");
}

#[test]
fn dhclient_renews() {
    let mut stand = Stand::routed();
    let lease = std::time::Duration::from_secs(8);
    stand.network.dhcp = Some(coax_services::Dhcp { lease });
    let bed = Bed::new(stand);
    let (success, text) = dhclient(&bed, &[]);
    assert!(success, "{text}");
    bed.wait_for("dhcpv6-renew answered");
    bed.end_client();
}

#[test]
fn dhclient_asks_for_information_only() {
    let bed = Bed::new(Stand::routed());
    let (success, text) = dhclient(&bed, &["-S"]);
    assert!(success, "{text}");
    bed.wait_for("dhcpv6-information-request answered");
    assert_log_has(&bed, &["new_dhcp6_name_servers=fd00:10:1::1 2001:db8::53"]);
}

#[test]
fn dhclient_takes_no_lease_where_there_is_no_address() {
    let mut stand = Stand::routed();
    stand.port.addresses.retain(|address| address.is_ipv4());
    let bed = Bed::new(stand);
    let (success, text) = dhclient(&bed, &[]);
    assert!(!success, "{text}");
    bed.wait_for("dhcpv6-solicit refused");
    assert!(!bed.read("script.log").contains("BOUND6"));
}

#[test]
fn dhcpcd_is_led_by_the_advertisement() {
    let bed = Bed::new(Stand::routed());
    let script = bed.script("env >> \"$0.log\"\n");
    let configuration = bed.file(
        "dhcpcd.conf",
        "noipv4ll\nipv6only\noption dhcp6_name_servers, dhcp6_domain_search\noption rapid_commit\nia_na\n",
    );
    let device = &bed.device;
    let own_files = format!(
        "mount -t tmpfs none /var/lib/dhcpcd && mkdir -p /run/dhcpcd && mount -t tmpfs none /run/dhcpcd && \
         exec timeout 25 dhcpcd -6 -1 -B -p -t 20 -w -c {script} -f {configuration} {device}"
    );
    let text = bed.must(&["sh", "-c", &own_files]);
    bed.wait_for("router-solicitation answered");
    bed.wait_for("dhcpv6-solicit answered");
    let shown = bed.must(&["ip", "-6", "addr", "show", "dev", device]);
    assert!(shown.contains("fd00:10:1::11/"), "{shown}\n{text}");
    let routes = bed.must(&["ip", "-6", "route", "show"]);
    assert!(
        routes.contains("default via fe80::c0:a0ff:fe00:1"),
        "{routes}\n{text}"
    );
    assert!(routes.contains("fd00:10:1::/64"), "{routes}\n{text}");
}
