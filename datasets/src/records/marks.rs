//! The texts of cells that mean "no value".

/// Marks of "no value", and what their first bytes and lengths tell: nearly every cell is told from all of them
/// by one look.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    words: Vec<String>,
    /// The lengths of the marks that begin with a byte: bit `n` for `n` bytes, the highest for all longer ones.
    lengths: Box<[u32; 256]>,
}

impl Marks {
    pub(crate) fn new(words: Vec<String>) -> Self {
        let mut lengths = Box::new([0; 256]);
        for word in &words {
            let (first, length) = sketch(word);
            lengths[first] |= length;
        }
        Marks { words, lengths }
    }

    /// True where a cell is one of the marks.
    pub(crate) fn contains(&self, cell: &str) -> bool {
        let (first, length) = sketch(cell);
        self.lengths[first] & length != 0 && self.words.iter().any(|word| word == cell)
    }
}

/// A text's first byte, 0 without one, and the bit of its length.
fn sketch(text: &str) -> (usize, u32) {
    (text.bytes().next().map_or(0, usize::from), 1 << text.len().min(31))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mark_is_what_the_list_holds(
            words in prop::collection::vec("\0?[a-c]{0,2}|[a-c]{30,33}", 0..6),
            cells in prop::collection::vec("\0?[a-c]{0,2}|[a-c]{30,33}", 1..9),
        ) {
            let marks = Marks::new(words.clone());
            for cell in cells.iter().chain(&words) {
                prop_assert_eq!(marks.contains(cell), words.contains(cell));
            }
        }
    }
}
