//! The schedules of the learning rate: one file each, with its options, their check, and its formula.
//!
//! A rate is a pure function of the step, so that resuming needs no state. A new schedule is a file with its
//! options and their [`ScheduleOptions`], a `mod` line, and a line of [`ScheduleConfig`].

use crate::TrainError;
use crate::check::check;
use crate::registered::registered;
use std::f64::consts::PI;

mod constant;
mod cosine;
mod exponential;
mod linear;
mod one_cycle;
mod step;

/// The options of one schedule.
trait ScheduleOptions {
    /// Steps of rising from near 0 to the peak in a straight line, before the schedule's own steps.
    fn warmup(&self) -> u64 {
        0
    }

    /// Refuses options that the schedule cannot have.
    ///
    /// # Errors
    /// Names the recipe's key, its possible values, and the value found.
    fn check(&self) -> Result<(), TrainError>;

    /// False where the rate of a step is the same whatever `total` is, so that a run can be made longer.
    fn depends_on_length(&self) -> bool {
        true
    }

    /// The learning rate of `step` (from 0) of `total` steps after the warm-up, where `peak` is the
    /// optimizer's own.
    fn rate(&self, peak: f64, step: u64, total: u64) -> f64;
}

registered! {
    /// The recipe's section `[schedule]`: how the learning rate moves. Steps are counted from 0.
    ScheduleConfig by ScheduleOptions {
        "constant" => constant::Constant,
        "step" => step::Step,
        "cosine" => cosine::Cosine,
        "one_cycle" => one_cycle::OneCycle,
        "linear" => linear::Linear,
        "exponential" => exponential::Exponential,
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig::Constant(Constant::default())
    }
}

impl ScheduleConfig {
    /// The learning rate of `step` (from 0) of `total` steps, where `peak` is the optimizer's own. Warm-up
    /// multiplies the peak by `(step + 1) / (warmup + 1)`, as nanoGPT does; the schedule spans the steps
    /// after it.
    pub fn learning_rate(&self, peak: f64, step: u64, total: u64) -> f64 {
        let warmup = self.options().warmup();
        if step < warmup {
            return peak * (step + 1) as f64 / (warmup + 1) as f64;
        }
        self.options().rate(peak, step - warmup, total.saturating_sub(warmup).max(1))
    }

    /// True where the rate of a step depends on the length of training, so that a run must keep its length.
    pub fn depends_on_length(&self) -> bool {
        self.options().depends_on_length()
    }

    /// Refuses options that no schedule can have.
    ///
    /// # Errors
    /// Names the recipe's key, its possible values, and the value found.
    pub fn check(&self) -> Result<(), TrainError> {
        self.options().check()
    }
}

/// The fraction of the steps that is done. Past the end (a run resumed with more steps than planned) it is 1,
/// so that the last rate holds.
fn done(step: u64, total: u64) -> f64 {
    (step as f64 / total as f64).min(1.0)
}

/// From `from` to `to` along half a cosine, `done` from 0 to 1.
fn half_cosine(from: f64, to: f64, done: f64) -> f64 {
    to + 0.5 * (from - to) * (1.0 + (done * PI).cos())
}

/// Refuses a factor by which no rate can fall.
fn factor(value: f64) -> Result<(), TrainError> {
    check("schedule.factor", "a number above 0 and at most 1", value, value > 0.0 && value <= 1.0)
}

/// Refuses a last rate that no schedule can end with.
fn final_rate(value: f64) -> Result<(), TrainError> {
    let holds = value.is_finite() && value >= 0.0;
    check("schedule.final_learning_rate", "a finite number from 0 on", value, holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
    use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
    use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
    use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
    use burn::lr_scheduler::step::StepLrSchedulerConfig;
    use burn::module::ParamId;
    use proptest::prelude::*;

    fn agree(schedule: ScheduleConfig, mut burns: ModuleLrScheduler, steps: u64) {
        for step in 0..steps {
            let theirs = burns.step().lr_from_param(ParamId::from(1), None);
            let ours = schedule.learning_rate(0.1, step, steps);
            assert!((ours - theirs).abs() < 1e-12, "{schedule:?} at {step}: {ours} against Burn's {theirs}");
        }
    }

    #[test]
    fn the_rates_are_burns_where_burn_has_the_schedule() {
        agree(
            ScheduleConfig::Cosine(Cosine { warmup: 0, final_learning_rate: 0.01 }),
            CosineAnnealingLrSchedulerConfig::new(0.1, 50).with_min_lr(0.01).init().unwrap(),
            50,
        );
        agree(
            ScheduleConfig::Linear(Linear { warmup: 0, final_learning_rate: 0.02 }),
            LinearLrSchedulerConfig::new(0.1, 0.02, 40).init().unwrap(),
            40,
        );
        agree(
            ScheduleConfig::Step(Step { every: 7, factor: 0.3, warmup: 0 }),
            StepLrSchedulerConfig::new(0.1, 7).with_gamma(0.3).init().unwrap(),
            40,
        );
        agree(
            ScheduleConfig::Exponential(Exponential { factor: 0.9, warmup: 0 }),
            ExponentialLrSchedulerConfig::new(0.1, 0.9).init().unwrap(),
            40,
        );
    }

    #[test]
    fn nano_gpts_schedule_to_the_digit() {
        // get_lr of nanoGPT: warm-up 100, 2000 steps, 1e-3 to 1e-4.
        let schedule = ScheduleConfig::Cosine(Cosine { warmup: 100, final_learning_rate: 1e-4 });
        let rate = |step| schedule.learning_rate(1e-3, step, 2000);
        assert!((rate(0) - 1e-3 / 101.0).abs() < 1e-15);
        assert!((rate(99) - 1e-3 * 100.0 / 101.0).abs() < 1e-15);
        assert!((rate(100) - 1e-3).abs() < 1e-15);
        assert!((rate(1050) - 5.5e-4).abs() < 1e-15);
        assert!((rate(2000) - 1e-4).abs() < 1e-15);
    }

    #[test]
    fn one_cycle_starts_peaks_and_ends_where_pytorch_does() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=100): 0.004, 0.1 at 29, 4e-7.
        let schedule = ScheduleConfig::named("one_cycle").unwrap();
        let rate = |step| schedule.learning_rate(0.1, step, 100);
        assert!((rate(0) - 0.004).abs() < 1e-12);
        assert!((rate(29) - 0.1).abs() < 1e-12);
        assert!((rate(99) - 4e-7).abs() < 1e-12);
        assert!(rate(28) < rate(29) && rate(30) < rate(29));
    }

    #[test]
    fn names_are_what_recipes_write() {
        for name in ScheduleConfig::NAMES {
            let schedule = ScheduleConfig::named(name).unwrap();
            schedule.check().unwrap();
            let parsed: ScheduleConfig = toml::from_str(&format!("name = {name:?}")).unwrap();
            assert_eq!(parsed, schedule);
            assert_eq!(serde_json::to_value(&schedule).unwrap()["name"], name);
            assert!(toml::from_str::<ScheduleConfig>(&format!("name = {name:?}\nunheard_of = 1")).is_err());
        }
        assert_eq!(ScheduleConfig::named("sine"), None);
    }

    #[test]
    fn rates_that_do_not_depend_on_the_length_are_the_same_in_a_longer_run() {
        for name in ScheduleConfig::NAMES {
            let schedule = ScheduleConfig::named(name).unwrap();
            let same =
                |step| schedule.learning_rate(0.3, step, 100) == schedule.learning_rate(0.3, step, 200);
            assert_eq!((0..100).all(same), !schedule.depends_on_length(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn rates_stay_between_zero_and_the_peak(
            name in prop::sample::select(ScheduleConfig::NAMES.to_vec()), total in 1u64..500, past in 0u64..20,
        ) {
            let schedule = ScheduleConfig::named(name).unwrap();
            for step in 0..total + past {
                let rate = schedule.learning_rate(0.3, step, total);
                prop_assert!(rate.is_finite() && (0.0..=0.3 + 1e-15).contains(&rate), "{rate} at {step}");
            }
        }
    }
}
