//! Falls at regular steps.

use super::{ScheduleOptions, factor};
use crate::TrainError;
use crate::check::positive;
use crate::registered::options;

options! {
    /// The rate falls by a factor at regular steps.
    Step {
        /// Steps between falls.
        every: u64 = 1000,
        /// The rate is multiplied by this at each fall.
        factor: f64 = 0.1,
        /// Steps of rising from near 0 to the peak in a straight line.
        warmup: u64 = 0,
    }
}

impl ScheduleOptions for Step {
    fn warmup(&self) -> u64 {
        self.warmup
    }

    fn depends_on_length(&self) -> bool {
        false
    }

    fn check(&self) -> Result<(), TrainError> {
        positive("schedule.every", Some(self.every))?;
        factor(self.factor)
    }

    fn rate(&self, peak: f64, step: u64, _total: u64) -> f64 {
        peak * self.factor.powi((step / self.every) as i32)
    }
}
