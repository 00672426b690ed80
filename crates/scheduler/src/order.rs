//! Numbers that stand for the order of ids: comparing them needs no text, and one more fits between any two until
//! a gap is used up.

/// Distance of two neighbours to begin with: 40 ids fit in the worst case between two; 16 million ids fit in all.
const STEP: u64 = 1 << 40;

/// A number between those of the neighbours; without one before it there is room down to 0, without one after it
/// a whole step. Absent when there is none: then all have to be numbered anew.
pub(crate) fn between(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    let low = before.unwrap_or(0);
    let Some(high) = after else {
        return low.checked_add(STEP);
    };
    let middle = low + (high - low) / 2;
    (middle > low).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn numbers_are_in_the_order_of_ids(ids in prop::collection::vec(0..1000u32, 1..200)) {
            let mut numbers: BTreeMap<u32, u64> = BTreeMap::new();
            for id in ids {
                let before = numbers.range(..id).next_back().map(|(_, n)| *n);
                let after = numbers.range(id..).next().map(|(_, n)| *n);
                match between(before, after) {
                    Some(number) if !numbers.contains_key(&id) => {
                        numbers.insert(id, number);
                    }
                    Some(_) => {}
                    None => prop_assert!(after.expect("one after it") - before.unwrap_or(0) < 2),
                }
                prop_assert!(numbers.values().is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn a_gap_takes_forty_and_the_end_takes_millions() {
        let mut high = STEP;
        let mut count = 0;
        while let Some(number) = between(None, Some(high)) {
            high = number;
            count += 1;
        }
        assert_eq!(count, 40);
        assert_eq!(
            between(Some(STEP * 0xff_fffe), None),
            Some(STEP * 0xff_ffff)
        );
        assert_eq!(between(Some(STEP * 0xff_ffff), None), None);
    }
}
