//! Transformer encoder on a text, with a head for classes or values.
//!
//! Axes: `B` texts, `T` tokens, `D` width, `O` outputs. Vaswani et al., "Attention is all you need", 2017.
//! What differs: norms stand before each part and once more at the end (Xiong et al. 2020), the activation is
//! GELU, and weights start as GPT-2's.

use super::block::{
    AttentionMask, EPSILON, TransformerBlock, TransformerBlocksConfig, WEIGHT_STD, normal_linear,
    through_blocks,
};
use crate::architecture::Architecture;
use crate::check;
use crate::headed::Headed;
use crate::objective::Objective;
use crate::sequence::{carries_text, mean_over_text};
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Output, Target, Task, Tokens};
use bonfire_kernels::Activation;
use bonfire_kernels::modules::{dropout, embedding, layer_norm, linear};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm, Linear};
use burn::tensor::{Device, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

const MODEL: &str = "transformer";

/// The vectors that tell a token's place in its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A vector a place, learned.
    #[default]
    Learned,
    /// Sines and cosines of geometric wavelengths (Vaswani et al. 2017, section 3.5).
    Sinusoidal,
}

/// The pooling of a text's token vectors into one vector. Padding never takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPooling {
    /// The mean over the tokens; an empty text is zero.
    #[default]
    Mean,
    /// The vector of one more token, learned, that stands before the text (Devlin et al. 2018).
    ClassToken,
}

/// Sizes of a [`TransformerClassifier`].
#[derive(Config, Debug, PartialEq)]
pub struct TransformerClassifierConfig {
    /// Tokens that are known, `V`.
    pub vocabulary: usize,
    /// The longest text, in tokens.
    pub max_tokens: usize,
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Blocks.
    #[config(default = 2)]
    pub layers: usize,
    /// Heads a block; they divide the width.
    #[config(default = 4)]
    pub heads: usize,
    /// Numbers that stand for a token, `D`.
    #[config(default = 64)]
    pub width: usize,
    /// The share of embeddings, attention weights and block outputs that is dropped in training, in `[0, 1)`.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// The vectors that tell a token's place.
    #[config(default = "Positions::Learned")]
    pub positions: Positions,
    /// The pooling of a text's token vectors into one vector.
    #[config(default = "TextPooling::Mean")]
    pub pooling: TextPooling,
}

impl TransformerClassifierConfig {
    fn blocks(&self) -> TransformerBlocksConfig {
        let TransformerClassifierConfig { width, heads, layers, dropout, .. } = *self;
        TransformerBlocksConfig { dropout, ..TransformerBlocksConfig::new(width, heads, layers) }
    }
}

impl Architecture for TransformerClassifierConfig {
    type Model = TransformerClassifier;

    const DATA_KEYS: &'static [&'static str] = &["vocabulary", "max_tokens", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        let (vocabulary, max_tokens) = spec.text()?;
        Ok(Self::new(vocabulary, max_tokens, spec.objective()?))
    }

    /// Refuses sizes that no such model can have.
    ///
    /// # Errors
    /// When a size is zero, the heads do not divide the width, the width is odd with sinusoidal positions,
    /// the dropout is outside `[0, 1)`, or the objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check::positive(MODEL, "vocabulary", self.vocabulary)?;
        check::positive(MODEL, "max_tokens", self.max_tokens)?;
        self.objective.check(MODEL)?;
        self.blocks().check(MODEL)?;
        let paired = self.positions == Positions::Learned || self.width.is_multiple_of(2);
        let expected = "an even number for sinusoidal positions";
        ConfigError::check(paired, MODEL, "width", expected, self.width)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> TransformerClassifier {
        let blocks = self.blocks();
        let normal = Initializer::Normal { mean: 0.0, std: WEIGHT_STD };
        let learned = (self.positions == Positions::Learned)
            .then(|| normal.init([self.max_tokens, self.width], device));
        let class_token =
            (self.pooling == TextPooling::ClassToken).then(|| normal.init([1, self.width], device));
        TransformerClassifier {
            embedding: EmbeddingConfig::new(self.vocabulary, self.width)
                .with_initializer(normal)
                .init(device),
            learned,
            class_token,
            dropout: DropoutConfig::new(self.dropout).init(),
            blocks: blocks.init(device),
            norm: blocks.norm(device),
            head: normal_linear([self.width, self.objective.head()], true, WEIGHT_STD, device),
            max_tokens: self.max_tokens,
            objective: self.objective.clone(),
        }
    }

    fn headed(model: &TransformerClassifier) -> Option<&dyn Headed<Input = Tokens>> {
        Some(model)
    }
}

/// Embeddings, blocks in which every token sees every token of its text, one vector a text, and a head.
#[derive(Module, Debug)]
pub struct TransformerClassifier {
    /// `[V, D]`
    embedding: Embedding,
    /// `[max_tokens, D]`; none where positions are sinusoidal.
    learned: Option<Param<Tensor<2>>>,
    /// `[1, D]`
    class_token: Option<Param<Tensor<2>>>,
    dropout: Dropout,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    /// `[D, O]`, and a bias `[O]`
    head: Linear,
    max_tokens: usize,
    #[module(skip)]
    objective: Objective,
}

impl TransformerClassifier {
    /// The numbers at the head. What padding holds, and how much of it there is, changes nothing.
    ///
    /// # Shapes
    /// - input: tokens and padding, `[B, T]`, `T` at most `max_tokens`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    ///
    /// # Panics
    /// When the texts are longer than `max_tokens`.
    pub fn forward(&self, input: Tokens) -> Tensor<2> {
        self.answer(self.features(input))
    }

    /// The first `length` places' vectors, `[T, D]`.
    fn positions(&self, length: usize, device: &Device) -> Tensor<2> {
        match &self.learned {
            Some(learned) => learned.val().narrow(0, 0, length),
            None => {
                let [_, width] = self.embedding.weight.shape().dims();
                let kind = (device, self.embedding.weight.val().dtype());
                let places = Tensor::<1>::from_data(sinusoids(length, width).as_slice(), kind);
                places.reshape([length, width])
            }
        }
    }
}

/// `sin(t / 10000^(2 i / D))` and its cosine, in turn, for each place `t`: `T * D` numbers.
fn sinusoids(length: usize, width: usize) -> Vec<f32> {
    let number = |place: usize, column: usize| {
        let pair = (column - column % 2) as f64;
        let angle = place as f64 / 10_000f64.powf(pair / width as f64);
        (if column.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..length).flat_map(|place| (0..width).map(move |column| number(place, column))).collect()
}

impl Headed for TransformerClassifier {
    type Input = Tokens;

    fn features(&self, input: Tokens) -> Tensor<2> {
        let [batch, length] = input.tokens.dims();
        assert_shape!(input.padding, [batch, length]);
        let most = self.max_tokens;
        assert!(length <= most, "at most {most} tokens were expected, found {length}");
        let device = input.tokens.device();
        let x = embedding(&self.embedding, input.tokens); // [B, T, D]
        let mut x = x + self.positions(length, &device).unsqueeze(); // [B, T, D]
        let mut text = carries_text(input.padding); // [B, T]
        if let Some(token) = &self.class_token {
            let token = token.val().unsqueeze::<3>().expand([batch as i64, -1, -1]); // [B, 1, D]
            x = Tensor::cat(vec![token, x], 1); // [B, 1 + T, D]
            text = Tensor::cat(vec![Tensor::ones([batch, 1], &device), text], 1); // [B, 1 + T]
        }
        let x = dropout(&self.dropout, x);
        let x = through_blocks(&self.blocks, x, &AttentionMask::Text(text.clone())); // [B, T, D]
        let x = layer_norm(&self.norm, x, EPSILON);
        match self.class_token {
            Some(_) => x.narrow(1, 0, 1).squeeze_dim(1), // [B, D]
            None => mean_over_text(x, text),             // [B, D]
        }
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, features, Activation::Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl Task for TransformerClassifier {
    type Input = Tokens;

    fn predict(&self, input: Tokens) -> Output {
        self.objective.output(self.forward(input))
    }

    /// Nats for classes, the objective's error for values.
    fn loss(&self, input: Tokens, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::without_padding;
    use crate::rnn::tests::assert_padding_changes_nothing;
    use burn::tensor::{Bool, Int};

    fn config() -> TransformerClassifierConfig {
        TransformerClassifierConfig::new(7, 9, Objective::classes(3)).with_width(8).with_heads(2)
    }

    fn every_kind() -> Vec<TransformerClassifierConfig> {
        let of = |positions, pooling| config().with_positions(positions).with_pooling(pooling);
        vec![
            of(Positions::Learned, TextPooling::Mean),
            of(Positions::Learned, TextPooling::ClassToken),
            of(Positions::Sinusoidal, TextPooling::Mean),
            of(Positions::Sinusoidal, TextPooling::ClassToken),
        ]
    }

    #[test]
    fn padding_never_changes_logits() {
        let device = Device::flex();
        device.seed(31);
        for config in every_kind() {
            let model = config.init(&device);
            assert_padding_changes_nothing(|input| model.forward(input));
        }
    }

    #[test]
    fn order_matters() {
        let device = Device::flex();
        device.seed(32);
        for config in every_kind() {
            let model = config.init(&device);
            let logits = |tokens: [[i64; 3]; 1]| {
                model.forward(without_padding(Tensor::<2, Int>::from_data(tokens, &device))).into_data()
            };
            assert_ne!(logits([[1, 2, 3]]), logits([[3, 2, 1]]));
        }
    }

    #[test]
    fn an_empty_text_has_numbers() {
        let device = Device::flex();
        for config in every_kind() {
            let input = Tokens {
                tokens: Tensor::zeros([1, 3], &device),
                padding: Tensor::<2, Bool>::from_data([[true, true, true]], &device),
            };
            let logits = config.init(&device).forward(input).into_data();
            assert!(logits.iter::<f32>().all(f32::is_finite), "{logits}");
        }
    }

    #[test]
    fn sinusoids_are_the_papers() {
        let values = sinusoids(3, 4);
        let expected = [2f64.sin(), 2f64.cos(), 0.02f64.sin(), 0.02f64.cos()];
        for (found, expected) in values[8..].iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{found} is not {expected}");
        }
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: TransformerClassifierConfig| config.check().unwrap_err().field;
        assert_eq!(field(config().with_heads(5)), "heads");
        assert_eq!(field(config().with_layers(0)), "layers");
        let odd = config().with_width(9).with_heads(3);
        assert_eq!(field(odd.clone().with_positions(Positions::Sinusoidal)), "width");
        odd.check().unwrap();
        assert_eq!(field(TransformerClassifierConfig::new(7, 0, Objective::classes(2))), "max_tokens");
        assert_eq!(field(TransformerClassifierConfig::new(0, 9, Objective::classes(2))), "vocabulary");
    }
}
