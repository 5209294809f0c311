//! Carries out a batch on a data plane.
//!
//! A step that fails does not stop the batch: a full MAC table must not keep other ports from coming up. One rule
//! keeps what works working: a network row names a replica list, so if one of its new replicas could not be
//! written, the row is not switched, the old list stays, and the half-written new one is taken back to free its room.

use coax_vswitch::{DataPlane, DataPlaneError, Row, RowKey, RowOperation};

use crate::input::{Batch, Failure, Step, StepError};

/// Carries out the steps of `batch` in order and tells which were not done.
pub fn execute(plane: &mut dyn DataPlane, batch: &Batch) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut list: Vec<(usize, RowKey)> = Vec::new();
    let mut list_failed = false;
    for (index, step) in batch.steps.iter().enumerate() {
        let outcome = match step {
            Step::Row(operation) if list_failed && belongs_to_list(operation) => {
                Err(StepError::Skipped)
            }
            Step::Row(operation) => plane.apply(operation).map_err(StepError::from),
            Step::Attach(ifindex, side) => plane.attach(*ifindex, *side).map_err(StepError::from),
            Step::Detach(ifindex, side) => plane.detach(*ifindex, *side).map_err(StepError::from),
            Step::ResetCounters(slot) => plane.reset_counters(*slot).map_err(StepError::from),
            Step::ForgetRule(rule) => plane.forget_rule(*rule).map_err(StepError::from),
        };
        match (outcome, step) {
            (Ok(()), Step::Row(RowOperation::Put(row @ Row::Replica(..)))) => {
                list.push((index, row.key()));
            }
            (Ok(()), _) => {}
            (Err(error), step) => {
                failures.push(Failure { step: index, error });
                if writes_list(step) && !list_failed {
                    list_failed = true;
                    take_back(plane, &list, &mut failures);
                }
            }
        }
    }
    failures
}

/// Removes the new replicas that were written already. One that cannot be removed stays known as written, so that the next
/// plan removes it as a leftover.
fn take_back(plane: &mut dyn DataPlane, list: &[(usize, RowKey)], failures: &mut Vec<Failure>) {
    for (step, key) in list {
        if plane.apply(&RowOperation::Delete(*key)).is_ok() {
            failures.push(Failure {
                step: *step,
                error: StepError::Skipped,
            });
        }
    }
}

fn writes_list(step: &Step) -> bool {
    matches!(
        step,
        Step::Row(RowOperation::Put(Row::Replica(..) | Row::Network(..)))
    )
}

fn belongs_to_list(operation: &RowOperation) -> bool {
    matches!(
        operation,
        RowOperation::Put(Row::Network(..) | Row::Replica(..))
            | RowOperation::Delete(RowKey::Replica(_))
    )
}

impl From<DataPlaneError> for StepError {
    fn from(error: DataPlaneError) -> Self {
        match error {
            DataPlaneError::TableFull { table, capacity } => Self::TableFull { table, capacity },
            DataPlaneError::NoDevice { ifindex } => Self::NoDevice { ifindex },
            other => Self::Refused(other.to_string()),
        }
    }
}
