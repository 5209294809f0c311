//! What can be said of a project's firewall from what it decides: what audit mode would refuse, rules that do nothing, and rules
//! that would admit what is refused.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::flows::Flow;
use crate::report::MissingHost;

/// A rule that can never decide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct IdleRule {
    /// Its full name.
    pub rule: String,
    /// The rules before it that decide about everything that it names; empty: it names nobody.
    pub shadowed_by: Vec<String>,
}

/// What a project's firewall does in vain, and what it would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FirewallAudit {
    /// The project.
    pub project: String,
    /// Flows that passed only because a rule or the firewall is in audit mode, the longest ago first.
    pub would_refuse: Vec<Flow>,
    /// Full names of rules that decided nothing since their hosts count, in written order.
    pub never_hit: Vec<String>,
    /// Rules that can never decide, in written order.
    pub idle: Vec<IdleRule>,
    /// Decisions that hosts could not note, and that may be missing here.
    pub lost: u64,
    /// Hosts that did not tell.
    pub missing: Vec<MissingHost>,
}

/// How far back suggestions look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SuggestionParams {
    /// Only what happened in the last `30s`, `5m`, `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// A rule that would admit flows which are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuggestedRule {
    /// A name that no rule of the project has.
    pub name: String,
    /// Who opens connections, as in a stack file.
    pub from: Vec<String>,
    /// To whom.
    pub to: Vec<String>,
    /// To which services.
    pub allow: Vec<String>,
}

/// Rules that would admit what a project's firewall refuses, or would refuse in audit mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suggestions {
    /// The project.
    pub project: String,
    /// The rules. They go behind those that are there.
    pub rules: Vec<SuggestedRule>,
    /// How many different flows they are made of.
    pub flows: u64,
    /// Flows that they do not admit, because a rule decides about them: the operator's, or one of the project that refuses on purpose.
    pub closed: Vec<Flow>,
    /// Decisions that hosts could not note, and that may be missing here.
    pub lost: u64,
    /// Hosts that did not tell.
    pub missing: Vec<MissingHost>,
}
