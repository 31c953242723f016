//! Counts of the symbols of texts.

use std::collections::HashMap;

/// Different symbols whose counts are exact.
const MOST_SYMBOLS: usize = 1 << 21;

/// The occurrences of each symbol of some texts.
pub(in crate::text) struct Counts {
    /// Symbols of one ASCII character, by its code.
    ascii: [u64; 128],
    others: HashMap<String, u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Counts { ascii: [0; 128], others: HashMap::new() }
    }
}

impl Counts {
    /// Counts a symbol of one character.
    pub(super) fn add_character(&mut self, character: char) {
        match self.ascii.get_mut(character as usize) {
            Some(count) => *count += 1,
            None => self.add_other(character.encode_utf8(&mut [0; 4])),
        }
    }

    /// Counts a symbol.
    pub(in crate::text) fn add(&mut self, symbol: &str) {
        match symbol.as_bytes() {
            &[byte] => self.add_character(char::from(byte)),
            _ => self.add_other(symbol),
        }
    }

    fn add_other(&mut self, symbol: &str) {
        match self.others.get_mut(symbol) {
            Some(count) => *count += 1,
            None => {
                self.others.insert(symbol.to_string(), 1);
            }
        }
    }

    /// Adds the counts of other texts. Beyond [`MOST_SYMBOLS`] different symbols the rarest are dropped, as
    /// lossy counting does (Manku and Motwani, "Approximate frequency counts over data streams", 2002): a
    /// symbol that is left may count less than it occurs, by no more than the count that was dropped.
    pub(in crate::text) fn merge(&mut self, other: Counts) {
        self.ascii.iter_mut().zip(other.ascii).for_each(|(count, more)| *count += more);
        for (symbol, count) in other.others {
            *self.others.entry(symbol).or_default() += count;
        }
        let mut least = 1;
        while self.others.len() > MOST_SYMBOLS {
            self.others.retain(|_, count| *count > least);
            least += 1;
        }
    }

    /// Every symbol, in the order of their text.
    pub(in crate::text) fn sorted(self) -> Vec<String> {
        let mut symbols: Vec<String> = self.counted().map(|(symbol, _)| symbol).collect();
        symbols.sort();
        symbols
    }

    /// The symbols that occur `least` times or more, the most frequent first, ties in the order of their
    /// text, at most `most`.
    pub(in crate::text) fn frequent(self, least: u64, most: Option<usize>) -> Vec<String> {
        self.frequencies(least, most).into_iter().map(|(symbol, _)| symbol).collect()
    }

    /// As [`frequent`](Counts::frequent), each with its count.
    pub(in crate::text) fn frequencies(self, least: u64, most: Option<usize>) -> Vec<(String, u64)> {
        let mut counts: Vec<(String, u64)> = self.counted().filter(|&(_, count)| count >= least).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts.truncate(most.unwrap_or(usize::MAX));
        counts
    }

    /// The number of different symbols.
    pub(in crate::text) fn distinct(&self) -> usize {
        self.ascii.iter().filter(|&&count| count > 0).count() + self.others.len()
    }

    fn counted(self) -> impl Iterator<Item = (String, u64)> {
        let ascii = (0u8..128).map(char::from).zip(self.ascii).filter(|&(_, count)| count > 0);
        ascii.map(|(character, count)| (character.to_string(), count)).chain(self.others)
    }
}
