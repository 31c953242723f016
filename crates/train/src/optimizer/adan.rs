//! Adan.

use super::OptimizerOptions;
use super::groups::Groups;
use super::options::{betas, epsilon, fraction};
use crate::TrainError;
use crate::registered::options;
use burn::optim::{AdanConfig, ModuleOptimizer};

options! {
    /// Adam with Nesterov momentum of gradient differences (Xie et al. 2022).
    Adan {
        /// The peak learning rate.
        learning_rate: f64 = 1e-3,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.98,
        /// Decay of the mean of gradient differences.
        beta_2: f64 = 0.92,
        /// Decay of the mean of squares.
        beta_3: f64 = 0.99,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-8,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.0,
    }
}

impl OptimizerOptions for Adan {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), TrainError> {
        betas(self.beta_1, self.beta_2)?;
        fraction("beta_3", self.beta_3)?;
        epsilon(self.epsilon)
    }

    fn build(&self, groups: &Groups) -> ModuleOptimizer {
        let config = AdanConfig::new()
            .with_beta_1(self.beta_1 as f32)
            .with_beta_2(self.beta_2 as f32)
            .with_beta_3(self.beta_3 as f32)
            .with_epsilon(self.epsilon as f32);
        groups.build(|decay| config.clone().with_weight_decay(decay as f32).build())
    }
}
