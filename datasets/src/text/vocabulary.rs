//! Characters, bytes and words as token ids, and back.
//!
//! ```text
//! classification          0 padding, 1 unknown, then the symbols, most frequent first
//! language model, words   0 unknown, then the symbols, most frequent first
//! language model, others  the symbols alone: characters sorted, bytes by value
//! ```

use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What a token is.
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
}

impl VocabularyKind {
    /// The number of tokens of a text.
    pub(super) fn num_tokens(self, text: &str) -> usize {
        match self {
            VocabularyKind::Character => text.chars().count(),
            VocabularyKind::Byte => text.len(),
            VocabularyKind::Word => words(text).count(),
        }
    }

    /// The number of characters that the first `tokens` tokens of a text cover: up to where the
    /// next one begins. A character counts with the first of its bytes.
    pub(super) fn num_characters(self, text: &str, tokens: usize) -> usize {
        match self {
            VocabularyKind::Character => text.chars().take(tokens).count(),
            VocabularyKind::Byte => {
                let continues = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
                text.bytes().take(tokens).filter(|&byte| !continues(byte)).count()
            }
            VocabularyKind::Word => {
                // Both are slices of one text, so the distance is the position.
                let next = words(text).nth(tokens);
                let end = next.map_or(text.len(), |word| word.as_ptr() as usize - text.as_ptr() as usize);
                text[..end].chars().count()
            }
        }
    }
}

/// The id of padding, where there is one.
pub(super) const PADDING: u32 = 0;

/// Different words whose counts are exact.
const MOST_WORDS: usize = 1 << 21;

/// Printed for a token that no text holds: the unknown one.
const UNKNOWN_TEXT: &str = "\u{fffd}";

/// The symbols with their ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    kind: VocabularyKind,
    /// Ids below this are padding and unknown (2), unknown (1), or none (0).
    specials: u32,
    /// In the order of their ids, which begin at `specials`; empty for bytes.
    symbols: Vec<String>,
    lookup: Lookup,
}

#[derive(Clone, Debug, PartialEq)]
enum Lookup {
    /// The plain ASCII characters by their code, all others by map.
    Characters(Box<[Option<u32>; 128]>, HashMap<char, u32>),
    Bytes,
    Words(HashMap<String, u32>),
}

/// How often each symbol of some texts occurs.
pub(super) struct Counter {
    kind: VocabularyKind,
    ascii: [u64; 128],
    characters: HashMap<char, u64>,
    words: HashMap<String, u64>,
}

impl Counter {
    pub(super) fn new(kind: VocabularyKind) -> Self {
        Counter { kind, ascii: [0; 128], characters: HashMap::new(), words: HashMap::new() }
    }

    /// Counts the first `most` symbols of a text.
    pub(super) fn add(&mut self, text: &str, most: usize) {
        match self.kind {
            VocabularyKind::Byte => {}
            VocabularyKind::Character => {
                for character in text.chars().take(most) {
                    match self.ascii.get_mut(character as usize) {
                        Some(count) => *count += 1,
                        None => *self.characters.entry(character).or_default() += 1,
                    }
                }
            }
            VocabularyKind::Word => {
                for word in words(text).take(most) {
                    match self.words.get_mut(word) {
                        Some(count) => *count += 1,
                        None => {
                            self.words.insert(word.to_string(), 1);
                        }
                    }
                }
            }
        }
    }

    /// Adds the counts of other texts. Beyond [`MOST_WORDS`] different words the rarest are dropped, as
    /// lossy counting does (Manku and Motwani, "Approximate frequency counts over data streams", 2002):
    /// what is left may count less than it occurs, by no more than the count that was dropped.
    pub(super) fn merge(&mut self, other: Counter) {
        self.ascii.iter_mut().zip(other.ascii).for_each(|(count, more)| *count += more);
        for (character, count) in other.characters {
            *self.characters.entry(character).or_default() += count;
        }
        for (word, count) in other.words {
            *self.words.entry(word).or_default() += count;
        }
        let mut least = 1;
        while self.words.len() > MOST_WORDS {
            self.words.retain(|_, count| *count > least);
            least += 1;
        }
    }

    fn counts(self) -> Vec<(String, u64)> {
        let ascii = (0u8..128).map(char::from).zip(self.ascii).filter(|&(_, count)| count > 0);
        let characters = ascii.chain(self.characters);
        characters.map(|(character, count)| (character.to_string(), count)).chain(self.words).collect()
    }

    /// Every symbol, in the order of their text.
    pub(super) fn sorted(self) -> Vec<String> {
        let mut symbols: Vec<String> = self.counts().into_iter().map(|(symbol, _)| symbol).collect();
        symbols.sort();
        symbols
    }

    /// The symbols that occur `least` times or more, the most frequent first, ties in the order of
    /// their text, at most `most`.
    pub(super) fn frequent(self, least: u64, most: Option<usize>) -> Vec<String> {
        let mut counts = self.counts();
        counts.retain(|&(_, count)| count >= least);
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts.truncate(most.unwrap_or(usize::MAX));
        counts.into_iter().map(|(symbol, _)| symbol).collect()
    }
}

/// The word tokens of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let in_word = |character: char| character.is_alphanumeric() || character == '\'' || character == '’';
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let end = match in_word(first) {
            true => rest.find(|character| !in_word(character)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
}

impl Vocabulary {
    /// A vocabulary of these symbols, their ids behind `specials` special ones (2: padding and
    /// unknown, 1: unknown, 0: none). Of a character vocabulary each symbol is one character; bytes
    /// have no symbols of their own. `None` when a symbol is there twice or of another kind.
    pub(super) fn new(kind: VocabularyKind, specials: u32, symbols: Vec<String>) -> Option<Self> {
        let ids = symbols.iter().zip(specials..);
        let lookup = match kind {
            VocabularyKind::Byte if symbols.is_empty() => Lookup::Bytes,
            VocabularyKind::Byte => return None,
            VocabularyKind::Character => {
                let (mut ascii, mut others) = (Box::new([None; 128]), HashMap::new());
                for (symbol, id) in ids {
                    let mut characters = symbol.chars();
                    let (Some(character), None) = (characters.next(), characters.next()) else {
                        return None;
                    };
                    let before = match ascii.get_mut(character as usize) {
                        Some(place) => place.replace(id),
                        None => others.insert(character, id),
                    };
                    if before.is_some() {
                        return None;
                    }
                }
                Lookup::Characters(ascii, others)
            }
            VocabularyKind::Word => {
                let map: HashMap<String, u32> = ids.map(|(symbol, id)| (symbol.clone(), id)).collect();
                if map.len() < symbols.len() {
                    return None;
                }
                Lookup::Words(map)
            }
        };
        Some(Vocabulary { kind, specials, symbols, lookup })
    }

    /// What a token is.
    pub fn kind(&self) -> VocabularyKind {
        self.kind
    }

    /// The number of ids, padding and unknown included.
    #[expect(clippy::len_without_is_empty, reason = "no vocabulary is empty")]
    pub fn len(&self) -> usize {
        let symbols = match self.lookup {
            Lookup::Bytes => 256,
            _ => self.symbols.len(),
        };
        self.specials as usize + symbols
    }

    /// The special ids at the start: padding and unknown (2), unknown (1), or none (0).
    pub fn specials(&self) -> u32 {
        self.specials
    }

    /// The symbols in the order of their ids, which begin behind the special ones; none for bytes.
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// The id that stands for symbols outside the vocabulary.
    pub(super) fn unknown(&self) -> Option<u32> {
        self.specials.checked_sub(1)
    }

    /// Appends the ids of a text, at most `most` of them.
    ///
    /// # Errors
    /// The first unknown symbol, with its byte in the text, where there is no id for those.
    pub(super) fn encode_into(
        &self,
        text: &str,
        most: usize,
        ids: &mut Vec<u32>,
    ) -> Result<(), (String, usize)> {
        match &self.lookup {
            Lookup::Bytes => ids.extend(text.bytes().take(most).map(|byte| u32::from(byte) + self.specials)),
            Lookup::Characters(ascii, others) => {
                for (byte, character) in text.char_indices().take(most) {
                    let known = match ascii.get(character as usize) {
                        Some(&id) => id,
                        None => others.get(&character).copied(),
                    };
                    match known.or(self.unknown()) {
                        Some(id) => ids.push(id),
                        None => return Err((character.to_string(), byte)),
                    }
                }
            }
            Lookup::Words(map) => {
                for word in words(text).take(most) {
                    match map.get(word).copied().or(self.unknown()) {
                        Some(id) => ids.push(id),
                        None => {
                            // Both are slices of one text, so the distance is the position.
                            let byte = word.as_ptr() as usize - text.as_ptr() as usize;
                            return Err((word.to_string(), byte));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The text of some ids: words with a blank between them, bytes that are no UTF-8 and unknown
    /// tokens as `�`, padding as nothing. Ids outside the vocabulary are unknown.
    pub fn decode(&self, ids: &[u32]) -> String {
        let is_padding = |id: u32| self.specials == 2 && id == PADDING;
        let ids = ids.iter().copied().filter(|&id| !is_padding(id));
        if let Lookup::Bytes = self.lookup {
            let mut bytes = Vec::with_capacity(ids.size_hint().0);
            for id in ids {
                match id.checked_sub(self.specials).map(u8::try_from) {
                    Some(Ok(byte)) => bytes.push(byte),
                    _ => bytes.extend(UNKNOWN_TEXT.bytes()),
                }
            }
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        let symbol = |id: u32| {
            let index = id.checked_sub(self.specials).map(|index| index as usize);
            index.and_then(|index| self.symbols.get(index)).map_or(UNKNOWN_TEXT, String::as_str)
        };
        let symbols: Vec<&str> = ids.map(symbol).collect();
        symbols.join(if self.kind == VocabularyKind::Word { " " } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(kind: VocabularyKind, text: &str) -> Counter {
        let mut counter = Counter::new(kind);
        counter.add(text, usize::MAX);
        counter
    }

    fn encode(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        vocabulary.encode_into(text, usize::MAX, &mut ids).unwrap();
        ids
    }

    #[test]
    fn words_are_runs_and_single_marks() {
        let tokens: Vec<&str> = words(" Don't  stop—2nd   (naïve) £5!").collect();
        assert_eq!(tokens, ["Don't", "stop", "—", "2nd", "(", "naïve", ")", "£", "5", "!"]);
        assert_eq!(words(" \n ").count(), 0);
    }

    #[test]
    fn the_most_frequent_come_first_and_ties_by_text() {
        let counter = || counted(VocabularyKind::Word, "b a c b a d");
        assert_eq!(counter().frequent(1, None), ["a", "b", "c", "d"]);
        assert_eq!(counter().frequent(2, None), ["a", "b"]);
        assert_eq!(counter().frequent(1, Some(3)), ["a", "b", "c"]);
        assert_eq!(counted(VocabularyKind::Character, "baéb").sorted(), ["a", "b", "é"]);
    }

    #[test]
    fn an_unknown_symbol_has_an_id_or_a_place() {
        let with = Vocabulary::new(VocabularyKind::Character, 2, vec!["a".into(), "b".into()]).unwrap();
        assert_eq!(encode(&with, "abé"), [2, 3, 1]);
        assert_eq!(with.decode(&[2, 3, 1, 0, 99]), "ab\u{fffd}\u{fffd}");
        let without = Vocabulary::new(VocabularyKind::Character, 0, vec!["a".into(), "b".into()]).unwrap();
        assert_eq!(without.encode_into("abé", 9, &mut Vec::new()), Err(("é".to_string(), 2)));
        let words = Vocabulary::new(VocabularyKind::Word, 0, vec!["a".into()]).unwrap();
        assert_eq!(words.encode_into("a  b", 9, &mut Vec::new()), Err(("b".to_string(), 3)));
    }

    #[test]
    fn impossible_symbols_are_refused() {
        let new = |kind, symbols: &[&str]| {
            Vocabulary::new(kind, 0, symbols.iter().map(|symbol| symbol.to_string()).collect())
        };
        assert!(new(VocabularyKind::Character, &["ab"]).is_none());
        assert!(new(VocabularyKind::Character, &["a", "a"]).is_none());
        assert!(new(VocabularyKind::Word, &["x", "x"]).is_none());
        assert!(new(VocabularyKind::Byte, &["x"]).is_none());
        assert_eq!(new(VocabularyKind::Byte, &[]).unwrap().len(), 256);
    }

    proptest! {
        #[test]
        fn characters_round_trip(text in ".{0,60}", specials in 0u32..3) {
            let symbols = counted(VocabularyKind::Character, &text).sorted();
            let vocabulary = Vocabulary::new(VocabularyKind::Character, specials, symbols).unwrap();
            prop_assert_eq!(vocabulary.decode(&encode(&vocabulary, &text)), text);
        }

        #[test]
        fn bytes_round_trip(text in ".{0,60}", specials in 0u32..3) {
            let vocabulary = Vocabulary::new(VocabularyKind::Byte, specials, Vec::new()).unwrap();
            let ids = encode(&vocabulary, &text);
            prop_assert!(ids.iter().all(|&id| (id as usize) < vocabulary.len()));
            prop_assert_eq!(vocabulary.decode(&ids), text);
        }

        #[test]
        fn words_round_trip_but_for_white_space(text in "[a-c'!é \n]{0,60}") {
            let symbols = counted(VocabularyKind::Word, &text).frequent(1, None);
            let vocabulary = Vocabulary::new(VocabularyKind::Word, 2, symbols).unwrap();
            let ids = encode(&vocabulary, &text);
            prop_assert!(ids.iter().all(|&id| id >= 2));
            let decoded = vocabulary.decode(&ids);
            prop_assert_eq!(words(&decoded).collect::<Vec<_>>(), words(&text).collect::<Vec<_>>());
            prop_assert_eq!(encode(&vocabulary, &decoded), ids);
        }
    }
}
