//! docs/pipeline is made from the stage table; BLESS=1 writes it.
#![allow(clippy::unwrap_used, missing_docs)]

mod pipeline_figure;

use coax_pipeline::Stage;
use coax_sim::Stand;
use coax_sim::golden::{self, Case};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/pipeline")
}

fn compare(name: &str, text: &str) {
    let path = folder().join(name);
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, text,
        "{name} differs from the stage table; BLESS=1 writes it"
    );
}

fn page(stage: Stage) -> String {
    let name = stage.name();
    let mut text = format!(
        "# {name}\n\n{}\n\nSource: [crates/pipeline/src/{name}.rs](../../crates/pipeline/src/{name}.rs)\n\n",
        stage.summary()
    );
    text.push_str("## Drops\n\n| drops as | what it hints at |\n| --- | --- |\n");
    for reason in stage.drops() {
        let _ = writeln!(text, "| `{}` | {} |", reason.name(), reason.hint());
    }
    text.push_str(&cases(name));
    text
}

/// The stage's golden cases, those that show the same thing in one row.
fn cases(stage: &str) -> String {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in golden::names().unwrap() {
        if let Some((folder, case)) = name.split_once('/')
            && folder == stage
        {
            let about = Case::read(&name, &Stand::default()).unwrap().about;
            let link = format!("[{case}](../../tests/golden/{name}.yaml)");
            shown.entry(about).or_default().push(link);
        }
    }
    let mut text = String::from(
        "\n## Golden cases\n\nHow to read them: [tests/golden](../../tests/golden/README.md).\n\n\
         | what they show | cases |\n| --- | --- |\n",
    );
    for (about, links) in shown {
        let more = match links.len() {
            0..=MOST_LINKS => String::new(),
            all => format!(" and {} more", all - MOST_LINKS),
        };
        let few = links[..links.len().min(MOST_LINKS)].join(", ");
        let _ = writeln!(text, "| {about} | {few}{more} |");
    }
    text
}

/// Links in one row of a table; the others are beside them in the folder.
const MOST_LINKS: usize = 4;

fn index() -> String {
    let mut text = String::from(
        "# The pipeline\n\n\
         A frame enters the vSwitch from a VM or from the fabric and meets the stages along one of the lines.\n\
         It may end in any of them: as a drop with a name, or as an answer to its sender (`mtu`, `resolve`).\n\n\
         ![The stages and the ways through them](pipeline.svg)\n\n\
         These pages are made from the table in \
         [crates/pipeline/src/stage.rs](../../crates/pipeline/src/stage.rs); a test compares them.\n\n",
    );
    text.push_str("| stage | what it does |\n| --- | --- |\n");
    for stage in Stage::ALL {
        let _ = writeln!(
            text,
            "| [{0}]({0}.md) | {1} |",
            stage.name(),
            stage.summary()
        );
    }
    text
}

#[test]
fn every_stage_has_its_page() {
    for stage in Stage::ALL {
        compare(&format!("{}.md", stage.name()), &page(*stage));
        assert!(index().contains(stage.name()));
    }
    compare("README.md", &index());
    compare("pipeline.svg", &pipeline_figure::draw());
    let pages = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(pages, Stage::ALL.len() + 2, "a page without a stage");
}
