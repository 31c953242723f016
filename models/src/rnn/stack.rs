//! Recurrent layers on top of each other, above an embedding. `B` texts, `T` tokens, `D` hidden units.

use super::recurrent::Recurrent;
use crate::check;
use crate::sequence::{Pooling, carries_text, last_of_text, mean_over_text};
use bonfire_contract::{ConfigError, Tokens};
use bonfire_kernels::embedding;
use bonfire_kernels::modules::dropout_along;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer};
use burn::tensor::{Device, Tensor, assert_shape};

/// Sizes of a [`Stack`].
pub(super) struct StackSizes {
    pub vocabulary: usize,
    pub embedding: usize,
    pub hidden: usize,
    pub layers: usize,
    pub bidirectional: bool,
    pub dropout: f64,
}

impl StackSizes {
    pub(super) fn check(&self, model: &'static str) -> Result<(), ConfigError> {
        check::positive(model, "vocabulary", self.vocabulary)?;
        check::size(model, "embedding", self.embedding)?;
        check::size(model, "hidden", self.hidden)?;
        check::layers(model, "layers", self.layers)?;
        check::dropout(model, self.dropout)
    }

    /// The width of the stack's output.
    pub(super) fn outputs(&self) -> usize {
        if self.bidirectional { 2 * self.hidden } else { self.hidden }
    }

    pub(super) fn init<R: Recurrent>(&self, device: &Device) -> Stack<R> {
        let layers = 0..self.layers;
        let inputs = |index: usize| if index == 0 { self.embedding } else { self.outputs() };
        let layer = |index: usize| Directions {
            forwards: R::new(inputs(index), self.hidden, device),
            backwards: self.bidirectional.then(|| R::new(inputs(index), self.hidden, device)),
        };
        Stack {
            embedding: EmbeddingConfig::new(self.vocabulary, self.embedding)
                .with_initializer(Initializer::Normal { mean: 0.0, std: 0.1 })
                .init(device),
            layers: layers.map(layer).collect(),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }
}

/// An embedding and recurrent layers, dropout after each.
#[derive(Module, Debug)]
pub(super) struct Stack<R: Recurrent> {
    /// `[V, E]`
    embedding: Embedding,
    layers: Vec<Directions<R>>,
    dropout: Dropout,
}

/// One layer, reading forwards or both ways.
#[derive(Module, Debug)]
struct Directions<R: Recurrent> {
    forwards: R,
    backwards: Option<R>,
}

impl<R: Recurrent> Stack<R> {
    /// # Shapes
    /// - input: tokens and padding, `[B, T]`
    /// - output: states `[B, T, D]`, or `[B, T, 2 D]` with the backward reader's behind the forward reader's;
    ///   and `[B, T]`, 1 where a position carries text
    pub(super) fn forward(&self, input: Tokens) -> (Tensor<3>, Tensor<2>) {
        let [batch, tokens] = input.tokens.dims();
        assert_shape!(input.padding, [batch, tokens]);
        let text = carries_text(input.padding); // [B, T]
        let in_time = text.clone().transpose(); // [T, B]
        let mut states = embedding(self.embedding.weight.val(), input.tokens.transpose()); // [T, B, E]
        for Directions { forwards, backwards } in &self.layers {
            let ahead = forwards.forward(states.clone(), in_time.clone(), false); // [T, B, D]
            let read = match backwards {
                None => ahead,
                Some(layer) => Tensor::cat(vec![ahead, layer.forward(states, in_time.clone(), true)], 2), // [T, B, 2 D]
            };
            states = dropout_along(&self.dropout, read, 1);
        }
        (states.swap_dims(0, 1), text) // [B, T, D]
    }

    /// One vector a text.
    ///
    /// # Shapes
    /// - input: tokens and padding, `[B, T]`
    /// - output: `[B, D]`, or `[B, 2 D]` with the backward reader's behind the forward reader's
    pub(super) fn pooled(&self, input: Tokens, pooling: Pooling) -> Tensor<2> {
        let bidirectional = self.layers.iter().any(|layer| layer.backwards.is_some());
        let (states, text) = self.forward(input); // [B, T, D], [B, T]
        match (pooling, bidirectional) {
            (Pooling::Mean, _) => mean_over_text(states, text),
            (Pooling::Last, false) => last_of_text(states, text),
            (Pooling::Last, true) => {
                let hidden = states.dims()[2] / 2;
                let ahead = last_of_text(states.clone().narrow(2, 0, hidden), text); // [B, D]
                // a backward reader ends at the first token
                let back = states.narrow(2, hidden, hidden).narrow(1, 0, 1).squeeze_dim(1); // [B, D]
                Tensor::cat(vec![ahead, back], 1)
            }
        }
    }
}
