//! A constant rate, the default.

use super::ScheduleOptions;
use crate::TrainError;
use crate::registered::options;

options! {
    /// The peak all along.
    Constant {
        /// Steps of rising from near 0 to the peak in a straight line.
        warmup: u64 = 0,
    }
}

impl ScheduleOptions for Constant {
    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn depends_on_length(&self) -> bool {
        false
    }

    fn check(&self) -> Result<(), TrainError> {
        Ok(())
    }

    fn rate(&self, peak: f64, _step: u64, _total: u64) -> f64 {
        peak
    }
}
