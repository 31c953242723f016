//! Adam.

use super::OptimizerOptions;
use super::groups::Groups;
use super::options::{betas, epsilon, factor, moments};
use crate::TrainError;
use crate::registered::options;
use bonfire_kernels::optimizer as fused;
use burn::optim::ModuleOptimizer;

options! {
    /// Adam (Kingma and Ba 2014); weight decay is added to the gradient.
    Adam {
        /// The peak learning rate.
        learning_rate: f64 = 1e-3,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.9,
        /// Decay of the mean of squares.
        beta_2: f64 = 0.999,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-8,
        /// Added to the gradient, times the weight.
        weight_decay: f64 = 0.0,
        /// Keep the largest mean of squares (Reddi et al. 2018).
        amsgrad: bool = false,
    }
}

impl OptimizerOptions for Adam {
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
        groups.build(|decay| fused::Adam::new(moments, factor(decay), self.amsgrad))
    }
}
