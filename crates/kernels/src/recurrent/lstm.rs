//! Long short-term memory (Hochreiter and Schmidhuber 1997), with the forget gate of Gers et al. 2000.

use super::{Gates, RecurrentOps, check_mask, twin};
use crate::flex;
use crate::precision::like;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

/// The hidden state after each step, from a state and a cell of zeros.
///
/// With `backwards`, the sequence is read from its end, and state and cell are multiplied by the mask after
/// each step. So padding at the end leaves them at zero until text begins. Forward, the mask is ignored. It
/// gets no gradient.
///
/// # Shapes
/// - x: `[T, B, I]`, time first
/// - weights: `[I, D]` and `[D, D]` for each gate, in the order input, forget, output, candidate
/// - bias: `[4 D]`
/// - mask: `[T, B]`, 1 for text and 0 for padding
/// - output: `[T, B, D]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn lstm(
    x: Tensor<3>,
    weights: Gates<4>,
    bias: Tensor<1>,
    mask: Option<Tensor<2>>,
    backwards: bool,
) -> Tensor<3> {
    let units = weights.units(&x);
    assert_eq!(bias.dims(), [4 * units], "the bias of {units} units");
    check_mask(&x, &mask);
    weights.count(&x);
    let x = like(x, &weights.hidden[0]);
    if !flex::runs_on(&x) {
        return plain(x, weights, bias, mask, backwards);
    }
    let mask = flex::or_empty(mask.filter(|_| backwards), &x);
    let [input, forget, output, candidate] = weights.input.map(Tensor::into_dispatch);
    let [hidden_input, hidden_forget, hidden_output, hidden_candidate] =
        weights.hidden.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::lstm_sequence(
        x.into_dispatch(),
        input,
        forget,
        output,
        candidate,
        hidden_input,
        hidden_forget,
        hidden_output,
        hidden_candidate,
        bias.into_dispatch(),
        mask,
        backwards,
    ))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain(
    x: Tensor<3>,
    weights: Gates<4>,
    bias: Tensor<1>,
    mask: Option<Tensor<2>>,
    backwards: bool,
) -> Tensor<3> {
    let [input_weight, hidden] = weights.joined(); // [I, 4 D], [D, 4 D]
    let units = hidden.dims()[0];
    let step = |input: Tensor<2>, [state, cell]: [Tensor<2>; 2]| {
        let sums = input.matmul(input_weight.clone()) + state.matmul(hidden.clone()); // [B, 4 D]
        let gates = sums + bias.clone().unsqueeze(); // [B, 4 D]
        let open = sigmoid(gates.clone().narrow(1, 0, 3 * units)); // [B, 3 D]
        let candidate = tanh(gates.narrow(1, 3 * units, units)); // [B, D]
        let gate = |index: usize| open.clone().narrow(1, index * units, units); // [B, D]
        let cell = gate(1) * cell + gate(0) * candidate;
        [gate(2) * tanh(cell.clone()), cell]
    };
    twin::walk(x, units, mask, backwards, step)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, samples};
    use super::*;
    use crate::testing::{Inputs, check, random};
    use burn::tensor::Device;
    use proptest::prelude::*;

    fn op(i: &Inputs, masked: bool, backwards: bool) -> Tensor<3> {
        lstm(i.get(0), cut(i.get(1)), i.get(2), masked.then(|| i.get::<2>(3).detach()), backwards)
    }

    fn twin(i: &Inputs, masked: bool, backwards: bool) -> Tensor<3> {
        plain(i.get(0), cut(i.get(1)), i.get(2), masked.then(|| i.get::<2>(3)), backwards)
    }

    #[test]
    fn agrees_with_its_twin() {
        let sizes = [
            (1, 1, 1, 1),
            (3, 5, 2, 7),
            (4, 7, 17, 16),
            (2, 13, 5, 33),
            (6, 1, 3, 20),
            (3, 70, 9, 8),
            (5, 60, 3, 66),
        ];
        for (steps, batch, inputs, units) in sizes {
            let samples = samples(steps, batch, inputs, units, 4);
            for (masked, backwards) in [(false, false), (true, false), (false, true), (true, true)] {
                check(
                    &format!("{steps} steps of {batch} x {inputs}, {units} units, {masked} {backwards}"),
                    &samples,
                    |i| op(i, masked, backwards),
                    |i| twin(i, masked, backwards),
                );
            }
        }
    }

    #[test]
    fn a_sequence_without_rows_leaves_zeros_for_the_weights() {
        let device = Device::flex().autodiff();
        let units = 5;
        for (steps, batch, inputs) in [(0, 2, 3), (2, 0, 3), (2, 2, 0)] {
            let weight = Tensor::<2>::ones([inputs + units, 4 * units], &device).require_grad();
            let x = Tensor::<3>::zeros([steps, batch, inputs], &device).require_grad();
            let states =
                lstm(x.clone(), cut(weight.clone()), Tensor::zeros([4 * units], &device), None, false);
            assert_eq!(states.dims(), [steps, batch, units]);
            let gradients = states.sum().backward();
            assert_eq!(x.grad(&gradients).expect("a gradient").dims(), [steps, batch, inputs]);
            let of_weight = weight.grad(&gradients).expect("a gradient");
            assert_eq!(of_weight.dims(), [inputs + units, 4 * units]);
            assert!(of_weight.into_data().iter::<f32>().all(|value| value == 0.0));
        }
    }

    #[test]
    fn a_layer_without_units() {
        let device = Device::flex().autodiff();
        let gates = |rows: usize| [(); 4].map(|()| Tensor::<2>::zeros([rows, 0], &device).require_grad());
        let weights = Gates { input: gates(3), hidden: gates(0) };
        let x = Tensor::<3>::ones([2, 2, 3], &device);
        let states = lstm(x, weights.clone(), Tensor::zeros([0], &device), None, false);
        assert_eq!(states.dims(), [2, 2, 0]);
        let gradients = states.sum().backward();
        assert_eq!(weights.input[2].grad(&gradients).expect("a gradient").dims(), [3, 0]);
    }

    #[test]
    fn strided_and_broadcast_inputs() {
        let samples = [random(&[4, 3, 5], 1), random(&[20, 11], 2), random(&[1], 3)];
        let shaped = |i: &Inputs| {
            (i.get::<3>(0).swap_dims(0, 1), i.get::<2>(1).transpose(), i.get::<1>(2).expand([20]))
        };
        // [3, 4, 5], [11, 20]: 5 units and 11 rows of weights want 6 inputs, so the last of 5 inputs is
        // repeated
        let wider = |x: Tensor<3>| Tensor::cat(vec![x.clone(), x.narrow(2, 0, 1)], 2);
        check(
            "strided",
            &samples,
            |i| {
                let (x, weight, bias) = shaped(i);
                lstm(wider(x), cut(weight), bias, None, false)
            },
            |i| {
                let (x, weight, bias) = shaped(i);
                plain(wider(x), cut(weight), bias, None, false)
            },
        );
    }

    #[test]
    fn gates_that_are_shut_or_open_and_numbers_that_are_none() {
        for scale in [30.0, 1e4, f32::INFINITY] {
            let samples = samples(3, 4, 2, 5, 4);
            let [x, weight, bias, mask] = &samples[..] else { unreachable!() };
            let samples =
                [x.clone().map(|v| v * scale).untracked(), weight.clone(), bias.clone(), mask.clone()];
            // Gates are right within 4e-7, and so are the slopes of shut gates, which are exactly 0 by Burn's
            // ops. The gradient of a weight multiplies them by the input, so beyond some tens only outputs
            // can be compared.
            let samples = samples.map(|sample| if scale > 100.0 { sample.untracked() } else { sample });
            check(
                &format!("scaled by {scale}"),
                &samples,
                |i| op(i, false, false),
                |i| twin(i, false, false),
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn any_shape(
            steps in 1..5usize, batch in 1..40usize, inputs in 1..20usize, units in 1..40usize, backwards: bool,
        ) {
            let samples = samples(steps, batch, inputs, units, 4);
            check("any shape", &samples, |i| op(i, true, backwards), |i| twin(i, true, backwards));
        }
    }
}
