//! Adagrad.

use super::OptimizerOptions;
use super::groups::Groups;
use super::options::{epsilon, penalty};
use crate::TrainError;
use crate::check::check;
use crate::registered::options;
use burn::optim::{AdaGradConfig, ModuleOptimizer};

options! {
    /// Per-element rates from summed squares (Duchi et al. 2011).
    Adagrad {
        /// The peak learning rate.
        learning_rate: f64 = 1e-2,
        /// The rate is divided by 1 plus this times the step.
        learning_rate_decay: f64 = 0.0,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-10,
        /// Added to the gradient, times the weight.
        weight_decay: f64 = 0.0,
    }
}

impl OptimizerOptions for Adagrad {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), TrainError> {
        let (key, value) = ("optimizer.learning_rate_decay", self.learning_rate_decay);
        check(key, "a finite number from 0 on", value, value.is_finite() && value >= 0.0)?;
        epsilon(self.epsilon)
    }

    fn build(&self, groups: &Groups) -> ModuleOptimizer {
        let config =
            AdaGradConfig::new().with_lr_decay(self.learning_rate_decay).with_epsilon(self.epsilon as f32);
        groups.build(|decay| config.clone().with_weight_decay(penalty(decay)).build())
    }
}
