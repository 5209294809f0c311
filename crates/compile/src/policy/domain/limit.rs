//! How large a policy may become.

use super::Domain;
use crate::policy::operation::{LimitedTable, Limits, PolicyTooLarge};
use crate::policy::rule::Label;
use crate::policy::rules::Known;

/// Pairs of rule and cell are limited, too: they take the agent's memory.
const PAIRS_PER_ROW: usize = 4;

/// Rules that an error names.
const NAMED: usize = 3;

impl Domain {
    pub(super) fn check_pairs(
        &self,
        more: usize,
        arriving: &[Known],
    ) -> Result<(), PolicyTooLarge> {
        let room = self.limits.policies.saturating_mul(PAIRS_PER_ROW);
        let rows = self.cells.entries().saturating_add(more);
        if rows <= room {
            return Ok(());
        }
        let arriving = arriving.iter();
        Err(self.too_large(
            LimitedTable::Policies,
            rows,
            self.limits.policies,
            arriving,
            |known| self.pairs(known),
        ))
    }

    pub(super) fn check_rows(&self) -> Result<(), PolicyTooLarge> {
        let Limits {
            classes,
            services,
            policies,
        } = self.limits;
        let none = std::iter::empty;
        let (rows, room) = (self.cells.len(), policies);
        if rows > room {
            return Err(
                self.too_large(LimitedTable::Policies, rows, room, none(), |known| {
                    self.pairs(known)
                }),
            );
        }
        let (rows, room) = (self.addresses.len() + self.scopes.len(), classes);
        if rows > room {
            let size = |known: &Known| {
                let ends = [&known.from, &known.to].into_iter().flatten().flatten();
                ends.map(|selector| self.selectors.size(*selector)).sum()
            };
            return Err(self.too_large(LimitedTable::Classes, rows, room, none(), size));
        }
        let (rows, room) = (self.services.len(), services);
        if rows > room {
            let size = |known: &Known| {
                let ranges = known.services.iter().flatten();
                ranges.map(|range| self.ranges.size(*range)).sum()
            };
            return Err(self.too_large(LimitedTable::Services, rows, room, none(), size));
        }
        Ok(())
    }

    fn too_large<'a>(
        &'a self,
        table: LimitedTable,
        rows: usize,
        room: usize,
        arriving: impl Iterator<Item = &'a Known>,
        size: impl Fn(&Known) -> usize,
    ) -> PolicyTooLarge {
        let present = self.rules.iter();
        let mut sizes: Vec<(Label, usize)> = present
            .chain(arriving)
            .map(|known| (known.rule.name.clone(), size(known)))
            .collect();
        sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        sizes.truncate(NAMED);
        PolicyTooLarge {
            table,
            rows,
            room,
            largest: sizes,
        }
    }
}
