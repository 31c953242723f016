//! Token ids, as padded texts or as windows on one long text: in memory, or some blocks of texts at a time.

use super::blocks::TextDecoder;
use super::stream::Stream;
use super::vocabulary::PADDING;
use crate::blocks::BlockSet;
use crate::{DataError, Dataset};
use bonfire_contract::{Target, Tokens};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::ops::Range;
use std::sync::Arc;

/// Texts to classify, or windows to learn a language from.
#[derive(Debug)]
pub struct TextSet {
    stream: Arc<Stream>,
    parts: Parts,
    skipped: u64,
}

#[derive(Debug)]
enum Parts {
    /// Text after text.
    Texts {
        /// Where each text ends in the stream.
        ends: Vec<usize>,
        /// The class of each; `None` for texts to predict.
        classes: Option<Vec<u32>>,
    },
    /// Windows of `length` inputs, each with the token behind it.
    Windows {
        /// What the windows cover of the stream.
        range: Range<usize>,
        length: usize,
        /// From the start of one to the start of the next.
        stride: usize,
        count: usize,
    },
    /// Labelled texts that are read when they are wanted.
    Streamed(Box<BlockSet<TextDecoder>>),
}

/// The tokens of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSample {
    tokens: Vec<u32>,
    class: Option<u32>,
}

impl TextSet {
    /// Texts and, unless they are to be predicted, their classes.
    pub(super) fn texts(
        vocabulary: usize,
        texts: &[Vec<u32>],
        classes: Option<Vec<u32>>,
        skipped: u64,
    ) -> Self {
        let mut stream = Stream::new(vocabulary);
        let mut ends = Vec::with_capacity(texts.len());
        for text in texts {
            stream.extend(text);
            ends.push(stream.len());
        }
        TextSet { stream: Arc::new(stream), parts: Parts::Texts { ends, classes }, skipped }
    }

    /// Labelled texts that are read when they are wanted.
    pub(super) fn streamed(vocabulary: usize, blocks: BlockSet<TextDecoder>) -> Self {
        let stream = Arc::new(Stream::new(vocabulary));
        TextSet { stream, parts: Parts::Streamed(Box::new(blocks)), skipped: 0 }
    }

    /// Windows of `length` inputs that begin every `stride` tokens of `range`; `None` when it is
    /// too short for one.
    pub(super) fn training_windows(
        stream: Arc<Stream>,
        range: Range<usize>,
        length: usize,
        stride: usize,
    ) -> Option<Self> {
        let last = range.len().checked_sub(length.checked_add(1)?)?;
        let parts = Parts::Windows { range, length, stride, count: last / stride + 1 };
        Some(TextSet { stream, parts, skipped: 0 })
    }

    /// Windows of `length` inputs side by side, so that every token of `range` but the first is
    /// predicted. The last is moved back to end with the range: it overlaps its neighbour, and
    /// what both predict counts twice. A range shorter than a window is one window. `None` for less
    /// than two tokens.
    pub(super) fn evaluation_windows(
        stream: Arc<Stream>,
        range: Range<usize>,
        length: usize,
    ) -> Option<Self> {
        let predicted = range.len().checked_sub(1).filter(|&predicted| predicted > 0)?;
        let length = length.min(predicted);
        let parts = Parts::Windows { range, length, stride: length, count: predicted.div_ceil(length) };
        Some(TextSet { stream, parts, skipped: 0 })
    }

    /// The tokens in memory that one epoch reads, overlaps counted each time.
    pub fn num_tokens(&self) -> u64 {
        match &self.parts {
            Parts::Texts { .. } | Parts::Streamed(_) => self.stream.len() as u64,
            Parts::Windows { length, count, .. } => (length * count) as u64,
        }
    }
}

/// Rows of one length as a tensor, `[B, T]`.
fn tensor(rows: Vec<i32>, batch: usize, device: &Device) -> Tensor<2, Int> {
    let length = rows.len() / batch.max(1);
    Tensor::from_data(TensorData::new(rows, [batch, length]), device)
}

impl Dataset for TextSet {
    type Sample = TextSample;
    type Input = Tokens;

    fn len(&self) -> u64 {
        match &self.parts {
            Parts::Texts { ends, .. } => ends.len() as u64,
            Parts::Windows { count, .. } => *count as u64,
            Parts::Streamed(blocks) => blocks.len(),
        }
    }

    fn ahead(&self) -> u64 {
        match &self.parts {
            Parts::Streamed(blocks) => blocks.ahead(),
            _ => 0,
        }
    }

    fn prepare(&self, index: u64) {
        if let Parts::Streamed(blocks) = &self.parts {
            blocks.prepare(index);
        }
    }

    fn sample(&self, index: u64, _draw: u64) -> Result<TextSample, DataError> {
        if let Parts::Streamed(blocks) = &self.parts {
            let (block, number) = blocks.read(index)?;
            let (tokens, class) = block.text(number)?;
            return Ok(TextSample { tokens, class: Some(class) });
        }
        let index = index as usize;
        Ok(match &self.parts {
            Parts::Texts { ends, classes } => {
                let start = index.checked_sub(1).map_or(0, |before| ends[before]);
                let class = classes.as_ref().map(|classes| classes[index]);
                TextSample { tokens: self.stream.get(start..ends[index]), class }
            }
            Parts::Windows { range, length, stride, .. } => {
                let start = range.start + (index * stride).min(range.len() - (length + 1));
                TextSample { tokens: self.stream.get(start..start + length + 1), class: None }
            }
            Parts::Streamed(_) => unreachable!("read above"),
        })
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Texts: tokens `[B, T]`, padded at the end to the longest of the batch, and classes `[B]`
    /// (texts to predict have none: their target is [`Target::Input`]). Windows: tokens `[B, T]`
    /// without padding, and the tokens behind each, `[B, T]`.
    fn collate(&self, samples: Vec<TextSample>, device: &Device) -> (Tokens, Target) {
        let batch = samples.len();
        match &self.parts {
            Parts::Texts { .. } | Parts::Streamed(_) => {
                let longest = samples.iter().map(|sample| sample.tokens.len()).max().unwrap_or(0);
                let mut tokens = Vec::with_capacity(batch * longest);
                let mut padding = Vec::with_capacity(batch * longest);
                for sample in &samples {
                    let length = sample.tokens.len();
                    tokens.extend(sample.tokens.iter().map(|&id| id as i32));
                    tokens.resize(tokens.len() + longest - length, PADDING as i32);
                    padding.extend((0..longest).map(|position| position >= length));
                }
                let padding = Tensor::from_data(TensorData::new(padding, [batch, longest]), device);
                let class = |sample: &TextSample| sample.class.map(|class| class as i32);
                let target = match samples.iter().map(class).collect::<Option<Vec<i32>>>() {
                    Some(classes) => {
                        Target::Classes(Tensor::from_data(TensorData::new(classes, [batch]), device))
                    }
                    None => Target::Input,
                };
                (Tokens { tokens: tensor(tokens, batch, device), padding }, target)
            }
            Parts::Windows { length, .. } => {
                let mut tokens = Vec::with_capacity(batch * length);
                let mut next = Vec::with_capacity(batch * length);
                for sample in &samples {
                    tokens.extend(sample.tokens[..*length].iter().map(|&id| id as i32));
                    next.extend(sample.tokens[1..].iter().map(|&id| id as i32));
                }
                let padding = vec![false; batch * length];
                let padding = Tensor::from_data(TensorData::new(padding, [batch, *length]), device);
                let tokens = Tokens { tokens: tensor(tokens, batch, device), padding };
                (tokens, Target::NextTokens(tensor(next, batch, device)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(length: usize) -> Arc<Stream> {
        let mut stream = Stream::new(1000);
        stream.extend(&(0..length as u32).collect::<Vec<_>>());
        Arc::new(stream)
    }

    fn windows(set: &TextSet) -> Vec<Vec<u32>> {
        (0..set.len()).map(|index| set.sample(index, 0).unwrap().tokens).collect()
    }

    #[test]
    fn training_windows_step_by_the_stride() {
        let set = TextSet::training_windows(stream(10), 2..9, 3, 2).unwrap();
        assert_eq!(windows(&set), [[2, 3, 4, 5], [4, 5, 6, 7]]);
        let every = TextSet::training_windows(stream(10), 0..10, 4, 1).unwrap();
        assert_eq!(every.len(), 6);
        assert_eq!(windows(&every)[5], [5, 6, 7, 8, 9]);
        assert!(TextSet::training_windows(stream(10), 0..4, 4, 1).is_none());
        assert!(TextSet::training_windows(stream(10), 0..4, usize::MAX, 1).is_none());
    }

    proptest! {
        #[test]
        fn evaluation_windows_predict_every_token(
            start in 0usize..5, length in 2usize..60, context in 1usize..20,
        ) {
            let set = TextSet::evaluation_windows(stream(70), start..start + length, context).unwrap();
            let mut predicted: Vec<u32> =
                windows(&set).into_iter().flat_map(|window| window[1..].to_vec()).collect();
            prop_assert_eq!(predicted.len() as u64, set.num_tokens());
            prop_assert!(predicted.len() < length - 1 + context);
            predicted.dedup();
            predicted.sort_unstable();
            predicted.dedup();
            prop_assert_eq!(predicted, (start as u32 + 1..(start + length) as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_single_token_predicts_nothing() {
        assert!(TextSet::evaluation_windows(stream(9), 3..4, 5).is_none());
        assert!(TextSet::evaluation_windows(stream(9), 3..3, 5).is_none());
    }

    #[test]
    fn texts_are_padded_to_the_longest_of_the_batch() {
        let set = TextSet::texts(10, &[vec![5], vec![6, 7, 8], vec![9, 2]], Some(vec![1, 0, 1]), 0);
        let device = Device::flex();
        let samples = [0, 2].map(|index| set.sample(index, 0).unwrap()).to_vec();
        let (input, target) = set.collate(samples, &device);
        assert_eq!(input.tokens.into_data().iter::<i64>().collect::<Vec<_>>(), [5, 0, 9, 2]);
        assert_eq!(input.padding.into_data().iter::<bool>().collect::<Vec<_>>(), [false, true, false, false]);
        let Target::Classes(classes) = target else { panic!("expected classes") };
        assert_eq!(classes.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn windows_are_compared_with_what_follows() {
        let set = TextSet::evaluation_windows(stream(5), 0..5, 2).unwrap();
        let samples = (0..2).map(|index| set.sample(index, 0).unwrap()).collect();
        let (input, target) = set.collate(samples, &Device::flex());
        assert_eq!(input.tokens.dims(), [2, 2]);
        assert_eq!(input.tokens.into_data().iter::<i64>().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(input.padding.into_data().iter::<bool>().all(|padding| !padding));
        let Target::NextTokens(next) = target else { panic!("expected tokens") };
        assert_eq!(next.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
