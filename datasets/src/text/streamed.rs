//! Labelled texts that are too large to be held: read once for labels and vocabulary, then by blocks.

use super::config::{TextConfig, TextFormat};
use super::open::{check_labels, encode, fractions, in_order, labelled_file, mean_characters, new_schema};
use super::parquet;
use super::reader::{Reader, Text, class};
use super::schema::TextSchema;
use super::set::TextSet;
use super::stream::Stream;
use super::vocabulary::Counter;
use crate::blocks::{BlockSet, Decode, Source};
use crate::index::{self, Block};
use crate::shard::Format;
use crate::table::columns::sort_labels;
use crate::table::csv::Csv;
use crate::table::split;
use crate::together::together;
use crate::{DataError, OnCorrupt, Opened, Pipeline, PipelineConfig, ShardOrder, Split, bounds};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Opens labelled texts for training by their blocks; `known` is the vocabulary of a run that goes on.
///
/// What is held out of them are whole blocks, drawn at random with `seed`.
///
/// # Errors
/// As those of texts in memory.
pub(super) fn open(
    config: &TextConfig,
    seed: u64,
    known: Option<TextSchema>,
) -> Result<Opened<TextSet, TextSchema>, DataError> {
    let source = Arc::new(source(&config.train, config)?);
    let Split { train, valid, test } = split_blocks(&source, config, seed)?;
    let train = split::indices(&train);
    let schema = match known {
        Some(schema) => schema,
        None => survey(&source, &train, config)?,
    };
    let part = |uri: &Option<String>, blocks: &[u64]| -> Result<Option<Pipeline<TextSet>>, DataError> {
        let set = match uri {
            Some(uri) => labelled_file(uri, config, &schema)?,
            None if blocks.is_empty() => return Ok(None),
            None => in_sequence(source.clone(), split::indices(blocks), config, &schema),
        };
        Ok(Some(Pipeline::new(set, in_order(config, seed))))
    };
    let (valid, test) = (part(&config.valid, &valid)?, part(&config.test, &test)?);
    let window = source.window(config.window_bytes, 0);
    let order = config.order.unwrap_or(ShardOrder::Window);
    let train = BlockSet::new(source, train, TextDecoder::new(config, &schema), window).ordered(order);
    let shuffled = PipelineConfig { shuffle: train.shuffle(seed), ..in_order(config, seed) };
    let train = TextSet::streamed(schema.len(), train);
    Ok(Opened { train: Pipeline::new(train, shuffled), valid, test, schema })
}

/// All texts of a URI, in their own order.
///
/// # Errors
/// When it cannot be read.
pub(super) fn file(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let source = Arc::new(source(uri, config)?);
    let all = (0..source.len()).collect();
    Ok(in_sequence(source, all, config, schema))
}

/// What [`open`] held out of the training texts: the test part or, without one, the validation part.
///
/// # Errors
/// When it cannot be read.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema, seed: u64) -> Result<TextSet, DataError> {
    let source = Arc::new(source(&config.train, config)?);
    let split = split_blocks(&source, config, seed)?;
    let blocks = if split.test.is_empty() { split.valid } else { split.test };
    Ok(in_sequence(source, split::indices(&blocks), config, schema))
}

fn source(uri: &str, config: &TextConfig) -> Result<Source, DataError> {
    // The files of a set are of one kind, that of the first.
    let shards = index::shards(uri)?;
    let first = shards.first().map_or(uri, String::as_str);
    let format = match config.format.unwrap_or_else(|| TextFormat::of(first)) {
        TextFormat::Parquet => Format::Parquet,
        TextFormat::Jsonl => Format::Jsonl,
        TextFormat::Csv => {
            let dialect = config.dialect(first)?;
            Format::Csv { separator: dialect.separator, comment: dialect.comment, header: dialect.has_header }
        }
        TextFormat::Txt => {
            let expected = "false, or texts in CSV, JSONL or Parquet, which can be streamed";
            return Err(DataError::config("stream", expected, format!("true for {first}")));
        }
    };
    Source::open(uri, &format)
}

fn split_blocks(source: &Source, config: &TextConfig, seed: u64) -> Result<Split, DataError> {
    let (valid, test) = fractions(config);
    split::blocks(source.len(), source.uri(), valid, test, seed)
}

fn in_sequence(source: Arc<Source>, blocks: Vec<usize>, config: &TextConfig, schema: &TextSchema) -> TextSet {
    // Each worker is within a block, and the next one may have been begun.
    let blocks = BlockSet::new(source, blocks, TextDecoder::new(config, schema), config.workers.max(1));
    TextSet::streamed(schema.len(), blocks)
}

/// What is known of some texts.
struct Survey {
    /// Of all texts, whatever part they fall into.
    labels: BTreeSet<String>,
    counter: Counter,
    characters: usize,
    tokens: usize,
}

/// Reads all blocks once: all for the labels, those in `train` for the vocabulary.
fn survey(source: &Source, train: &[usize], config: &TextConfig) -> Result<TextSchema, DataError> {
    let uri = source.uri();
    eprintln!("reading {uri} once for its vocabulary: {} blocks", source.len());
    let mut training = vec![false; source.len()];
    train.iter().for_each(|&block| training[block] = true);
    let empty = || Survey {
        labels: BTreeSet::new(),
        counter: Counter::new(config.vocabulary),
        characters: 0,
        tokens: 0,
    };
    let work = |number: usize| {
        let (shard, block) = source.find(number)?;
        let mut survey = empty();
        read_block(source, shard, &block, config, &mut |text| {
            let Text { text, label, .. } = match text {
                Ok(text) => text,
                Err(error) if config.on_corrupt == OnCorrupt::Stop => return Err(error),
                Err(_) => return Ok(()),
            };
            survey.labels.extend(label);
            if training[number] {
                let text: Cow<'_, str> =
                    if config.lowercase { text.to_lowercase().into() } else { text.into() };
                survey.counter.add(&text, usize::MAX);
                survey.characters += text.chars().count();
                survey.tokens += config.vocabulary.num_tokens(&text);
            }
            Ok(())
        })?;
        Ok(survey)
    };
    let mut all = empty();
    together(&(0..source.len()).collect::<Vec<_>>(), work, |_, survey| {
        all.labels.extend(survey.labels);
        all.counter.merge(survey.counter);
        all.characters += survey.characters;
        all.tokens += survey.tokens;
        bounds::classes(uri, &config.label_column, all.labels.len())
    })?;
    let mut labels: Vec<String> = all.labels.into_iter().collect();
    sort_labels(&mut labels);
    check_labels(uri, &labels)?;
    let symbols = all.counter.frequent(config.min_count, config.max_vocabulary);
    let characters_per_token = mean_characters(all.characters, all.tokens);
    Ok(TextSchema { labels, characters_per_token, ..new_schema(config, symbols)? })
}

/// Hands each text of a block to `take`, or why it cannot be read.
///
/// # Errors
/// `take`'s own, and when the block as a whole cannot be read.
fn read_block(
    source: &Source,
    shard: usize,
    block: &Block,
    config: &TextConfig,
    take: &mut dyn FnMut(Result<Text, DataError>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let reader = Reader { uri: source.shard_uri(shard), config, labelled: true };
    match source.index().format() {
        Format::Parquet => parquet::read_group(source, shard, block, &reader, take),
        Format::Jsonl => reader.jsonl(&source.fetch(shard, block)?, block.line, take),
        Format::Csv { .. } | Format::Tar => {
            let dialect = config.dialect(reader.uri)?;
            let names =
                source.names(shard, |head| Ok(Csv::open(reader.uri, head, &dialect)?.names().to_vec()))?;
            let bytes = source.fetch(shard, block)?;
            let mut csv = Csv::block(reader.uri, &bytes, &dialect, names.to_vec(), block.line);
            reader.csv(&mut csv, take)
        }
    }
}

/// Encodes the texts of a block by a schema.
#[derive(Debug)]
pub(super) struct TextDecoder {
    config: TextConfig,
    schema: TextSchema,
    classes: HashMap<String, u32>,
}

/// The encoded texts of a block.
#[derive(Debug)]
pub(super) struct TextBlock {
    stream: Stream,
    /// Where each text ends in the stream, and its class, or why it cannot be read.
    texts: Vec<(usize, Result<u32, DataError>)>,
}

impl TextBlock {
    /// The tokens and the class of text `number`.
    ///
    /// # Errors
    /// The text's own, when it cannot be read.
    pub(super) fn text(&self, number: usize) -> Result<(Vec<u32>, u32), DataError> {
        let (end, class) = &self.texts[number];
        let start = number.checked_sub(1).map_or(0, |before| self.texts[before].0);
        Ok((self.stream.get(start..*end), class.clone()?))
    }
}

impl TextDecoder {
    fn new(config: &TextConfig, schema: &TextSchema) -> Self {
        let classes = schema.labels.iter().cloned().zip(0..).collect();
        TextDecoder { config: config.clone(), schema: schema.clone(), classes }
    }
}

impl Decode for TextDecoder {
    type Records = TextBlock;

    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<TextBlock, DataError> {
        let TextDecoder { config, schema, classes } = self;
        let mut decoded = TextBlock { stream: Stream::new(schema.len()), texts: Vec::new() };
        read_block(source, shard, block, config, &mut |text| {
            let encoded = text.and_then(|text| {
                let class = class(&text, schema, |label| classes.get(label).copied())?;
                Ok((encode(&text, schema)?, class))
            });
            let class = encoded.map(|(tokens, class)| {
                decoded.stream.extend(&tokens);
                class
            });
            decoded.texts.push((decoded.stream.len(), class));
            Ok(())
        })?;
        match decoded.texts.len() as u64 == block.records {
            true => Ok(decoded),
            false => {
                let place = format!("block at line {} (byte {})", block.line, block.bytes.start);
                let (expected, found) = (format!("{} records", block.records), decoded.texts.len());
                Err(DataError::malformed(source.shard_uri(shard), place, expected, found))
            }
        }
    }
}

#[cfg(test)]
mod tests;
