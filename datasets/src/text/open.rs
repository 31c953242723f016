//! Opening texts: for training, evaluation and prediction.

mod classify;
mod language;

use super::config::{TextConfig, TextTask};
use super::encode::encode;
use super::file::is_streamed;
use super::schema::TextSchema;
use super::set::TextSet;
use super::{file, read, streamed};
use crate::blocks::Known;
use crate::table::encode::shortened;
use crate::table::split;
use crate::{DataError, Opened, Pipeline, source};

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

/// Reads texts to classify. Each input is a file of texts (`.txt`, `.csv`, `.jsonl`), a folder of
/// them or, where there is no such file, itself the text. The strings name each text: `sms.csv:17`,
/// or the beginning of the argument.
///
/// # Errors
/// When there is no input, a file cannot be read, or the model generates text instead.
pub fn open_prediction(
    config: &TextConfig,
    schema: &TextSchema,
    inputs: &[String],
) -> Result<(Pipeline<TextSet>, Vec<String>), DataError> {
    if schema.task == TextTask::LanguageModel {
        let expected = "a model that classifies texts";
        return Err(DataError::source("predict", expected, "a language model, which continues a prompt"));
    }
    config.check_sizes()?;
    let config = as_trained(config, schema);
    let (mut texts, mut names, mut skipped) = (Vec::new(), Vec::new(), 0);
    for input in inputs {
        if !names_file(input) {
            names.push(shortened(input));
            texts.push(schema.encode_first(input, schema.max_tokens, "text", 1)?);
            continue;
        }
        // The recipe's format is the training file's; texts to predict may come in another.
        let format = if read::is_text_file(input) { None } else { config.format };
        let read = read::read(input, &TextConfig { format, ..config.clone() }, schema.whole_files, false)?;
        skipped += read.skipped;
        for text in &read.texts {
            names.push(text.place());
            texts.push(encode(text, schema)?);
        }
    }
    if texts.is_empty() {
        return Err(DataError::source("predict", "at least one text", "no input"));
    }
    let set = TextSet::texts(schema.len(), &texts, None, skipped);
    Ok((Pipeline::new(set, config.in_order(0)), names))
}

/// Whether an argument means a file: one is there, or it is one word that ends like one.
fn names_file(input: &str) -> bool {
    let like_file = !input.contains(char::is_whitespace) && read::is_text_file(input);
    like_file || input.starts_with("builtin:") || source::list(input).is_ok()
}

/// The recipe, with what the schema fixed in training.
fn as_trained(config: &TextConfig, schema: &TextSchema) -> TextConfig {
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
