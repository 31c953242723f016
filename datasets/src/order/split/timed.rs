//! The last samples held out.

use super::{Part, Split, sizes};

impl Split {
    /// Holds out the last samples by their `times`: the very last for tests, those before them for validation,
    /// never at random. Samples of one time are in one part, so that a part begins where the time changes, as
    /// near to what was asked for as it can; a part that would begin with the first time of all is empty.
    ///
    /// The test part does not depend on `valid_fraction`.
    ///
    /// # Panics
    /// When a fraction is negative or not a number.
    pub(crate) fn by_time<T: Ord>(times: &[T], valid_fraction: f64, test_fraction: f64) -> Self {
        let (valid, test) = sizes(times.len() as u64, valid_fraction, test_fraction);
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by_key(|&index| &times[index]);
        let sorted: Vec<&T> = order.iter().map(|&index| &times[index]).collect();
        let first_of_test = cut(&sorted, test as usize);
        let first_of_valid = cut(&sorted[..first_of_test], valid as usize);
        let mut parts = vec![Part::Train; times.len()];
        for (position, index) in order.into_iter().enumerate() {
            if position >= first_of_test {
                parts[index] = Part::Test;
            } else if position >= first_of_valid {
                parts[index] = Part::Valid;
            }
        }
        Split::of(&parts)
    }
}

/// The place nearest to the last `wanted` of `times` where the time changes; behind them all where it never
/// does.
fn cut<T: Ord>(times: &[T], wanted: usize) -> usize {
    let Some(time) = times.len().checked_sub(wanted).and_then(|at| times.get(at)) else { return times.len() };
    let at = times.len() - wanted;
    let (first, next) = (times.partition_point(|of| of < time), times.partition_point(|of| of <= time));
    let places = [first, next].into_iter().filter(|place| (1..times.len()).contains(place));
    places.min_by_key(|place| place.abs_diff(at)).unwrap_or(times.len())
}

#[cfg(test)]
mod tests {
    use super::super::drawn;
    use super::*;
    use crate::order::tests::is_permutation;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_held_out_is_later_than_what_trains(
            times in prop::collection::vec(0u8..30, 1..300),
            valid in 0.0f64..0.4, test in 0.0f64..0.4,
        ) {
            let split = Split::by_time(&times, valid, test);
            prop_assert_eq!(&split.test, &Split::by_time(&times, 0.0, test).test);
            let times_of = |part: &[u64]| part.iter().map(|&at| times[at as usize]).collect::<Vec<u8>>();
            let parts = [&split.train, &split.valid, &split.test].map(|part| times_of(part));
            prop_assert!(!parts[0].is_empty());
            for (earlier, later) in [(0, 1), (0, 2), (1, 2)] {
                let (last, first) = (parts[earlier].iter().max(), parts[later].iter().min());
                prop_assert!(last.zip(first).is_none_or(|(last, first)| last < first));
            }
            let most = (0..30).map(|of| times.iter().filter(|&&time| time == of).count()).max().unwrap();
            if times.iter().any(|&time| time != times[0]) {
                let wanted = (test * times.len() as f64).round();
                prop_assert!((split.test.len() as f64 - wanted).abs() <= most as f64);
            }
            for part in [&split.train, &split.valid, &split.test] {
                prop_assert!(part.is_sorted());
            }
            prop_assert!(is_permutation([split.train, split.valid, split.test].concat()));
        }

        #[test]
        fn without_ties_the_parts_are_as_large_as_asked_for(
            seed: u64, len in 1u64..300, valid in 0.0f64..0.4, test in 0.0f64..0.4,
        ) {
            let order = drawn(len, seed);
            let times: Vec<u64> = (0..len).map(|position| order.at(position)).collect();
            let (split, sizes) = (Split::by_time(&times, valid, test), Split::new(len, valid, test, seed));
            // A part never takes the last sample to train on.
            prop_assume!(!sizes.train.is_empty());
            prop_assert_eq!(split.test.len(), sizes.test.len());
            prop_assert_eq!(split.valid.len(), sizes.valid.len());
        }
    }

    #[test]
    fn a_part_begins_where_the_time_changes() {
        let test = |times: &[u8], fraction| Split::by_time(times, 0.0, fraction).test;
        let times = [3, 1, 2, 2, 2, 2, 3, 1, 1, 3];
        assert_eq!(test(&times, 0.3), [0, 6, 9]);
        assert_eq!(test(&times, 0.4), [0, 6, 9]);
        assert_eq!(test(&times, 0.6), [0, 2, 3, 4, 5, 6, 9]);
        assert_eq!(test(&times, 0.1), [0, 6, 9]);
        assert_eq!(test(&[1; 10], 0.3), [0u64; 0]);
        assert_eq!(test(&[], 0.3), [0u64; 0]);
    }
}
