//! Affine maps to a few outputs, such as a regression's one: dot products with each row. A matrix product
//! would pad the outputs to its tile.
//!
//! Axes: `N` rows, `I` inputs, `O` outputs.

use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::reduce;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// The most outputs for which dot products are faster than a matrix product.
pub(crate) const MOST_OUTPUTS: usize = 4;

/// The least count of numbers that is worth a thread: a core reads some ten a nanosecond, and a thread takes
/// microseconds to wake.
const LEAST: usize = 1 << 17;

/// The number of rows read side by side.
const GROUP: usize = 4;

/// `x W + b` for a weight of at most [`MOST_OUTPUTS`] columns, on the CPU backend.
pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let bias = flex::or_empty(bias, &x);
    Tensor::from_dispatch(Dispatch::linear_narrow(x.into_dispatch(), weight.into_dispatch(), bias))
}

/// The op as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait NarrowOps: Backend {
    /// See [`crate::linear`]; an empty bias stands for none.
    fn linear_narrow(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl NarrowOps for Flex {
    fn linear_narrow(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        forward(x, weight, bias, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> NarrowOps for Autodiff<Flex, C> {
    fn linear_narrow(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 3>([x, weight, bias], |[x, weight, bias], keep| forward(x, weight, bias, keep))
    }
}

#[derive(Clone, Debug)]
struct Narrow {
    x: Floats,
    /// `[O, I]`
    columns: Vec<f32>,
    outputs: usize,
}

fn forward(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, keep: Keep) -> (FlexTensor, Option<Narrow>) {
    let (x, weight, bias) = (Floats::new(x), Floats::new(weight), flex::unless_empty(bias));
    let [inputs, outputs] = [weight.dims()[0], weight.dims()[1]];
    let columns = transposed(&weight, inputs, outputs);
    let mut shape = x.dims().to_vec();
    let rows: usize = shape.iter().rev().skip(1).product();
    *shape.last_mut().expect("an axis of inputs") = outputs;
    let mut output = for_overwriting(rows * outputs);
    let shared = Shared::new(&mut output);
    threads::ranges(rows, LEAST / inputs.max(1) + 1, |range| {
        // SAFETY: the ranges do not overlap.
        let to = unsafe { shared.part(range.start * outputs..range.end * outputs) };
        let x = &x[range.start * inputs..range.end * inputs];
        run(Dots { x, columns: &columns, bias: bias.as_deref(), inputs, outputs, to });
    });
    let saved = (keep == Keep::ForBackward).then_some(Narrow { x, columns, outputs });
    (flex::tensor(output, &shape), saved)
}

/// The transpose of `[rows, columns]`, `[columns, rows]`.
fn transposed(from: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| from[row * columns + column])).collect()
}

/// `to = x W + b`, row by row.
struct Dots<'a> {
    x: &'a [f32],
    /// `[O, I]`
    columns: &'a [f32],
    bias: Option<&'a [f32]>,
    inputs: usize,
    outputs: usize,
    to: &'a mut [f32],
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Dots { x, columns, bias, inputs, outputs, to } = self;
        for (group, to) in to.chunks_mut(GROUP * outputs).enumerate() {
            let rows = to.len() / outputs;
            // in a group with fewer rows, the last row stands in for the missing ones
            let row = |index: usize| {
                let row = group * GROUP + index.min(rows - 1);
                &x[row * inputs..(row + 1) * inputs]
            };
            let x = [row(0), row(1), row(2), row(3)];
            for output in 0..outputs {
                let column = &columns[output * inputs..(output + 1) * inputs];
                let mut sums = [s.splat(0.0); GROUP];
                for (index, column) in column.chunks(S::LANES).enumerate() {
                    let here = index * S::LANES..index * S::LANES + column.len();
                    let column = s.load_first(column);
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = s.mul_add(s.load_first(&x[here.clone()]), column, *sum);
                    }
                }
                let bias = bias.map_or(0.0, |bias| bias[output]);
                for (index, sum) in sums.into_iter().enumerate().take(rows) {
                    to[index * outputs + output] = s.sum(sum) + bias;
                }
            }
        }
    }
}

impl Saved<3> for Narrow {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let gradient = Floats::new(gradient);
        let Narrow { x, columns, outputs } = self;
        let inputs = columns.len() / outputs.max(1);
        let rows = gradient.len().checked_div(outputs).unwrap_or(0);
        let least = LEAST / inputs.max(1) + 1;
        let of_x = wanted[0].then(|| {
            let mut to = for_overwriting(x.len());
            let shared = Shared::new(&mut to);
            threads::ranges(rows, least, |range| {
                // SAFETY: the ranges do not overlap.
                let to = unsafe { shared.part(range.start * inputs..range.end * inputs) };
                let gradient = &gradient[range.start * outputs..range.end * outputs];
                run(Spread { gradient, columns: &columns, inputs, outputs, to });
            });
            flex::tensor(to, x.dims())
        });
        let of_weight = wanted[1].then(|| {
            // each thread sums a range of rows, and the ranges are added in their order
            let parts = threads::parts(rows, least);
            let mut partial = vec![0.0; parts * columns.len()];
            let shared = Shared::new(&mut partial);
            threads::parallel(parts, |part| {
                let range = threads::range(rows, parts, part, GROUP);
                // SAFETY: each part has sums of its own.
                let to = unsafe { shared.part(part * columns.len()..(part + 1) * columns.len()) };
                let x = &x[range.start * inputs..range.end * inputs];
                let gradient = &gradient[range.start * outputs..range.end * outputs];
                run(Gather { x, gradient, inputs, outputs, to });
            });
            let mut sums = vec![0.0; columns.len()];
            for part in partial.chunks_exact(columns.len().max(1)) {
                sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            }
            flex::tensor(transposed(&sums, outputs, inputs), &[inputs, outputs])
        });
        let of_bias = wanted[2].then(|| flex::tensor(reduce::column_sums(&gradient, outputs), &[outputs]));
        [of_x, of_weight, of_bias]
    }
}

/// `to = gradient W^T`
struct Spread<'a> {
    gradient: &'a [f32],
    columns: &'a [f32],
    inputs: usize,
    outputs: usize,
    to: &'a mut [f32],
}

impl Kernel for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Spread { gradient, columns, inputs, outputs, to } = self;
        if inputs == 0 {
            return;
        }
        for (to, gradient) in to.chunks_exact_mut(inputs).zip(gradient.chunks_exact(outputs)) {
            for (index, to) in to.chunks_mut(S::LANES).enumerate() {
                let mut sum = s.splat(0.0);
                for (output, gradient) in gradient.iter().enumerate() {
                    let start = output * inputs + index * S::LANES;
                    let column = s.load_first(&columns[start..start + to.len()]);
                    sum = s.mul_add(column, s.splat(*gradient), sum);
                }
                s.store_first(to, sum);
            }
        }
    }
}

/// `to += gradient^T x`
struct Gather<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    inputs: usize,
    outputs: usize,
    /// `[O, I]`
    to: &'a mut [f32],
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Gather { x, gradient, inputs, outputs, to } = self;
        if inputs == 0 {
            return;
        }
        for (gradient, x) in gradient.chunks(GROUP * outputs).zip(x.chunks(GROUP * inputs)) {
            let rows = gradient.len() / outputs;
            for (output, to) in to.chunks_exact_mut(inputs).enumerate() {
                let mut slopes = [s.splat(0.0); GROUP];
                for (row, slope) in slopes.iter_mut().enumerate().take(rows) {
                    *slope = s.splat(gradient[row * outputs + output]);
                }
                for (index, to) in to.chunks_mut(S::LANES).enumerate() {
                    let mut sum = s.load_first(to);
                    for (row, slope) in slopes.into_iter().enumerate().take(rows) {
                        let start = row * inputs + index * S::LANES;
                        sum = s.mul_add(s.load_first(&x[start..start + to.len()]), slope, sum);
                    }
                    s.store_first(to, sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;
    use crate::testing::{check, random};
    use proptest::prelude::*;

    fn agree(rows: usize, inputs: usize, outputs: usize) {
        let samples = [random(&[rows, inputs], 1), random(&[inputs, outputs], 2), random(&[outputs], 3)];
        let name = format!("{rows} x {inputs} x {outputs}");
        check(
            &name,
            &samples,
            |i| linear(i.get::<2>(0), i.get(1), Some(i.get(2))),
            |i| crate::linear::plain(i.get::<2>(0), i.get(1), Some(i.get(2)), None, Activation::Identity),
        );
        if rows == 0 {
            return; // Burn reads a 0 in a shape, except the first, as a size to keep
        }
        let samples = [random(&[inputs, rows], 1), random(&[outputs, inputs], 2)];
        check(
            &format!("{name}, transposed, no bias"),
            &samples,
            |i| linear(i.get::<2>(0).transpose(), i.get::<2>(1).transpose(), None),
            |i| {
                let (x, weight) = (i.get::<2>(0).transpose(), i.get::<2>(1).transpose());
                crate::linear::plain(x, weight, None, None, Activation::Identity)
            },
        );
    }

    #[test]
    fn agrees_with_its_twin() {
        for (rows, inputs, outputs) in
            [(1, 1, 1), (3, 5, 2), (4, 16, 4), (5, 17, 3), (3030, 100, 1), (0, 3, 1), (9, 300, 4)]
        {
            agree(rows, inputs, outputs);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn agrees_at_any_size(rows in 1usize..40, inputs in 1usize..70, outputs in 1usize..=4) {
            agree(rows, inputs, outputs);
        }
    }
}
