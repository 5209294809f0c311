//! What the tests and labs need of the machine they run on: root, namespaces, devices, eBPF.
//!
//! Each requirement is tried, not guessed, and what is missing is said with the reason it is needed.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::process::Cmd;
use crate::setup::is_root;

/// The oldest kernel whose eBPF the programs are tested with.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

const BPFFS: &str = "/sys/fs/bpf";

/// Checks every requirement; all that are missing go into one error.
pub fn check() -> Result<()> {
    if !is_root() {
        bail!(
            "the tests need root: they create network namespaces and load kernel programs.\n\
             Run: sudo --preserve-env env PATH=\"$PATH\" cargo xtask test"
        );
    }
    let checks = [kernel(), btf(), bpffs(), namespaces(), tun()];
    let missing: Vec<String> = checks.into_iter().filter_map(Result::err).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "this machine lacks what the tests need:\n  - {}",
        missing.join("\n  - ")
    );
}

fn kernel() -> Result<(), String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    match parse_release(&release) {
        Some(version) if version >= OLDEST_KERNEL => Ok(()),
        _ => Err(format!(
            "kernel {} is too old: the programs need {}.{} or newer",
            release.trim(),
            OLDEST_KERNEL.0,
            OLDEST_KERNEL.1
        )),
    }
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn btf() -> Result<(), String> {
    if Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Ok(());
    }
    Err(String::from(
        "the kernel has no type information (CONFIG_DEBUG_INFO_BTF)",
    ))
}

/// Pinned programs and maps live in bpffs; where nobody mounted it, we do, as systemd would.
fn bpffs() -> Result<(), String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if is_mounted(&mounts, BPFFS) {
        return Ok(());
    }
    Cmd::new("mount")
        .args(["-t", "bpf", "bpf", BPFFS])
        .captured()
        .map(drop)
        .map_err(|error| {
            format!("no bpffs on {BPFFS}, where programs and maps are pinned: {error:#}")
        })
}

fn is_mounted(mounts: &str, place: &str) -> bool {
    mounts.lines().any(|line| {
        let mut words = line.split(' ');
        words.nth(1) == Some(place) && words.next() == Some("bpf")
    })
}

fn namespaces() -> Result<(), String> {
    let name = format!("coax-preflight-{}", std::process::id());
    let in_namespace = [
        "netns", "exec", &name, "ip", "link", "add", "probe", "type", "veth",
    ];
    let created = Cmd::new("ip").args(["netns", "add", &name]).captured();
    let outcome = created.and_then(|_| Cmd::new("ip").args(in_namespace).captured());
    Cmd::new("ip").args(["netns", "del", &name]).succeeds();
    outcome
        .map(drop)
        .map_err(|error| format!("cannot make a network namespace with a veth pair: {error:#}"))
}

fn tun() -> Result<(), String> {
    if Path::new("/dev/net/tun").exists() {
        return Ok(());
    }
    Err(String::from(
        "no /dev/net/tun: QEMU guests are plugged in by TAP devices",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_as_numbers() {
        assert_eq!(parse_release("6.1.0-56-cloud-amd64\n"), Some((6, 1)));
        assert_eq!(parse_release("6.18.44"), Some((6, 18)));
        assert!(parse_release("6.18.44") > parse_release("6.6.1"));
        assert_eq!(parse_release("unknown"), None);
    }

    #[test]
    fn a_mount_is_recognised_by_place_and_type() {
        let mounts = "sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n";
        assert!(is_mounted(mounts, BPFFS));
        assert!(!is_mounted("tmpfs /sys/fs/bpf tmpfs rw 0 0\n", BPFFS));
        assert!(!is_mounted("", BPFFS));
    }
}
