//! A text in, classes or values out, over any recurrent layer. `B` texts, `T` tokens, `O` outputs.

use super::recurrent::Recurrent;
use super::stack::{Stack, StackSizes};
use crate::headed::Headed;
use crate::objective::Objective;
use crate::sequence::Pooling;
use bonfire_contract::{Output, Target, Task, Tokens};
use bonfire_kernels::Activation::Identity;
use bonfire_kernels::modules::linear;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// Embedding, recurrent layers, one vector a text, and a head.
#[derive(Module, Debug)]
pub struct RecurrentClassifier<R: Recurrent> {
    stack: Stack<R>,
    /// `[D, O]`, and a bias `[O]`; `2 D` for a bidirectional stack
    head: Linear,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    objective: Objective,
}

impl<R: Recurrent> RecurrentClassifier<R> {
    pub(super) fn new(sizes: &StackSizes, pooling: Pooling, objective: &Objective, device: &Device) -> Self {
        RecurrentClassifier {
            stack: sizes.init(device),
            head: LinearConfig::new(sizes.outputs(), objective.head()).init(device),
            pooling,
            objective: objective.clone(),
        }
    }

    /// The numbers at the head. What padding holds, and how much of it there is, changes nothing.
    ///
    /// # Shapes
    /// - input: tokens and padding, `[B, T]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Tokens) -> Tensor<2> {
        self.answer(self.features(input))
    }
}

impl<R: Recurrent> Headed for RecurrentClassifier<R> {
    type Input = Tokens;

    fn features(&self, input: Tokens) -> Tensor<2> {
        self.stack.pooled(input, self.pooling)
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, features, Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl<R: Recurrent> Task for RecurrentClassifier<R> {
    type Input = Tokens;

    fn predict(&self, input: Tokens) -> Output {
        self.objective.output(self.forward(input))
    }

    /// Nats for classes, the objective's error for values.
    fn loss(&self, input: Tokens, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}
