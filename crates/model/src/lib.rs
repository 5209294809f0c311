//! What the user asked for. [`StackFile`] is one project as a file; [`Intent`] is everything that is
//! stored; [`Change`] is the only step from one intent to the next. Pure values and functions: no
//! clock, no IO, no knowledge of who stores or realises them.
//!
//! The way of a file: [`mod@file`] reads it and says where it is wrong, [`mod@plan`] compares it with the
//! intent, lets [`allocate`] fill in what was left out and [`validate`] refuse what cannot be, and
//! gives changes with sentences for people. [`mod@export`] writes the intent back as a file, and
//! [`blast_radius`] says how far one misbehaving member of a network gets.

pub mod allocate;
pub mod blast_radius;
pub mod change;
pub mod check;
pub mod connectivity;
pub mod diagnostic;
pub mod export;
pub mod file;
pub mod firewall;
pub mod group;
pub mod intent;
mod locate;
pub mod membership;
pub mod name;
pub mod network;
mod order;
pub mod plan;
pub mod port;
pub mod quantity;
pub mod quota;
mod resolve;
pub mod router;
pub mod rule;
pub mod schema;
pub mod service;
mod suggest;
pub mod undo;
pub mod validate;
mod written;

pub use allocate::gateway;
pub use blast_radius::{BlastRadius, HostReach};
pub use check::{Check, CheckSide, Checks, Expect, Probe, ProbeTraffic, Probes};
pub use connectivity::{
    Asked, NearMiss, Obstacle, Proof, ProofState, Ruling, connectivity, prove, prove_after, ruling,
};
pub use diagnostic::{Diagnostic, FieldPath, Place};
pub use export::{export, export_rails, to_yaml};
pub use file::{
    File, FirewallEntry, GroupEntry, Moved, NetworkEntry, PortEntry, RailsEntry, RailsFile,
    RouterEntry, RuleEntry, StackFile, TrunkEntry, VtepEntry,
};
pub use firewall::{DefaultAction, Firewall, FirewallRule, Mode, RuleAction, RuleOrder, Selector};
pub use group::{AddressGroup, Group, Label, Labels, Match, NamePattern};
pub use intent::{
    Binding, Change, DEFAULT_UNDERLAY_MTU, Host, Intent, Network, OVERHEAD, Port, Vtep,
};
pub use locate::Places;
pub use membership::{Domain, Named, Scope, addresses_of};
pub use name::{
    AddressGroupName, DomainName, GroupName, HostName, Name, NameError, NetworkName, ObjectName,
    PortName, RAILS, RouterName, RuleName, VtepName,
};
pub use network::{Dhcp, Dns, NetworkKind, StormControl, Subnet};
pub use plan::{Action, Kind, Plan, Step, plan, plan_delete, plan_file, plan_rails};
pub use port::{AllowedAddress, TrunkVlan};
pub use quantity::{LeaseTime, PacketRate, ShutTime};
pub use quota::{Counted, Quota};
pub use router::{GATEWAY_MAC, Route, Router, RouterNumber};
pub use rule::{PolicyRule, Refusal, Refusals, RoutingRule, Rule, SettingRule};
pub use service::{IcmpKind, PortRange, Service, ServiceMatch};
pub use suggest::nearest;
pub use undo::{file_before, inverses};
pub use validate::check_host;
