//! The documents say what the program says: the reference pages (`BLESS=1` rewrites them), and the tests
//! that docs/ARCHITECTURE.md names.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

fn compare(page: &str, made: &str) {
    let path = repository().join("docs/reference").join(page);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == made,
        "docs/reference/{page} is not what the program says: run with BLESS=1"
    );
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_tests_that_hold_invariants_exist() {
    let page = std::fs::read_to_string(repository().join("docs/ARCHITECTURE.md")).unwrap();
    let (_, invariants) = page.split_once("## Invariants").unwrap();
    let (invariants, _) = invariants.split_once("\n## ").unwrap();
    let rows = invariants
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| invariant"));
    let mut held = 0;
    for row in rows {
        let tests: Vec<(&str, &str)> = row
            .split('`')
            .filter_map(|code| code.split_once(".rs::"))
            .collect();
        assert!(
            !tests.is_empty() || row.starts_with("| ---"),
            "no test holds this: {row}"
        );
        for (file, test) in tests {
            let source = std::fs::read_to_string(repository().join(format!("{file}.rs")))
                .unwrap_or_default();
            assert!(
                source.contains(&format!("fn {test}(")),
                "{file}.rs has no test `{test}`"
            );
            held += 1;
        }
    }
    assert!(held > 0, "the table of invariants is gone");
}

/// Where errors get their codes.
const CODES: [&str; 18] = [
    "crates/model/src/rule.rs",
    "crates/model/src/rule/policy.rs",
    "crates/model/src/rule/routing.rs",
    "crates/model/src/rule/setting.rs",
    "crates/model/src/file.rs",
    "crates/lab/src/error.rs",
    "crates/cli/src/error/code.rs",
    "crates/controller/src/core/problem.rs",
    "crates/controller/src/rest/failure.rs",
    "crates/controller/src/rest/authorities.rs",
    "crates/controller/src/rest/backups.rs",
    "crates/controller/src/rest/input.rs",
    "crates/controller/src/rest/invitations.rs",
    "crates/controller/src/rest/authorise.rs",
    "crates/controller/src/rest/tokens.rs",
    "crates/controller/src/rest/stacks.rs",
    "crates/controller/src/rest/submission.rs",
    "crates/controller/src/trace/facts.rs",
];

/// The texts in a source file that have the shape of a code.
fn codes(source: &str) -> Vec<&str> {
    let lines = source.lines().map(|line| line.trim().trim_end_matches(','));
    let texts = lines
        .filter_map(|line| line.strip_suffix('"'))
        .filter_map(|line| {
            let text = line
                .strip_prefix('"')
                .or_else(|| line.split_once("=> \"").map(|(_, it)| it));
            text.filter(|text| {
                text.contains('-') && text.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            })
        });
    texts.collect()
}

#[test]
fn every_error_code_is_explained() {
    for file in CODES {
        let source = std::fs::read_to_string(repository().join(file)).unwrap();
        let codes = codes(&source);
        assert!(!codes.is_empty(), "{file} has no codes any more");
        for code in codes {
            let entry = coax_cli::glossary::find(code);
            assert!(
                entry.is_some(),
                "`coax explain {code}` knows nothing of the code in {file}"
            );
        }
    }
}

#[test]
fn every_finding_is_explained() {
    for (code, _) in coax_api::finding::FINDINGS {
        let entry = coax_cli::glossary::find(code);
        assert!(entry.is_some(), "`coax explain {code}` knows nothing");
        let page = repository().join("docs/how-to/check-hosts.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(
            page.contains(&format!("`{code}`")),
            "the how-to page lacks {code}"
        );
    }
}

/// The codes of problems that a source file makes: the first text in `Problem::new(404, "no-such-port", …)`.
fn problem_codes(source: &str) -> Vec<&str> {
    let mut codes = Vec::new();
    for maker in ["Problem::new(", "bad_request("] {
        for call in source.split(maker).skip(1) {
            let Some((before, rest)) = call.split_once('"') else {
                continue;
            };
            let plain = |c: char| c.is_ascii_digit() || c.is_whitespace() || c == ',';
            let (code, _) = rest.split_once('"').unwrap();
            if before.chars().all(plain) && !code.contains('{') {
                codes.push(code);
            }
        }
    }
    codes
}

/// Every source file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let all = paths.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    all.filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .collect()
}

#[test]
fn every_problem_of_the_interface_is_explained() {
    let mut found = std::collections::BTreeSet::new();
    for part in ["api", "controller"] {
        for path in sources(&repository().join("crates").join(part).join("src")) {
            let source = std::fs::read_to_string(&path).unwrap();
            for code in problem_codes(&source) {
                let entry = coax_cli::glossary::find(code);
                assert!(
                    entry.is_some(),
                    "`coax explain {code}` knows nothing of {}",
                    path.display()
                );
                found.insert(code.to_owned());
            }
        }
    }
    assert!(found.len() > 30, "{found:?}");
}

/// Every page below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                pages(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut all = pages(&repository().join("docs"));
    all.push(repository().join("README.md"));
    for page in all {
        let text = std::fs::read_to_string(&page).unwrap();
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = page
                .parent()
                .unwrap()
                .join(target.split('#').next().unwrap());
            assert!(
                file.exists(),
                "{}: `{target}` leads nowhere",
                page.display()
            );
        }
    }
}

#[test]
fn commands() {
    compare("cli.md", &coax_cli::reference::commands());
}

#[test]
fn words() {
    compare("glossary.md", &coax_cli::reference::words());
}

#[test]
fn metrics() {
    compare("metrics.md", &coax_cli::reference::metrics());
}

/// The names of metrics in a text.
fn metric_names(text: &str) -> std::collections::BTreeSet<&str> {
    let part = |c: char| !(c.is_ascii_lowercase() || c == '_');
    text.split(part)
        .filter(|word| word.starts_with("coax_"))
        .collect()
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_exist() {
    let suffixes = |line: &coax_controller::Metric| match line.kind.name() {
        "histogram" => vec!["_bucket", "_sum", "_count"],
        _ => vec![""],
    };
    let table = coax_controller::METRICS.iter();
    let known: std::collections::BTreeSet<String> = table
        .flat_map(|line| {
            let name = line.full_name();
            suffixes(line)
                .into_iter()
                .map(move |suffix| format!("{name}{suffix}"))
        })
        .collect();
    for file in ["coax.rules.yml", "coax-dashboard.json"] {
        let path = repository().join("packaging/monitoring").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let asked = metric_names(&text);
        assert!(asked.len() > 5, "{file} asks for {asked:?}");
        for name in asked {
            assert!(known.contains(name), "{file} asks for {name}");
        }
        // Either is YAML, JSON being some.
        let parsed: Result<serde_json::Value, _> = serde_saphyr::from_str(&text);
        assert!(parsed.is_ok(), "{file}: {parsed:?}");
    }
}

#[test]
fn schema() {
    let schema = serde_json::to_string_pretty(&coax_model::schema::files()).unwrap();
    compare("stack.schema.json", &(schema + "\n"));
}

#[test]
fn roles() {
    compare("roles.md", &coax_cli::reference::roles());
}
