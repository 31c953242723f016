//! Learning-rate schedules: pure functions of the step, so that resuming needs no state.

use crate::TrainError;
use crate::config::{check, positive};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The recipe's section `[schedule]`: how the learning rate moves. Steps are counted from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum ScheduleConfig {
    /// The peak all along.
    Constant(Constant),
    /// Falls by a factor at regular steps.
    Step(Step),
    /// Half a cosine from the peak to the final rate.
    Cosine(Cosine),
    /// Rises to the peak and falls far below the start, both along half a cosine.
    OneCycle(OneCycle),
    /// A straight line from the peak to the final rate.
    Linear(Linear),
    /// Falls by the same factor every step.
    Exponential(Exponential),
}

/// Options of [`ScheduleConfig::Constant`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {
    /// Steps of rising from near 0 to the peak in a straight line.
    pub warmup: u64,
}

/// Options of [`ScheduleConfig::Step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// Steps between falls.
    pub every: u64,
    /// What the rate is multiplied by at each fall.
    pub factor: f64,
    /// Steps of rising from near 0 to the peak in a straight line.
    pub warmup: u64,
}

impl Default for Step {
    fn default() -> Self {
        Step { every: 1000, factor: 0.1, warmup: 0 }
    }
}

/// Options of [`ScheduleConfig::Cosine`] (Loshchilov and Hutter 2016, without restarts).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Steps of rising from near 0 to the peak in a straight line.
    pub warmup: u64,
    /// The rate at the end of training.
    pub final_learning_rate: f64,
}

/// Options of [`ScheduleConfig::OneCycle`] (Smith and Topin 2017, with PyTorch's cosine legs).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// The fraction of all steps that rises.
    pub rise: f64,
    /// The peak over the first rate.
    pub initial_divisor: f64,
    /// The first rate over the last.
    pub final_divisor: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        OneCycle { rise: 0.3, initial_divisor: 25.0, final_divisor: 1e4 }
    }
}

/// Options of [`ScheduleConfig::Linear`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    /// Steps of rising from near 0 to the peak in a straight line.
    pub warmup: u64,
    /// The rate at the end of training.
    pub final_learning_rate: f64,
}

/// Options of [`ScheduleConfig::Exponential`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exponential {
    /// What the rate is multiplied by at each step.
    pub factor: f64,
    /// Steps of rising from near 0 to the peak in a straight line.
    pub warmup: u64,
}

impl Default for Exponential {
    fn default() -> Self {
        Exponential { factor: 0.999, warmup: 0 }
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig::Constant(Constant::default())
    }
}

impl ScheduleConfig {
    /// The names a recipe may write.
    pub const NAMES: [&str; 6] = ["constant", "step", "cosine", "one_cycle", "linear", "exponential"];

    /// The schedule of this name with its default options.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "constant" => ScheduleConfig::Constant(Constant::default()),
            "step" => ScheduleConfig::Step(Step::default()),
            "cosine" => ScheduleConfig::Cosine(Cosine::default()),
            "one_cycle" => ScheduleConfig::OneCycle(OneCycle::default()),
            "linear" => ScheduleConfig::Linear(Linear::default()),
            "exponential" => ScheduleConfig::Exponential(Exponential::default()),
            _ => return None,
        })
    }

    /// The learning rate of `step` (from 0) of `total` steps, where `peak` is the optimizer's own.
    /// Warm-up multiplies the peak by `(step + 1) / (warmup + 1)`, as nanoGPT does; what follows it
    /// spans the steps that are left.
    pub fn learning_rate(&self, peak: f64, step: u64, total: u64) -> f64 {
        let warmup = self.warmup();
        if step < warmup {
            return peak * (step + 1) as f64 / (warmup + 1) as f64;
        }
        let (step, total) = (step - warmup, total.saturating_sub(warmup).max(1));
        // Past the end (a run resumed with more steps than planned) the last rate holds.
        let done = (step as f64 / total as f64).min(1.0);
        match self {
            ScheduleConfig::Constant(_) => peak,
            ScheduleConfig::Step(options) => peak * options.factor.powi((step / options.every) as i32),
            ScheduleConfig::Cosine(options) => half_cosine(peak, options.final_learning_rate, done),
            ScheduleConfig::OneCycle(options) => {
                let first = peak / options.initial_divisor;
                let top = (options.rise * total as f64 - 1.0).max(0.0);
                let end = (total as f64 - 1.0).max(top + f64::MIN_POSITIVE);
                let step = step as f64;
                match step <= top && top > 0.0 {
                    true => half_cosine(first, peak, step / top),
                    false => half_cosine(
                        peak,
                        first / options.final_divisor,
                        ((step - top) / (end - top)).min(1.0),
                    ),
                }
            }
            ScheduleConfig::Linear(options) => peak + (options.final_learning_rate - peak) * done,
            ScheduleConfig::Exponential(options) => peak * options.factor.powf(step as f64),
        }
    }

    fn warmup(&self) -> u64 {
        match self {
            ScheduleConfig::Constant(options) => options.warmup,
            ScheduleConfig::Step(options) => options.warmup,
            ScheduleConfig::Cosine(options) => options.warmup,
            ScheduleConfig::OneCycle(_) => 0,
            ScheduleConfig::Linear(options) => options.warmup,
            ScheduleConfig::Exponential(options) => options.warmup,
        }
    }

    /// Refuses options that no schedule can have.
    ///
    /// # Errors
    /// Names the recipe's key, what it may be, and what it was.
    pub fn check(&self) -> Result<(), TrainError> {
        let rate = |value: f64| {
            let holds = value.is_finite() && value >= 0.0;
            check("schedule.final_learning_rate", "a finite number from 0 on", value, holds)
        };
        let factor = |value: f64| {
            check("schedule.factor", "a number above 0 and at most 1", value, value > 0.0 && value <= 1.0)
        };
        match self {
            ScheduleConfig::Constant(_) => Ok(()),
            ScheduleConfig::Step(options) => {
                positive("schedule.every", Some(options.every))?;
                factor(options.factor)
            }
            ScheduleConfig::Cosine(options) => rate(options.final_learning_rate),
            ScheduleConfig::Linear(options) => rate(options.final_learning_rate),
            ScheduleConfig::Exponential(options) => factor(options.factor),
            ScheduleConfig::OneCycle(options) => {
                let inside = (0.0..1.0).contains(&options.rise);
                check("schedule.rise", "a fraction from 0 to below 1", options.rise, inside)?;
                let first = options.initial_divisor;
                check(
                    "schedule.initial_divisor",
                    "a finite number from 1 on",
                    first,
                    first.is_finite() && first >= 1.0,
                )?;
                let last = options.final_divisor;
                check(
                    "schedule.final_divisor",
                    "a finite number from 1 on",
                    last,
                    last.is_finite() && last >= 1.0,
                )
            }
        }
    }
}

/// From `from` to `to` along half a cosine, `done` from 0 to 1.
fn half_cosine(from: f64, to: f64, done: f64) -> f64 {
    to + 0.5 * (from - to) * (1.0 + (done * PI).cos())
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
