//! `coax apply`: makes projects what their files say, and waits until the hosts have it in their
//! maps. A host that is away is named, not waited for; then, as after a timeout, the exit code is 4.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use coax_api::{Client, Confirmation, Plan, Realisation, StackOptions};

use crate::commands::{Outcome, diff};
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, complain};
use crate::progress::Progress;
use crate::stack::Stack;

/// How long one question to the controller lasts at most, so that progress can be shown.
const STEP: Duration = Duration::from_millis(250);

/// Flags of `coax apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// A stack file; - is the standard input. Can be repeated
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Flags of whatever changes a project.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// When to return
    #[arg(long, value_enum, default_value_t)]
    pub wait: Wait,
    /// How long to wait for the hosts, like 30s or 500ms
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// Only show what would change, like `coax diff`
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for `coax history`
    #[arg(short = 'm', long = "message", value_name = "TEXT")]
    pub message: Option<String>,
    /// Take the change back by itself unless `coax confirm` comes within this time, like 5m
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "confirm_now")]
    pub confirm: Option<Duration>,
    /// Let this change hold, and what still waits for confirmation
    #[arg(long)]
    pub confirm_now: bool,
    /// Apply it although checks of the project fail afterwards
    #[arg(long)]
    pub ignore_checks: bool,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// When `apply` returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Wait {
    /// When every host that needs it has it in its maps
    #[default]
    Hosts,
    /// When the controller has stored it
    Stored,
}

/// Reads `30s`, `500ms`, `2m`, or a number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "write a time like 30s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err("units are ms, s, m and h: write a time like 30s".to_owned()),
    }
}

/// Runs it.
pub async fn run(args: &ApplyArgs, output: &Output) -> Outcome {
    let stacks = Stack::read_all(&args.files)?;
    change(&stacks, &args.change, StackOptions::default(), output).await
}

/// Makes projects what their files say, on a condition that is about each.
pub async fn change(
    stacks: &[Stack],
    args: &ChangeArgs,
    condition: StackOptions,
    output: &Output,
) -> Outcome {
    let client = args.connection.client()?;
    if args.dry_run || stacks.len() > 1 {
        // Several files: first all are checked, so that a mistake in the second does not leave the
        // first one applied.
        let plans = diff::dry_run(stacks, &args.connection).await?;
        if args.dry_run {
            diff::print(&plans, output)?;
            return Ok(diff::exit(&plans));
        }
        let own = stacks
            .iter()
            .zip(&plans)
            .filter(|(stack, _)| !stack.file.project().is_rails());
        let mut blamed = own.filter_map(|(stack, plan)| stack.blame_checks(plan));
        if let Some(error) = blamed.next().filter(|_| !args.ignore_checks) {
            return Err(error);
        }
    }
    let (plans, failed) = store(&client, stacks, &args.options(condition)).await?;
    let exit = finish(&client, plans, args, output).await?;
    match failed {
        Some(error) => {
            complain(error.render(output.colour).trim_end());
            Ok(Exit::Partly)
        }
        None => Ok(exit),
    }
}

/// Deletes all that a project has.
pub async fn delete(project: &str, args: &ChangeArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let options = args.options(StackOptions {
        dry_run: args.dry_run,
        ..StackOptions::default()
    });
    let plan = client.delete_stack(project, &options).await?;
    if args.dry_run {
        let plans = vec![plan];
        diff::print(&plans, output)?;
        return Ok(diff::exit(&plans));
    }
    finish(&client, vec![plan], args, output).await
}

/// Waits for the hosts, if that is wanted, and says what was changed.
async fn finish(
    client: &Client,
    mut plans: Vec<Plan>,
    args: &ChangeArgs,
    output: &Output,
) -> Outcome {
    let mut exit = Exit::Done;
    if args.wait == Wait::Hosts
        && let Some(last) = plans.last_mut()
    {
        let realisation = realise(client, last.revision, args.timeout, output).await?;
        if !realisation.done {
            exit = Exit::Partly;
        }
        last.realisation = Some(realisation);
    }
    diff::print(&plans, output)?;
    if let Some(time) = args.confirm {
        remind(&plans, time, output);
    }
    Ok(exit)
}

/// Says what is to be done about changes that will not stay by themselves.
fn remind(plans: &[Plan], time: Duration, output: &Output) {
    for plan in plans.iter().filter(|plan| !plan.changes.is_empty()) {
        output.say(&format!(
            "revision {} is reverted in {} s unless `coax confirm {}` comes before",
            plan.revision,
            time.as_secs(),
            plan.revision
        ));
    }
}

impl ChangeArgs {
    fn options(&self, condition: StackOptions) -> StackOptions {
        let confirm = match self.confirm {
            Some(time) => Confirmation::Within(time),
            None if self.confirm_now => Confirmation::Now,
            None => Confirmation::None,
        };
        StackOptions {
            reason: self.message.clone(),
            confirm,
            ignore_checks: self.ignore_checks,
            ..condition
        }
    }
}

/// Stores one file after the other. An error after the first is handed back with what was done.
async fn store(
    client: &Client,
    stacks: &[Stack],
    options: &StackOptions,
) -> Result<(Vec<Plan>, Option<CliError>), CliError> {
    let mut plans = Vec::new();
    for stack in stacks {
        let stored = client
            .put_stack(stack.file.project().as_ref(), &stack.file, options)
            .await;
        match stored.map_err(|error| stack.blame(error)) {
            Ok(plan) => plans.push(plan),
            Err(error) if plans.is_empty() => return Err(error),
            Err(error) => return Ok((plans, Some(error))),
        }
    }
    Ok((plans, None))
}

/// Waits until every attached host that needs the revision has it, or the time is over.
pub async fn realise(
    client: &Client,
    revision: u64,
    timeout: Duration,
    output: &Output,
) -> Result<Realisation, CliError> {
    let deadline = Instant::now() + timeout;
    let mut progress = Progress::start(output, &format!("revision {revision} is stored"));
    loop {
        let asked = Instant::now();
        let step = deadline.saturating_duration_since(asked).min(STEP);
        let state = client.wait(revision, step).await?;
        let (ready, all) = (
            state.realized.len(),
            state.realized.len() + state.missing.len(),
        );
        progress.step(ready, all, &waited_for(&state));
        // The controller answers early if it has nobody left to wait for.
        let early = asked.elapsed() < step;
        if state.done || early || Instant::now() >= deadline {
            progress.end(&match all {
                0 => "no host needs it yet".to_owned(),
                _ => format!("in place on {ready} of {all} hosts"),
            });
            for host in &state.missing {
                output.warn(&format!("{} does not have it: {}", host.host, host.reason));
            }
            return Ok(state);
        }
    }
}

fn waited_for(state: &Realisation) -> String {
    let names: Vec<&str> = state
        .missing
        .iter()
        .filter(|host| host.connected)
        .map(|host| host.host.as_str())
        .collect();
    match names.as_slice() {
        [] => String::new(),
        [first, second, third, more @ ..] if !more.is_empty() => {
            format!(
                "waiting for {first}, {second}, {third} and {} more",
                more.len()
            )
        }
        few => format!("waiting for {}", few.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("soon").is_err());
        assert!(duration("3 days").is_err());
    }
}
