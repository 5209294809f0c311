//! `coax selftest …` and `coax bench`: what they do is in `coax-bench`.

use clap::Subcommand;
use coax_bench::{bench, selftest};

use crate::commands::Outcome;
use crate::exit::Exit;

/// `coax selftest …`
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum SelftestCommand {
    /// Forward real packets between two hypervisors in namespaces and compare the counters
    Kernel,
    /// Print how many instructions the kernel's verifier walked through for each program
    Budget,
}

/// Runs `coax selftest …`.
pub async fn selftest(command: SelftestCommand) -> Outcome {
    match command {
        SelftestCommand::Kernel => {
            selftest::kernel().await?;
            println!("SELFTEST PASS");
        }
        SelftestCommand::Budget => {
            for (program, instructions) in selftest::budget()? {
                println!("[{program}]\ninstructions = {instructions}\n");
            }
        }
    }
    Ok(Exit::Done)
}

/// Runs `coax bench`.
pub async fn bench(args: bench::Args) -> Outcome {
    Ok(if bench::run(&args).await? {
        Exit::Done
    } else {
        Exit::Warnings
    })
}
