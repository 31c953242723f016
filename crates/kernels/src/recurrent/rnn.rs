//! The plain recurrent layer of Elman 1990: one sum a unit, and an activation on it.

use super::{RecurrentOps, Squash, check_mask, twin, units};
use crate::flex;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, tanh};
use burn::tensor::module::linear;

/// The hidden state after each step, from a state of zeros: `squash([x_t, h] W + b)`.
///
/// `mask` and `backwards` are [`lstm`](super::lstm())'s.
///
/// # Shapes
/// - x: `[T, B, I]`, time first
/// - weight: `[I + D, D]`, the rows of the input and then those of the state
/// - bias: `[D]`
/// - mask: `[T, B]`, 1 where a position carries text and 0 where it is padding
/// - output: `[T, B, D]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn rnn(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    squash: Squash,
    mask: Option<Tensor<2>>,
    backwards: bool,
) -> Tensor<3> {
    let units = units(&x, &weight, 1);
    assert_eq!(bias.dims(), [units], "the bias of a weight of {:?}", weight.dims());
    check_mask(&x, &mask);
    if !flex::runs_on(&x) {
        return plain(x, weight, bias, squash, mask, backwards);
    }
    let mask = flex::or_empty(mask.filter(|_| backwards), &x);
    Tensor::from_dispatch(Dispatch::rnn_sequence(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        mask,
        squash,
        backwards,
    ))
}

/// The same by Burn's own ops.
pub(crate) fn plain(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    squash: Squash,
    mask: Option<Tensor<2>>,
    backwards: bool,
) -> Tensor<3> {
    let units = weight.dims()[1];
    let step = |input: Tensor<2>, [state]: [Tensor<2>; 1]| {
        let both = Tensor::cat(vec![input, state], 1); // [B, I + D]
        let sum = linear(both, weight.clone(), Some(bias.clone())); // [B, D]
        [match squash {
            Squash::Tanh => tanh(sum),
            Squash::Relu => relu(sum),
        }]
    };
    twin::walk(x, units, mask, backwards, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    #[test]
    fn agrees_with_its_twin() {
        for (steps, batch, inputs, units) in
            [(1, 1, 1, 1), (3, 5, 2, 7), (4, 30, 17, 16), (2, 13, 5, 70), (0, 2, 3, 4)]
        {
            let samples = super::super::tests::samples(steps, batch, inputs, units, 1);
            for (squash, backwards) in
                [(Squash::Tanh, false), (Squash::Relu, false), (Squash::Tanh, true), (Squash::Relu, true)]
            {
                let mask = |i: &crate::testing::Inputs| Some(i.get::<2>(3).detach());
                check(
                    &format!("{steps} steps of {batch} x {inputs}, {units} units, {squash:?} {backwards}"),
                    &samples,
                    |i| rnn(i.get(0), i.get(1), i.get(2), squash, mask(i), backwards),
                    |i| plain(i.get(0), i.get(1), i.get(2), squash, mask(i), backwards),
                );
            }
        }
    }
}
