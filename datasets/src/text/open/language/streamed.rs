//! Long texts that are too large to be held: their tokens are counted once, block by block, and then read
//! by blocks.
//!
//! ```text
//! blocks           | 0        | 1     | 2           | 3     |       cut behind line breaks
//! tokens begin at    0          1040    1790          3001          counted once, kept in `streamed.json`
//! samples          [....] [....] [....] [....]                      as in memory: they cross blocks
//! ```
//!
//! Each block is encoded on its own: a token that would span the cut between two blocks is cut there, too.
//!
//! The order `window` permutes blocks and then the samples that begin in the open ones. A sample that crosses
//! into the next block reads that, too.

use super::count::{count, starts, survey};
use super::cut::{Cut, cut, in_order, too_short};
use crate::store::{Known, Source};
use crate::text::blocks::source;
use crate::text::config::{TextConfig, TextTask};
use crate::text::corpus::{Corpus, TokenBlocks};
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::text::stream::Stream;
use crate::text::tokenizer::VocabularyKind;
use crate::text::windows::Windows;
use crate::{DataError, Pipeline, PipelineConfig, ShardOrder, Shards, Shuffle, Window};
use std::ops::Range;
use std::sync::Arc;

/// Opens a long text for training by its blocks; `known` is the schema of a run that goes on.
///
/// # Errors
/// As for a text in memory, and when it is not the text that `known` was counted on.
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
    let part = |range: Range<usize>| {
        if range.is_empty() {
            Ok(None)
        } else {
            in_sequence(source.clone(), starts.clone(), range, config, &schema).map(Some)
        }
    };
    let (valid, test) = (part(valid)?, part(test)?);
    let train = training(source, starts, train, &schema, config, seed)?;
    Ok(Cut { train, valid, test, schema })
}

/// Windows of characters on the first `most` blocks of a text, for measuring, with the bytes of the blocks.
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
    let open = blocks_at_once(&source, &starts, config, schema);
    let order = config.order.unwrap_or(ShardOrder::Window);
    let (shuffle, ahead) = shuffle(&windows, &starts, open, order, seed);
    // The blocks under way, the next ones, and the ones that samples at the ends of blocks cross into.
    let tokens = TokenBlocks::new(source, starts, config, schema, (2 * open + 4, ahead));
    let set = TextSet::windows(windows, Corpus::Streamed(Box::new(tokens)));
    Ok(Pipeline::new(set, PipelineConfig { shuffle, ..in_order(config, seed) }))
}

/// Opens a long text by the schema and by its blocks, windows side by side. Its tokens are counted first.
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

/// The held-out tail of the training text: the test part or, without one, the validation part.
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

/// The number of blocks that are shuffled among each other.
fn blocks_at_once(source: &Source, starts: &Shards, config: &TextConfig, schema: &TextSchema) -> usize {
    let most = (0..starts.len()).map(|block| starts.size(block)).max().unwrap_or(0);
    source.window_of(config.window_bytes, most.saturating_mul(Stream::width(schema.len())))
}

/// The shuffling of training windows, and the number that is worth fetching ahead. A window belongs to the
/// block that it begins in.
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

/// The place of each block's first token, as the tokens were counted when the run began.
fn known_starts(source: &Source, schema: &TextSchema) -> Result<Shards, DataError> {
    let known = Known::kept(&schema.streamed, source)?;
    if known.tokens.len() == source.len() {
        Ok(starts(&known.tokens))
    } else {
        let expected = format!("the tokens of {} blocks in streamed.json", source.len());
        Err(DataError::source(source.uri(), expected, known.tokens.len()))
    }
}

#[cfg(test)]
mod tests;
