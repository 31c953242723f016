//! The contract of a recurrent layer. `T` tokens, `B` texts.

use burn::module::{Module, ModuleDisplay, Param};
use burn::nn::{GateController, Initializer};
use burn::tensor::{Device, Tensor};

/// A layer that reads a sequence step by step, from a state of zeros. Time is the first axis, so that a step
/// is one piece of memory.
pub trait Recurrent: Module + ModuleDisplay + 'static {
    /// A layer of `hidden` units on inputs of width `inputs`, weights drawn from the device's generator.
    fn new(inputs: usize, hidden: usize, device: &Device) -> Self;

    /// The hidden state after each step.
    ///
    /// With `backwards`, the sequence is read from its end, and the output at `t` has seen `t` and what
    /// follows. Padding (where `text` is 0) stands at the end: a forward reader meets it after all text, and
    /// a backward reader's state is held at zero until text begins. So what padding holds never reaches a
    /// text's states.
    ///
    /// # Shapes
    /// - x: `[T, B, inputs]`
    /// - text: `[T, B]`, 1 where a position carries text and 0 where it is padding
    /// - output: `[T, B, hidden]`
    fn forward(&self, x: Tensor<3>, text: Tensor<2>, backwards: bool) -> Tensor<3>;
}

/// The usual range of a layer of `hidden` units, `[-1 / sqrt(D), 1 / sqrt(D)]`.
pub(super) fn uniform(hidden: usize) -> Initializer {
    let bound = 1.0 / (hidden as f64).sqrt();
    Initializer::Uniform { min: -bound, max: bound }
}

/// Sets the two biases of a gate, of the input and of the state, so that their sum is `value`.
pub(super) fn set_bias(gate: &mut GateController, value: f32) {
    for (map, value) in [(&mut gate.input_transform, value), (&mut gate.hidden_transform, 0.0)] {
        let filled = |bias: Param<Tensor<1>>| {
            let bias = bias.val();
            Param::from_tensor(bias.full_like(value))
        };
        map.bias = map.bias.take().map(filled);
    }
}
