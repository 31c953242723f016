//! LAMB.

use super::OptimizerOptions;
use super::groups::Groups;
use super::options::{betas, epsilon, moments};
use crate::TrainError;
use crate::registered::options;
use bonfire_kernels::optimizer as fused;
use burn::optim::ModuleOptimizer;

options! {
    /// Adam with layer-wise trust ratios (You et al. 2019).
    Lamb {
        /// The peak learning rate.
        learning_rate: f64 = 1e-3,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.9,
        /// Decay of the mean of squares.
        beta_2: f64 = 0.999,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-6,
        /// Added to the update before its trust ratio, times the weight.
        weight_decay: f64 = 0.0,
    }
}

impl OptimizerOptions for Lamb {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), TrainError> {
        betas(self.beta_1, self.beta_2)?;
        epsilon(self.epsilon)
    }

    fn build(&self, groups: &Groups) -> ModuleOptimizer {
        let moments = moments(self.beta_1, self.beta_2, self.epsilon);
        groups.build(|decay| fused::Lamb::new(moments, decay as f32))
    }
}
