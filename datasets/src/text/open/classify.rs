//! Texts to classify: labels, a random split, and a vocabulary of the training texts.

use super::{check_labels, encode, fractions, in_order, mean_characters, new_schema, shuffled};
use crate::table::columns::sort_labels;
use crate::table::split;
use crate::text::config::TextConfig;
use crate::text::reader::{self, Text, Texts};
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::text::vocabulary::Counter;
use crate::{DataError, OnCorrupt, Opened, Pipeline, Split, bounds};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// Opens texts with labels for training.
pub(super) fn open(config: &TextConfig, seed: u64) -> Result<Opened<TextSet, TextSchema>, DataError> {
    let whole_files = reader::has_whole_files(&config.train, config)?;
    let texts = reader::read(&config.train, config, whole_files, true)?;
    let split = split_texts(&texts, config, seed)?;
    let mut counter = Counter::new(config.vocabulary);
    let (mut characters, mut tokens) = (0, 0);
    for &index in &split.train {
        let text = &texts.texts[index as usize].text;
        let text: Cow<'_, str> = if config.lowercase { text.to_lowercase().into() } else { text.into() };
        counter.add(&text, usize::MAX);
        characters += text.chars().count();
        tokens += config.vocabulary.num_tokens(&text);
    }
    let symbols = counter.frequent(config.min_count, config.max_vocabulary);
    let schema = TextSchema {
        labels: labels(&texts, config)?,
        whole_files,
        characters_per_token: mean_characters(characters, tokens),
        ..new_schema(config, symbols)?
    };
    let train = labelled(&texts.texts, &split.train, config, &schema, texts.skipped)?;
    let part = |uri: &Option<String>, rows: &[u64]| -> Result<Option<Pipeline<TextSet>>, DataError> {
        let set = match uri {
            Some(uri) => file(uri, config, &schema)?,
            None if rows.is_empty() => return Ok(None),
            None => labelled(&texts.texts, rows, config, &schema, 0)?,
        };
        Ok(Some(Pipeline::new(set, in_order(config, seed))))
    };
    let valid = part(&config.valid, &split.valid)?;
    let test = part(&config.test, &split.test)?;
    Ok(Opened { train: Pipeline::new(train, shuffled(config, seed)), valid, test, schema })
}

/// Opens a file of labelled texts by the schema.
pub(super) fn file(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let texts = reader::read(uri, config, schema.whole_files, true)?;
    let rows: Vec<u64> = (0..texts.texts.len() as u64).collect();
    labelled(&texts.texts, &rows, config, schema, texts.skipped)
}

/// The held-out part of the training texts: the test part or, without one, the validation part.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema, seed: u64) -> Result<TextSet, DataError> {
    let texts = reader::read(&config.train, config, schema.whole_files, true)?;
    let split = split_texts(&texts, config, seed)?;
    let rows = if split.test.is_empty() { split.valid } else { split.test };
    labelled(&texts.texts, &rows, config, schema, 0)
}

/// The distinct labels of the training file, whatever part they fall into.
fn labels(texts: &Texts, config: &TextConfig) -> Result<Vec<String>, DataError> {
    let distinct: BTreeSet<&String> = texts.texts.iter().filter_map(|text| text.label.as_ref()).collect();
    bounds::classes(&config.train, &config.label_column, distinct.len())?;
    let mut labels: Vec<String> = distinct.into_iter().cloned().collect();
    sort_labels(&mut labels);
    check_labels(&config.train, &labels)?;
    Ok(labels)
}

fn split_texts(texts: &Texts, config: &TextConfig, seed: u64) -> Result<Split, DataError> {
    let (valid, test) = fractions(config);
    split::random(texts.texts.len(), valid, test, seed)
}

/// Encodes labelled texts. Those of an unknown label are errors, or skipped and counted on top of
/// `skipped`.
fn labelled(
    texts: &[Text],
    rows: &[u64],
    config: &TextConfig,
    schema: &TextSchema,
    mut skipped: u64,
) -> Result<TextSet, DataError> {
    let classes: HashMap<&str, u32> = schema.labels.iter().map(String::as_str).zip(0..).collect();
    let mut encoded = Vec::with_capacity(rows.len());
    let mut targets = Vec::with_capacity(rows.len());
    for text in rows.iter().map(|&row| &texts[row as usize]) {
        match reader::class(text, schema, |label| classes.get(label).copied()) {
            Ok(class) => {
                encoded.push(encode(text, schema)?);
                targets.push(class);
            }
            Err(_) if config.on_corrupt == OnCorrupt::Skip => skipped += 1,
            Err(error) => return Err(error),
        }
    }
    match (encoded.is_empty(), rows.first()) {
        (true, Some(&row)) => {
            Err(DataError::source(&texts[row as usize].uri, "at least one text with a known label", "none"))
        }
        _ => Ok(TextSet::texts(schema.len(), &encoded, Some(targets), skipped)),
    }
}
