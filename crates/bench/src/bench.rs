//! The benchmarks of the data plane: the same traffic over several datapaths, in turn.
//!
//! All datapaths stand at the same time; each round measures one after the other, so that a change
//! of the machine's speed meets them alike. Quoted are medians of the rounds' ratios.

use crate::measure::{self, Neighbour, median, percentile_99};
use crate::pair::{Datapath, Pair};
use crate::plan::Plan;
use crate::report::{self, Figure, Ratio, Round, Row};
use crate::suite::Suite;
use crate::vm::Vm;
use crate::{Error, rows};
use coax_vswitch::{DataPlane, RowOperation};
use serde::Serialize;
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
    /// Measure firewalls of many rules beside nftables, instead of networks.
    #[arg(long)]
    pub firewall: bool,
    /// Measure what a VM keeps beside a hostile one of another project, instead of networks.
    #[arg(long, conflicts_with = "firewall")]
    pub neighbours: bool,
    /// Measure these figures only, and leave the comparison of table sizes out.
    #[arg(long, value_enum)]
    pub figure: Vec<Figure>,
}

/// Flows of the figures with many.
const FLOWS: u16 = 16_000;

impl Args {
    fn time(&self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }

    fn wants(&self, figure: Figure) -> bool {
        self.figure.is_empty() || self.figure.contains(&figure)
    }
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Report {
    datapaths: Vec<Row>,
    ratios: Vec<Ratio>,
    /// Packet cost with full tables divided by that with ten rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_of_many_rows: Option<f64>,
}

/// The limit of `cost_of_many_rows`.
const MANY_ROWS: f64 = 1.05;

/// Runs the benchmarks and prints the report. True when all goals were reached.
///
/// # Errors
/// When a datapath cannot be built or traffic fails.
pub async fn run(args: &Args) -> Result<bool, Error> {
    let suite = match (args.firewall, args.neighbours) {
        (true, _) => Suite::firewall(),
        (_, true) => Suite::neighbours(),
        _ => Suite::forwarding(),
    };
    let compare_sizes = args.figure.is_empty() && !args.firewall && !args.neighbours;
    let rounds = measure_suite(args, &suite).await?;
    let report = Report {
        datapaths: report::rows(&suite, &rounds),
        ratios: report::ratios(&suite, &rounds),
        cost_of_many_rows: match compare_sizes {
            true => Some(many_rows(args).await?),
            false => None,
        },
    };
    print(args, &report);
    let reached = report.ratios.iter().all(|ratio| ratio.reached);
    Ok(reached
        && report
            .cost_of_many_rows
            .is_none_or(|cost| cost <= MANY_ROWS))
}

fn print(args: &Args, report: &Report) {
    if args.json {
        match serde_json::to_string_pretty(report) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{error}"),
        }
        return;
    }
    print!("{}", report::table(&report.datapaths, &report.ratios));
    if let Some(cost) = report.cost_of_many_rows {
        println!(
            "packet cost with {} MAC and address rows : with 10 = {cost:.3} (<= {MANY_ROWS}) {}",
            args.rows,
            report::verdict(cost <= MANY_ROWS)
        );
    }
}

async fn measure_suite(args: &Args, suite: &Suite) -> Result<Vec<Round>, Error> {
    let mut pairs = Vec::new();
    for subject in &suite.subjects {
        eprintln!("building {}", subject.name);
        pairs.push((subject, Pair::build_plan(&subject.plan).await?));
    }
    let mut rounds = Vec::new();
    for number in 0..args.rounds {
        let mut round = Round::new();
        for (subject, pair) in &pairs {
            eprintln!("round {} of {}: {}", number + 1, args.rounds, subject.name);
            for figure in subject.figures.iter().filter(|figure| args.wants(**figure)) {
                let neighbour = match subject.neighbour {
                    Some(conduct) => Some(Neighbour::start(&pair.neighbours, conduct).await?),
                    None => None,
                };
                let value = measure_one(*figure, pair, args.time(), number);
                let flows = neighbour.map(Neighbour::end).transpose()?;
                let value = match (figure, value?) {
                    (Figure::NeighbourFlows, _) => flows.unwrap_or(0.0),
                    (_, value) => value,
                };
                round.insert((*figure, subject.name), value);
            }
        }
        rounds.push(round);
    }
    Ok(rounds)
}

fn measure_one(figure: Figure, pair: &Pair, time: Duration, round: u32) -> Result<f64, Error> {
    let vms = &pair.vms;
    let addresses = [Vm::number(1).ipv4, Vm::number(2).ipv4];
    // A port that a round used is never used again: TIME_WAIT would slow the next one down, and flows would not be new.
    let port = 10_000 + (round % 20_000) as u16;
    Ok(match figure {
        Figure::Packets => measure::datagrams(vms, addresses, time, 1)?.per_second,
        Figure::CpuPerPacket => measure::datagrams(vms, addresses, time, 1)?.cpu_per_packet,
        Figure::ManyFlows => measure::datagrams(vms, addresses, time, FLOWS)?.per_second,
        Figure::NewFlows => measure::new_flows(vms, addresses, FLOWS, port)?,
        Figure::Stream => {
            pair.steer(true)?;
            let stream = measure::stream(vms, addresses, time);
            pair.steer(false)?;
            stream?
        }
        Figure::RoundTrip => median(&mut measure::round_trips(vms, addresses, time)?),
        Figure::SlowRoundTrip => percentile_99(&measure::round_trips(vms, addresses, time)?),
        // What is of interest is what the neighbour does meanwhile.
        Figure::NeighbourFlows => measure::datagrams(vms, addresses, time, 1)?.per_second,
        Figure::Connections => measure::connections(vms, addresses, time, port)?,
    })
}

/// Time per packet with full tables divided by that with the two VMs' rows only.
async fn many_rows(args: &Args) -> Result<f64, Error> {
    let time = args.time();
    let addresses = [Vm::number(1).ipv4, Vm::number(2).ipv4];
    let build =
        |label| async move { Pair::build_plan(&Plan::of(Datapath::Coax, label).guarded()).await };
    let few = build("few").await?;
    let mut many = build("many").await?;
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
        let few = measure::datagrams(&few.vms, addresses, time, 1)?;
        let many = measure::datagrams(&many.vms, addresses, time, 1)?;
        ratios.push(few.per_second / many.per_second);
    }
    Ok(median(&mut ratios))
}
