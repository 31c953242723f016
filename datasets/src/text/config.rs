//! The keys of `[data]` for text.

use super::ngrams::{NgramShape, NgramUnit};
use super::tokenizer::{Coverage, Survey, VocabularyKind};
use crate::records::{AUTO, Decoding, Dialect, DialectKeys, EncodingErrors, Format, Quoting, one_of, split};
use crate::store::WINDOW_BYTES;
use crate::table::TargetKind;
use crate::{DataError, OnCorrupt, PREFETCH_BYTES, PipelineConfig, ShardOrder, Shuffle, bounds};
use serde::{Deserialize, Deserializer, Serialize};

/// The question that a model answers about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextTask {
    /// The label of each text, or the value that it has.
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
    /// files is a sample a file, its label the name of the folder that holds it; of some folders alone
    /// `reviews/{neg,pos}/*.txt`.
    pub train: String,
    /// Held-out texts. Without it, `valid_fraction` of the training texts is held out.
    pub valid: Option<String>,
    /// Test texts. Without it, `test_fraction` of the training texts is held out.
    pub test: Option<String>,
    /// Share of the training texts that validates; 0 = none. Drawn at random with the seed (or by
    /// `time_column`) when classifying; for language models the tail of the file (before the test part), never random,
    /// because windows overlap.
    pub valid_fraction: f64,
    /// Share of the training texts that tests; 0 = none. Cut like `valid_fraction`, at the very end
    /// for language models.
    pub test_fraction: f64,
    /// Classification: true to hold out its share of each class, false to draw from all texts alike. When not
    /// given, true where neither `group_column` nor `time_column` is given and the texts are in memory: of
    /// streamed ones whole blocks of texts are held out.
    pub stratify: Option<bool>,
    /// Classification: texts of one value in this column or key (an author, a thread) are held out together or
    /// not at all. Not for streamed texts.
    pub group_column: Option<String>,
    /// Classification: the last texts by this column or key of numbers or ISO 8601 dates test, and those before
    /// them validate. Not for streamed texts.
    pub time_column: Option<String>,
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
    /// `class` or `value`; when not given, labels that are numbers are values if one of them is not whole or
    /// more than 20 differ, and everything else is a class. Spellings of one value (`1` and `1.0`, `True` and
    /// `true`) are one class. The names of class folders are classes.
    pub target_kind: Option<TargetKind>,
    /// True to read the whole numbers of a label as the names that a Parquet file gives them (Hugging Face's
    /// `ClassLabel`), and the number -1 as no label; false to read them as they stand.
    pub class_names: bool,
    /// True when a CSV's first row names the columns.
    pub has_header: bool,
    /// One ASCII character between the cells of a CSV; when not given, or `auto`, it is told by the first lines
    /// of each file: a comma, `;`, a tab or `|`.
    pub separator: Option<String>,
    /// The meaning of quotes in a CSV: `minimal` (a quote opens a cell, and one that cannot be meant so is
    /// refused), `backslash` (as `minimal`, and one before a quote keeps it from closing), `lenient` (none is
    /// doubted) or `none` (a quote is a character like any other).
    pub quoting: Quoting,
    /// The encoding of plain text, CSV and JSON lines: a name such as `latin-1` (which is `windows-1252`),
    /// `utf-16` or `shift_jis`; `auto` is UTF-8, and UTF-16 where its mark says so.
    pub encoding: String,
    /// The fate of bytes that are no text in the encoding: `stop` (their text is corrupt, see `on_corrupt`),
    /// `replace` (by U+FFFD) or `skip` (their text is left out and counted; plain text of language models
    /// stops).
    pub encoding_errors: EncodingErrors,
    /// The kind of the tokens: `character`, `byte` or `word`, to be read in their order; or `ngrams`, which
    /// `linear` and `logistic` read as weighted counts (TF-IDF).
    pub vocabulary: VocabularyKind,
    /// With `ngrams`: the pieces of the shortest n-grams and of the longest.
    pub ngrams: [usize; 2],
    /// With `ngrams`: what n-grams are runs of, `word` or `character`.
    pub ngram_unit: NgramUnit,
    /// With `ngrams`: the number of features that n-grams are dealt out to by their hash, so that none is left
    /// out and no vocabulary is kept; 0 for a feature for each n-gram of the training texts.
    pub hash_buckets: usize,
    /// With `ngrams`: true to weigh an n-gram that is `c` times in a text by `1 + ln c` instead of `c`.
    pub sublinear_tf: bool,
    /// Tokens kept, the most frequent first, ties in the order of their text; when not given all, and of
    /// n-grams the 262,144 that most texts hold. Language models of characters keep every one in any case.
    pub max_vocabulary: Option<usize>,
    /// Times that a token occurs in the training texts at least, to be kept; of an n-gram, the training texts
    /// that hold it.
    pub min_count: u64,
    /// True to lower-case texts first.
    pub lowercase: bool,
    /// Classification: tokens kept of a text, from its start. Language models: the context, which is
    /// the length of every window. N-grams are those of whole texts.
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
            stratify: None,
            group_column: None,
            time_column: None,
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
            target_kind: None,
            class_names: true,
            has_header: true,
            separator: None,
            quoting: Quoting::Minimal,
            encoding: AUTO.to_string(),
            encoding_errors: EncodingErrors::Stop,
            vocabulary: VocabularyKind::Word,
            ngrams: NgramShape::default().lengths,
            ngram_unit: NgramUnit::default(),
            hash_buckets: 0,
            sublinear_tf: false,
            max_vocabulary: None,
            min_count: 1,
            lowercase: false,
            max_tokens: 256,
            stride: None,
        }
    }
}

impl TextConfig {
    /// Refuses settings that no text can have.
    ///
    /// # Errors
    /// Names the key, what it may be, and what it is.
    pub fn check(&self) -> Result<(), DataError> {
        if self.train.is_empty() {
            return Err(DataError::config("train", "the URI of texts", "nothing"));
        }
        self.decoding()?;
        self.check_sizes()?;
        self.check_ngrams()?;
        if self.task == TextTask::LanguageModel
            && let Some(kind) = self.target_kind
        {
            let found = format!("\"{kind:?}\"").to_lowercase();
            return Err(DataError::config(
                "target_kind",
                "none for language models, which predict tokens",
                found,
            ));
        }
        let keeps_every = self.vocabulary.coverage() == Coverage::Every;
        if self.task == TextTask::LanguageModel && keeps_every && self.min_count > 1 {
            let expected = "1 for language models of characters, which keep every one";
            return Err(DataError::config("min_count", expected, self.min_count));
        }
        split::check(self.valid_fraction, self.test_fraction)?;
        self.check_split()
    }

    /// Refuses ways of holding out that exclude each other, or that the task has no use for.
    fn check_split(&self) -> Result<(), DataError> {
        let columns = [("group_column", &self.group_column), ("time_column", &self.time_column)];
        for (key, column) in columns.iter().filter_map(|(key, column)| Some((key, column.as_ref()?))) {
            if *column == self.label_column {
                let found = format!("the label `{column}`");
                return Err(DataError::config(key, "another column than the label", found));
            }
            if self.task == TextTask::LanguageModel {
                let expected = "none for language models, which hold out the end of the text";
                return Err(DataError::config(key, expected, format!("`{column}`")));
            }
        }
        if self.task == TextTask::LanguageModel && self.stratify == Some(true) {
            return Err(DataError::config(
                "stratify",
                "false for language models, which have no classes",
                true,
            ));
        }
        self.held_out().check()
    }

    /// The recipe's wishes about what is held out.
    pub(super) fn held_out(&self) -> split::Wishes<'_> {
        split::Wishes {
            stratify: self.stratify,
            group_column: self.group_column.as_deref(),
            time_column: self.time_column.as_deref(),
            fractions: self.fractions(),
        }
    }

    /// The keys for texts that are not divided, which need no group and no time.
    pub(super) fn undivided(&self) -> Self {
        TextConfig { group_column: None, time_column: None, ..self.clone() }
    }

    /// Refuses keys of n-grams without a use, and keys that n-grams have no use for.
    fn check_ngrams(&self) -> Result<(), DataError> {
        let usual = TextConfig::default();
        let refuse =
            |key: &str, expected: String, found: String| Err(DataError::config(key, expected, found));
        if self.vocabulary != VocabularyKind::Ngrams {
            let of_ngrams = [
                ("ngrams", format!("{:?}", usual.ngrams), format!("{:?}", self.ngrams)),
                (
                    "ngram_unit",
                    format!("{:?}", usual.ngram_unit).to_lowercase(),
                    format!("{:?}", self.ngram_unit).to_lowercase(),
                ),
                ("hash_buckets", usual.hash_buckets.to_string(), self.hash_buckets.to_string()),
                ("sublinear_tf", usual.sublinear_tf.to_string(), self.sublinear_tf.to_string()),
            ];
            return match of_ngrams.into_iter().find(|(_, usual, found)| usual != found) {
                Some((key, usual, found)) => {
                    refuse(key, format!("{usual}, the default, unless data.vocabulary = \"ngrams\""), found)
                }
                None => Ok(()),
            };
        }
        self.ngram_shape().check()?;
        if self.task == TextTask::LanguageModel {
            let expected = "tokens in their order for a language model: character, byte or word";
            return refuse("vocabulary", expected.to_string(), "\"ngrams\"".to_string());
        }
        if self.max_tokens != usual.max_tokens {
            let expected =
                format!("{}, the default, with n-grams, which are those of whole texts", usual.max_tokens);
            return refuse("max_tokens", expected, self.max_tokens.to_string());
        }
        if self.hash_buckets > 0 && self.max_vocabulary.is_some() {
            let found = format!("{:?}", self.max_vocabulary.unwrap_or_default());
            return refuse("max_vocabulary", "none with data.hash_buckets".to_string(), found);
        }
        if self.hash_buckets > 0 && self.min_count != usual.min_count {
            let expected = format!("{}, the default, with data.hash_buckets", usual.min_count);
            return refuse("min_count", expected, self.min_count.to_string());
        }
        Ok(())
    }

    /// The n-grams that texts are cut into, where the vocabulary is one of n-grams.
    pub(super) fn ngram_shape(&self) -> NgramShape {
        NgramShape { unit: self.ngram_unit, lengths: self.ngrams, buckets: self.hash_buckets }
    }

    /// The survey of texts for the tokens that the recipe asks for.
    pub(super) fn survey(&self) -> Box<dyn Survey> {
        self.vocabulary.survey(self.ngram_shape())
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

    /// The way from a file's bytes to text.
    ///
    /// # Errors
    /// When no encoding has the name.
    pub(super) fn decoding(&self) -> Result<Decoding, DataError> {
        Decoding::new(&self.encoding, self.encoding_errors)
    }

    /// The cut of a file's lines, where its format leaves that to the recipe.
    ///
    /// # Errors
    /// When the separator is not one ASCII character, and when the first lines of the file do not tell it.
    pub(super) fn dialect(&self, uri: &str, format: Format) -> Result<Dialect, DataError> {
        if !format.has_dialect() {
            return Ok(Dialect::default());
        }
        let (separator, header, quoting) = (self.separator.as_deref(), self.has_header, self.quoting);
        let keys = DialectKeys { separator, header, quoting, ..DialectKeys::default() };
        Dialect::new(uri, &keys, self.decoding()?)
    }

    /// Refuses sizes that no machine could hold, whatever the set is opened for.
    pub(super) fn check_sizes(&self) -> Result<(), DataError> {
        for (key, value) in [("max_vocabulary", self.max_vocabulary), ("stride", self.stride)] {
            if value == Some(0) {
                return Err(DataError::config(key, "at least 1", 0));
            }
        }
        bounds::within("max_tokens", self.max_tokens, 1..=bounds::MOST_TOKENS)?;
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
            TextConfig { hash_buckets: 8, ..good.clone() },
            TextConfig { ngram_unit: NgramUnit::Character, ..good.clone() },
            TextConfig { vocabulary: VocabularyKind::Ngrams, max_tokens: 9, ..good.clone() },
            TextConfig { vocabulary: VocabularyKind::Ngrams, ngrams: [2, 1], ..good.clone() },
            TextConfig { vocabulary: VocabularyKind::Ngrams, hash_buckets: 8, min_count: 2, ..good.clone() },
            TextConfig { vocabulary: VocabularyKind::Ngrams, task: TextTask::LanguageModel, ..good.clone() },
            TextConfig {
                target_kind: Some(TargetKind::Value),
                task: TextTask::LanguageModel,
                ..good.clone()
            },
            TextConfig { test_fraction: 1.0, ..good.clone() },
            TextConfig { group_column: Some("g".into()), time_column: Some("t".into()), ..good.clone() },
            TextConfig { group_column: Some("label".into()), ..good.clone() },
            TextConfig { stratify: Some(true), time_column: Some("t".into()), ..good.clone() },
            TextConfig { stratify: Some(true), task: TextTask::LanguageModel, ..good.clone() },
            TextConfig { time_column: Some("t".into()), task: TextTask::LanguageModel, ..good },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
