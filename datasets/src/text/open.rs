//! Opening texts: for training, evaluation and prediction.

mod classify;
mod language;

use super::config::{TextConfig, TextTask};
use super::file::is_streamed;
use super::schema::TextSchema;
use super::set::TextSet;
use super::{file, streamed};
use crate::records::split;
use crate::store::Known;
use crate::{DataError, Opened, Pipeline};

/// Reads the training texts, makes the vocabulary, and splits off what the recipe asks for: at
/// random with `seed` when classifying, from the tail of the file for language models.
///
/// # Errors
/// When the recipe does not fit the data, or the data cannot be read.
pub fn open(config: &TextConfig, seed: u64) -> Result<Opened<TextSet, TextSchema>, DataError> {
    config.check()?;
    match config.task {
        TextTask::Classify if is_streamed(&config.train, config) => streamed::open(config, seed, None),
        TextTask::Classify => classify::open(config, seed),
        TextTask::LanguageModel => language::open(config, seed),
    }
}

/// As [`open`], for a run that goes on: the vocabulary of streamed texts is the one that the run began
/// with, and they are not read for it again.
///
/// # Errors
/// As [`open`], and when streamed texts are not those that the run began with.
pub fn reopen(
    config: &TextConfig,
    seed: u64,
    schema: TextSchema,
) -> Result<Opened<TextSet, TextSchema>, DataError> {
    config.check()?;
    match (schema.streamed.is_some(), config.task) {
        (true, TextTask::Classify) => streamed::open(config, seed, Some(schema)),
        (true, TextTask::LanguageModel) => language::reopen(config, seed, schema),
        (false, _) if is_streamed(&config.train, config) => Err(Known::none(&config.train)),
        (false, _) => open(config, seed),
    }
}

/// Reads texts to evaluate on: `uri`, or the recipe's test set, or else its validation set, split
/// off in the same way as by [`open`].
///
/// # Errors
/// When the recipe has neither, or the data cannot be read.
pub fn open_evaluation(
    config: &TextConfig,
    schema: &TextSchema,
    uri: Option<&str>,
    seed: u64,
) -> Result<Pipeline<TextSet>, DataError> {
    config.check_sizes()?;
    let config = &as_trained(config, schema);
    let given = match (uri, &config.test, &config.valid) {
        (Some(uri), _, _) => Some(uri),
        (None, Some(uri), _) => Some(uri.as_str()),
        (None, None, Some(uri)) if config.test_fraction == 0.0 => Some(uri.as_str()),
        _ => None,
    };
    if given.is_none() && config.test_fraction == 0.0 && config.valid_fraction == 0.0 {
        return Err(DataError::config("test", "a test or validation set to evaluate on", "neither"));
    }
    split::check(config.valid_fraction, config.test_fraction)?;
    let set = match (given, config.task) {
        (Some(uri), TextTask::Classify) => file::open(uri, config, schema)?,
        (Some(uri), TextTask::LanguageModel) => language::file(uri, config, schema)?,
        (None, TextTask::Classify) if schema.streamed.is_some() => streamed::held_out(config, schema, seed)?,
        (None, TextTask::Classify) => classify::held_out(config, schema, seed)?,
        (None, TextTask::LanguageModel) => language::held_out(config, schema)?,
    };
    Ok(Pipeline::new(set, config.in_order(seed)))
}

/// The recipe, with what the schema fixed in training.
pub(super) fn as_trained(config: &TextConfig, schema: &TextSchema) -> TextConfig {
    TextConfig {
        task: schema.task,
        text_column: schema.text_column.clone(),
        label_column: schema.label_column.clone(),
        vocabulary: schema.vocabulary.kind(),
        lowercase: schema.lowercase,
        ..config.clone()
    }
}

pub(crate) use language::first_blocks;

#[cfg(test)]
mod tests;
