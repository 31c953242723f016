//! Attention models of text: a transformer encoder that classifies, and a GPT that predicts the next token.

mod block;
mod classifier;
mod gpt;

pub use classifier::{Positions, TextPooling, TransformerClassifier, TransformerClassifierConfig};
pub use gpt::{Gpt, GptConfig};
