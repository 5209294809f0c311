//! The lab file: which spines, leaves and hosts a lab has. Errors carry line, column and a way out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use coax_fabric::{NodeName, Plan, Prefixes, Topology, TopologyError};
use serde::{Deserialize, Serialize};

use crate::name::LabName;

/// The version of the file format that this build reads.
pub const FILE_VERSION: u32 = 1;
/// Jumbo frames, as data centre fabrics have them.
const DEFAULT_UNDERLAY_MTU: u32 = 9216;
/// What a fabric may carry: enough for the smallest network (1280 and the tunnel) up to jumbo.
const UNDERLAY_MTU: std::ops::RangeInclusive<u32> = 1350..=9216;

/// A lab as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabFile {
    /// The version of the format: 1.
    pub version: u32,
    /// The lab's name, unless `--name` gives another.
    pub name: LabName,
    /// The largest IP packet that the fabric carries.
    #[serde(default = "default_underlay_mtu")]
    pub underlay_mtu: u32,
    /// Which address family tunnels use.
    #[serde(default)]
    pub underlay: Underlay,
    /// Number of spines: `spine1`, ….
    pub spines: usize,
    /// Number of leaves: `leaf1`, ….
    pub leaves: usize,
    /// The hypervisors.
    pub hosts: BTreeMap<NodeName, HostEntry>,
}

/// A hypervisor in a lab file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostEntry {
    /// The leaves it has an uplink to, uplink 1 first.
    pub leaves: Vec<NodeName>,
}

/// Address family of the tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Underlay {
    /// VXLAN over IPv4.
    #[default]
    Ipv4,
    /// VXLAN over IPv6.
    Ipv6,
}

impl Underlay {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

fn default_underlay_mtu() -> u32 {
    DEFAULT_UNDERLAY_MTU
}

/// What is wrong with a lab file and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Line and column, counted from 1, where known.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: String,
    /// The line, to be shown with a caret.
    pub line: Option<String>,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let Some((line, column)) = self.place else {
            return write!(f, "{path}: {}", self.message);
        };
        write!(f, "{path}:{line}:{column}: {}", self.message)?;
        if let Some(text) = &self.line {
            let gutter = line.to_string();
            let (margin, caret) = (" ".repeat(gutter.len()), " ".repeat(column - 1));
            write!(f, "\n{margin} |\n{gutter} | {text}\n{margin} | {caret}^")?;
        }
        Ok(())
    }
}

impl std::error::Error for FileError {}

impl LabFile {
    /// Reads and checks the text of a lab file.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let file: Self = serde_saphyr::from_str(text).map_err(|error| {
            let error = error.without_snippet();
            let place = error.location().map(|at| (at.line(), at.column()));
            let place = place.and_then(|(line, column)| {
                Some((usize::try_from(line).ok()?, usize::try_from(column).ok()?))
            });
            let message = error.to_string();
            // The place is shown in front, in the form that editors understand.
            let end = message.rfind(" at line ").unwrap_or(message.len());
            let hint = "a lab file has: version, name, underlay_mtu, underlay, spines, leaves, \
                        hosts; examples/leaf-spine.yaml is one";
            located(path, text, place, &message[..end], hint)
        })?;
        file.check(path, text)?;
        Ok(file)
    }

    fn check(&self, path: &Path, text: &str) -> Result<(), FileError> {
        let wrong = |key: &str, message: &str, hint: &str| {
            Err(located(path, text, find(text, key), message, hint))
        };
        if self.version != FILE_VERSION {
            let message = format!("version {} is not known", self.version);
            return wrong("version", &message, "write `version: 1`");
        }
        if !UNDERLAY_MTU.contains(&self.underlay_mtu) {
            let (low, high) = (UNDERLAY_MTU.start(), UNDERLAY_MTU.end());
            let message = format!("underlay_mtu {} is out of range", self.underlay_mtu);
            return wrong("underlay_mtu", &message, &format!("give {low} to {high}"));
        }
        if self.hosts.is_empty() {
            return wrong(
                "hosts",
                "a lab needs a host",
                "write `hv1: { leaves: [leaf1] }`",
            );
        }
        let Err(error) = self.plan() else {
            return Ok(());
        };
        let (key, hint) = match &error {
            PlanError::Topology(TopologyError::Without("spine")) => ("spines", "write `spines: 2`"),
            PlanError::Topology(TopologyError::Without(_)) => ("leaves", "write `leaves: 3`"),
            PlanError::Topology(
                TopologyError::UnknownLeaf { host, .. }
                | TopologyError::SameLeafTwice { host, .. }
                | TopologyError::NoUplink(host)
                | TopologyError::NameTwice(host),
            ) => (
                host.as_str(),
                "name existing leaves, each once: `leaves: [leaf1, leaf2]`",
            ),
            _ => ("hosts", "make the lab smaller"),
        };
        wrong(key, &error.to_string(), hint)
    }

    /// The numbered fabric.
    pub fn plan(&self) -> Result<Plan, PlanError> {
        let hosts = self.hosts.iter();
        let hosts = hosts.map(|(name, entry)| (name.clone(), entry.leaves.clone()));
        let topology = Topology::leaf_spine(self.spines, self.leaves, &hosts.collect())?;
        Ok(Plan::new(topology, &Prefixes::default())?)
    }
}

/// Why a lab file gives no fabric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The cabling is wrong.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The fabric is too large.
    #[error(transparent)]
    Address(#[from] coax_fabric::AddressError),
}

fn located(
    path: &Path,
    text: &str,
    place: Option<(usize, usize)>,
    message: &str,
    hint: &str,
) -> FileError {
    let line = place.and_then(|(line, _)| text.lines().nth(line.saturating_sub(1)));
    FileError {
        path: path.to_owned(),
        place: place.filter(|(line, column)| *line > 0 && *column > 0),
        message: message.to_owned(),
        hint: hint.to_owned(),
        line: line.map(str::to_owned),
    }
}

/// Where a key is written. Keys of a lab file are unique (hosts have no keys' names).
fn find(text: &str, key: &str) -> Option<(usize, usize)> {
    let at = |line: &str| {
        let start = line.find(key)?;
        let before = &line[..start];
        let plain = before
            .chars()
            .all(|c| c == ' ' || c == '{' || c == '"' || c == '\'');
        let rest = line[start + key.len()..].trim_start_matches(['"', '\'']);
        (plain && rest.trim_start().starts_with(':')).then_some(before.chars().count() + 1)
    };
    let mut lines = text.lines().enumerate();
    lines.find_map(|(index, line)| Some((index + 1, at(line)?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../examples/leaf-spine.yaml");

    fn refused(from: &str, to: &str) -> FileError {
        assert!(EXAMPLE.contains(from), "the example lost `{from}`");
        LabFile::parse(Path::new("lab.yaml"), &EXAMPLE.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn the_example_is_what_the_documentation_says() {
        let file = LabFile::parse(Path::new("lab.yaml"), EXAMPLE).unwrap();
        assert_eq!((file.spines, file.leaves, file.hosts.len()), (2, 3, 6));
        assert_eq!(file.underlay_mtu, 9216);
        assert_eq!(file.plan().unwrap().topology.links().len(), 18);
    }

    #[test]
    fn errors_name_line_column_and_way_out() {
        let error = refused(
            "hv3: { leaves: [leaf2, leaf3] }",
            "hv3: { leaves: [leaf2, leaf9] }",
        );
        assert_eq!(error.place, Some((10, 3)));
        assert!(
            error
                .to_string()
                .contains("hv3 names leaf9, but the leaves are leaf1, leaf2")
        );
        assert!(error.to_string().ends_with("\n   |   ^"), "{error}");
        let error = refused("spines: 2", "spines: 0");
        assert_eq!(
            (error.place, error.hint.as_str()),
            (Some((5, 1)), "write `spines: 2`")
        );
        let error = refused("version: 1", "version: 7");
        assert_eq!(error.place, Some((2, 1)));
        let error = refused("9216", "100");
        assert!(error.hint.contains("1350 to 9216"), "{error}");
        let error = refused("leaves: 3", "leafs: 3");
        assert_eq!(error.place, Some((6, 1)), "{error}");
        assert!(error.message.contains("leafs"), "{error}");
        let error = refused("spines: 2", "spines: two");
        assert_eq!(error.place, Some((5, 9)), "{error}");
        let error = refused("name: demo", "name: De-Mo");
        assert!(error.message.contains("De-Mo"), "{error}");
    }
}
