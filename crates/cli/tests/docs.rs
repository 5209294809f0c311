//! The commands of the tutorial, of the by-hand page and of the page about etcd work: they are run, as they are printed, from
//! top to bottom.
//!
//! Run are the lines after the prompt `# ` in blocks below `<!-- run -->`; a block below
//! `<!-- file: NAME -->` is written to that file first. Needs root, like the commands themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Ends with the first command that fails, and then says which it was. Whatever was started in the
/// background ends with the script.
const PROLOGUE: &str = "\
set -Eeuo pipefail
trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
";

/// The likely cause of a failure that is nobody's fault.
const NEEDS: &str = "the page's commands failed (they need root and Linux 6.1 or later)";

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
                // To bash the failure of a negated command is none, so it is said in full.
                let run = match command.strip_prefix("! ") {
                    Some(fails) => format!("if {fails}; then false; fi"),
                    None => command.to_owned(),
                };
                writeln!(script, "echo '+' {} >&2\n{run}", quoted(command)).unwrap();
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

/// Runs a script with the built `coax` first on the path.
fn bash(script: &str, directory: &Path) -> Output {
    run(&["bash", "-c", script], directory)
}

fn run(words: &[&str], directory: &Path) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_coax")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    Command::new(words[0])
        .args(&words[1..])
        .current_dir(directory)
        .env("PATH", format!("{}:{path}", binary.display()))
        .output()
        .unwrap()
}

/// What both streams said.
fn said(output: &Output) -> String {
    let streams = [&output.stderr, &output.stdout];
    streams
        .map(|stream| String::from_utf8_lossy(stream).into_owned())
        .join("\n")
}

/// Commands that remove what a page leaves behind when it fails half way, run before and after it.
struct Remains(&'static str);

impl Remains {
    fn remove(&self) {
        // Most of the time there is nothing to remove, and each command says so.
        bash(self.0, Path::new("/"));
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        self.remove();
    }
}

#[test]
fn by_hand() {
    let remains = Remains(
        "for host in hv1 hv2; do coax agent detach --pins /sys/fs/bpf/coax/hand-$host; done
         for name in vm1 vm2 hv1 hv2; do ip netns delete hand-$name; done",
    );
    remains.remove();
    let directory = tempfile::tempdir().unwrap();
    let output = bash(&script(&page("how-to/by-hand.md")), directory.path());
    let mut logs = String::new();
    for log in ["hv1.log", "hv2.log"] {
        let content = std::fs::read_to_string(directory.path().join(log)).unwrap_or_default();
        write!(logs, "\n-- {log}\n{content}").unwrap();
    }
    assert!(output.status.success(), "{NEEDS}\n{}{logs}", said(&output));
    for pins in ["/sys/fs/bpf/coax/hand-hv1", "/sys/fs/bpf/coax/hand-hv2"] {
        assert!(!Path::new(pins).exists(), "{pins} is left");
    }
}

/// The page speaks of the only lab on the machine. A machine that runs tests has others, so here the
/// lab gets a name of its own.
const LAB: [(&str, &str); 4] = [
    (
        "coax lab up examples/leaf-spine.yaml",
        "coax lab up examples/leaf-spine.yaml --name tutorial",
    ),
    ("coax graph", "coax graph tutorial"),
    (
        "coax lab status --wait 30s",
        "coax lab status tutorial --wait 30s",
    ),
    ("coax lab down", "coax lab down tutorial"),
];

#[test]
fn first_lab() {
    let remains = Remains("coax lab down tutorial");
    remains.remove();
    let mut script = script(&page("tutorial/first-lab.md"));
    for (only, named) in LAB {
        assert!(
            script.contains(&format!("\n{only}\n")),
            "the page has no line `{only}`"
        );
        script = script.replace(&format!("\n{only}\n"), &format!("\n{named}\n"));
    }
    script.insert_str(0, "export COAX_LAB=tutorial\n");
    let output = bash(
        &script,
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
    );
    assert!(output.status.success(), "{NEEDS}\n{}", said(&output));
}

/// The machines of the page are three addresses of one, and what `systemctl` starts is in this folder. Members compare the address that
/// others come from with their certificates: here all come from one's own.
const MACHINES: &str = r#"
systemctl() {
  for n in 1 2 3; do
    sed -E "s/^(ETCD_NAME=)e1/\1e$n/; /INITIAL_CLUSTER=/!s/192.0.2.1:/192.0.2.$n:/
      s#/etc/etcd/e1#/etc/etcd/e$n#; s#/etc/etcd#$PWD#; s#/var/lib/etcd#$PWD/e$n#" etcd.default > e$n.env
    echo ETCD_EXPERIMENTAL_PEER_SKIP_CLIENT_SAN_VERIFICATION=true >> e$n.env
    (set -a; . ./e$n.env; exec etcd --logger zap --log-level error 2> e$n.log) &
  done
  tries=0
  until ETCDCTL_API=3 etcdctl --endpoints https://192.0.2.1:2379 --cacert ca.pem --cert root.pem --key root.key get x 2> /dev/null; do
    ((++tries < 300)) || { cat e?.log >&2; exit 1; }
    sleep 0.1
  done
}
coax() { command coax "$@" --yes --no-host --address 192.0.2.1 --folder "$PWD/machine"; }
"#;

/// The controller has its files, and no more rights than it needs.
const AFTERWARDS: &str = "
test $(stat -c %a machine/controller/etcd/key.pem) = 600
grep -q '^store-key: ' machine/controller.yaml
if ETCDCTL_CERT=coax.pem ETCDCTL_KEY=coax.key etcdctl put elsewhere x 2> /dev/null; then false; fi
ETCDCTL_CERT=coax.pem ETCDCTL_KEY=coax.key etcdctl get /coax/v1/meta/generation | grep -q generation
";

#[test]
fn etcd() {
    let remains = Remains("ip netns delete docs-etcd");
    remains.remove();
    let machines = "ip netns add docs-etcd; ip -n docs-etcd link set lo up
                    for n in 1 2 3; do ip -n docs-etcd address add 192.0.2.$n/32 dev lo; done";
    assert!(bash(machines, Path::new("/")).status.success());
    let directory = tempfile::tempdir().unwrap();
    let mut script = script(&page("how-to/etcd.md"));
    script.insert_str(PROLOGUE.len(), MACHINES);
    script.push_str(AFTERWARDS);
    let words = ["ip", "netns", "exec", "docs-etcd", "bash", "-c", &script];
    let output = run(&words, directory.path());
    assert!(output.status.success(), "{NEEDS}\n{}", said(&output));
}

#[test]
fn only_marked_blocks_are_run() {
    let page = "text\n```console\n# rm everything\n```\n<!-- run -->\n```console\n# echo a\na\n# ! b\n```\n\
                <!-- file: f -->\n```yaml\nx: 1\n```\n```console\n# not this\n```\n";
    let script = script(page);
    assert!(script.contains("\necho a\n"), "{script}");
    assert!(script.contains("\nif b; then false; fi\n"), "{script}");
    assert!(script.contains("cat > f <<'END'\nx: 1\nEND\n"), "{script}");
    assert!(
        !script.contains("rm everything") && !script.contains("not this"),
        "{script}"
    );
}
