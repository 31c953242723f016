//! Burn's optimizers with the update of a parameter in one pass: parameter, gradient and moments are read once and
//! written once, in place.
//!
//! Each is an [`Optimizer`](burn::optim::Optimizer) of Burn whose state is recorded as that of Burn's own of the same
//! name, so that each reads what the other wrote. Burn hands parameters over one by one, so that a pass is over one
//! parameter and not over all of them. Where a parameter is not on the CPU backend in `f32`, Burn's own ops do the
//! same.

mod adam;
mod lamb;
mod sgd;

pub use adam::{Adam, AdamW};
pub use lamb::Lamb;
pub use sgd::{Sgd, SgdState};

/// What Adam and its kin share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// The decay of the mean of gradients.
    pub beta_1: f32,
    /// The decay of the mean of their squares.
    pub beta_2: f32,
    /// Added to the root of the mean of squares.
    pub epsilon: f32,
}

impl Moments {
    /// `1 - beta^time` of both means, what is missing in them since they began at 0.
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
        // strided, as the gradient of a transposed weight is
        gradient.register(ParamId::from(2), tensor([131, 150], 20 + step, &device).transpose());
        gradient
    }

    fn assert_close(found: &[f32], expected: &[f32], what: &str) {
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 2e-5, "{what} at {place}: {found} against {expected}");
        }
    }

    /// Holds an optimizer to Burn's over some steps; each then continues from the other's record.
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
