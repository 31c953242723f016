//! Tokens of one byte of UTF-8, in the order of their values.

use super::{Counts, Coverage, Specials, Survey, Tokenizer, UNKNOWN_TEXT, UnknownSymbol, VocabularyKind};
use std::sync::Arc;

/// Texts cut into bytes.
pub(super) struct ByteSurvey;

impl Survey for ByteSurvey {
    fn coverage(&self) -> Coverage {
        Coverage::Given
    }

    fn num_tokens(&self, text: &str) -> usize {
        text.len()
    }

    fn num_characters(&self, text: &str, tokens: usize) -> usize {
        let continues = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
        text.bytes().take(tokens).filter(|&byte| !continues(byte)).count()
    }

    fn count(&self, _text: &str, _most: usize, _counts: &mut Counts) {}

    fn tokenizer(&self, specials: Specials, symbols: Vec<String>) -> Option<Arc<dyn Tokenizer>> {
        symbols.is_empty().then(|| Arc::new(Bytes { specials }) as Arc<dyn Tokenizer>)
    }
}

/// All bytes, their ids behind the special ones.
#[derive(Debug)]
struct Bytes {
    specials: Specials,
}

impl Tokenizer for Bytes {
    fn kind(&self) -> VocabularyKind {
        VocabularyKind::Byte
    }

    fn size(&self) -> usize {
        self.specials.count() as usize + 256
    }

    fn specials(&self) -> Specials {
        self.specials
    }

    fn symbols(&self) -> &[String] {
        &[]
    }

    fn encode_into(&self, text: &str, most: usize, ids: &mut Vec<u32>) -> Result<(), UnknownSymbol> {
        let first = self.specials.count();
        ids.extend(text.bytes().take(most).map(|byte| u32::from(byte) + first));
        Ok(())
    }

    /// Bytes that are no UTF-8 are `�`, too.
    fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::with_capacity(ids.len());
        for id in ids.iter().filter(|&&id| self.specials.padding != Some(id)) {
            match id.checked_sub(self.specials.count()).map(u8::try_from) {
                Some(Ok(byte)) => bytes.push(byte),
                _ => bytes.extend(UNKNOWN_TEXT.bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn spans_lines(&self) -> bool {
        false
    }
}
