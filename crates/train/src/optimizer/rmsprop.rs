//! RMSProp.

use super::OptimizerOptions;
use super::groups::Groups;
use super::options::{epsilon, fraction, penalty};
use crate::TrainError;
use crate::registered::options;
use burn::optim::{ModuleOptimizer, RmsPropConfig};

options! {
    /// Per-element rates from averaged squares (Hinton 2012).
    RmsProp {
        /// The peak learning rate.
        learning_rate: f64 = 1e-2,
        /// Decay of the mean of squares.
        alpha: f64 = 0.99,
        /// The fraction of the last update that is kept.
        momentum: f64 = 0.0,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-8,
        /// Divide by the variance of gradients instead of their mean square.
        centered: bool = false,
        /// Added to the gradient, times the weight.
        weight_decay: f64 = 0.0,
    }
}

impl OptimizerOptions for RmsProp {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), TrainError> {
        fraction("alpha", self.alpha)?;
        fraction("momentum", self.momentum)?;
        epsilon(self.epsilon)
    }

    fn build(&self, groups: &Groups) -> ModuleOptimizer {
        let config = RmsPropConfig::new()
            .with_alpha(self.alpha as f32)
            .with_momentum(self.momentum as f32)
            .with_epsilon(self.epsilon as f32)
            .with_centered(self.centered);
        groups.build(|decay| config.clone().with_weight_decay(penalty(decay)).build())
    }
}
