//! Tokens that are words: runs of letters, digits and apostrophes, and single marks.

use super::symbols::Symbols;
use super::{Counts, Coverage, Specials, Survey, Tokenizer, UnknownSymbol, VocabularyKind};
use std::collections::HashMap;
use std::sync::Arc;

/// The word tokens of a text.
pub(in crate::text) fn words(text: &str) -> impl Iterator<Item = &str> {
    let in_word = |character: char| character.is_alphanumeric() || character == '\'' || character == '’';
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let end = if in_word(first) {
            rest.find(|character| !in_word(character)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
}

/// The byte of a text that one of its words begins at.
fn byte_of(word: &str, text: &str) -> usize {
    // Both are slices of one text, so the distance is the position.
    word.as_ptr() as usize - text.as_ptr() as usize
}

/// Texts cut into words.
pub(super) struct WordSurvey;

impl Survey for WordSurvey {
    fn coverage(&self) -> Coverage {
        Coverage::Frequent
    }

    fn num_tokens(&self, text: &str) -> usize {
        words(text).count()
    }

    fn num_characters(&self, text: &str, tokens: usize) -> usize {
        let end = words(text).nth(tokens).map_or(text.len(), |next| byte_of(next, text));
        text[..end].chars().count()
    }

    fn count(&self, text: &str, most: usize, counts: &mut Counts) {
        words(text).take(most).for_each(|word| counts.add(word));
    }

    fn tokenizer(&self, specials: Specials, symbols: Vec<String>) -> Option<Arc<dyn Tokenizer>> {
        let symbols = Symbols { specials, texts: symbols };
        let ids: HashMap<String, u32> = symbols.ids().map(|(word, id)| (word.to_string(), id)).collect();
        let distinct = ids.len() == symbols.texts.len();
        distinct.then(|| Arc::new(Words { symbols, ids }) as Arc<dyn Tokenizer>)
    }
}

/// Words with their ids.
#[derive(Debug)]
struct Words {
    symbols: Symbols,
    ids: HashMap<String, u32>,
}

impl Tokenizer for Words {
    fn kind(&self) -> VocabularyKind {
        VocabularyKind::Word
    }

    fn size(&self) -> usize {
        self.symbols.size()
    }

    fn specials(&self) -> Specials {
        self.symbols.specials
    }

    fn symbols(&self) -> &[String] {
        &self.symbols.texts
    }

    fn encode_into(&self, text: &str, most: usize, ids: &mut Vec<u32>) -> Result<(), UnknownSymbol> {
        let unknown = self.specials().unknown;
        for word in words(text).take(most) {
            match self.ids.get(word).copied().or(unknown) {
                Some(id) => ids.push(id),
                None => return Err(UnknownSymbol { symbol: word.to_string(), byte: byte_of(word, text) }),
            }
        }
        Ok(())
    }

    /// Words come back with one blank between them.
    fn decode(&self, ids: &[u32]) -> String {
        self.symbols.decode(ids, " ")
    }

    fn spans_lines(&self) -> bool {
        false
    }
}
