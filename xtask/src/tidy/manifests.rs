//! Every crate of the workspace has the workspace's lints: clippy only forbids `unwrap` and panics, and
//! the compiler only asks for documentation, where a manifest says so. A crate that needs more of them
//! repeats the list.

use anyhow::{Context, Result};

use super::{Problem, TextFile};

/// The check of all manifests of the workspace.
pub fn check(files: &[TextFile]) -> Result<Vec<Problem>> {
    let root = files
        .iter()
        .find(|file| file.path == "Cargo.toml")
        .context("no Cargo.toml")?;
    let root: toml::Table = root.text.parse().context("cannot read Cargo.toml")?;
    let shared = root
        .get("workspace")
        .and_then(|workspace| workspace.get("lints"));
    let shared = shared.map(lints).unwrap_or_default();
    let member = |path: &str| path.starts_with("crates/") || path == "xtask/Cargo.toml";
    let mut problems = Vec::new();
    for file in files {
        if file.path.ends_with("/Cargo.toml") && member(&file.path) {
            let missing = missing_lints(&file.text, &shared)
                .with_context(|| format!("cannot read {}", file.path))?;
            if !missing.is_empty() {
                let what = format!(
                    "without the lints {}; say `[lints] workspace = true`",
                    missing.join(", ")
                );
                problems.push(Problem::new(&file.path, 1, what));
            }
        }
    }
    Ok(problems)
}

/// The names in a table of lints, as `tool.name`.
fn lints(table: &toml::Value) -> Vec<String> {
    let tools = table.as_table().into_iter().flatten();
    tools
        .flat_map(|(tool, names)| {
            let names = names.as_table().into_iter().flat_map(|names| names.keys());
            names.map(move |name| format!("{tool}.{name}"))
        })
        .collect()
}

fn missing_lints(manifest: &str, shared: &[String]) -> Result<Vec<String>> {
    let table: toml::Table = manifest.parse()?;
    let Some(own) = table.get("lints") else {
        return Ok(shared.to_vec());
    };
    if own.get("workspace").and_then(toml::Value::as_bool) == Some(true) {
        return Ok(Vec::new());
    }
    let own = lints(own);
    Ok(shared
        .iter()
        .filter(|name| !own.contains(name))
        .cloned()
        .collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn missing(manifest: &str) -> Vec<String> {
        missing_lints(manifest, &["rust.a", "clippy.b"].map(String::from)).unwrap()
    }

    #[test]
    fn lints_are_taken_repeated_or_missed() {
        assert!(missing("[lints]\nworkspace = true\n").is_empty());
        assert!(missing("[lints.rust]\na = \"warn\"\n[lints.clippy]\nb = \"deny\"\n").is_empty());
        assert_eq!(missing("[lints.rust]\na = \"warn\"\n"), ["clippy.b"]);
        assert_eq!(missing("[package]\nname = \"a\"\n").len(), 2);
    }

    #[test]
    fn only_members_are_looked_at() {
        let file = |path: &str, text: &str| TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let root = file("Cargo.toml", "[workspace.lints.rust]\na = \"warn\"\n");
        let files = [
            root,
            file("crates/a/Cargo.toml", ""),
            file("ebpf/Cargo.toml", ""),
        ];
        let problems = check(&files).unwrap();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].file, "crates/a/Cargo.toml");
    }
}
