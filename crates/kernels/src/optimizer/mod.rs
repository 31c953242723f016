//! Burn's optimizers with a parameter's update in one pass. It reads the parameter, the gradient and the
//! moments once and writes them once, in place.
//!
//! Each is an [`Optimizer`](burn::optim::Optimizer) of Burn. Its state has the same record as that of Burn's
//! optimizer of the same name, so each reads the other's. Burn passes parameters one by one, so a pass covers
//! one parameter and not all of them. A parameter that is not on the CPU backend in `f32` is updated by
//! Burn's own ops.

mod adam;
mod lamb;
mod sgd;

pub use adam::{Adam, AdamW};
pub use lamb::Lamb;
pub use sgd::{Sgd, SgdState};

/// The options shared by Adam, AdamW and LAMB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// The decay of the mean of gradients, in `[0, 1)`.
    pub beta_1: f32,
    /// The decay of the mean of squared gradients, in `[0, 1)`.
    pub beta_2: f32,
    /// Added to the root of the mean of squared gradients.
    pub epsilon: f32,
}

impl Moments {
    /// The corrections `1 - beta^time` of both means, which began at 0.
    fn corrections(self, time: usize) -> [f32; 2] {
        [1.0 - self.beta_1.powi(time as i32), 1.0 - self.beta_2.powi(time as i32)]
    }
}

#[cfg(test)]
mod testing {
    use crate::testing::random;
    use burn::module::{Module, Param, ParamId};
    use burn::optim::{GradientsParams, ModuleOptimizer, Optimizer};
    use burn::tensor::{Device, Tensor, TensorData};

    #[derive(Module, Debug)]
    struct Weights {
        vector: Param<Tensor<1>>,
        matrix: Param<Tensor<2>>,
    }

    impl Weights {
        fn values(&self) -> Vec<f32> {
            let mut values: Vec<f32> = self.vector.val().into_data().try_into_vec().unwrap();
            values.extend(self.matrix.val().into_data().try_into_vec::<f32>().unwrap());
            values
        }
    }

    fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(random(&shape, seed).values, shape), device)
    }

    fn weights() -> Weights {
        let device = Device::flex().autodiff();
        Weights {
            vector: Param::initialized(ParamId::from(1), tensor([37], 1, &device).require_grad()),
            matrix: Param::initialized(ParamId::from(2), tensor([150, 131], 2, &device).require_grad()),
        }
    }

    fn gradient(step: u64) -> GradientsParams {
        let device = Device::flex();
        let mut gradient = GradientsParams::new();
        gradient.register(ParamId::from(1), tensor([37], 10 + step, &device));
        // strided, like the gradient of a transposed weight
        gradient.register(ParamId::from(2), tensor([131, 150], 20 + step, &device).transpose());
        gradient
    }

    fn assert_close(found: &[f32], expected: &[f32], what: &str) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 2e-5, "{what} at {place}: {found} against {expected}");
        }
    }

    /// Compares an optimizer with Burn's over some steps. Each then continues from the other's record.
    pub(super) fn check(fast: impl Optimizer, burns: impl Optimizer) {
        let (mut fast_model, mut burns_model) = (weights(), weights());
        let kept = fast_model.clone();
        let fresh = || (ModuleOptimizer::from(fast.clone()), ModuleOptimizer::from(burns.clone()));
        let (mut fast, mut burns) = fresh();
        for step in 0..5 {
            let rate = 0.05 / (1.0 + step as f64);
            fast_model = fast.step(rate, fast_model, gradient(step));
            burns_model = burns.step(rate, burns_model, gradient(step));
            assert_close(&fast_model.values(), &burns_model.values(), &format!("after step {step}"));
            if step == 2 {
                let records = (fast.into_bytes().unwrap(), burns.into_bytes().unwrap());
                let (new_fast, new_burns) = fresh();
                fast = new_fast.from_bytes(records.1).unwrap();
                burns = new_burns.from_bytes(records.0).unwrap();
            }
        }
        assert!(fast_model.matrix.val().is_require_grad());
        assert_close(&kept.values(), &weights().values(), "a clone from before, which shares the tensors");
    }
}
