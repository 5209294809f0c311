//! The units of the packages: hardened, and understood by systemd. A machine without systemd's tools has
//! nothing to ask.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The worst exposure that a unit may have, as `systemd-analyze security` counts: 0 is none, 10 is all.
const WORST: f64 = 4.0;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../packaging/systemd/{name}.service"))
}

fn has_systemd() -> bool {
    let found = Command::new("systemd-analyze").arg("--version").output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("systemd-analyze is not here: nothing is asked");
    }
    there
}

#[test]
fn units_are_hardened() {
    if !has_systemd() {
        return;
    }
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
