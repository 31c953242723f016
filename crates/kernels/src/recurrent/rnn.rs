//! The plain recurrent layer (Elman 1990): one sum for each unit, and an activation on it.

use super::{Gates, RecurrentOps, Squash, check_mask, twin};
use crate::flex;
use crate::precision::like;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, tanh};

/// The hidden state after each step, from a state of zeros: `squash(x_t W + h U + b)`.
///
/// `mask` and `backwards` are as for [`lstm`](super::lstm()).
///
/// # Shapes
/// - x: `[T, B, I]`, time first
/// - weights: `[I, D]` and `[D, D]`
/// - bias: `[D]`
/// - mask: `[T, B]`, 1 for text and 0 for padding
/// - output: `[T, B, D]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn rnn(
    x: Tensor<3>,
    weights: Gates<1>,
    bias: Tensor<1>,
    squash: Squash,
    mask: Option<Tensor<2>>,
    backwards: bool,
) -> Tensor<3> {
    let units = weights.units(&x);
    assert_eq!(bias.dims(), [units], "the bias of {units} units");
    check_mask(&x, &mask);
    weights.count(&x);
    let x = like(x, &weights.hidden[0]);
    if !flex::runs_on(&x) {
        return plain(x, weights, bias, squash, mask, backwards);
    }
    let mask = flex::or_empty(mask.filter(|_| backwards), &x);
    let Gates { input: [input], hidden: [hidden] } = weights;
    Tensor::from_dispatch(Dispatch::rnn_sequence(
        x.into_dispatch(),
        input.into_dispatch(),
        hidden.into_dispatch(),
        bias.into_dispatch(),
        mask,
        squash,
        backwards,
    ))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain(
    x: Tensor<3>,
    weights: Gates<1>,
    bias: Tensor<1>,
    squash: Squash,
    mask: Option<Tensor<2>>,
    backwards: bool,
) -> Tensor<3> {
    let Gates { input: [input_weight], hidden: [hidden] } = weights;
    let units = hidden.dims()[0];
    let step = |input: Tensor<2>, [state]: [Tensor<2>; 1]| {
        let sums = input.matmul(input_weight.clone()) + state.matmul(hidden.clone()); // [B, D]
        let sum = sums + bias.clone().unsqueeze(); // [B, D]
        [match squash {
            Squash::Tanh => tanh(sum),
            Squash::Relu => relu(sum),
        }]
    };
    twin::walk(x, units, mask, backwards, step)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, samples};
    use super::*;
    use crate::testing::check;

    #[test]
    fn agrees_with_its_twin() {
        for (steps, batch, inputs, units) in
            [(1, 1, 1, 1), (3, 5, 2, 7), (4, 30, 17, 16), (2, 13, 5, 70), (0, 2, 3, 4)]
        {
            let samples = samples(steps, batch, inputs, units, 1);
            for (squash, backwards) in
                [(Squash::Tanh, false), (Squash::Relu, false), (Squash::Tanh, true), (Squash::Relu, true)]
            {
                let mask = |i: &crate::testing::Inputs| Some(i.get::<2>(3).detach());
                check(
                    &format!("{steps} steps of {batch} x {inputs}, {units} units, {squash:?} {backwards}"),
                    &samples,
                    |i| rnn(i.get(0), cut(i.get(1)), i.get(2), squash, mask(i), backwards),
                    |i| plain(i.get(0), cut(i.get(1)), i.get(2), squash, mask(i), backwards),
                );
            }
        }
    }
}
