//! Tokens of one character: a Unicode scalar value.

use super::symbols::Symbols;
use super::{Counts, Coverage, Specials, Survey, Tokenizer, UnknownSymbol, VocabularyKind};
use std::collections::HashMap;
use std::sync::Arc;

/// Texts cut into characters.
pub(super) struct CharacterSurvey;

impl Survey for CharacterSurvey {
    /// As nanoGPT takes them: a character that only the tail of a text has could not be spelled otherwise.
    fn coverage(&self) -> Coverage {
        Coverage::Every
    }

    fn num_tokens(&self, text: &str) -> usize {
        text.chars().count()
    }

    fn num_characters(&self, text: &str, tokens: usize) -> usize {
        text.chars().take(tokens).count()
    }

    fn count(&self, text: &str, most: usize, counts: &mut Counts) {
        text.chars().take(most).for_each(|character| counts.add_character(character));
    }

    fn tokenizer(&self, specials: Specials, symbols: Vec<String>) -> Option<Arc<dyn Tokenizer>> {
        let symbols = Symbols { specials, texts: symbols };
        let (mut ascii, mut others) = ([None; 128], HashMap::new());
        for (symbol, id) in symbols.ids() {
            let mut characters = symbol.chars();
            let (Some(character), None) = (characters.next(), characters.next()) else { return None };
            let before = match ascii.get_mut(character as usize) {
                Some(known) => known.replace(id),
                None => others.insert(character, id),
            };
            if before.is_some() {
                return None;
            }
        }
        Some(Arc::new(Characters { symbols, ascii, others }))
    }
}

/// Characters with their ids.
#[derive(Debug)]
struct Characters {
    symbols: Symbols,
    /// The ids of ASCII characters, by their code.
    ascii: [Option<u32>; 128],
    others: HashMap<char, u32>,
}

impl Tokenizer for Characters {
    fn kind(&self) -> VocabularyKind {
        VocabularyKind::Character
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
        for (byte, character) in text.char_indices().take(most) {
            let known = match self.ascii.get(character as usize) {
                Some(&id) => id,
                None => self.others.get(&character).copied(),
            };
            match known.or(unknown) {
                Some(id) => ids.push(id),
                None => return Err(UnknownSymbol { symbol: character.to_string(), byte }),
            }
        }
        Ok(())
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.symbols.decode(ids, "")
    }

    fn spans_lines(&self) -> bool {
        false
    }
}
