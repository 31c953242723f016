//! Opening texts: for training, evaluation and prediction.

mod classify;
mod language;

use super::config::{TextConfig, TextFormat, TextTask};
use super::reader::{self, Text};
use super::schema::{TextSchema, specials};
use super::set::TextSet;
use super::streamed;
use super::vocabulary::{Vocabulary, VocabularyKind};
use crate::table::columns::round;
use crate::table::encode::shortened;
use crate::table::split;
use crate::{DataError, Opened, PREFETCH_BYTES, Pipeline, PipelineConfig, Shuffle, blocks, index, source};

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
/// As [`open`].
pub fn reopen(
    config: &TextConfig,
    seed: u64,
    schema: TextSchema,
) -> Result<Opened<TextSet, TextSchema>, DataError> {
    config.check()?;
    match config.task == TextTask::Classify && is_streamed(&config.train, config) {
        true => streamed::open(config, seed, Some(schema)),
        false => open(config, seed),
    }
}

/// Whether labelled texts are to be streamed: where the recipe says so, or they are too large to be held
/// and of a format that has blocks.
fn is_streamed(uri: &str, config: &TextConfig) -> bool {
    let format = || {
        let first = index::shards(uri).ok().and_then(|shards| shards.into_iter().next());
        config.format.or_else(|| first.map(|first| TextFormat::of(&first)))
    };
    match config.stream {
        Some(wish) => wish,
        None => blocks::is_streamed(uri, None) && format() != Some(TextFormat::Txt),
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
    let file = match (uri, &config.test, &config.valid) {
        (Some(uri), _, _) => Some(uri),
        (None, Some(uri), _) => Some(uri.as_str()),
        (None, None, Some(uri)) if config.test_fraction == 0.0 => Some(uri.as_str()),
        _ => None,
    };
    if file.is_none() && config.test_fraction == 0.0 && config.valid_fraction == 0.0 {
        return Err(DataError::config("test", "a test or validation set to evaluate on", "neither"));
    }
    split::check(config.valid_fraction, config.test_fraction)?;
    let set = match (file, config.task) {
        (Some(uri), TextTask::Classify) => labelled_file(uri, config, schema)?,
        (Some(uri), TextTask::LanguageModel) => language::file(uri, config, schema)?,
        (None, TextTask::Classify) if is_streamed(&config.train, config) => {
            streamed::held_out(config, schema, seed)?
        }
        (None, TextTask::Classify) => classify::held_out(config, schema, seed)?,
        (None, TextTask::LanguageModel) => language::held_out(config, schema)?,
    };
    Ok(Pipeline::new(set, in_order(config, seed)))
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
        let format = if reader::is_text_file(input) { None } else { config.format };
        let read = reader::read(input, &TextConfig { format, ..config.clone() }, schema.whole_files, false)?;
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
    Ok((Pipeline::new(set, in_order(&config, 0)), names))
}

/// Labelled texts of a URI that is held out, in their own order.
pub(super) fn labelled_file(
    uri: &str,
    config: &TextConfig,
    schema: &TextSchema,
) -> Result<TextSet, DataError> {
    match is_streamed(uri, config) {
        true => streamed::file(uri, config, schema),
        false => classify::file(uri, config, schema),
    }
}

/// Whether an argument means a file: one is there, or it is one word that ends like one.
fn names_file(input: &str) -> bool {
    let like_file = !input.contains(char::is_whitespace) && reader::is_text_file(input);
    like_file || input.starts_with("builtin:") || source::list(input).is_ok()
}

/// The ids of a text, as many as the schema keeps.
pub(super) fn encode(text: &Text, schema: &TextSchema) -> Result<Vec<u32>, DataError> {
    schema.encode_first(&text.text, schema.max_tokens, &text.uri, text.line.unwrap_or(1))
}

/// Refuses labels from which nothing can be learned.
pub(super) fn check_labels(uri: &str, labels: &[String]) -> Result<(), DataError> {
    match labels {
        [] => Err(DataError::source(uri, "at least two classes", "no label")),
        [only] => Err(DataError::source(uri, "at least two classes", format!("only `{only}`"))),
        _ => Ok(()),
    }
}

/// A schema of these symbols, without labels, its tokens a character each.
pub(super) fn new_schema(config: &TextConfig, symbols: Vec<String>) -> Result<TextSchema, DataError> {
    let specials = specials(config.task, config.vocabulary);
    if symbols.is_empty() && config.vocabulary != VocabularyKind::Byte {
        let expected = format!("texts with a token that occurs at least {} times", config.min_count);
        return Err(DataError::source(&config.train, expected, "none"));
    }
    // Counted symbols are distinct and of the vocabulary's kind, so this never fails.
    let vocabulary = Vocabulary::new(config.vocabulary, specials, symbols)
        .ok_or_else(|| DataError::source(&config.train, "distinct symbols", "one twice"))?;
    Ok(TextSchema {
        task: config.task,
        vocabulary,
        lowercase: config.lowercase,
        max_tokens: config.max_tokens,
        text_column: config.text_column.clone(),
        label_column: config.label_column.clone(),
        whole_files: false,
        labels: Vec::new(),
        characters_per_token: 1.0,
    })
}

/// Mean characters per token, as the schema keeps it; 1 where there is no token.
pub(super) fn mean_characters(characters: usize, tokens: usize) -> f64 {
    match tokens {
        0 => 1.0,
        _ => round(characters as f64 / tokens as f64),
    }
}

/// The recipe, with what the schema fixed in training.
fn as_trained(config: &TextConfig, schema: &TextSchema) -> TextConfig {
    TextConfig {
        task: schema.task,
        text_column: schema.text_column.clone(),
        label_column: schema.label_column.clone(),
        ..config.clone()
    }
}

/// The fractions to cut off: none where a file is given.
pub(super) fn fractions(config: &TextConfig) -> (f64, f64) {
    let fraction = |uri: &Option<String>, fraction| if uri.is_some() { 0.0 } else { fraction };
    (fraction(&config.valid, config.valid_fraction), fraction(&config.test, config.test_fraction))
}

fn shuffled(config: &TextConfig, seed: u64) -> PipelineConfig {
    PipelineConfig { shuffle: Shuffle::Full(seed), ..in_order(config, seed) }
}

pub(super) fn in_order(config: &TextConfig, seed: u64) -> PipelineConfig {
    let (shuffle, prefetch_bytes) = (Shuffle::Never, PREFETCH_BYTES);
    PipelineConfig { shuffle, seed, on_corrupt: config.on_corrupt, workers: config.workers, prefetch_bytes }
}

#[cfg(test)]
mod tests;
