//! `coax validate`: what can be said about files without a controller.

use std::path::PathBuf;

use coax_model::{Intent, file, plan_file};
use serde::Serialize;

use crate::commands::Outcome;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, complain};
use crate::stack::{Mistake, Source};

/// Without a flag every MTU that a network can have is accepted: the controller knows better.
const ANY_UNDERLAY: u32 = 65_535;

/// Flags of `coax validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// A stack file; - is the standard input. Can be repeated
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Check networks' MTUs against this MTU of the fabric
    #[arg(long, value_name = "BYTES")]
    pub underlay_mtu: Option<u32>,
}

#[derive(Serialize)]
struct Verdict {
    file: String,
    valid: bool,
    mistakes: Vec<Mistake>,
}

/// Runs it. Every file is looked at, also after one that is wrong.
pub fn run(args: &ValidateArgs, output: &Output) -> Outcome {
    let intent = Intent::new(args.underlay_mtu.unwrap_or(ANY_UNDERLAY));
    let mut verdicts = Vec::new();
    for path in &args.files {
        let source = Source::read(path)?;
        let name = source.name();
        let mistakes = match check(source, &intent) {
            Ok(()) => Vec::new(),
            Err(error) => {
                complain(error.render(output.colour).trim_end());
                match error {
                    CliError::BadFile { mistakes, .. } => mistakes,
                    other => return Err(other),
                }
            }
        };
        verdicts.push(Verdict {
            file: name,
            valid: mistakes.is_empty(),
            mistakes,
        });
    }
    let valid = |verdicts: &Vec<Verdict>| -> Vec<String> {
        verdicts
            .iter()
            .filter(|it| it.valid)
            .map(|it| it.file.clone())
            .collect()
    };
    output.value(&verdicts, valid, |verdicts| {
        verdicts.iter().map(sentence).collect()
    })?;
    Ok(if verdicts.iter().all(|it| it.valid) {
        Exit::Done
    } else {
        Exit::Error
    })
}

fn check(source: Source, intent: &Intent) -> Result<(), CliError> {
    let stack = source.parse()?;
    match plan_file(&stack.file, intent) {
        Ok(_) => Ok(()),
        Err(refusals) => {
            let mistakes = file::explain(&refusals, &stack.source.text);
            Err(stack
                .source
                .bad(mistakes.into_iter().map(Mistake::from).collect()))
        }
    }
}

fn sentence(verdict: &Verdict) -> String {
    match verdict.mistakes.len() {
        0 => format!("{}: valid\n", verdict.file),
        1 => format!("{}: 1 mistake\n", verdict.file),
        count => format!("{}: {count} mistakes\n", verdict.file),
    }
}
