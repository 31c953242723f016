//! LAMB: Adam with layer-wise trust ratios (You et al. 2019).

use super::Moments;
use crate::elementwise::{LEAST, close, open, opens};
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::optim::{self as burns, LambState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};
use std::ops::Range;

/// [`burn::optim::Lamb`] with the update in two passes. The trust ratio needs the norm of the whole update.
/// The first pass does not store the update; the second computes it again from the moments.
#[derive(Clone)]
pub struct Lamb {
    moments: Moments,
    decay: f32,
    /// Burn's own LAMB, for parameters that are not on the CPU backend.
    burns: burns::Lamb,
}

impl Lamb {
    /// LAMB that adds `weight_decay` times the parameter to its update.
    pub fn new(moments: Moments, weight_decay: f32) -> Self {
        let burns = burns::LambConfig::new()
            .with_beta_1(moments.beta_1)
            .with_beta_2(moments.beta_2)
            .with_epsilon(moments.epsilon)
            .with_weight_decay(weight_decay)
            .build();
        Lamb { moments, decay: weight_decay, burns }
    }
}

impl Optimizer for Lamb {
    type State<const D: usize> = LambState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<LambState<D>>,
    ) -> (Tensor<D>, Option<LambState<D>>) {
        let moments = |state: &LambState<D>| opens(&state.moment_1) && opens(&state.moment_2);
        if !opens(&parameter) || !opens(&gradient) || !state.as_ref().is_none_or(moments) {
            return self.burns.step(rate, parameter, gradient, state);
        }
        let zeros = || parameter.zeros_like();
        let state = state.unwrap_or_else(|| LambState { time: 0, moment_1: zeros(), moment_2: zeros() });
        let time = state.time + 1;
        let (mut first, mut second) = (open(state.moment_1), open(state.moment_2));
        let (mut parameter, gradient) = (open(parameter), open(gradient));
        let pass =
            Pass { moments: self.moments, corrections: self.moments.corrections(time), decay: self.decay };
        let numbers = [parameter.storage_mut(), first.storage_mut(), second.storage_mut()];
        pass.run(rate as f32, numbers, gradient.as_slice().expect("row after row"));
        let state = LambState { time, moment_1: close(first), moment_2: close(second) };
        (close(parameter), Some(state))
    }

    fn to_device<const D: usize>(state: LambState<D>, device: &Device) -> LambState<D> {
        burns::Lamb::to_device(state, device)
    }
}

#[derive(Clone, Copy)]
struct Pass {
    moments: Moments,
    corrections: [f32; 2],
    decay: f32,
}

/// The count of numbers summed in single precision. The blocks' sums are added in double precision.
const BLOCK: usize = 1 << 12;

impl Pass {
    fn run(self, rate: f32, [parameter, first, second]: [&mut [f32]; 3], gradient: &[f32]) {
        let length = parameter.len();
        assert_eq!((gradient.len(), first.len(), second.len()), (length, length, length));
        let blocks = length.div_ceil(BLOCK);
        let mut squares = vec![[0.0f32; 2]; blocks];
        let sums = Shared::new(&mut squares);
        let (parameter, first, second) = (Shared::new(parameter), Shared::new(first), Shared::new(second));
        let slices = |range: Range<usize>| Slices {
            pass: self,
            // SAFETY: no two ranges that are in use at a time overlap.
            parameter: unsafe { parameter.part(range.clone()) },
            // SAFETY: as above.
            first: unsafe { first.part(range.clone()) },
            // SAFETY: as above.
            second: unsafe { second.part(range) },
        };
        threads::ranges(blocks, LEAST / BLOCK, |range| {
            // SAFETY: the ranges do not overlap.
            let sums = unsafe { sums.part(range.clone()) };
            for (block, sums) in range.zip(sums) {
                let here = block * BLOCK..((block + 1) * BLOCK).min(length);
                *sums = run(Means { slices: slices(here.clone()), gradient: &gradient[here] });
            }
        });
        let norm =
            |which: usize| squares.iter().map(|sums| f64::from(sums[which])).sum::<f64>().sqrt() as f32;
        let (of_parameter, of_update) = (norm(0), norm(1));
        let trusted = of_parameter > 0.0 && of_update > 0.0;
        let ratio = if trusted { of_parameter / of_update } else { 1.0 };
        threads::ranges(length, LEAST, |range| run(Descend { slices: slices(range), rate: rate * ratio }));
    }

    /// The update, before the trust ratio.
    #[inline(always)]
    fn update<S: Simd>(self, s: S, p: S::F32, m: S::F32, v: S::F32) -> S::F32 {
        let [first, second] = self.corrections;
        let root = s.sqrt(s.mul(v, s.splat(1.0 / second)));
        let step = s.div(s.mul(m, s.splat(1.0 / first)), s.add(root, s.splat(self.moments.epsilon)));
        s.mul_add(p, s.splat(self.decay), step)
    }
}

struct Slices<'a> {
    pass: Pass,
    parameter: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

/// Updates the moments. Returns the sums of the squares of the parameter and of its update.
struct Means<'a> {
    slices: Slices<'a>,
    gradient: &'a [f32],
}

impl Kernel for Means<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; 2] {
        let Slices { pass, parameter, first, second } = self.slices;
        let Moments { beta_1, beta_2, .. } = pass.moments;
        let (share_1, share_2) = (s.splat(1.0 - beta_1), s.splat(1.0 - beta_2));
        let (beta_1, beta_2) = (s.splat(beta_1), s.splat(beta_2));
        let mut sums = [s.splat(0.0); 2];
        let chunks = parameter.chunks(S::LANES).zip(self.gradient.chunks(S::LANES));
        let means = first.chunks_mut(S::LANES).zip(second.chunks_mut(S::LANES));
        for ((parameter, gradient), (first, second)) in chunks.zip(means) {
            let (p, g) = (s.load_first(parameter), s.load_first(gradient));
            let m = s.mul_add(s.load_first(first), beta_1, s.mul(g, share_1));
            let v = s.mul_add(s.load_first(second), beta_2, s.mul(s.mul(g, g), share_2));
            s.store_first(first, m);
            s.store_first(second, v);
            // lanes beyond the end are 0 in every operand, and so is their update
            let update = pass.update(s, p, m, v);
            sums = [s.mul_add(p, p, sums[0]), s.mul_add(update, update, sums[1])];
        }
        [s.sum(sums[0]), s.sum(sums[1])]
    }
}

/// `p -= rate * update`
struct Descend<'a> {
    slices: Slices<'a>,
    rate: f32,
}

impl Kernel for Descend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Slices { pass, parameter, first, second } = self.slices;
        let rate = s.splat(self.rate);
        let means = first.chunks(S::LANES).zip(second.chunks(S::LANES));
        for (parameter, (first, second)) in parameter.chunks_mut(S::LANES).zip(means) {
            let p = s.load_first(parameter);
            let update = pass.update(s, p, s.load_first(first), s.load_first(second));
            s.store_first(parameter, s.neg_mul_add(update, rate, p));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    #[test]
    fn is_burns_lamb() {
        let moments = Moments { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-5 };
        for decay in [0.0, 0.1] {
            let burns = burns::LambConfig::new().with_beta_1(0.9).with_beta_2(0.99).with_epsilon(1e-5);
            check(Lamb::new(moments, decay), burns.with_weight_decay(decay).build());
        }
    }

    #[test]
    fn nothing_has_no_norm() {
        let lamb = Lamb::new(Moments { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-5 }, 0.0);
        let device = Device::flex();
        let parameter = Tensor::<1>::zeros([2], &device);
        let gradient = || Tensor::<1>::from_data([1.0, -1.0], &device);
        let (moved, state) = lamb.step(0.5, parameter.clone(), gradient(), None);
        let moved = moved.into_data().try_into_vec::<f32>().unwrap();
        assert!((moved[0] + 0.5).abs() < 1e-4 && (moved[1] - 0.5).abs() < 1e-4, "{moved:?}: a ratio of 1");
        let (still, _) = lamb.step(
            0.5,
            parameter,
            gradient() * 0.0,
            state.map(|s| LambState { moment_1: s.moment_1 * 0.0, ..s }),
        );
        assert_eq!(still.into_data().try_into_vec::<f32>().unwrap(), [0.0; 2]);
    }
}
