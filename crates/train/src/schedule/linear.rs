//! A straight line.

use super::{ScheduleOptions, done, final_rate};
use crate::TrainError;
use crate::registered::options;

options! {
    /// A straight line from the peak to the final rate.
    Linear {
        /// Steps of rising from near 0 to the peak in a straight line.
        warmup: u64 = 0,
        /// The rate at the end of training.
        final_learning_rate: f64 = 0.0,
    }
}

impl ScheduleOptions for Linear {
    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn check(&self) -> Result<(), TrainError> {
        final_rate(self.final_learning_rate)
    }

    fn rate(&self, peak: f64, step: u64, total: u64) -> f64 {
        peak + (self.final_learning_rate - peak) * done(step, total)
    }
}
