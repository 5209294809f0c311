//! `/metrics`: what the controller counts itself, what it knows of hosts, and what hosts report when
//! they are asked. The names are those of the interface document; a scrape asks every attached host
//! once, and a host that does not answer is missing by name in `coax_host_report_missing`.

use std::sync::atomic::AtomicU64;

use coax_api::{HostReport, MissingHost, PortReport};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::core::Core;

/// Labels of [`Metrics::requests`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The path as it is documented, without names.
    pub route: String,
    /// GET, PUT, …
    pub method: String,
    /// The status of the answer.
    pub code: u16,
}

/// How something ended that may be refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// In one word.
    pub outcome: &'static str,
}

type MakeHistogram = fn() -> Histogram;

/// What the controller counts while it runs.
pub struct Metrics {
    registry: Registry,
    /// How long commits took, in seconds.
    pub commit: Histogram,
    /// How long requests took, in seconds.
    pub requests: Family<RequestLabels, Histogram, MakeHistogram>,
    /// Machines that wanted to become hosts.
    pub joins: Family<OutcomeLabels, Counter>,
    /// Connections and calls of agents that were refused.
    pub agents_refused: Family<OutcomeLabels, Counter>,
    /// Requests and connections of users that were refused.
    pub api_refused: Family<OutcomeLabels, Counter>,
}

fn durations() -> Histogram {
    // 100 us to 13 s.
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("coax");
        let commit = durations();
        registry.register(
            "store_commit_duration_seconds",
            "How long it took to store a change",
            commit.clone(),
        );
        let requests = Family::new_with_constructor(durations as MakeHistogram);
        registry.register(
            "api_request_duration_seconds",
            "How long it took to answer a request",
            requests.clone(),
        );
        let joins = Family::default();
        registry.register(
            "joins",
            "Machines that wanted to become hosts",
            joins.clone(),
        );
        let agents_refused = Family::default();
        registry.register(
            "agents_refused",
            "Connections and calls of agents that were refused",
            agents_refused.clone(),
        );
        let api_refused = Family::default();
        registry.register(
            "api_refused",
            "Requests and connections of users that were refused",
            api_refused.clone(),
        );
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The controller's version", build);
        Self {
            registry,
            commit,
            requests,
            joins,
            agents_refused,
            api_refused,
        }
    }

    /// Everything as OpenMetrics text.
    pub fn text(
        &self,
        facts: &Facts,
        reports: &[HostReport],
        missing: &[MissingHost],
    ) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &facts.registry())?;
        encode_registry(&mut text, &of_reports(reports, missing, facts))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// What the core knows at one moment.
pub struct Facts {
    revision: u64,
    generation: u64,
    /// Name, attached, lag.
    hosts: Vec<(String, bool, u64)>,
    /// Network of each port, by full name.
    networks: std::collections::HashMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Host {
    host: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPort {
    host: String,
    project: String,
    network: String,
    port: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Drop {
    host: String,
    direction: &'static str,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    host: String,
    map: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    host: String,
    r#type: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Came {
    host: String,
    outcome: String,
}

impl Facts {
    /// What is known now.
    pub fn of(core: &Core) -> Self {
        let networks = core.intent().ports.iter();
        let hosts = core.host_lags();
        Self {
            revision: core.revision(),
            generation: core.generation(),
            hosts: hosts
                .map(|(name, attached, lag)| (name.to_string(), attached, lag))
                .collect(),
            networks: networks
                .map(|(name, port)| (name.to_string(), port.network.to_string()))
                .collect(),
        }
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("coax");
        gauge(
            &mut registry,
            "controller_revision",
            "Newest revision of intent",
            self.revision,
        );
        let help = "Generation of the store; a new one begins when a backup is restored";
        gauge(
            &mut registry,
            "controller_generation",
            help,
            self.generation,
        );
        let hosts = Family::<State, Gauge<u64, AtomicU64>>::default();
        let attached = self
            .hosts
            .iter()
            .filter(|(_, attached, _)| *attached)
            .count();
        let away = self.hosts.len() - attached;
        for (state, count) in [("attached", attached), ("away", away)] {
            hosts.get_or_create(&State { state }).set(count as u64);
        }
        registry.register("hosts", "Hosts by whether their agent is attached", hosts);
        let lags = Family::<Host, Gauge<u64, AtomicU64>>::default();
        for (host, _, lag) in &self.hosts {
            lags.get_or_create(&Host { host: host.clone() }).set(*lag);
        }
        registry.register(
            "host_lag_revisions",
            "Revisions that a host needs and does not have",
            lags,
        );
        registry
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<u64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

type PortCounter = Family<OfPort, Counter>;

fn of_reports(reports: &[HostReport], missing: &[MissingHost], facts: &Facts) -> Registry {
    let mut registry = Registry::with_prefix("coax");
    ports(reports, facts, &mut registry);
    requests(reports, &mut registry);
    let drops = Family::<Drop, Counter>::default();
    let entries = Family::<Table, Gauge<u64, AtomicU64>>::default();
    let capacity = Family::<Table, Gauge<u64, AtomicU64>>::default();
    let revisions = Family::<Host, Gauge<u64, AtomicU64>>::default();
    for report in reports {
        let sides = report.ports.iter().map(|port| ("vm", port));
        for (direction, side) in sides.chain([("fabric", &report.underlay)]) {
            for drop in &side.drops {
                let host = report.host.clone();
                let reason = drop.reason.clone();
                drops
                    .get_or_create(&Drop {
                        host,
                        direction,
                        reason,
                    })
                    .inc_by(drop.count);
            }
        }
        for table in &report.tables {
            let label = Table {
                host: report.host.clone(),
                map: table.name.clone(),
            };
            entries.get_or_create(&label).set(table.entries);
            capacity.get_or_create(&label).set(table.capacity);
        }
        revisions
            .get_or_create(&Host {
                host: report.host.clone(),
            })
            .set(report.revision);
    }
    registry.register("drops", "Frames dropped, by where they came from", drops);
    registry.register("bpf_map_entries", "Rows in a table of the vSwitch", entries);
    registry.register(
        "bpf_map_capacity",
        "Rows that fit into a table of the vSwitch",
        capacity,
    );
    registry.register(
        "agent_revision",
        "Revision in the maps of a host",
        revisions,
    );
    let absent = Family::<Host, Gauge<u64, AtomicU64>>::default();
    for host in missing {
        absent
            .get_or_create(&Host {
                host: host.host.clone(),
            })
            .set(1);
    }
    registry.register(
        "host_report_missing",
        "Hosts whose counters are not in this answer",
        absent,
    );
    registry
}

fn ports(reports: &[HostReport], facts: &Facts, registry: &mut Registry) {
    type Read = fn(&PortReport) -> u64;
    let counters: [(&str, &str, Read); 8] = [
        ("port_receive_packets", "Frames from the VM", |port| {
            port.rx_frames
        }),
        ("port_receive_bytes", "Bytes from the VM", |port| {
            port.rx_bytes
        }),
        ("port_transmit_packets", "Frames to the VM", |port| {
            port.tx_frames
        }),
        ("port_transmit_bytes", "Bytes to the VM", |port| {
            port.tx_bytes
        }),
        (
            "port_answered_packets",
            "Requests that the vSwitch answered itself",
            |port| port.answered,
        ),
        (
            "port_flooded_packets",
            "Frames that went to several receivers",
            |port| port.flooded,
        ),
        (
            "port_copied_packets",
            "Copies made of flooded frames",
            |port| port.copies,
        ),
        (
            "port_punted_packets",
            "Frames that the agent got to answer",
            |port| port.punted,
        ),
    ];
    for (name, help, read) in counters {
        let family = PortCounter::default();
        for report in reports {
            for port in &report.ports {
                family
                    .get_or_create(&label(&report.host, port, facts))
                    .inc_by(read(port));
            }
        }
        registry.register(name, help, family);
    }
}

/// What VMs asked of their hosts. DHCP has its types, the other services have one each.
fn requests(reports: &[HostReport], registry: &mut Registry) {
    let dhcp = Family::<Asked, Counter>::default();
    let solicitations = Family::<Came, Counter>::default();
    let dns = Family::<Came, Counter>::default();
    for report in reports {
        for asked in &report.requests {
            let (host, outcome) = (report.host.clone(), asked.outcome.clone());
            let counter = match asked.request.as_str() {
                "dns" => dns.get_or_create_owned(&Came { host, outcome }),
                "router-solicitation" => solicitations.get_or_create_owned(&Came { host, outcome }),
                request => dhcp.get_or_create_owned(&Asked {
                    host,
                    r#type: request.to_owned(),
                    outcome,
                }),
            };
            counter.inc_by(asked.count);
        }
    }
    registry.register("dhcp_requests", "DHCP messages of VMs, by type", dhcp);
    registry.register(
        "router_solicitations",
        "Router solicitations of VMs",
        solicitations,
    );
    registry.register("dns_queries", "DNS queries of VMs", dns);
}

fn label(host: &str, port: &PortReport, facts: &Facts) -> OfPort {
    let (project, name) = port.port.split_once('/').unwrap_or(("", &port.port));
    OfPort {
        host: host.to_owned(),
        project: project.to_owned(),
        network: facts.networks.get(&port.port).cloned().unwrap_or_default(),
        port: name.to_owned(),
    }
}
