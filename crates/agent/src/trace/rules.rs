//! Which rules of the firewall were named for a frame.

use coax_api::question::DecidingRule;
use coax_model::name::RAILS;
use coax_sim::trace::{Lookup, Traced};
use coax_tables::{DropReason, PolicyRow};

use super::Names;

/// The rule that refused the packet, when one did: one that let it pass is not to blame for what came later.
pub(super) fn deciding(names: &Names, traced: &Traced) -> Option<DecidingRule> {
    const REFUSED: [u32; 2] = [DropReason::Denied as u32, DropReason::Rejected as u32];
    let mut records = traced.flows.iter();
    let record = records.rfind(|record| record.domain != 0)?;
    let refused = REFUSED.contains(&record.reason);
    refused.then(|| rule(names, record.rule, false))
}

/// The rule that policy named when it was asked last: as the pipeline does, the first in written order of those that
/// were found.
pub(super) fn judged(names: &Names, traced: &Traced) -> Option<DecidingRule> {
    let asked = |lookup: &Lookup| matches!(lookup, Lookup::Service(..));
    let mut steps = traced.steps.iter().rev();
    let lookups = &steps.find(|step| step.lookups.iter().any(asked))?.lookups;
    let last = lookups.iter().rposition(asked)?;
    let found = lookups[last..].iter().filter_map(|lookup| match lookup {
        Lookup::Policy(_, row) => *row,
        _ => None,
    });
    let audited =
        |action: u8, flags: u8| action != PolicyRow::ALLOW && flags & PolicyRow::AUDIT != 0;
    if let Some(first) = found.min_by_key(|row| row.order) {
        return Some(rule(names, first.rule, audited(first.action, first.flags)));
    }
    let domain = lookups[..last]
        .iter()
        .rev()
        .find_map(|lookup| match lookup {
            Lookup::Domain(_, row) => *row,
            _ => None,
        });
    let audited = domain.is_some_and(|row| audited(row.default_action, row.flags));
    Some(rule(names, PolicyRow::NO_RULE, audited))
}

fn rule(names: &Names, number: u32, audited: bool) -> DecidingRule {
    let name = names.rules.get(&number).cloned().unwrap_or_default();
    DecidingRule {
        rail: name.starts_with(&format!("{RAILS}/")),
        name,
        audited,
    }
}
