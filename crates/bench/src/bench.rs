//! The benchmarks of the data plane: the same traffic over several datapaths, in turn.
//!
//! All datapaths stand at the same time; each round measures one after the other, so that a change
//! of the machine's speed meets them alike. Quoted are medians of the rounds' ratios.

use crate::measure::{self, median};
use crate::pair::{Datapath, Pair};
use crate::report::{Figure, Line, table};
use crate::vm::Vm;
use crate::{Error, rows};
use coax_netlink::Namespace;
use coax_vswitch::{DataPlane, RowOperation};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How to run the benchmarks.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Rounds; each measures every datapath once.
    #[arg(long, default_value_t = 7)]
    pub rounds: u32,
    /// Milliseconds of each measurement.
    #[arg(long, default_value_t = 1500)]
    pub milliseconds: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Rows to fill the MAC and address tables with for the comparison of table sizes.
    #[arg(long, default_value_t = 100_000)]
    pub rows: u32,
    /// Measure these figures only, and leave the comparison of table sizes out.
    #[arg(long, value_enum)]
    pub figure: Vec<Figure>,
}

impl Args {
    fn wants(&self, figure: Figure) -> bool {
        self.figure.is_empty() || self.figure.contains(&figure)
    }
}

const DATAPATHS: [Datapath; 4] = [
    Datapath::Veth,
    Datapath::Bridge,
    Datapath::BridgeVxlan,
    Datapath::Coax,
];

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Report {
    figures: Vec<Line>,
    /// Packet cost with full tables divided by that with ten rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_of_many_rows: Option<f64>,
    rows: u32,
}

/// Runs the benchmarks and prints the report. True when all goals were reached.
///
/// # Errors
/// When a datapath cannot be built or traffic fails.
pub async fn run(args: &Args) -> Result<bool, Error> {
    let time = Duration::from_millis(args.milliseconds);
    let mut pairs = Vec::new();
    for datapath in DATAPATHS {
        pairs.push((
            datapath,
            Pair::build(datapath, short(datapath), false).await?,
        ));
    }
    let mut rounds: Vec<BTreeMap<(Figure, Datapath), f64>> = Vec::new();
    for round in 0..args.rounds {
        let mut values = BTreeMap::new();
        for (datapath, pair) in &pairs {
            eprintln!(
                "round {} of {}: {}",
                round + 1,
                args.rounds,
                datapath.name()
            );
            for (figure, value) in measure_all(args, &pair.vms, time, round)? {
                values.insert((figure, *datapath), value);
            }
        }
        rounds.push(values);
    }
    let figures: Vec<Line> = Figure::ALL
        .iter()
        .filter(|figure| args.wants(**figure))
        .map(|figure| line(*figure, &rounds))
        .collect();
    drop(pairs);
    let cost_of_many_rows = match args.figure.is_empty() {
        true => Some(many_rows(args, time).await?),
        false => None,
    };
    let reached = figures.iter().all(|line| line.reached)
        && cost_of_many_rows.is_none_or(|cost| cost <= 1.05);
    if args.json {
        let report = Report {
            figures,
            cost_of_many_rows,
            rows: args.rows,
        };
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{error}"),
        }
    } else {
        print!("{}", table(&DATAPATHS, &figures));
        if let Some(cost) = cost_of_many_rows {
            println!(
                "packet cost with {} MAC and address rows : with 10 = {cost:.3} (<= 1.05)",
                args.rows
            );
        }
    }
    Ok(reached)
}

const fn short(datapath: Datapath) -> &'static str {
    match datapath {
        Datapath::Veth => "veth",
        Datapath::Bridge => "bridge",
        Datapath::BridgeVxlan => "vxlan",
        Datapath::Coax => "coax",
    }
}

fn measure_all(
    args: &Args,
    vms: &[Namespace; 2],
    time: Duration,
    round: u32,
) -> Result<Vec<(Figure, f64)>, Error> {
    let addresses = [Vm::number(1).ipv4, Vm::number(2).ipv4];
    // A port that a round used is never used again: TIME_WAIT would slow the next one down.
    let port = 10_000 + (round % 20_000) as u16;
    let mut values = Vec::new();
    if args.wants(Figure::Packets) || args.wants(Figure::CpuPerPacket) {
        let datagrams = measure::datagrams(vms, addresses, time)?;
        values.push((Figure::Packets, datagrams.per_second));
        values.push((Figure::CpuPerPacket, datagrams.cpu_per_packet));
    }
    if args.wants(Figure::Stream) {
        values.push((Figure::Stream, measure::stream(vms, addresses, time)?));
    }
    if args.wants(Figure::RoundTrip) {
        let round_trip = measure::round_trip(vms, addresses, time)?;
        values.push((Figure::RoundTrip, round_trip));
    }
    if args.wants(Figure::Connections) {
        let connections = measure::connections(vms, addresses, time, port)?;
        values.push((Figure::Connections, connections));
    }
    Ok(values)
}

fn line(figure: Figure, rounds: &[BTreeMap<(Figure, Datapath), f64>]) -> Line {
    let of = |datapath: Datapath| -> Vec<f64> {
        rounds
            .iter()
            .filter_map(|round| round.get(&(figure, datapath)).copied())
            .collect()
    };
    let mut ratios: Vec<f64> = of(Datapath::Coax)
        .iter()
        .zip(of(Datapath::BridgeVxlan))
        .map(|(coax, vxlan)| coax / vxlan)
        .collect();
    let ratio = median(&mut ratios);
    let (goal, less_is_better) = figure.goal();
    Line {
        figure,
        medians: DATAPATHS
            .iter()
            .map(|datapath| (datapath.name().to_owned(), median(&mut of(*datapath))))
            .collect(),
        ratio,
        range: (
            ratios.first().copied().unwrap_or_default(),
            ratios.last().copied().unwrap_or_default(),
        ),
        goal,
        reached: if less_is_better {
            ratio <= goal
        } else {
            ratio >= goal
        },
    }
}

/// Time per packet with full tables divided by that with the two VMs' rows only.
async fn many_rows(args: &Args, time: Duration) -> Result<f64, Error> {
    let addresses = [Vm::number(1).ipv4, Vm::number(2).ipv4];
    let few = Pair::build(Datapath::Coax, "few", false).await?;
    let mut many = Pair::build(Datapath::Coax, "many", false).await?;
    for plane in many.planes() {
        for row in (0..args.rows).flat_map(rows::filler) {
            plane.apply(&RowOperation::Put(row))?;
        }
    }
    let mut ratios = Vec::new();
    for round in 0..args.rounds {
        eprintln!(
            "round {} of {}: few rows, many rows",
            round + 1,
            args.rounds
        );
        let few = measure::datagrams(&few.vms, addresses, time)?;
        let many = measure::datagrams(&many.vms, addresses, time)?;
        ratios.push(few.per_second / many.per_second);
    }
    Ok(median(&mut ratios))
}
