//! An exponential fall.

use super::{ScheduleOptions, factor};
use crate::TrainError;
use crate::registered::options;

options! {
    /// The rate falls by the same factor at every step.
    Exponential {
        /// The rate is multiplied by this at each step.
        factor: f64 = 0.999,
        /// Steps of rising from near 0 to the peak in a straight line.
        warmup: u64 = 0,
    }
}

impl ScheduleOptions for Exponential {
    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn depends_on_length(&self) -> bool {
        false
    }

    fn check(&self) -> Result<(), TrainError> {
        factor(self.factor)
    }

    fn rate(&self, peak: f64, step: u64, _total: u64) -> f64 {
        peak * self.factor.powf(step as f64)
    }
}
