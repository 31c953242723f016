//! Stochastic gradient descent.

use super::OptimizerOptions;
use super::groups::Groups;
use super::options::{factor, fraction};
use crate::TrainError;
use crate::check::check;
use crate::registered::options;
use bonfire_kernels::optimizer as fused;
use burn::optim::ModuleOptimizer;
use burn::optim::momentum::MomentumConfig;

options! {
    /// Gradient descent, with momentum (Sutskever et al. 2013) where asked for.
    Sgd {
        /// The peak learning rate.
        learning_rate: f64 = 0.01,
        /// The fraction of the last update that is kept; 0 for plain gradient descent.
        momentum: f64 = 0.0,
        /// The fraction of the gradient that is left out of the momentum.
        dampening: f64 = 0.0,
        /// Look ahead along the momentum.
        nesterov: bool = false,
        /// Added to the gradient, times the weight.
        weight_decay: f64 = 0.0,
    }
}

impl OptimizerOptions for Sgd {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), TrainError> {
        fraction("momentum", self.momentum)?;
        fraction("dampening", self.dampening)?;
        let held = !self.nesterov || self.momentum > 0.0;
        check("optimizer.nesterov", "false where momentum is 0", self.nesterov, held)
    }

    fn build(&self, groups: &Groups) -> ModuleOptimizer {
        let momentum = (self.momentum > 0.0).then_some(MomentumConfig {
            momentum: self.momentum,
            dampening: self.dampening,
            nesterov: self.nesterov,
        });
        groups.build(|decay| fused::Sgd::new(momentum.clone(), factor(decay)))
    }
}
