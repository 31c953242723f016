//! Mean and deviation of a column.

use crate::records::round;

/// Numbers that are added up side by side.
const LANES: usize = 4;

/// Count, sum, and sum of squared differences from the mean.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    count: f64,
    sum: Sum,
    squares: f64,
}

/// A sum with what its rounding has lost, so that it is the same however the numbers are cut into blocks.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    rounded: f64,
    lost: f64,
}

impl Sum {
    /// Adds a number; the error of the addition is exact (Knuth, "The art of computer programming", volume 2,
    /// section 4.2.2, theorem B).
    fn add(&mut self, number: f64) {
        let sum = self.rounded + number;
        let of_number = sum - self.rounded;
        self.lost += (self.rounded - (sum - of_number)) + (number - of_number);
        self.rounded = sum;
    }

    fn merge(&mut self, other: Sum) {
        self.add(other.rounded);
        self.lost += other.lost;
    }

    fn value(&self) -> f64 {
        self.rounded + self.lost
    }
}

impl Moments {
    /// The moments of numbers, in two passes: what one pass would cancel out stays.
    pub(super) fn of(numbers: &[f64]) -> Self {
        let mut lanes = [Sum::default(); LANES];
        let (chunks, rest) = numbers.as_chunks::<LANES>();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, &number)| lane.add(number));
        }
        lanes.iter_mut().zip(rest).for_each(|(lane, &number)| lane.add(number));
        let mut sum = Sum::default();
        lanes.into_iter().for_each(|lane| sum.merge(lane));
        let moments = Moments { count: numbers.len() as f64, sum, squares: 0.0 };
        let mean = moments.mean();
        Moments { squares: numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>(), ..moments }
    }

    /// Adds the numbers of other rows, as Chan, Golub and LeVeque do ("Algorithms for computing the sample
    /// variance", 1983).
    pub(super) fn merge(&mut self, other: Moments) {
        let count = self.count + other.count;
        if count > 0.0 {
            let difference = other.mean() - self.mean();
            self.squares += other.squares + difference * difference * self.count * other.count / count;
            self.sum.merge(other.sum);
            self.count = count;
        }
    }

    fn mean(&self) -> f64 {
        self.sum.value() / self.count.max(1.0)
    }

    /// Mean and standard deviation (divided by the count) as a schema keeps them: rounded, and 1 for the
    /// deviation of a constant.
    pub(super) fn mean_and_std(&self) -> (f64, f64) {
        let std = (self.squares / self.count.max(1.0)).sqrt();
        // Rounding in the mean leaves a constant with a deviation of about its own last digit.
        let mean = self.mean();
        let constant = std <= mean.abs() * 1e-12;
        (round(mean), if constant { 1.0 } else { round(std) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mean_and_std(numbers: &[f64]) -> (f64, f64) {
        Moments::of(numbers).mean_and_std()
    }

    #[test]
    fn a_constant_has_deviation_one() {
        assert_eq!(mean_and_std(&[0.1; 7]), (0.1, 1.0));
        assert_eq!(mean_and_std(&[0.0; 3]), (0.0, 1.0));
        assert_eq!(mean_and_std(&[1.0, 3.0]), (2.0, 1.0));
        assert_eq!(mean_and_std(&[2.0, 6.0]), (4.0, 2.0));
    }

    proptest! {
        #[test]
        fn json_gives_statistics_back_bit_for_bit(numbers in prop::collection::vec(-1e9f64..1e9, 1..20)) {
            let (mean, std) = mean_and_std(&numbers);
            let back: (f64, f64) =
                serde_json::from_str(&serde_json::to_string(&(mean, std)).unwrap()).unwrap();
            prop_assert_eq!(back, (mean, std));
        }

        #[test]
        fn parts_have_the_moments_of_the_whole(
            numbers in prop::collection::vec(-1e3f64..1e3, 2..40), cut in 0usize..40,
        ) {
            let (first, rest) = numbers.split_at(cut.min(numbers.len()));
            let mut merged = Moments::of(first);
            merged.merge(Moments::of(rest));
            let ((mean, std), (whole_mean, whole_std)) = (merged.mean_and_std(), mean_and_std(&numbers));
            prop_assert_eq!(mean, whole_mean);
            prop_assert!((std - whole_std).abs() <= 1e-11 * whole_std);
        }
    }
}
