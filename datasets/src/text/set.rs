//! Token ids, as padded texts or as windows on one long text: in memory, or some blocks at a time.

use super::blocks::TextDecoder;
use super::corpus::Corpus;
use super::encode::{TextTarget, collated};
use super::stream::Stream;
use super::tokenizer::PADDING;
use super::windows::Windows;
use crate::records::split::count;
use crate::store::BlockSet;
use crate::{DataError, Dataset, Draw};
use bonfire_contract::{Target, Tokens};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Texts to classify, or windows to learn a language from.
#[derive(Debug)]
pub struct TextSet {
    pub(super) parts: Parts,
    skipped: u64,
}

#[derive(Debug)]
pub(super) enum Parts {
    /// Text after text.
    Texts {
        stream: Stream,
        /// The end of each text in the stream.
        ends: Vec<usize>,
        /// The target of each; none for texts to predict.
        targets: Vec<TextTarget>,
    },
    /// Windows on a long text.
    Windows(Windows, Corpus),
    /// Labelled texts that are read when they are wanted.
    Streamed(Box<BlockSet<TextDecoder>>),
}

/// The tokens of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSample {
    pub(super) tokens: Vec<u32>,
    pub(super) target: TextTarget,
}

impl TextSet {
    /// Texts and, unless they are to be predicted, their targets.
    pub(super) fn texts(
        vocabulary: usize,
        texts: &[Vec<u32>],
        targets: Vec<TextTarget>,
        skipped: u64,
    ) -> Self {
        let mut stream = Stream::new(vocabulary);
        let mut ends = Vec::with_capacity(texts.len());
        for text in texts {
            stream.extend(text);
            ends.push(stream.len());
        }
        TextSet { parts: Parts::Texts { stream, ends, targets }, skipped }
    }

    /// The texts of each of `num` classes, where they are in memory and have classes.
    pub(super) fn classes_of(&self, num: usize) -> Option<Vec<u64>> {
        match &self.parts {
            Parts::Texts { targets, .. } => {
                let class = |target: &TextTarget| match target {
                    TextTarget::Class(class) => Some(*class as usize),
                    TextTarget::Value(_) | TextTarget::Absent => None,
                };
                let classes: Option<Vec<usize>> = targets.iter().map(class).collect();
                Some(count(classes?.into_iter(), num))
            }
            _ => None,
        }
    }

    /// Labelled texts that are read when they are wanted.
    pub(super) fn streamed(blocks: BlockSet<TextDecoder>) -> Self {
        TextSet { parts: Parts::Streamed(Box::new(blocks)), skipped: 0 }
    }

    /// Windows on a long text.
    pub(super) fn windows(windows: Windows, corpus: Corpus) -> Self {
        TextSet { parts: Parts::Windows(windows, corpus), skipped: 0 }
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
            Parts::Windows(windows, _) => windows.len() as u64,
            Parts::Streamed(blocks) => blocks.len(),
        }
    }

    fn ahead(&self) -> u64 {
        match &self.parts {
            Parts::Streamed(blocks) => blocks.ahead(),
            Parts::Windows(_, Corpus::Streamed(blocks)) => blocks.ahead(),
            _ => 0,
        }
    }

    fn hold(&self, lanes: u64) {
        match &self.parts {
            Parts::Streamed(blocks) => blocks.hold(lanes),
            Parts::Windows(_, Corpus::Streamed(blocks)) => blocks.hold(lanes),
            _ => {}
        }
    }

    fn prepare(&self, index: u64) {
        match &self.parts {
            Parts::Streamed(blocks) => blocks.prepare(index),
            Parts::Windows(windows, Corpus::Streamed(blocks)) => {
                blocks.prepare(windows.tokens(index as usize).start);
            }
            _ => {}
        }
    }

    fn sample(&self, index: u64, _draw: Draw) -> Result<TextSample, DataError> {
        Ok(match &self.parts {
            Parts::Texts { stream, ends, targets } => {
                let index = index as usize;
                let start = index.checked_sub(1).map_or(0, |before| ends[before]);
                let target = targets.get(index).copied().unwrap_or(TextTarget::Absent);
                TextSample { tokens: stream.get(start..ends[index]), target }
            }
            Parts::Windows(windows, corpus) => {
                let tokens = corpus.get(windows.tokens(index as usize))?;
                TextSample { tokens, target: TextTarget::Absent }
            }
            Parts::Streamed(blocks) => {
                let (block, number) = blocks.read(index)?;
                let (tokens, target) = block.text(number)?;
                TextSample { tokens, target }
            }
        })
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Texts: tokens `[B, T]`, padded at the end to the longest of the batch, and classes `[B]`
    /// or values `[B, 1]` (texts to predict have none: their target is [`Target::Absent`]). Windows: tokens `[B, T]`
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
                let target = collated(samples.iter().map(|sample| sample.target), device);
                (Tokens { tokens: tensor(tokens, batch, device), padding }, target)
            }
            Parts::Windows(windows, _) => {
                let length = windows.length();
                let mut tokens = Vec::with_capacity(batch * length);
                let mut next = Vec::with_capacity(batch * length);
                for sample in &samples {
                    tokens.extend(sample.tokens[..length].iter().map(|&id| id as i32));
                    next.extend(sample.tokens[1..].iter().map(|&id| id as i32));
                }
                let padding = vec![false; batch * length];
                let padding = Tensor::from_data(TensorData::new(padding, [batch, length]), device);
                let tokens = Tokens { tokens: tensor(tokens, batch, device), padding };
                (tokens, Target::NextTokens(tensor(next, batch, device)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn texts_are_padded_to_the_longest_of_the_batch() {
        let set = TextSet::texts(
            10,
            &[vec![5], vec![6, 7, 8], vec![9, 2]],
            [1, 0, 1].map(TextTarget::Class).to_vec(),
            0,
        );
        let device = Device::flex();
        let samples = [0, 2].map(|index| set.sample(index, Draw::default()).unwrap()).to_vec();
        let (input, target) = set.collate(samples, &device);
        assert_eq!(input.tokens.into_data().iter::<i64>().collect::<Vec<_>>(), [5, 0, 9, 2]);
        assert_eq!(input.padding.into_data().iter::<bool>().collect::<Vec<_>>(), [false, true, false, false]);
        let Target::Classes(classes) = target else { panic!("expected classes") };
        assert_eq!(classes.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn windows_are_compared_with_what_follows() {
        let mut stream = Stream::new(10);
        stream.extend(&[0, 1, 2, 3, 4]);
        let windows = Windows::evaluation(0..5, 2).unwrap();
        let set = TextSet::windows(windows, Corpus::Held(Arc::new(stream)));
        let samples = (0..2).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
        let (input, target) = set.collate(samples, &Device::flex());
        assert_eq!(input.tokens.dims(), [2, 2]);
        assert_eq!(input.tokens.into_data().iter::<i64>().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(input.padding.into_data().iter::<bool>().all(|padding| !padding));
        let Target::NextTokens(next) = target else { panic!("expected tokens") };
        assert_eq!(next.into_data().iter::<i64>().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
