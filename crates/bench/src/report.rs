//! What the benchmarks say: figures of each datapath, and ratios with what is asked of them.

use crate::measure::median;
use crate::suite::{Goal, Subject, Suite};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One figure that is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// UDP datagrams in 64-byte frames per second.
    Packets,
    /// The same, of 16,000 flows in turn.
    ManyFlows,
    /// UDP flows of one datagram each, per second.
    NewFlows,
    /// One TCP stream in bits per second.
    Stream,
    /// Median round trip in nanoseconds, both ends on one CPU.
    RoundTrip,
    /// The slowest hundredth of those round trips begins here.
    SlowRoundTrip,
    /// TCP connections per second.
    Connections,
    /// CPU time per datagram that arrived, in nanoseconds.
    CpuPerPacket,
    /// Flows per second that a neighbour began meanwhile.
    NeighbourFlows,
}

impl Figure {
    /// All figures.
    pub const ALL: [Self; 9] = [
        Self::Packets,
        Self::ManyFlows,
        Self::NewFlows,
        Self::Stream,
        Self::RoundTrip,
        Self::SlowRoundTrip,
        Self::Connections,
        Self::CpuPerPacket,
        Self::NeighbourFlows,
    ];

    /// The name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packets => "UDP kpps",
            Self::ManyFlows => "16,000 flows",
            Self::NewFlows => "new flows/s",
            Self::Stream => "TCP Gbit/s",
            Self::RoundTrip => "round trip us",
            Self::SlowRoundTrip => "its p99 us",
            Self::Connections => "connections/s",
            Self::CpuPerPacket => "CPU ns/packet",
            Self::NeighbourFlows => "its flows/s",
        }
    }

    /// The number in the table is the measured one divided by this.
    const fn unit(self) -> f64 {
        match self {
            Self::Packets | Self::ManyFlows | Self::RoundTrip | Self::SlowRoundTrip => 1e3,
            Self::Stream => 1e9,
            Self::Connections | Self::NewFlows | Self::CpuPerPacket | Self::NeighbourFlows => 1.0,
        }
    }

    /// Whether less is better.
    pub const fn is_cost(self) -> bool {
        matches!(
            self,
            Self::RoundTrip | Self::SlowRoundTrip | Self::CpuPerPacket
        )
    }
}

/// What one round measured, by figure and name of the subject.
pub type Round = BTreeMap<(Figure, &'static str), f64>;

/// The medians of one subject.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The subject.
    pub name: &'static str,
    /// Medians of the rounds.
    pub medians: BTreeMap<Figure, f64>,
}

/// A ratio and what is asked of it.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// The figure.
    pub figure: Figure,
    /// The subject above the line.
    pub of: &'static str,
    /// The subject below the line.
    pub to: &'static str,
    /// Median of the rounds' ratios.
    pub ratio: f64,
    /// Smallest and largest of those ratios.
    pub range: (f64, f64),
    /// The ratio asked for.
    pub goal: f64,
    /// It was reached.
    pub reached: bool,
}

/// Medians by subject.
pub fn rows(suite: &Suite, rounds: &[Round]) -> Vec<Row> {
    let row = |subject: &Subject| Row {
        name: subject.name,
        medians: subject
            .figures
            .iter()
            .filter_map(|figure| {
                let mut values = values(rounds, *figure, subject.name);
                (!values.is_empty()).then(|| (*figure, median(&mut values)))
            })
            .collect(),
    };
    suite.subjects.iter().map(row).collect()
}

/// The ratios that were measured. Each is the median of the ratios of the rounds, so that a change of the machine's
/// speed between two rounds is no part of it.
pub fn ratios(suite: &Suite, rounds: &[Round]) -> Vec<Ratio> {
    suite
        .goals
        .iter()
        .filter_map(|goal| ratio(goal, rounds))
        .collect()
}

fn ratio(goal: &Goal, rounds: &[Round]) -> Option<Ratio> {
    let below = values(rounds, goal.figure, goal.to);
    let mut ratios: Vec<f64> = values(rounds, goal.figure, goal.of)
        .iter()
        .zip(below)
        .map(|(of, to)| of / to)
        .collect();
    let ratio = median(&mut ratios);
    Some(Ratio {
        figure: goal.figure,
        of: goal.of,
        to: goal.to,
        ratio,
        range: (*ratios.first()?, *ratios.last()?),
        goal: goal.ratio,
        reached: if goal.figure.is_cost() {
            ratio <= goal.ratio
        } else {
            ratio >= goal.ratio
        },
    })
}

fn values(rounds: &[Round], figure: Figure, name: &'static str) -> Vec<f64> {
    rounds
        .iter()
        .filter_map(|round| round.get(&(figure, name)).copied())
        .collect()
}

/// The tables for people.
pub fn table(rows: &[Row], ratios: &[Ratio]) -> String {
    let measured = |figure: &Figure| rows.iter().any(|row| row.medians.contains_key(figure));
    let figures: Vec<Figure> = Figure::ALL.into_iter().filter(measured).collect();
    let mut text = format!("{:<30}", "");
    for figure in &figures {
        let _ = write!(text, "{:>15}", figure.name());
    }
    text.push('\n');
    for row in rows {
        let _ = write!(text, "{:<30}", row.name);
        for figure in &figures {
            let value = row.medians.get(figure).map(|value| value / figure.unit());
            let value = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
            let _ = write!(text, "{value:>15}");
        }
        text.push('\n');
    }
    text.push('\n');
    for ratio in ratios {
        let _ = writeln!(
            text,
            "{:<14} {:>30} : {:<30} {:>6.2} [{:.2} to {:.2}] ({} {:.2}) {}",
            ratio.figure.name(),
            ratio.of,
            ratio.to,
            ratio.ratio,
            ratio.range.0,
            ratio.range.1,
            if ratio.figure.is_cost() { "<=" } else { ">=" },
            ratio.goal,
            verdict(ratio.reached),
        );
    }
    text
}

/// Whether a goal was reached, in words.
pub const fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "NOT REACHED" }
}
