//! Gated recurrent unit, as a classifier and as a language model.
//!
//! Axes: `B` texts, `T` tokens, `D` hidden units, `V` words. Cho et al., "Learning phrase representations
//! using RNN encoder-decoder", 2014, with the reset gate after the multiplication, as PyTorch and cuDNN have
//! it. What differs from PyTorch's: biases start at 0.

use super::classifier::RecurrentClassifier;
use super::language_model::RecurrentLanguageModel;
use super::recurrent::{self, Recurrent};
use super::stack::StackSizes;
use crate::architecture::Architecture;
use crate::check;
use crate::headed::Headed;
use crate::language::LanguageModel;
use crate::objective::Objective;
use crate::sequence::Pooling;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Tokens};
use bonfire_kernels::modules;
use burn::config::Config;
use burn::nn::{Gru, GruConfig};
use burn::tensor::{Device, Tensor};

const CLASSIFIER: &str = "gru";
const LANGUAGE_MODEL: &str = "gru_lm";

/// Reads a text and names its class, or a value.
pub type GruClassifier = RecurrentClassifier<Gru>;

/// Reads tokens and predicts the next.
pub type GruLanguageModel = RecurrentLanguageModel<Gru>;

/// Sizes of a GRU classifier.
#[derive(Config, Debug, PartialEq)]
pub struct GruClassifierConfig {
    /// Tokens that are known, `V`.
    pub vocabulary: usize,
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Numbers that stand for a token.
    #[config(default = 64)]
    pub embedding: usize,
    /// Units of each layer and direction, `D`.
    #[config(default = 128)]
    pub hidden: usize,
    /// Layers on top of each other.
    #[config(default = 1)]
    pub layers: usize,
    /// True: each layer also reads the text from its end.
    #[config(default = false)]
    pub bidirectional: bool,
    /// The share of each layer's outputs that is dropped in training, in `[0, 1)`.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// The pooling of a text's states into one vector.
    #[config(default = "Pooling::Mean")]
    pub pooling: Pooling,
}

impl GruClassifierConfig {
    fn sizes(&self) -> StackSizes {
        StackSizes {
            vocabulary: self.vocabulary,
            embedding: self.embedding,
            hidden: self.hidden,
            layers: self.layers,
            bidirectional: self.bidirectional,
            dropout: self.dropout,
        }
    }
}

impl Architecture for GruClassifierConfig {
    type Model = GruClassifier;

    const DATA_KEYS: &'static [&'static str] = &["vocabulary", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        let (vocabulary, _) = spec.text()?;
        Ok(Self::new(vocabulary, spec.objective()?))
    }

    /// Refuses sizes that no such model can have.
    ///
    /// # Errors
    /// When a size is zero, the dropout is outside `[0, 1)`, or the objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        self.sizes().check(CLASSIFIER)?;
        self.objective.check(CLASSIFIER)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> GruClassifier {
        RecurrentClassifier::new(&self.sizes(), self.pooling, &self.objective, device)
    }

    fn headed(model: &GruClassifier) -> Option<&dyn Headed<Input = Tokens>> {
        Some(model)
    }
}

/// Sizes of a GRU language model.
#[derive(Config, Debug, PartialEq)]
pub struct GruLanguageModelConfig {
    /// Tokens that are known, `V`.
    pub vocabulary: usize,
    /// Numbers that stand for a token.
    #[config(default = 64)]
    pub embedding: usize,
    /// Units of each layer, `D`.
    #[config(default = 256)]
    pub hidden: usize,
    /// Layers on top of each other.
    #[config(default = 1)]
    pub layers: usize,
    /// The share of each layer's outputs that is dropped in training, in `[0, 1)`.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// The number of last tokens that are read again to sample the next one. Training is not bound by it:
    /// there, the data set's sequences are read whole.
    #[config(default = 256)]
    pub context: usize,
}

impl GruLanguageModelConfig {
    fn sizes(&self) -> StackSizes {
        StackSizes {
            vocabulary: self.vocabulary,
            embedding: self.embedding,
            hidden: self.hidden,
            layers: self.layers,
            bidirectional: false,
            dropout: self.dropout,
        }
    }
}

impl Architecture for GruLanguageModelConfig {
    type Model = GruLanguageModel;

    const DATA_KEYS: &'static [&'static str] = &["vocabulary", "context"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        let (vocabulary, max_tokens) = spec.language()?;
        Ok(Self::new(vocabulary).with_context(max_tokens))
    }

    /// Refuses sizes that no such model can have.
    ///
    /// # Errors
    /// When a size is zero, or the dropout is outside `[0, 1)`.
    fn check(&self) -> Result<(), ConfigError> {
        self.sizes().check(LANGUAGE_MODEL)?;
        check::positive(LANGUAGE_MODEL, "context", self.context)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> GruLanguageModel {
        RecurrentLanguageModel::new(&self.sizes(), self.context, device)
    }

    fn language_model(model: &GruLanguageModel) -> Option<&dyn LanguageModel> {
        Some(model)
    }
}

impl Recurrent for Gru {
    /// Weights are uniform in `[-1 / sqrt(D), 1 / sqrt(D)]`, biases 0.
    fn new(inputs: usize, hidden: usize, device: &Device) -> Self {
        let config = GruConfig::new(inputs, hidden, true);
        let mut layer = config.with_initializer(recurrent::uniform(hidden)).init(device);
        for gate in [&mut layer.update_gate, &mut layer.reset_gate, &mut layer.new_gate] {
            recurrent::set_bias(gate, 0.0);
        }
        layer
    }

    fn forward(&self, x: Tensor<3>, text: Tensor<2>, backwards: bool) -> Tensor<3> {
        modules::gru(self, x, Some(text), backwards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rnn::tests::{
        assert_causal, assert_padding_changes_nothing, assert_samples_from_the_last_token,
    };

    #[test]
    fn padding_never_changes_logits() {
        let device = Device::flex();
        device.seed(11);
        for pooling in [Pooling::Mean, Pooling::Last] {
            for bidirectional in [false, true] {
                let model = GruClassifierConfig::new(7, Objective::classes(3))
                    .with_embedding(5)
                    .with_hidden(6)
                    .with_layers(2)
                    .with_bidirectional(bidirectional)
                    .with_pooling(pooling)
                    .init(&device);
                assert_padding_changes_nothing(|input| model.forward(input));
            }
        }
    }

    #[test]
    fn the_future_is_hidden_and_sampling_reads_the_last_position() {
        let device = Device::flex();
        device.seed(12);
        let config = GruLanguageModelConfig::new(7).with_embedding(5).with_hidden(6).with_layers(2);
        let model = config.with_context(4).init(&device);
        assert_causal(7, |input| model.forward(input));
        assert_samples_from_the_last_token(&model, |input| model.forward(input));
    }

    #[test]
    fn refuses_impossible_sizes() {
        let classifier = || GruClassifierConfig::new(7, Objective::classes(3));
        classifier().check().unwrap();
        assert_eq!(
            GruClassifierConfig::new(0, Objective::values(1)).check().unwrap_err().field,
            "vocabulary"
        );
        assert_eq!(classifier().with_embedding(0).check().unwrap_err().field, "embedding");
        assert_eq!(classifier().with_hidden(0).check().unwrap_err().field, "hidden");
        assert_eq!(classifier().with_layers(0).check().unwrap_err().field, "layers");
        assert_eq!(classifier().with_dropout(1.5).check().unwrap_err().field, "dropout");
        let model = GruLanguageModelConfig::new(7).with_context(0);
        assert_eq!(model.check().unwrap_err().field, "context");
    }
}
