//! What a change of a policy does to the rows of a host.

use coax_tables::{ClassKey, ClassRow, DomainId, DomainRow, PolicyKey, PolicyRow, ServiceKey};
use thiserror::Error;

use super::rule::Label;

/// One change of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Writes the domain's row.
    PutDomain(DomainId, DomainRow),
    /// No port obeys the policy any more.
    DeleteDomain(DomainId),
    /// Says which class the addresses of a prefix are.
    PutClass(ClassKey, ClassRow),
    /// The prefix is no longer told apart from the one around it.
    DeleteClass(ClassKey),
    /// Says which class the ports of a prefix are.
    PutService(ServiceKey, ClassRow),
    /// The prefix is no longer told apart from the one around it.
    DeleteService(ServiceKey),
    /// Says which rule decides.
    PutPolicy(PolicyKey, PolicyRow),
    /// No rule decides.
    DeletePolicy(PolicyKey),
}

/// The operations of one change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// To be carried out in this order. Between any two of them a new connection is judged by the old
    /// policy or by the new one; after the last one by the new one.
    pub make: Vec<Operation>,
    /// Removes what nothing refers to any more. To be carried out when all packets are through that were
    /// under way at the end of `make`.
    pub clean: Vec<Operation>,
}

/// How many rows of each table a domain may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Class rows.
    pub classes: usize,
    /// Service rows.
    pub services: usize,
    /// Policy rows.
    pub policies: usize,
}

impl Limits {
    /// As many as the tables of a host take by default, half of them: the other half is for the new
    /// table while a policy changes.
    pub const DEFAULT: Self = Self {
        classes: 131_072,
        services: 65_536,
        policies: 262_144,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A table that limits a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedTable {
    /// Addresses.
    Classes,
    /// Services.
    Services,
    /// Pairs of classes.
    Policies,
}

/// Why a policy cannot be compiled. Nothing has been applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the policy needs {rows} {} rows and there is room for {room}; most of them are for {}: name fewer groups, prefixes or services in these rules, or `any`",
    match table { LimitedTable::Classes => "address", LimitedTable::Services => "service", LimitedTable::Policies => "policy" },
    largest.iter().map(|(rule, rows)| format!("rule {rule} ({rows})")).collect::<Vec<_>>().join(", ")
)]
pub struct PolicyTooLarge {
    /// The table.
    pub table: LimitedTable,
    /// Rows that are needed.
    pub rows: usize,
    /// Rows that there is room for.
    pub room: usize,
    /// The rules that need the most, with their rows.
    pub largest: Vec<(Label, usize)>,
}
