//! Mean and deviation of a column.

use crate::records::round;

/// Count, mean, and sum of squared differences from the mean.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// The moments of numbers, in two passes: what one pass would cancel out stays.
    pub(super) fn of(numbers: &[f64]) -> Self {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count.max(1.0);
        let squares = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
        Moments { count, mean, squares }
    }

    /// Adds the numbers of other rows, as Chan, Golub and LeVeque do ("Algorithms for computing the sample
    /// variance", 1983).
    pub(super) fn merge(&mut self, other: Moments) {
        let count = self.count + other.count;
        if count > 0.0 {
            let difference = other.mean - self.mean;
            self.mean += difference * other.count / count;
            self.squares += other.squares + difference * difference * self.count * other.count / count;
            self.count = count;
        }
    }

    /// Mean and standard deviation (divided by the count) as a schema keeps them: rounded, and 1 for the
    /// deviation of a constant.
    pub(super) fn mean_and_std(&self) -> (f64, f64) {
        let std = (self.squares / self.count.max(1.0)).sqrt();
        // Rounding in the mean leaves a constant with a deviation of about its own last digit.
        let constant = std <= self.mean.abs() * 1e-12;
        (round(self.mean), if constant { 1.0 } else { round(std) })
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
            prop_assert!((mean - whole_mean).abs() < 1e-8 && (std - whole_std).abs() < 1e-6);
        }
    }
}
