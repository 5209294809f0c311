//! Projects: how many objects they own, and how many they may own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A project: who owns objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Same as `name`.
    pub id: String,
    /// Name of the project.
    pub name: String,
    /// How many networks it has.
    pub networks: usize,
    /// How many ports it has.
    pub ports: usize,
    /// How many foreign tunnel endpoints it has.
    pub vteps: usize,
    /// How many routers it has.
    pub routers: usize,
    /// How many groups of ports it has.
    pub groups: usize,
    /// How many ports its groups have together; nothing where that is too many to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<usize>,
    /// How many prefixes its address groups have together.
    #[serde(default)]
    pub prefixes: usize,
    /// How many firewall rules it has.
    pub rules: usize,
    /// How many checks it has.
    #[serde(default)]
    pub checks: usize,
    /// Whether it has a firewall.
    pub firewall: bool,
    /// How much it may have.
    #[serde(default)]
    pub quota: Quota,
    /// Whether that is its own quota, not that of every project without one.
    #[serde(default)]
    pub own_quota: bool,
}

/// How much a project may have; what is not written has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The most networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<u32>,
    /// The most ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<u32>,
    /// The most foreign tunnel endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vteps: Option<u32>,
    /// The most routers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routers: Option<u32>,
    /// The most groups of ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<u32>,
    /// The most members of all groups together: a port in two groups counts twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
    /// The most prefixes of all address groups together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<u32>,
    /// The most firewall rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<u32>,
    /// The most checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<u32>,
}
