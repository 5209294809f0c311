//! Every metric: its name, its labels, what it says and how that was measured. What `/metrics` answers and
//! docs/reference/metrics.md are made from this one table.

use std::fmt::Write as _;

/// What all names begin with.
pub const PREFIX: &str = "coax";

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// What is, now.
    Gauge,
    /// Counts by size, in `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Always 1; its labels say it, and its name ends in `_info`.
    Info,
}

impl Kind {
    /// The word of the exposition format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Without prefix and suffix.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    /// How many series there can be.
    pub series: &'static str,
}

impl Description {
    /// The name by which it is queried; that of a histogram without its suffixes.
    pub fn full_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{PREFIX}_{}{suffix}", self.name)
    }
}

const fn line(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    series: &'static str,
    help: &'static str,
) -> Description {
    Description {
        name,
        kind,
        labels,
        help,
        series,
    }
}

use Kind::{Counter, Gauge, Histogram, Info};

const HOST: &[&str] = &["host"];
const PORT: &[&str] = &["host", "project", "network", "port"];
const MAP: &[&str] = &["host", "map"];
const ONE_PER_HOST: &str = "hosts";
const ONE_PER_PORT: &str = "ports that a host has or had lately";

/// The table. What hosts report comes first.
#[rustfmt::skip]
pub const TABLE: &[Description] = &[
    line("port_receive_packets", Counter, PORT, ONE_PER_PORT, "Frames that the VM of the port sent into the vSwitch, counted by the kernel program"),
    line("port_receive_bytes", Counter, PORT, ONE_PER_PORT, "Bytes of the frames that the VM of the port sent, from the Ethernet header on"),
    line("port_transmit_packets", Counter, PORT, ONE_PER_PORT, "Frames that the vSwitch handed to the VM of the port, counted by the kernel program"),
    line("port_transmit_bytes", Counter, PORT, ONE_PER_PORT, "Bytes of the frames that the VM of the port got, from the Ethernet header on"),
    line("port_answered_packets", Counter, PORT, ONE_PER_PORT, "Requests (ARP, neighbour discovery, echoes to gateways) of the VM that the vSwitch answered itself"),
    line("port_flooded_packets", Counter, PORT, ONE_PER_PORT, "Frames of the VM that went to several receivers"),
    line("port_copied_packets", Counter, PORT, ONE_PER_PORT, "Copies made of the flooded frames of the VM"),
    line("port_punted_packets", Counter, PORT, ONE_PER_PORT, "Frames of the VM that the agent got to answer: DHCP, router solicitations, DNS"),
    line("drops", Counter, &["host", "direction", "reason"], "hosts, twice the drop reasons", "Frames dropped, by reason and by where they came from: vm or fabric. All ports that the host has or had are in it"),
    line("flooded_packets", Counter, &["host", "project", "network", "kind"], "twice the networks with a port on a host, and at most 2048 for others", "Frames of VMs that went to several receivers, by network: broadcast and multicast (group), or unicast to an address that nobody has (unknown-unicast)"),
    line("policy_verdicts", Counter, &["host", "verdict"], "hosts, five times", "Decisions of firewalls since the agent started, as it read them from the kernel; a connection between two hosts is decided at both. Decisions that were not read are in coax_flow_records_lost_total"),
    line("flow_records_lost", Counter, HOST, ONE_PER_HOST, "Decisions of firewalls since the agent started that were carried out and counted, but came too fast to be read"),
    line("flow_table_entries", Gauge, HOST, ONE_PER_HOST, "Flows in the agent's memory of what firewalls decided lately"),
    line("flow_table_capacity", Gauge, HOST, ONE_PER_HOST, "Flows for which the agent's memory has room; the one that was quiet for the longest time goes first"),
    line("conntrack_entries", Gauge, HOST, ONE_PER_HOST, "Connections that firewalls follow, counted in the kernel's table when it is asked"),
    line("conntrack_capacity", Gauge, HOST, ONE_PER_HOST, "Connections for which the kernel's table has room"),
    line("conntrack_insert_failures", Counter, HOST, ONE_PER_HOST, "Packets dropped that would have opened a connection, because the table or the share of the project was full; also in coax_drops_total"),
    line("bpf_map_entries", Gauge, MAP, "hosts, times the tables of the vSwitch (13)", "Rows in a table of the vSwitch"),
    line("bpf_map_capacity", Gauge, MAP, "hosts, times the tables of the vSwitch (13)", "Rows that fit into a table of the vSwitch"),
    line("apply_duration_seconds", Histogram, HOST, "hosts, times 15", "How long the agent took to write a batch of rows into the kernel's tables"),
    line("migration_gap_seconds", Histogram, HOST, "hosts, times 15", "For ports that came from another host: from the moment when the agent saw their device until rows and program were in place. What the hypervisor adds is not in it"),
    line("dhcp_requests", Counter, &["host", "type", "outcome"], "hosts, times the types and outcomes of DHCP", "DHCP messages of VMs since the agent started, by type and by what came of them"),
    line("router_solicitations", Counter, &["host", "outcome"], "hosts, times the outcomes", "Router solicitations of VMs since the agent started, by what came of them"),
    line("dns_queries", Counter, &["host", "outcome"], "hosts, times the outcomes", "DNS queries of VMs since the agent started, by what came of them"),
    line("agent_revision", Gauge, HOST, ONE_PER_HOST, "The revision in the tables of the host"),
    line("tunnel_mtu_bytes", Gauge, HOST, ONE_PER_HOST, "Largest inner packet that tunnels of the host carry: the smallest MTU of its uplinks as their devices say, less the headers of the tunnel. Not probed; coax doctor does that"),
    line("host_report_missing", Gauge, HOST, ONE_PER_HOST, "1 for each host whose report is not in this answer, because its agent is away or silent"),
    line("controller_revision", Gauge, &[], "1", "Newest revision of what was asked for"),
    line("controller_generation", Gauge, &[], "1", "Generation of the store; a new one begins when a backup is restored"),
    line("hosts", Gauge, &["state"], "2", "Hosts by whether their agent is attached to this controller: attached or away"),
    line("host_lag_revisions", Gauge, HOST, ONE_PER_HOST, "Revisions that a host needs and has not confirmed"),
    line("checks", Gauge, &["state"], "4", "Checks of all projects by what rules and members prove of them at the newest revision: holds, fails, idle (about nobody), unproved (too many ports)"),
    line("api_request_duration_seconds", Histogram, &["route", "method", "code"], "routes of the OpenAPI document, times their answers, times 20", "How long requests took, by the route as it is documented (none: no such route), method (other: one that no route has) and status"),
    line("api_refused", Counter, &["outcome"], "the outcomes, which are few", "Requests and connections of users that were refused before any route saw them"),
    line("agents_refused", Counter, &["outcome"], "the outcomes, which are few", "Connections and calls of agents that were refused"),
    line("joins", Counter, &["outcome"], "the outcomes, which are few", "Machines that wanted to become hosts"),
    line("controller_joins", Counter, &["outcome"], "the outcomes, which are few", "Machines that wanted to become controllers"),
    line("authorities", Gauge, &[], "1", "Authorities that count: more than one while the authority is being renewed"),
    line("authority_end_timestamp_seconds", Gauge, &[], "1", "When the certificate of the newest authority ends whose key this controller has, in seconds since 1970"),
    line("store_commit_duration_seconds", Histogram, &[], "20", "How long it took to store a change"),
    line("build", Info, &["version"], "1", "The version of the controller"),
];

/// What a metric says; nothing for a name that is not in the table, which a test finds.
pub fn help(name: &str) -> &'static str {
    let found = TABLE.iter().find(|line| line.name == name);
    found.map_or("", |line| line.help)
}

const HEAD: &str = "\
# Metrics

Made from `crates/controller/src/metrics/table.rs`; tests compare this page with what a running deployment answers.

`GET /metrics` of the controller answers for the whole deployment, as
[OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) text. With each question the controller asks every
attached agent once; a host that does not answer is in `coax_host_report_missing`, and has no other series of its own.
No agent listens for anybody, and VMs reach none of it. [Watch Coax](../how-to/watch.md) shows how it is scraped.

No series has a label of flows, addresses or paths. The last column says how many series there can be.
A counter of a host starts anew when its agent does, where the text says so; others count as long as the kernel's tables
live. `coax_drops_total` and `coax_flooded_packets_total` also count for ports that have left a host, but
forget those with the agent's next start if their slots serve another port or nobody by then.

| name | type | labels | says | series |
| --- | --- | --- | --- | --- |
";

/// The reference page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for line in TABLE {
        let labels: Vec<String> = line.labels.iter().map(|it| format!("`{it}`")).collect();
        // A String takes everything.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {}. | {} |",
            line.full_name(),
            line.kind.name(),
            labels.join(", "),
            line.help,
            line.series
        );
    }
    page
}
