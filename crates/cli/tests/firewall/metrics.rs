//! What a real controller and its agents answer to a scrape: names as they are documented, numbers as the traffic was.
//! Prometheus's own parser reads it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use coax_api::{Client, Endpoint};
use coax_controller::METRICS;
use serde_json::Value;

use super::Tiers;

/// One answer, as the parser understood it.
struct Scrape(Value);

impl Scrape {
    fn of(tiers: &Tiers) -> Self {
        let socket = format!("/run/coax/lab/{}/api.sock", tiers.lab.name());
        let client = Client::new(Endpoint::Unix(socket.into()));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self::parse(&runtime.block_on(client.metrics()).unwrap())
    }

    fn parse(text: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/openmetrics.py");
        // Debian's Python, whatever else is on PATH: it has the parser.
        let mut parser = Command::new("/usr/bin/python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = parser.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let output = parser.wait_with_output().unwrap();
        assert!(output.status.success(), "the parser refuses\n{text}");
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The series of a name that have these labels and perhaps more.
    fn series(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let families = self.0.as_object().unwrap().values();
        let samples = families.flat_map(|family| family["samples"].as_array().unwrap());
        samples
            .filter(|sample| sample[0] == name)
            .filter(|sample| labels.iter().all(|(key, value)| sample[1][key] == *value))
            .map(|sample| sample[2].as_f64().unwrap())
            .collect()
    }

    /// The only series.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let series = self.series(name, labels);
        assert_eq!(series.len(), 1, "{name} {labels:?}");
        series[0]
    }

    /// The sum of all series; zero if there is none.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.series(name, labels).iter().sum()
    }
}

/// What has no series as long as it did not happen: nobody asked, nobody was refused, nobody is missing.
const MAY_BE_MISSING: [&str; 8] = [
    "agents_refused",
    "api_refused",
    "controller_joins",
    "dhcp_requests",
    "dns_queries",
    "host_report_missing",
    "joins",
    "router_solicitations",
];

/// Everything that is documented is there, and nothing else; each with the type, words and labels of its line.
fn is_as_documented(scrape: &Scrape) {
    let answered = scrape.0.as_object().unwrap();
    let names: BTreeSet<&str> = answered
        .keys()
        .map(|it| it.trim_start_matches("coax_"))
        .collect();
    let documented: BTreeSet<&str> = METRICS.iter().map(|line| line.name).collect();
    assert_eq!(names.difference(&documented).collect::<Vec<_>>(), [&""; 0]);
    let absent: BTreeSet<&str> = documented.difference(&names).copied().collect();
    assert!(absent.is_subset(&MAY_BE_MISSING.into()), "{absent:?}");
    for line in METRICS.iter().filter(|line| !absent.contains(line.name)) {
        let family = &answered[&format!("coax_{}", line.name)];
        assert_eq!(family["type"], line.kind.name(), "{}", line.name);
        assert_eq!(family["help"], format!("{}.", line.help), "{}", line.name);
        for sample in family["samples"].as_array().unwrap() {
            let labels = sample[1].as_object().unwrap().keys();
            let labels: BTreeSet<&str> = labels
                .map(String::as_str)
                .filter(|it| *it != "le")
                .collect();
            assert_eq!(
                labels,
                line.labels.iter().copied().collect(),
                "{}",
                line.name
            );
        }
    }
}

const PACKETS: u64 = 20;

/// Sends so many echo requests; returns how many were answered.
fn ping(tiers: &Tiers, from: &str, to: &str) -> u64 {
    let words = format!("lab exec {from} -- ping -n -q -c {PACKETS} -i 0.01 -W 1 {to}");
    let output = tiers.lab.run(&words.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (before, _) = said.split_once(" received").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Guests say something on their own now and then: neighbour discovery, group memberships.
fn grew_by_packets(before: f64, after: f64, what: &str) {
    let (least, most) = (PACKETS as f64, PACKETS as f64 + 15.0);
    let grown = after - before;
    assert!((least..=most).contains(&grown), "{what} grew by {grown}");
}

pub fn are_true(tiers: &Tiers) {
    let before = Scrape::of(tiers);
    assert_eq!(
        ping(tiers, "client-1", &tiers.address("web-2", false)),
        PACKETS
    );
    assert_eq!(ping(tiers, "client-1", &tiers.address("db-2", false)), 0);
    let after = Scrape::of(tiers);
    is_as_documented(&after);

    let client = [
        ("project", "tiers"),
        ("network", "outside"),
        ("port", "client-1"),
        ("host", "hv1"),
    ];
    let web = [
        ("project", "tiers"),
        ("network", "web"),
        ("port", "web-2"),
        ("host", "hv2"),
    ];
    let grown =
        |name: &str, labels: &[(&str, &str)]| (before.sum(name, labels), after.sum(name, labels));
    for (name, labels) in [
        ("coax_port_transmit_packets_total", client),
        ("coax_port_receive_packets_total", web),
        ("coax_port_transmit_packets_total", web),
    ] {
        let (old, new) = grown(name, &labels);
        grew_by_packets(old, new, &format!("{name} {labels:?}"));
    }
    // The client sent to both.
    let (old, new) = grown("coax_port_receive_packets_total", &client);
    grew_by_packets(old + PACKETS as f64, new, "what the client sent");
    let (old, new) = grown("coax_port_receive_bytes_total", &client);
    // An echo request of ping: 98 bytes with its Ethernet header.
    assert!(new - old >= 2.0 * PACKETS as f64 * 98.0, "{}", new - old);
    let denied = [("host", "hv1"), ("direction", "vm"), ("reason", "denied")];
    let (old, new) = grown("coax_drops_total", &denied);
    grew_by_packets(old, new, "drops that were denied");

    // Each end decided about one new connection of echoes; the refused ones were refused packet by packet.
    for host in ["hv1", "hv2"] {
        let (old, new) = grown(
            "coax_policy_verdicts_total",
            &[("host", host), ("verdict", "allow")],
        );
        assert!(new > old, "{host} allowed nothing");
    }
    let (old, new) = grown(
        "coax_policy_verdicts_total",
        &[("host", "hv1"), ("verdict", "deny")],
    );
    let (lost_before, lost) = grown("coax_flow_records_lost_total", &[("host", "hv1")]);
    assert!(new - old + lost - lost_before >= PACKETS as f64);
    measures_are_there(&after);
    answers_are_counted(&before, &after);
}

fn measures_are_there(scrape: &Scrape) {
    let hv1 = [("host", "hv1")];
    assert_eq!(scrape.value("coax_conntrack_capacity", &hv1), 262_144.0);
    assert!(scrape.value("coax_conntrack_entries", &hv1) >= 1.0);
    assert_eq!(
        scrape.value("coax_conntrack_insert_failures_total", &hv1),
        0.0
    );
    assert!(scrape.value("coax_flow_table_entries", &hv1) >= 1.0);
    assert!(scrape.value("coax_apply_duration_seconds_count", &hv1) >= 1.0);
    let ports = [("host", "hv1"), ("map", "ports")];
    assert_eq!(scrape.value("coax_bpf_map_entries", &ports), 2.0);
    // db-1 came to hv5 from hv3: its frames waited there and nowhere else.
    let waited = |host: &str| scrape.value("coax_migration_gap_seconds_count", &[("host", host)]);
    assert_eq!(waited("hv5"), 1.0);
    assert_eq!(waited("hv1"), 0.0);
    let gap = scrape.value("coax_migration_gap_seconds_sum", &[("host", "hv5")]);
    assert!(gap > 0.0 && gap < 5.0, "{gap}");
    let revision = scrape.value("coax_controller_revision", &[]);
    assert_eq!(scrape.value("coax_hosts", &[("state", "attached")]), 6.0);
    for host in ["hv1", "hv6"] {
        assert_eq!(
            scrape.value("coax_host_lag_revisions", &[("host", host)]),
            0.0
        );
        let realised = scrape.value("coax_agent_revision", &[("host", host)]);
        assert!(realised > 0.0 && realised <= revision, "{realised}");
    }
    assert_eq!(scrape.series("coax_host_report_missing", &[]), [0.0; 0]);
    assert_eq!(scrape.sum("coax_checks", &[]), 4.0);
    assert!(scrape.value("coax_store_commit_duration_seconds_count", &[]) >= 1.0);
    // Nothing is flooded where the firewall lets no broadcast pass; the series is there all the same.
    let floods = [("kind", "group"), ("project", "tiers"), ("host", "hv1")];
    assert_eq!(
        scrape.series("coax_flooded_packets_total", &floods).len(),
        2
    );
    assert!(scrape.value("coax_tunnel_mtu_bytes", &hv1) >= 1400.0);
}

/// Routes are counted by their template, whatever is asked for.
fn answers_are_counted(before: &Scrape, after: &Scrape) {
    let name = "coax_api_request_duration_seconds_count";
    let scrapes = [("route", "/metrics"), ("method", "GET"), ("code", "200")];
    assert_eq!(after.sum(name, &scrapes), before.sum(name, &scrapes) + 1.0);
    let shown = [("route", "/v1/ports/{project}/{name}"), ("code", "200")];
    assert!(after.sum(name, &shown) > before.sum(name, &shown));
}
