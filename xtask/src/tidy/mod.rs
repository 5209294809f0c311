//! `cargo xtask tidy`: what keeps the repository readable, as checks.
//!
//! Each checker is a function from what it reads to a list of [`Problem`]s, so that its own tests
//! need no repository. All problems are shown at once.

mod files;
mod functions;
mod manifests;
mod pages;
mod quoted;
mod ratchet;
mod source;
mod tiers;
mod unsafety;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::commands::no_arguments;
use crate::workspace::Workspace;
use source::Source;

/// Something that must be mended, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    file: String,
    line: usize,
    what: String,
}

impl Problem {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// A text file of the repository.
struct TextFile {
    /// Its path from the top, with `/`.
    path: String,
    text: String,
}

/// The command: the checks of sources, and those of quoted commands where `coax` is built.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    no_arguments("tidy", arguments)?;
    check(workspace)?;
    if workspace.coax_debug().exists() || workspace.coax_release().exists() {
        commands(workspace)
    } else {
        eprintln!("tidy: commands quoted in the docs were not checked, because coax is not built");
        Ok(())
    }
}

/// Every check that needs nothing but the sources.
pub fn check(workspace: &Workspace) -> Result<()> {
    let files = text_files(&workspace.root)?;
    let sources: Vec<Source> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| Source::new(&file.path, &file.text))
        .collect();
    let mut problems = Vec::new();
    problems.extend(sources.iter().flat_map(files::check));
    problems.extend(sources.iter().flat_map(functions::check));
    problems.extend(sources.iter().flat_map(unsafety::check));
    problems.extend(
        files
            .iter()
            .flat_map(|file| words::check(&file.path, &file.text)),
    );
    problems.extend(manifests::check(&files)?);
    problems.extend(tiers::check(workspace)?);
    problems.extend(pages::check(workspace)?);
    problems.extend(ratchet::check(workspace, &sources)?);
    conclude(
        problems,
        &format!("{} text files, {} of them Rust", files.len(), sources.len()),
    )
}

/// Every `coax` and `cargo xtask` command quoted in the documentation exists. `coax` must be built.
pub fn commands(workspace: &Workspace) -> Result<()> {
    let mut documents = text_files(&workspace.root)?;
    documents.retain(|file| {
        let for_users = file.path == "README.md" || file.path.starts_with("docs/");
        // Decision records say what was so when they were written.
        for_users && file.path.ends_with(".md") && !file.path.starts_with("docs/decisions/")
    });
    let binary = newest(workspace.coax_debug(), workspace.coax_release());
    let mut help = quoted::BuiltHelp::new(&binary);
    let mut problems = Vec::new();
    for document in &documents {
        problems.extend(quoted::check(&document.path, &document.text, &mut help)?);
    }
    conclude(
        problems,
        &format!("commands in {} documents", documents.len()),
    )
}

fn conclude(mut problems: Vec<Problem>, what: &str) -> Result<()> {
    if problems.is_empty() {
        eprintln!("tidy: {what}: in order");
        return Ok(());
    }
    problems.sort();
    for problem in &problems {
        eprintln!("{problem}");
    }
    bail!("tidy found {} to mend", problems.len());
}

fn newest(one: PathBuf, other: PathBuf) -> PathBuf {
    let time = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    if time(&one) >= time(&other) {
        one
    } else {
        other
    }
}

/// The endings of the files that are read.
const TEXT_ENDINGS: [&str; 12] = [
    "rs", "md", "toml", "yaml", "yml", "json", "proto", "sh", "ts", "svelte", "html", "css",
];

/// Folders that hold nothing written by hand.
const SKIPPED_FOLDERS: [&str; 5] = ["target", ".git", "node_modules", "corpus", "dist"];

fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_by(|a: &TextFile, b: &TextFile| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(root: &Path, below: &str, files: &mut Vec<TextFile>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() {
            name.clone()
        } else {
            format!("{below}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() && is_text(&path) {
            let text =
                fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
            files.push(TextFile { path, text });
        }
    }
    Ok(())
}

fn is_text(path: &str) -> bool {
    path.starts_with(".ci/")
        || path
            .rsplit_once('.')
            .is_some_and(|(_, ending)| TEXT_ENDINGS.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_known_by_its_ending() {
        assert!(is_text("crates/wire/src/lib.rs") && is_text(".ci/run"));
        assert!(!is_text("tests/golden/a.bin") && !is_text("LICENSE"));
    }

    #[test]
    fn problems_fail_and_none_pass() {
        assert!(conclude(Vec::new(), "x").is_ok());
        assert!(conclude(vec![Problem::new("a.rs", 3, "bad")], "x").is_err());
    }

    #[test]
    fn problems_read_like_compiler_messages() {
        assert_eq!(Problem::new("a.rs", 3, "bad").to_string(), "a.rs:3: bad");
    }
}
