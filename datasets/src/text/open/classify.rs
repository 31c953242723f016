//! Texts to classify: labels, a random split, and a vocabulary of the training texts.

use crate::records::split;
use crate::text::config::TextConfig;
use crate::text::file::{held, labelled};
use crate::text::learn::Learner;
use crate::text::read::{self, Texts};
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::{DataError, Opened, Pipeline, PipelineConfig, Shuffle, Split};

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
    let split = split_texts(&texts, config, seed)?;
    let mut training = vec![false; texts.texts.len()];
    split.train.iter().for_each(|&index| training[index as usize] = true);
    let mut learned = Learner::new(config, known.as_ref()).all(&texts.texts, &training);
    learned.skip(texts.skipped);
    let learned = learned.schema(&config.train, config, whole_files)?;
    let schema = match known {
        Some(known) => {
            known.check(&config.train, &learned)?;
            known
        }
        None => learned,
    };
    let train = labelled(&texts.texts, &split.train, config, &schema, texts.skipped)?;
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
    let shuffled = PipelineConfig { shuffle: Shuffle::Full(seed), ..config.in_order(seed) };
    Ok(Opened { train: Pipeline::new(train, shuffled), valid, test, schema })
}

/// The held-out part of the training texts: the test part or, without one, the validation part.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema, seed: u64) -> Result<TextSet, DataError> {
    let texts = read::read(&config.train, config, schema.whole_files, true)?;
    let split = split_texts(&texts, config, seed)?;
    let rows = if split.test.is_empty() { split.valid } else { split.test };
    labelled(&texts.texts, &rows, config, schema, 0)
}

fn split_texts(texts: &Texts, config: &TextConfig, seed: u64) -> Result<Split, DataError> {
    let (valid, test) = config.fractions();
    split::random(texts.texts.len(), valid, test, seed)
}
