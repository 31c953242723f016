//! Opening texts: for training, evaluation and prediction.

mod classify;
mod language;

use super::config::{TextConfig, TextTask};
use super::file::is_streamed;
use super::ngrams::NgramShape;
use super::schema::TextSchema;
use super::set::TextSet;
use super::{file, streamed};
use crate::records::split;
use crate::store::Known;
use crate::table::TargetKind;
use crate::{DataError, Opened, Pipeline};

/// Reads the training texts, learns the vocabulary, and splits off the parts that the recipe asks for: at
/// random with `seed` when classifying, from the tail of the file for language models.
///
/// # Errors
/// When the recipe does not fit the data, or the data cannot be read.
pub fn open(config: &TextConfig, seed: u64) -> Result<Opened<TextSet, TextSchema>, DataError> {
    config.check()?;
    begin(config, seed, None, is_streamed(&config.train, config))
}

/// As [`open`], for a run that goes on: labels and vocabulary are those of the run's `schema`, whatever the
/// data would teach. Streamed texts are not read for them again.
///
/// # Errors
/// As [`open`], and when the training texts are not those that the run began with: their labels, tokens or
/// the lengths of these differ or, of streamed ones, any of their contents.
pub fn reopen(
    config: &TextConfig,
    seed: u64,
    schema: TextSchema,
) -> Result<Opened<TextSet, TextSchema>, DataError> {
    config.check()?;
    let streamed = schema.streamed.is_some();
    if !streamed && is_streamed(&config.train, config) {
        return Err(Known::none(&config.train));
    }
    begin(&as_trained(config, &schema), seed, Some(schema), streamed)
}

/// Opens texts for training; `known` is the schema of a run that goes on.
fn begin(
    config: &TextConfig,
    seed: u64,
    known: Option<TextSchema>,
    streamed: bool,
) -> Result<Opened<TextSet, TextSchema>, DataError> {
    match (config.task, streamed) {
        (TextTask::Classify, true) => streamed::open(config, seed, known),
        (TextTask::Classify, false) => classify::open(config, seed, known),
        (TextTask::LanguageModel, _) => language::open(config, seed, known, streamed),
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

/// The recipe, with the settings that the schema fixed in training.
pub(super) fn as_trained(config: &TextConfig, schema: &TextSchema) -> TextConfig {
    let shape = schema.ngrams.as_ref().map_or_else(NgramShape::default, |ngrams| ngrams.shape);
    TextConfig {
        task: schema.task,
        text_column: schema.text_column.clone(),
        label_column: schema.label_column.clone(),
        vocabulary: schema.tokenizer.kind(),
        lowercase: schema.lowercase,
        target_kind: (schema.task == TextTask::Classify).then_some(match schema.value {
            Some(_) => TargetKind::Value,
            None => TargetKind::Class,
        }),
        class_names: schema.class_names,
        ngrams: shape.lengths,
        ngram_unit: shape.unit,
        hash_buckets: shape.buckets,
        sublinear_tf: schema.ngrams.as_ref().is_some_and(|ngrams| ngrams.sublinear_tf),
        ..config.clone()
    }
}

pub(crate) use language::first_blocks;

#[cfg(test)]
mod tests;
