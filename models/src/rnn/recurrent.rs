//! What a recurrent layer is. `T` tokens, `B` texts.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};

/// A layer that reads a sequence step by step, from a state of zeros. Time is the first axis, so that a step is one
/// piece of memory.
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
    /// - x: `[T, B, inputs]`
    /// - text: `[T, B]`, 1 where a position carries text and 0 where it is padding
    /// - output: `[T, B, hidden]`
    fn forward(&self, x: Tensor<3>, text: Tensor<2>, backwards: bool) -> Tensor<3>;
}
