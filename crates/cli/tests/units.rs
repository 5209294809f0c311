//! The units of the packages: hardened, and understood by systemd.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The worst exposure that a unit may have, as `systemd-analyze security` counts: 0 is none, 10 is all.
const WORST: f64 = 4.0;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../packaging/systemd/{name}.service"))
}

#[test]
fn units_are_hardened() {
    for name in ["coax-controller", "coax-agent"] {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(unit(name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let exposure = said
            .lines()
            .find_map(|line| line.split_once("Overall exposure level for "))
            .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<f64>().ok());
        let exposure = exposure.unwrap_or(f64::MAX);
        assert!(exposure <= WORST, "{name}: {exposure}\n{said}");
    }
}

#[test]
fn units_start_the_daemons_with_the_files_that_init_writes() {
    for (name, daemon) in [("coax-controller", "controller"), ("coax-agent", "agent")] {
        let text = std::fs::read_to_string(unit(name)).unwrap();
        let start = format!("ExecStart=/usr/bin/coax {daemon} --config /etc/coax/{daemon}.yaml\n");
        assert!(text.contains(&start), "{text}");
        assert!(text.contains("Type=notify\n"), "{text}");
        assert!(
            text.contains(&format!("StateDirectory=coax/{daemon}\n")),
            "{text}"
        );
    }
}

/// Runs a controller whose stderr a journal reads, and prints what the journal has of it.
const WITH_A_JOURNAL: &str = r#"
set -e
if ! grep -qE '^[0-9a-f]{32}$' /etc/machine-id 2>/dev/null; then
    mkdir "$1/etc"; cp -a /etc/. "$1/etc"; mount --bind "$1/etc" /etc
    echo 0123456789abcdef0123456789abcdef > /etc/machine-id
fi
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald & journal=$!
trap 'kill $journal' EXIT
for _ in $(seq 100); do [ -S /run/systemd/journal/stdout ] && break; sleep 0.1; done
"$0" init --no-host --folder "$1" --address 127.0.0.1:7450 --yes >&2
systemd-cat sh -c 'export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2); exec "$0" controller --state "$1/controller" \
    --api "unix:$1/api.sock" --agents 127.0.0.1:0' "$0" "$1" & controller=$!
for _ in $(seq 100); do [ -S "$1/api.sock" ] && break; sleep 0.1; done
COAX_API="unix:$1/api.sock" "$0" status >&2
kill $controller; wait $controller
journalctl --directory=/run/log/journal --sync || true
journalctl --directory=/run/log/journal -o json SYSLOG_IDENTIFIER=coax-controller
"#;

#[test]
fn the_journal_has_every_field_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "bash", "-c", WITH_A_JOURNAL])
        .arg(env!("CARGO_BIN_EXE_coax"))
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    let entries: Vec<serde_json::Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let says = |entry: &serde_json::Value, text: &str| {
        let message = entry["MESSAGE"].as_str();
        message.is_some_and(|message| message.starts_with(text))
    };
    let ready = entries.iter().find(|entry| says(entry, "ready api="));
    let ready = ready.unwrap_or_else(|| panic!("nobody says that it is ready: {said}\n{told}"));
    assert_eq!(ready["PRIORITY"], "6", "{ready}");
    let api = ready["COAX_API"].as_str().unwrap();
    assert!(api.ends_with("api.sock"), "{ready}");
    assert!(ready["COAX_AGENTS"].is_string(), "{ready}");
    assert!(entries.iter().any(|entry| says(entry, "stopping")));
}
