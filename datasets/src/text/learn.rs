//! The schema of labelled texts, learned block by block: the labels of all of them, and the tokens of those that
//! are trained on.
//!
//! ```text
//! texts of a block -> Block -> Learned ─ merged, block by block ─> TextSchema
//! ```

use super::config::TextConfig;
use super::infer::{mean_characters, new_schema};
use super::ngrams::{MOST_NGRAMS, hashed};
use super::reader::Text;
use super::schema::{Ngrams, TextSchema};
use super::summary::TextSummary;
use super::tokenizer::{Counts, Survey, VocabularyKind};
use crate::bounds::MOST_TOKENS;
use crate::fields::{Kind, Labels, TableTarget, Tally, Wishes, label, share_spellings};
use crate::records::{Cells, Frame, TextCells};
use crate::table::TargetKind;
use crate::{DataError, OnCorrupt, bounds, pool};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Different texts that are told from duplicates.
const MOST_TEXTS: usize = 1 << 20;

/// Texts that are learned of at once where all are in memory.
const AT_ONCE: usize = 1024;

/// Labels that any number of texts may have.
pub(super) const FEW_LABELS: usize = 20;

/// Learns of texts as a recipe says.
pub(super) struct Learner<'a> {
    config: &'a TextConfig,
    survey: Box<dyn Survey>,
    /// True where spellings of one value are labels of their own: in a run that began so.
    as_spelled: bool,
}

/// What some texts have taught.
#[derive(Default)]
pub(super) struct Learned {
    tally: Tally,
    /// Every label and its training texts; `None` when there are too many for classes.
    labels: Option<BTreeMap<String, u64>>,
    /// Texts, those that are held out among them.
    texts: u64,
    counts: Counts,
    /// The training texts of each feature, where n-grams are hashed.
    hashed: Vec<u32>,
    characters: u64,
    summary: TextSummary,
    /// Hashes of the training texts; `None` when there are too many.
    seen: Option<HashSet<u64>>,
}

/// The texts of a block.
pub(super) struct Block<'a> {
    learner: &'a Learner<'a>,
    learned: Learned,
    labels: TextCells,
    lines: Vec<u64>,
    /// The numbers of the training texts.
    training: Vec<usize>,
    hashes: Vec<u64>,
}

impl<'a> Learner<'a> {
    /// Of a run that goes on, `known` is the schema.
    pub(super) fn new(config: &'a TextConfig, known: Option<&TextSchema>) -> Self {
        let as_spelled = known.is_some_and(|known| share_spellings(&known.labels));
        Learner { config, survey: config.survey(), as_spelled }
    }

    /// Learns of texts in memory; `training` says which of them are trained on.
    pub(super) fn all(&self, texts: &[Text], training: &[bool]) -> Learned {
        let mut all = Learned::none();
        let blocks = texts.chunk_by(|a, b| a.uri == b.uri).flat_map(|of_file| of_file.chunks(AT_ONCE));
        let blocks = blocks.scan(0, |first, block| {
            let start = *first;
            *first += block.len();
            Some((block, &training[start..*first]))
        });
        let learn = |(texts, training): (&[Text], &[bool])| {
            let mut block = self.block();
            texts.iter().zip(training).for_each(|(text, &training)| block.add(text, training));
            Ok::<_, DataError>(block.learned(&texts[0].uri))
        };
        let merged = pool::in_order(pool::processors(), blocks, learn, |learned| {
            all.merge(learned);
            Ok(())
        });
        merged.expect("nothing of it fails");
        all
    }

    /// A block without a text.
    pub(super) fn block(&self) -> Block<'_> {
        Block {
            learner: self,
            learned: Learned { labels: Some(BTreeMap::new()), ..Learned::default() },
            labels: TextCells::default(),
            lines: Vec::new(),
            training: Vec::new(),
            hashes: Vec::new(),
        }
    }
}

impl Block<'_> {
    /// Learns of the next text: of one that is held out, that it has a label.
    pub(super) fn add(&mut self, text: &Text, training: bool) {
        let Block { learner: Learner { config, survey, as_spelled }, learned, .. } = self;
        let cell = text.label.as_deref().unwrap_or_default();
        let spelled = if *as_spelled { cell.into() } else { label(cell, None) };
        add_label(&mut learned.labels, &spelled, u64::from(training));
        self.labels.push(text.label.as_deref());
        self.lines.push(text.line.unwrap_or(0));
        learned.texts += 1;
        if !training {
            return;
        }
        self.training.push(self.lines.len() - 1);
        let summary = &mut learned.summary;
        summary.texts += 1;
        summary.empty += u64::from(text.text.trim().is_empty());
        if let Some(number) = cell.parse::<f64>().ok().filter(|number| number.is_finite()) {
            let (least, greatest) = summary.range.unwrap_or((number, number));
            summary.range = Some((least.min(number), greatest.max(number)));
        }
        let mut hasher = DefaultHasher::new();
        text.text.hash(&mut hasher);
        self.hashes.push(hasher.finish());
        let text: Cow<'_, str> =
            if config.lowercase { text.text.to_lowercase().into() } else { text.text.as_str().into() };
        let counted = config.vocabulary == VocabularyKind::Ngrams;
        if counted && config.hash_buckets > 0 {
            let mut features = Vec::new();
            hashed(config.ngram_shape(), &text, |feature| features.push(feature));
            features.sort_unstable();
            features.dedup();
            learned.hashed.resize(config.hash_buckets, 0);
            features.iter().for_each(|&feature| learned.hashed[feature as usize] += 1);
        } else {
            survey.count(&text, usize::MAX, &mut learned.counts);
        }
        let tokens = survey.num_tokens(&text) as u64;
        let kept = if counted { MOST_TOKENS } else { config.max_tokens } as u64;
        learned.characters += text.chars().count() as u64;
        summary.tokens += tokens;
        summary.longest = summary.longest.max(tokens);
        summary.cut += u64::from(tokens > kept);
    }

    /// Everything that the block, of the file `uri`, has taught.
    pub(super) fn learned(self, uri: &str) -> Learned {
        let Block { learner, mut learned, labels, lines, training, hashes } = self;
        let (mut seen, mut duplicates) = (HashSet::with_capacity(hashes.len()), 0);
        hashes.into_iter().for_each(|hash| duplicates += u64::from(!seen.insert(hash)));
        (learned.seen, learned.summary.duplicates) = (Some(seen), Some(duplicates));
        let name = vec![learner.config.label_column.clone()];
        let frame = Frame::new(uri, name, vec![Cells::Text(labels)], lines, "line");
        learned.tally = Tally::of_target(&frame, 0, &training);
        learned
    }
}

impl Learned {
    /// Of no text.
    pub(super) fn none() -> Self {
        let summary = TextSummary { duplicates: Some(0), ..TextSummary::default() };
        Learned { labels: Some(BTreeMap::new()), seen: Some(HashSet::new()), summary, ..Learned::default() }
    }

    /// Counts texts that could not be read.
    pub(super) fn skip(&mut self, skipped: u64) {
        self.summary.skipped += skipped;
    }

    /// Adds what the texts that come next have taught.
    pub(super) fn merge(&mut self, other: Learned) {
        self.tally.merge(other.tally);
        self.texts += other.texts;
        self.characters += other.characters;
        self.counts.merge(other.counts);
        match other.labels {
            Some(labels) => {
                labels.iter().for_each(|(label, &texts)| add_label(&mut self.labels, label, texts))
            }
            None => self.labels = None,
        }
        match self.hashed.is_empty() {
            true => self.hashed = other.hashed,
            false => self.hashed.iter_mut().zip(other.hashed).for_each(|(texts, more)| *texts += more),
        }
        let (ours, theirs) = (&mut self.summary, other.summary);
        ours.texts += theirs.texts;
        ours.skipped += theirs.skipped;
        ours.empty += theirs.empty;
        ours.tokens += theirs.tokens;
        ours.longest = ours.longest.max(theirs.longest);
        ours.cut += theirs.cut;
        ours.range = match (ours.range, theirs.range) {
            (Some(ours), Some(theirs)) => Some((ours.0.min(theirs.0), ours.1.max(theirs.1))),
            (ours, theirs) => ours.or(theirs),
        };
        let duplicates = ours.duplicates.zip(theirs.duplicates).map(|(ours, theirs)| ours + theirs);
        ours.duplicates = match (&mut self.seen, other.seen) {
            (Some(seen), Some(others)) => {
                let again = others.into_iter().map(|hash| u64::from(!seen.insert(hash))).sum::<u64>();
                duplicates.map(|duplicates| duplicates + again)
            }
            _ => None,
        };
        if self.seen.as_ref().is_some_and(|seen| seen.len() > MOST_TEXTS) {
            self.seen = None;
            self.summary.duplicates = None;
        }
    }

    /// The schema of the texts at `uri`; `whole_files` says that the labels are names of folders.
    ///
    /// # Errors
    /// When there are not two labels, each text has a label of its own, a value has none that is a number, or
    /// no token is left.
    pub(super) fn schema(
        self,
        uri: &str,
        config: &TextConfig,
        whole_files: bool,
    ) -> Result<TextSchema, DataError> {
        let Learned { tally, labels, texts, counts, hashed, characters, mut summary, .. } = self;
        let wishes = wishes(config, whole_files);
        let (target, _) = tally
            .target(uri, config.label_column.clone(), Labels::from(labels.clone()), &wishes)
            .map_err(of_labels)?;
        let (labels, value) = match target {
            TableTarget::Value { mean, std, .. } => (Vec::new(), Some((mean, std))),
            TableTarget::Classes { labels: sorted, .. } => {
                let distinct = sorted.len();
                if distinct > FEW_LABELS && distinct as u64 == texts && wishes.kind.is_none() {
                    let expected = "a label that texts share (or data.label_column names another column, or \
                                    data.target_kind = \"class\")";
                    let found = format!("one of its own for each of {texts} texts");
                    return Err(DataError::malformed(
                        uri,
                        format!("column `{}`", config.label_column),
                        expected,
                        found,
                    ));
                }
                let labels = labels.unwrap_or_default();
                summary.counts = sorted.iter().map(|label| labels.get(label).copied().unwrap_or(0)).collect();
                summary.range = None;
                (sorted, None)
            }
        };
        summary.distinct = counts.distinct() as u64;
        let counted = config.vocabulary == VocabularyKind::Ngrams;
        let most = if counted { config.max_vocabulary.or(Some(MOST_NGRAMS)) } else { config.max_vocabulary };
        let (symbols, mut frequencies): (Vec<String>, Vec<u32>) = counts
            .frequencies(config.min_count, most)
            .into_iter()
            .map(|(symbol, texts)| (symbol, u32::try_from(texts).unwrap_or(u32::MAX)))
            .unzip();
        if config.hash_buckets > 0 {
            frequencies = hashed;
            frequencies.resize(config.hash_buckets, 0);
        }
        let documents = summary.texts;
        let characters_per_token = mean_characters(characters as usize, summary.tokens as usize);
        let schema = new_schema(config, symbols)?;
        Ok(TextSchema {
            labels,
            value,
            whole_files,
            characters_per_token,
            ngrams: counted.then(|| Ngrams {
                shape: config.ngram_shape(),
                sublinear_tf: config.sublinear_tf,
                documents,
                frequencies,
            }),
            summary: Some(summary),
            ..schema
        })
    }
}

/// The target by all texts, those to be held out among them.
///
/// # Errors
/// When there are not two labels, or too many for classes.
pub(super) fn target_of_all(
    uri: &str,
    texts: &[Text],
    config: &TextConfig,
    whole_files: bool,
) -> Result<TableTarget, DataError> {
    let (mut cells, mut labels) = (TextCells::default(), Some(BTreeMap::new()));
    for text in texts {
        cells.push(text.label.as_deref());
        add_label(&mut labels, &label(text.label.as_deref().unwrap_or_default(), None), 0);
    }
    let name = config.label_column.clone();
    let lines = texts.iter().map(|text| text.line.unwrap_or(0)).collect();
    let frame = Frame::new(uri, vec![name.clone()], vec![Cells::Text(cells)], lines, "line");
    let tally = Tally::of_target(&frame, 0, &(0..texts.len()).collect::<Vec<_>>());
    // What cannot be read is told of the training texts, or skipped.
    let wishes = Wishes { on_corrupt: OnCorrupt::Skip, ..wishes(config, whole_files) };
    let (target, _) = tally.target(uri, name, Labels::from(labels), &wishes).map_err(of_labels)?;
    Ok(target)
}

/// The recipe's wishes about the target.
fn wishes(config: &TextConfig, whole_files: bool) -> Wishes<'static> {
    let kind = match config.target_kind {
        Some(TargetKind::Value) => Some(Kind::Numbers),
        Some(TargetKind::Class) => Some(Kind::Categories),
        None => whole_files.then_some(Kind::Categories),
    };
    Wishes { kind, spelled: true, ..Wishes::none(bounds::MOST_CLASSES, config.on_corrupt) }
}

/// An error of the target by the keys that texts have.
fn of_labels(error: DataError) -> DataError {
    match error {
        DataError::Marked { uri, place, found, .. } => {
            let expected =
                "a plain number, or a label (data.target_kind = \"class\" makes each spelling one)";
            DataError::malformed(uri, place, expected, found)
        }
        other => other,
    }
}

fn add_label(labels: &mut Option<BTreeMap<String, u64>>, label: &str, texts: u64) {
    let Some(known) = labels else { return };
    match known.get_mut(label) {
        Some(count) => *count += texts,
        None => {
            known.insert(label.to_string(), texts);
            if known.len() > bounds::MOST_CLASSES {
                *labels = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
