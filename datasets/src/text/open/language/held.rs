//! Long texts in memory.

use super::cut::{Cut, cut, symbols_of_all, too_short};
use crate::text::config::TextConfig;
use crate::text::corpus::Corpus;
use crate::text::infer::{mean_characters, new_schema};
use crate::text::read;
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::text::stream::Stream;
use crate::text::tokenizer::{Counts, Coverage};
use crate::text::windows::Windows;
use crate::{DataError, Pipeline, PipelineConfig, Shuffle};
use std::ops::Range;
use std::sync::Arc;

/// Opens a long text for training; `known` is the schema of a run that goes on.
///
/// # Errors
/// When it cannot be read, is too short for a window, or is not the text that `known` was learned from.
pub(super) fn open(config: &TextConfig, seed: u64, known: Option<TextSchema>) -> Result<Cut, DataError> {
    let uri = &config.train;
    let mut corpus = read::read_corpus(uri, config)?;
    if config.lowercase {
        corpus = corpus.to_lowercase();
    }
    let (survey, mut counts) = (config.survey(), Counts::default());
    let symbols = match survey.coverage() {
        Coverage::Given => Vec::new(),
        Coverage::Every => {
            survey.count(&corpus, usize::MAX, &mut counts);
            symbols_of_all(counts, uri, config)?
        }
        Coverage::Frequent => {
            let [train, ..] = cut(survey.num_tokens(&corpus), config)?;
            survey.count(&corpus, train.len(), &mut counts);
            counts.frequent(config.min_count, config.max_vocabulary)
        }
    };
    let mut learned = new_schema(config, symbols)?;
    let stream = encode_corpus(uri, &corpus, &learned)?;
    let [train, valid, test] = cut(stream.len(), config)?;
    let tokens = train.len();
    learned.characters_per_token = mean_characters(survey.num_characters(&corpus, tokens), tokens);
    drop(corpus);
    let schema = match known {
        Some(known) => {
            known.check(uri, &learned)?;
            known
        }
        None => learned,
    };
    let stride = config.stride.unwrap_or(1);
    let windows = Windows::training(train, schema.max_tokens, stride);
    let windows = windows.ok_or_else(|| too_short(uri, &schema, tokens))?;
    let train = TextSet::windows(windows, Corpus::Held(Arc::clone(&stream)));
    let part = |range: Range<usize>| {
        if range.is_empty() {
            Ok(None)
        } else {
            evaluation_windows(uri, Arc::clone(&stream), range, &schema).map(Some)
        }
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

/// The held-out tail of the training text: the test part or, without one, the validation part.
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

/// The ids of a long text: line by line where no token spans lines, so that the wide ids of the whole text
/// never exist at once.
fn encode_corpus(uri: &str, corpus: &str, schema: &TextSchema) -> Result<Arc<Stream>, DataError> {
    let mut stream = Stream::new(schema.len());
    let mut encode = |line, text| -> Result<(), DataError> {
        stream.extend(&schema.encode_first(text, usize::MAX, uri, line)?);
        Ok(())
    };
    if schema.tokenizer.spans_lines() {
        encode(1, corpus)?;
    } else {
        (1..).zip(corpus.split_inclusive('\n')).try_for_each(|(line, text)| encode(line, text))?;
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
