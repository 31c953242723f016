//! N-grams of texts: runs of words or of characters, counted instead of read in their order.
//!
//! ```text
//! text ─ NgramShape ─> n-grams ─ NgramTokenizer ─> features of the text ─ Weigher ─> weights: tf · idf
//! ```
//!
//! What scikit-learn's `TfidfVectorizer` makes of texts, but for words: those of this crate, which keep marks and
//! words of one letter.

mod tokenizer;
mod weigh;

pub(super) use tokenizer::{NgramSurvey, hashed};
pub use weigh::Weigher;

use super::tokenizer::words;
use crate::DataError;
use crate::bounds::MOST_TOKENS;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::hash::Hasher;

/// The pieces that n-grams are runs of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NgramUnit {
    /// Words and marks.
    #[default]
    Word,
    /// Characters, blanks among them.
    Character,
}

/// The n-grams that a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NgramShape {
    /// The pieces that they are runs of.
    pub unit: NgramUnit,
    /// Pieces of the shortest and of the longest.
    pub lengths: [usize; 2],
    /// Features that n-grams are dealt out to by their hash; 0 for a feature for each n-gram.
    pub buckets: usize,
}

/// Pieces of the longest n-gram that a recipe may ask for.
const LONGEST: usize = 16;

/// Features of hashed n-grams that a recipe may ask for.
const MOST_BUCKETS: usize = 1 << 24;

/// Features that are kept where a recipe does not say how many: a step of training goes over all of them.
pub(super) const MOST_NGRAMS: usize = 1 << 18;

impl Default for NgramShape {
    fn default() -> Self {
        NgramShape { unit: NgramUnit::Word, lengths: [1, 2], buckets: 0 }
    }
}

impl NgramShape {
    /// Refuses n-grams that no text has, and more features than any machine holds.
    ///
    /// # Errors
    /// Names the key, what it may be, and what it is.
    pub(super) fn check(&self) -> Result<(), DataError> {
        let [least, most] = self.lengths;
        if !(1 <= least && least <= most && most <= LONGEST) {
            let expected = format!("the lengths of the shortest and the longest, 1 to {LONGEST}");
            return Err(DataError::config("ngrams", expected, format!("{:?}", self.lengths)));
        }
        if self.buckets > MOST_BUCKETS {
            return Err(DataError::config("hash_buckets", format!("0 to {MOST_BUCKETS}"), self.buckets));
        }
        Ok(())
    }

    /// The number of pieces of a text.
    pub(super) fn pieces(&self, text: &str) -> usize {
        match self.unit {
            NgramUnit::Word => words(text).count(),
            NgramUnit::Character => plain_blanks(text).chars().count(),
        }
    }

    /// Hands every n-gram of a text to `take`, as often as it is there. Of a text of more than 65,536 pieces the
    /// first ones count.
    pub(super) fn each(&self, text: &str, mut take: impl FnMut(&str)) {
        match self.unit {
            NgramUnit::Word => {
                let words: Vec<&str> = words(text).take(MOST_TOKENS).collect();
                let mut joined = String::new();
                self.each_run(words.len(), |range| {
                    joined.clear();
                    for (place, word) in words[range].iter().enumerate() {
                        if place > 0 {
                            joined.push(' ');
                        }
                        joined.push_str(word);
                    }
                    take(&joined);
                });
            }
            NgramUnit::Character => {
                let text = plain_blanks(text);
                let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
                let ends: Vec<usize> = std::iter::once(0).chain(ends.take(MOST_TOKENS)).collect();
                self.each_run(ends.len() - 1, |range| take(&text[ends[range.start]..ends[range.end]]));
            }
        }
    }

    /// The places of every run of pieces, of so many.
    fn each_run(&self, pieces: usize, mut take: impl FnMut(std::ops::Range<usize>)) {
        let [least, most] = self.lengths;
        for length in least..=most.min(pieces) {
            (0..=pieces - length).for_each(|start| take(start..start + length));
        }
    }
}

/// A text whose runs of white space are one blank each, as scikit-learn has them: a single line break stays.
fn plain_blanks(text: &str) -> Cow<'_, str> {
    let mut plain: Option<String> = None;
    let (mut copied, mut run) = (0, 0..0);
    let mut end_run = |run: std::ops::Range<usize>| {
        if text[run.clone()].chars().nth(1).is_some() {
            let plain = plain.get_or_insert_default();
            plain.push_str(&text[copied..run.start]);
            plain.push(' ');
            copied = run.end;
        }
    };
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        if !character.is_whitespace() {
            end_run(std::mem::replace(&mut run, end..end));
        } else {
            run.end = end;
        }
    }
    end_run(run);
    match plain {
        Some(plain) => (plain + &text[copied..]).into(),
        None => text.into(),
    }
}

/// FNV-1a (Fowler, Noll and Vo), which is the same in every build: features of a run keep their meaning.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// The hash of an n-gram.
fn hash(ngram: &str) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(ngram.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(unit: NgramUnit, lengths: [usize; 2], text: &str) -> Vec<String> {
        let mut ngrams = Vec::new();
        NgramShape { unit, lengths, buckets: 0 }.each(text, |ngram| ngrams.push(ngram.to_string()));
        ngrams
    }

    /// As `CountVectorizer(analyzer="char", ngram_range=(2, 3)).build_analyzer()` and its kind for words cut
    /// them (scikit-learn 1.9).
    #[test]
    fn texts_are_cut_into_runs() {
        let words = cut(NgramUnit::Word, [1, 2], "call now call");
        assert_eq!(words, ["call", "now", "call", "call now", "now call"]);
        let characters = cut(NgramUnit::Character, [2, 3], "a \n bé");
        assert_eq!(characters, ["a ", " b", "bé", "a b", " bé"]);
        assert_eq!(cut(NgramUnit::Character, [1, 2], "\n\tx\n"), [" ", "x", "\n", " x", "x\n"]);
        assert_eq!(cut(NgramUnit::Character, [3, 5], "ab"), [""; 0]);
        assert_eq!(cut(NgramUnit::Word, [2, 2], " one "), [""; 0]);
        assert_eq!(cut(NgramUnit::Word, [1, 2], ""), [""; 0]);
    }

    #[test]
    fn impossible_lengths_and_buckets_are_refused_by_their_key() {
        let usual = NgramShape::default();
        usual.check().unwrap();
        for lengths in [[0, 1], [2, 1], [1, 17]] {
            let error = NgramShape { lengths, ..usual }.check().unwrap_err().to_string();
            assert!(error.starts_with("data.ngrams: expected the lengths"), "{error}");
        }
        let error = NgramShape { buckets: usize::MAX, ..usual }.check().unwrap_err().to_string();
        assert!(error.starts_with("data.hash_buckets: expected 0 to 16777216"), "{error}");
    }

    #[test]
    fn hashes_are_the_published_ones() {
        // FNV-1a of "" and "a" in 64 bits, before they are folded.
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325 ^ 0xcbf2_9ce4);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c ^ 0xaf63_dc4c);
    }
}
