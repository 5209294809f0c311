//! `coax diff`: what `apply` would change. Exit code 2 if anything, 0 if nothing, 1 if checks fail after it,
//! which `apply` refuses without `--ignore-checks`, but for the operator's rails.

use std::path::PathBuf;

use coax_api::{Action, Check, Plan, PlannedChange, ProofState, StackOptions};

use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::stack::Stack;

/// The most hosts that are named.
const MOST_HOSTS: usize = 8;

/// Flags of `coax diff`.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// A stack file; - is the standard input. Can be repeated
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &DiffArgs, output: &Output) -> Outcome {
    let stacks = Stack::read_all(&args.files)?;
    let plans = dry_run(&stacks, &args.connection).await?;
    print(&plans, output)?;
    Ok(exit(&plans))
}

/// The exit code of what was not done.
pub fn exit(plans: &[Plan]) -> Exit {
    let fails = |check: &Check| check.state == ProofState::Fails;
    if plans.iter().flat_map(|plan| &plan.checks).any(fails) {
        Exit::Error
    } else if plans.iter().all(|plan| plan.changes.is_empty()) {
        Exit::Done
    } else {
        Exit::Different
    }
}

/// Asks the controller what each file would change.
pub async fn dry_run(stacks: &[Stack], connection: &ConnectionArgs) -> Result<Vec<Plan>, CliError> {
    let client = connection.client()?;
    let options = StackOptions {
        dry_run: true,
        wait: None,
        ..StackOptions::default()
    };
    let mut plans = Vec::new();
    for stack in stacks {
        let plan = client
            .put_stack(stack.file.project().as_ref(), &stack.file, &options)
            .await;
        plans.push(plan.map_err(|error| stack.blame(error))?);
    }
    Ok(plans)
}

/// Prints what changes, or changed.
pub fn print(plans: &Vec<Plan>, output: &Output) -> Result<(), CliError> {
    let names = |plans: &Vec<Plan>| {
        let of_plan = |plan: &Plan| -> Vec<String> {
            let name = |name: &str| format!("{}/{name}", plan.project);
            plan.changes
                .iter()
                .map(|it| format!("{} {}", it.kind, name(&it.name)))
                .collect()
        };
        plans.iter().flat_map(of_plan).collect()
    };
    output.value(plans, names, |plans| {
        plans.iter().map(|plan| people(plan, output)).collect()
    })
}

fn people(plan: &Plan, output: &Output) -> String {
    if plan.changes.is_empty() {
        return format!(
            "project {}: nothing to change (revision {})\n{}",
            plan.project,
            plan.revision,
            checks(plan)
        );
    }
    let mut text = if plan.dry_run {
        format!(
            "project {} would change (revision {}):\n",
            plan.project, plan.revision
        )
    } else {
        format!(
            "project {} changed (revision {}):\n",
            plan.project, plan.revision
        )
    };
    for change in &plan.changes {
        text.push_str(&format!("  {}\n", line(change, output)));
    }
    let count = |action| plan.changes.iter().filter(|it| it.action == action).count();
    let [created, changed, deleted] = if plan.dry_run {
        ["to create", "to change", "to delete"]
    } else {
        ["created", "changed", "deleted"]
    };
    text.push_str(&format!(
        "{} {created}, {} {changed}, {} {deleted}\n",
        count(Action::Create),
        count(Action::Change),
        count(Action::Delete),
    ));
    text.push_str(&effects(plan));
    text.push_str(&checks(plan));
    text
}

/// Which checks do not hold after the change.
fn checks(plan: &Plan) -> String {
    let holding = plan
        .checks
        .iter()
        .filter(|it| it.state == ProofState::Holds);
    match (holding.count(), plan.checks.len()) {
        (_, 0) => String::new(),
        (holding, all) if holding == all => format!("checks: all {all} hold\n"),
        (holding, all) => {
            let others = plan
                .checks
                .iter()
                .filter(|it| it.state != ProofState::Holds);
            let lines = others.map(|check| match plan.project.as_str() {
                "rails" => format!("  {} {}: {}\n", word(check), check.project, check.sentence),
                _ => format!("  {} {}\n", word(check), check.sentence),
            });
            format!(
                "checks: {holding} of {all} hold\n{}",
                lines.collect::<String>()
            )
        }
    }
}

fn word(check: &Check) -> &'static str {
    match check.state {
        ProofState::Holds => "holds:",
        ProofState::Fails => "FAILS:",
        ProofState::Idle => "proves nothing:",
        ProofState::Unproved => "not proved:",
    }
}

/// Which hosts are touched, and what becomes of connectivity.
fn effects(plan: &Plan) -> String {
    if !plan.dry_run {
        return String::new();
    }
    let mut text = match plan.hosts.as_slice() {
        [] => "no host is touched\n".to_owned(),
        hosts if hosts.len() > MOST_HOSTS => {
            let first = hosts.get(..MOST_HOSTS).unwrap_or_default().join(", ");
            format!(
                "hosts touched: {first} and {} more\n",
                hosts.len() - MOST_HOSTS
            )
        }
        hosts => format!("hosts touched: {}\n", hosts.join(", ")),
    };
    if plan.gained.is_empty() && plan.lost.is_empty() {
        text.push_str("connectivity stays as it is\n");
        return text;
    }
    text.push_str("connectivity:\n");
    let signs = [("-", &plan.lost), ("+", &plan.gained)];
    for (sign, sentences) in signs {
        for sentence in sentences {
            text.push_str(&format!("  {sign} {sentence}\n"));
        }
    }
    text
}

/// One change on one line.
pub fn line(change: &PlannedChange, output: &Output) -> String {
    let style = console::Style::new();
    let (sign, style) = match change.action {
        Action::Create => ("+", style.green()),
        Action::Change => ("~", style.yellow()),
        Action::Delete => ("-", style.red()),
    };
    let mut line = format!("{sign} {} {}", change.kind, change.name);
    if !change.detail.is_empty() {
        line = format!("{line}: {}", change.detail);
    }
    let coloured = output.colour && output.width.is_some();
    style.force_styling(coloured).apply_to(line).to_string()
}
