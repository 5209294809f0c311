//! What packages carry beside the binary: manual pages, and completion that knows names.

use std::process::Command;

use super::controller::{Controller, SHOP, expect};

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_coax"))
        .arg("man")
        .arg(folder.path())
        .status();
    assert!(status.unwrap().success());
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("coax.1").contains(".TH coax 1"));
    let mut pages = vec!["coax-apply.1".to_owned(), "coax-port-show.1".to_owned()];
    let root = coax_cli::args::command(true);
    pages.extend(
        root.get_subcommands()
            .map(|it| format!("coax-{}.1", it.get_name())),
    );
    for name in pages {
        let text = page(&name);
        assert!(
            text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"),
            "{name}"
        );
    }
}

/// Calls a shell's own function for completion as the shell does, and prints what it would offer. `$line` stands for the line's words.
const SHELLS: [(&str, &str); 3] = [
    (
        "bash",
        r#"source "$script"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _clap_complete_coax coax "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
        printf '%s\n' "${COMPREPLY[@]}""#,
    ),
    (
        "zsh",
        r#"compdef() { }; _describe() { print -rl -- "${(@P)@[-1]}" }
        source "$script"; words=("$@"); CURRENT=$#; _clap_dynamic_completer_coax"#,
    ),
    ("fish", r#"source "$script"; complete -C "$argv""#),
];

/// What a shell offers behind a line whose last word is not finished.
fn offered(controller: &Controller, (shell, calls): (&str, &str), line: &[&str]) -> Vec<String> {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_coax"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = Command::new(shell);
    command.args(["-c", calls]);
    if shell != "fish" {
        command.arg(shell);
    }
    let output = command
        .args(line)
        .current_dir(controller.path(""))
        .env("HOME", controller.path(""))
        .env("PATH", path)
        .env("script", format!("completion.{shell}"))
        .env("COAX_API", "unix:api.sock")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Behind a name, shells may show what it is.
    let words = text
        .lines()
        .map(|line| line.split(['\t', ':']).next().unwrap());
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn shells_complete_names_of_objects() {
    let controller = Controller::start();
    expect(&controller.coax_with(&["apply", "-f", "-"], SHOP), 0);
    for shell in SHELLS {
        let script = controller.coax(&["completion", shell.0]);
        expect(&script, 0);
        controller.file(&format!("completion.{}", shell.0), &script.stdout);
        for (line, expected) in [
            (
                &["coax", "port", "show", "shop/w"][..],
                &["shop/web-1", "shop/web-2"][..],
            ),
            (
                &["coax", "network", "show", "shop/"],
                &["shop/db", "shop/web"],
            ),
            (&["coax", "trace", "shop/d"], &["shop/db-1"]),
            (&["coax", "trace", "shop/web-1", "shop/d"], &["shop/db-1"]),
            (&["coax", "port", "list", "--project", "s"], &["shop"]),
            (&["coax", "check", "s"], &["shop"]),
            // A new name is nobody's.
            (&["coax", "port", "create", "shop/w"], &[]),
            // What follows a flag is its value.
            (&["coax", "port", "show", "-o", "w"], &["wide"]),
            (&["coax", "expor"], &["export"]),
            (&["coax", "port", "sh"], &["show"]),
        ] {
            assert_eq!(
                offered(&controller, shell, line),
                expected,
                "{} {line:?}",
                shell.0
            );
        }
    }
}
