//! Shuffling that reads every shard from its beginning to its end.
//!
//! ```text
//! shards, permuted:   7 2 9 | 4 0 8 | ...          groups of `shards` are open together
//! step of a group:    block b of shard 7, block b of shard 2, block b of shard 9
//! samples of a step:  permuted together, then block b + 1
//! ```
//!
//! An order may have several *lanes*, for as many ranks that each read one: the permuted shards in a row are
//! cut into lanes of equal length, each is shuffled as above by itself, and they take turns. Where a cut
//! falls into a shard, two lanes read a part of it each.
//!
//! The blocks of one step are in memory at a time, and the blocks of the next while it is fetched. The
//! price: a sample meets only those of the shards that are open with it, and the first samples of a
//! shard come before its last ones. So a shard should be written in random order, as
//! `bonfire data pack` does, and shards be many more than those open together.
//!
//! The ideas are known: MosaicML Streaming's `py1br` permutes shard parts within blocks of shards; its
//! canonical nodes are what lanes are here. WebDataset mixes shards through a buffer; Livne et al., "Corgi2:
//! a hybrid offline-online approach to storage-aware data shuffling for SGD", 2023, bounds what such an order
//! costs in convergence. Theirs are sequences that must be replayed; here each position is looked up.

use super::length;
use super::permutation::Permutation;
use bonfire_contract::mix;
use std::collections::VecDeque;
use std::sync::Arc;

/// The extent of a shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Shards that are open at a time, at least 1.
    pub shards: usize,
    /// Consecutive samples of each that are read in one request, at least 1.
    pub block: u64,
}

/// The place of each shard's first sample among the samples of a set.
#[derive(Clone, Debug)]
pub struct Shards {
    /// The index of each shard's first sample, and the number of all samples.
    starts: Arc<[u64]>,
}

impl Shards {
    /// Shards of these sizes, in the set's own order.
    pub fn new(sizes: impl IntoIterator<Item = u64>) -> Self {
        let mut starts = vec![0];
        for size in sizes {
            starts.push(starts[starts.len() - 1] + size);
        }
        Shards { starts: starts.into() }
    }

    /// The number of shards.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// True when there is no shard.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of all samples.
    pub fn samples(&self) -> u64 {
        self.starts[self.len()]
    }

    /// The number of samples of a shard.
    pub fn size(&self, shard: usize) -> u64 {
        self.starts[shard + 1] - self.starts[shard]
    }

    /// The shard of sample `index`, and its number within the shard.
    ///
    /// # Panics
    /// When `index` is not below the number of samples.
    pub fn find(&self, index: u64) -> (usize, u64) {
        assert!(index < self.samples(), "sample {index} of {}", self.samples());
        // The last shard that begins at or before it: empty ones begin where the next one does.
        let shard = self.starts.partition_point(|&start| start <= index) - 1;
        (shard, index - self.starts[shard])
    }
}

/// Tells the permutation of shards from those of samples, and one lane from another.
const SHARDS: u64 = 0x5348_4152_4453_0000;
const LANES: u64 = 0x4c41_4e45_5300_0000;

/// One epoch of the window order.
#[derive(Debug)]
pub(super) struct Windowed {
    lanes: Vec<Lane>,
}

impl Windowed {
    pub(super) fn new(key: u64, shards: &Shards, window: Window, lanes: u64) -> Self {
        let window = Window { shards: window.shards.max(1), block: window.block.max(1) };
        let filled: Vec<usize> = (0..shards.len()).filter(|&shard| shards.size(shard) > 0).collect();
        let permutation = Permutation::new(mix(key, SHARDS), filled.len() as u64);
        let mut permuted = (0..filled.len() as u64)
            .map(|position| filled[permutation.at(position) as usize])
            .map(|shard| Part { first: shards.starts[shard], samples: shards.size(shard) })
            .collect::<VecDeque<_>>();
        let lane = |lane| {
            let key = if lane == 0 { key } else { mix(key, LANES + lane) };
            Lane::new(key, take(&mut permuted, length(shards.samples(), lane, lanes)), window)
        };
        Windowed { lanes: (0..lanes).map(lane).collect() }
    }

    pub(super) fn lanes(&self) -> u64 {
        self.lanes.len() as u64
    }

    /// The sample at `position`, which is below the number of samples. Takes time in proportion to
    /// the shards open at a time and to the logarithm of their blocks.
    pub(super) fn at(&self, position: u64) -> u64 {
        let lanes = self.lanes();
        self.lanes[(position % lanes) as usize].at(position / lanes)
    }
}

/// Consecutive samples of a shard.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// The index of the first.
    first: u64,
    samples: u64,
}

/// The next parts, of so many samples in all; the last one is cut.
fn take(parts: &mut VecDeque<Part>, samples: u64) -> Vec<Part> {
    let (mut taken, mut left) = (Vec::new(), samples);
    while left > 0 {
        let Part { first, samples } = parts.pop_front().expect("lanes are as long as all parts");
        let here = samples.min(left);
        taken.push(Part { first, samples: here });
        if here < samples {
            parts.push_front(Part { first: first + here, samples: samples - here });
        }
        left -= here;
    }
    taken
}

/// The samples of some shards, shuffled by windows.
#[derive(Debug)]
struct Lane {
    key: u64,
    window: Window,
    /// The shards, or parts of them, permuted.
    parts: Vec<Part>,
    /// The position at which each group of parts begins, and the number of all samples.
    groups: Vec<u64>,
    /// True when every part is one block: a group is one step then, and there is none to look for.
    whole: bool,
}

impl Lane {
    fn new(key: u64, parts: Vec<Part>, window: Window) -> Self {
        let mut groups = vec![0];
        for group in parts.chunks(window.shards) {
            let samples: u64 = group.iter().map(|part| part.samples).sum();
            groups.push(groups[groups.len() - 1] + samples);
        }
        let whole = parts.iter().all(|part| part.samples <= window.block);
        Lane { key, window, parts, groups, whole }
    }

    fn at(&self, position: u64) -> u64 {
        let group = self.groups.partition_point(|&begin| begin <= position) - 1;
        let open = self.parts.chunks(self.window.shards).nth(group).expect("a group for every position");
        // Samples of one part, and of all that are open, before step `step`.
        let of = |part: &Part, step: u64| part.samples.min(step.saturating_mul(self.window.block));
        let before = |step: u64| open.iter().map(|part| of(part, step)).sum::<u64>();

        let offset = position - self.groups[group];
        let (step, begin, length) = if self.whole {
            (0, 0, self.groups[group + 1] - self.groups[group])
        } else {
            let longest = open.iter().map(|part| part.samples).max().unwrap_or(0);
            let (mut step, mut end) = (0, longest.div_ceil(self.window.block));
            while end - step > 1 {
                let middle = step + (end - step) / 2;
                if before(middle) <= offset { step = middle } else { end = middle }
            }
            (step, before(step), before(step + 1) - before(step))
        };
        let mut at = Permutation::new(mix(mix(self.key, group as u64), step), length).at(offset - begin);
        for part in open {
            let (from, to) = (of(part, step), of(part, step + 1));
            if at < to - from {
                return part.first + from + at;
            }
            at -= to - from;
        }
        unreachable!("a step's permutation stays below the number of its samples")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Order;
    use crate::order::tests::is_permutation;
    use proptest::prelude::*;

    fn all(order: &Order) -> Vec<u64> {
        (0..order.len()).map(|position| order.at(position)).collect()
    }

    #[test]
    fn the_order_is_the_one_that_earlier_runs_used() {
        let order = Order::windowed(1, 0, &Shards::new([3, 0, 4, 2]), Window { shards: 2, block: 2 }, 1);
        assert_eq!(all(&order), [0, 7, 1, 8, 2, 4, 3, 6, 5]);
    }

    /// Blocks as long as the longest shard and longer ones are the same order, found in different ways.
    #[test]
    fn whole_shards_are_one_step() {
        let shards = Shards::new([3, 0, 40, 2, 17, 40, 5]);
        let order = |block| {
            let mut windowed = Windowed::new(9, &shards, Window { shards: 3, block }, 1);
            let found: Vec<u64> = (0..107).map(|position| windowed.at(position)).collect();
            windowed.lanes[0].whole = false;
            assert_eq!(found, (0..107).map(|position| windowed.at(position)).collect::<Vec<_>>());
            found
        };
        assert_eq!(order(40), order(u64::MAX));
        assert_ne!(order(39), order(40));
    }

    #[test]
    fn a_shard_is_found_by_its_samples() {
        let shards = Shards::new([0, 3, 0, 0, 2, 0]);
        assert_eq!((shards.len(), shards.samples()), (6, 5));
        let found: Vec<_> = (0..5).map(|index| shards.find(index)).collect();
        assert_eq!(found, [(1, 0), (1, 1), (1, 2), (4, 0), (4, 1)]);
        assert!(Shards::new([]).is_empty());
        assert_eq!(Order::windowed(1, 0, &Shards::new([0, 0]), Window { shards: 2, block: 2 }, 3).len(), 0);
    }

    /// The share of neighbours that come from the same shard, and the shards in a batch of 64.
    fn mixing(order: &Order, shards: &Shards) -> (f64, f64) {
        let sequence: Vec<usize> = all(order).into_iter().map(|index| shards.find(index).0).collect();
        let same = sequence.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let distinct = |batch: &[usize]| {
            let mut batch = batch.to_vec();
            batch.sort_unstable();
            batch.dedup();
            batch.len()
        };
        let batches = sequence.chunks_exact(64);
        let count = batches.len();
        let shards = batches.map(distinct).sum::<usize>() as f64 / count as f64;
        (same as f64 / (sequence.len() - 1) as f64, shards)
    }

    /// The figures that the documentation states, for 64 shards of 1,000 samples.
    #[test]
    fn mixing_grows_with_the_shards_open_together() {
        let shards = Shards::new([1000; 64]);
        let (same, distinct) = mixing(&Order::shuffled(1, 0, 64_000), &shards);
        assert!((0.013..0.018).contains(&same) && (39.0..42.0).contains(&distinct), "{same}, {distinct}");
        for (open, least, most, shards_a_batch) in
            [(4, 0.23, 0.27, 3.9), (16, 0.055, 0.066, 15.0), (64, 0.012, 0.018, 39.0)]
        {
            let order = Order::windowed(1, 0, &shards, Window { shards: open, block: 32 }, 1);
            let (same, distinct) = mixing(&order, &shards);
            assert!((least..most).contains(&same), "{open} open: {same}");
            assert!(distinct > shards_a_batch, "{open} open: {distinct}");
        }
    }

    /// Each lane reads its own part of the set: shards that it shares with a neighbour are two at most.
    #[test]
    fn lanes_keep_to_their_own_shards() {
        let shards = Shards::new([100; 64]);
        let order = Order::windowed(1, 0, &shards, Window { shards: 4, block: 32 }, 8);
        let sequence = all(&order);
        let shards_of = |rank: usize, ranks: usize| {
            let of_rank = sequence.iter().skip(rank).step_by(ranks).map(|&index| shards.find(index).0);
            of_rank.collect::<std::collections::BTreeSet<_>>().len()
        };
        for ranks in [1, 2, 4, 8] {
            assert!((0..ranks).all(|rank| shards_of(rank, ranks) == 64 / ranks), "{ranks} ranks");
        }
        assert!((0..3).all(|rank| shards_of(rank, 3) == 64));
        // Lengths that nothing divides: a shard more at each end.
        let order = Order::windowed(1, 0, &Shards::new([101; 63]), Window { shards: 4, block: 32 }, 8);
        assert_eq!((order.lanes(), order.lanes_of(8), order.lanes_of(12), order.lanes_of(3)), (8, 1, 2, 8));
    }

    #[test]
    fn positions_are_looked_up_at_once_in_a_set_of_any_size() {
        let shards = Shards::new((0..10_000).map(|shard| 1_000_000_000 + shard));
        let order = Order::windowed(1, 0, &shards, Window { shards: 64, block: 32 }, 1);
        let last = order.len() - 1;
        assert!(order.at(last) < order.len() && order.at(last / 2) != order.at(last / 2 + 1));
    }

    proptest! {
        #[test]
        fn every_sample_comes_once(
            seed: u64, epoch: u64, sizes in prop::collection::vec(0u64..50, 0..20),
            open in 1usize..9, block in 1u64..20, lanes in 1u64..9,
        ) {
            let shards = Shards::new(sizes);
            let order = Order::windowed(seed, epoch, &shards, Window { shards: open, block }, lanes);
            prop_assert_eq!(order.len(), shards.samples());
            prop_assert!(is_permutation(all(&order)));
        }

        #[test]
        fn shards_are_read_forward_block_by_block_and_few_at_a_time(
            seed: u64, sizes in prop::collection::vec(0u64..50, 1..20), open in 1usize..9, block in 1u64..20,
            lanes in 1usize..5, lane in 0usize..5,
        ) {
            let shards = Shards::new(sizes);
            let lane = lane % lanes;
            let order = Order::windowed(seed, 0, &shards, Window { shards: open, block }, lanes as u64);
            // The blocks of a part begin where that does: where a lane begins within a shard.
            let numbers: Vec<(usize, u64)> =
                all(&order).into_iter().skip(lane).step_by(lanes).map(|index| shards.find(index)).collect();
            let begins = |shard| numbers.iter().filter(|at| at.0 == shard).map(|at| at.1).min().unwrap_or(0);
            let begins: Vec<u64> = (0..shards.len()).map(begins).collect();
            let blocks: Vec<(usize, u64)> =
                numbers.iter().map(|&(shard, number)| (shard, (number - begins[shard]) / block)).collect();
            for shard in 0..shards.len() {
                let read: Vec<u64> = blocks.iter().filter(|at| at.0 == shard).map(|at| at.1).collect();
                prop_assert!(read.is_sorted(), "shard {}: {:?}", shard, read);
            }
            // A block is begun and not finished for at most as many shards as may be open.
            for at in 0..blocks.len() {
                let mut unfinished: Vec<_> = blocks[..at].iter().filter(|b| blocks[at..].contains(b)).collect();
                unfinished.sort_unstable();
                unfinished.dedup();
                prop_assert!(unfinished.len() <= open);
            }
        }

        #[test]
        fn seeds_and_epochs_give_other_orders(seed: u64, epoch in 0u64..u64::MAX) {
            let shards = Shards::new([20, 30, 25, 10]);
            let order = |seed, epoch| all(&Order::windowed(seed, epoch, &shards, Window { shards: 2, block: 8 }, 2));
            prop_assert_eq!(order(seed, epoch), order(seed, epoch));
            prop_assert_ne!(order(seed, epoch), order(seed.wrapping_add(1), epoch));
            prop_assert_ne!(order(seed, epoch), order(seed, epoch + 1));
        }
    }
}
