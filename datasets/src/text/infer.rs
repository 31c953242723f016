//! The schema of training texts, out of their symbols, labels and tokens.

use super::config::TextConfig;
use super::schema::{TextSchema, specials};
use super::tokenizer::{Coverage, VocabularyKind};
use crate::bounds::MOST_TOKENS;
use crate::records::round;
use crate::{DataError, SplitBy};

/// A schema of these symbols, without labels, its tokens a character each.
pub(super) fn new_schema(config: &TextConfig, symbols: Vec<String>) -> Result<TextSchema, DataError> {
    let survey = config.survey();
    if symbols.is_empty() && survey.coverage() != Coverage::Given && config.hash_buckets == 0 {
        let expected = format!("texts with a token that occurs at least {} times", config.min_count);
        return Err(DataError::source(&config.train, expected, "none"));
    }
    // Counted symbols are distinct and of the tokens' kind, so this never fails.
    let tokenizer = survey
        .tokenizer(specials(config.task, config.vocabulary), symbols)
        .ok_or_else(|| DataError::source(&config.train, "distinct symbols", "one twice"))?;
    Ok(TextSchema {
        task: config.task,
        tokenizer,
        lowercase: config.lowercase,
        max_tokens: if config.vocabulary == VocabularyKind::Ngrams { MOST_TOKENS } else { config.max_tokens },
        text_column: config.text_column.clone(),
        label_column: config.label_column.clone(),
        whole_files: false,
        labels: Vec::new(),
        value: None,
        class_names: config.class_names,
        ngrams: None,
        summary: None,
        characters_per_token: 1.0,
        split: SplitBy::default(),
        streamed: None,
    })
}

/// Mean characters per token, as the schema keeps it; 1 where there is no token.
pub(super) fn mean_characters(characters: usize, tokens: usize) -> f64 {
    match tokens {
        0 => 1.0,
        _ => round(characters as f64 / tokens as f64),
    }
}
