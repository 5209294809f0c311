//! What hosts reported, as metrics. Sums over ports that a host has lost include what these counted, so that counters
//! never go back while an agent runs.

use coax_api::measure::{Durations, Usage};
use coax_api::{HostReport, MissingHost, PortReport};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Facts, Gauge, OfHost, register, registry, table};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPort {
    host: String,
    project: String,
    network: String,
    port: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDrop {
    host: String,
    direction: &'static str,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMap {
    host: String,
    map: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    host: String,
    r#type: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    host: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerdict {
    host: String,
    verdict: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFlood {
    host: String,
    project: String,
    network: String,
    kind: &'static str,
}

/// Where the drop reasons are that end a connection before it begins, because it finds no place.
const NO_PLACE: [&str; 2] = ["connections-full", "connection-quota"];

pub(super) fn registry_of(
    reports: &[HostReport],
    missing: &[MissingHost],
    facts: &Facts,
) -> Registry {
    let mut registry = registry();
    ports(reports, facts, &mut registry);
    drops(reports, &mut registry);
    tables(reports, &mut registry);
    requests(reports, &mut registry);
    measures(reports, &mut registry);
    let revisions = Family::<OfHost, Gauge>::default();
    for report in reports {
        revisions
            .get_or_create(&of_host(report))
            .set(report.revision);
    }
    register(&mut registry, "agent_revision", revisions);
    let absent = Family::<OfHost, Gauge>::default();
    for host in missing {
        let host = host.host.clone();
        absent.get_or_create(&OfHost { host }).set(1);
    }
    register(&mut registry, "host_report_missing", absent);
    registry
}

fn of_host(report: &HostReport) -> OfHost {
    OfHost {
        host: report.host.clone(),
    }
}

fn ports(reports: &[HostReport], facts: &Facts, registry: &mut Registry) {
    type Read = fn(&PortReport) -> u64;
    let counters: [(&'static str, Read); 8] = [
        ("port_receive_packets", |port| port.rx_frames),
        ("port_receive_bytes", |port| port.rx_bytes),
        ("port_transmit_packets", |port| port.tx_frames),
        ("port_transmit_bytes", |port| port.tx_bytes),
        ("port_answered_packets", |port| port.answered),
        ("port_flooded_packets", |port| port.flooded),
        ("port_copied_packets", |port| port.copies),
        ("port_punted_packets", |port| port.punted),
    ];
    for (name, read) in counters {
        let family = Family::<OfPort, Counter>::default();
        for report in reports {
            for port in &report.ports {
                let of = of_port(&report.host, port, facts);
                family.get_or_create_owned(&of).inc_by(read(port));
            }
        }
        register(registry, name, family);
    }
}

fn of_port(host: &str, port: &PortReport, facts: &Facts) -> OfPort {
    let (project, name) = port.port.split_once('/').unwrap_or(("", &port.port));
    OfPort {
        host: host.to_owned(),
        project: project.to_owned(),
        network: facts.networks.get(&port.port).cloned().unwrap_or_default(),
        port: name.to_owned(),
    }
}

fn drops(reports: &[HostReport], registry: &mut Registry) {
    let drops = Family::<OfDrop, Counter>::default();
    let no_place = Family::<OfHost, Counter>::default();
    for report in reports {
        // A host without any has the series all the same.
        let full = no_place.get_or_create_owned(&of_host(report));
        let past = &report.measures.past_drops;
        let of_ports = report.ports.iter().flat_map(|port| &port.drops).chain(past);
        let of_ports = of_ports.map(|drop| ("vm", drop));
        let of_fabric = report.underlay.drops.iter().map(|drop| ("fabric", drop));
        for (direction, drop) in of_ports.chain(of_fabric) {
            let of = OfDrop {
                host: report.host.clone(),
                direction,
                reason: drop.reason.clone(),
            };
            drops.get_or_create_owned(&of).inc_by(drop.count);
            if NO_PLACE.contains(&drop.reason.as_str()) {
                full.inc_by(drop.count);
            }
        }
    }
    register(registry, "drops", drops);
    register(registry, "conntrack_insert_failures", no_place);
}

fn tables(reports: &[HostReport], registry: &mut Registry) {
    let entries = Family::<OfMap, Gauge>::default();
    let capacity = Family::<OfMap, Gauge>::default();
    for report in reports {
        for table in &report.tables {
            let of = OfMap {
                host: report.host.clone(),
                map: table.name.clone(),
            };
            entries.get_or_create(&of).set(table.entries);
            capacity.get_or_create(&of).set(table.capacity);
        }
    }
    register(registry, "bpf_map_entries", entries);
    register(registry, "bpf_map_capacity", capacity);
    type Read = fn(&HostReport) -> Usage;
    let kept: [(&'static str, &'static str, Read); 2] = [
        ("conntrack_entries", "conntrack_capacity", |report| {
            report.measures.connections
        }),
        ("flow_table_entries", "flow_table_capacity", |report| {
            report.measures.flows
        }),
    ];
    for (entries_name, capacity_name, read) in kept {
        let entries = Family::<OfHost, Gauge>::default();
        let capacity = Family::<OfHost, Gauge>::default();
        // An agent that says nothing of it has no room either: it is of a version that does not count.
        for report in reports.iter().filter(|report| read(report).capacity > 0) {
            let usage = read(report);
            entries.get_or_create(&of_host(report)).set(usage.entries);
            capacity.get_or_create(&of_host(report)).set(usage.capacity);
        }
        register(registry, entries_name, entries);
        register(registry, capacity_name, capacity);
    }
}

/// What VMs asked of their hosts. DHCP has its types, the other services have one each.
fn requests(reports: &[HostReport], registry: &mut Registry) {
    let dhcp = Family::<OfRequest, Counter>::default();
    let solicitations = Family::<OfOutcome, Counter>::default();
    let dns = Family::<OfOutcome, Counter>::default();
    for report in reports {
        for asked in &report.requests {
            let (host, outcome) = (report.host.clone(), asked.outcome.clone());
            let counter = match asked.request.as_str() {
                "dns" => dns.get_or_create_owned(&OfOutcome { host, outcome }),
                "router-solicitation" => {
                    solicitations.get_or_create_owned(&OfOutcome { host, outcome })
                }
                request => dhcp.get_or_create_owned(&OfRequest {
                    host,
                    r#type: request.to_owned(),
                    outcome,
                }),
            };
            counter.inc_by(asked.count);
        }
    }
    register(registry, "dhcp_requests", dhcp);
    register(registry, "router_solicitations", solicitations);
    register(registry, "dns_queries", dns);
}

fn measures(reports: &[HostReport], registry: &mut Registry) {
    let verdicts = Family::<OfVerdict, Counter>::default();
    let lost = Family::<OfHost, Counter>::default();
    let floods = Family::<OfFlood, Counter>::default();
    for report in reports {
        let measures = &report.measures;
        for verdict in &measures.verdicts {
            let of = OfVerdict {
                host: report.host.clone(),
                verdict: verdict.verdict.clone(),
            };
            verdicts.get_or_create_owned(&of).inc_by(verdict.count);
        }
        let missed = lost.get_or_create_owned(&of_host(report));
        missed.inc_by(measures.flow_records_lost);
        for flood in &measures.floods {
            let (project, network) = flood.network.split_once('/').unwrap_or_default();
            for (kind, count) in [
                ("group", flood.group),
                ("unknown-unicast", flood.unknown_unicast),
            ] {
                let of = OfFlood {
                    host: report.host.clone(),
                    project: project.to_owned(),
                    network: network.to_owned(),
                    kind,
                };
                floods.get_or_create_owned(&of).inc_by(count);
            }
        }
    }
    register(registry, "policy_verdicts", verdicts);
    register(registry, "flow_records_lost", lost);
    register(registry, "flooded_packets", floods);
    type Read = fn(&HostReport) -> &Durations;
    let timed: [(&'static str, Read); 2] = [
        ("apply_duration_seconds", |report| &report.measures.apply),
        ("migration_gap_seconds", |report| {
            &report.measures.migration_gap
        }),
    ];
    for (name, read) in timed {
        let of = reports.iter();
        let of = of.map(|report| (of_host(report), read(report).clone()));
        let hosts = of.collect();
        registry.register_collector(Box::new(Timed { name, hosts }));
    }
}

/// Durations that hosts counted.
#[derive(Debug)]
struct Timed {
    name: &'static str,
    hosts: Vec<(OfHost, Durations)>,
}

impl Collector for Timed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // As the registry does it.
        let help = format!("{}.", table::help(self.name));
        let kind = MetricType::Histogram;
        let mut metric = encoder.encode_descriptor(self.name, &help, None, kind)?;
        for (host, durations) in &self.hosts {
            let bounds = Durations::BOUNDS.iter().map(|bound| seconds(*bound));
            let counts = durations.counts.iter().copied().chain(std::iter::repeat(0));
            let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
            metric.encode_family(host)?.encode_histogram::<NoLabelSet>(
                seconds(durations.microseconds),
                durations.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}

/// Microseconds as seconds.
fn seconds(microseconds: u64) -> f64 {
    std::time::Duration::from_micros(microseconds).as_secs_f64()
}
