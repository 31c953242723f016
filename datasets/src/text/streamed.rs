//! Labelled texts that are too large to be held: read once for labels and vocabulary, then by blocks.

use super::blocks::{TextDecoder, read, source};
use super::config::TextConfig;
use super::file::{self, in_sequence};
use super::infer::{check_labels, mean_characters, new_schema};
use super::reader::Text;
use super::schema::TextSchema;
use super::set::TextSet;
use super::tokenizer::Counts;
use crate::index::Block;
use crate::records::sort_labels;
use crate::records::split::{LabelCounts, tell_lacking};
use crate::store::{BlockSet, Divided, Known, Source};
use crate::{DataError, Opened, Pipeline, PipelineConfig, ShardOrder, bounds};
use std::borrow::Cow;
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

/// The labels and symbols of some texts.
#[derive(Default)]
struct Learned {
    /// The labels of all texts, with how many each part has of them.
    labels: LabelCounts,
    counts: Counts,
    characters: usize,
    tokens: usize,
}

/// Reads all blocks once: all for the labels, those for training for the vocabulary.
fn survey(source: &Source, divided: &Divided, config: &TextConfig) -> Result<TextSchema, DataError> {
    let uri = source.uri();
    let parts = divided.parts(source.len());
    let survey = config.vocabulary.survey();
    let work = |number: usize, shard: usize, block: &Block| {
        let mut learned = Learned::default();
        read(source, shard, block, config, &mut |text| {
            let Text { text, label, .. } = match text {
                Ok(text) => text,
                // Counted where it is met in training.
                Err(error) => return config.on_corrupt.refuse(error, &mut 0),
            };
            label.into_iter().for_each(|label| learned.labels.add(label, parts[number], 1));
            if parts[number] == 0 {
                let text: Cow<'_, str> =
                    if config.lowercase { text.to_lowercase().into() } else { text.into() };
                survey.count(&text, usize::MAX, &mut learned.counts);
                learned.characters += text.chars().count();
                learned.tokens += survey.num_tokens(&text);
            }
            Ok(())
        })?;
        Ok(learned)
    };
    let mut all = Learned::default();
    source.survey("vocabulary", source.len(), work, |learned| {
        all.labels.merge(learned.labels);
        all.counts.merge(learned.counts);
        all.characters += learned.characters;
        all.tokens += learned.tokens;
        let least = if all.labels.are_few() { 0 } else { usize::MAX };
        bounds::classes(uri, &config.label_column, least)
    })?;
    let mut labels = all.labels.labels().unwrap_or_default();
    sort_labels(&mut labels);
    check_labels(uri, &labels)?;
    config.held_out().tell_blocks(uri);
    tell_lacking(uri, &labels, all.labels.of(&labels, config.fractions()));
    let symbols = all.counts.frequent(config.min_count, config.max_vocabulary);
    let characters_per_token = mean_characters(all.characters, all.tokens);
    let streamed = Some(Known::of(source, Vec::new()));
    Ok(TextSchema { labels, characters_per_token, streamed, ..new_schema(config, symbols)? })
}

#[cfg(test)]
mod tests;
