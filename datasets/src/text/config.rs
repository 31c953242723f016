//! The keys of `[data]` for text.

use super::tokenizer::{Coverage, VocabularyKind};
use crate::records::{Dialect, Format, one_of, split};
use crate::store::WINDOW_BYTES;
use crate::{DataError, OnCorrupt, PREFETCH_BYTES, PipelineConfig, ShardOrder, Shuffle, bounds};
use serde::{Deserialize, Deserializer, Serialize};

/// The question that a model answers about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextTask {
    /// The label of each text.
    Classify,
    /// The token after each token.
    LanguageModel,
}

fn text_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Format>, D::Error> {
    one_of(deserializer, Format::holds_texts)
}

/// Texts, their labels, tokens and splits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// Training texts: a file, `builtin:NAME`, a glob or braces, or a folder. A folder of folders of `.txt`
    /// files is a sample a file, its label the name of the folder that holds it.
    pub train: String,
    /// Held-out texts. Without it, `valid_fraction` of the training texts is held out.
    pub valid: Option<String>,
    /// Test texts. Without it, `test_fraction` of the training texts is held out.
    pub test: Option<String>,
    /// Share of the training texts that validates; 0 = none. Drawn at random with the seed when
    /// classifying; for language models the tail of the file (before the test part), never random,
    /// because windows overlap.
    pub valid_fraction: f64,
    /// Share of the training texts that tests; 0 = none. Cut like `valid_fraction`, at the very end
    /// for language models.
    pub test_fraction: f64,
    /// Stops at a corrupt text, or skips it: a row of the wrong width, a line that is not
    /// UTF-8, a label outside the set. Skipped texts are left out when the file is opened, and
    /// counted; streamed ones when they are met. Language models read whole files and never skip inside them.
    pub on_corrupt: OnCorrupt,
    /// Threads that gather samples; 0 gathers on the trainer's own. The tokens lie in memory, so
    /// that more than one seldom helps.
    pub workers: usize,
    /// `classify` or `language_model`.
    pub task: TextTask,
    /// True to read texts by blocks while training goes on, false to hold all in memory. When
    /// not given, files of more than 256 MiB in all are streamed: CSV, JSONL and Parquet, and for language
    /// models plain text, too. Those of one set must be of one kind then.
    pub stream: Option<bool>,
    /// The shuffling of streamed texts: `window` (the default) or `full`, which reads a whole block for
    /// each text or window of tokens that is not in one at hand. Texts in memory are always shuffled in full.
    pub order: Option<ShardOrder>,
    /// With the order `window`: bytes of the blocks whose texts are shuffled among each other. About twice as
    /// much is held.
    pub window_bytes: u64,
    /// With the order `window`: ranks that read shards of their own, and a window each; 1 by default. Ranks
    /// of this number, or of a divisor of it, read each shard once between them; the order is the same
    /// whatever their number.
    pub canonical_ranks: u64,
    /// `txt`, `csv`, `jsonl`, `json`, `parquet`, `ipc`, `avro` or `excel`; when not given, by the file's
    /// extension (that of a packing aside) or, where that says nothing, by its first bytes.
    #[serde(deserialize_with = "text_format")]
    pub format: Option<Format>,
    /// The sheet of a workbook (Excel, OpenDocument); the first that has cells when not given.
    pub sheet: Option<String>,
    /// The column or key of the text; the index of the column in a CSV without a header.
    pub text_column: String,
    /// The column or key of the label; the index of the column in a CSV without a header.
    pub label_column: String,
    /// True when a CSV's first row names the columns.
    pub has_header: bool,
    /// One ASCII character between the cells of a CSV; when not given, a comma, or a tab in `.tsv`
    /// files.
    pub separator: Option<String>,
    /// The kind of the tokens: `character`, `byte` or `word`.
    pub vocabulary: VocabularyKind,
    /// Tokens kept, the most frequent first, ties in the order of their text; all when not given.
    /// Language models of characters keep every one in any case.
    pub max_vocabulary: Option<usize>,
    /// Times that a token occurs in the training texts at least, to be kept.
    pub min_count: u64,
    /// True to lower-case texts first.
    pub lowercase: bool,
    /// Classification: tokens kept of a text, from its start. Language models: the context, which is
    /// the length of every window.
    pub max_tokens: usize,
    /// Language models: tokens from the start of one training window to the start of the next; 1
    /// when not given, so that every position begins a window. Evaluation always uses windows side
    /// by side.
    pub stride: Option<usize>,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig {
            train: String::new(),
            valid: None,
            test: None,
            valid_fraction: 0.0,
            test_fraction: 0.0,
            on_corrupt: OnCorrupt::Stop,
            workers: 1,
            task: TextTask::Classify,
            stream: None,
            order: None,
            window_bytes: WINDOW_BYTES,
            canonical_ranks: 1,
            format: None,
            sheet: None,
            text_column: "text".to_string(),
            label_column: "label".to_string(),
            has_header: true,
            separator: None,
            vocabulary: VocabularyKind::Word,
            max_vocabulary: None,
            min_count: 1,
            lowercase: false,
            max_tokens: 256,
            stride: None,
        }
    }
}

/// Tokens of the longest text or window.
pub(super) const MOST_TOKENS: usize = 65_536;

impl TextConfig {
    /// Refuses settings that no text can have.
    ///
    /// # Errors
    /// Names the key, what it may be, and what it is.
    pub fn check(&self) -> Result<(), DataError> {
        if self.train.is_empty() {
            return Err(DataError::config("train", "the URI of texts", "nothing"));
        }
        self.check_sizes()?;
        let keeps_every = self.vocabulary.survey().coverage() == Coverage::Every;
        if self.task == TextTask::LanguageModel && keeps_every && self.min_count > 1 {
            let expected = "1 for language models of characters, which keep every one";
            return Err(DataError::config("min_count", expected, self.min_count));
        }
        split::check(self.valid_fraction, self.test_fraction)
    }

    /// The format of a file: the recipe's, or by the file's ending or its first bytes; plain text for text that
    /// is nothing else.
    ///
    /// # Errors
    /// When the file cannot be read, or is known to be of a format that holds no texts.
    pub(super) fn format(&self, uri: &str) -> Result<Format, DataError> {
        match self.format {
            Some(format) => Ok(format),
            None => Format::told(uri, Format::holds_texts, Format::Text),
        }
    }

    /// The cut of a file's lines, where its format leaves that to the recipe.
    ///
    /// # Errors
    /// When the separator is not one ASCII character.
    pub(super) fn dialect(&self, uri: &str, format: Format) -> Result<Dialect, DataError> {
        match format.has_dialect() {
            true => Dialect::new(uri, self.separator.as_deref(), None, self.has_header),
            false => Ok(Dialect::default()),
        }
    }

    /// Refuses sizes that no machine could hold, whatever the set is opened for.
    pub(super) fn check_sizes(&self) -> Result<(), DataError> {
        for (key, value) in [("max_vocabulary", self.max_vocabulary), ("stride", self.stride)] {
            if value == Some(0) {
                return Err(DataError::config(key, "at least 1", 0));
            }
        }
        bounds::within("max_tokens", self.max_tokens, 1..=MOST_TOKENS)?;
        bounds::canonical_ranks(self.canonical_ranks)?;
        bounds::workers(self.workers)
    }

    /// The shares to hold out, for validation and test: none where a file is given.
    pub(super) fn fractions(&self) -> (f64, f64) {
        let fraction = |uri: &Option<String>, fraction| if uri.is_some() { 0.0 } else { fraction };
        (fraction(&self.valid, self.valid_fraction), fraction(&self.test, self.test_fraction))
    }

    /// A pipeline that keeps the order of its set.
    pub(super) fn in_order(&self, seed: u64) -> PipelineConfig {
        let (shuffle, prefetch_bytes) = (Shuffle::Never, PREFETCH_BYTES);
        PipelineConfig {
            shuffle,
            seed,
            on_corrupt: self.on_corrupt,
            repeats: 1,
            lanes: self.canonical_ranks,
            workers: self.workers,
            prefetch_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_serialises_every_key() {
        let json = serde_json::to_value(TextConfig::default()).unwrap();
        assert!(json["stride"].is_null() && json["format"].is_null());
        assert_eq!(serde_json::from_value::<TextConfig>(json).unwrap(), TextConfig::default());
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let good = TextConfig { train: "t".into(), ..Default::default() };
        assert!(good.check().is_ok());
        for bad in [
            TextConfig { train: String::new(), ..good.clone() },
            TextConfig { max_tokens: 0, ..good.clone() },
            TextConfig { max_tokens: 65_537, ..good.clone() },
            TextConfig { stride: Some(0), ..good.clone() },
            TextConfig { max_vocabulary: Some(0), ..good.clone() },
            TextConfig { workers: usize::MAX, ..good.clone() },
            TextConfig { test_fraction: 1.0, ..good },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
