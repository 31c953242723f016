//! What a recurrent layer is, and the walk along time that all share. `T` tokens, `B` texts, `D` width.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};

/// A layer that reads a sequence step by step, from a state of zeros.
///
/// A sequence is the list of its steps, and stays one from layer to layer: the gradient of a slice is as large as what
/// it was cut from, so that cutting every layer's input into steps would dominate the backward pass.
pub trait Recurrent: Module + ModuleDisplay + 'static {
    /// A layer of `hidden` units on inputs of width `inputs`, weights drawn from the device's generator.
    fn new(inputs: usize, hidden: usize, device: &Device) -> Self;

    /// The hidden state after each step.
    ///
    /// With `backwards`, the sequence is read from its end, and the output at `t` has seen `t` and what follows.
    /// Padding (where `text` is 0) stands at the end: a forward reader meets it after all text, and a backward
    /// reader's state is held at zero until text begins. So what padding holds never reaches a text's states.
    ///
    /// # Shapes
    /// - steps: `T` of `[B, inputs]`, one at least
    /// - text: `T` of `[B, 1]`, 1 where a position carries text and 0 where it is padding
    /// - output: `T` of `[B, hidden]`
    fn forward(&self, steps: &[Tensor<2>], text: &[Tensor<2>], backwards: bool) -> Vec<Tensor<2>>;
}

/// Applies `step` to each input in turn and returns the first part of each state, in time's order.
///
/// `step` makes the next state of an input and the state before it; `N` is the number of parts of a state.
///
/// # Shapes
/// - steps: `T` of `[B, inputs]`
/// - text: `T` of `[B, 1]`
/// - start and states: `N` of `[B, D]`
pub(super) fn walk<const N: usize>(
    steps: &[Tensor<2>],
    text: &[Tensor<2>],
    backwards: bool,
    start: [Tensor<2>; N],
    step: impl Fn(Tensor<2>, [Tensor<2>; N]) -> [Tensor<2>; N],
) -> Vec<Tensor<2>> {
    assert_eq!(steps.len(), text.len(), "as many steps as positions were expected");
    let mut state = start;
    let mut outputs = Vec::with_capacity(steps.len());
    if backwards {
        for (input, text) in steps.iter().zip(text).rev() {
            state = step(input.clone(), state).map(|part| part * text.clone()); // [B, D]
            outputs.push(state[0].clone());
        }
        outputs.reverse();
    } else {
        for input in steps {
            state = step(input.clone(), state); // [B, D]
            outputs.push(state[0].clone());
        }
    }
    outputs
}

/// The slices of the first axis, `[T, B, D]` to `T` of `[B, D]`.
///
/// Halves are cut again and again: cutting `T` slices from the whole would move `T` times its memory in the backward
/// pass, and this moves it about `2 log2(T)` times.
pub(super) fn unbind(sequence: Tensor<3>) -> Vec<Tensor<2>> {
    let [tokens, _, _] = sequence.dims();
    assert!(tokens > 0, "a sequence of at least one step was expected, found none");
    if tokens == 1 {
        return vec![sequence.squeeze_dim(0)];
    }
    let half = tokens / 2;
    let mut slices = unbind(sequence.clone().narrow(0, 0, half));
    slices.extend(unbind(sequence.narrow(0, half, tokens - half)));
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unbinding_keeps_the_order() {
        let device = Device::flex();
        for tokens in [1, 2, 3, 7, 8] {
            let rows: Vec<f32> = (0..tokens * 2).map(|value| value as f32).collect();
            let sequence = Tensor::<1>::from_data(rows.as_slice(), &device).reshape([tokens, 1, 2]);
            let slices = unbind(sequence.clone());
            assert_eq!(slices.len(), tokens);
            Tensor::stack::<3>(slices, 0).into_data().assert_eq(&sequence.into_data(), true);
        }
    }

    #[test]
    fn a_backward_walk_sums_what_follows_and_skips_padding() {
        let device = Device::flex();
        let inputs = Tensor::<3>::from_data([[[1.0], [1.0]], [[2.0], [9.0]], [[4.0], [9.0]]], &device);
        let text = Tensor::<2>::from_data([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]], &device);
        let (steps, text) = (unbind(inputs), unbind(text.unsqueeze_dim(2)));
        let start = || [Tensor::<2>::zeros([2, 1], &device)];
        let sum = |input: Tensor<2>, [state]: [Tensor<2>; 1]| [state + input];
        let of = |backwards| -> Vec<f32> {
            let outputs = walk(&steps, &text, backwards, start(), sum);
            Tensor::stack::<3>(outputs, 0).into_data().iter().collect()
        };
        assert_eq!(of(false), [1.0, 1.0, 3.0, 10.0, 7.0, 19.0]);
        assert_eq!(of(true), [7.0, 1.0, 6.0, 0.0, 4.0, 0.0]);
    }
}
