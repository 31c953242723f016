//! Gradient descent, with optional momentum (Sutskever et al. 2013).

use crate::elementwise::{LEAST, close, open, opens};
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource, join_path};
use burn::tensor::{Device, Tensor};

/// [`burn::optim::Sgd`] with the update in one pass.
#[derive(Clone, Debug)]
pub struct Sgd {
    momentum: Option<MomentumConfig>,
    decay: Option<f32>,
}

/// The velocity of a parameter, if there is momentum. Its record is that of Burn's `SgdState`.
#[derive(Clone, Debug)]
pub struct SgdState<const D: usize> {
    velocity: Option<Tensor<D>>,
}

const PART: &str = "momentum";
const LEAF: &str = "velocity";

impl<const D: usize> RecordState for SgdState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        if let Some(velocity) = &self.velocity {
            out.push_tensor(&join_path(prefix, PART), LEAF, velocity.to_data());
        }
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let velocity = source.take_tensor(&join_path(prefix, PART), LEAF);
        Some(SgdState { velocity: velocity.map(|data| Tensor::from_data(data, device)) })
    }
}

impl Sgd {
    /// SGD that adds `weight_decay` times the parameter to its gradient.
    pub fn new(momentum: Option<MomentumConfig>, weight_decay: Option<f32>) -> Self {
        Sgd { momentum, decay: weight_decay }
    }

    /// The twin, made of Burn's own ops.
    fn plain<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        mut gradient: Tensor<D>,
        velocity: Option<Tensor<D>>,
    ) -> (Tensor<D>, Option<Tensor<D>>) {
        if let Some(decay) = self.decay {
            gradient = parameter.clone().mul_scalar(decay).add(gradient);
        }
        let Some(momentum) = &self.momentum else {
            return (parameter - gradient.mul_scalar(rate), velocity);
        };
        let velocity = match velocity {
            Some(velocity) => gradient
                .clone()
                .mul_scalar(1.0 - momentum.dampening)
                .add(velocity.mul_scalar(momentum.momentum)),
            None => gradient.clone(),
        };
        let direction = if momentum.nesterov {
            velocity.clone().mul_scalar(momentum.momentum).add(gradient)
        } else {
            velocity.clone()
        };
        (parameter - direction.mul_scalar(rate), Some(velocity))
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let velocity = state.and_then(|state| state.velocity);
        if !opens(&parameter) || !opens(&gradient) || velocity.as_ref().is_some_and(|v| !opens(v)) {
            let (parameter, velocity) = self.plain(rate, parameter, gradient, velocity);
            return (parameter, Some(SgdState { velocity }));
        }
        let velocity = self
            .momentum
            .as_ref()
            .map(|_| (velocity.is_some(), velocity.unwrap_or_else(|| parameter.zeros_like())));
        let (mut parameter, gradient) = (open(parameter), open(gradient));
        let slope = gradient.as_slice().expect("row after row");
        let (rate, decay) = (rate as f32, self.decay.unwrap_or(0.0));
        let velocity = match (&self.momentum, velocity) {
            (Some(momentum), Some((moving, velocity))) => {
                let pass = Pass {
                    rate,
                    decay,
                    momentum: momentum.momentum as f32,
                    // the first velocity is the whole gradient
                    share: if moving { 1.0 - momentum.dampening as f32 } else { 1.0 },
                    nesterov: momentum.nesterov,
                };
                let mut velocity = open(velocity);
                pass.run(parameter.storage_mut(), slope, velocity.storage_mut());
                Some(close(velocity))
            }
            _ => {
                descend(parameter.storage_mut(), slope, rate, decay);
                None
            }
        };
        (close(parameter), Some(SgdState { velocity }))
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        SgdState { velocity: state.velocity.map(|velocity| velocity.to_device(device)) }
    }
}

/// `parameter -= rate * (gradient + decay * parameter)`
fn descend(parameter: &mut [f32], gradient: &[f32], rate: f32, decay: f32) {
    struct Descend<'a>(&'a mut [f32], &'a [f32], f32, f32);
    impl Kernel for Descend<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let (rate, decay) = (s.splat(self.2), s.splat(self.3));
            for (parameter, gradient) in self.0.chunks_mut(S::LANES).zip(self.1.chunks(S::LANES)) {
                let p = s.load_first(parameter);
                let g = s.mul_add(p, decay, s.load_first(gradient));
                s.store_first(parameter, s.neg_mul_add(g, rate, p));
            }
        }
    }
    let length = parameter.len();
    assert_eq!(gradient.len(), length);
    let parameter = Shared::new(parameter);
    threads::ranges(length, LEAST, |range| {
        // SAFETY: the ranges do not overlap.
        run(Descend(unsafe { parameter.part(range.clone()) }, &gradient[range], rate, decay));
    });
}

/// A step with momentum.
#[derive(Clone, Copy)]
struct Pass {
    rate: f32,
    decay: f32,
    momentum: f32,
    /// The gradient's share in the velocity.
    share: f32,
    nesterov: bool,
}

impl Pass {
    fn run(self, parameter: &mut [f32], gradient: &[f32], velocity: &mut [f32]) {
        let length = parameter.len();
        assert_eq!((gradient.len(), velocity.len()), (length, length));
        let (parameter, velocity) = (Shared::new(parameter), Shared::new(velocity));
        threads::ranges(length, LEAST, |range| {
            // SAFETY: the ranges do not overlap.
            let (parameter, velocity) =
                unsafe { (parameter.part(range.clone()), velocity.part(range.clone())) };
            run(MomentumStep { pass: self, parameter, gradient: &gradient[range], velocity });
        });
    }
}

struct MomentumStep<'a> {
    pass: Pass,
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    velocity: &'a mut [f32],
}

impl Kernel for MomentumStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pass { rate, decay, momentum, share, nesterov } = self.pass;
        let (rate, decay) = (s.splat(rate), s.splat(decay));
        let (momentum, share) = (s.splat(momentum), s.splat(share));
        let chunks = self.parameter.chunks_mut(S::LANES).zip(self.gradient.chunks(S::LANES));
        for ((parameter, gradient), velocity) in chunks.zip(self.velocity.chunks_mut(S::LANES)) {
            let p = s.load_first(parameter);
            let g = s.mul_add(p, decay, s.load_first(gradient));
            let v = s.mul_add(s.load_first(velocity), momentum, s.mul(g, share));
            let direction = if nesterov { s.mul_add(v, momentum, g) } else { v };
            s.store_first(velocity, v);
            s.store_first(parameter, s.neg_mul_add(direction, rate, p));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;
    use burn::optim::SgdConfig;
    use burn::optim::decay::WeightDecayConfig;

    #[test]
    fn is_burns_sgd() {
        let momentum = |dampening, nesterov| Some(MomentumConfig { momentum: 0.9, dampening, nesterov });
        for momentum in [None, momentum(0.0, false), momentum(0.1, false), momentum(0.0, true)] {
            for decay in [None, Some(0.05)] {
                let burns = SgdConfig::new()
                    .with_momentum(momentum.clone())
                    .with_weight_decay(decay.map(WeightDecayConfig::new));
                check(Sgd::new(momentum.clone(), decay), burns.build());
            }
        }
    }

    #[test]
    fn a_step_by_burns_ops_is_the_same() {
        let device = Device::flex();
        let momentum = Some(MomentumConfig { momentum: 0.9, dampening: 0.1, nesterov: true });
        let sgd = Sgd::new(momentum, Some(0.1));
        let tensor = |x: f32| Tensor::<1>::from_data([x, -x, 0.5], &device);
        let (fast, state) =
            sgd.step(0.1, tensor(1.0), tensor(2.0), Some(SgdState { velocity: Some(tensor(3.0)) }));
        let (plain, velocity) = sgd.plain(0.1, tensor(1.0), tensor(2.0), Some(tensor(3.0)));
        let tolerance = burn::tensor::Tolerance::absolute(1e-6);
        fast.into_data().assert_approx_eq::<f32>(&plain.into_data(), tolerance);
        let found = state.unwrap().velocity.unwrap().into_data();
        found.assert_approx_eq::<f32>(&velocity.unwrap().into_data(), tolerance);
    }
}
