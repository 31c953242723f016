//! Long texts to learn the language of: one stream of tokens, its tail cut off, and windows on it.

use crate::table::split;
use crate::text::config::TextConfig;
use crate::text::infer::{mean_characters, new_schema};
use crate::text::read;
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::text::stream::Stream;
use crate::text::vocabulary::{Counter, VocabularyKind};
use crate::{DataError, Opened, Pipeline, PipelineConfig, Shuffle};
use std::ops::Range;
use std::sync::Arc;

/// Opens a long text for training.
pub(super) fn open(config: &TextConfig, seed: u64) -> Result<Opened<TextSet, TextSchema>, DataError> {
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
            let symbols = counter.sorted();
            if let Some(most) = config.max_vocabulary.filter(|&most| most < symbols.len()) {
                let expected = format!("none, or at least the {} characters of {uri}", symbols.len());
                return Err(DataError::config("max_vocabulary", expected, most));
            }
            symbols
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
    let train = TextSet::training_windows(Arc::clone(&stream), train, schema.max_tokens, stride);
    let train = train.ok_or_else(|| {
        let expected = format!("more than {} training tokens (data.max_tokens)", schema.max_tokens);
        DataError::source(uri, expected, tokens)
    })?;
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
    let corpus = read::read_corpus(uri, config)?;
    let stream = encode_corpus(uri, &corpus, schema)?;
    let range = 0..stream.len();
    evaluation_windows(uri, stream, range, schema)
}

/// The held-out tail of the training text: the test part or, without one, the validation part.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let corpus = read::read_corpus(&config.train, config)?;
    let stream = encode_corpus(&config.train, &corpus, schema)?;
    let [_, valid, test] = cut(stream.len(), config)?;
    let range = if test.is_empty() { valid } else { test };
    evaluation_windows(&config.train, stream, range, schema)
}

/// The parts of a long text: training, validation, test.
fn cut(len: usize, config: &TextConfig) -> Result<[Range<usize>; 3], DataError> {
    let (valid, test) = config.fractions();
    split::tail(len, valid, test)
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
    TextSet::evaluation_windows(stream, range, schema.max_tokens)
        .ok_or_else(|| DataError::source(uri, "at least two tokens to evaluate on", tokens))
}
