//! Labelled texts in their own order, in memory or by blocks.

use super::blocks::{TextDecoder, source};
use super::config::{TextConfig, TextTask};
use super::encode::{encode, target};
use super::read;
use super::reader::Text;
use super::schema::TextSchema;
use super::set::TextSet;
use crate::DataError;
use crate::records::{Format, files};
use crate::store::{self, BlockSet, Source};
use std::sync::Arc;

/// True for texts to be streamed: the recipe says so, or they are too large to be held and of a format that
/// has blocks, which lines with labels do not.
pub(super) fn is_streamed(uri: &str, config: &TextConfig) -> bool {
    let format = || {
        let first = files(uri).ok().and_then(|files| files.into_iter().next());
        config.format.or_else(|| first.and_then(|first| config.format(&first).ok()))
    };
    match config.stream {
        Some(wish) => wish,
        None => {
            store::is_streamed(uri, None)
                && (config.task == TextTask::LanguageModel || !format().is_some_and(Format::is_plain))
        }
    }
}

/// The texts of a URI.
///
/// # Errors
/// When they cannot be read, and are not to be skipped.
pub(super) fn open(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let config = &config.undivided();
    if is_streamed(uri, config) {
        let source = Arc::new(source(uri, config)?);
        let all = (0..source.len()).collect();
        Ok(in_sequence(source, all, config, schema))
    } else {
        held(uri, config, schema)
    }
}

/// The texts of a URI, all of them in memory.
///
/// # Errors
/// As [`open`].
pub(super) fn held(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let config = &config.undivided();
    let texts = read::read(uri, config, schema.whole_files, true)?;
    let rows: Vec<u64> = (0..texts.texts.len() as u64).collect();
    labelled(&texts.texts, &rows, config, schema, texts.skipped)
}

/// Encodes labelled texts. Those of an unknown label are errors, or skipped and counted on top of
/// `skipped`.
///
/// # Errors
/// When a text cannot be encoded, or all are skipped.
pub(super) fn labelled(
    texts: &[Text],
    rows: &[u64],
    config: &TextConfig,
    schema: &TextSchema,
    mut skipped: u64,
) -> Result<TextSet, DataError> {
    let encoder = schema.target().encoder(None);
    let mut encoded = Vec::with_capacity(rows.len());
    let mut targets = Vec::with_capacity(rows.len());
    for text in rows.iter().map(|&row| &texts[row as usize]) {
        match target(text, &encoder) {
            Ok(target) => {
                encoded.push(encode(text, schema)?);
                targets.push(target);
            }
            Err(error) => config.on_corrupt.refuse(error, &mut skipped)?,
        }
    }
    match (encoded.is_empty(), rows.first()) {
        (true, Some(&row)) => {
            Err(DataError::source(&texts[row as usize].uri, "at least one text with a known label", "none"))
        }
        _ => Ok(TextSet::texts(schema.len(), &encoded, targets, skipped)),
    }
}

/// Texts that are read when they are wanted, block after block.
pub(super) fn in_sequence(
    source: Arc<Source>,
    blocks: Vec<usize>,
    config: &TextConfig,
    schema: &TextSchema,
) -> TextSet {
    // Each worker is within a block, and the next one may have been begun.
    let blocks = BlockSet::new(source, blocks, TextDecoder::new(config, schema), config.workers.max(1));
    TextSet::streamed(blocks)
}
