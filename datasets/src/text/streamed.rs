//! Labelled texts that are too large to be held: read once for labels and vocabulary, then by blocks.

use super::blocks::{TextDecoder, read, source};
use super::config::TextConfig;
use super::file::{self, in_sequence};
use super::learn::{Learned, Learner};
use super::schema::TextSchema;
use super::set::TextSet;
use crate::fields::label;
use crate::index::Block;
use crate::records::split::{LabelCounts, tell_lacking};
use crate::store::{BlockSet, Divided, Known, Source};
use crate::{DataError, Opened, Pipeline, PipelineConfig, ShardOrder};
use std::sync::Arc;

/// Opens labelled texts for training by their blocks; `known` is the schema of a run that goes on.
///
/// Whole blocks are held out, drawn at random with `seed`.
///
/// # Errors
/// As for texts in memory, and when they are not the texts that `known` was learned from.
pub(super) fn open(
    config: &TextConfig,
    seed: u64,
    known: Option<TextSchema>,
) -> Result<Opened<TextSet, TextSchema>, DataError> {
    config.held_out().check_blocks()?;
    let source = Arc::new(source(&config.train, config)?);
    let divided = source.divide(config.fractions(), seed)?;
    let schema = match known {
        Some(schema) => {
            Known::kept(&schema.streamed, &source)?;
            schema
        }
        None => survey(&source, &divided, config)?,
    };
    let Divided { train, valid, test } = divided;
    let part = |uri: &Option<String>, blocks: Vec<usize>| -> Result<Option<Pipeline<TextSet>>, DataError> {
        let set = match uri {
            Some(uri) => file::open(uri, config, &schema)?,
            None if blocks.is_empty() => return Ok(None),
            None => in_sequence(source.clone(), blocks, config, &schema),
        };
        Ok(Some(Pipeline::new(set, config.in_order(seed))))
    };
    let (valid, test) = (part(&config.valid, valid)?, part(&config.test, test)?);
    let window = source.window(config.window_bytes, 0);
    let order = config.order.unwrap_or(ShardOrder::Window);
    let train = BlockSet::new(source, train, TextDecoder::new(config, &schema), window).ordered(order);
    let shuffled = PipelineConfig { shuffle: train.shuffle(seed), ..config.in_order(seed) };
    let train = TextSet::streamed(train);
    Ok(Opened { train: Pipeline::new(train, shuffled), valid, test, schema })
}

/// The held-out part of the training texts: the test part or, without one, the validation part.
///
/// # Errors
/// When it cannot be read.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema, seed: u64) -> Result<TextSet, DataError> {
    let source = Arc::new(source(&config.train, config)?);
    let held_out = source.divide(config.fractions(), seed)?.held_out();
    Ok(in_sequence(source, held_out, config, schema))
}

/// Reads all blocks once: all for the labels, those for training for the vocabulary.
fn survey(source: &Source, divided: &Divided, config: &TextConfig) -> Result<TextSchema, DataError> {
    let parts = divided.parts(source.len());
    let learner = Learner::new(config, None);
    let work = |number: usize, shard: usize, block: &Block| {
        let (mut texts, mut counts, mut skipped) = (learner.block(), LabelCounts::default(), 0);
        read(source, shard, block, config, &mut |text| {
            match text {
                Ok(text) => {
                    texts.add(&text, parts[number] == 0);
                    counts.add(&label(text.label.as_deref().unwrap_or_default(), None), parts[number], 1);
                }
                // Counted again where it is met in training.
                Err(error) => return config.on_corrupt.refuse(error, &mut skipped),
            }
            Ok(())
        })?;
        let mut learned = texts.learned(source.shard_uri(shard));
        learned.skip(skipped);
        Ok((learned, counts))
    };
    let (mut all, mut labels) = (Learned::none(), LabelCounts::default());
    source.survey("vocabulary", source.len(), work, |(learned, counts)| {
        all.merge(learned);
        labels.merge(counts);
        Ok(())
    })?;
    let streamed = Some(Known::of(source, Vec::new()));
    let schema = all.schema(source.uri(), config, false)?;
    if !schema.labels.is_empty() {
        config.held_out().tell_blocks(source.uri());
        tell_lacking(source.uri(), &schema.labels, labels.of(&schema.labels, config.fractions()));
    }
    Ok(TextSchema { streamed, ..schema })
}

#[cfg(test)]
mod tests;
