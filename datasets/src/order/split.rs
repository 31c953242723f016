//! Samples that are held out of a data set.

use super::Order;
use bonfire_contract::mix;

/// The indices of a data set, divided between training and held-out parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The samples that training sees.
    pub train: Vec<u64>,
    /// Held out for decisions: `valid_fraction` of the whole, rounded.
    pub valid: Vec<u64>,
    /// Held out from every decision: `test_fraction` of the whole, rounded.
    pub test: Vec<u64>,
}

/// Keeps the split's permutation apart from the epochs' own.
const SPLIT: u64 = 0x5350_4c49_5400_0000;

impl Split {
    /// Draws both held-out parts at random: disjoint, together complete, each in ascending order,
    /// a pure function of the arguments. The test part does not depend on `valid_fraction`.
    ///
    /// # Panics
    /// When a fraction is negative or not a number.
    pub fn new(len: u64, valid_fraction: f64, test_fraction: f64, seed: u64) -> Self {
        assert!(valid_fraction >= 0.0 && test_fraction >= 0.0, "{valid_fraction}, {test_fraction}");
        let order = Order::shuffled(mix(seed, SPLIT), 0, len);
        let test = ((len as f64 * test_fraction).round() as u64).min(len);
        let valid = ((len as f64 * valid_fraction).round() as u64).min(len - test);
        let part = |range: std::ops::Range<u64>| {
            let mut indices: Vec<u64> = range.map(|position| order.at(position)).collect();
            indices.sort_unstable();
            indices
        };
        Split { train: part(test + valid..len), valid: part(test..test + valid), test: part(0..test) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::is_permutation;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_split_is_disjoint_and_complete(
            len in 0u64..2_000, valid in 0.0f64..0.6, test in 0.0f64..0.6, seed: u64,
        ) {
            let split = Split::new(len, valid, test, seed);
            prop_assert_eq!(split.test.len() as u64, (len as f64 * test).round() as u64);
            prop_assert_eq!(&split.test, &Split::new(len, 0.0, test, seed).test);
            let whole = [split.train, split.valid, split.test].concat();
            prop_assert!(is_permutation(whole));
        }
    }
}
