//! The trainer's needs of a model, and the model's answers.

use crate::{Input, Target};
use burn::module::Module;
use burn::tensor::Tensor;

/// The answer of a model about a batch: `B` samples, `K` classes, `O` values, `T` tokens, `V` words,
/// `D` reconstructed numbers a sample.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // one a batch, and boxing would cost more than it saves
pub enum Output {
    /// Unnormalised log-probabilities of the classes, `[B, K]`.
    Logits(Tensor<2>),
    /// Predicted values, `[B, O]`, in the target's standardised unit.
    Values(Tensor<2>),
    /// Unnormalised log-probabilities of the token after each position, `[B, T, V]`.
    TokenLogits(Tensor<3>),
    /// A reconstruction and the input it stands for, both `[B, D]`.
    Reconstruction {
        /// `[B, D]`
        output: Tensor<2>,
        /// `[B, D]`
        input: Tensor<2>,
    },
}

/// A model with the question it answers. The trainer is generic over this trait and knows no
/// architecture.
pub trait Task: Module + 'static {
    /// Its input: [`Images`](crate::Images), [`Tokens`](crate::Tokens), [`Bags`](crate::Bags) or
    /// [`Table`](crate::Table).
    type Input: Input;

    /// The model's answer for each sample. Deterministic on a module made by `valid()`.
    fn predict(&self, input: Self::Input) -> Output;

    /// The training loss, `[1]`: a mean over the samples of the batch, so that the mean of the
    /// losses of pieces, weighted by their sample counts, is the loss of the whole. Its unit is
    /// nats for classes and tokens, and a (squared, absolute, Huber) error for values.
    ///
    /// # Panics
    /// When `target` is of a kind the task was not configured for: the registry pairs the two.
    fn loss(&self, input: Self::Input, target: Target) -> Tensor<1>;
}

/// A size or an option that no model can have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{model}: {field}: expected {expected}, found {found}")]
pub struct ConfigError {
    /// The architecture's registered name.
    pub model: &'static str,
    /// The field of its config.
    pub field: &'static str,
    /// The values that the field may have.
    pub expected: String,
    /// The value that it had.
    pub found: String,
}

impl ConfigError {
    /// `Ok` when `holds`, otherwise an error that names the field and both values.
    ///
    /// # Errors
    /// When the condition does not hold.
    pub fn check(
        holds: bool,
        model: &'static str,
        field: &'static str,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Result<(), ConfigError> {
        match holds {
            true => Ok(()),
            false => {
                Err(ConfigError { model, field, expected: expected.to_string(), found: found.to_string() })
            }
        }
    }
}
