//! What can be looked at: views with their columns, and the rows in them.

use serde_json::{Map, Value, json};

/// What can be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum View {
    /// Ports by traffic.
    #[default]
    Ports,
    /// Hosts: whether they are there, and what passes them.
    Hosts,
    /// Drops by port and reason.
    Drops,
    /// Connections that firewalls follow.
    Connections,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// What it is called in JSON.
    key: &'static str,
    /// How many characters it needs.
    pub width: u16,
}

const fn column(title: &'static str, key: &'static str, width: u16) -> Column {
    Column { title, key, width }
}

const PORTS: &[Column] = &[
    column("PORT", "port", 24),
    column("HOST", "host", 12),
    column("IN", "in_bits_per_second", 11),
    column("OUT", "out_bits_per_second", 11),
    column("IN PKT/S", "in_packets_per_second", 9),
    column("OUT PKT/S", "out_packets_per_second", 9),
    column("DROPS/S", "drops_per_second", 8),
];

const HOSTS: &[Column] = &[
    column("HOST", "host", 16),
    column("STATE", "state", 10),
    column("LAG", "lag", 5),
    column("PORTS", "ports", 6),
    column("IN", "in_bits_per_second", 11),
    column("OUT", "out_bits_per_second", 11),
    column("DROPS/S", "drops_per_second", 8),
];

const DROPS: &[Column] = &[
    column("PORT", "port", 24),
    column("HOST", "host", 12),
    column("REASON", "reason", 18),
    column("DROPS/S", "drops_per_second", 9),
    column("ALL", "drops", 12),
];

const CONNECTIONS: &[Column] = &[
    column("FROM", "from", 26),
    column("TO", "to", 26),
    column("PROTOCOL", "protocol", 8),
    column("STATE", "state", 12),
    column("HOST", "host", 10),
    column("RULE", "rule", 20),
];

impl View {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 4] = [Self::Ports, Self::Hosts, Self::Drops, Self::Connections];

    /// What it is called on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::Hosts => "hosts",
            Self::Drops => "drops",
            Self::Connections => "connections",
        }
    }

    /// Its columns.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Ports => PORTS,
            Self::Hosts => HOSTS,
            Self::Drops => DROPS,
            Self::Connections => CONNECTIONS,
        }
    }

    /// The column by which it is sorted at first, and whether the largest comes first.
    pub const fn order(self) -> (usize, bool) {
        match self {
            Self::Ports => (2, true),
            Self::Drops => (3, true),
            Self::Hosts | Self::Connections => (0, false),
        }
    }

    /// Whether it takes two looks.
    pub const fn has_rates(self) -> bool {
        !matches!(self, Self::Connections)
    }
}

/// What stands in a row under a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A name.
    Text(String),
    /// A number as it is.
    Count(u64),
    /// Per second; nothing: not known yet.
    PerSecond(Option<f64>),
    /// Bits per second.
    Bits(Option<f64>),
}

impl Cell {
    /// As people read it.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::PerSecond(None) | Self::Bits(None) => "-".to_owned(),
            Self::PerSecond(Some(rate)) if *rate >= 100.0 || *rate == 0.0 => format!("{rate:.0}"),
            Self::PerSecond(Some(rate)) => format!("{rate:.1}"),
            Self::Bits(Some(rate)) => bits(*rate),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Count(count) => json!(count),
            Self::PerSecond(rate) | Self::Bits(rate) => json!(rate),
        }
    }

    /// Names before names by letters, numbers by size, what is not known at the small end.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            _ => self.number().total_cmp(&other.number()),
        }
    }

    fn number(&self) -> f64 {
        match self {
            Self::Text(_) => 0.0,
            Self::Count(count) => *count as f64,
            Self::PerSecond(rate) | Self::Bits(rate) => rate.unwrap_or(-1.0),
        }
    }

    /// Whether it stands at the right end of its column.
    pub fn is_number(&self) -> bool {
        !matches!(self, Self::Text(_))
    }
}

fn bits(rate: f64) -> String {
    for (unit, size) in [("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)] {
        if rate >= size {
            return format!("{:.1} {unit}", rate / size);
        }
    }
    format!("{rate:.0} bit/s")
}

/// Rows of a view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What they are of.
    pub view: View,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// Hosts that are not in the numbers, and why.
    pub missing: Vec<String>,
    /// Why there are no rows at all.
    pub unknown: Option<String>,
}

impl Table {
    /// Sorts by a column; rows that are alike there keep the order of their names.
    pub fn sort(&mut self, column: usize, largest_first: bool) {
        self.rows.sort_by(|one, other| {
            let order = match (one.get(column), other.get(column)) {
                (Some(one), Some(other)) => one.compare(other),
                _ => std::cmp::Ordering::Equal,
            };
            if largest_first {
                order.reverse()
            } else {
                order
            }
        });
    }

    /// Rows as objects, numbers as they were measured.
    pub fn objects(&self) -> Vec<Value> {
        let object = |row: &Vec<Cell>| {
            let columns = self.view.columns().iter().zip(row);
            let fields = columns.map(|(column, cell)| (column.key.to_owned(), cell.json()));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// The names of the rows.
    pub fn names(&self) -> Vec<String> {
        let first = self.rows.iter().filter_map(|row| row.first());
        first.map(Cell::text).collect()
    }
}
