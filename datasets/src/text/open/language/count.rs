//! The tokens of long texts counted, block by block, and the vocabulary learned of them.

use super::cut::{cut, symbols_of_all};
use crate::index::Block;
use crate::store::{Known, Source};
use crate::text::blocks::long_texts;
use crate::text::config::TextConfig;
use crate::text::infer::{mean_characters, new_schema};
use crate::text::schema::TextSchema;
use crate::text::tokenizer::{Counts, Coverage};
use crate::{DataError, Shards};
use std::borrow::Cow;

/// The place of each block's first token, for blocks of so many tokens.
pub(super) fn starts(tokens: &[u32]) -> Shards {
    Shards::new(tokens.iter().map(|&tokens| u64::from(tokens)))
}

/// The counts of a block.
pub(super) struct Counted {
    pub tokens: u32,
    characters: u32,
    counts: Counts,
}

/// Counts the first `most` blocks; `symbols` says which of them have their symbols counted, too.
///
/// # Errors
/// When a block cannot be read or has too many tokens.
pub(super) fn count(
    source: &Source,
    most: usize,
    config: &TextConfig,
    symbols: impl Fn(usize) -> bool + Sync,
    mut take: impl FnMut(Counted),
) -> Result<(), DataError> {
    let survey = config.survey();
    let work = |number: usize, shard: usize, block: &Block| {
        let (mut tokens, mut characters, mut counts) = (0, 0, Counts::default());
        each_text(source, (shard, block), config, &mut |text| {
            tokens += survey.num_tokens(text);
            characters += text.chars().count();
            if symbols(number) {
                survey.count(text, usize::MAX, &mut counts);
            }
            Ok(())
        })?;
        let small = |count: usize| {
            u32::try_from(count).map_err(|_| {
                DataError::source(source.shard_uri(shard), "blocks of less than 2^32 characters", count)
            })
        };
        Ok(Counted { tokens: small(tokens)?, characters: small(characters)?, counts })
    };
    source.survey("tokens", most, work, |counted| {
        take(counted);
        Ok(())
    })
}

/// The texts of a block as their symbols are counted: in lower case, where the recipe says so.
fn each_text(
    source: &Source,
    (shard, block): (usize, &Block),
    config: &TextConfig,
    take: &mut dyn FnMut(&str) -> Result<(), DataError>,
) -> Result<(), DataError> {
    long_texts(source, shard, block, config, &mut |text, _| {
        let text: Cow<'_, str> = if config.lowercase { text.to_lowercase().into() } else { text.into() };
        take(&text)
    })
}

/// Reads the first `most` blocks once for their tokens and the vocabulary. Where the vocabulary is that of
/// the training part, and a part is held out, the training part is read again for it.
///
/// # Errors
/// When a block cannot be read, or the recipe does not fit the text.
pub(super) fn survey(
    source: &Source,
    most: usize,
    config: &TextConfig,
) -> Result<(TextSchema, Shards), DataError> {
    let coverage = config.vocabulary.coverage();
    let (mut tokens, mut characters, mut counts) = (Vec::new(), Vec::new(), Counts::default());
    // Which tokens are for training is known once all are counted.
    let at_once = coverage != Coverage::Frequent || config.fractions() == (0.0, 0.0);
    count(
        source,
        most,
        config,
        |_| at_once,
        |counted| {
            tokens.push(counted.tokens);
            characters.push(u64::from(counted.characters));
            counts.merge(counted.counts);
        },
    )?;
    let starts = starts(&tokens);
    let [train, ..] = cut(starts.samples() as usize, config)?;
    let characters = if train.len() as u64 == starts.samples() {
        characters.iter().sum::<u64>()
    } else {
        // The block of the first token behind the training part, and how many before it are in there.
        let (last, within) = starts.find(train.len() as u64);
        if !at_once {
            counts = of_first_tokens(source, config, last, within as usize)?;
        }
        characters[..last].iter().sum::<u64>() + characters_of(source, config, last, within as usize)?
    };
    let symbols = match coverage {
        Coverage::Given => Vec::new(),
        Coverage::Every => symbols_of_all(counts, source.uri(), config)?,
        Coverage::Frequent => counts.frequent(config.min_count, config.max_vocabulary),
    };
    let schema = TextSchema {
        characters_per_token: mean_characters(characters as usize, train.len()),
        streamed: Some(Known::of(source, tokens)),
        ..new_schema(config, symbols)?
    };
    Ok((schema, starts))
}

/// The symbols of the blocks before `last`, and of the first `within` tokens of that one.
fn of_first_tokens(
    source: &Source,
    config: &TextConfig,
    last: usize,
    within: usize,
) -> Result<Counts, DataError> {
    let survey = config.survey();
    let work = |number: usize, shard: usize, block: &Block| {
        let mut counts = Counts::default();
        let mut left = if number < last { usize::MAX } else { within };
        each_text(source, (shard, block), config, &mut |text| {
            survey.count(text, left, &mut counts);
            left = left.saturating_sub(survey.num_tokens(text));
            Ok(())
        })?;
        Ok(counts)
    };
    let mut all = Counts::default();
    source.survey("training words", last + 1, work, |counts| {
        all.merge(counts);
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
    let survey = config.survey();
    let (shard, block) = source.find(number)?;
    let (mut characters, mut left) = (0, Some(within));
    each_text(source, (shard, &block), config, &mut |text| {
        if let Some(tokens) = left {
            characters += survey.num_characters(text, tokens) as u64;
            left = tokens.checked_sub(survey.num_tokens(text));
        }
        Ok(())
    })?;
    Ok(characters)
}
