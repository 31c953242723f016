//! Mean errors of predicted values, with their gradient computed in the same pass.

use crate::cross_entropy::times;
use crate::elementwise::{self, block_sums};
use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::precision::widened;
use crate::simd::{Kernel, Simd, run};
use crate::threads::Shared;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// The error of one value as a function of `d`, the value less its target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ErrorOfValue {
    /// `d^2`
    Squared,
    /// `|d|`, with slope 0 at 0.
    Absolute,
    /// `d^2 / 2` for `|d|` up to this delta, linear beyond (Huber 1964).
    Huber(f64),
}

/// The mean error over all values, `[1]`.
///
/// - output, target: any shape, the same for both
/// - output and target: the same
///
/// # Panics
/// When the shapes differ.
pub fn mean_error<const D: usize>(output: Tensor<D>, target: Tensor<D>, error: ErrorOfValue) -> Tensor<1> {
    assert_eq!(output.dims(), target.dims(), "the shapes of an output and its target");
    let (output, target) = (widened(output), widened(target));
    if !flex::runs_on(&output) {
        return plain(output, target, error);
    }
    Tensor::from_dispatch(Dispatch::mean_error_of(output.into_dispatch(), target.into_dispatch(), error))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain<const D: usize>(output: Tensor<D>, target: Tensor<D>, error: ErrorOfValue) -> Tensor<1> {
    let difference = output - target;
    match error {
        ErrorOfValue::Squared => difference.square().mean(),
        ErrorOfValue::Absolute => difference.abs().mean(),
        ErrorOfValue::Huber(delta) => {
            let size = difference.abs();
            let quadratic = size.clone().clamp_max(delta);
            let linear = size - quadratic.clone();
            (quadratic.square() * 0.5 + linear * delta).mean()
        }
    }
}

/// The op as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait ErrorOps: Backend {
    /// See [`mean_error`].
    fn mean_error_of(
        output: FloatTensor<Self>,
        target: FloatTensor<Self>,
        error: ErrorOfValue,
    ) -> FloatTensor<Self>;
}

impl ErrorOps for Flex {
    fn mean_error_of(output: FlexTensor, target: FlexTensor, error: ErrorOfValue) -> FlexTensor {
        forward(output, target, error, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> ErrorOps for Autodiff<Flex, C> {
    fn mean_error_of(
        output: FloatTensor<Self>,
        target: FloatTensor<Self>,
        error: ErrorOfValue,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 2>([output, target], |[output, target], keep| {
            forward(output, target, error, keep)
        })
    }
}

/// The gradient with respect to the output. The target's is its negative.
#[derive(Clone, Debug)]
struct Ready(FlexTensor);

impl Saved<2> for Ready {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let of_output = times(self.0, gradient);
        let of_target = wanted[1].then(|| {
            let mut opposite = of_output.clone();
            elementwise::scale(opposite.storage_mut(), -1.0);
            opposite
        });
        [wanted[0].then_some(of_output), of_target]
    }
}

fn forward(
    output: FlexTensor,
    target: FlexTensor,
    error: ErrorOfValue,
    keep: Keep,
) -> (FlexTensor, Option<Ready>) {
    let (output, target) = (Floats::new(output), Floats::new(target));
    let count = output.len();
    let mut gradient = for_overwriting(if keep == Keep::ForBackward { count } else { 0 });
    let shared = (keep == Keep::ForBackward).then(|| Shared::new(&mut gradient));
    let total = block_sums(count, |range| {
        // SAFETY: the blocks do not overlap.
        let slopes = shared.map(|shared| unsafe { shared.part(range.clone()) });
        let (output, target) = (&output[range.clone()], &target[range]);
        f64::from(run(Block { output, target, slopes, scale: 1.0 / count as f32, error }))
    });
    let mean = flex::tensor(vec![(total / count as f64) as f32], &[1]);
    let saved = (keep == Keep::ForBackward).then(|| Ready(flex::tensor(gradient, output.dims())));
    (mean, saved)
}

/// A block's sum of errors, and its slopes of the mean.
struct Block<'a> {
    output: &'a [f32],
    target: &'a [f32],
    slopes: Option<&'a mut [f32]>,
    scale: f32,
    error: ErrorOfValue,
}

impl Kernel for Block<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let Block { output, target, mut slopes, scale, error } = self;
        let (mut sums, zero, scale) = (s.splat(0.0), s.splat(0.0), s.splat(scale));
        for (index, (output, target)) in output.chunks(S::LANES).zip(target.chunks(S::LANES)).enumerate() {
            let d = s.sub(s.load_first(output), s.load_first(target));
            let (value, slope) = match error {
                ErrorOfValue::Squared => (s.mul(d, d), s.add(d, d)),
                ErrorOfValue::Absolute => {
                    let down = s.select(s.less(d, zero), s.splat(-1.0), zero);
                    (s.abs(d), s.select(s.less(zero, d), s.splat(1.0), down))
                }
                ErrorOfValue::Huber(delta) => {
                    let (size, delta) = (s.abs(d), s.splat(delta as f32));
                    // this order of the operands keeps a NaN
                    let near = s.min(delta, size);
                    let value = s.mul_add(s.mul(near, s.splat(0.5)), near, s.mul(s.sub(size, near), delta));
                    (value, s.copy_sign(near, d))
                }
            };
            sums = s.add(sums, value);
            if let Some(slopes) = &mut slopes {
                let start = index * S::LANES;
                s.store_first(&mut slopes[start..start + output.len()], s.mul(slope, scale));
            }
        }
        s.sum(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, random};
    use proptest::prelude::*;

    fn agree(rows: usize, columns: usize, spread: f32) {
        let samples = [random(&[rows, columns], 1).map(|x| x * spread), random(&[rows, columns], 2)];
        for error in [ErrorOfValue::Squared, ErrorOfValue::Absolute, ErrorOfValue::Huber(0.7)] {
            check(
                &format!("{rows} x {columns}, {error:?}"),
                &samples,
                |i| mean_error(i.get::<2>(0), i.get(1), error),
                |i| plain(i.get::<2>(0), i.get(1), error),
            );
            check(
                &format!("{rows} x {columns}, {error:?}, transposed, broadcast and halved"),
                &samples,
                |i| {
                    let target = i.get::<2>(1).transpose().narrow(0, 0, 1).expand([columns, rows]);
                    mean_error(i.get::<2>(0).transpose(), target, error) * 0.5
                },
                |i| {
                    let target = i.get::<2>(1).transpose().narrow(0, 0, 1).expand([columns, rows]);
                    plain(i.get::<2>(0).transpose(), target, error) * 0.5
                },
            );
        }
    }

    #[test]
    fn agrees_with_its_twin() {
        for (rows, columns) in [(1, 1), (3, 5), (4, 16), (1000, 17)] {
            agree(rows, columns, 3.0);
        }
    }

    #[test]
    fn slopes_at_zero_and_numbers_that_are_none() {
        let device = burn::tensor::Device::flex().autodiff();
        for error in [ErrorOfValue::Squared, ErrorOfValue::Absolute, ErrorOfValue::Huber(1.0)] {
            let output = Tensor::<1>::zeros([3], &device).require_grad();
            let loss = mean_error(output.clone(), Tensor::zeros([3], &device), error);
            let gradient = output.grad(&loss.backward()).unwrap();
            assert_eq!(gradient.into_data().try_into_vec::<f32>().unwrap(), [0.0; 3], "{error:?}");
            let none = Tensor::<1>::from_data([f32::NAN, 1.0], &device);
            assert!(mean_error(none, Tensor::zeros([2], &device), error).into_scalar::<f32>().is_nan());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn agrees_at_any_size(rows in 1usize..30, columns in 1usize..60) {
            agree(rows, columns, 2.0);
        }
    }
}
