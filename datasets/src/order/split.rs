//! Samples that are held out of a data set.
//!
//! | kind | what is drawn | what is kept together |
//! |---|---|---|
//! | [`new`](Split::new) | samples | nothing |
//! | [`stratified`](Split::stratified) | samples of each class, by its share | the proportions of classes |
//! | [`grouped`](Split::grouped) | groups | the samples of a group |
//! | [`by_time`](Split::by_time) | nothing: the last are held out | the samples of a moment |

mod grouped;
mod stratified;
mod timed;

use super::Order;
use bonfire_contract::mix;

/// The indices of a data set, divided between training and held-out parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// A part of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Train,
    Valid,
    Test,
}

/// The numbers of samples to hold out, for validation and tests.
///
/// # Panics
/// When a fraction is negative or not a number.
fn sizes(len: u64, valid_fraction: f64, test_fraction: f64) -> (u64, u64) {
    assert!(valid_fraction >= 0.0 && test_fraction >= 0.0, "{valid_fraction}, {test_fraction}");
    let test = ((len as f64 * test_fraction).round() as u64).min(len);
    let valid = ((len as f64 * valid_fraction).round() as u64).min(len - test);
    (valid, test)
}

/// The random order that held-out samples, or groups of them, are drawn in.
fn drawn(len: u64, seed: u64) -> Order {
    Order::shuffled(mix(seed, SPLIT), 0, len)
}

impl Split {
    /// Draws both held-out parts at random: disjoint, together complete, each in ascending order,
    /// a pure function of the arguments. The test part does not depend on `valid_fraction`.
    ///
    /// # Panics
    /// When a fraction is negative or not a number.
    pub fn new(len: u64, valid_fraction: f64, test_fraction: f64, seed: u64) -> Self {
        let (valid, test) = sizes(len, valid_fraction, test_fraction);
        let order = drawn(len, seed);
        let part = |range: std::ops::Range<u64>| {
            let mut indices: Vec<u64> = range.map(|position| order.at(position)).collect();
            indices.sort_unstable();
            indices
        };
        Split { train: part(test + valid..len), valid: part(test..test + valid), test: part(0..test) }
    }

    /// The samples of each part, of which sample `i` is in `parts[i]`.
    fn of(parts: &[Part]) -> Self {
        let mut split = Split::default();
        for (index, part) in (0..).zip(parts) {
            match part {
                Part::Train => split.train.push(index),
                Part::Valid => split.valid.push(index),
                Part::Test => split.test.push(index),
            }
        }
        split
    }

    /// The split of the samples `present`, of which this one is the split of their numbers.
    pub(crate) fn among(self, present: &[u64]) -> Self {
        let among = |part: Vec<u64>| part.into_iter().map(|number| present[number as usize]).collect();
        Split { train: among(self.train), valid: among(self.valid), test: among(self.test) }
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

    #[test]
    fn the_split_is_the_one_that_earlier_runs_used() {
        // Runs are evaluated on what they held out: a change must be noticed.
        let split = Split::new(12, 0.25, 0.25, 7);
        assert_eq!((split.valid, split.test), (vec![2, 3, 8], vec![1, 4, 11]));
    }
}
