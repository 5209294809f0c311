//! An arrow between crates only points down, or sideways to the left, in the table of tiers that
//! docs/ARCHITECTURE.md shows under "Tiers". The table there is the one that is checked.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::Problem;
use crate::workspace::Workspace;

const DOCUMENT: &str = "docs/ARCHITECTURE.md";

/// Where a crate stands: its tier, and its place from the left.
type Places = BTreeMap<String, (usize, usize)>;

/// How one crate uses another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// In what it ships.
    Ships,
    /// In its tests only: any crate of its own tier or below will do.
    Tests,
}

/// The check.
pub fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let text = fs::read_to_string(workspace.path(DOCUMENT))
        .with_context(|| format!("cannot read {DOCUMENT}"))?;
    let places = parse_table(&text);
    ensure!(
        !places.is_empty(),
        "{DOCUMENT} has no table under the heading \"Tiers\""
    );
    let mut problems = Vec::new();
    let mut folders = Vec::new();
    for entry in fs::read_dir(workspace.path("crates"))? {
        let folder = entry?.file_name().to_string_lossy().into_owned();
        let manifest = format!("crates/{folder}/Cargo.toml");
        if let Ok(text) = fs::read_to_string(workspace.path(&manifest)) {
            let used = dependencies(&text).with_context(|| format!("cannot read {manifest}"))?;
            problems.extend(judge(&places, &folder, &manifest, &used));
            folders.push(folder);
        }
    }
    for name in places.keys().filter(|name| !folders.contains(name)) {
        let what = format!("the table of tiers has `{name}`, but there is no crates/{name}");
        problems.push(Problem::new(DOCUMENT, 1, what));
    }
    problems.extend(check_ebpf(workspace, &places)?);
    Ok(problems)
}

/// The kernel programs use nothing but tier 0.
fn check_ebpf(workspace: &Workspace, places: &Places) -> Result<Vec<Problem>> {
    let manifest = "ebpf/Cargo.toml";
    let text =
        fs::read_to_string(workspace.path(manifest)).context("cannot read ebpf/Cargo.toml")?;
    let used = dependencies(&text).context("cannot read ebpf/Cargo.toml")?;
    let above = used
        .iter()
        .filter(|(name, _)| places.get(name).is_none_or(|&(tier, _)| tier > 0));
    Ok(above
        .map(|(name, _)| {
            Problem::new(
                manifest,
                1,
                format!("the kernel programs use `{name}`, which is not in tier 0"),
            )
        })
        .collect())
}

/// Reads the table: one row for each tier from 0 up, the crates in backquotes in the second column.
fn parse_table(text: &str) -> Places {
    let mut places = Places::new();
    let section = text.lines().skip_while(|line| !is_heading(line)).skip(1);
    let rows = section
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'))
        // The column names and the rule below them.
        .skip(2);
    for (tier, row) in rows.enumerate() {
        let cell = row.split('|').nth(2).unwrap_or_default();
        for (place, name) in cell.split('`').skip(1).step_by(2).enumerate() {
            places.insert(name.to_owned(), (tier, place));
        }
    }
    places
}

fn is_heading(line: &str) -> bool {
    line.starts_with('#') && line.trim_start_matches('#').trim() == "Tiers"
}

/// The crates of this workspace that a manifest names, by their folder.
fn dependencies(manifest: &str) -> Result<Vec<(String, Use)>> {
    let manifest: toml::Table = manifest.parse()?;
    let mut found = Vec::new();
    let mut tables = vec![&manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    for table in tables {
        let kinds = [
            ("dependencies", Use::Ships),
            ("build-dependencies", Use::Ships),
            ("dev-dependencies", Use::Tests),
        ];
        for (key, how) in kinds {
            let names = table.get(key).and_then(toml::Value::as_table);
            let names = names.into_iter().flat_map(|table| table.keys());
            found.extend(
                names
                    .filter_map(|name| folder_of(name))
                    .map(|name| (name, how)),
            );
        }
    }
    Ok(found)
}

/// The folder of a package: `coax-wire` is in crates/wire, `coax` in crates/cli.
fn folder_of(package: &str) -> Option<String> {
    match package {
        "coax" => Some(String::from("cli")),
        _ => package.strip_prefix("coax-").map(str::to_owned),
    }
}

fn judge(places: &Places, folder: &str, manifest: &str, used: &[(String, Use)]) -> Vec<Problem> {
    let problem = |what: String| Problem::new(manifest, 1, what);
    let Some(&own) = places.get(folder) else {
        return vec![problem(format!("`{folder}` is in no tier of {DOCUMENT}"))];
    };
    let mut problems = Vec::new();
    for (name, how) in used {
        let Some(&other) = places.get(name) else {
            continue;
        };
        let fine = match how {
            Use::Ships => other < own,
            Use::Tests => other.0 <= own.0,
        };
        if !fine {
            problems.push(problem(format!(
                "`{folder}` (tier {}) uses `{name}` (tier {}): arrows point down, or left in a tier",
                own.0, other.0
            )));
        }
    }
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TABLE: &str = "# X\n## Tiers\n\nWords.\n\n| tier | crates | what |\n| --- | --- | --- |\n\
        | 0 | `wire` `tables` | no_std |\n| 1 | `sim`, `model` | engines |\n\n## Next\n| a | `no` |\n";

    fn problems(folder: &str, used: &[(&str, Use)]) -> usize {
        let used: Vec<(String, Use)> = used
            .iter()
            .map(|&(name, how)| (String::from(name), how))
            .collect();
        judge(&parse_table(TABLE), folder, "Cargo.toml", &used).len()
    }

    #[test]
    fn the_table_is_read_by_row_and_place() {
        let places = parse_table(TABLE);
        assert_eq!(places.get("wire"), Some(&(0, 0)));
        assert_eq!(places.get("model"), Some(&(1, 1)));
        assert_eq!(places.len(), 4);
    }

    #[test]
    fn arrows_point_down_or_left() {
        assert_eq!(
            problems("model", &[("wire", Use::Ships), ("sim", Use::Ships)]),
            0
        );
        assert_eq!(problems("sim", &[("model", Use::Ships)]), 1);
        assert_eq!(problems("sim", &[("model", Use::Tests)]), 0);
        assert_eq!(problems("wire", &[("sim", Use::Ships)]), 1);
        assert_eq!(problems("wire", &[("sim", Use::Tests)]), 1);
        assert_eq!(problems("unknown", &[]), 1);
    }

    #[test]
    fn manifests_name_their_dependencies() {
        let manifest = "[dependencies]\ncoax-wire.workspace = true\nserde = \"1\"\n\
            [dev-dependencies]\ncoax = { path = \"x\" }\n\
            [target.'cfg(unix)'.build-dependencies]\ncoax-sim = { path = \"y\" }\n";
        let expected = [
            ("wire", Use::Ships),
            ("cli", Use::Tests),
            ("sim", Use::Ships),
        ];
        let expected = expected.map(|(name, how)| (String::from(name), how));
        assert_eq!(dependencies(manifest).unwrap(), expected);
    }
}
