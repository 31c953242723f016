//! Long texts to learn the language of: one stream of tokens, its tail cut off, and windows on it.

use super::language_streamed;
use crate::table::split;
use crate::text::config::TextConfig;
use crate::text::corpus::Corpus;
use crate::text::file::is_streamed;
use crate::text::infer::{mean_characters, new_schema};
use crate::text::read;
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::text::stream::Stream;
use crate::text::vocabulary::{Counter, VocabularyKind};
use crate::text::windows::Windows;
use crate::{DataError, Opened, Pipeline, PipelineConfig, Shuffle};
use std::ops::Range;
use std::sync::Arc;

/// Opens a long text for training.
pub(super) fn open(config: &TextConfig, seed: u64) -> Result<Opened<TextSet, TextSchema>, DataError> {
    if is_streamed(&config.train, config) {
        return language_streamed::open(config, seed, None);
    }
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
    let part =
        |given: &Option<String>, range: Range<usize>| -> Result<Option<Pipeline<TextSet>>, DataError> {
            let set = match given {
                Some(uri) => file(uri, config, &schema)?,
                None if range.is_empty() => return Ok(None),
                None => evaluation_windows(uri, Arc::clone(&stream), range, &schema)?,
            };
            Ok(Some(Pipeline::new(set, config.in_order(seed))))
        };
    let valid = part(&config.valid, valid)?;
    let test = part(&config.test, test)?;
    let shuffled = PipelineConfig { shuffle: Shuffle::Full(seed), ..config.in_order(seed) };
    Ok(Opened { train: Pipeline::new(train, shuffled), valid, test, schema })
}

/// Opens a long text by the schema, windows side by side.
pub(super) fn file(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    if is_streamed(uri, config) {
        return language_streamed::file(uri, config, schema);
    }
    let corpus = read::read_corpus(uri, config)?;
    let stream = encode_corpus(uri, &corpus, schema)?;
    let range = 0..stream.len();
    evaluation_windows(uri, stream, range, schema)
}

/// The held-out tail of the training text: the test part or, without one, the validation part.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    if schema.streamed.is_some() {
        return language_streamed::held_out(config, schema);
    }
    let corpus = read::read_corpus(&config.train, config)?;
    let stream = encode_corpus(&config.train, &corpus, schema)?;
    let [_, valid, test] = cut(stream.len(), config)?;
    let range = if test.is_empty() { valid } else { test };
    evaluation_windows(&config.train, stream, range, schema)
}

/// The parts of a long text: training, validation, test.
pub(super) fn cut(len: usize, config: &TextConfig) -> Result<[Range<usize>; 3], DataError> {
    let (valid, test) = config.fractions();
    split::tail(len, valid, test)
}

/// Every character that was counted, in the order of their code.
///
/// # Errors
/// When the recipe wants fewer.
pub(super) fn symbols_of_all(
    counter: Counter,
    uri: &str,
    config: &TextConfig,
) -> Result<Vec<String>, DataError> {
    let symbols = counter.sorted();
    match config.max_vocabulary.filter(|&most| most < symbols.len()) {
        Some(most) => {
            let expected = format!("none, or at least the {} characters of {uri}", symbols.len());
            Err(DataError::config("max_vocabulary", expected, most))
        }
        None => Ok(symbols),
    }
}

/// The error of a training part without a window.
pub(super) fn too_short(uri: &str, schema: &TextSchema, tokens: usize) -> DataError {
    let expected = format!("more than {} training tokens (data.max_tokens)", schema.max_tokens);
    DataError::source(uri, expected, tokens)
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
