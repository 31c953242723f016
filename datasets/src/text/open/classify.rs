//! Texts to classify: their targets, what is held out, and a vocabulary of the training texts.

use crate::fields::TableTarget;
use crate::records::split::{EXPECTED_TIME, Samples, Time, TimeKind, tell_lacking};
use crate::records::{canonical, shortened};
use crate::text::config::TextConfig;
use crate::text::file::{held, labelled};
use crate::text::learn::{Learner, target_of_all};
use crate::text::read::{self, Texts};
use crate::text::reader::Text;
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::{DataError, Opened, Pipeline, PipelineConfig, Shuffle, Split, SplitBy};
use std::collections::HashMap;

/// Opens texts with labels for training; `known` is the schema of a run that goes on.
///
/// # Errors
/// When a text cannot be read or has no label, or they are not the texts that `known` was learned from.
pub(super) fn open(
    config: &TextConfig,
    seed: u64,
    known: Option<TextSchema>,
) -> Result<Opened<TextSet, TextSchema>, DataError> {
    let whole_files = read::has_whole_files(&config.train, config)?;
    let texts = read::read(&config.train, config, whole_files, true)?;
    let by = match &known {
        Some(known) => known.split.clone(),
        None => config.held_out().split(|| {
            let target = target_of_all(&config.train, &texts.texts, config, whole_files)?;
            Ok(matches!(target, TableTarget::Classes { .. }))
        })?,
    };
    let (split, undivided) = divide(&texts, config, &by, seed)?;
    let mut training = vec![false; texts.texts.len()];
    split.train.iter().for_each(|&index| training[index as usize] = true);
    let mut learned = Learner::new(config, known.as_ref()).all(&texts.texts, &training);
    learned.skip(texts.skipped + undivided);
    let learned = TextSchema { split: by, ..learned.schema(&config.train, config, whole_files)? };
    let begins = known.is_none();
    let schema = match known {
        Some(known) => {
            known.check(&config.train, &learned)?;
            known
        }
        None => learned,
    };
    let train = labelled(&texts.texts, &split.train, config, &schema, texts.skipped + undivided)?;
    let part = |uri: &Option<String>, rows: &[u64]| -> Result<Option<Pipeline<TextSet>>, DataError> {
        let set = match uri {
            Some(uri) => held(uri, config, &schema)?,
            None if rows.is_empty() => return Ok(None),
            None => labelled(&texts.texts, rows, config, &schema, 0)?,
        };
        Ok(Some(Pipeline::new(set, config.in_order(seed))))
    };
    let valid = part(&config.valid, &split.valid)?;
    let test = part(&config.test, &split.test)?;
    if begins {
        let counts = |part: &Pipeline<TextSet>| part.dataset().classes_of(schema.labels.len());
        let parts = [
            train.classes_of(schema.labels.len()),
            valid.as_ref().and_then(counts),
            test.as_ref().and_then(counts),
        ];
        tell_lacking(&config.train, &schema.labels, parts);
    }
    let shuffled = PipelineConfig { shuffle: Shuffle::Full(seed), ..config.in_order(seed) };
    Ok(Opened { train: Pipeline::new(train, shuffled), valid, test, schema })
}

/// The held-out part of the training texts: the test part or, without one, the validation part.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema, seed: u64) -> Result<TextSet, DataError> {
    let texts = read::read(&config.train, config, schema.whole_files, true)?;
    let (split, _) = divide(&texts, config, &schema.split, seed)?;
    let rows = if split.test.is_empty() { split.valid } else { split.test };
    labelled(&texts.texts, &rows, config, schema, 0)
}

/// Divides the training texts, and counts those in no part, as they have no group or no time.
///
/// # Errors
/// When a part that is asked for, or the training part, holds no text; when a text has no group or no time, and
/// is not to be skipped.
fn divide(texts: &Texts, config: &TextConfig, by: &SplitBy, seed: u64) -> Result<(Split, u64), DataError> {
    let texts = &texts.texts;
    let (mut numbers, mut kind) = (HashMap::new(), TimeKind::default());
    let mut number = |name: &str| {
        let next = numbers.len() as u32;
        *numbers.entry(canonical(name).into_owned()).or_insert(next)
    };
    let mut skipped = 0;
    let samples = match by {
        SplitBy::Random => Samples::Alike(texts.len()),
        SplitBy::Stratified => {
            let labels = texts.iter().map(|text| text.label.as_deref().unwrap_or_default());
            Samples::Classes(labels.map(number).collect())
        }
        SplitBy::Groups(column) => {
            let group = |cell: &str| Ok(number(cell));
            Samples::Groups(keys(texts, config, (column, "a group"), group, &mut skipped)?)
        }
        SplitBy::Time(column) => {
            let time = |cell: &str| kind.check(Time::parse(cell), || format!("`{}`", shortened(cell)));
            Samples::Times(keys(texts, config, (column, EXPECTED_TIME), time, &mut skipped)?)
        }
    };
    Ok((samples.divide(config.fractions(), seed)?, skipped))
}

/// What `read` makes of the cell that decides where each text goes; none of texts that are skipped.
///
/// # Errors
/// The first text's that has no such cell, or one that cannot be read, where it is not to be skipped.
fn keys<K>(
    texts: &[Text],
    config: &TextConfig,
    (column, expected): (&str, &str),
    mut read: impl FnMut(&str) -> Result<K, String>,
    skipped: &mut u64,
) -> Result<Vec<Option<K>>, DataError> {
    let mut keys = Vec::with_capacity(texts.len());
    for text in texts {
        let key = text.key.as_deref().map_or(Err("no value".to_string()), &mut read);
        match key {
            Ok(key) => keys.push(Some(key)),
            Err(found) => {
                let place = format!("column `{column}`");
                let error = DataError::malformed(text.place(), place, expected, found);
                config.on_corrupt.refuse(error, skipped)?;
                keys.push(None);
            }
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
