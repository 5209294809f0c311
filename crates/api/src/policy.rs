//! Groups, address groups, firewalls, their rules, and routers, as the REST interface shows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::object::ObjectStatus;

/// Ports that firewall rules call by one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// `project/name`.
    pub id: String,
    /// Name in the project.
    pub name: String,
    /// The project.
    pub project: String,
    /// Revision of its last change.
    pub revision: u64,
    /// Ports with a name like this are in it, if they have the labels too: `web-*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// Ports with these labels are in it, if they have a name like `vm` too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Ports that are in it by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Names of all ports that are in it now.
    pub members: Vec<String>,
    /// Names of the rules that name it, in written order.
    pub rules: Vec<String>,
}

/// Prefixes that firewall rules call by one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddressGroup {
    /// `project/name`; the operator's are `rails/name`.
    pub id: String,
    /// Name in the project.
    pub name: String,
    /// The project, or `rails`.
    pub project: String,
    /// Revision of its last change.
    pub revision: u64,
    /// The prefixes.
    pub prefixes: Vec<String>,
    /// Names of the rules that name it, in written order.
    pub rules: Vec<String>,
}

/// What a rule does with a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// Admits it.
    Allow,
    /// Drops it.
    Deny,
    /// Drops it and says so to who opens it.
    Reject,
}

/// Whether verdicts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They do.
    Enforce,
    /// What would be denied is admitted and reported.
    Audit,
}

impl RuleAction {
    /// The word used in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Reject => "reject",
        }
    }
}

impl Mode {
    /// The word used in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
        }
    }
}

/// One rule of a project's firewall, or of the operator's rails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FirewallRule {
    /// `project/name`; the operator's are `rails/name`.
    pub id: String,
    /// Name in the project.
    pub name: String,
    /// The project, or `rails`.
    pub project: String,
    /// Revision of its last change.
    pub revision: u64,
    /// Its place in written order, from 1. Rails come before the rules of every project.
    pub position: usize,
    /// Who opens the connection: `any`, `group/web`, `192.0.2.0/24`.
    pub from: Vec<String>,
    /// Who is connected to.
    pub to: Vec<String>,
    /// What becomes of the connection.
    pub action: RuleAction,
    /// Which connections: `tcp/443`, `icmp/8`, `any`.
    pub services: Vec<String>,
    /// Whether each match is reported.
    pub log: bool,
    /// Whether the rule is enforced where its project's mode is `enforce`.
    pub mode: Mode,
}

/// What a project's connections are judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Firewall {
    /// Same as `project`.
    pub id: String,
    /// Same as `project`.
    pub name: String,
    /// The project.
    pub project: String,
    /// Revision of the last change of its default or mode; 0 if the project has no firewall.
    pub revision: u64,
    /// Whether the project has a firewall of its own, or only the operator's rails.
    pub own: bool,
    /// What becomes of connections that no rule matches.
    pub default: RuleAction,
    /// Whether the project's rules and its default are enforced. Rails always are.
    pub mode: Mode,
    /// How many rules the project has.
    pub rules: usize,
    /// How many rails the operator has, which come first.
    pub rails: usize,
}

/// A router: on every host that has a port in one of its networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Router {
    /// `project/name`.
    pub id: String,
    /// Name in the project.
    pub name: String,
    /// The project.
    pub project: String,
    /// Revision of its last change.
    pub revision: u64,
    /// Its MAC address, in every network the same.
    pub mac: String,
    /// Its addresses, subnet by subnet.
    pub interfaces: Vec<RouterInterface>,
    /// What lies behind other routers.
    pub routes: Vec<Route>,
    /// Progress and problems of the networks that it joins.
    pub status: ObjectStatus,
}

/// A router in one subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RouterInterface {
    /// Name of the network in the project.
    pub network: String,
    /// The subnet.
    pub subnet: String,
    /// The router's address there.
    pub address: String,
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// The destination.
    pub to: String,
    /// The next hop.
    pub via: String,
}
