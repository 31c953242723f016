//! Gated recurrent unit (Cho et al. 2014), with the reset gate after the multiplication as in PyTorch and
//! cuDNN.

use super::{Gates, RecurrentOps, check_mask, twin};
use crate::flex;
use crate::precision::like;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

/// The weights of a [`gru`], with its gates in the order reset, update, candidate.
#[derive(Clone, Debug)]
pub struct GruWeights {
    /// The weights of each gate, for the input and for the state.
    pub gates: Gates<3>,
    /// The bias of each gate, `[3 D]`.
    pub bias: Tensor<1>,
    /// The candidate's second bias, which the reset gate multiplies, `[D]`.
    pub candidate_bias: Tensor<1>,
}

/// The hidden state after each step, from a state of zeros.
///
/// `mask` and `backwards` are as for [`lstm`](super::lstm()).
///
/// # Shapes
/// - x: `[T, B, I]`, time first
/// - mask: `[T, B]`, 1 for text and 0 for padding
/// - output: `[T, B, D]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn gru(x: Tensor<3>, weights: GruWeights, mask: Option<Tensor<2>>, backwards: bool) -> Tensor<3> {
    let units = weights.gates.units(&x);
    assert_eq!(
        [weights.bias.dims(), weights.candidate_bias.dims()],
        [[3 * units], [units]],
        "the biases of {units} units"
    );
    check_mask(&x, &mask);
    weights.gates.count(&x);
    let x = like(x, &weights.gates.hidden[0]);
    if !flex::runs_on(&x) {
        return plain(x, weights, mask, backwards);
    }
    let mask = flex::or_empty(mask.filter(|_| backwards), &x);
    let [reset, update, candidate] = weights.gates.input.map(Tensor::into_dispatch);
    let [hidden_reset, hidden_update, hidden_candidate] = weights.gates.hidden.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::gru_sequence(
        x.into_dispatch(),
        reset,
        update,
        candidate,
        hidden_reset,
        hidden_update,
        hidden_candidate,
        weights.bias.into_dispatch(),
        weights.candidate_bias.into_dispatch(),
        mask,
        backwards,
    ))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain(
    x: Tensor<3>,
    weights: GruWeights,
    mask: Option<Tensor<2>>,
    backwards: bool,
) -> Tensor<3> {
    let GruWeights { gates, bias, candidate_bias } = weights;
    let [input_weight, hidden] = gates.joined(); // [I, 3 D], [D, 3 D]
    let units = hidden.dims()[0];
    let candidate_bias = candidate_bias.unsqueeze::<2>(); // [1, D]
    let step = |input: Tensor<2>, [state]: [Tensor<2>; 1]| {
        let seen = input.matmul(input_weight.clone()) + bias.clone().unsqueeze(); // [B, 3 D]
        let recalled = state.clone().matmul(hidden.clone()); // [B, 3 D]
        let both = |x: &Tensor<2>| x.clone().narrow(1, 0, 2 * units); // [B, 2 D]
        let last = |x: Tensor<2>| x.narrow(1, 2 * units, units); // [B, D]
        let open = sigmoid(both(&seen) + both(&recalled)); // [B, 2 D]
        let reset = open.clone().narrow(1, 0, units); // [B, D]
        let update = open.narrow(1, units, units); // [B, D]
        let candidate = tanh(last(seen) + reset * (last(recalled) + candidate_bias.clone())); // [B, D]
        [candidate.clone() + update * (state - candidate)]
    };
    twin::walk(x, units, mask, backwards, step)
}

#[cfg(test)]
mod tests {
    use super::super::tests::cut;
    use super::*;
    use crate::testing::{Inputs, check, random};

    fn weights(i: &Inputs) -> GruWeights {
        GruWeights { gates: cut(i.get(1)), bias: i.get(2), candidate_bias: i.get(3) }
    }

    #[test]
    fn agrees_with_its_twin() {
        for (steps, batch, inputs, units) in
            [(1, 1, 1, 1), (3, 5, 2, 7), (4, 7, 17, 16), (2, 13, 5, 33), (0, 2, 3, 4), (3, 33, 2, 66)]
        {
            let samples = [
                random(&[steps, batch, inputs], 1),
                random(&[inputs + units, 3 * units], 2),
                random(&[3 * units], 4),
                random(&[units], 5),
                random(&[steps, batch], 6).map(|v| if v > -0.5 { 1.0 } else { 0.0 }).untracked(),
            ];
            for (masked, backwards) in [(false, false), (true, false), (false, true), (true, true)] {
                let mask = |i: &Inputs| masked.then(|| i.get::<2>(4));
                check(
                    &format!("{steps} steps of {batch} x {inputs}, {units} units, {masked} {backwards}"),
                    &samples,
                    |i| gru(i.get(0), weights(i), mask(i), backwards),
                    |i| plain(i.get(0), weights(i), mask(i), backwards),
                );
            }
        }
    }
}
