//! Users' tokens: who may do what, where, for how long.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the bearer of a token may do. Each of the first four may do what the one before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// See everything of the project.
    Viewer,
    /// Move ports, capture, inject test packets, end connections.
    Operator,
    /// Change and delete what the project owns.
    Editor,
    /// Give tokens out.
    Admin,
    /// See everything; own hosts and the operator's rails. Never limited to a project.
    NetworkTeam,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Operator,
        Self::Editor,
        Self::Admin,
        Self::NetworkTeam,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::NetworkTeam => "network-team",
        }
    }
}

/// A token that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Its name, which the audit log shows.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// The only project that it is good for; without one, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// How long it counts: `90d` (the default), `12h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// A token, without its secret: that is shown once and not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// The only project that it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// When it stops counting, in seconds since 1970.
    pub expires: u64,
    /// Whether that moment has passed.
    pub expired: bool,
    /// Who made it.
    pub created_by: String,
}

/// A new token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuedToken {
    /// What COAX_TOKEN, or the header `Authorization: Bearer`, takes. It is shown only now.
    pub token: String,
    /// What it is good for.
    #[serde(flatten)]
    pub about: Token,
}
