//! The sequence of samples: a pure function of seed, epoch and sizes, never of how many threads,
//! machines or restarts read it. A position is looked up, so that resuming replays nothing.
//!
//! | order | what is permuted | reads | mixing, 64 shards of 1,000 |
//! |---|---|---|---|
//! | `full` | all samples | anywhere | 1.6 % of neighbours share a shard |
//! | `window` | shards, then the samples of blocks of 16 of them | each shard from first to last | 6 % do |

mod permutation;
mod split;
mod window;

pub use split::Split;
pub use window::{Shards, Window};

use bonfire_contract::mix;
use permutation::Permutation;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use window::Windowed;

/// One epoch's sequence: a permutation of `0..len`.
#[derive(Clone, Debug)]
pub struct Order {
    len: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// So many runs of neighbours that take turns.
    Sequential(u64),
    Full(Permutation),
    Window(Arc<Windowed>),
}

impl Order {
    /// The set's own order.
    pub fn sequential(len: u64) -> Self {
        Order::in_runs(len, 1)
    }

    /// The set's own order in so many runs of equal length that take turns: one for each rank.
    pub fn in_runs(len: u64, runs: u64) -> Self {
        Order { len, kind: Kind::Sequential(runs.max(1)) }
    }

    /// The `full` order: a permutation of all samples.
    pub fn shuffled(seed: u64, epoch: u64, len: u64) -> Self {
        Order { len, kind: Kind::Full(Permutation::new(mix(seed, epoch), len)) }
    }

    /// The `window` order, in so many lanes: see [`Window`].
    pub fn windowed(seed: u64, epoch: u64, shards: &Shards, window: Window, lanes: u64) -> Self {
        let windowed = Windowed::new(mix(seed, epoch), shards, window, lanes.max(1));
        Order { len: shards.samples(), kind: Kind::Window(Arc::new(windowed)) }
    }

    /// The number of samples.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of lanes that take turns, each with blocks of its own: position `p` is one of lane
    /// `p % lanes`.
    pub(crate) fn lanes(&self) -> u64 {
        match &self.kind {
            Kind::Sequential(runs) => *runs,
            Kind::Full(_) => 1,
            Kind::Window(windowed) => windowed.lanes(),
        }
    }

    /// The number of lanes that one of `ranks` meets, where ranks take positions in turn.
    pub(crate) fn lanes_of(&self, ranks: u64) -> u64 {
        self.lanes() / gcd(self.lanes(), ranks)
    }

    /// The index of the sample that comes at `position`.
    ///
    /// # Panics
    /// When `position` is not below `len`.
    pub fn at(&self, position: u64) -> u64 {
        assert!(position < self.len, "position {position} of an order of {}", self.len);
        match &self.kind {
            Kind::Sequential(1) => position,
            Kind::Sequential(runs) => {
                let run = position % runs;
                // The runs before, and the longer ones of them.
                run * (self.len / runs) + run.min(self.len % runs) + position / runs
            }
            Kind::Full(permutation) => permutation.at(position),
            Kind::Window(windowed) => windowed.at(position),
        }
    }

    /// Puts in the place of each position the index of the sample that comes there, as [`at`](Order::at) says.
    ///
    /// # Panics
    /// When a position is not below `len`.
    pub(crate) fn all(&self, positions: &mut [u64]) {
        match &self.kind {
            Kind::Full(permutation) => permutation.all(positions),
            _ => positions.iter_mut().for_each(|position| *position = self.at(*position)),
        }
    }
}

/// The number of positions of `0..len` that belong to one lane.
fn length(len: u64, lane: u64, lanes: u64) -> u64 {
    len / lanes + u64::from(lane < len % lanes)
}

/// The greatest common divisor.
pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The shuffling of the samples of shards, as a recipe names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardOrder {
    /// A permutation of all samples: each is read from anywhere.
    Full,
    /// Shards (or blocks of records) permuted, then samples among some open ones: reading stays
    /// sequential, and a sample meets fewer others ([`Window`]).
    Window,
}

/// The order of each epoch of a pipeline.
#[derive(Clone, Debug)]
pub enum Shuffle {
    /// The set's own order, each epoch; by several ranks, a run of it each, and so in other batches.
    Never,
    /// [`Order::shuffled`] with this seed.
    Full(u64),
    /// [`Order::windowed`] with this seed.
    Window(u64, Shards, Window),
}

impl Shuffle {
    /// The order of an epoch of `len` samples, in so many lanes where it has windows, for so many ranks.
    pub(crate) fn order(&self, epoch: u64, len: u64, lanes: u64, ranks: u64) -> Order {
        match self {
            Shuffle::Never => Order::in_runs(len, ranks),
            Shuffle::Full(seed) => Order::shuffled(*seed, epoch, len),
            Shuffle::Window(seed, shards, window) => Order::windowed(*seed, epoch, shards, *window, lanes),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(order: &Order) -> Vec<u64> {
        let mut together: Vec<u64> = (0..order.len()).collect();
        order.all(&mut together);
        assert!((0..).zip(&together).all(|(position, &index)| order.at(position) == index));
        together
    }

    pub(super) fn is_permutation(mut indices: Vec<u64>) -> bool {
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
    fn runs_take_turns() {
        assert_eq!(all(&Order::in_runs(7, 3)), [0, 3, 5, 1, 4, 6, 2]);
        for len in 0..40 {
            assert!((1..9).all(|runs| is_permutation(all(&Order::in_runs(len, runs)))), "length {len}");
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
    }
}
