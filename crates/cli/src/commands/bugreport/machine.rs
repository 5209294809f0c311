//! What this machine says of itself. Only what is listed here is read: no state folder, no certificate, no command line of
//! the kernel, no environment.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::bundle::Contents;

/// Files of the kernel and the distribution.
const FILES: [(&str, &str); 7] = [
    ("host/os-release", "/etc/os-release"),
    ("host/kernel-version", "/proc/version"),
    ("host/memory", "/proc/meminfo"),
    ("host/uptime", "/proc/uptime"),
    ("host/network-statistics", "/proc/net/snmp"),
    ("host/softnet-statistics", "/proc/net/softnet_stat"),
    ("host/modules", "/proc/modules"),
];

/// Settings of the kernel that matter to Coax.
const SETTINGS: [&str; 7] = [
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/fib_multipath_hash_policy",
    "net/ipv6/conf/all/disable_ipv6",
    "net/ipv6/fib_multipath_hash_policy",
    "net/core/bpf_jit_enable",
    "kernel/unprivileged_bpf_disabled",
    "kernel/osrelease",
];

/// Programs, where they are there, with what they are asked.
const PROGRAMS: [(&str, &[&str]); 7] = [
    ("host/links", &["ip", "-details", "-statistics", "link"]),
    ("host/addresses", &["ip", "address"]),
    ("host/routes-ipv4", &["ip", "-4", "route"]),
    ("host/routes-ipv6", &["ip", "-6", "route"]),
    ("host/programs", &["bpftool", "net"]),
    (
        "host/units",
        &["systemctl", "status", "--no-pager", "coax-*"],
    ),
    (
        "host/journal",
        &[
            "journalctl",
            "--no-pager",
            "-o",
            "short-iso",
            "-n",
            "1000",
            "-u",
            "coax-agent",
            "-u",
            "coax-controller",
        ],
    ),
];

/// Seconds that a program may take.
const PATIENCE: &str = "20";

/// Adds all of it.
pub fn describe(config: &Path, contents: &mut Contents) {
    for (name, path) in FILES {
        match std::fs::read(path) {
            Ok(text) => contents.add(name, &String::from_utf8_lossy(&text)),
            Err(error) => contents.failed(name, &error.to_string()),
        }
    }
    let settings = SETTINGS.iter().map(|setting| {
        let value = std::fs::read_to_string(format!("/proc/sys/{setting}"));
        let value = value.unwrap_or_else(|error| error.to_string());
        format!("{setting}: {}\n", value.trim())
    });
    contents.add("host/settings", &settings.collect::<String>());
    let types = Path::new("/sys/kernel/btf/vmlinux").exists();
    contents.add("host/kernel-types", &format!("{types}\n"));
    for (name, words) in PROGRAMS {
        let Some((program, arguments)) = words.split_first() else {
            continue;
        };
        ask(name, program, arguments, contents);
    }
    for daemon in ["agent", "controller"] {
        let name = format!("config/{daemon}.yaml");
        match std::fs::read_to_string(config.join(format!("{daemon}.yaml"))) {
            Ok(text) => contents.add(&name, &text),
            // It does not run here.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => contents.failed(&name, &error.to_string()),
        }
    }
}

/// What a program says; one that hangs is given up.
fn ask(name: &str, program: &str, arguments: &[&str], contents: &mut Contents) {
    // What is not installed here is not missing.
    let paths = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&paths).any(|folder| folder.join(program).exists()) {
        return;
    }
    let asked = Command::new("timeout")
        .args([PATIENCE, program])
        .args(arguments)
        .output();
    match asked {
        Ok(said) => {
            contents.add(name, &String::from_utf8_lossy(&said.stdout));
            if !said.stderr.is_empty() {
                contents.failed(name, &String::from_utf8_lossy(&said.stderr));
            }
        }
        Err(error) => contents.failed(name, &error.to_string()),
    }
}
