//! Long texts that are too large to be held: their tokens are counted once, block by block, and then read
//! by blocks.
//!
//! ```text
//! blocks           | 0        | 1     | 2           | 3     |       cut behind line breaks
//! tokens begin at    0          1040    1790          3001          counted once, kept in `streamed.json`
//! samples          [....] [....] [....] [....]                      as in memory: they cross blocks
//! ```
//!
//! The order `window` permutes blocks and then the samples that begin in those that are open together. A
//! sample that crosses into the next block reads that, too.

use super::cut::{Cut, cut, in_order, symbols_of_all, too_short};
use crate::store::{Known, Source};
use crate::text::blocks::{long_texts, source};
use crate::text::config::{TextConfig, TextTask};
use crate::text::corpus::{Corpus, TokenBlocks};
use crate::text::infer::{mean_characters, new_schema};
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::text::stream::Stream;
use crate::text::vocabulary::{Counter, VocabularyKind};
use crate::text::windows::Windows;
use crate::{DataError, Pipeline, PipelineConfig, ShardOrder, Shards, Shuffle, Window};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Opens a long text for training by its blocks; `known` is the vocabulary of a run that goes on.
///
/// # Errors
/// As those of a text in memory, and when it is not the text that `known` was counted on.
pub(super) fn open(config: &TextConfig, seed: u64, known: Option<TextSchema>) -> Result<Cut, DataError> {
    let source = Arc::new(source(&config.train, config)?);
    let (schema, starts) = match known {
        Some(schema) => {
            let starts = known_starts(&source, &schema)?;
            (schema, starts)
        }
        None => survey(&source, source.len(), config)?,
    };
    let [train, valid, test] = cut(starts.samples() as usize, config)?;
    let part = |range: Range<usize>| match range.is_empty() {
        true => Ok(None),
        false => in_sequence(source.clone(), starts.clone(), range, config, &schema).map(Some),
    };
    let (valid, test) = (part(valid)?, part(test)?);
    let train = training(source, starts, train, &schema, config, seed)?;
    Ok(Cut { train, valid, test, schema })
}

/// Windows of characters on the first `most` blocks of a text, for measuring, with the bytes of those.
///
/// # Errors
/// As [`open`].
pub(crate) fn first_blocks(
    uri: &str,
    column: &str,
    context: usize,
    workers: usize,
    most: usize,
) -> Result<(Pipeline<TextSet>, u64), DataError> {
    let config = TextConfig {
        train: uri.to_string(),
        task: TextTask::LanguageModel,
        text_column: column.to_string(),
        vocabulary: VocabularyKind::Character,
        max_tokens: context,
        stride: Some(context),
        workers,
        ..Default::default()
    };
    let source = Arc::new(source(uri, &config)?);
    let (schema, starts) = survey(&source, most, &config)?;
    let bytes = |block| source.find(block).map(|(_, block)| block.bytes.end - block.bytes.start);
    let bytes = (0..starts.len()).map(bytes).sum::<Result<u64, DataError>>()?;
    let all = 0..starts.samples() as usize;
    Ok((training(source, starts, all, &schema, &config, 1)?, bytes))
}

/// Training windows on the tokens of `range`.
fn training(
    source: Arc<Source>,
    starts: Shards,
    range: Range<usize>,
    schema: &TextSchema,
    config: &TextConfig,
    seed: u64,
) -> Result<Pipeline<TextSet>, DataError> {
    let tokens = range.len();
    let windows = Windows::training(range, schema.max_tokens, config.stride.unwrap_or(1))
        .ok_or_else(|| too_short(source.uri(), schema, tokens))?;
    let open = open_together(&source, &starts, config, schema);
    let order = config.order.unwrap_or(ShardOrder::Window);
    let (shuffle, ahead) = shuffle(&windows, &starts, open, order, seed);
    // Those under way, the next ones, and what samples at the ends of blocks cross into.
    let tokens = TokenBlocks::new(source, starts, config, schema, (2 * open + 4, ahead));
    let set = TextSet::windows(windows, Corpus::Streamed(Box::new(tokens)));
    Ok(Pipeline::new(set, PipelineConfig { shuffle, ..in_order(config, seed) }))
}

/// Opens a long text by the schema and by its blocks, windows side by side. It is read once to be counted.
///
/// # Errors
/// When it cannot be read, or has less than two tokens.
pub(super) fn file(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let source = Arc::new(source(uri, config)?);
    let mut tokens = Vec::new();
    count(&source, source.len(), config, |_| false, |counted| tokens.push(counted.tokens))?;
    let range = 0..tokens.iter().map(|&tokens| tokens as usize).sum();
    in_sequence(source, starts(&tokens), range, config, schema)
}

/// What [`open`] held out of the training text: the test part or, without one, the validation part.
///
/// # Errors
/// When it cannot be read, or is not the text that was trained on.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let source = Arc::new(source(&config.train, config)?);
    let starts = known_starts(&source, schema)?;
    let [_, valid, test] = cut(starts.samples() as usize, config)?;
    in_sequence(source, starts, if test.is_empty() { valid } else { test }, config, schema)
}

/// Windows side by side on a part of the tokens, read block after block.
fn in_sequence(
    source: Arc<Source>,
    starts: Shards,
    range: Range<usize>,
    config: &TextConfig,
    schema: &TextSchema,
) -> Result<TextSet, DataError> {
    let (uri, found) = (source.uri().to_string(), range.len());
    let windows = Windows::evaluation(range, schema.max_tokens)
        .ok_or_else(|| DataError::source(uri, "at least two tokens to evaluate on", found))?;
    // Each worker is within a block, and the next one may have been begun.
    let open = config.workers.max(1);
    let ahead = (windows.len() / starts.len().max(1)).max(1) * open;
    let tokens = TokenBlocks::new(source, starts, config, schema, (2 * open + 2, ahead as u64));
    Ok(TextSet::windows(windows, Corpus::Streamed(Box::new(tokens))))
}

/// How many blocks are shuffled together.
fn open_together(source: &Source, starts: &Shards, config: &TextConfig, schema: &TextSchema) -> usize {
    let most = (0..starts.len()).map(|block| starts.size(block)).max().unwrap_or(0);
    source.window_of(config.window_bytes, most.saturating_mul(Stream::width(schema.len())))
}

/// How training windows are shuffled, and how many are worth fetching ahead. Each belongs to the block that
/// it begins in.
fn shuffle(windows: &Windows, starts: &Shards, open: usize, order: ShardOrder, seed: u64) -> (Shuffle, u64) {
    match order {
        // Each window may need another block, and what is fetched too early is dropped again.
        ShardOrder::Full => (Shuffle::Full(seed), open as u64),
        ShardOrder::Window => {
            let (mut token, mut before) = (0, 0);
            let blocks = Shards::new((0..starts.len()).map(|block| {
                token += starts.size(block) as usize;
                let begun = windows.before(token) - before;
                before += begun;
                begun as u64
            }));
            let ahead = (blocks.samples() / blocks.len().max(1) as u64).max(1) * open as u64;
            (Shuffle::Window(seed, blocks, Window { shards: open, block: u64::MAX }), ahead)
        }
    }
}

fn starts(tokens: &[u32]) -> Shards {
    Shards::new(tokens.iter().map(|&tokens| u64::from(tokens)))
}

/// Where the tokens of each block begin, as they were counted when the run began.
fn known_starts(source: &Source, schema: &TextSchema) -> Result<Shards, DataError> {
    let known = Known::kept(&schema.streamed, source)?;
    match known.tokens.len() == source.len() {
        true => Ok(starts(&known.tokens)),
        false => {
            let expected = format!("the tokens of {} blocks in streamed.json", source.len());
            Err(DataError::source(source.uri(), expected, known.tokens.len()))
        }
    }
}

/// What is counted of a block.
struct Counted {
    tokens: u32,
    characters: u32,
    counter: Counter,
}

/// Counts the first `most` blocks; `symbols` says of which tokens the symbols count, too.
fn count(
    source: &Source,
    most: usize,
    config: &TextConfig,
    symbols: impl Fn(usize) -> bool + Sync,
    mut take: impl FnMut(Counted),
) -> Result<(), DataError> {
    let work = |number: usize, shard: usize, block: &_| {
        let (mut tokens, mut characters) = (0, 0);
        let mut counter = Counter::new(config.vocabulary);
        each_text(source, (shard, block), config, &mut |text| {
            tokens += config.vocabulary.num_tokens(text);
            characters += text.chars().count();
            if symbols(number) {
                counter.add(text, usize::MAX);
            }
            Ok(())
        })?;
        let small = |count: usize| {
            u32::try_from(count).map_err(|_| {
                DataError::source(source.shard_uri(shard), "blocks of less than 2^32 characters", count)
            })
        };
        Ok(Counted { tokens: small(tokens)?, characters: small(characters)?, counter })
    };
    source.survey("tokens", most, work, |counted| {
        take(counted);
        Ok(())
    })
}

/// The texts of a block as their symbols are counted: in lower case, where the recipe says so.
fn each_text(
    source: &Source,
    (shard, block): (usize, &crate::index::Block),
    config: &TextConfig,
    take: &mut dyn FnMut(&str) -> Result<(), DataError>,
) -> Result<(), DataError> {
    long_texts(source, shard, block, config, &mut |text, _| {
        let text: Cow<'_, str> = if config.lowercase { text.to_lowercase().into() } else { text.into() };
        take(&text)
    })
}

/// Reads the first `most` blocks once for their tokens and the vocabulary; where some are held out from a vocabulary of
/// words, the others are read again for it.
fn survey(source: &Source, most: usize, config: &TextConfig) -> Result<(TextSchema, Shards), DataError> {
    let kind = config.vocabulary;
    let (mut tokens, mut characters, mut counter) = (Vec::new(), Vec::new(), Counter::new(kind));
    // Which tokens are for training is known once all are counted.
    let at_once = kind != VocabularyKind::Word || config.fractions() == (0.0, 0.0);
    count(
        source,
        most,
        config,
        |_| at_once,
        |counted| {
            tokens.push(counted.tokens);
            characters.push(u64::from(counted.characters));
            counter.merge(counted.counter);
        },
    )?;
    let starts = starts(&tokens);
    let [train, ..] = cut(starts.samples() as usize, config)?;
    let characters = match train.len() as u64 == starts.samples() {
        true => characters.iter().sum::<u64>(),
        false => {
            // The block of the first token behind the training part, and how many before it are in there.
            let (last, within) = starts.find(train.len() as u64);
            if !at_once {
                counter = words(source, config, last, within as usize)?;
            }
            characters[..last].iter().sum::<u64>() + characters_of(source, config, last, within as usize)?
        }
    };
    let symbols = match kind {
        VocabularyKind::Byte => Vec::new(),
        VocabularyKind::Character => symbols_of_all(counter, source.uri(), config)?,
        VocabularyKind::Word => counter.frequent(config.min_count, config.max_vocabulary),
    };
    let schema = TextSchema {
        characters_per_token: mean_characters(characters as usize, train.len()),
        streamed: Some(Known::of(source, tokens)),
        ..new_schema(config, symbols)?
    };
    Ok((schema, starts))
}

/// The words of the blocks before `last`, and the first `within` of that.
fn words(source: &Source, config: &TextConfig, last: usize, within: usize) -> Result<Counter, DataError> {
    let work = |number: usize, shard: usize, block: &_| {
        let mut counter = Counter::new(config.vocabulary);
        let mut left = if number < last { usize::MAX } else { within };
        each_text(source, (shard, block), config, &mut |text| {
            counter.add(text, left);
            left = left.saturating_sub(config.vocabulary.num_tokens(text));
            Ok(())
        })?;
        Ok(counter)
    };
    let mut all = Counter::new(config.vocabulary);
    source.survey("training words", last + 1, work, |counter| {
        all.merge(counter);
        Ok(())
    })?;
    Ok(all)
}

/// The characters of block `number` before its token `within`.
fn characters_of(
    source: &Source,
    config: &TextConfig,
    number: usize,
    within: usize,
) -> Result<u64, DataError> {
    let (shard, block) = source.find(number)?;
    let (mut characters, mut left) = (0, Some(within));
    each_text(source, (shard, &block), config, &mut |text| {
        if let Some(tokens) = left {
            characters += config.vocabulary.num_characters(text, tokens) as u64;
            left = tokens.checked_sub(config.vocabulary.num_tokens(text));
        }
        Ok(())
    })?;
    Ok(characters)
}

#[cfg(test)]
mod tests;
