//! docs/pipeline is made from the stage table; BLESS=1 writes it.
#![allow(clippy::unwrap_used, missing_docs)]

use coax_pipeline::Stage;
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
    if stage.drops().is_empty() {
        text.push_str("It drops nothing.\n");
        return text;
    }
    text.push_str("| drops as | what it hints at |\n| --- | --- |\n");
    for reason in stage.drops() {
        let _ = writeln!(text, "| `{}` | {} |", reason.name(), reason.hint());
    }
    text
}

fn index() -> String {
    let mut text = String::from(
        "# The pipeline\n\nA frame meets these stages. Those in brackets are met by some frames only.\n\n```text\n",
    );
    text.push_str(
        "from a VM:      port -> parse -> mtu -> resolve -> forward -+-> [replicate]\n\
         from a tunnel:  decapsulate ----------------------> forward -+-> [encapsulate -> underlay] -> fabric\n\
         \x20                                                            +-> deliver -> VM\n```\n\n",
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
    let pages = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(pages, Stage::ALL.len() + 1, "a page without a stage");
}
