//! Burn's batch norm module by the fast path.

use super::{batch_norm_eval, batch_norm_train};
use crate::activation::Activation;
use crate::checkpoint;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;

/// `activation(module.forward(x) + residual)`. The module stays Burn's own, and so do its records. It trains
/// on an autodiff device unless it is frozen, and then updates its running statistics, the variance with the
/// biased one.
///
/// # Shapes
/// - x, residual, output: `[B, C, ...]`
///
/// # Panics
/// When the shapes do not fit each other or the module.
pub fn batch_norm<const D: usize>(
    module: &BatchNorm,
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    activation: Activation,
) -> Tensor<D> {
    let device = x.device();
    let (weight, bias, epsilon) = (module.gamma.val(), module.beta.val(), module.epsilon);
    if !(device.is_autodiff() && module.training.is_enabled()) {
        let mean = module.running_mean.value().to_device(&device);
        let variance = module.running_var.value().to_device(&device);
        return batch_norm_eval(x, weight, bias, mean, variance, residual, epsilon, activation);
    }
    let (y, mean, variance) = batch_norm_train(x, weight, bias, residual, epsilon, activation);
    if checkpoint::again() {
        return y;
    }
    let momentum = module.momentum;
    for (running, found) in [(&module.running_mean, mean), (&module.running_var, variance)] {
        let before = running.value_sync().to_device(&device);
        let after = before.mul_scalar(1.0 - momentum).add(found.detach().mul_scalar(momentum));
        running.update(after.detach());
    }
    y
}
