//! The reference pages say what the program says. `BLESS=1` rewrites them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

fn compare(page: &str, made: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/reference")
        .join(page);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == made,
        "docs/reference/{page} is not what the program says: run with BLESS=1"
    );
}

#[test]
fn commands() {
    compare("cli.md", &coax_cli::reference::commands());
}

#[test]
fn words() {
    compare("glossary.md", &coax_cli::reference::words());
}
