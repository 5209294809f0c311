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

/// What bash offers behind a line whose last word is not finished.
fn offered(controller: &Controller, line: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let last = line.len() - 1;
    // As bash calls it: the command, the word, the one before.
    let script = format!(
        "source completion.bash\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n_coax_names coax {} {}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        quoted[last],
        quoted[last - 1],
    );
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_coax"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .current_dir(controller.path(""))
        .env("PATH", path)
        .env("COAX_API", "unix:api.sock")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_names_of_objects() {
    let controller = Controller::start();
    expect(&controller.coax_with(&["apply", "-f", "-"], SHOP), 0);
    let script = controller.coax(&["completion", "bash"]);
    expect(&script, 0);
    controller.file("completion.bash", &script.stdout);
    for (line, expected) in [
        (
            &["coax", "port", "show", "shop/w"][..],
            &["shop/web-1", "shop/web-2"][..],
        ),
        (&["coax", "network", "show", ""], &["shop/db", "shop/web"]),
        (&["coax", "trace", "shop/d"], &["shop/db-1"]),
        (&["coax", "trace", "shop/web-1", "shop/d"], &["shop/db-1"]),
        (&["coax", "port", "list", "--project", "s"], &["shop"]),
        (&["coax", "check", "s"], &["shop"]),
        // What follows a flag is its value.
        (&["coax", "port", "show", "-o", "w"], &["wide"]),
        (&["coax", "expor"], &["export"]),
        (&["coax", "port", "sh"], &["show"]),
    ] {
        assert_eq!(offered(&controller, line), expected, "{line:?}");
    }
}
