//! The Debian packages that Coax needs, each with a file that proves that it is there.
//!
//! Probing files instead of dpkg's database lets other distributions take part: what is found is used.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use super::{Need, may_install};
use crate::process::{Cmd, find_program};

/// One Debian package.
#[derive(Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name in Debian 12.
    pub name: &'static str,
    proof: Proof,
    need: Need,
}

#[derive(Debug, PartialEq, Eq)]
enum Proof {
    /// A program on PATH.
    Program(&'static str),
    /// A file at one place.
    File(&'static str),
}

const fn program(name: &'static str, program: &'static str, need: Need) -> Package {
    Package {
        name,
        proof: Proof::Program(program),
        need,
    }
}

const fn file(name: &'static str, path: &'static str, need: Need) -> Package {
    Package {
        name,
        proof: Proof::File(path),
        need,
    }
}

const PACKAGES: &[Package] = &[
    program("build-essential", "g++", Need::Build),
    program("iproute2", "ip", Need::Run),
    program("ethtool", "ethtool", Need::Run),
    program("iputils-ping", "ping", Need::Run),
    program("iperf3", "iperf3", Need::Run),
    program("util-linux", "taskset", Need::Run),
    program("procps", "sysctl", Need::Run),
    program("nftables", "nft", Need::Test),
    program("tcpdump", "tcpdump", Need::Run),
    program("systemd", "systemd-analyze", Need::Test),
    program("zsh", "zsh", Need::Test),
    program("fish", "fish", Need::Test),
    program("etcd-server", "etcd", Need::Test),
    program("etcd-client", "etcdctl", Need::Test),
    program("openssl", "openssl", Need::Test),
    program("tshark", "tshark", Need::Test),
    file(
        "python3-scapy",
        "/usr/lib/python3/dist-packages/scapy/__init__.py",
        Need::Test,
    ),
    file(
        "python3.11-venv",
        "/usr/lib/python3.11/ensurepip/__init__.py",
        Need::Test,
    ),
    file(
        "python3-junitparser",
        "/usr/lib/python3/dist-packages/junitparser/__init__.py",
        Need::Test,
    ),
    file(
        "python3-prometheus-client",
        "/usr/lib/python3/dist-packages/prometheus_client/__init__.py",
        Need::Test,
    ),
    file(
        "python3-jsonschema",
        "/usr/lib/python3/dist-packages/jsonschema/__init__.py",
        Need::Test,
    ),
    program("qemu-system-x86", "qemu-system-x86_64", Need::Test),
    program("busybox-static", "busybox", Need::Test),
    program("cpio", "cpio", Need::Test),
    program("kmod", "depmod", Need::Test),
    program("udhcpc", "udhcpc", Need::Test),
    program("isc-dhcp-client", "dhclient", Need::Test),
    program("dhcpcd-base", "dhcpcd", Need::Test),
    program("ndisc6", "rdisc6", Need::Test),
    program("bind9-dnsutils", "dig", Need::Test),
    program("xz-utils", "xz", Need::Test),
];

impl Package {
    fn is_there(&self) -> bool {
        match self.proof {
            Proof::Program(name) => find_program(name).is_some(),
            Proof::File(path) => Path::new(path).exists(),
        }
    }
}

/// Installs the packages of that need that are missing.
pub fn ensure(need: Need) -> Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|package| package.need <= need && !package.is_there())
        .map(|package| package.name)
        .collect();
    install(&missing)?;
    for package in PACKAGES
        .iter()
        .filter(|package| missing.contains(&package.name))
    {
        if !package.is_there() {
            bail!(
                "{} was installed, but its {:?} is not there",
                package.name,
                package.proof
            );
        }
    }
    Ok(())
}

/// Installs these packages, or says how to.
pub fn install(names: &[impl AsRef<str>]) -> Result<()> {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() {
        return Ok(());
    }
    let list = names.join(" ");
    if let Err(reason) = may_install() {
        bail!(
            "missing: {list}\n{reason}; as root, run:\n    apt-get update && apt-get install --no-install-recommends {list}"
        );
    }
    eprintln!("setup: installing {list}");
    refresh_lists_once();
    apt_get()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&names)
        .quiet()
        .run()
        .with_context(|| format!("cannot install {list}"))
}

/// `apt-get update`, at most once in a run. A source that cannot be reached is no reason to stop:
/// the packages may be known already, and if they are not, the installation says so.
pub fn refresh_lists_once() {
    static REFRESHED: OnceLock<()> = OnceLock::new();
    REFRESHED.get_or_init(|| {
        eprintln!("setup: apt-get update");
        if let Err(error) = apt_get().arg("update").quiet().run() {
            eprintln!("setup: {error:#}");
        }
    });
}

fn apt_get() -> Cmd {
    Cmd::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_listed_once() {
        for package in PACKAGES {
            assert_eq!(
                PACKAGES
                    .iter()
                    .filter(|other| other.name == package.name)
                    .count(),
                1
            );
        }
    }

    #[test]
    fn programs_and_files_prove_packages() {
        assert!(program("dash", "sh", Need::Build).is_there());
        assert!(!program("x", "coax-no-such-program", Need::Build).is_there());
        assert!(file("base-files", "/etc/passwd", Need::Build).is_there());
        assert!(!file("x", "/coax/no/such/file", Need::Build).is_there());
    }

    #[test]
    fn nothing_missing_means_nothing_to_do() {
        install(&[] as &[&str]).unwrap();
    }
}
