//! Places of rules: numbers with gaps, so that of a hundred thousand rules only those change that the
//! user changed. Rules that stay in the same order among themselves keep their numbers, new and moved
//! ones go into the gaps, and only where a gap is full does everything get new numbers.

use std::ops::Range;

use crate::firewall::RuleOrder;

/// The distance of two rules that are written one after the other.
const GAP: u32 = 16_384;

/// Numbers for rules in written order, given the numbers that they had. Rising, all inside `range`,
/// which must have room for them.
pub fn numbers(had: &[Option<RuleOrder>], range: Range<u32>) -> Vec<RuleOrder> {
    let mut numbers: Vec<Option<u32>> = keep(had, &range);
    let mut start = 0;
    while start < numbers.len() {
        if numbers[start].is_some() {
            start += 1;
            continue;
        }
        let run = numbers[start..].iter().take_while(|it| it.is_none());
        let end = start + run.count();
        let before = match start.checked_sub(1) {
            Some(index) => numbers[index].unwrap_or(range.start),
            None => range.start,
        };
        let after = numbers.get(end).copied().flatten();
        let Some(fresh) = between(before, after, end - start, &range) else {
            return evenly(had.len(), &range);
        };
        for (place, number) in numbers[start..end].iter_mut().zip(fresh) {
            *place = Some(number);
        }
        start = end;
    }
    numbers.into_iter().flatten().map(RuleOrder).collect()
}

/// `count` numbers between two others, or after the last one; nothing if there is no room.
fn between(
    before: u32,
    after: Option<u32>,
    count: usize,
    range: &Range<u32>,
) -> Option<impl Iterator<Item = u32>> {
    let count = u32::try_from(count).ok()?;
    let room = after.unwrap_or(range.end) - before;
    let mut step = room / (count + 1);
    if after.is_none() {
        step = step.min(GAP);
    }
    (step > 0).then(|| (1..=count).map(move |index| before + index * step))
}

fn evenly(count: usize, range: &Range<u32>) -> Vec<RuleOrder> {
    match between(range.start, None, count, range) {
        Some(numbers) => numbers.map(RuleOrder).collect(),
        None => Vec::new(),
    }
}

/// The longest choice of old numbers that rise: those stay.
fn keep(had: &[Option<RuleOrder>], range: &Range<u32>) -> Vec<Option<u32>> {
    let number = |index: usize| had[index].map_or(0, |order| order.0);
    // For each length the index of the smallest number that ends a rising choice of that length, and
    // for each index the one before it in its choice.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous = vec![None; had.len()];
    for (index, order) in had.iter().enumerate() {
        let Some(RuleOrder(order)) = *order else {
            continue;
        };
        if order <= range.start || order >= range.end {
            continue;
        }
        let length = ends.partition_point(|&end| number(end) < order);
        previous[index] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut kept = vec![None; had.len()];
    let mut next = ends.last().copied();
    while let Some(index) = next {
        kept[index] = Some(number(index));
        next = previous[index];
    }
    kept
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const RANGE: Range<u32> = 1000..2_000_000_000;

    fn given(had: &[u32]) -> Vec<u32> {
        let had: Vec<Option<RuleOrder>> = had
            .iter()
            .map(|&number| (number > 0).then_some(RuleOrder(number)))
            .collect();
        numbers(&had, RANGE).iter().map(|order| order.0).collect()
    }

    #[test]
    fn new_rules_have_gaps_between_them() {
        assert_eq!(given(&[0, 0, 0]), [17_384, 33_768, 50_152]);
    }

    #[test]
    fn a_rule_in_between_changes_no_other() {
        assert_eq!(given(&[17_384, 0, 33_768]), [17_384, 25_576, 33_768]);
        assert_eq!(given(&[0, 17_384])[1], 17_384);
        assert_eq!(given(&[17_384, 0]), [17_384, 33_768]);
    }

    #[test]
    fn a_moved_rule_is_the_only_one_that_changes() {
        let before = [2000, 3000, 4000, 5000];
        assert_eq!(given(&[5000, 2000, 3000, 4000])[1..], before[..3]);
        assert_eq!(given(&[3000, 4000, 5000, 2000])[..3], before[1..]);
    }

    #[test]
    fn a_full_gap_gives_everybody_new_numbers() {
        assert_eq!(given(&[2000, 0, 2001]), [17_384, 33_768, 50_152]);
    }

    proptest! {
        #[test]
        fn numbers_rise_inside_their_range(had in vec(0_u32..3000, 0..40)) {
            let given = given(&had);
            prop_assert_eq!(given.len(), had.len());
            prop_assert!(given.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(given.iter().all(|number| RANGE.contains(number)));
        }

        #[test]
        fn what_is_in_order_already_stays(mut had in vec(1001_u32..3000, 0..40)) {
            had.sort();
            had.dedup();
            prop_assert_eq!(given(&had), had);
        }
    }
}
