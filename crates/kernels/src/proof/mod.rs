//! Proofs that ops are right. Each check walks one table of all ops, so a new op costs one row.
//!
//! Each compares an op with something else:
//!
//! - `twin`: its twin in double precision. Outputs and all gradients, for one number, no numbers, odd sizes
//!   and random sizes, in all memory layouts, with all choices of tracked inputs.
//! - `differences`: central differences of its twin in double precision. By each number and, at sizes that
//!   reach all paths, along a direction.
//! - `adjoint`: `<A x, y> = <x, A^T y>` with `A^T` its gradient, if the op is affine.
//! - `extremes`: its twin in single precision, at numbers near either end of the range.
//! - `golden`: PyTorch's outputs and gradients, stored in `golden/`.
//!
//! In `f64` an op's public function is its twin, so a row's one function serves for both.

mod adjoint;
mod dense;
mod differences;
mod extremes;
mod golden;
mod images;
mod losses;
mod optimizers;
mod sequences;
mod twin;

use crate::testing::{Inputs, Layout, Sample, filled, random};
use burn::tensor::Tensor;

/// An op at some sizes.
struct Case {
    name: &'static str,
    inputs: Vec<Sample>,
    /// The inputs in which the op is affine while the others are fixed.
    affine_in: &'static [usize],
    /// The largest factor on an input with which the twin still computes the same function.
    largest_factor: f32,
    /// True if gradients are products of inputs and of differences that cancel where a softmax has a single
    /// weight.
    cancels: bool,
    op: Box<dyn Fn(&Inputs) -> Tensor<1>>,
}

impl Case {
    fn new<const D: usize, const N: usize>(
        name: &'static str,
        inputs: [Sample; N],
        op: impl Fn(&Inputs) -> Tensor<D> + 'static,
    ) -> Self {
        let op = move |inputs: &Inputs| in_a_row(op(inputs), inputs.layout);
        let inputs = inputs.to_vec();
        Case { name, inputs, affine_in: &[], largest_factor: f32::MAX, cancels: false, op: Box::new(op) }
    }

    fn affine_in(self, inputs: &'static [usize]) -> Self {
        Case { affine_in: inputs, ..self }
    }

    fn run(&self, inputs: &Inputs) -> Tensor<1> {
        (self.op)(inputs)
    }
}

/// An output's numbers in one row, read so that the gradient has the layout too.
fn in_a_row<const D: usize>(output: Tensor<D>, layout: Layout) -> Tensor<1> {
    let output = match layout {
        Layout::Permuted => output.permute(std::array::from_fn(|axis| D - 1 - axis)),
        Layout::Flipped => output.flip(std::array::from_fn::<usize, D, _>(|axis| axis)),
        Layout::Expanded => output.sum_dim(D - 1),
        Layout::Plain | Layout::Sliced => output,
    };
    let count = output.shape().num_elements();
    output.reshape([count])
}

/// The sizes of a case's axes.
#[derive(Clone, Copy, Debug)]
enum Size {
    /// One number on each axis, if the op allows it.
    Single,
    /// No number on the first axis.
    Empty,
    /// The least numbers that tell axes apart, filled by the formula of `golden/make.py`.
    Small,
    /// Odd sizes beyond a tile, a panel and one thread's share.
    Large,
    /// Sizes up to `Large`'s, drawn from a seed.
    Any(u64),
}

/// Draws the sizes and numbers of a case's inputs.
struct Draw {
    size: Size,
    drawn: u64,
    filled: usize,
}

impl Draw {
    fn new(size: Size) -> Self {
        Draw { size, drawn: 0, filled: 0 }
    }

    /// An axis that may be empty.
    fn first(&mut self, small: usize, large: usize) -> usize {
        if let Size::Empty = self.size { 0 } else { self.axis(small, large) }
    }

    fn axis(&mut self, small: usize, large: usize) -> usize {
        match self.size {
            Size::Single => 1,
            Size::Empty | Size::Small => small,
            Size::Large => large,
            Size::Any(seed) => {
                self.drawn += 1;
                let unit = (random(&[1], seed.wrapping_add(self.drawn << 32)).values[0] + 1.0) / 2.0;
                1 + (unit * large as f32) as usize
            }
        }
    }

    /// The numbers of the next input.
    fn fill<const D: usize>(&mut self, shape: [usize; D]) -> Sample {
        let number = self.filled;
        self.filled += 1;
        match self.size {
            Size::Large => random(&shape, number as u64 + 1),
            Size::Any(seed) => random(&shape, seed.wrapping_add(number as u64 + 1)),
            _ => {
                let values = (0..shape.iter().product()).map(|element| filled(number, element) as f32);
                Sample { values: values.collect(), shape: shape.to_vec(), tracked: true }
            }
        }
    }

    /// A mask `[texts, tokens]`: 1 for text, 0 for padding. Padding ends a text: none in the first, one token
    /// in the second, and so on.
    fn mask(&self, texts: usize, tokens: usize) -> Sample {
        let text = |place: usize| place % tokens + place / tokens % tokens < tokens;
        let values = (0..texts * tokens).map(|place| f32::from(text(place))).collect();
        Sample { values, shape: vec![texts, tokens], tracked: false }
    }
}

/// The table: every op at sizes of this kind.
fn cases(size: Size) -> Vec<Case> {
    let families = [dense::cases, losses::cases, images::cases, sequences::cases, optimizers::cases];
    families.into_iter().flat_map(|family| family(size)).collect()
}
