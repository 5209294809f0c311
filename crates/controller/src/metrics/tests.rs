//! The table and the answer agree, and the answer is what its format demands, whatever hosts report.

use std::collections::BTreeMap;

use coax_api::measure::{Durations, FloodCount, Measures, Usage, VerdictCount};
use coax_api::{DropCount, HostReport, MissingHost, PortReport, RequestCount, TableUsage};

use super::table::{Kind, TABLE};
use super::{Checks, Facts, Metrics, OutcomeLabels, RequestLabels};

fn drops(reason: &str, count: u64) -> Vec<DropCount> {
    vec![DropCount {
        reason: reason.into(),
        count,
    }]
}

fn report() -> HostReport {
    let asked = |request: &str| RequestCount {
        request: request.into(),
        outcome: "answered".into(),
        count: 1,
    };
    let mut apply = Durations::default();
    for milliseconds in [0, 3, 30_000] {
        apply.observe(std::time::Duration::from_millis(milliseconds));
    }
    HostReport {
        host: "hv1".into(),
        ports: vec![PortReport {
            port: "shop/web-1".into(),
            rx_frames: 5,
            drops: drops("connections-full", 2),
            ..PortReport::default()
        }],
        tables: vec![TableUsage {
            name: "macs".into(),
            entries: 1,
            capacity: 2,
        }],
        requests: ["dhcpv4-discover", "dns", "router-solicitation"]
            .map(asked)
            .into(),
        measures: Measures {
            connections: Usage {
                entries: 3,
                capacity: 8,
            },
            flows: Usage {
                entries: 1,
                capacity: 4,
            },
            verdicts: vec![VerdictCount {
                verdict: "allow".into(),
                count: 4,
            }],
            flow_records_lost: 1,
            floods: vec![FloodCount {
                network: "shop/web".into(),
                unknown_unicast: 1,
                group: 2,
            }],
            past_drops: drops("connections-full", 40),
            apply,
            migration_gap: Durations::default(),
        },
        ..HostReport::default()
    }
}

fn text(reports: &[HostReport]) -> String {
    let metrics = Metrics::new();
    metrics.commit.observe(0.1);
    let outcome = OutcomeLabels { outcome: "x" };
    for family in [
        &metrics.joins,
        &metrics.controller_joins,
        &metrics.agents_refused,
        &metrics.api_refused,
    ] {
        family.get_or_create(&outcome).inc();
    }
    let labels = RequestLabels {
        route: "/v1/ports/{project}/{name}".into(),
        method: "GET",
        code: 200,
    };
    metrics.requests.get_or_create(&labels).observe(0.1);
    let missing = MissingHost {
        host: "hv2".into(),
        reason: "away".into(),
    };
    let facts = Facts::sample();
    metrics
        .text(&facts, Checks::default(), reports, &[missing])
        .unwrap()
}

#[test]
fn every_name_is_in_the_table_and_the_reverse() {
    let text = text(&[report()]);
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let answered: BTreeMap<String, String> = types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let table = TABLE.iter();
    let described: BTreeMap<String, String> = table
        .map(|line| (format!("coax_{}", line.name), line.kind.name().to_owned()))
        .collect();
    assert_eq!(answered, described);
    for line in TABLE {
        assert!(!line.help.contains(['"', '\\', '\n']), "{}", line.name);
        // Whoever registers a counter with its suffix gets it twice.
        assert!(!line.name.ends_with("_total"), "{}", line.name);
        let unit = ["_seconds", "_bytes", "_revisions"];
        let is_timed = line.kind == Kind::Histogram;
        assert!(!is_timed || line.name.ends_with(unit[0]), "{}", line.name);
    }
}

#[test]
fn what_hosts_say_becomes_series() {
    let text = text(&[report()]);
    for line in [
        "coax_port_receive_packets_total{host=\"hv1\",project=\"shop\",network=\"web\",port=\"web-1\"} 5",
        // What has left the host is in the sum.
        "coax_drops_total{host=\"hv1\",direction=\"vm\",reason=\"connections-full\"} 42",
        "coax_conntrack_insert_failures_total{host=\"hv1\"} 42",
        "coax_conntrack_entries{host=\"hv1\"} 3",
        "coax_conntrack_capacity{host=\"hv1\"} 8",
        "coax_flow_table_entries{host=\"hv1\"} 1",
        "coax_policy_verdicts_total{host=\"hv1\",verdict=\"allow\"} 4",
        "coax_flooded_packets_total{host=\"hv1\",project=\"shop\",network=\"web\",kind=\"group\"} 2",
        "coax_apply_duration_seconds_bucket{le=\"0.0001\",host=\"hv1\"} 1",
        "coax_apply_duration_seconds_bucket{le=\"0.005\",host=\"hv1\"} 2",
        "coax_apply_duration_seconds_bucket{le=\"2.5\",host=\"hv1\"} 2",
        "coax_apply_duration_seconds_bucket{le=\"+Inf\",host=\"hv1\"} 3",
        "coax_apply_duration_seconds_count{host=\"hv1\"} 3",
        "coax_apply_duration_seconds_sum{host=\"hv1\"} 30.003",
        "coax_migration_gap_seconds_count{host=\"hv1\"} 0",
        "coax_tunnel_mtu_bytes{host=\"hv1\"} 1430",
        "coax_checks{state=\"fails\"} 0",
        "coax_host_report_missing{host=\"hv2\"} 1",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
}

#[test]
fn a_host_cannot_write_lines_of_its_own() {
    let mut report = report();
    report.ports[0].drops = drops("odd\"} 1\ncoax_hosts{state=\"\\", 1);
    let text = text(&[report]);
    assert!(
        text.contains("reason=\"odd\\\"} 1\\ncoax_hosts{state=\\\"\\\\\"} 1\n"),
        "{text}"
    );
}

#[test]
fn an_agent_that_does_not_count_has_no_zeros() {
    let old = HostReport {
        host: "hv1".into(),
        ..HostReport::default()
    };
    let text = text(&[old]);
    assert!(!text.contains("coax_conntrack_capacity{"), "{text}");
    assert!(!text.contains("coax_policy_verdicts_total{"), "{text}");
}
