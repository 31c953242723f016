//! Text: samples to classify, and long files to learn the language of.
//!
//! ```text
//! files -> texts (with labels) -> split -> vocabulary -> token ids -> padded batch, or bag of n-grams
//! file  -> one stream of ids   -> cut its tail off     -> windows of `max_tokens`
//! ```
//!
//! Everything is read once and held as compact token ids. Texts that are too large for that are read once for
//! their vocabulary and the tokens of each block, and then streamed by blocks. The schema, which turns texts
//! into ids and back, is saved as `vocabulary.json`.

mod bags;
mod blocks;
mod config;
mod corpus;
mod encode;
mod file;
mod infer;
mod learn;
mod ngrams;
mod open;
mod predict;
mod read;
mod reader;
mod request;
mod schema;
mod set;
mod stream;
mod streamed;
mod summary;
mod tokenizer;
mod windows;

pub use bags::BagSet;
pub use config::{TextConfig, TextTask};
pub use ngrams::{NgramShape, NgramUnit, Weigher};
pub(crate) use open::first_blocks;
pub use open::{open, open_evaluation, reopen};
pub use predict::{open_prediction, open_prediction_keeping};
pub use request::records;
pub use schema::{Ngrams, TextSchema};
pub use set::{TextSample, TextSet};
pub use summary::TextSummary;
pub use tokenizer::{Specials, Tokenizer, UnknownSymbol, VocabularyKind};

#[cfg(test)]
mod encodings;
