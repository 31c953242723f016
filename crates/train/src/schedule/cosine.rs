//! Half a cosine.

use super::{ScheduleOptions, done, final_rate, half_cosine};
use crate::TrainError;
use crate::registered::options;

options! {
    /// Half a cosine from the peak to the final rate (Loshchilov and Hutter 2016, without restarts).
    Cosine {
        /// Steps of rising from near 0 to the peak in a straight line.
        warmup: u64 = 0,
        /// The rate at the end of training.
        final_learning_rate: f64 = 0.0,
    }
}

impl ScheduleOptions for Cosine {
    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn check(&self) -> Result<(), TrainError> {
        final_rate(self.final_learning_rate)
    }

    fn rate(&self, peak: f64, step: u64, total: u64) -> f64 {
        half_cosine(peak, self.final_learning_rate, done(step, total))
    }
}
