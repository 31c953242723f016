//! The distance of a classifier's probabilities from the frequencies with which it is right.
//!
//! Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017, section 2: the samples
//! are sorted into 15 bins of equal width by the probability of the predicted class, and the expected
//! calibration error is
//!
//! ```text
//! ECE = sum over bins of  samples in the bin / samples * | accuracy - confidence |
//! ```

use serde::{Deserialize, Serialize};

/// Bins of equal width.
const BINS: usize = 15;

/// Samples by the probability of the predicted class: bin `m` of `M` holds those above `m / M`, up to
/// `(m + 1) / M`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The bins, from the least sure to the surest.
    pub bins: Vec<Bin>,
}

/// The samples whose predicted class has about the same probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// The number of samples.
    pub samples: u64,
    /// The samples that are of the predicted class.
    pub right: u64,
    /// The sum of the predicted classes' probabilities.
    probabilities: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Calibration { bins: vec![Bin::default(); BINS] }
    }
}

impl Calibration {
    /// Takes in a sample. A probability that is no number falls into the first bin.
    pub(crate) fn add(&mut self, probability: f64, right: bool) {
        let at = (probability * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[at.clamp(1, BINS) - 1];
        bin.samples += 1;
        bin.right += u64::from(right);
        bin.probabilities += probability;
    }

    /// Takes in the samples of another.
    pub(crate) fn merge(&mut self, other: &Calibration) {
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.samples += more.samples;
            bin.right += more.right;
            bin.probabilities += more.probabilities;
        }
    }

    /// The expected calibration error, a fraction of 1: 0 for a model that is right as often as it says.
    pub fn error(&self) -> f64 {
        let samples: u64 = self.bins.iter().map(|bin| bin.samples).sum();
        let apart = |bin: &Bin| (bin.right as f64 - bin.probabilities).abs();
        self.bins.iter().map(apart).sum::<f64>() / samples as f64
    }

    /// The probabilities that bin number `at` lies between.
    pub fn bounds(&self, at: usize) -> [f64; 2] {
        [at, at + 1].map(|edge| edge as f64 / self.bins.len() as f64)
    }
}

impl Bin {
    /// The share of the samples that are of the predicted class; none where there is no sample.
    pub fn accuracy(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.right as f64 / self.samples as f64)
    }

    /// The mean probability of the predicted class; none where there is no sample.
    pub fn confidence(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.probabilities / self.samples as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_error_by_hand() {
        let mut calibration = Calibration::default();
        // 0.72 and 0.70 share the bin from 10/15 to 11/15, half of them right; 1 is in the last one.
        for (probability, right) in [(0.72, true), (0.70, false), (1.0, true), (0.1, true)] {
            calibration.add(probability, right);
        }
        let expected = (2.0 * (0.5f64 - 0.71).abs() + 0.0 + 0.9) / 4.0;
        assert!((calibration.error() - expected).abs() < 1e-12);
        let bin = calibration.bins[10];
        assert_eq!((bin.samples, bin.accuracy()), (2, Some(0.5)));
        assert!((bin.confidence().unwrap() - 0.71).abs() < 1e-12);
        assert_eq!((calibration.bins[14].samples, calibration.bins[0].accuracy()), (1, None));
        assert_eq!(calibration.bounds(14), [14.0 / 15.0, 1.0]);
    }

    proptest! {
        #[test]
        fn each_sample_is_within_the_bounds_of_its_bin(probability in 1e-9f64..=1.0, right: bool) {
            let mut calibration = Calibration::default();
            calibration.add(probability, right);
            let at = calibration.bins.iter().position(|bin| bin.samples == 1).unwrap();
            let [low, high] = calibration.bounds(at);
            prop_assert!(low - 1e-12 <= probability && probability <= high + 1e-12);
            prop_assert!((calibration.error() - (f64::from(u8::from(right)) - probability).abs()).abs() < 1e-12);
        }
    }
}
