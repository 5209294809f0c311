//! `cargo xtask budget`: what the kernel's verifier says each program costs, against the reviewed
//! file ebpf/verifier-budget.toml.
//!
//! It is measured under Debian's kernel 6.1 in an emulated guest, so that the figures are the same on
//! every machine; the smoke test there compares them too. `coax selftest budget` loads the programs and prints one table for each:
//! `[coax_port]` with `instructions = 1408`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::commands::no_arguments;
use crate::vm;
use crate::workspace::Workspace;

const FILE: &str = "ebpf/verifier-budget.toml";

/// Kernels differ a little in how they prune; a change of the programs moves the count by more.
const TOLERATED_PERCENT: i64 = 2;

const HEADER: &str = "\
# What the kernel's verifier counts for each program: instructions verified (its limit is 1,000,000). The
# stack of 512 bytes over a chain of calls is a limit that it enforces by itself. Reviewed like a golden file; `BLESS=1 cargo xtask budget` rewrites it.
";

type Costs = BTreeMap<String, BTreeMap<String, i64>>;

/// The command.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    no_arguments("budget", arguments)?;
    vm::prepare(workspace)?;
    compare_printed(workspace, &vm::measure_budget(workspace)?)
}

/// Compares what `coax selftest budget` printed with the file, or rewrites the file if BLESS=1.
pub fn compare_printed(workspace: &Workspace, printed: &str) -> Result<()> {
    let measured = parse(printed).context("cannot read what `coax selftest budget` printed")?;
    ensure!(
        !measured.is_empty(),
        "`coax selftest budget` printed nothing"
    );
    let file = workspace.path(FILE);
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        fs::write(&file, format!("{HEADER}\n{}", render(&measured)))?;
        eprintln!("budget: wrote {FILE}");
        return Ok(());
    }
    let text = fs::read_to_string(&file)
        .with_context(|| format!("no {FILE}; BLESS=1 cargo xtask budget writes it"))?;
    let budget = parse(&text).with_context(|| format!("cannot read {FILE}"))?;
    let problems = compare(&budget, &measured);
    if !problems.is_empty() {
        bail!(
            "{FILE} does not match:\n  - {}\nif that is meant: BLESS=1 cargo xtask budget",
            problems.join("\n  - ")
        );
    }
    eprintln!("budget: {} programs are within {FILE}", measured.len());
    Ok(())
}

fn parse(text: &str) -> Result<Costs> {
    Ok(toml::from_str(text)?)
}

fn render(costs: &Costs) -> String {
    let mut text = String::new();
    for (program, values) in costs {
        text.push_str(&format!("[{program}]\n"));
        for (name, value) in values {
            text.push_str(&format!("{name} = {value}\n"));
        }
        text.push('\n');
    }
    // One newline ends the file.
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn compare(budget: &Costs, measured: &Costs) -> Vec<String> {
    let mut problems = Vec::new();
    for program in budget
        .keys()
        .filter(|program| !measured.contains_key(*program))
    {
        problems.push(format!("{program} is in the file, but was not loaded"));
    }
    for (program, values) in measured {
        let Some(limits) = budget.get(program) else {
            problems.push(format!("{program} is new"));
            continue;
        };
        for (name, &value) in values {
            match limits.get(name) {
                None => problems.push(format!("{program}.{name} is new: {value}")),
                Some(&limit) if differs(limit, value) => {
                    problems.push(format!("{program}.{name} was {limit}, is {value}"));
                }
                Some(_) => {}
            }
        }
    }
    problems
}

fn differs(limit: i64, value: i64) -> bool {
    (value - limit).abs() * 100 > limit * TOLERATED_PERCENT
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "[port]\ninstructions = 1000\nstack = 200\n\n[uplink]\ninstructions = 10\n";

    #[test]
    fn what_is_rendered_is_read_back() {
        let costs = parse(TEXT).unwrap();
        assert_eq!(render(&costs), TEXT);
    }

    #[test]
    fn equal_costs_are_fine_and_small_changes_too() {
        let costs = parse(TEXT).unwrap();
        assert!(compare(&costs, &costs).is_empty());
        let near = parse(&TEXT.replace("1000", "1020")).unwrap();
        assert!(compare(&costs, &near).is_empty());
    }

    #[test]
    fn growth_shrinkage_new_and_lost_programs_are_named() {
        let costs = parse(TEXT).unwrap();
        for other in ["1021", "979"] {
            let changed = parse(&TEXT.replace("1000", other)).unwrap();
            let problems = compare(&costs, &changed);
            assert_eq!(
                problems,
                [format!("port.instructions was 1000, is {other}")]
            );
        }
        let renamed = parse(&TEXT.replace("uplink", "fabric")).unwrap();
        let problems = compare(&costs, &renamed);
        assert_eq!(
            problems,
            ["uplink is in the file, but was not loaded", "fabric is new"]
        );
    }
}
