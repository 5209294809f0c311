//! The Debian packages: made from the dev build, looked into, installed into a folder as root directory, and purged.
//! A machine without dpkg has nothing to install.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PACKAGES: [&str; 3] = ["coax-cli", "coax-agent", "coax-controller"];

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("coax-packages-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever is left is in the folder for what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn done(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{command:?}\n{}", text(&stderr));
    text(&stdout)
}

#[test]
fn packages_install_and_purge_without_a_trace() {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !there("dpkg-deb") || !there("dpkg") {
        eprintln!("dpkg is not here: nothing is asked");
        return;
    }
    let folder = Folder::new();
    let made = done(
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["package", "--debug", "--into"])
            .arg(&folder.0),
    );
    let files: Vec<&str> = made.lines().collect();
    assert_eq!(files.len(), PACKAGES.len(), "{made}");
    for (package, file) in PACKAGES.iter().zip(&files) {
        looks_right(package, file);
    }
    let root = folder.0.join("root");
    prepare(&root);
    let dpkg = |arguments: &[&str]| {
        let mut command = Command::new("dpkg");
        command
            .arg(format!("--root={}", root.display()))
            .args([
                "--force-script-chrootless",
                "--force-depends",
                "--force-bad-path",
            ])
            .args(arguments);
        done(&mut command)
    };
    dpkg(&[&["--install"], files.as_slice()].concat());
    let binary = root.join("usr/bin/coax");
    let version = done(Command::new(&binary).arg("--version"));
    assert!(version.starts_with("coax "), "{version}");
    assert!(root.join("usr/share/man/man1/coax-apply.1.gz").exists());
    for file in [
        "stack.schema.json",
        "monitoring/coax.rules.yml",
        "monitoring/coax-dashboard.json",
    ] {
        assert!(root.join("usr/share/coax").join(file).exists(), "{file}");
    }
    let unit = root.join("usr/lib/systemd/system/coax-agent.service");
    assert!(unit.exists());
    // What the administrator's commands write.
    std::fs::create_dir_all(root.join("etc/coax")).unwrap();
    std::fs::create_dir_all(root.join("var/lib/coax/agent")).unwrap();
    for file in [
        "etc/coax/agent.yaml",
        "etc/coax/controller.yaml",
        "var/lib/coax/agent/identity.pem",
    ] {
        std::fs::write(root.join(file), "x").unwrap();
    }
    dpkg(&[&["--remove"], PACKAGES.as_slice()].concat());
    assert!(
        root.join("etc/coax/agent.yaml").exists(),
        "removing keeps settings"
    );
    dpkg(&[&["--purge"], PACKAGES.as_slice()].concat());
    let left: BTreeSet<String> = files_below(&root)
        .into_iter()
        .filter(|path| !path.starts_with("var/lib/dpkg/") && !path.starts_with("var/log/"))
        .collect();
    let kept: BTreeSet<String> = ["var/lib/coax/agent/identity.pem".to_owned()].into();
    assert_eq!(left, kept);
    assert!(!root.join("etc/coax").exists());
}

/// The least that dpkg wants to find.
fn prepare(root: &Path) {
    for folder in ["updates", "info", "triggers"] {
        std::fs::create_dir_all(root.join("var/lib/dpkg").join(folder)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
}

fn files_below(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let below = path.strip_prefix(root).unwrap();
                    files.push(below.to_string_lossy().into_owned());
                }
            }
        }
    }
    files
}

/// What lintian would say most about.
fn looks_right(package: &str, file: &str) {
    let control = done(Command::new("dpkg-deb").args(["--field", file]));
    for field in [
        "Version: ",
        "Architecture: ",
        "Maintainer: ",
        "Installed-Size: ",
        "Description: ",
    ] {
        assert!(
            control.contains(field),
            "{package} has no {field}\n{control}"
        );
    }
    assert!(!control.contains("@VERSION@"), "{control}");
    let contents = done(Command::new("dpkg-deb").args(["--contents", file]));
    for line in contents.lines() {
        let owner = line.split_whitespace().nth(1).unwrap();
        assert_eq!(owner, "root/root", "{line}");
        let executable = line.starts_with("-rwxr-xr-x") && line.ends_with("./usr/bin/coax");
        let usual = line.starts_with("-rw-r--r--") || line.starts_with("drwxr-xr-x");
        assert!(executable || usual, "{package}: {line}");
    }
    let has = |name: &str| contents.lines().any(|line| line.ends_with(name));
    assert!(
        has(&format!("/usr/share/doc/{package}/copyright")),
        "{contents}"
    );
    assert!(
        has(&format!("/usr/share/doc/{package}/changelog.gz")),
        "{contents}"
    );
    if package == "coax-cli" {
        for name in [
            "/usr/bin/coax",
            "/bash-completion/completions/coax",
            "/vendor-completions/_coax",
            "/examples/shop.yaml",
        ] {
            assert!(has(name), "{name} is missing\n{contents}");
        }
    } else {
        assert!(
            has(&format!("/systemd/system/{package}.service")),
            "{contents}"
        );
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/debian");
    for script in ["postinst", "prerm", "postrm"] {
        let path = scripts.join(format!("{package}.{script}"));
        if path.exists() {
            let syntax = Command::new("sh").arg("-n").arg(&path).status().unwrap();
            assert!(syntax.success(), "{}", path.display());
            assert!(std::fs::read_to_string(&path).unwrap().contains("set -e"));
        }
    }
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0);
}
