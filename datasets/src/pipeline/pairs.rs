//! Pairs of samples of a batch, for data sets that mix them.
//!
//! A rank has the samples at every `ranks`-th position. So that both of a pair are on one rank, and the same
//! two whatever the number of ranks, they stand a distance apart that many numbers divide: 2^i, or 3 times
//! that.

use std::ops::Range;

/// Fewer positions than this, at the end of a window or in a last, short one, are left alone rather than
/// paired at a distance that few numbers divide.
const REST: u64 = 16;

/// Pairs among the `positions` of a rank that stand in a window, by their places in these: of a window of 128
/// positions those of its halves, each once. The same pairs for any number of ranks that divides the
/// distance. `positions` ascend; other windows than the last have `size`.
pub(super) fn pairs(window: &Range<u64>, size: u64, ranks: u64, positions: &[u64]) -> Vec<[usize; 2]> {
    let runs = runs(window.end - window.start, size, ranks);
    let mate = |position: u64| {
        let at = position - window.start;
        let run = runs.iter().find(|run| (run.start..run.start + run.distance).contains(&at))?;
        Some(position + run.distance)
    };
    let pair = |(place, &position): (usize, &u64)| {
        // The mate may be one that could not be read.
        Some([place, positions.binary_search(&mate(position)?).ok()?])
    };
    positions.iter().enumerate().filter_map(pair).collect()
}

/// Two runs of positions that follow each other: each of the first is paired with the one `distance` behind
/// it.
struct Run {
    start: u64,
    distance: u64,
}

fn runs(length: u64, size: u64, ranks: u64) -> Vec<Run> {
    let (mut runs, mut start) = (Vec::new(), 0);
    while let distance @ 1.. = distance((length - start) / 2, ranks)
        && (length - start == size || length - start >= REST)
    {
        runs.push(Run { start, distance });
        start += 2 * distance;
    }
    runs
}

/// The largest distance up to `half` of the form 2^i or 3 times that; where the ranks do not divide it, the
/// largest that they divide.
fn distance(half: u64, ranks: u64) -> u64 {
    let power = half.checked_ilog2().map_or(0, |power| 1 << power);
    let best = [power / 2 * 3, power].into_iter().find(|&distance| distance >= power && distance <= half);
    let best = best.unwrap_or(0);
    if best.is_multiple_of(ranks) { best } else { half / ranks * ranks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_contract::Share;
    use proptest::prelude::*;

    #[test]
    fn distances_are_divided_by_many_numbers() {
        assert_eq!([0, 1, 2, 3, 5, 50, 64, 100].map(|half| distance(half, 1)), [0, 1, 2, 3, 4, 48, 64, 96]);
        assert_eq!([48, 64, 2, 7].map(|half| distance(half, 3)), [48, 63, 0, 6]);
    }

    /// Pairs of positions that all ranks make of a window.
    fn made(window: &Range<u64>, size: u64, ranks: u64) -> Vec<[u64; 2]> {
        let of = |rank| {
            let positions: Vec<u64> = Share { rank, ranks }.of(window.clone()).collect();
            pairs(window, size, ranks, &positions)
                .into_iter()
                .map(move |pair| pair.map(|place| positions[place]))
        };
        let mut all: Vec<[u64; 2]> = (0..ranks).flat_map(of).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn pairs_do_not_depend_on_the_ranks() {
        for (start, length) in [(0, 128), (128, 128), (640, 96), (3 * 100, 100), (256, 37), (0, 1000)] {
            let window = start..start + length;
            let alone = made(&window, 128, 1);
            assert!(alone.len() as u64 * 2 + REST > length, "nearly all have a mate");
            for ranks in [2, 4, 8, 16] {
                assert_eq!(made(&window, 128, ranks), alone, "{window:?} of {ranks} ranks");
            }
        }
        assert_eq!(made(&(10..14), 4, 1), [[10, 12], [11, 13]]);
        assert_eq!(made(&(10..14), 128, 1), [[0; 2]; 0], "a short last window");
        assert_eq!(made(&(0..1), 1, 1), [[0; 2]; 0]);
    }

    proptest! {
        #[test]
        fn each_sample_is_in_one_pair_at_most(
            start in 0u64..300, length in 0u64..300, ranks in 1u64..9, lost in proptest::option::of(0u64..300),
        ) {
            let window = start..start + length;
            let mut met = Vec::new();
            for rank in 0..ranks {
                let positions: Vec<u64> =
                    Share { rank, ranks }.of(window.clone()).filter(|at| Some(at - start) != lost).collect();
                for pair in pairs(&window, 128, ranks, &positions) {
                    prop_assert!(pair[0] < pair[1]);
                    met.extend(pair.map(|place| positions[place]));
                }
            }
            let count = met.len();
            met.sort_unstable();
            met.dedup();
            prop_assert_eq!(met.len(), count);
        }
    }
}
