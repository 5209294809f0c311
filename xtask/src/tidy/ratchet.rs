//! Files longer than 400 lines are listed in xtask/ratchet.toml with their length, and only shrink.
//!
//! `BLESS=1 cargo xtask tidy` rewrites the list; the review sees what grew.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use super::Problem;
use super::source::Source;
use crate::workspace::Workspace;

const FILE: &str = "xtask/ratchet.toml";

/// A file up to this length needs no mention.
const LINES: usize = 400;

const HEADER: &str = "\
# Files of more than 400 lines and how long they may be: each number only ever goes down.
# `BLESS=1 cargo xtask tidy` rewrites this list.
";

type Allowed = BTreeMap<String, usize>;

/// The check, or with BLESS=1 the new list.
pub fn check(workspace: &Workspace, sources: &[Source]) -> Result<Vec<Problem>> {
    let lengths: Allowed = sources
        .iter()
        .map(|source| (source.path.clone(), source.length()))
        .collect();
    let file = workspace.path(FILE);
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        fs::write(&file, render(&lengths)).with_context(|| format!("cannot write {FILE}"))?;
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {FILE}"))?;
    let allowed: Allowed = toml::from_str(&text).with_context(|| format!("cannot read {FILE}"))?;
    Ok(compare(&allowed, &lengths))
}

fn render(lengths: &Allowed) -> String {
    let long = lengths.iter().filter(|&(_, &length)| length > LINES);
    long.fold(String::from(HEADER), |text, (path, length)| {
        text + &format!("{path:?} = {length}\n")
    })
}

fn compare(allowed: &Allowed, lengths: &Allowed) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, &length) in lengths {
        let limit = allowed.get(path).copied();
        if length > limit.unwrap_or(LINES) {
            let what = match limit {
                Some(limit) => format!("grew to {length} lines; {FILE} allows {limit}: split it"),
                None => format!("{length} lines, more than {LINES}: split it"),
            };
            problems.push(Problem::new(path, length, what));
        }
    }
    for (path, &limit) in allowed {
        let what = match lengths.get(path) {
            None => format!("{path} is gone: take it off the list"),
            Some(&length) if length < limit => {
                format!("{path} has {length} lines now: lower {limit} to that (BLESS=1)")
            }
            Some(_) => continue,
        };
        problems.push(Problem::new(FILE, 1, what));
    }
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lengths(of: &[(&str, usize)]) -> Allowed {
        of.iter()
            .map(|&(path, length)| (String::from(path), length))
            .collect()
    }

    #[test]
    fn a_file_at_its_limit_is_fine() {
        let files = lengths(&[("a.rs", 400), ("b.rs", 500)]);
        assert!(compare(&lengths(&[("b.rs", 500)]), &files).is_empty());
    }

    #[test]
    fn growing_shrinking_and_vanishing_are_found() {
        let allowed = lengths(&[("b.rs", 500), ("c.rs", 600), ("gone.rs", 450)]);
        let files = lengths(&[("a.rs", 401), ("b.rs", 501), ("c.rs", 599)]);
        let found: Vec<String> = compare(&allowed, &files)
            .iter()
            .map(Problem::to_string)
            .collect();
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].starts_with("a.rs:401: 401 lines"));
        assert!(found[1].contains("grew to 501"));
        assert!(found[2].contains("lower 600"));
        assert!(found[3].contains("gone.rs is gone"));
    }

    #[test]
    fn the_list_is_read_as_it_is_written() {
        let text = render(&lengths(&[("a.rs", 400), ("b/c.rs", 401)]));
        let read: Allowed = toml::from_str(&text).unwrap();
        assert_eq!(read, lengths(&[("b/c.rs", 401)]));
    }
}
