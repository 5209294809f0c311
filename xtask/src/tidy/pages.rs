//! Mirror names: the page docs/pipeline/X.md describes the stage in crates/pipeline/src/X.rs.
//!
//! What the pages say is generated from the stage table and compared by a test of the pipeline's
//! own; here is only checked that no page outlives its stage.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Problem;
use crate::workspace::Workspace;

const PAGES: &str = "docs/pipeline";
const STAGES: &str = "crates/pipeline/src";

/// The page that is about all of them.
const OVERVIEW: &str = "README";

/// The check.
pub fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let pages = names(&workspace.path(PAGES), "md")?;
    let stages = names(&workspace.path(STAGES), "rs")?;
    Ok(compare(&pages, &stages))
}

fn compare(pages: &BTreeSet<String>, stages: &BTreeSet<String>) -> Vec<Problem> {
    let orphans = pages.difference(stages).filter(|page| *page != OVERVIEW);
    orphans
        .map(|page| {
            let what = format!("describes no stage: there is no {STAGES}/{page}.rs");
            Problem::new(&format!("{PAGES}/{page}.md"), 1, what)
        })
        .collect()
}

/// The files of a folder with this ending, without it.
fn names(folder: &Path, ending: &str) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_a_stage_is_found() {
        let set = |names: &[&str]| names.iter().map(|&name| String::from(name)).collect();
        assert!(compare(&set(&["README", "parse"]), &set(&["parse", "lib"])).is_empty());
        let problems = compare(&set(&["firewall"]), &set(&["lib"]));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].file, "docs/pipeline/firewall.md");
    }
}
