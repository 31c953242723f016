//! One file into training, validation and test samples.

mod by;
mod counts;
mod times;
#[cfg(test)]
mod told;

pub use by::SplitBy;
pub(crate) use by::{Samples, Wishes};
pub(crate) use counts::{LabelCounts, count, tell_lacking};
pub(crate) use times::{EXPECTED as EXPECTED_TIME, Time, TimeKind};
#[cfg(test)]
pub(crate) use told::told;

use crate::{DataError, Split};
use std::ops::Range;

/// Refuses fractions that leave nothing to train on.
///
/// # Errors
/// When one is outside `0..1`, or both together are.
pub(crate) fn check(valid_fraction: f64, test_fraction: f64) -> Result<(), DataError> {
    for (key, fraction) in [("valid_fraction", valid_fraction), ("test_fraction", test_fraction)] {
        if !(0.0..1.0).contains(&fraction) {
            return Err(DataError::config(key, "a share of at least 0 and below 1", fraction));
        }
    }
    let sum = valid_fraction + test_fraction;
    match sum < 1.0 {
        true => Ok(()),
        false => {
            let expected = "a share that leaves some to train on beside test_fraction";
            Err(DataError::config("valid_fraction", expected, format!("{valid_fraction} + {test_fraction}")))
        }
    }
}

/// Splits the blocks of `uri` at random, a pure function of the arguments.
///
/// # Errors
/// When a part that is asked for, or the training part, holds no block.
pub(crate) fn blocks(
    len: usize,
    uri: &str,
    valid_fraction: f64,
    test_fraction: f64,
    seed: u64,
) -> Result<Split, DataError> {
    let split = Split::new(len as u64, valid_fraction, test_fraction, seed);
    let parts = [split.train.len(), split.valid.len(), split.test.len()];
    check_parts(parts, "block of samples", valid_fraction, test_fraction).map_err(|error| match error {
        DataError::Config { key, expected, found } => {
            DataError::Config { key, expected, found: format!("{found} blocks of {uri}") }
        }
        other => other,
    })?;
    Ok(split)
}

/// Numbers as positions in memory.
pub(crate) fn indices(part: &[u64]) -> Vec<usize> {
    part.iter().map(|&index| index as usize).collect()
}

/// Cuts the held-out parts off the tail of `len` tokens: training, then validation, then test.
///
/// # Errors
/// When a part that is asked for, or the training part, holds no token.
pub(crate) fn tail(
    len: usize,
    valid_fraction: f64,
    test_fraction: f64,
) -> Result<[Range<usize>; 3], DataError> {
    let count = |fraction: f64| (fraction * len as f64).round() as usize;
    let test = count(test_fraction).min(len);
    let valid = count(valid_fraction).min(len - test);
    let train = len - valid - test;
    check_parts([train, valid, test], "sample", valid_fraction, test_fraction)?;
    Ok([0..train, train..train + valid, train + valid..len])
}

/// Refuses parts of which one that is asked for, or the training part, is empty.
fn check_parts(
    [train, valid, test]: [usize; 3],
    unit: &str,
    valid_fraction: f64,
    test_fraction: f64,
) -> Result<(), DataError> {
    let len = train + valid + test;
    for (key, fraction, held_out) in
        [("valid_fraction", valid_fraction, valid), ("test_fraction", test_fraction, test)]
    {
        if fraction > 0.0 && held_out == 0 {
            let found = format!("{fraction} of {len}");
            let expected = format!("a share that holds at least one {unit}");
            return Err(DataError::config(key, expected, found));
        }
    }
    match train {
        0 => {
            let found = format!("{valid_fraction} + {test_fraction} of {len}");
            Err(DataError::config("valid_fraction", format!("shares that leave a {unit} to train on"), found))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tail_is_disjoint_complete_and_in_order(
            len in 20usize..4000, valid in 0.1f64..0.4, test in 0.1f64..0.4,
        ) {
            let [train, held_out, tested] = tail(len, valid, test).unwrap();
            prop_assert_eq!(train.start, 0);
            prop_assert_eq!(train.end, held_out.start);
            prop_assert_eq!(held_out.end, tested.start);
            prop_assert_eq!(tested.end, len);
            prop_assert!((held_out.len() as f64 - valid * len as f64).abs() <= 0.5);
        }

        #[test]
        fn a_random_split_is_disjoint_and_complete(
            len in 20usize..400, valid in 0.1f64..0.4, test in 0.1f64..0.4, seed: u64,
        ) {
            let split = Samples::Alike(len).divide((valid, test), seed).unwrap();
            let mut all = [&split.train[..], &split.valid, &split.test].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..len as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_part_without_a_sample_is_an_error() {
        assert!(Samples::Alike(3).divide((0.1, 0.0), 0).is_err());
        assert!(Samples::Alike(1).divide((0.0, 0.6), 0).is_err());
        assert!(tail(3, 0.0, 0.1).is_err());
        assert!(tail(2, 0.9, 0.0).is_err());
        assert_eq!(tail(3, 0.0, 0.0).unwrap(), [0..3, 3..3, 3..3]);
    }

    #[test]
    fn fractions_are_below_one_together() {
        assert!(check(0.5, 0.49).is_ok());
        assert!(check(0.5, 0.5).is_err());
        assert!(check(f64::NAN, 0.0).is_err());
        assert!(check(-0.1, 0.0).is_err());
    }
}
