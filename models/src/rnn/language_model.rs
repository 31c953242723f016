//! Tokens in, the next token out, over any recurrent layer. `B` texts, `T` tokens, `V` words.

use super::recurrent::Recurrent;
use super::stack::{Stack, StackSizes};
use crate::language::{LanguageModel, at_last_token, last_tokens, next_token_loss};
use bonfire_contract::{Output, Target, Task, Tokens};
use bonfire_kernels::Activation::Identity;
use bonfire_kernels::modules::linear;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// Embedding, recurrent layers that read forwards, and an output layer.
///
/// Each sequence starts from a state of zeros; none is carried from batch to batch, so that any order of
/// samples trains the same way.
#[derive(Module, Debug)]
pub struct RecurrentLanguageModel<R: Recurrent> {
    stack: Stack<R>,
    /// `[D, V]`, and a bias `[V]`
    head: Linear,
    vocabulary: usize,
    context: usize,
}

impl<R: Recurrent> RecurrentLanguageModel<R> {
    pub(super) fn new(sizes: &StackSizes, context: usize, device: &Device) -> Self {
        RecurrentLanguageModel {
            stack: sizes.init(device),
            head: LinearConfig::new(sizes.outputs(), sizes.vocabulary).init(device),
            vocabulary: sizes.vocabulary,
            context,
        }
    }

    /// Unnormalised log-probabilities of the token after each position; none depends on a later token.
    ///
    /// # Shapes
    /// - input: tokens and padding, `[B, T]`
    /// - output: `[B, T, V]`
    pub fn forward(&self, input: Tokens) -> Tensor<3> {
        let (states, _) = self.stack.forward(input); // [B, T, D]
        linear(&self.head, states, Identity) // [B, T, V]
    }
}

impl<R: Recurrent> Task for RecurrentLanguageModel<R> {
    type Input = Tokens;

    fn predict(&self, input: Tokens) -> Output {
        Output::TokenLogits(self.forward(input))
    }

    /// Cross-entropy of the next tokens, in nats a token; padding takes no part.
    fn loss(&self, input: Tokens, target: Target) -> Tensor<1> {
        let padding = input.padding.clone();
        next_token_loss(self.forward(input), padding, target)
    }
}

impl<R: Recurrent> LanguageModel for RecurrentLanguageModel<R> {
    fn context(&self) -> usize {
        self.context
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn next_logits(&self, input: Tokens) -> Tensor<2> {
        let input = last_tokens(input, self.context);
        let padding = input.padding.clone();
        // The product of one row may round differently from that of many: the logits are `forward`'s, bit by
        // bit.
        at_last_token(self.forward(input), padding) // [B, V]
    }
}
