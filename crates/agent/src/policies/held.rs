//! The policy of one project as it is in the tables, and as it should be.

use std::collections::BTreeSet;

use coax_compile::policy::{
    Domain, Label, Limits, Operation, Place, Policy, PolicyChange, PolicySlice, PolicyTooLarge,
};
use coax_tables::{DomainId, DomainRow, PolicyRow};
use coax_vswitch::{Row, RowKey, RowOperation};

use crate::mirror::Mirror;

/// The policy of one project.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) project: String,
    pub(super) revision: u64,
    pub(super) policy: Policy,
    pub(super) id: DomainId,
    /// What is in the tables; nothing: it is to be written into a new table.
    pub(super) domain: Option<Domain>,
    /// What became different since the tables were brought up to date.
    pub(super) pending: PolicyChange,
    /// Why the policy is not in the tables as it should be.
    pub(super) problem: Option<PolicyTooLarge>,
    /// Rows that nothing refers to any more.
    pub(super) clean: Vec<RowOperation>,
    /// Numbers of rules that are gone.
    pub(super) gone: Vec<u32>,
}

impl Held {
    pub(super) fn new(slice: &PolicySlice, policy: Policy, id: DomainId) -> Self {
        Self {
            project: slice.project.clone(),
            revision: slice.revision,
            policy,
            id,
            domain: None,
            pending: PolicyChange::default(),
            problem: None,
            clean: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// Takes a change into the tables.
    pub(super) fn work(
        &mut self,
        change: &PolicyChange,
        scopes: BTreeSet<u32>,
        spare: u32,
        mirror: &Mirror,
        limits: Limits,
        numbers: &mut dyn FnMut(&Label) -> u32,
    ) -> Result<Vec<RowOperation>, PolicyTooLarge> {
        let same_scopes = |domain: &Domain| *domain.scopes() == scopes;
        let (domain, update) = match self.domain.take() {
            Some(domain) if change.is_empty() && same_scopes(&domain) => {
                self.domain = Some(domain);
                return Ok(Vec::new());
            }
            Some(domain) if change.is_empty() => domain.set_scopes(&self.policy, scopes)?,
            Some(domain) if same_scopes(&domain) => {
                domain.update(&self.policy, change, spare, numbers)?
            }
            _ => {
                let place = Place {
                    domain: self.id,
                    table: spare,
                    generation: self.generation(mirror),
                    scopes,
                    limits,
                };
                Domain::compile(place, &self.policy, numbers)?
            }
        };
        self.domain = Some(domain);
        self.clean.extend(update.clean.iter().map(row_operation));
        Ok(update.make.iter().map(row_operation).collect())
    }

    /// What nobody can look up lets nothing pass: a project whose first policy is too large has none, and no open door. One whose
    /// later policy is too large keeps the one before.
    pub(super) fn shut(&self, table: u32, mirror: &Mirror) -> Option<RowOperation> {
        let row = DomainRow {
            table,
            generation: self.generation(mirror),
            default_action: PolicyRow::DENY,
            ..DomainRow::default()
        };
        let is_there = mirror.domains.contains_key(&self.id);
        (!is_there).then_some(RowOperation::Put(Row::Domain(self.id, row)))
    }

    /// A generation that no connection has yet.
    fn generation(&self, mirror: &Mirror) -> u32 {
        let held = mirror.domains.get(&self.id);
        held.map_or(1, |row| row.generation.wrapping_add(1))
    }
}

fn row_operation(operation: &Operation) -> RowOperation {
    match *operation {
        Operation::PutDomain(id, row) => RowOperation::Put(Row::Domain(id, row)),
        Operation::DeleteDomain(id) => RowOperation::Delete(RowKey::Domain(id)),
        Operation::PutClass(key, row) => RowOperation::Put(Row::Class(key, row)),
        Operation::DeleteClass(key) => RowOperation::Delete(RowKey::Class(key)),
        Operation::PutService(key, row) => RowOperation::Put(Row::Service(key, row)),
        Operation::DeleteService(key) => RowOperation::Delete(RowKey::Service(key)),
        Operation::PutPolicy(key, row) => RowOperation::Put(Row::Policy(key, row)),
        Operation::DeletePolicy(key) => RowOperation::Delete(RowKey::Policy(key)),
    }
}
