//! The lab's name and what is named after it: namespaces, folders, pins, devices. Two labs never
//! meet, because every name that the whole machine sees carries the lab's.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use coax_fabric::NodeName;
use serde::{Deserialize, Serialize};

/// Where running labs keep their state.
pub const RUN_FOLDER: &str = "/run/coax/lab";
/// Where agents pin their programs and maps.
pub(crate) const PIN_FOLDER: &str = "/sys/fs/bpf/coax";
/// Longest name.
const MAX_LEN: usize = 12;
/// Node name of the management network's namespace.
pub const MANAGER: &str = "manager";

/// A lab's name: a letter, then letters and digits. No dashes, so that the namespace
/// `coax-LAB-NODE` is taken apart in one way only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

/// Why a string is no lab name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no lab name: 1 to {MAX_LEN} characters a-z and 0-9, a letter first")]
pub struct LabNameError(String);

impl TryFrom<String> for LabName {
    type Error = LabNameError;

    fn try_from(name: String) -> Result<Self, LabNameError> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        if starts && name.len() <= MAX_LEN && name.chars().all(legal) {
            Ok(Self(name))
        } else {
            Err(LabNameError(name))
        }
    }
}

impl FromStr for LabName {
    type Err = LabNameError;

    fn from_str(name: &str) -> Result<Self, LabNameError> {
        Self::try_from(name.to_owned())
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl LabName {
    /// The name as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Namespace of a spine, leaf, host or the manager.
    pub fn namespace(&self, node: &str) -> String {
        format!("coax-{self}-{node}")
    }

    /// Namespace of the VM on a port (`project/port`).
    pub fn vm_namespace(&self, port: &str) -> String {
        format!("{}{}", self.vm_prefix(), port.replacen('/', ".", 1))
    }

    /// What the namespaces of all VMs start with.
    fn vm_prefix(&self) -> String {
        self.namespace("vm-")
    }

    /// The port of a VM's namespace; `None` for any other namespace.
    pub fn vm_port(&self, namespace: &str) -> Option<String> {
        let name = namespace.strip_prefix(&self.vm_prefix())?;
        name.contains('.').then(|| name.replacen('.', "/", 1))
    }

    /// The lab's folder.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(RUN_FOLDER).join(&self.0)
    }

    /// The socket of the lab's API.
    pub fn api_socket(&self) -> PathBuf {
        self.folder().join("api.sock")
    }

    /// Log of a process: `controller`, `supervisor`, `agent-hv1`.
    pub fn log(&self, process: &str) -> PathBuf {
        self.folder().join("logs").join(format!("{process}.log"))
    }

    /// State of a process.
    pub fn state(&self, process: &str) -> PathBuf {
        self.folder().join("state").join(process)
    }

    /// Pins of a hypervisor's agent.
    pub fn pins(&self, host: &NodeName) -> PathBuf {
        PathBuf::from(PIN_FOLDER).join(format!("{self}-{host}"))
    }
}

/// What a device is called at its host's side: stable for a port, the same on every host, and
/// unknown to users, who know it by its alias.
pub fn vm_device(port: &str) -> String {
    // FNV-1a: no key, no state, well spread over the 44 bits that fit into an interface name.
    let hash = port.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("vm-{:011x}", hash >> 20)
}

/// The alias by which a device becomes a port.
pub fn alias(port: &str) -> String {
    format!("coax:{port}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_in_one_way_only() {
        let lab: LabName = "demo".parse().unwrap();
        let namespace = lab.vm_namespace("shop/web-1");
        assert_eq!(namespace, "coax-demo-vm-shop.web-1");
        assert_eq!(lab.vm_port(&namespace).as_deref(), Some("shop/web-1"));
        assert_eq!(lab.vm_port("coax-demo-hv1"), None);
        assert_eq!(lab.vm_port("coax-demo2-vm-shop.web-1"), None);
        for bad in ["", "de-mo", "1demo", "Demo", "abcdefghijklm", "a/b"] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn device_names_fit_and_differ() {
        let (a, b) = (vm_device("shop/web-1"), vm_device("shop/web-2"));
        assert_ne!(a, b);
        assert!(a.len() <= 15 && a.starts_with("vm-"), "{a}");
    }
}
