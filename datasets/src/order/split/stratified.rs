//! Each class divided by the same shares.

use super::{Part, Split, drawn, sizes};
use std::collections::HashMap;

impl Split {
    /// Draws both held-out parts at random, of each class its share: sample `i` is of the class `classes[i]`.
    /// The parts are as large as those of [`new`](Split::new), disjoint, together complete, each in ascending
    /// order. What remains where shares are rounded down goes to the classes of the largest remainders, so
    /// that a class has its share of a held-out part, rounded up or down, unless that would leave it without
    /// a sample to train on: the last one of a class is held out only where the others are not enough.
    ///
    /// It is a pure function of the fractions, the seed and of which samples are of one class; what the
    /// classes are called does not matter. The test part does not depend on `valid_fraction`.
    ///
    /// # Panics
    /// When a fraction is negative or not a number.
    pub(crate) fn stratified(classes: &[u32], valid_fraction: f64, test_fraction: f64, seed: u64) -> Self {
        let len = classes.len() as u64;
        let (valid, test) = sizes(len, valid_fraction, test_fraction);
        let order = drawn(len, seed);
        // Classes are numbered as they are drawn: among equal remainders the seed decides.
        let (mut numbers, mut counts) = (HashMap::new(), Vec::new());
        let mut samples = Vec::with_capacity(classes.len());
        for position in 0..len {
            let index = order.at(position) as usize;
            let number = *numbers.entry(classes[index]).or_insert(counts.len());
            if number == counts.len() {
                counts.push(0);
            }
            counts[number] += 1;
            samples.push((index, number));
        }
        let mut test = allot(&counts, counts.clone(), test);
        let left = counts.iter().zip(&test).map(|(count, test)| count - test).collect();
        let mut valid = allot(&counts, left, valid);
        let mut parts = vec![Part::Train; classes.len()];
        for (index, class) in samples {
            for (part, wanted) in [(Part::Test, &mut test), (Part::Valid, &mut valid)] {
                if wanted[class] > 0 {
                    wanted[class] -= 1;
                    parts[index] = part;
                    break;
                }
            }
        }
        Split::of(&parts)
    }
}

/// Divides `total` samples among classes in proportion to their `counts`, at most what is `left` of each.
fn allot(counts: &[u64], left: Vec<u64>, total: u64) -> Vec<u64> {
    let all = u128::from(counts.iter().sum::<u64>().max(1));
    let share = |count: u64| u128::from(count) * u128::from(total);
    let spared: Vec<u64> = left.iter().map(|left| left.saturating_sub(1)).collect();
    let mut allotted: Vec<u64> =
        counts.iter().zip(&spared).map(|(&count, &most)| ((share(count) / all) as u64).min(most)).collect();
    let mut missing = total - allotted.iter().sum::<u64>();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(share(counts[class]) % all));
    for most in [spared, left] {
        let mut open = by_remainder.clone();
        while missing > 0 && !open.is_empty() {
            open.retain(|&class| {
                let room = missing > 0 && allotted[class] < most[class];
                allotted[class] += u64::from(room);
                missing -= u64::from(room);
                room
            });
        }
    }
    allotted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::is_permutation;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Samples of each class in a part.
    fn counted(part: &[u64], classes: &[u32], num: usize) -> Vec<u64> {
        let mut counts = vec![0; num];
        part.iter().for_each(|&index| counts[classes[index as usize] as usize] += 1);
        counts
    }

    proptest! {
        #[test]
        fn each_class_has_its_share_of_each_part(
            classes in prop::collection::vec(prop_oneof![5 => Just(0u32), 3 => Just(1), 1 => 2u32..6], 0..600),
            valid in 0.0f64..0.45, test in 0.0f64..0.45, seed: u64,
        ) {
            let split = Split::stratified(&classes, valid, test, seed);
            let sizes = Split::new(classes.len() as u64, valid, test, seed);
            prop_assert_eq!(split.valid.len(), sizes.valid.len());
            prop_assert_eq!(split.test.len(), sizes.test.len());
            prop_assert_eq!(&split.test, &Split::stratified(&classes, 0.0, test, seed).test);
            let all: Vec<u64> = (0..classes.len() as u64).collect();
            let counts = counted(&all, &classes, 6);
            // One that is kept for training may be another class's.
            let spared = counts.iter().filter(|&&count| (1..9).contains(&count)).count() as f64;
            for part in [&split.valid, &split.test] {
                for (found, count) in counted(part, &classes, 6).into_iter().zip(&counts) {
                    let share = *count as f64 * part.len() as f64 / classes.len().max(1) as f64;
                    prop_assert!((found as f64 - share).abs() < 1.0 + spared, "{found} of {share}");
                }
            }
            let large_enough = split.train.len() >= 6;
            for (trained, count) in counted(&split.train, &classes, 6).into_iter().zip(counts) {
                prop_assert!(!large_enough || count == 0 || trained > 0, "{count} held out");
            }
            for part in [&split.train, &split.valid, &split.test] {
                prop_assert!(part.is_sorted());
            }
            prop_assert!(is_permutation([split.train, split.valid, split.test].concat()));
        }

        #[test]
        fn classes_may_be_called_anything(
            classes in prop::collection::vec(0u32..5, 0..200), seed: u64,
        ) {
            let renamed: Vec<u32> = classes.iter().map(|class| 7 * (5 - class)).collect();
            let split = |classes: &[u32]| Split::stratified(classes, 0.2, 0.3, seed);
            prop_assert_eq!(split(&classes), split(&renamed));
        }
    }

    #[test]
    fn shares_are_those_of_scikit_learn() {
        // Samples of each class in train_test_split(range(670), test_size=…, stratify=y, random_state=0 to 19) of
        // scikit-learn 1.9.1, where `y` has 500, 120, 37 and 13 samples of four classes. A tie goes either way.
        let expected = [
            (67u32, vec![[50, 12, 4, 1]]),
            (100, vec![[75, 18, 5, 2]]),
            (134, vec![[100, 24, 7, 3]]),
            (168, vec![[126, 30, 9, 3]]),
            (201, vec![[150, 36, 11, 4]]),
            (248, vec![[185, 44, 14, 5]]),
            (335, vec![[250, 60, 19, 6], [250, 60, 18, 7]]),
            (402, vec![[300, 72, 22, 8]]),
        ];
        let classes: Vec<u32> =
            (0..).zip([500, 120, 37, 13]).flat_map(|(class, count)| vec![class; count]).collect();
        for (test, expected) in expected {
            let found: HashSet<Vec<u64>> = (0..20)
                .map(|seed| Split::stratified(&classes, 0.0, f64::from(test) / 670.0, seed))
                .map(|split| counted(&split.test, &classes, 4))
                .collect();
            let expected: HashSet<Vec<u64>> = expected.into_iter().map(Vec::from).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_last_of_a_class_trains() {
        let mut classes = vec![0u32; 96];
        classes.extend([1, 1, 2, 3]);
        for seed in 0..50 {
            let split = Split::stratified(&classes, 0.25, 0.25, seed);
            let trained = counted(&split.train, &classes, 4);
            assert!(trained[1] >= 1 && trained[2..] == [1, 1], "{trained:?}");
            assert_eq!((split.valid.len(), split.test.len()), (25, 25));
        }
        // Where each class has one, the parts are as large as they are asked to be all the same.
        let alone: Vec<u32> = (0..10).collect();
        let split = Split::stratified(&alone, 0.2, 0.3, 1);
        assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (5, 2, 3));
    }

    #[test]
    fn the_split_is_the_one_that_earlier_runs_used() {
        // Runs are evaluated on what they held out: a change must be noticed.
        let classes = [0, 1, 0, 0, 1, 0, 2, 0, 0, 1, 0, 0];
        let split = Split::stratified(&classes, 0.25, 0.25, 7);
        assert_eq!((split.valid, split.test), (vec![3, 4, 8], vec![1, 2, 11]));
    }

    #[test]
    fn ten_thousand_classes_of_one_sample_take_no_time() {
        let classes: Vec<u32> = (0..60_000).chain([60_000; 40_000]).collect();
        let split = Split::stratified(&classes, 0.0, 0.3, 1);
        assert_eq!(split.test.len(), 30_000);
        assert!(split.test.iter().all(|&index| index >= 60_000));
    }
}
