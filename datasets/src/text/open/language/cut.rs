//! The cut that long texts share, whether they are held or streamed: a tail to evaluate on.

use crate::records::split;
use crate::text::config::TextConfig;
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::text::tokenizer::Counts;
use crate::{DataError, OnCorrupt, Pipeline, PipelineConfig};
use std::ops::Range;

/// A long text for training, and the parts that are cut off it to evaluate on.
pub(super) struct Cut {
    pub train: Pipeline<TextSet>,
    pub valid: Option<TextSet>,
    pub test: Option<TextSet>,
    pub schema: TextSchema,
}

/// The parts of a long text: training, validation, test.
pub(super) fn cut(len: usize, config: &TextConfig) -> Result<[Range<usize>; 3], DataError> {
    let (valid, test) = config.fractions();
    split::tail(len, valid, test)
}

/// Every character that was counted, in the order of their code.
///
/// # Errors
/// When the recipe wants fewer.
pub(super) fn symbols_of_all(
    counts: Counts,
    uri: &str,
    config: &TextConfig,
) -> Result<Vec<String>, DataError> {
    let symbols = counts.sorted();
    match config.max_vocabulary.filter(|&most| most < symbols.len()) {
        Some(most) => {
            let expected = format!("none, or at least the {} characters of {uri}", symbols.len());
            Err(DataError::config("max_vocabulary", expected, most))
        }
        None => Ok(symbols),
    }
}

/// The error of a training part without a window.
pub(super) fn too_short(uri: &str, schema: &TextSchema, tokens: usize) -> DataError {
    let expected = format!("more than {} training tokens (data.max_tokens)", schema.max_tokens);
    DataError::source(uri, expected, tokens)
}

/// Nothing inside a long text is skipped: a block that cannot be read always stops.
pub(super) fn in_order(config: &TextConfig, seed: u64) -> PipelineConfig {
    PipelineConfig { on_corrupt: OnCorrupt::Stop, ..config.in_order(seed) }
}
