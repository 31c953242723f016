//! Groups held out whole.

use super::{Part, Split, drawn, sizes};
use std::collections::HashMap;

impl Split {
    /// Draws both held-out parts at random, a group at a time: sample `i` is of the group `groups[i]`, and no
    /// group is in two parts. The parts are disjoint, together complete, each in ascending order.
    ///
    /// Groups are drawn one after the other. One is held out where the part has room for it, and passed over
    /// where it would have more *samples* than asked for; at last the smallest of those passed over is held
    /// out, too, where that comes nearer, or where the part would be empty. (`GroupShuffleSplit` of
    /// scikit-learn holds out a share of the groups, however large they are; here a large one is less
    /// likely to be held out than a small one.) One group at least trains.
    ///
    /// It is a pure function of the fractions, the seed and of which samples are of one group; what the groups
    /// are called does not matter. The test part does not depend on `valid_fraction`.
    ///
    /// # Panics
    /// When a fraction is negative or not a number.
    pub(crate) fn grouped(groups: &[u32], valid_fraction: f64, test_fraction: f64, seed: u64) -> Self {
        let (valid, test) = sizes(groups.len() as u64, valid_fraction, test_fraction);
        let (mut numbers, mut counts) = (HashMap::new(), Vec::new());
        let number = |group: &u32| {
            let number = *numbers.entry(*group).or_insert(counts.len());
            if number == counts.len() {
                counts.push(0);
            }
            counts[number] += 1;
            number
        };
        let samples: Vec<usize> = groups.iter().map(number).collect();
        let order = drawn(counts.len() as u64, seed);
        let mut left: Vec<usize> = (0..order.len()).map(|position| order.at(position) as usize).collect();
        let mut parts = vec![Part::Train; counts.len()];
        for (part, wanted) in [(Part::Test, test), (Part::Valid, valid)] {
            for group in nearest(&left, &counts, wanted) {
                parts[group] = part;
            }
            left.retain(|&group| parts[group] == Part::Train);
        }
        let parts: Vec<Part> = samples.into_iter().map(|group| parts[group]).collect();
        Split::of(&parts)
    }
}

/// The groups of those `left`, in the order drawn, that together have about as many samples as `wanted`; one is
/// always left.
fn nearest(left: &[usize], counts: &[u64], wanted: u64) -> Vec<usize> {
    let (mut taken, mut room) = (Vec::new(), wanted);
    if wanted == 0 || left.len() < 2 {
        return taken;
    }
    let mut passed = Vec::new();
    for &group in left {
        if counts[group] <= room && taken.len() + 1 < left.len() {
            taken.push(group);
            room -= counts[group];
        } else {
            passed.push(group);
        }
    }
    let smallest = passed.into_iter().min_by_key(|&group| counts[group]);
    let is_nearer = |group: usize| counts[group] < 2 * room && taken.len() + 1 < left.len();
    taken.extend(smallest.filter(|&group| taken.is_empty() || is_nearer(group)));
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::is_permutation;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn no_group_is_on_two_sides(
            groups in prop::collection::vec(0u32..40, 3..400),
            valid in 0.05f64..0.4, test in 0.05f64..0.4, seed: u64,
        ) {
            let split = Split::grouped(&groups, valid, test, seed);
            prop_assert_eq!(&split.test, &Split::grouped(&groups, 0.0, test, seed).test);
            let of = |part: &[u64]| part.iter().map(|&at| groups[at as usize]).collect::<HashSet<u32>>();
            let parts = [&split.train, &split.valid, &split.test].map(|part| of(part));
            let all: HashSet<u32> = groups.iter().copied().collect();
            prop_assert_eq!(parts.iter().map(HashSet::len).sum::<usize>(), all.len());
            prop_assert!(!split.train.is_empty());
            // A part misses what was asked for by less than the largest group.
            let largest = all.iter().map(|group| groups.iter().filter(|&of| of == group).count()).max();
            let enough = all.len() > 12;
            for (part, fraction) in [(&split.valid, valid), (&split.test, test)] {
                let wanted = (fraction * groups.len() as f64).round();
                prop_assert!(!enough || (part.len() as f64 - wanted).abs() <= largest.unwrap() as f64);
                prop_assert!(!enough || wanted == 0.0 || !part.is_empty());
            }
            for part in [&split.train, &split.valid, &split.test] {
                prop_assert!(part.is_sorted());
            }
            prop_assert!(is_permutation([split.train, split.valid, split.test].concat()));
        }
    }

    #[test]
    fn any_group_may_be_held_out() {
        // Ten groups of 1 to 10 samples, of which two tenths are 11 samples.
        let groups: Vec<u32> = (0..10u32).flat_map(|group| vec![group; group as usize + 1]).collect();
        let mut held_out = [0; 10];
        for seed in 0..4_000 {
            let split = Split::grouped(&groups, 0.0, 0.2, seed);
            assert!(split.test.len().abs_diff(11) <= 1);
            let of: HashSet<u32> = split.test.iter().map(|&at| groups[at as usize]).collect();
            of.into_iter().for_each(|group| held_out[group as usize] += 1);
        }
        assert!(held_out.iter().all(|&times| times > 300), "{held_out:?}");
    }

    #[test]
    fn a_part_takes_the_smallest_group_rather_than_none() {
        let groups = [5, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7];
        let split = Split::grouped(&groups, 0.0, 0.1, 3);
        assert_eq!(split.test, [5, 6, 7, 8]);
        let one = Split::grouped(&[1, 1, 1, 1], 0.25, 0.25, 3);
        assert_eq!((one.train.len(), one.valid.len(), one.test.len()), (4, 0, 0));
    }

    #[test]
    fn the_split_is_the_one_that_earlier_runs_used() {
        // Runs are evaluated on what they held out: a change must be noticed.
        let split = Split::grouped(&[0, 0, 1, 2, 2, 3, 4, 4, 5, 6], 0.2, 0.2, 7);
        assert_eq!((split.valid, split.test), (vec![6, 7], vec![0, 1]));
    }
}
