//! Symbols that were learned, by their ids.

use super::{Specials, UNKNOWN_TEXT};

/// The symbols of a vocabulary, in the order of their ids behind the special ones.
#[derive(Clone, Debug)]
pub(super) struct Symbols {
    pub specials: Specials,
    pub texts: Vec<String>,
}

impl Symbols {
    /// The number of ids, special ones included.
    pub(super) fn size(&self) -> usize {
        self.specials.count() as usize + self.texts.len()
    }

    /// Every symbol with its id.
    pub(super) fn ids(&self) -> impl Iterator<Item = (&str, u32)> {
        self.texts.iter().map(String::as_str).zip(self.specials.count()..)
    }

    /// The symbols of some ids with `between` between them; padding is left out.
    pub(super) fn decode(&self, ids: &[u32], between: &str) -> String {
        let symbol = |id: u32| {
            let index = id.checked_sub(self.specials.count()).map(|index| index as usize);
            index.and_then(|index| self.texts.get(index)).map_or(UNKNOWN_TEXT, String::as_str)
        };
        let tokens = ids.iter().copied().filter(|&id| self.specials.padding != Some(id));
        tokens.map(symbol).collect::<Vec<&str>>().join(between)
    }
}
