//! Changes to every tensor of a gradient.

use crate::parameters::{Parameter, by_dimensions};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// A change of tensors of any number of dimensions.
pub(crate) trait Change {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D>;
}

/// Times a number.
pub(crate) struct Scale(pub(crate) f64);

/// Each element within a magnitude.
pub(crate) struct Clamp(pub(crate) f64);

/// Times a number on the device, `[1]`.
pub(crate) struct Multiply(pub(crate) Tensor<1>);

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
pub(crate) fn each(gradient: &mut GradientsParams, parameters: &[Parameter], change: impl Change) {
    for parameter in parameters {
        by_dimensions!(parameter.shape.len(), D => {
            if let Some(tensor) = gradient.remove::<D>(parameter.id) {
                gradient.register(parameter.id, change.change(tensor));
            }
        });
    }
}
