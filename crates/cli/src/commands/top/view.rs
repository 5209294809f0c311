//! From two looks at the counters to rows. A number per second is what a counter grew by between both, divided by the
//! time between; one that is new or went back has none.

use std::collections::HashMap;
use std::time::Instant;

use coax_api::connections::{ConnectionEnd, Connections};
use coax_api::{ClientError, Counters, Host, PortReport};

use super::table::{Cell, Table, View};

/// One look.
pub struct Sample {
    /// When.
    pub at: Instant,
    /// What passed ports.
    pub counters: Result<Counters, ClientError>,
    /// The hosts, where the caller may see them.
    pub hosts: Result<Vec<Host>, ClientError>,
    /// Connections, where they were asked for.
    pub connections: Option<Result<Connections, ClientError>>,
}

/// The last look and the one before.
#[derive(Default)]
pub struct Looks {
    before: Option<Sample>,
    last: Option<Sample>,
}

impl Looks {
    /// Looked again.
    pub fn take(&mut self, sample: Sample) {
        // A look at which the counters could not be read leaves no hole between two that could.
        let last = self.last.take().filter(|last| last.counters.is_ok());
        self.before = last.or_else(|| self.before.take());
        self.last = Some(sample);
    }

    /// What is to be seen now, sorted as it is at first.
    pub fn table(&self, view: View) -> Table {
        let mut table = Table {
            view,
            ..Table::default()
        };
        let Some(last) = &self.last else {
            return table;
        };
        match view {
            View::Connections => connections(last, &mut table),
            View::Hosts => self.hosts(last, &mut table),
            View::Ports | View::Drops => self.ports(last, &mut table),
        }
        // First by name, so that what is alike stands still.
        table.sort(0, false);
        let (column, largest_first) = view.order();
        table.sort(column, largest_first);
        table
    }

    fn ports(&self, last: &Sample, table: &mut Table) {
        let counters = match &last.counters {
            Ok(counters) => counters,
            Err(error) => return table.unknown = Some(error.to_string()),
        };
        name_missing(counters, table);
        let rates = Rates::new(self.before.as_ref(), last.at);
        for port in &counters.ports {
            let now = &port.counters;
            let then = rates.of(&port.host, &now.port);
            match table.view {
                View::Drops => {
                    for drop in now.drops.iter().filter(|drop| drop.count > 0) {
                        let rate = then.map(|then| {
                            let known = then.drops.iter().find(|it| it.reason == drop.reason);
                            (drop.count, known.map_or(0, |known| known.count))
                        });
                        table.rows.push(vec![
                            Cell::Text(now.port.clone()),
                            Cell::Text(port.host.clone()),
                            Cell::Text(drop.reason.clone()),
                            Cell::PerSecond(rates.rate(rate)),
                            Cell::Count(drop.count),
                        ]);
                    }
                }
                _ => table.rows.push(rates.port(&port.host, now, then)),
            }
        }
    }

    fn hosts(&self, last: &Sample, table: &mut Table) {
        let hosts = match &last.hosts {
            Ok(hosts) => hosts,
            Err(error) => return table.unknown = Some(error.to_string()),
        };
        let rates = Rates::new(self.before.as_ref(), last.at);
        let counters = last.counters.as_ref().ok();
        if let Some(counters) = counters {
            name_missing(counters, table);
        }
        for host in hosts {
            let ports = counters.into_iter().flat_map(|it| &it.ports);
            let ports = ports.filter(|port| port.host == host.name);
            let mut sums: [Option<f64>; 3] = [None; 3];
            for port in ports.filter(|port| port.counters.port != FABRIC) {
                let then = rates.of(&port.host, &port.counters.port);
                let more = rates.sums(&port.counters, then);
                for (sum, more) in sums.iter_mut().zip(more) {
                    *sum = more.map_or(*sum, |more| Some(sum.unwrap_or(0.0) + more));
                }
            }
            let [received, sent, drops] = sums;
            let state = match (host.connected, host.ready) {
                (false, _) => "away",
                (true, false) => "not ready",
                (true, true) => "ready",
            };
            table.rows.push(vec![
                Cell::Text(host.name.clone()),
                Cell::Text(state.to_owned()),
                Cell::Count(host.lag),
                Cell::Count(host.ports as u64),
                Cell::Bits(received),
                Cell::Bits(sent),
                Cell::PerSecond(drops),
            ]);
        }
    }
}

/// What reports call the fabric side of a host.
const FABRIC: &str = "fabric";

fn name_missing(counters: &Counters, table: &mut Table) {
    let missing = counters.missing.iter();
    let named = missing.map(|it| format!("{} ({})", it.host, it.reason));
    table.missing.extend(named);
}

fn connections(last: &Sample, table: &mut Table) {
    let found = match &last.connections {
        Some(Ok(found)) => found,
        Some(Err(error)) => return table.unknown = Some(error.to_string()),
        None => return,
    };
    let missing = found.missing.iter();
    table
        .missing
        .extend(missing.map(|it| format!("{} ({})", it.host, it.reason)));
    table.rows = found
        .connections
        .iter()
        .map(|one| {
            [
                end(&one.from),
                end(&one.to),
                one.protocol.clone(),
                one.state.clone(),
                one.host.clone(),
                one.rule.clone(),
            ]
            .map(Cell::Text)
            .into()
        })
        .collect();
}

fn end(end: &ConnectionEnd) -> String {
    std::net::SocketAddr::new(end.address, end.port).to_string()
}

/// The look before, to compare with.
struct Rates<'a> {
    seconds: f64,
    ports: HashMap<(&'a str, &'a str), &'a PortReport>,
}

impl<'a> Rates<'a> {
    fn new(before: Option<&'a Sample>, now: Instant) -> Self {
        let counters = before.and_then(|before| before.counters.as_ref().ok());
        let ports = counters.into_iter().flat_map(|it| &it.ports);
        let passed = before.map(|before| now.saturating_duration_since(before.at));
        Self {
            seconds: passed.unwrap_or_default().as_secs_f64(),
            ports: ports
                .map(|port| {
                    let name = port.counters.port.as_str();
                    ((port.host.as_str(), name), &port.counters)
                })
                .collect(),
        }
    }

    fn of(&self, host: &str, port: &str) -> Option<&'a PortReport> {
        self.ports.get(&(host, port)).copied()
    }

    /// Per second, from what a counter shows and what it showed.
    fn rate(&self, counter: Option<(u64, u64)>) -> Option<f64> {
        let (now, then) = counter?;
        let grown = now.checked_sub(then)?;
        (self.seconds > 0.0).then(|| grown as f64 / self.seconds)
    }

    fn port(&self, host: &str, now: &PortReport, then: Option<&PortReport>) -> Vec<Cell> {
        let [received, sent, drops] = self.sums(now, then);
        let packets = |read: fn(&PortReport) -> u64| {
            Cell::PerSecond(self.rate(then.map(|then| (read(now), read(then)))))
        };
        vec![
            Cell::Text(now.port.clone()),
            Cell::Text(host.to_owned()),
            Cell::Bits(received),
            Cell::Bits(sent),
            packets(|port| port.rx_frames),
            packets(|port| port.tx_frames),
            Cell::PerSecond(drops),
        ]
    }

    /// Bits in and out, and drops.
    fn sums(&self, now: &PortReport, then: Option<&PortReport>) -> [Option<f64>; 3] {
        let read: [fn(&PortReport) -> u64; 3] = [
            |port| port.rx_bytes * 8,
            |port| port.tx_bytes * 8,
            |port| port.drops.iter().map(|drop| drop.count).sum(),
        ];
        read.map(|read| self.rate(then.map(|then| (read(now), read(then)))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use std::time::Duration;

    use coax_api::{DropCount, HostPortCounters, MissingHost};

    use serde_json::Value;

    use super::*;

    /// Two looks, two seconds apart.
    pub fn looks() -> [Sample; 2] {
        let start = Instant::now();
        [(0, 0), (2, 1)].map(|(seconds, grown)| Sample {
            at: start + Duration::from_secs(seconds),
            counters: Ok(counters(grown)),
            hosts: Ok(Vec::new()),
            connections: None,
        })
    }

    fn counters(grown: u64) -> Counters {
        let port = |host: &str, name: &str, times: u64, drops: u64| HostPortCounters {
            host: host.into(),
            counters: PortReport {
                port: name.into(),
                rx_frames: 100 + 20 * times * grown,
                rx_bytes: 10_000 + 250_000 * times * grown,
                tx_bytes: 500,
                drops: vec![DropCount {
                    reason: "denied".into(),
                    count: drops,
                }],
                ..PortReport::default()
            },
        };
        Counters {
            ports: vec![
                port("hv1", "shop/web-1", 1, 3 + 3 * grown),
                port("hv2", "shop/web-2", 4, 0),
                // It was plugged in anew: its counters went back.
                port("hv2", "shop/db-1", 0, 5 - 5 * grown),
            ],
            missing: vec![MissingHost {
                host: "hv3".into(),
                reason: "away".into(),
            }],
            ..Counters::default()
        }
    }

    fn table(view: View) -> Vec<String> {
        let mut known = Looks::default();
        looks().into_iter().for_each(|look| known.take(look));
        let table = known.table(view);
        assert_eq!(table.missing, ["hv3 (away)"]);
        let rows = table.rows.iter();
        rows.map(|row| row.iter().map(Cell::text).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn rates_are_what_grew_between_two_looks() {
        assert_eq!(
            table(View::Ports),
            [
                "shop/web-2 hv2 4.0 Mbit/s 0 bit/s 40.0 0 0",
                "shop/web-1 hv1 1.0 Mbit/s 0 bit/s 10.0 0 1.5",
                "shop/db-1 hv2 0 bit/s 0 bit/s 0 0 -",
            ]
        );
        assert_eq!(table(View::Drops), ["shop/web-1 hv1 denied 1.5 6"]);
    }

    #[test]
    fn one_look_has_no_rates() {
        let [first, _] = looks();
        let mut known = Looks::default();
        known.take(first);
        let table = known.table(View::Ports);
        assert!(table.rows.iter().all(|row| row[2] == Cell::Bits(None)));
        assert_eq!(table.objects()[0]["in_bits_per_second"], Value::Null);
    }

    #[test]
    fn rows_have_a_cell_for_each_column() {
        let [first, mut last] = looks();
        let end = serde_json::json!({ "address": "10.0.0.1", "port": 443 });
        let connection = serde_json::json!({
            "host": "hv1", "network": "shop/web", "protocol": "tcp", "from": end, "to": end,
            "state": "established", "rule": "shop/in", "expires_seconds": 7,
        });
        last.connections = Some(Ok(Connections {
            connections: vec![serde_json::from_value(connection).unwrap()],
            ..Connections::default()
        }));
        let mut known = Looks::default();
        [first, last].into_iter().for_each(|look| known.take(look));
        for view in [View::Ports, View::Drops, View::Connections] {
            let table = known.table(view);
            assert!(!table.rows.is_empty(), "{view:?}");
            for row in &table.rows {
                assert_eq!(row.len(), view.columns().len(), "{view:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_seen_says_why() {
        let [mut first, _] = looks();
        first.counters = Err(ClientError::BadPath { path: "x".into() });
        let mut known = Looks::default();
        known.take(first);
        assert!(known.table(View::Ports).unknown.unwrap().contains('x'));
    }
}
