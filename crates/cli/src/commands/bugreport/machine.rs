//! What this machine says of itself. Only what is listed here is read: no state folder, no certificate, no command line of
//! the kernel, no environment.

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
        // What is not installed here is not missing.
        if let Ok(said) = Command::new(program).args(arguments).output() {
            contents.add(name, &String::from_utf8_lossy(&said.stdout));
        }
    }
    for daemon in ["agent", "controller"] {
        let path = config.join(format!("{daemon}.yaml"));
        if let Ok(text) = std::fs::read_to_string(path) {
            contents.add(&format!("config/{daemon}.yaml"), &text);
        }
    }
}
