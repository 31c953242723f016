//! Muon.

use super::OptimizerOptions;
use super::groups::Groups;
use super::options::{betas, epsilon, fraction, moments, penalty};
use crate::TrainError;
use crate::parameters::Parameter;
use crate::registered::options;
use bonfire_kernels::optimizer as fused;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdjustLrFn, ModuleOptimizer, MuonConfig};

options! {
    /// Orthogonalised momentum (Jordan 2024) for matrices, AdamW for all other parameters. A matrix is a
    /// parameter of two dimensions whose path contains none of `embed`, `position`, `token`, `head` and
    /// `output`: look-up tables and last layers, as far as their names tell, are left to AdamW.
    Muon {
        /// The peak learning rate of both; matrices are scaled to AdamW's size of update (Liu et
        /// al. 2025).
        learning_rate: f64 = 1e-3,
        /// The fraction of a matrix's last update that is kept.
        momentum: f64 = 0.95,
        /// Look ahead along the momentum.
        nesterov: bool = true,
        /// AdamW's decay of the mean of gradients.
        beta_1: f64 = 0.9,
        /// AdamW's decay of the mean of squares.
        beta_2: f64 = 0.999,
        /// AdamW's addition to the root of the squares.
        epsilon: f64 = 1e-8,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.01,
    }
}

impl OptimizerOptions for Muon {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn check(&self) -> Result<(), TrainError> {
        fraction("momentum", self.momentum)?;
        betas(self.beta_1, self.beta_2)?;
        epsilon(self.epsilon)
    }

    fn build(&self, groups: &Groups) -> ModuleOptimizer {
        let moments = moments(self.beta_1, self.beta_2, self.epsilon);
        let momentum = MomentumConfig { momentum: self.momentum, dampening: 0.0, nesterov: self.nesterov };
        let muon = MuonConfig::new()
            .with_momentum(momentum)
            .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
            .with_weight_decay(penalty(self.weight_decay))
            .build();
        let (matrices, others) = groups.split(orthogonalised);
        matrices.add_to(others.build(|decay| fused::AdamW::new(moments, decay as f32, false)), &muon)
    }
}

/// True for a parameter that Muon takes: a matrix that is, by its path, neither a look-up table nor a last
/// layer.
fn orthogonalised(parameter: &Parameter) -> bool {
    const LEFT_TO_ADAMW: [&str; 5] = ["embed", "position", "token", "head", "output"];
    parameter.shape.len() == 2 && !LEFT_TO_ADAMW.iter().any(|word| parameter.path.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::ParamId;

    #[test]
    fn muon_takes_matrices_by_their_path() {
        let taken = |path: &str, shape: &[usize]| {
            let (path, shape) = (path.to_string(), shape.to_vec());
            orthogonalised(&Parameter { path, id: ParamId::from(1), shape, trained: true })
        };
        assert!(taken("blocks.0.attention.query.weight", &[8, 8]));
        assert!(!taken("blocks.0.attention.query.bias", &[8]));
        assert!(!taken("stem.weight", &[8, 3, 3, 3]));
        for left in ["embedding.weight", "position.weight", "class_token", "head.weight", "output.weight"] {
            assert!(!taken(left, &[8, 8]), "{left}");
        }
    }
}
