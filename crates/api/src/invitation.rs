//! Tokens by which machines become hosts or controllers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token is to be good for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationRequest {
    /// The name of the host. Without one, the machine brings its own, which no host may have yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How long the token may be used: `24h` (the default), `30m`, `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// A token with which one machine may join, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// What `coax join` takes. A secret until it is used or expires.
    pub token: String,
    /// The only name that it may be used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How long it may be used.
    pub expires_in: String,
    /// Where the machine will look for a controller.
    pub controllers: Vec<String>,
}

/// How long a token that makes a controller is to be good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ControllerInvitationRequest {
    /// How long the token may be used: `30m` (the default), `2h`; a day at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// A token with which one machine may become a controller, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ControllerInvitation {
    /// What `coax init --join` takes. A secret until it is used or expires: whoever has it can have the key of the deployment.
    pub token: String,
    /// How long it may be used.
    pub expires_in: String,
    /// Where the machine will look for a controller.
    pub controllers: Vec<String>,
}

/// What a machine becomes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum InvitationKind {
    /// A host.
    Host,
    /// A controller.
    Controller,
}

impl InvitationKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Host, Self::Controller];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Controller => "controller",
        }
    }
}

/// An invitation as it is remembered until a week after it expires: without its secret, which is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedInvitation {
    /// Its name, as in the audit log.
    pub name: String,
    /// What a machine becomes with it.
    pub kind: InvitationKind,
    /// The only name that it may be used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When it stops counting, in seconds since 1970.
    pub expires: u64,
    /// Whether that moment has passed.
    pub expired: bool,
    /// The host or controller that a machine became with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
    /// Who made it; older versions did not write that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

impl ListedInvitation {
    /// Whether a machine may still use it.
    pub fn is_open(&self) -> bool {
        self.used_by.is_none() && !self.expired
    }
}
