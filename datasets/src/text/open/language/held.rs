//! Long texts in memory.

use super::cut::{Cut, cut, symbols_of_all, too_short};
use crate::text::config::TextConfig;
use crate::text::corpus::Corpus;
use crate::text::infer::{mean_characters, new_schema};
use crate::text::read;
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::text::stream::Stream;
use crate::text::vocabulary::{Counter, VocabularyKind};
use crate::text::windows::Windows;
use crate::{DataError, Pipeline, PipelineConfig, Shuffle};
use std::ops::Range;
use std::sync::Arc;

/// Opens a long text for training.
///
/// # Errors
/// When it cannot be read, or is too short for a window.
pub(super) fn open(config: &TextConfig, seed: u64) -> Result<Cut, DataError> {
    let uri = &config.train;
    let mut corpus = read::read_corpus(uri, config)?;
    if config.lowercase {
        corpus = corpus.to_lowercase();
    }
    let mut counter = Counter::new(config.vocabulary);
    let symbols = match config.vocabulary {
        VocabularyKind::Byte => Vec::new(),
        // The symbols of the whole file, as nanoGPT takes them: a character that only the tail has
        // could not be spelled otherwise.
        VocabularyKind::Character => {
            counter.add(&corpus, usize::MAX);
            symbols_of_all(counter, uri, config)?
        }
        VocabularyKind::Word => {
            let [train, ..] = cut(config.vocabulary.num_tokens(&corpus), config)?;
            counter.add(&corpus, train.len());
            counter.frequent(config.min_count, config.max_vocabulary)
        }
    };
    let mut schema = new_schema(config, symbols)?;
    let stream = encode_corpus(uri, &corpus, &schema)?;
    let [train, valid, test] = cut(stream.len(), config)?;
    let tokens = train.len();
    schema.characters_per_token = mean_characters(config.vocabulary.num_characters(&corpus, tokens), tokens);
    drop(corpus);
    let stride = config.stride.unwrap_or(1);
    let windows = Windows::training(train, schema.max_tokens, stride);
    let windows = windows.ok_or_else(|| too_short(uri, &schema, tokens))?;
    let train = TextSet::windows(windows, Corpus::Held(Arc::clone(&stream)));
    let part = |range: Range<usize>| match range.is_empty() {
        true => Ok(None),
        false => evaluation_windows(uri, Arc::clone(&stream), range, &schema).map(Some),
    };
    let (valid, test) = (part(valid)?, part(test)?);
    let shuffled = PipelineConfig { shuffle: Shuffle::Full(seed), ..config.in_order(seed) };
    Ok(Cut { train: Pipeline::new(train, shuffled), valid, test, schema })
}

/// Opens a long text by the schema, windows side by side.
///
/// # Errors
/// When it cannot be read, or has less than two tokens.
pub(super) fn file(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let corpus = read::read_corpus(uri, config)?;
    let stream = encode_corpus(uri, &corpus, schema)?;
    let range = 0..stream.len();
    evaluation_windows(uri, stream, range, schema)
}

/// What [`open`] held out of the training text: the test part or, without one, the validation part.
///
/// # Errors
/// When it cannot be read.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let corpus = read::read_corpus(&config.train, config)?;
    let stream = encode_corpus(&config.train, &corpus, schema)?;
    let [_, valid, test] = cut(stream.len(), config)?;
    let range = if test.is_empty() { valid } else { test };
    evaluation_windows(&config.train, stream, range, schema)
}

fn encode_corpus(uri: &str, corpus: &str, schema: &TextSchema) -> Result<Arc<Stream>, DataError> {
    let mut stream = Stream::new(schema.len());
    // Line by line, so that the wide ids of the whole text never exist at once. No token of any
    // kind spans a line break.
    for (line, text) in (1..).zip(corpus.split_inclusive('\n')) {
        stream.extend(&schema.encode_first(text, usize::MAX, uri, line)?);
    }
    Ok(Arc::new(stream))
}

fn evaluation_windows(
    uri: &str,
    stream: Arc<Stream>,
    range: Range<usize>,
    schema: &TextSchema,
) -> Result<TextSet, DataError> {
    let tokens = range.len();
    Windows::evaluation(range, schema.max_tokens)
        .map(|windows| TextSet::windows(windows, Corpus::Held(stream)))
        .ok_or_else(|| DataError::source(uri, "at least two tokens to evaluate on", tokens))
}
