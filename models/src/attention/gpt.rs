//! GPT: a causal transformer that predicts the next token.
//!
//! Axes: `B` texts, `T` tokens, `D` width, `V` words. Radford et al., "Language models are unsupervised
//! multitask learners" (GPT-2), 2019, in the layout of nanoGPT: learned positions, pre-norm blocks with one
//! matrix for queries, keys and values, GELU by tanh, the output layer tied to the embedding, biases
//! optional.

use super::block::{
    AttentionMask, EPSILON, TransformerBlock, TransformerBlocksConfig, WEIGHT_STD, through_blocks,
};
use crate::architecture::Architecture;
use crate::check;
use crate::language::{LanguageModel, at_last_token, last_tokens, next_token_loss};
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Output, Target, Task, Tokens};
use bonfire_kernels::modules::{dropout, embedding, layer_norm};
use bonfire_kernels::{Activation, linear};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm};
use burn::tensor::{Device, Int, Tensor};

const MODEL: &str = "gpt";

/// Sizes of a [`Gpt`]. The defaults are nanoGPT's setting for a CPU.
#[derive(Config, Debug, PartialEq)]
pub struct GptConfig {
    /// Tokens that are known, `V`.
    pub vocabulary: usize,
    /// The longest sequence, in tokens.
    pub context: usize,
    /// Blocks.
    #[config(default = 4)]
    pub layers: usize,
    /// Heads a block; they divide the width.
    #[config(default = 4)]
    pub heads: usize,
    /// Numbers that stand for a token, `D`.
    #[config(default = 128)]
    pub width: usize,
    /// The share of embeddings, attention weights and block outputs that is dropped in training, in `[0, 1)`.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Biases in linear layers and norms, as GPT-2 has them.
    #[config(default = false)]
    pub bias: bool,
}

impl GptConfig {
    fn blocks(&self) -> TransformerBlocksConfig {
        let GptConfig { width, heads, layers, bias, dropout, .. } = *self;
        TransformerBlocksConfig { bias, dropout, ..TransformerBlocksConfig::new(width, heads, layers) }
    }
}

impl Architecture for GptConfig {
    type Model = Gpt;

    const DATA_KEYS: &'static [&'static str] = &["vocabulary", "context"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        let (vocabulary, max_tokens) = spec.language()?;
        Ok(Self::new(vocabulary, max_tokens))
    }

    /// Refuses sizes that no GPT can have.
    ///
    /// # Errors
    /// When a size is zero, the heads do not divide the width, or the dropout is outside `[0, 1)`.
    fn check(&self) -> Result<(), ConfigError> {
        check::positive(MODEL, "vocabulary", self.vocabulary)?;
        check::positive(MODEL, "context", self.context)?;
        self.blocks().check(MODEL)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> Gpt {
        let blocks = self.blocks();
        let embedding = |rows: usize| {
            let initializer = Initializer::Normal { mean: 0.0, std: WEIGHT_STD };
            EmbeddingConfig::new(rows, self.width).with_initializer(initializer).init(device)
        };
        Gpt {
            embedding: embedding(self.vocabulary),
            positions: embedding(self.context),
            dropout: DropoutConfig::new(self.dropout).init(),
            blocks: blocks.init(device),
            norm: blocks.norm(device),
        }
    }

    fn language_model(model: &Gpt) -> Option<&dyn LanguageModel> {
        Some(model)
    }
}

/// Embeddings, causal blocks, and the embedding again as the output layer.
#[derive(Module, Debug)]
pub struct Gpt {
    /// `[V, D]`, both of the input and of the output
    embedding: Embedding,
    /// `[context, D]`
    positions: Embedding,
    dropout: Dropout,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
}

impl Gpt {
    /// Unnormalised log-probabilities of the token after each position; none depends on a later token, and so
    /// none of a text's on the padding behind it.
    ///
    /// # Shapes
    /// - input: tokens and padding, `[B, T]`, `T` at most the context
    /// - output: `[B, T, V]`
    ///
    /// # Panics
    /// When the sequence is longer than the context.
    pub fn forward(&self, input: Tokens) -> Tensor<3> {
        self.logits(self.hidden(input.tokens))
    }

    /// The last block's normalised output, `[B, T, D]`.
    fn hidden(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [_, length] = tokens.dims();
        let context = self.context();
        assert!(length <= context, "at most {context} tokens were expected, found {length}");
        let device = tokens.device();
        let positions = Tensor::<1, Int>::arange(0..length as i64, &device).unsqueeze(); // [1, T]
        let x = embedding(&self.embedding, tokens) + embedding(&self.positions, positions); // [B, T, D]
        let x = through_blocks(&self.blocks, dropout(&self.dropout, x), &AttentionMask::Causal); // [B, T, D]
        layer_norm(&self.norm, x, EPSILON)
    }

    /// `[.., D]` to `[.., V]`.
    fn logits<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        linear(hidden, self.embedding.weight.val().transpose(), None, Activation::Identity)
    }
}

impl Task for Gpt {
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

impl LanguageModel for Gpt {
    fn context(&self) -> usize {
        self.positions.weight.shape().dims::<2>()[0]
    }

    fn vocabulary(&self) -> usize {
        self.embedding.weight.shape().dims::<2>()[0]
    }

    fn next_logits(&self, input: Tokens) -> Tensor<2> {
        let input = last_tokens(input, self.context());
        let last = at_last_token(self.hidden(input.tokens), input.padding); // [B, D]
        self.logits(last) // [B, V]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::without_padding;
    use crate::rnn::tests::{assert_causal, assert_samples_from_the_last_token};

    fn config() -> GptConfig {
        GptConfig::new(7, 6).with_layers(2).with_heads(2).with_width(8)
    }

    #[test]
    fn the_mask_hides_the_future() {
        let device = Device::flex();
        device.seed(21);
        for bias in [false, true] {
            let model = config().with_bias(bias).init(&device);
            assert_causal(7, |input| model.forward(input));
        }
    }

    #[test]
    fn sampling_reads_the_last_position_of_the_context() {
        let device = Device::flex();
        device.seed(22);
        let model = config().init(&device);
        assert_samples_from_the_last_token(&model, |input| model.forward(input));
        assert_eq!((model.context(), model.vocabulary()), (6, 7));
    }

    #[test]
    fn has_the_size_of_gpt_2() {
        // Radford et al. 2019's smallest: 124,439,808 parameters
        let config = GptConfig::new(50257, 1024).with_layers(12).with_heads(12).with_width(768);
        assert_eq!(config.with_bias(true).init(&Device::flex()).num_params(), 124_439_808);
    }

    #[test]
    fn untrained_it_finds_every_token_about_equally_likely() {
        let device = Device::flex();
        device.seed(23);
        let model = GptConfig::new(50, 100).init(&device);
        // so many tokens that the mean is sure, whatever weights other tests leave of the generator
        let tokens = Tensor::<1, Int>::arange(0..100, &device);
        let from = |first: i64| (tokens.clone() * 7 + first).remainder_scalar(50).unsqueeze::<2>(); // [1, T]
        let loss = model.loss(without_padding(from(0)), Target::NextTokens(from(13))).into_scalar::<f32>();
        assert!((loss - 50f32.ln()).abs() < 0.2, "{loss} nats");
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: GptConfig| config.check().unwrap_err().field;
        assert_eq!(field(GptConfig::new(0, 6)), "vocabulary");
        assert_eq!(field(GptConfig::new(7, 0)), "context");
        assert_eq!(field(config().with_heads(3)), "heads");
        assert_eq!(field(config().with_heads(0)), "heads");
        assert_eq!(field(config().with_width(0)), "width");
        assert_eq!(field(config().with_layers(0)), "layers");
        assert_eq!(field(config().with_dropout(1.0)), "dropout");
        config().check().unwrap();
    }
}
