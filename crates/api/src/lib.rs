//! What the parts of Coax say to each other: the REST types of the controller with a typed client,
//! and the agents' stream.
//!
//! | module | holds |
//! | --- | --- |
//! | [`agent`] | the gRPC stream between agents and the controller, generated from `proto/agent.proto` |
//! | [`membership`] | joining and renewing, generated from `proto/identity.proto` |
//! | [`service_manager`] | telling systemd that a daemon serves |
//! | [`stream`] | TLS around both: connecting and accepting |
//! | [`sequence`] | the numbering of that stream's messages, for both ends |
//! | [`protocol`] | which versions of both ends understand each other |
//! | [`object`] | networks, subnets, ports, vteps, hosts as JSON |
//! | [`project`] | projects: what they have and may have |
//! | [`audit`] | who changed what |
//! | [`authority`] | which authorities count, and who has moved to the newest |
//! | [`backup`] | backups of the whole deployment |
//! | [`blast_radius`] | how far one misbehaving member of a network gets |
//! | [`policy`] | groups, address groups, firewalls, rules, routers as JSON |
//! | [`change`] | plans, moves, waiting for hosts |
//! | [`check`] | who must and who must not reach whom |
//! | [`invitation`] | tokens by which machines become hosts or controllers |
//! | [`connections`] | what the firewall follows |
//! | [`revision`] | the history of changes |
//! | [`flows`] | what the firewall decided |
//! | [`finding`] | what `coax doctor` finds |
//! | `hex` | bytes in JSON |
//! | [`firewall_report`] | rules in vain, and rules that are wanting |
//! | [`measure`] | what an agent measures of its own work, for metrics |
//! | [`report`] | counters, drops and table usage of one host, and what the controller makes of them |
//! | [`token`] | roles and users' tokens |
//! | [`trace`] | why can't A reach B: question and answer |
//! | [`question`] | what the controller asks one agent to find out |
//! | [`time`] | moments as text |
//! | [`problem`] | errors as RFC 9457 problem details |
//! | [`endpoint`] | where the controller listens: a Unix socket or a loopback address |
//! | [`client`] | one async method for each endpoint |
//!
//! Invariant: nothing but types and encoding lives here; what a request *does* is decided in the
//! controller. The OpenAPI document is made from these types (docs/reference/openapi.json).

pub mod audit;
pub mod authority;
pub mod backup;
pub mod blast_radius;
pub mod change;
pub mod check;
pub mod client;
pub mod connections;
pub mod endpoint;
pub mod event;
pub mod finding;
pub mod firewall_report;
pub mod flows;
mod hex;
pub mod invitation;
pub mod measure;
pub mod object;
pub mod policy;
pub mod problem;
pub mod project;
pub mod protocol;
pub mod question;
pub mod report;
pub mod revision;
pub mod sequence;
pub mod service_manager;
pub mod stream;
pub mod time;
pub mod token;
pub mod trace;

/// The agents' stream: messages, [`control_stream_client`](agent::control_stream_client) and
/// [`control_stream_server`](agent::control_stream_server).
#[allow(missing_docs, clippy::all)]
pub mod agent {
    tonic::include_proto!("coax.agent.v1");
}

/// How machines become hosts and controllers: [`identity_client`](membership::identity_client) and
/// [`identity_server`](membership::identity_server).
#[allow(missing_docs, clippy::all)]
pub mod membership {
    tonic::include_proto!("coax.identity.v1");
}

pub use audit::{AuditEntry, AuditVerdict};
pub use authority::{
    AuthorityStatus, CountingAuthority, FinishAuthorityRequest, FormerAuthority,
    RenewAuthorityRequest,
};
pub use backup::BackupRequest;
pub use blast_radius::{BlastRadius, ReachedGateway, ReachedHost, ReachedRouter};
pub use change::{
    Action, Confirmation, HostWait, MoveRequest, Plan, PlannedChange, Realisation, StackOptions,
};
pub use check::{Check, CheckRequest, CheckResult, ProbeResult, ProbeState, ProofState};
pub use client::{Client, ClientError, Recording};
pub use endpoint::{Endpoint, EndpointError};
pub use event::{Event, EventKind, EventNews, EventParams, Events, LostEvents};
pub use finding::{Finding, Findings};
pub use firewall_report::{FirewallAudit, IdleRule, SuggestedRule, SuggestionParams, Suggestions};
pub use invitation::{
    ControllerInvitation, ControllerInvitationRequest, Invitation, InvitationKind,
    InvitationRequest, ListedInvitation,
};
pub use object::{
    AllowedAddress, Condition, Dhcp, Dns, Host, HostTotals, Network, ObjectStatus, Port, PortState,
    PortTotals, Status, StormControl, Subnet, TrunkVlan, Vtep,
};
pub use policy::{
    AddressGroup, Firewall, FirewallRule, Group, Mode, Route, Router, RouterInterface, RuleAction,
};
pub use problem::Problem;
pub use project::{Project, Quota};
pub use report::{
    Counters, DropCount, Drops, HostDrop, HostPortCounters, HostReport, HostRule, HostTable,
    MissingHost, PortReport, ReportedProblem, RequestCount, RuleHits, TableUsage,
};
pub use revision::{HistoryOptions, Revision, RollbackOptions};
pub use token::{IssuedToken, Role, Token, TokenRequest};
pub use trace::{
    Injected, Trace, TraceHop, TraceLeg, TracePath, TraceRequest, TraceRow, TraceStage,
    TraceVerdict, Traffic,
};
