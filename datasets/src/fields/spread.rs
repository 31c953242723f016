//! Numbers of a column over the training rows: their moments, their range, and whether they count the rows.

use super::moments::Moments;

/// Different numbers that are told apart; of more, only that there are more is known.
pub(super) const MOST_DIFFERENT: usize = 256;

/// Some numbers, in the order of their rows.
#[derive(Debug)]
pub(super) struct Spread {
    pub moments: Moments,
    pub count: u64,
    pub low: f64,
    pub high: f64,
    /// True where all are whole.
    pub whole: bool,
    /// The different ones, ascending; none where there are too many.
    different: Option<Vec<f64>>,
    /// The first and the last, where each is larger than the one before it.
    rising: Option<(f64, f64)>,
}

impl Default for Spread {
    fn default() -> Self {
        Spread::of(&[])
    }
}

impl Spread {
    pub(super) fn of(numbers: &[f64]) -> Self {
        let (low, high) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &number| {
            (low.min(number), high.max(number))
        });
        let ends = numbers.first().copied().zip(numbers.last().copied());
        Spread {
            moments: Moments::of(numbers),
            count: numbers.len() as u64,
            low,
            high,
            whole: numbers.iter().all(|&number| is_whole(number)),
            different: different(numbers),
            rising: ends.filter(|_| numbers.windows(2).all(|pair| pair[0] < pair[1])),
        }
    }

    /// Adds the numbers of the rows that come next.
    pub(super) fn merge(&mut self, other: Spread) {
        if other.count == 0 {
            return;
        }
        self.rising = match (self.rising, other.rising) {
            (_, rising) if self.count == 0 => rising,
            (Some((first, before)), Some((next, last))) if before < next => Some((first, last)),
            _ => None,
        };
        self.moments.merge(other.moments);
        self.count += other.count;
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
        self.whole &= other.whole;
        self.different = match (self.different.take(), other.different) {
            (Some(mut all), Some(more)) => {
                more.into_iter().all(|number| add(&mut all, number)).then_some(all)
            }
            _ => None,
        };
    }

    /// The number of different ones; none where there are more than [`MOST_DIFFERENT`].
    pub(super) fn different(&self) -> Option<u64> {
        self.different.as_ref().map(|different| different.len() as u64)
    }

    /// True where the numbers are whole and each is larger than the one before it.
    pub(super) fn rises(&self) -> bool {
        self.whole && self.rising.is_some()
    }
}

/// True for a whole number; those that no i64 holds have no fraction.
fn is_whole(number: f64) -> bool {
    number as i64 as f64 == number || number.abs() >= i64::MAX as f64
}

/// The different ones of some numbers.
fn different(numbers: &[f64]) -> Option<Vec<f64>> {
    let (mut all, mut before) = (Vec::new(), f64::NAN);
    for &number in numbers {
        if number != before && !add(&mut all, number) {
            return None;
        }
        before = number;
    }
    Some(all)
}

/// Adds a number to ascending ones; false where there are too many.
fn add(all: &mut Vec<f64>, number: f64) -> bool {
    let at = all.partition_point(|&other| other < number);
    if all.get(at) != Some(&number) {
        all.insert(at, number);
    }
    all.len() <= MOST_DIFFERENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_the_whole(numbers in prop::collection::vec(-400i32..400, 0..600), cut in 0usize..600) {
            let numbers: Vec<f64> = numbers.into_iter().map(|number| f64::from(number) / 2.0).collect();
            let (first, rest) = numbers.split_at(cut.min(numbers.len()));
            let mut merged = Spread::of(first);
            merged.merge(Spread::of(rest));
            let whole = Spread::of(&numbers);
            let told = |spread: &Spread| (spread.low, spread.high, spread.different(), spread.rises());
            prop_assert_eq!(told(&merged), told(&whole));
            let mut all = numbers.clone();
            all.sort_by(f64::total_cmp);
            all.dedup();
            let expected = (all.len() <= MOST_DIFFERENT).then_some(all.len() as u64);
            prop_assert_eq!(whole.different(), expected);
        }
    }

    #[test]
    fn numbers_that_rise_from_block_to_block_rise() {
        let mut rising = Spread::of(&[0.0, 1.0, 3.0]);
        rising.merge(Spread::of(&[4.0, 9.0]));
        assert!(rising.rises());
        rising.merge(Spread::of(&[9.0]));
        assert!(!rising.rises() && !Spread::of(&[0.5, 1.0]).rises());
    }
}
