//! What users see, as snapshots: the real binary against an API whose answers are fixed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/answers.rs"]
mod answers;
#[path = "rendering/bugreport.rs"]
mod bugreport;
mod support;
#[path = "rendering/top.rs"]
mod top;

use std::collections::BTreeMap;

use answers::{answers, ports, status};
use coax_api::{Port, Status};
use support::{FixedApi, run};

/// Snapshots of several commands, one below the other.
fn transcripts(commands: &[&[&str]]) -> String {
    let api = FixedApi::start(answers);
    let one = |command: &&[&str]| {
        format!(
            "$ coax {}\n{}\n",
            command.join(" "),
            api.coax(command).transcript()
        )
    };
    commands.iter().map(one).collect()
}

#[test]
fn lists() {
    insta::assert_snapshot!(transcripts(&[
        &["port", "list"],
        &["port", "list", "-o", "wide"],
        &["port", "list", "-o", "name"],
        &["network", "list"],
        &["network", "list", "-o", "wide"],
        &["subnet", "list"],
        &["host", "list"],
        &["host", "list", "-o", "wide"],
        &["project", "list"],
        &["vtep", "list"],
    ]));
}

#[test]
fn objects() {
    insta::assert_snapshot!(transcripts(&[
        &["port", "show", "shop/web-1"],
        &["port", "show", "web-2", "-o", "yaml"],
        &["network", "show", "web", "-o", "json"],
        &["network", "show", "web"],
        &["subnet", "show", "10.10.1.0/24", "--project", "shop"],
        &["host", "show", "hv2"],
        &["port", "move", "shop/web-1", "hv2"],
    ]));
}

#[test]
fn zones() {
    insta::assert_snapshot!(transcripts(&[
        &["router", "list"],
        &["router", "show", "gw"],
        &["group", "list"],
        &["group", "list", "-o", "wide"],
        &["group", "show", "shop/web"],
        &["address-group", "list"],
        &["address-group", "show", "rails/management", "-o", "yaml"],
        &["firewall", "list"],
        &["firewall", "show", "shop"],
        &["firewall", "show", "shop", "-o", "json"],
        &["firewall", "rules"],
        &["firewall", "hits"],
        &["firewall", "rules", "-o", "name"],
        &["firewall", "show", "shpo"],
    ]));
}

#[test]
fn the_state_of_the_system() {
    insta::assert_snapshot!(transcripts(&[
        &["status"],
        &["status", "-o", "json"],
        &["drops"],
        &["drops", "--port", "fabric"],
        &["drops", "-o", "json"],
        &["counters"],
        &["counters", "-o", "wide"],
    ]));
}

#[test]
fn errors() {
    insta::assert_snapshot!(transcripts(&[
        &["port", "show", "web-1"],
        &["port", "show", "wbe-2"],
        &["port", "show", "zebra", "--project", "shop"],
        &["host", "show", "hv9"],
        &["subnet", "show", "10.10.1.0/24"],
        &["export"],
        &["export", "shpo"],
        &["explain", "netwrok"],
        &["apply", "-f", "missing.yaml"],
        &["drops", "--api", "192.0.2.1:80"],
        &["port", "lst"],
    ]));
}

#[test]
fn apply_and_diff() {
    let api = FixedApi::start(answers);
    let file = "version: 1\nproject: shop\n";
    let mut text = String::new();
    for command in [
        ["diff", "-f", "-", "-q"].as_slice(),
        &["apply", "-f", "-"],
        &["apply", "-f", "-", "--wait", "stored", "-o", "name"],
        &["apply", "-f", "-", "--quiet", "-o", "json"],
    ] {
        let run = api.coax_with(command, file);
        text += &format!("$ coax {}\n{}\n", command.join(" "), run.transcript());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_refusal_points_into_the_file() {
    let api = FixedApi::start(answers);
    let file = "version: 1\nproject: bank\nnetworks:\n  vault: { subnets: [10.0.0.0/24], vni: 4096, mtu: 9000 }\n";
    insta::assert_snapshot!(api.coax_with(&["apply", "-f", "-"], file).transcript());
}

#[test]
fn nobody_listens() {
    let directory = tempfile::tempdir().unwrap();
    let socket = std::path::Path::new("nobody.sock");
    let run = run(&["status"], Some(socket), directory.path(), "");
    insta::assert_snapshot!(run.transcript());
}

#[test]
fn words() {
    insta::assert_snapshot!(transcripts(&[
        &["explain", "vtep"],
        &["explain", "not", "a", "member"],
        &["explain", "mac-taken", "-o", "json"],
    ]));
}

#[test]
fn json_is_the_rest_schema_as_it_was_received() {
    let api = FixedApi::start(answers);
    let printed: Vec<Port> =
        serde_json::from_str(&api.coax(&["port", "list", "-o", "json"]).stdout).unwrap();
    assert_eq!(printed, ports());
    let printed: Status =
        serde_json::from_str(&api.coax(&["status", "-o", "json"]).stdout).unwrap();
    assert_eq!(printed, status());
}

#[test]
fn every_shell_gets_its_completions() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = run(&["completion", shell], None, directory.path(), "");
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stdout.contains("COAX_COMPLETE"), "{shell}");
    }
}

/// `coax port list | head -1` is no error.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = support::coax(&["explain", "-o", "json"], None, directory.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn flags_come_from_the_environment_too() {
    let directory = tempfile::tempdir().unwrap();
    let output = support::coax(&["explain", "vtep"], None, directory.path())
        .env("COAX_OUTPUT", "json")
        .output()
        .unwrap();
    let entry: BTreeMap<String, String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(entry.get("name").map(String::as_str), Some("vtep"));
}
