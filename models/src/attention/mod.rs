//! Attention models: of text, a transformer encoder that classifies and a GPT that predicts the next token;
//! of pictures, the vision transformer.

mod block;
mod classifier;
mod gpt;
mod resample;
mod vit;

pub use block::{AttentionMask, TransformerBlock, TransformerBlocksConfig, through_blocks};
pub use classifier::{Positions, TextPooling, TransformerClassifier, TransformerClassifierConfig};
pub use gpt::{Gpt, GptConfig};
pub use vit::{PatchPooling, VisionTransformer, VisionTransformerConfig};
