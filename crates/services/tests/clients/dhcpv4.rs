//! udhcpc, dhclient and dhcpcd as DHCPv4 clients.

use crate::bed::Bed;
use coax_services::stand::Stand;

/// Configures the device as udhcpc's own script would, and writes down everything that the client was told.
const UDHCPC_SCRIPT: &str = r#"
echo "event=$1" >> "$0.log"
env >> "$0.log"
case "$1" in
deconfig) ip addr flush dev "$interface" ;;
bound|renew)
    ip addr replace "$ip/$mask" dev "$interface"
    [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
    for router in $router; do ip route replace default via "$router" dev "$interface"; done ;;
esac
"#;

/// What dhclient's own script does, without the host's resolv.conf.
const DHCLIENT_SCRIPT: &str = r#"
echo "event=$reason" >> "$0.log"
env >> "$0.log"
case "$reason" in
PREINIT) ip link set "$interface" up ;;
BOUND|RENEW|REBIND|REBOOT)
    ip addr replace "$new_ip_address/$new_subnet_mask" dev "$interface"
    [ -n "$new_interface_mtu" ] && ip link set "$interface" mtu "$new_interface_mtu"
    for router in $new_routers; do ip route replace default via "$router" dev "$interface"; done ;;
esac
exit 0
"#;

const DHCLIENT_CONF: &str = "
option rfc3442-routes code 121 = array of unsigned integer 8;
request subnet-mask, routers, domain-name, domain-name-servers, domain-search, host-name, interface-mtu, rfc3442-routes,
    dhcp-renewal-time, dhcp-rebinding-time;
timeout 15;
";

/// udhcpc with these arguments besides the device and the script.
fn udhcpc(bed: &Bed, arguments: &[&str]) -> (bool, String) {
    let script = bed.script(UDHCPC_SCRIPT);
    let command = [
        "udhcpc",
        "-f",
        "-i",
        &bed.device,
        "-s",
        &script,
        "-t",
        "3",
        "-T",
        "2",
        "-A",
        "1",
    ];
    bed.run(&[&command[..], arguments].concat())
}

fn dhclient(bed: &Bed, arguments: &[&str]) -> (bool, String) {
    let script = bed.script(DHCLIENT_SCRIPT);
    let configuration = bed.file("dhclient.conf", DHCLIENT_CONF);
    let (leases, pid) = (bed.path("leases"), bed.path("pid"));
    let command = [
        "dhclient",
        "-4",
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
fn udhcpc_gets_address_mtu_routes_and_names() {
    let bed = Bed::new(Stand::routed().with_route("172.16.0.0/12", "10.10.1.20"));
    let options = [
        "-n",
        "-q",
        "-O",
        "mtu",
        "-O",
        "search",
        "-O",
        "staticroutes",
    ];
    let (success, text) = udhcpc(&bed, &options);
    assert!(success, "{text}");
    assert_log_has(
        &bed,
        &[
            "event=bound",
            "ip=10.10.1.11",
            "subnet=255.255.255.0",
            "router=10.10.1.1",
            "serverid=10.10.1.1",
            "lease=3600",
            "mtu=1442",
            "dns=10.10.1.1 192.0.2.53",
            "hostname=web-1",
            "domain=web.shop.cloud.example",
            "search=web.shop.cloud.example shop.cloud.example cloud.example",
            "staticroutes=172.16.0.0/12 10.10.1.20 0.0.0.0/0 10.10.1.1",
        ],
    );
    let device = bed.must(&["ip", "addr", "show", "dev", &bed.device]);
    assert!(
        device.contains("10.10.1.11/24") && device.contains("mtu 1442"),
        "{device}"
    );
    assert_eq!(
        bed.told_of_leases(),
        ["dhcpv4-discover answered", "dhcpv4-request answered"]
    );
}

#[test]
fn udhcpc_where_a_port_has_the_gateways_address() {
    let bed = Bed::new(Stand::isolated().without_gateways());
    let (success, text) = udhcpc(&bed, &["-n", "-q", "-O", "staticroutes"]);
    assert!(success, "{text}");
    assert_log_has(
        &bed,
        &[
            "ip=10.10.1.11",
            "serverid=169.254.169.253",
            "dns=169.254.169.253",
            "staticroutes=169.254.169.253/32 0.0.0.0",
        ],
    );
    assert!(!bed.read("script.log").contains("\nrouter="));
}

#[test]
fn udhcpc_takes_no_lease_where_there_is_none() {
    let mut stand = Stand::routed();
    stand.network.dhcp = None;
    let bed = Bed::new(stand);
    let (success, text) = udhcpc(&bed, &["-n", "-q"]);
    assert!(!success && text.contains("no lease"), "{text}");
    bed.wait_for("dhcpv4-discover ignored");
    let device = bed.must(&["ip", "-4", "addr", "show", "dev", &bed.device]);
    assert!(!device.contains("inet "), "{device}");
}

#[test]
fn udhcpc_asks_for_a_strange_address_and_gets_its_own() {
    let bed = Bed::new(Stand::routed());
    let (success, text) = udhcpc(&bed, &["-n", "-q", "-r", "10.10.1.99"]);
    assert!(success, "{text}");
    assert_log_has(&bed, &["ip=10.10.1.11"]);
}

#[test]
fn dhclient_gets_a_lease_keeps_it_over_a_reboot_and_gives_it_back() {
    let bed = Bed::new(Stand::routed().with_route("172.16.0.0/12", "10.10.1.20"));
    let (success, text) = dhclient(&bed, &[]);
    assert!(success, "{text}");
    assert_log_has(
        &bed,
        &[
            "event=BOUND",
            "new_ip_address=10.10.1.11",
            "new_subnet_mask=255.255.255.0",
            "new_routers=10.10.1.1",
            "new_interface_mtu=1442",
            "new_host_name=web-1",
            "new_domain_name=web.shop.cloud.example",
            "new_domain_search=web.shop.cloud.example. shop.cloud.example. cloud.example.",
            "new_domain_name_servers=10.10.1.1 192.0.2.53",
            "new_dhcp_lease_time=3600",
            "new_dhcp_renewal_time=1800",
            "new_dhcp_rebinding_time=3150",
            "new_rfc3442_routes=12 172 16 10 10 1 20 0 10 10 1 1",
        ],
    );
    bed.end_client();
    // It knows the lease, and asks for it without discovering.
    let before = bed.told_of_leases().len();
    let (success, text) = dhclient(&bed, &[]);
    assert!(success, "{text}");
    assert_eq!(bed.told_of_leases()[before..], ["dhcpv4-request answered"]);
    assert_log_has(&bed, &["event=REBOOT"]);
    bed.end_client();
    bed.know_gateway("10.10.1.1");
    let (success, text) = dhclient(&bed, &["-r"]);
    assert!(success, "{text}");
    bed.wait_for("dhcpv4-release noted");
}

#[test]
fn dhclient_renews_with_the_server_itself() {
    let mut stand = Stand::routed();
    let lease = std::time::Duration::from_secs(8);
    stand.network.dhcp = Some(coax_services::Dhcp { lease });
    let bed = Bed::new(stand);
    let (success, text) = dhclient(&bed, &[]);
    assert!(success, "{text}");
    bed.know_gateway("10.10.1.1");
    let renewals = || {
        let log = bed.read("script.log");
        log.lines().filter(|line| *line == "event=RENEW").count()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while renewals() < 2 {
        assert!(
            std::time::Instant::now() < deadline,
            "{}",
            bed.read("script.log")
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    bed.end_client();
}

#[test]
fn dhclient_is_told_at_once_when_its_address_has_changed() {
    let bed = Bed::new(Stand::routed());
    let (success, text) = dhclient(&bed, &[]);
    assert!(success, "{text}");
    bed.end_client();
    let elsewhere = "10.10.1.12".parse().unwrap();
    bed.stand.lock().unwrap().port.addresses[0] = elsewhere;
    let (success, text) = dhclient(&bed, &[]);
    assert!(success, "{text}");
    bed.wait_for("dhcpv4-request refused");
    assert_log_has(&bed, &["new_ip_address=10.10.1.12"]);
    bed.end_client();
}

const DHCPCD_CONF: &str = "
noarp
option interface_mtu, domain_name_servers, domain_search, classless_static_routes
option rapid_commit
";

/// dhcpcd with folders of its own.
fn dhcpcd(bed: &Bed) -> String {
    let script = bed.script("env >> \"$0.log\"\n");
    let configuration = bed.file("dhcpcd.conf", DHCPCD_CONF);
    let device = &bed.device;
    let command = format!(
        "mount -t tmpfs none /var/lib/dhcpcd && mkdir -p /run/dhcpcd && mount -t tmpfs none /run/dhcpcd && \
         exec timeout 20 dhcpcd -4 -1 -B -p -t 15 -c {script} -f {configuration} {device}"
    );
    bed.must(&["sh", "-c", &command])
}

#[test]
fn dhcpcd_configures_the_device_itself() {
    let bed = Bed::new(Stand::routed().with_route("172.16.0.0/12", "10.10.1.20"));
    let text = dhcpcd(&bed);
    // It asks for "rapid commit".
    assert_eq!(bed.told_of_leases(), ["dhcpv4-discover answered"], "{text}");
    let shown = bed.must(&["ip", "addr", "show", "dev", &bed.device]);
    assert!(shown.contains("10.10.1.11/24"), "{shown}\n{text}");
    // This client limits its routes, not the device.
    let routes = bed.must(&["ip", "route", "show"]);
    for route in [
        "default via 10.10.1.1",
        "172.16.0.0/12 via 10.10.1.20",
        "mtu 1442",
    ] {
        assert!(routes.contains(route), "{routes}");
    }
    assert_log_has(&bed, &["new_domain_name_servers=10.10.1.1 192.0.2.53"]);
}
