//! The commands of docs/how-to/by-hand.md work: they are run, as they are printed, from top to bottom.
//!
//! Run are the lines after the prompt `# ` in blocks below `<!-- run -->`; a block below
//! `<!-- file: NAME -->` is written to that file first. Needs root, like the commands themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Ends with the first command that fails, and then says which it was. Whatever was started in the
/// background ends with the script.
const PROLOGUE: &str = "\
set -Eeuo pipefail
trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
";

#[derive(Clone, Copy)]
enum Block<'a> {
    Run,
    File(&'a str),
}

/// The page as a script.
fn script(page: &str) -> String {
    let mut script = String::from(PROLOGUE);
    let mut marked = None;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let mark = line
            .strip_prefix("<!-- ")
            .and_then(|line| line.strip_suffix(" -->"));
        match (line, mark) {
            (_, Some("run")) => marked = Some(Block::Run),
            (_, Some(mark)) => marked = mark.strip_prefix("file: ").map(Block::File),
            (line, None) if line.starts_with("```") => {
                let body: Vec<&str> = lines
                    .by_ref()
                    .take_while(|line| !line.starts_with("```"))
                    .collect();
                add(&mut script, marked.take(), &body);
            }
            _ => {}
        }
    }
    script
}

fn add(script: &mut String, block: Option<Block<'_>>, body: &[&str]) {
    match block {
        Some(Block::Run) => {
            for command in body.iter().filter_map(|line| line.strip_prefix("# ")) {
                writeln!(script, "echo '+' {} >&2\n{command}", quoted(command)).unwrap();
            }
        }
        Some(Block::File(name)) => {
            writeln!(script, "cat > {name} <<'END'\n{}\nEND", body.join("\n")).unwrap();
        }
        None => {}
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn page(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Removes what a page leaves behind when it fails half way.
struct Namespaces(&'static [&'static str]);

impl Namespaces {
    fn delete(&self) {
        for name in self.0 {
            // Most of the time it is gone already.
            let _ = Command::new("ip")
                .args(["netns", "delete", name])
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.delete();
    }
}

#[test]
fn by_hand() {
    let namespaces = Namespaces(&["hand-vm1", "hand-vm2", "hand-hv1", "hand-hv2"]);
    namespaces.delete();
    let directory = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_coax")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-c", &script(&page("how-to/by-hand.md"))])
        .current_dir(directory.path())
        .env("PATH", format!("{}:{path}", binary.display()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        report(&output, directory.path())
    );
}

/// Everything that helps to see what went wrong.
fn report(output: &std::process::Output, directory: &Path) -> String {
    let mut text = format!(
        "the page's commands failed (needs root and kernel 6.1 or later)\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    for log in ["controller.log", "hv1.log", "hv2.log"] {
        let content = std::fs::read_to_string(directory.join(log)).unwrap_or_default();
        write!(text, "\n-- {log}\n{content}").unwrap();
    }
    text
}

#[test]
fn only_marked_blocks_are_run() {
    let page = "text\n```console\n# rm everything\n```\n<!-- run -->\n```console\n# echo a\na\n```\n\
                <!-- file: f -->\n```yaml\nx: 1\n```\n```console\n# not this\n```\n";
    let script = script(page);
    assert!(script.contains("\necho a\n"), "{script}");
    assert!(script.contains("cat > f <<'END'\nx: 1\nEND\n"), "{script}");
    assert!(
        !script.contains("rm everything") && !script.contains("not this"),
        "{script}"
    );
}
