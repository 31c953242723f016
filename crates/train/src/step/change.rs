//! Changes to every tensor of a gradient.

use crate::parameters::{Parameter, by_rank};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// A change of tensors of any number of dimensions.
pub(super) trait Change {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D>;
}

/// Times a number.
pub(super) struct Scale(pub(super) f64);

/// Each element within a magnitude.
pub(super) struct Clamp(pub(super) f64);

/// Times a number on the device, `[1]`.
pub(super) struct Multiply(pub(super) Tensor<1>);

impl Change for Scale {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        bonfire_kernels::scaled(tensor, self.0)
    }
}

impl Change for Clamp {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        tensor.clamp(-self.0, self.0)
    }
}

impl Change for Multiply {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        tensor * self.0.clone().reshape([1; D])
    }
}

/// Changes every tensor of a gradient.
pub(super) fn each(gradient: &mut GradientsParams, parameters: &[Parameter], change: impl Change) {
    for parameter in parameters {
        by_rank!(parameter.shape.len(), D => {
            if let Some(tensor) = gradient.remove::<D>(parameter.id) {
                gradient.register(parameter.id, change.change(tensor));
            }
        });
    }
}
