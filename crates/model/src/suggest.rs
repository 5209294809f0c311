//! "Did you mean": the nearest known word.

/// The candidate that differs from `text` in the fewest letters, if it differs in few enough to be
/// a slip of the finger: one in three letters.
pub fn nearest<'a, T: AsRef<str> + ?Sized>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a T>,
) -> Option<&'a T> {
    let allowed = text.chars().count().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(text, candidate.as_ref()), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The edit distance of two words: letters to insert, delete, replace, or swap with a neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for row in 1..=left.len() {
        let mut current = vec![row];
        for column in 1..=right.len() {
            let differs = usize::from(left[row - 1] != right[column - 1]);
            let mut best = (above[column - 1] + differs)
                .min(above[column] + 1)
                .min(current[column - 1] + 1);
            let swapped = row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1];
            if swapped {
                best = best.min(before[column - 2] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["subnets", "vni", "mtu", "vlan_transparent"];
        assert_eq!(nearest("subnet", known), Some("subnets"));
        assert_eq!(nearest("vlan-transparent", known), Some("vlan_transparent"));
        assert_eq!(nearest("gateway", known), None);
    }

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("wbe", "web"), 1);
    }
}
