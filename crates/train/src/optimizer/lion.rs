//! Lion.

use super::OptimizerOptions;
use super::groups::Groups;
use super::options::betas;
use crate::TrainError;
use crate::registered::options;
use burn::optim::{LionConfig, ModuleOptimizer};

options! {
    /// Sign of an interpolated momentum (Chen et al. 2023).
    Lion {
        /// The peak learning rate; a third to a tenth of AdamW's.
        learning_rate: f64 = 1e-4,
        /// Interpolation of the update's direction.
        beta_1: f64 = 0.9,
        /// Decay of the momentum.
        beta_2: f64 = 0.99,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.0,
    }
}

impl OptimizerOptions for Lion {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), TrainError> {
        betas(self.beta_1, self.beta_2)
    }

    fn build(&self, groups: &Groups) -> ModuleOptimizer {
        let config = LionConfig::new().with_beta_1(self.beta_1 as f32).with_beta_2(self.beta_2 as f32);
        groups.build(|decay| config.clone().with_weight_decay(decay as f32).build())
    }
}
