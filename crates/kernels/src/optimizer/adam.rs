//! Adam (Kingma and Ba 2014), and AdamW with decoupled weight decay (Loshchilov and Hutter 2017).

use super::Moments;
use crate::elementwise::{LEAST, close, open, opens};
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{self as burns, AdamState, AdamWState, AdaptiveMomentumState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};

/// [`burn::optim::Adam`] with the update in one pass.
#[derive(Clone)]
pub struct Adam {
    moments: Moments,
    decay: Option<f32>,
    /// Burn's own Adam, for parameters that are not on the CPU backend and for AMSGrad.
    burns: burns::Adam,
    amsgrad: bool,
}

impl Adam {
    /// Adam that adds `weight_decay` times the parameter to its gradient.
    pub fn new(moments: Moments, weight_decay: Option<f32>, amsgrad: bool) -> Self {
        let burns = burns::AdamConfig::new()
            .with_beta_1(moments.beta_1)
            .with_beta_2(moments.beta_2)
            .with_epsilon(moments.epsilon)
            .with_amsgrad(amsgrad)
            .with_weight_decay(weight_decay.map(WeightDecayConfig::new))
            .build();
        Adam { moments, decay: weight_decay, burns, amsgrad }
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let state = state.map(|state| state.momentum);
        if self.amsgrad || !all_open(&parameter, &gradient, state.as_ref()) {
            return self.burns.step(rate, parameter, gradient, state.map(AdamState::new));
        }
        let (parameter, state) = step(self.moments, parameter, gradient, state, |[first, second]| {
            let root = second.sqrt();
            Scales {
                gradient_decay: self.decay.unwrap_or(0.0),
                keep: 1.0,
                rate: rate as f32 * root / first,
                root: 1.0,
                epsilon: self.moments.epsilon * root,
            }
        });
        (parameter, Some(AdamState::new(state)))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        AdamState::new(state.momentum.to_device(device))
    }
}

/// [`burn::optim::AdamW`] with the update in one pass.
#[derive(Clone)]
pub struct AdamW {
    moments: Moments,
    decay: f32,
    /// Burn's own AdamW, for parameters that are not on the CPU backend and for AMSGrad.
    burns: burns::AdamW,
    amsgrad: bool,
}

impl AdamW {
    /// AdamW that shrinks the parameter by the learning rate times `weight_decay` in each step.
    pub fn new(moments: Moments, weight_decay: f32, amsgrad: bool) -> Self {
        let burns = burns::AdamWConfig::new()
            .with_beta_1(moments.beta_1)
            .with_beta_2(moments.beta_2)
            .with_epsilon(moments.epsilon)
            .with_amsgrad(amsgrad)
            .with_weight_decay(weight_decay)
            .build();
        AdamW { moments, decay: weight_decay, burns, amsgrad }
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let state = state.map(|state| state.momentum);
        if self.amsgrad || !all_open(&parameter, &gradient, state.as_ref()) {
            return self.burns.step(rate, parameter, gradient, state.map(AdamWState::new));
        }
        let (parameter, state) = step(self.moments, parameter, gradient, state, |[first, second]| Scales {
            gradient_decay: 0.0,
            keep: (1.0 - rate * f64::from(self.decay)) as f32,
            rate: rate as f32 / first,
            root: 1.0 / second.sqrt(),
            epsilon: self.moments.epsilon,
        });
        (parameter, Some(AdamWState::new(state)))
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        AdamWState::new(state.momentum.to_device(device))
    }
}

fn all_open<const D: usize>(
    parameter: &Tensor<D>,
    gradient: &Tensor<D>,
    state: Option<&AdaptiveMomentumState<D>>,
) -> bool {
    let moments = |state: &AdaptiveMomentumState<D>| opens(&state.moment_1) && opens(&state.moment_2);
    opens(parameter) && opens(gradient) && state.is_none_or(moments)
}

fn step<const D: usize>(
    moments: Moments,
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    state: Option<AdaptiveMomentumState<D>>,
    scales: impl Fn([f32; 2]) -> Scales,
) -> (Tensor<D>, AdaptiveMomentumState<D>) {
    let zeros = || parameter.zeros_like();
    let state = state.unwrap_or_else(|| AdaptiveMomentumState::new(0, zeros(), zeros()));
    let time = state.time + 1;
    let (mut first, mut second) = (open(state.moment_1), open(state.moment_2));
    let (mut parameter, gradient) = (open(parameter), open(gradient));
    pass(
        moments,
        scales(moments.corrections(time)),
        parameter.storage_mut(),
        gradient.as_slice().expect("row after row"),
        [first.storage_mut(), second.storage_mut()],
    );
    let mut state = AdaptiveMomentumState::new(time, close(first), close(second));
    state.max_moment_2 = None;
    (close(parameter), state)
}

/// The factors of an update: `m = beta_1 m + (1 - beta_1) g` and `v = beta_2 v + (1 - beta_2) g^2`, with
/// `g = gradient + gradient_decay p`, and then `p = keep p - rate m / (root sqrt(v) + epsilon)`.
#[derive(Clone, Copy)]
struct Scales {
    gradient_decay: f32,
    keep: f32,
    rate: f32,
    root: f32,
    epsilon: f32,
}

fn pass(
    moments: Moments,
    scales: Scales,
    parameter: &mut [f32],
    gradient: &[f32],
    [first, second]: [&mut [f32]; 2],
) {
    let length = parameter.len();
    assert_eq!((gradient.len(), first.len(), second.len()), (length, length, length));
    let (parameter, first, second) = (Shared::new(parameter), Shared::new(first), Shared::new(second));
    threads::ranges(length, LEAST, |range| {
        // SAFETY: the ranges do not overlap.
        let (parameter, first, second) =
            unsafe { (parameter.part(range.clone()), first.part(range.clone()), second.part(range.clone())) };
        run(Update { moments, scales, parameter, gradient: &gradient[range], first, second });
    });
}

struct Update<'a> {
    moments: Moments,
    scales: Scales,
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Moments { beta_1, beta_2, .. } = self.moments;
        let (share_1, share_2) = (s.splat(1.0 - beta_1), s.splat(1.0 - beta_2));
        let (beta_1, beta_2) = (s.splat(beta_1), s.splat(beta_2));
        let Scales { gradient_decay, keep, rate, root, epsilon } = self.scales;
        let (gradient_decay, keep, rate) = (s.splat(gradient_decay), s.splat(keep), s.splat(rate));
        let (root, epsilon) = (s.splat(root), s.splat(epsilon));
        let chunks = self.parameter.chunks_mut(S::LANES).zip(self.gradient.chunks(S::LANES));
        let means = self.first.chunks_mut(S::LANES).zip(self.second.chunks_mut(S::LANES));
        for ((parameter, gradient), (first, second)) in chunks.zip(means) {
            let p = s.load_first(parameter);
            let g = s.mul_add(p, gradient_decay, s.load_first(gradient));
            let m = s.mul_add(s.load_first(first), beta_1, s.mul(g, share_1));
            let v = s.mul_add(s.load_first(second), beta_2, s.mul(s.mul(g, g), share_2));
            let below = s.mul_add(s.sqrt(v), root, epsilon);
            s.store_first(first, m);
            s.store_first(second, v);
            let step = s.div(s.mul(m, rate), below);
            s.store_first(parameter, s.sub(s.mul(p, keep), step));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    const MOMENTS: Moments = Moments { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-5 };

    #[test]
    fn is_burns_adam() {
        let config = burns::AdamConfig::new().with_beta_1(0.9).with_beta_2(0.99).with_epsilon(1e-5);
        for decay in [None, Some(0.1)] {
            for amsgrad in [false, true] {
                let burns =
                    config.clone().with_weight_decay(decay.map(WeightDecayConfig::new)).with_amsgrad(amsgrad);
                check(Adam::new(MOMENTS, decay, amsgrad), burns.build());
            }
        }
    }

    #[test]
    fn is_burns_adamw() {
        let config = burns::AdamWConfig::new().with_beta_1(0.9).with_beta_2(0.99).with_epsilon(1e-5);
        for decay in [0.0, 0.1] {
            for amsgrad in [false, true] {
                let burns = config.clone().with_weight_decay(decay).with_amsgrad(amsgrad);
                check(AdamW::new(MOMENTS, decay, amsgrad), burns.build());
            }
        }
    }
}
