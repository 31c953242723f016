//! Token ids in as few bytes as their vocabulary allows.

/// A long list of token ids.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stream {
    /// Vocabularies of up to 256 tokens.
    Bytes(Vec<u8>),
    /// Up to 65,536.
    Shorts(Vec<u16>),
    /// Everything larger.
    Words(Vec<u32>),
}

impl Stream {
    /// An empty stream for ids below `vocabulary`.
    pub(super) fn new(vocabulary: usize) -> Self {
        match vocabulary {
            0..=0x100 => Stream::Bytes(Vec::new()),
            0x101..=0x1_0000 => Stream::Shorts(Vec::new()),
            _ => Stream::Words(Vec::new()),
        }
    }

    /// Bytes that an id below `vocabulary` takes.
    pub(super) fn width(vocabulary: usize) -> u64 {
        match Stream::new(vocabulary) {
            Stream::Bytes(_) => 1,
            Stream::Shorts(_) => 2,
            Stream::Words(_) => 4,
        }
    }

    /// Appends ids, all below the vocabulary the stream was made for.
    pub(super) fn extend(&mut self, ids: &[u32]) {
        match self {
            Stream::Bytes(stream) => stream.extend(ids.iter().map(|&id| id as u8)),
            Stream::Shorts(stream) => stream.extend(ids.iter().map(|&id| id as u16)),
            Stream::Words(stream) => stream.extend(ids),
        }
    }

    /// The number of ids.
    pub(super) fn len(&self) -> usize {
        match self {
            Stream::Bytes(stream) => stream.len(),
            Stream::Shorts(stream) => stream.len(),
            Stream::Words(stream) => stream.len(),
        }
    }

    /// The ids of a range.
    ///
    /// # Panics
    /// When the range ends behind the stream.
    pub(super) fn get(&self, range: std::ops::Range<usize>) -> Vec<u32> {
        match self {
            Stream::Bytes(stream) => stream[range].iter().map(|&id| u32::from(id)).collect(),
            Stream::Shorts(stream) => stream[range].iter().map(|&id| u32::from(id)).collect(),
            Stream::Words(stream) => stream[range].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_come_back_at_every_width(
            (vocabulary, ids) in prop::sample::select(vec![1usize, 256, 257, 65_536, 65_537])
                .prop_flat_map(|size| (Just(size), prop::collection::vec(0..size as u32, 0..50))),
        ) {
            let mut stream = Stream::new(vocabulary);
            stream.extend(&ids);
            prop_assert_eq!(stream.get(0..stream.len()), ids);
        }
    }
}
