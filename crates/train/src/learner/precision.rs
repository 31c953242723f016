//! Mixed precision (Micikevicius et al. 2017): a narrow copy of the model computes, the model itself learns.
//!
//! The copy is made anew for each piece, so that no update is lost in its few digits. Its ops cast as
//! PyTorch's `autocast` does, by the types of its weights; see `bonfire_kernels`.

use crate::{Precision, TrainError};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, FloatDType, Tensor};

/// Burn's norms, whose weights and running statistics keep their type.
const NORMS: [&str; 5] =
    ["Struct:BatchNorm", "Struct:GroupNorm", "Struct:InstanceNorm", "Struct:LayerNorm", "Struct:RmsNorm"];

/// Refuses a precision that the device does not compute with.
///
/// # Errors
/// Names the recipe's key.
pub(crate) fn check(precision: Precision, device: &Device) -> Result<(), TrainError> {
    let supported = match precision {
        Precision::Fp32 => true,
        Precision::Bf16 => device.supports_dtype(DType::BF16),
    };
    let expected = "\"fp32\" on a device whose backend has no arithmetic of bf16";
    crate::check::check("train.precision", expected, "\"bf16\"", supported)
}

/// A copy of the model whose weights, but for those of norms, are of this type, and the leaves of a graph of
/// their own. Running statistics are the model's, so that they move with it.
pub(crate) fn narrowed<M: Module>(model: &M, dtype: FloatDType) -> M {
    struct Narrow(FloatDType, Vec<bool>);
    impl ModuleMapper for Narrow {
        fn enter_module(&mut self, _name: &str, container_type: &str) {
            self.1.push(NORMS.contains(&container_type));
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.1.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if self.1.last() == Some(&true) {
                return param;
            }
            let tracked = param.is_require_grad();
            param.map(|weight| Tensor::from_inner(weight.inner().cast(self.0)).set_require_grad(tracked))
        }
    }
    model.clone().map(&mut Narrow(dtype, Vec::new()))
}

/// The gradients of a narrow copy in f32, for the model it was made of.
pub(crate) fn widened<M: Module>(mut gradients: GradientsParams, copy: &M) -> GradientsParams {
    struct Widen<'a>(&'a mut GradientsParams);
    impl ModuleVisitor for Widen<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                self.0.register(param.id, gradient.cast(FloatDType::F32));
            }
        }
    }
    copy.visit(&mut Widen(&mut gradients));
    gradients
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_kernels::Activation;
    use bonfire_kernels::modules::{batch_norm, linear};
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};

    #[derive(Module, Debug)]
    struct Net {
        linear: Linear,
        norm: BatchNorm,
        frozen: Linear,
    }

    impl Net {
        fn new() -> Self {
            let device = Device::flex().autodiff();
            let linear = || LinearConfig::new(4, 4).init(&device);
            let norm = BatchNormConfig::new(4).init(&device);
            Net { linear: linear(), norm, frozen: linear().no_grad() }
        }

        fn loss(&self, x: Tensor<2>) -> Tensor<1> {
            let x = linear(&self.linear, x, Activation::Identity);
            let x = batch_norm(&self.norm, x, None, Activation::Relu);
            bonfire_kernels::widened(linear(&self.frozen, x, Activation::Identity)).square().mean()
        }
    }

    #[test]
    fn the_copy_is_narrow_but_for_its_norms_and_the_gradients_are_wide() {
        for dtype in [FloatDType::BF16, FloatDType::F16] {
            let net = Net::new();
            let copy = narrowed(&net, dtype);
            let types = |net: &Net| [net.linear.weight.val().dtype(), net.norm.gamma.val().dtype()];
            assert_eq!(types(&copy), [DType::from(dtype), DType::F32]);
            assert_eq!(types(&net), [DType::F32; 2]);
            assert!(copy.linear.weight.is_require_grad() && !copy.frozen.weight.is_require_grad());

            let x = Tensor::<2>::from_data([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 2.0, 7.0]], &Device::flex());
            let loss = copy.loss(Tensor::from_inner(x));
            let gradients = GradientsParams::from_grads(loss.backward(), &copy);
            let gradients = widened(gradients, &copy);
            let weight = gradients.get::<2>(net.linear.weight.id).expect("of the model's own weight");
            assert_eq!(weight.dtype(), DType::F32);
            assert!(gradients.get::<1>(net.norm.gamma.id).is_some());
            assert!(gradients.get::<2>(net.frozen.weight.id).is_none());
            // The copy's forward pass moved the model's statistics.
            let mean: f32 = net.norm.running_mean.value_sync().abs().sum().into_scalar();
            assert!(mean > 0.0, "{mean}");
        }
    }
}
