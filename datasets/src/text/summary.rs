//! The training texts in numbers, told once before training and kept with the schema.

use super::schema::{Ngrams, TextSchema};
use super::tokenizer::VocabularyKind;
use super::{NgramUnit, TextTask};
use crate::SplitBy;
use crate::records::shortened;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Classes that are told one by one, those of most texts first.
const TOLD: usize = 10;

/// Training texts that are told to be without a label of their own: labels beyond this share of the texts.
const SHARE_OF_LABELS: u64 = 2;

/// The training texts in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextSummary {
    /// Training texts.
    pub texts: u64,
    /// Texts of the training files that could not be read and were left out.
    pub skipped: u64,
    /// Training texts of white space alone.
    pub empty: u64,
    /// Training texts that are also there before; none where there are too many to tell.
    pub duplicates: Option<u64>,
    /// Tokens of all training texts together, and of the longest.
    pub tokens: u64,
    /// Tokens of the longest training text.
    pub longest: u64,
    /// Training texts of which not all tokens are kept.
    pub cut: u64,
    /// Different tokens of the training texts, however rare; 0 where none are learned.
    pub distinct: u64,
    /// Training texts of each class, in the order of the labels; none for values.
    pub counts: Vec<u64>,
    /// The least and the greatest value of the training texts; none for classes.
    pub range: Option<(f64, f64)>,
}

/// The training texts in a few lines: the target, the tokens, and what was cut, empty, rare or left out.
impl fmt::Display for TextSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.task == TextTask::LanguageModel {
            let per_token = self.characters_per_token;
            return writeln!(f, "vocabulary: {} tokens of {per_token:.3} characters each", self.len());
        }
        let none = TextSummary::default();
        let summary = self.summary.as_ref().unwrap_or(&none);
        if self.summary.is_some() {
            writeln!(f, "{} training texts, {} texts skipped as corrupt", summary.texts, summary.skipped)?;
        }
        self.tell_target(summary, f)?;
        if self.split != SplitBy::Random {
            writeln!(f, "held out: {}", self.split)?;
        }
        if self.summary.is_some() {
            self.tell_tokens(summary, f)?;
        }
        Ok(())
    }
}

impl TextSchema {
    fn tell_target(&self, summary: &TextSummary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = if self.whole_files { "the folder" } else { &self.label_column };
        if let Some((mean, std)) = self.value {
            write!(f, "target: {column}, a value, mean {mean:.6}, standard deviation {std:.6}")?;
            if let Some((least, greatest)) = summary.range {
                write!(f, ", {least} to {greatest}")?;
            }
            return writeln!(f, " (data.target_kind = \"class\" would make a class of each number)");
        }
        write!(f, "target: {column}, {} classes", self.labels.len())?;
        if summary.counts.len() != self.labels.len() {
            return writeln!(f);
        }
        let mut counts: Vec<(&String, u64)> =
            self.labels.iter().zip(summary.counts.iter().copied()).collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let told = counts.iter().take(TOLD).map(|(label, count)| format!("{} {count}", shortened(label)));
        write!(f, ": {}", told.collect::<Vec<_>>().join(", "))?;
        if let (Some((_, most)), Some((_, least))) = (counts.get(TOLD), counts.last()) {
            write!(f, ", and {} others of {least} to {most} texts", counts.len() - TOLD)?;
        }
        writeln!(f)?;
        let labels = self.labels.len() as u64;
        if labels > super::learn::FEW_LABELS as u64 && SHARE_OF_LABELS * labels > summary.texts {
            let texts = summary.texts;
            writeln!(
                f,
                "warning: {labels} classes of {texts} texts: is `{column}` the label (data.label_column)?"
            )?;
        }
        Ok(())
    }

    fn tell_tokens(&self, summary: &TextSummary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TextSummary { texts, empty, duplicates, tokens, longest, cut, distinct, .. } = *summary;
        let (unit, each) = match (self.tokenizer.kind(), &self.ngrams) {
            (_, Some(Ngrams { shape, .. })) if shape.unit == NgramUnit::Character => {
                ("characters", "n-grams")
            }
            (VocabularyKind::Ngrams, _) => ("words", "n-grams"),
            (VocabularyKind::Character, _) => ("characters", "characters"),
            (VocabularyKind::Byte, _) => ("bytes", "bytes"),
            (VocabularyKind::Word, _) => ("words", "words"),
        };
        let mean = tokens as f64 / texts.max(1) as f64;
        write!(f, "texts: {mean:.1} {unit} each, at most {longest}")?;
        if cut > 0 {
            let share = 100.0 * cut as f64 / texts.max(1) as f64;
            let key = if self.ngrams.is_some() { "the bound" } else { "data.max_tokens" };
            write!(f, "; {key} of {} cuts {cut} of them ({share:.1} %)", self.max_tokens)?;
        }
        writeln!(f)?;
        let known = self.tokenizer.symbols().len() as u64;
        match &self.ngrams {
            Some(Ngrams { shape, .. }) if shape.buckets > 0 => {
                writeln!(f, "vocabulary: n-grams hashed to {} features", shape.buckets)?;
            }
            _ if distinct == 0 => {}
            _ if known < distinct => {
                writeln!(f, "vocabulary: {known} of {distinct} different {each}, the commonest")?
            }
            _ => writeln!(f, "vocabulary: all {known} different {each}")?,
        }
        if empty > 0 {
            writeln!(f, "empty: {empty} texts")?;
        }
        if let Some(duplicates @ 1..) = duplicates {
            writeln!(f, "duplicates: {duplicates} texts are also there before")?;
        }
        Ok(())
    }
}
