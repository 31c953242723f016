//! The form that training texts were brought into, saved as `vocabulary.json`.

use super::config::TextTask;
use super::ngrams::{NgramShape, Weigher};
use super::summary::TextSummary;
use super::tokenizer::{Coverage, Specials, Tokenizer, UnknownSymbol, VocabularyKind};
use crate::bounds::MOST_TOKENS;
use crate::fields::{TableTarget, share_spellings};
use crate::records::{canonical, sort_labels};
use crate::resumed::check_names;
use crate::store::Known;
use crate::{DataError, SplitBy, saved};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

const FILE: &str = "vocabulary.json";
const FORMAT: &str = "bonfire.vocabulary";
const VERSION: u64 = 1;

/// A tokenizer and the task that its texts were for: everything that evaluation, prediction and generation
/// need.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Saved", try_from = "Saved")]
pub struct TextSchema {
    /// The question that was asked about the texts.
    pub task: TextTask,
    /// Turns texts into token ids and back.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// True when texts are lower-cased first.
    pub lowercase: bool,
    /// Tokens kept of a text, or the context of a language model.
    pub max_tokens: usize,
    /// The column or key of the text.
    pub text_column: String,
    /// The column or key of the label.
    pub label_column: String,
    /// True when a `.txt` file is one sample, false when each of its lines is.
    pub whole_files: bool,
    /// The classes, sorted, by value where all are numbers; empty for language models and values.
    pub labels: Vec<String>,
    /// Mean and standard deviation of the value that texts have, over the training texts; none for classes.
    pub value: Option<(f64, f64)>,
    /// True where labels are read by the names that their file gives to numbers.
    pub class_names: bool,
    /// The n-grams, where texts are counted and not read in their order.
    pub ngrams: Option<Ngrams>,
    /// The training texts in numbers; none of language models, and of runs of earlier versions.
    pub summary: Option<TextSummary>,
    /// Mean characters per token over the training texts, to 12 significant digits: 1 for characters, at
    /// most 1 for bytes, and for words with the white space between them.
    pub characters_per_token: f64,
    /// The way that texts were held out of the training texts.
    pub split: SplitBy,
    /// The training texts, where they are streamed; in a file of its own.
    pub(crate) streamed: Option<Known>,
}

/// Counted n-grams: all that turns the features of a text into weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ngrams {
    /// The n-grams that a text is cut into.
    pub shape: NgramShape,
    /// True where the logarithm of a count stands for it.
    pub sublinear_tf: bool,
    /// Training texts.
    pub documents: u64,
    /// For each feature, the training texts that have it.
    pub frequencies: Vec<u32>,
}

/// The file, as it reads.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: String,
    version: u64,
    task: TextTask,
    vocabulary: VocabularyKind,
    lowercase: bool,
    max_tokens: usize,
    text_column: String,
    label_column: String,
    whole_files: bool,
    labels: Vec<String>,
    /// Mean and standard deviation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<(f64, f64)>,
    /// A run of an earlier version has the numbers themselves as its labels.
    #[serde(default)]
    class_names: bool,
    characters_per_token: f64,
    #[serde(default)]
    split: SplitBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<TextSummary>,
    /// Names of the first ids.
    specials: Vec<String>,
    /// The tokens of the ids behind; none for bytes.
    symbols: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ngrams: Option<Ngrams>,
}

/// Two schemas are the same when their files are.
impl PartialEq for TextSchema {
    fn eq(&self, other: &Self) -> bool {
        Saved::from(self.clone()) == Saved::from(other.clone()) && self.streamed == other.streamed
    }
}

impl From<TextSchema> for Saved {
    fn from(schema: TextSchema) -> Self {
        Saved {
            format: FORMAT.to_string(),
            version: VERSION,
            task: schema.task,
            vocabulary: schema.tokenizer.kind(),
            lowercase: schema.lowercase,
            max_tokens: schema.max_tokens,
            text_column: schema.text_column,
            label_column: schema.label_column,
            whole_files: schema.whole_files,
            labels: schema.labels,
            value: schema.value,
            class_names: schema.class_names,
            summary: schema.summary,
            ngrams: schema.ngrams,
            characters_per_token: schema.characters_per_token,
            split: schema.split,
            specials: schema.tokenizer.specials().names(),
            symbols: schema.tokenizer.symbols().to_vec(),
        }
    }
}

impl TryFrom<Saved> for TextSchema {
    type Error = String;

    fn try_from(saved: Saved) -> Result<Self, String> {
        let specials = specials(saved.task, saved.vocabulary);
        if saved.specials != specials.names() {
            return Err(format!("expected the specials {:?}, found {:?}", specials.names(), saved.specials));
        }
        let expected = "expected distinct symbols of the vocabulary's kind, found others";
        if saved.ngrams.is_some() != (saved.vocabulary == VocabularyKind::Ngrams) {
            return Err("expected frequencies with n-grams alone, found otherwise".to_string());
        }
        let shape = saved.ngrams.as_ref().map_or_else(NgramShape::default, |ngrams| ngrams.shape);
        shape.check().map_err(|error| error.to_string())?;
        let tokenizer = saved.vocabulary.survey(shape).tokenizer(specials, saved.symbols).ok_or(expected)?;
        if let Some(Ngrams { documents, frequencies, .. }) = &saved.ngrams {
            let counted = frequencies.iter().all(|&texts| u64::from(texts) <= *documents);
            if frequencies.len() != tokenizer.size() || !counted {
                let (features, found) = (tokenizer.size(), frequencies.len());
                return Err(format!(
                    "expected the texts of each of {features} features, found {found} numbers"
                ));
            }
        }
        if let Some((mean, std)) = saved.value
            && !(mean.is_finite() && std.is_finite() && std > 0.0 && saved.labels.is_empty())
        {
            return Err(format!("expected a mean and a positive deviation, found {mean} and {std}"));
        }
        if tokenizer.size() == 0 {
            return Err("expected at least one token, found none".to_string());
        }
        if !(1..=MOST_TOKENS).contains(&saved.max_tokens) {
            return Err(format!("expected max_tokens of 1 to {MOST_TOKENS}, found {}", saved.max_tokens));
        }
        let characters = saved.characters_per_token;
        if !(characters.is_finite() && characters > 0.0) {
            return Err(format!("expected characters_per_token above 0, found {characters}"));
        }
        Ok(TextSchema {
            task: saved.task,
            tokenizer,
            lowercase: saved.lowercase,
            max_tokens: saved.max_tokens,
            text_column: saved.text_column,
            label_column: saved.label_column,
            whole_files: saved.whole_files,
            labels: saved.labels,
            value: saved.value,
            class_names: saved.class_names,
            summary: saved.summary,
            ngrams: saved.ngrams,
            characters_per_token: saved.characters_per_token,
            split: saved.split,
            streamed: None,
        })
    }
}

/// The special ids: language models need no padding, and a vocabulary that has every symbol needs no unknown
/// one.
pub(super) fn specials(task: TextTask, kind: VocabularyKind) -> Specials {
    match (task, kind.coverage()) {
        // A text of no known n-gram has none, and padding weighs nothing.
        _ if kind == VocabularyKind::Ngrams => Specials::NONE,
        (TextTask::Classify, _) => Specials::PADDED,
        (TextTask::LanguageModel, Coverage::Frequent) => Specials::UNKNOWN,
        (TextTask::LanguageModel, Coverage::Every | Coverage::Given) => Specials::NONE,
    }
}

impl TextSchema {
    /// Writes `vocabulary.json`, behind `streamed.json` where the texts are streamed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        if let Some(streamed) = &self.streamed {
            streamed.save(folder)?;
        }
        saved::save(folder, FILE, self)
    }

    /// Reads `vocabulary.json`, and `streamed.json` where there is one.
    ///
    /// # Errors
    /// When it is not there, of another format or version, or its symbols make no vocabulary.
    pub fn load(folder: &Path) -> Result<Self, DataError> {
        let schema: TextSchema = saved::load(folder, FILE, FORMAT, VERSION)?;
        Ok(TextSchema { streamed: Known::load(folder)?, ..schema })
    }

    /// Refuses training texts, held in memory, that are others than this schema was learned from: `again` is
    /// learned from them.
    ///
    /// # Errors
    /// Names the labels or the tokens that differ, or else the mean length of the tokens.
    pub(super) fn check(&self, uri: &str, again: &TextSchema) -> Result<(), DataError> {
        if self.value.is_some() != again.value.is_some() {
            let kind = |schema: &TextSchema| if schema.value.is_some() { "values" } else { "classes" };
            let expected = format!("labels that are {}, as when the run began", kind(self));
            return Err(DataError::source(uri, expected, kind(again)));
        }
        check_names(uri, "classes", &self.values(), &again.values())?;
        check_names(uri, "tokens", self.tokenizer.symbols(), again.tokenizer.symbols())?;
        let (began, found) = (self.characters_per_token, again.characters_per_token);
        if began != found {
            let expected = format!("the texts that the run began with, {began} characters a token");
            return Err(DataError::source(uri, expected, format!("others, {found} characters a token")));
        }
        if self.ngrams != again.ngrams {
            let expected = "the texts that the run began with, by their n-grams";
            return Err(DataError::source(uri, expected, "others, whose n-grams are in other texts"));
        }
        if let (Some(began), Some(found)) = (self.value, again.value) {
            let most = 1e-9 * (began.0.abs() + began.1);
            if (began.0 - found.0).abs() > most || (began.1 - found.1).abs() > most {
                let words = |(mean, std)| format!("mean {mean}, standard deviation {std}");
                let expected = format!("the labels that the run began with, {}", words(began));
                return Err(DataError::source(uri, expected, words(found)));
            }
        }
        Ok(())
    }

    /// The labels in the spelling that texts of today have them in, sorted; as they are where two are spellings
    /// of one value, as in runs of earlier versions.
    fn values(&self) -> Vec<String> {
        if share_spellings(&self.labels) {
            return self.labels.clone();
        }
        let mut values: Vec<String> = self.labels.iter().map(|label| canonical(label).into_owned()).collect();
        sort_labels(&mut values);
        values
    }

    /// The labels as a target: classes, or values by their mean and deviation.
    pub(crate) fn target(&self) -> TableTarget {
        let name = self.label_column.clone();
        match self.value {
            Some((mean, std)) => TableTarget::Value { name, mean, std },
            None => TableTarget::Classes { name, labels: self.labels.clone() },
        }
    }

    /// The weights of the features of a text, where texts are counted.
    pub fn weigher(&self) -> Option<Weigher> {
        let Ngrams { sublinear_tf, documents, frequencies, .. } = self.ngrams.as_ref()?;
        Some(Weigher::new(frequencies, *documents, *sublinear_tf))
    }

    /// The number of token ids, special ones included.
    #[expect(clippy::len_without_is_empty, reason = "no vocabulary is empty")]
    pub fn len(&self) -> usize {
        self.tokenizer.size()
    }

    /// The classes; empty for language models and values.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The ids of a text, all of them: nothing is cut off here. When classifying, a text without a
    /// token is one unknown token.
    ///
    /// # Errors
    /// Names the first symbol that the vocabulary lacks, where it has no unknown token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        self.encode_first(text, usize::MAX, "text", 1)
    }

    /// The text of some ids. Characters and bytes come back as they went in; words come back with one blank
    /// between them.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids)
    }

    /// The first `most` ids of a text that begins on line `first_line` of `uri`.
    pub(super) fn encode_first(
        &self,
        text: &str,
        most: usize,
        uri: &str,
        first_line: u64,
    ) -> Result<Vec<u32>, DataError> {
        let text: Cow<'_, str> = if self.lowercase { text.to_lowercase().into() } else { text.into() };
        let mut ids = Vec::new();
        self.tokenizer.encode_into(&text, most, &mut ids).map_err(|UnknownSymbol { symbol, byte }| {
            let line = first_line + text[..byte].matches('\n').count() as u64;
            let expected = "a symbol of the training text";
            DataError::malformed(
                uri,
                format!("line {line}"),
                expected,
                format!("`{}`", symbol.escape_debug()),
            )
        })?;
        if ids.is_empty()
            && let Some(unknown) = self.tokenizer.specials().unknown
            && self.task == TextTask::Classify
        {
            ids.push(unknown);
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(task: TextTask, kind: VocabularyKind, symbols: &[&str]) -> TextSchema {
        let symbols = symbols.iter().map(|symbol| symbol.to_string()).collect();
        TextSchema {
            task,
            tokenizer: kind.survey(NgramShape::default()).tokenizer(specials(task, kind), symbols).unwrap(),
            lowercase: true,
            max_tokens: 4,
            text_column: "text".into(),
            label_column: "label".into(),
            whole_files: false,
            labels: vec!["a".into(), "b".into()],
            value: None,
            class_names: true,
            ngrams: (kind == VocabularyKind::Ngrams).then(|| Ngrams {
                shape: NgramShape::default(),
                sublinear_tf: true,
                documents: 7,
                frequencies: vec![5, 2],
            }),
            summary: Some(TextSummary { texts: 3, counts: vec![2, 1], ..TextSummary::default() }),
            characters_per_token: 4.25,
            split: SplitBy::Groups("author".into()),
            streamed: None,
        }
    }

    #[test]
    fn a_schema_survives_the_run_folder() {
        let folder = tempfile::tempdir().unwrap();
        for schema in [
            schema(TextTask::Classify, VocabularyKind::Word, &["so", "\"", "é"]),
            schema(TextTask::LanguageModel, VocabularyKind::Character, &["\n", " ", "a"]),
            schema(TextTask::LanguageModel, VocabularyKind::Byte, &[]),
            schema(TextTask::Classify, VocabularyKind::Ngrams, &["so", "so much"]),
            TextSchema {
                labels: Vec::new(),
                value: Some((-0.25, 1.5)),
                ..schema(TextTask::Classify, VocabularyKind::Word, &["so"])
            },
        ] {
            schema.save(folder.path()).unwrap();
            assert_eq!(TextSchema::load(folder.path()).unwrap(), schema);
        }
    }

    #[test]
    fn a_schema_of_earlier_versions_held_out_at_random() {
        let folder = tempfile::tempdir().unwrap();
        schema(TextTask::Classify, VocabularyKind::Word, &["so"]).save(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        json.as_object_mut().unwrap().remove("split").unwrap();
        std::fs::write(&path, json.to_string()).unwrap();
        assert_eq!(TextSchema::load(folder.path()).unwrap().split, SplitBy::Random);
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        schema(TextTask::Classify, VocabularyKind::Word, &["so", "so much"]).save(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("so much", "so"),
            ("<padding>", "<pad>"),
            ("\"version\": 1", "\"version\": 9"),
            ("\"max_tokens\": 4", "\"max_tokens\": 0"),
            ("4.25", "0.0"),
        ] {
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let error = TextSchema::load(folder.path()).unwrap_err().to_string();
            assert!(error.contains("vocabulary.json") && !error.contains('\n'), "{error}");
        }
    }

    /// A file of an earlier version has neither values nor names of classes, and reads as what it meant.
    #[test]
    fn a_file_of_an_earlier_version_reads_as_it_did() {
        let folder = tempfile::tempdir().unwrap();
        schema(TextTask::Classify, VocabularyKind::Word, &["so"]).save(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let keys = file.as_object_mut().unwrap();
        assert!(keys.remove("class_names").is_some() && keys.remove("summary").is_some());
        std::fs::write(&path, file.to_string()).unwrap();
        let schema = TextSchema::load(folder.path()).unwrap();
        assert_eq!((schema.value, schema.class_names, schema.ngrams), (None, false, None));
        assert!(schema.summary.is_none() && schema.labels == ["a", "b"]);
    }

    #[test]
    fn frequencies_that_are_not_of_the_features_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        schema(TextTask::Classify, VocabularyKind::Ngrams, &["so", "so much"]).save(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("\"documents\": 7", "\"documents\": 4"),
            ("\"buckets\": 0", "\"buckets\": 99999999999"),
            ("\"so\",", ""),
        ] {
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let error = TextSchema::load(folder.path()).unwrap_err().to_string();
            assert!(error.contains("vocabulary.json") && error.contains("expected"), "{error}");
        }
    }

    #[test]
    fn texts_become_ids_in_lower_case() {
        let classify = schema(TextTask::Classify, VocabularyKind::Word, &["so"]);
        assert_eq!(classify.encode("SO what").unwrap(), [2, 1]);
        assert_eq!(classify.encode(" ").unwrap(), [1]);
        let model = schema(TextTask::LanguageModel, VocabularyKind::Character, &["\n", "a"]);
        assert_eq!(model.encode("A\n").unwrap(), [1, 0]);
        assert_eq!(model.encode("").unwrap(), [0u32; 0]);
        let error = model.encode("a\na\tb").unwrap_err().to_string();
        assert_eq!(error, "text, line 2: expected a symbol of the training text, found `\\t`");
    }
}
