//! Runs the self-test and the benchmarks without the rest of Coax.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "coax-bench",
    about = "Two hypervisors on one machine: self-test and benchmarks"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Forwards real packets through the running kernel and compares the counters.
    Selftest,
    /// Measures Coax beside the bare veth pair, bridges, and bridge + kernel vxlan.
    Run(coax_bench::bench::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Selftest => coax_bench::selftest::kernel().await.map(|()| true),
        Command::Run(args) => coax_bench::bench::run(&args).await,
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
