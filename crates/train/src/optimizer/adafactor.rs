//! Adafactor.

use super::OptimizerOptions;
use super::groups::Groups;
use crate::TrainError;
use crate::check::{above_zero, check};
use crate::registered::options;
use burn::optim::{AdafactorConfig, ModuleOptimizer};

options! {
    /// Adam with factored second moments (Shazeer and Stern 2018).
    Adafactor {
        /// The peak learning rate.
        learning_rate: f64 = 1e-2,
        /// The largest root mean square of an update.
        clip_threshold: f64 = 1.0,
        /// Exponent of the second moment's decay, below 0.
        decay_rate: f64 = -0.8,
        /// Cap the rate by one over the root of the step.
        relative_step: bool = true,
        /// Multiply the rate by the parameter's root mean square.
        scale_parameter: bool = true,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.0,
    }
}

impl OptimizerOptions for Adafactor {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), TrainError> {
        above_zero("optimizer.clip_threshold", Some(self.clip_threshold))?;
        let holds = self.decay_rate.is_finite() && self.decay_rate < 0.0;
        check("optimizer.decay_rate", "a finite number below 0", self.decay_rate, holds)
    }

    fn build(&self, groups: &Groups) -> ModuleOptimizer {
        let config = AdafactorConfig::new()
            .with_clip_threshold(self.clip_threshold as f32)
            .with_decay_rate(self.decay_rate)
            .with_relative_step(self.relative_step)
            .with_scale_parameter(self.scale_parameter);
        groups.build(|decay| config.clone().with_weight_decay(decay as f32).build())
    }
}
