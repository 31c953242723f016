//! Texts as token ids, and back.
//!
//! ```text
//! classification          0 padding, 1 unknown, then the symbols, most frequent first
//! language model, words   0 unknown, then the symbols, most frequent first
//! n-grams                 the symbols alone, those of most texts first
//! language model, others  the symbols alone: characters sorted, bytes by value
//! ```
//!
//! A kind of tokens is one file of this folder and one line in [`VocabularyKind::survey`]. The file holds a
//! [`Survey`], which cuts texts before there are ids and learns their symbols, and the [`Tokenizer`] of the
//! symbols that were learned. A vocabulary that was trained elsewhere, as a `tokenizer.json` holds it, is a
//! survey of [`Coverage::Given`] whose tokenizer is the file.

mod bytes;
mod characters;
mod counts;
mod symbols;
#[cfg(test)]
mod tests;
mod words;

pub(super) use counts::Counts;
pub(super) use words::words;

use super::ngrams::{NgramShape, NgramSurvey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The kinds of tokens that a recipe may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VocabularyKind {
    /// A Unicode scalar value.
    Character,
    /// A byte of UTF-8; every text can be spelled, and the vocabulary needs no training text.
    Byte,
    /// A run of letters, digits and apostrophes; any other character that is not white space is a
    /// token of its own. White space is not kept.
    Word,
    /// Runs of words or characters, counted and not read in their order, for `linear` and `logistic`.
    Ngrams,
}

impl VocabularyKind {
    /// The survey of texts for tokens of this kind; `ngrams` says what n-grams are.
    pub(super) fn survey(self, ngrams: NgramShape) -> Box<dyn Survey> {
        match self {
            VocabularyKind::Character => Box::new(characters::CharacterSurvey),
            VocabularyKind::Byte => Box::new(bytes::ByteSurvey),
            VocabularyKind::Word => Box::new(words::WordSurvey),
            VocabularyKind::Ngrams => Box::new(NgramSurvey(ngrams)),
        }
    }

    /// The symbols that a language model learns.
    pub(super) fn coverage(self) -> Coverage {
        self.survey(NgramShape::default()).coverage()
    }
}

/// The symbols of a long text that become the tokens of a language model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// The same ones whatever the text is: none is learned.
    Given,
    /// Every one, of the parts to evaluate on, too: there is no unknown token.
    Every,
    /// The frequent ones of the training part; the others are one unknown token.
    Frequent,
}

/// Texts cut into tokens before the tokens have ids.
pub(super) trait Survey: Send + Sync {
    /// The symbols that a language model learns.
    fn coverage(&self) -> Coverage;

    /// The number of tokens of a text.
    fn num_tokens(&self, text: &str) -> usize;

    /// The number of characters that the first `tokens` tokens of a text cover: up to where the next one
    /// begins. A character counts with the first of its bytes.
    fn num_characters(&self, text: &str, tokens: usize) -> usize;

    /// Counts the symbols of the first `most` tokens of a text; none where none is learned.
    fn count(&self, text: &str, most: usize, counts: &mut Counts);

    /// The tokenizer of these symbols, their ids behind the special ones. `None` when a symbol is there twice
    /// or is none of this kind.
    fn tokenizer(&self, specials: Specials, symbols: Vec<String>) -> Option<Arc<dyn Tokenizer>>;
}

/// Turns texts into token ids and back.
pub trait Tokenizer: fmt::Debug + Send + Sync {
    /// The kind of the tokens.
    fn kind(&self) -> VocabularyKind;

    /// The number of ids, special ones included.
    fn size(&self) -> usize;

    /// The special ids.
    fn specials(&self) -> Specials;

    /// The symbols that were learned, in the order of their ids, which begin behind the special ones.
    fn symbols(&self) -> &[String];

    /// Appends the ids of a text, at most `most` of them.
    ///
    /// # Errors
    /// The first symbol without an id, where there is no unknown token.
    fn encode_into(&self, text: &str, most: usize, ids: &mut Vec<u32>) -> Result<(), UnknownSymbol>;

    /// The text of some ids: padding is nothing; unknown tokens and ids outside the vocabulary are `�`.
    fn decode(&self, ids: &[u32]) -> String;

    /// False when no token holds a line break and text behind it: a long text is then encoded line by line,
    /// so that the wide ids of all of it never exist at once.
    fn spans_lines(&self) -> bool {
        true
    }
}

/// A symbol that has no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSymbol {
    /// Its text.
    pub symbol: String,
    /// The byte of the text that it begins at.
    pub byte: usize,
}

/// The ids that stand for no symbol: the first ones of a vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Specials {
    /// The id behind the end of a text that is shorter than others of its batch.
    pub padding: Option<u32>,
    /// The id of symbols outside the vocabulary.
    pub unknown: Option<u32>,
}

/// The id of padding, where there is one.
pub(super) const PADDING: u32 = 0;

impl Specials {
    /// No special id: every symbol is known, and no text is padded.
    pub(super) const NONE: Specials = Specials { padding: None, unknown: None };
    /// Texts that are not padded.
    pub(super) const UNKNOWN: Specials = Specials { padding: None, unknown: Some(0) };
    /// Texts that are.
    pub(super) const PADDED: Specials = Specials { padding: Some(PADDING), unknown: Some(1) };

    /// The number of special ids.
    pub(super) fn count(self) -> u32 {
        u32::from(self.padding.is_some()) + u32::from(self.unknown.is_some())
    }

    /// Their names in the order of their ids.
    pub(super) fn names(self) -> Vec<String> {
        let padding = self.padding.map(|_| "<padding>".to_string());
        padding.into_iter().chain(self.unknown.map(|_| "<unknown>".to_string())).collect()
    }
}

/// Printed for a token that no text holds: the unknown one.
const UNKNOWN_TEXT: &str = "\u{fffd}";
