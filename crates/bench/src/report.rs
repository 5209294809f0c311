//! What the benchmarks say: ratios to what people use today, and the limits asked for.

use crate::pair::Datapath;
use serde::Serialize;
use std::fmt::Write;

/// One figure that is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// UDP datagrams in 64-byte frames per second.
    Packets,
    /// One TCP stream in bits per second.
    Stream,
    /// Median round trip in nanoseconds, both ends on one CPU.
    RoundTrip,
    /// TCP connections per second.
    Connections,
    /// CPU time per datagram that arrived, in nanoseconds.
    CpuPerPacket,
}

impl Figure {
    /// All figures.
    pub const ALL: [Self; 5] = [
        Self::Packets,
        Self::Stream,
        Self::RoundTrip,
        Self::Connections,
        Self::CpuPerPacket,
    ];

    /// The name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packets => "UDP 64 byte, kpps",
            Self::Stream => "TCP one stream, Gbit/s",
            Self::RoundTrip => "round trip p50, us",
            Self::Connections => "connections/s",
            Self::CpuPerPacket => "CPU per packet, ns",
        }
    }

    /// The number in the table is the measured one divided by this.
    const fn unit(self) -> f64 {
        match self {
            Self::Packets | Self::RoundTrip => 1e3,
            Self::Stream => 1e9,
            Self::Connections | Self::CpuPerPacket => 1.0,
        }
    }

    /// The ratio to bridge + kernel vxlan that is asked for, and whether less is better.
    pub const fn goal(self) -> (f64, bool) {
        match self {
            Self::Packets => (1.5, false),
            Self::Stream => (1.3, false),
            Self::RoundTrip => (0.8, true),
            Self::Connections => (1.25, false),
            Self::CpuPerPacket => (0.75, true),
        }
    }
}

/// The medians of one figure.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The figure.
    pub figure: Figure,
    /// Medians by datapath, in the order of the run.
    pub medians: Vec<(String, f64)>,
    /// Median of the rounds' ratios of Coax to bridge + kernel vxlan.
    pub ratio: f64,
    /// Smallest and largest of those ratios.
    pub range: (f64, f64),
    /// The ratio asked for.
    pub goal: f64,
    /// It was reached.
    pub reached: bool,
}

/// The table for people.
pub fn table(datapaths: &[Datapath], lines: &[Line]) -> String {
    let mut text = format!("{:<24}", "");
    for datapath in datapaths {
        let _ = write!(text, "{:>23}", datapath.name());
    }
    text.push_str("   coax : kernel vxlan (goal)\n");
    for line in lines {
        let _ = write!(text, "{:<24}", line.figure.name());
        for (_, median) in &line.medians {
            let _ = write!(text, "{:>23.1}", median / line.figure.unit());
        }
        let sign = if line.figure.goal().1 { "<=" } else { ">=" };
        let _ = writeln!(
            text,
            "   {:.2} [{:.2} to {:.2}] ({sign} {:.2}) {}",
            line.ratio,
            line.range.0,
            line.range.1,
            line.goal,
            if line.reached {
                "reached"
            } else {
                "NOT REACHED"
            }
        );
    }
    text
}
