//! `coax top` in a real terminal and out of one.

use std::process::{Command, Stdio};

use super::answers::answers;
use super::support::FixedApi;

/// Types into a terminal of its own in which a command runs, and returns all that the terminal was sent.
fn in_terminal(command: &str, typed: &str) -> String {
    let script = format!(
        "(sleep 0.5; printf '{typed}'; sleep 0.2) | script -q -e -c \"{command}\" /dev/null"
    );
    let output = Command::new("timeout")
        .args(["20", "sh", "-c", &script])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn the_terminal_is_what_it_was_when_top_ends() {
    let api = FixedApi::start(answers);
    let coax = format!(
        "{} --api unix:{}",
        env!("CARGO_BIN_EXE_coax"),
        api.socket().display()
    );
    let top = coax.replace(" --api", " top --interval 100ms --api");
    let seen = in_terminal(&format!("stty cols 100 rows 20; {top}; stty -a"), "2q");
    // Another screen, and back; the cursor is shown again.
    let (before, after) = seen
        .split_once("\u{1b}[?1049l")
        .expect("the screen is left");
    assert!(before.contains("\u{1b}[?1049h"), "{seen}");
    assert!(
        before.contains("shop/web-1") && before.contains("[2 hosts]"),
        "{seen}"
    );
    let settings: Vec<&str> = after.split([' ', ';', '\r', '\n']).collect();
    for setting in ["icanon", "echo", "isig", "icrnl"] {
        assert!(settings.contains(&setting), "{setting}: {after}");
    }
    assert!(after.contains("\u{1b}[?25h"), "{seen}");
}

#[test]
fn scripts_get_a_table() {
    let api = FixedApi::start(answers);
    let ports = api.coax(&["top", "--once", "--interval", "10ms"]);
    assert_eq!(ports.code, 0, "{}", ports.stderr);
    assert!(
        ports.stdout.starts_with("PORT") && ports.stdout.contains("shop/web-1"),
        "{}",
        ports.stdout
    );
    let hosts = api.coax(&["top", "hosts", "--once", "--interval", "10ms", "-o", "json"]);
    let hosts: serde_json::Value = serde_json::from_str(&hosts.stdout).unwrap();
    assert_eq!(hosts[0]["host"], "hv1");
    assert_eq!(hosts[0]["drops_per_second"], 0.0);
    let nowhere = api.coax(&["top"]);
    assert!(
        nowhere.stderr.contains("error[no-terminal]") && nowhere.stderr.contains("--once"),
        "{}",
        nowhere.stderr
    );
}
