//! The sequence of samples: a pure function of seed, epoch and count.
//!
//! ```text
//! position --[ a x b grid: left = position % a, right = position / a ]--> ROUNDS times
//!     left  = (left  + F(right)) mod a
//!     right = (right + F(left))  mod b   --> index = left + a * right, again while >= len
//! ```
//!
//! The permutation is a Feistel network over a grid just larger than the data, so it needs no
//! table: looking up one position costs the same, and no memory, for ten samples and for 10^15.
//! Black and Rogaway, "Ciphers with arbitrary finite domains", 2002 (the generalised Feistel
//! cipher and cycle walking).

use crate::random::{mix, scale};

/// Pairs of half-rounds. Four make a Feistel network hard to tell from a random permutation;
/// twice as many also mix the tiny grids, where one half-round moves a single pair.
const ROUNDS: u64 = 8;

/// A permutation of `0..len`, or the identity.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    len: u64,
    /// `None` for the identity.
    key: Option<u64>,
    /// The sides of the grid: `a * b` is at least `len`, and less than `len + a`.
    a: u64,
    b: u64,
}

impl Order {
    /// The identity over `len` samples.
    pub fn sequential(len: u64) -> Self {
        Order { len, key: None, a: 1, b: len }
    }

    /// The permutation of `len` samples for this seed and epoch.
    pub fn shuffled(seed: u64, epoch: u64, len: u64) -> Self {
        let root = len.isqrt();
        let a = if root * root < len { root + 1 } else { root.max(1) };
        Order { len, key: Some(mix(seed, epoch)), a, b: len.div_ceil(a) }
    }

    /// The number of samples.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The index of the sample that comes at `position`.
    ///
    /// # Panics
    /// When `position` is not below `len`.
    pub fn at(&self, position: u64) -> u64 {
        assert!(position < self.len, "position {position} of an order of {}", self.len);
        let Some(key) = self.key else { return position };
        let (mut left, mut right) = (position % self.a, position / self.a);
        // The network permutes the whole grid; walking its cycle until it comes back below `len`
        // leaves a permutation of what is below `len`. It started there, so the walk ends, and as
        // fewer than `a` cells are beyond, a second step is needed about once in sqrt(len) calls.
        loop {
            for round in 0..ROUNDS {
                left = add(left, scale(mix(key ^ (2 * round), right), self.a), self.a);
                right = add(right, scale(mix(key ^ (2 * round + 1), left), self.b), self.b);
            }
            let index = u128::from(left) + u128::from(self.a) * u128::from(right);
            if index < u128::from(self.len) {
                return index as u64;
            }
        }
    }
}

/// `(x + y) mod modulus` for `x` and `y` below `modulus`, without overflow.
fn add(x: u64, y: u64, modulus: u64) -> u64 {
    let room = modulus - x;
    if y < room { x + y } else { y - room }
}

/// The indices of a data set, divided between training and held-out parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What training sees.
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
    use proptest::prelude::*;

    fn all(order: &Order) -> Vec<u64> {
        (0..order.len()).map(|position| order.at(position)).collect()
    }

    fn is_permutation(mut indices: Vec<u64>) -> bool {
        indices.sort_unstable();
        indices.iter().enumerate().all(|(at, &index)| at as u64 == index)
    }

    #[test]
    fn every_small_length_is_permuted() {
        for len in 0..300 {
            for seed in 0..4 {
                assert!(is_permutation(all(&Order::shuffled(seed, 0, len))), "length {len}, seed {seed}");
            }
        }
    }

    #[test]
    fn the_longest_orders_have_no_overflow() {
        for len in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 32) * (1 << 31) + 1] {
            let order = Order::shuffled(3, 1, len);
            let mut seen: Vec<u64> = (0..500).chain(len - 500..len).map(|at| order.at(at)).collect();
            assert!(seen.iter().all(|&index| index < len));
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 1_000);
        }
    }

    #[test]
    fn the_order_is_the_one_that_earlier_runs_used() {
        // Resuming a run relies on these numbers: a change of the order must be noticed.
        assert_eq!(all(&Order::shuffled(0, 0, 10)), [0, 4, 9, 2, 8, 3, 5, 7, 1, 6]);
        assert_eq!(all(&Order::shuffled(42, 7, 7)), [6, 1, 5, 0, 3, 4, 2]);
        let far = Order::shuffled(1, 2, 1_000_000_007);
        assert_eq!([far.at(0), far.at(1), far.at(1_000_000_006)], [817_897_152, 177_430_867, 245_914_182]);
    }

    #[test]
    fn all_permutations_of_three_and_four_are_about_equally_likely() {
        for len in [3u64, 4] {
            let mut counts = std::collections::HashMap::new();
            for seed in 0..24_000 {
                *counts.entry(all(&Order::shuffled(seed, 0, len))).or_insert(0usize) += 1;
            }
            let factorial: usize = (1..=len as usize).product();
            assert_eq!(counts.len(), factorial);
            let mean = 24_000 / factorial;
            assert!(
                counts.values().all(|&count| count > mean * 8 / 10 && count < mean * 12 / 10),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn neighbours_are_spread_over_the_whole_set() {
        let order = Order::shuffled(5, 0, 10_000);
        let indices = all(&order);
        // The mean distance of two random indices is a third of the length.
        let mean = indices.windows(2).map(|pair| pair[0].abs_diff(pair[1])).sum::<u64>() / 9_999;
        assert!((3_200..3_470).contains(&mean), "{mean}");
        let fixed = indices.iter().enumerate().filter(|(at, index)| *at as u64 == **index).count();
        assert!(fixed < 10, "{fixed}");
    }

    #[test]
    #[should_panic(expected = "position 3 of an order of 3")]
    fn a_position_past_the_end_panics() {
        Order::sequential(3).at(3);
    }

    proptest! {
        #[test]
        fn a_shuffle_is_a_bijection(seed: u64, epoch: u64, len in 0u64..5_000) {
            prop_assert!(is_permutation(all(&Order::shuffled(seed, epoch, len))));
        }

        #[test]
        fn seeds_and_epochs_give_other_orders(seed: u64, epoch in 0u64..u64::MAX, len in 20u64..500) {
            let order = all(&Order::shuffled(seed, epoch, len));
            prop_assert_eq!(&order, &all(&Order::shuffled(seed, epoch, len)));
            prop_assert_ne!(&order, &all(&Order::shuffled(seed.wrapping_add(1), epoch, len)));
            prop_assert_ne!(&order, &all(&Order::shuffled(seed, epoch + 1, len)));
            prop_assert_ne!(&order, &all(&Order::sequential(len)));
        }

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
