//! One cycle: up, then far down.

use super::{ScheduleOptions, half_cosine};
use crate::TrainError;
use crate::check::check;
use crate::registered::options;

options! {
    /// Rises to the peak and falls far below the start (Smith and Topin 2017), both along half a cosine as
    /// PyTorch does.
    OneCycle {
        /// The fraction of all steps that rises.
        rise: f64 = 0.3,
        /// The peak over the first rate.
        initial_divisor: f64 = 25.0,
        /// The first rate over the last.
        final_divisor: f64 = 1e4,
    }
}

impl ScheduleOptions for OneCycle {
    fn check(&self) -> Result<(), TrainError> {
        let inside = (0.0..1.0).contains(&self.rise);
        check("schedule.rise", "a fraction from 0 to below 1", self.rise, inside)?;
        let from_one = |key: &str, value: f64| {
            check(key, "a finite number from 1 on", value, value.is_finite() && value >= 1.0)
        };
        from_one("schedule.initial_divisor", self.initial_divisor)?;
        from_one("schedule.final_divisor", self.final_divisor)
    }

    fn rate(&self, peak: f64, step: u64, total: u64) -> f64 {
        let first = peak / self.initial_divisor;
        let top = (self.rise * total as f64 - 1.0).max(0.0);
        let end = (total as f64 - 1.0).max(top + f64::MIN_POSITIVE);
        let step = step as f64;
        if step <= top && top > 0.0 {
            half_cosine(first, peak, step / top)
        } else {
            half_cosine(peak, first / self.final_divisor, ((step - top) / (end - top)).min(1.0))
        }
    }
}
