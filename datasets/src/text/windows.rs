//! Windows on one long list of tokens.

use std::ops::Range;

/// Windows of `length` inputs, each with the token behind it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Windows {
    /// The tokens that they cover.
    range: Range<usize>,
    length: usize,
    /// From the start of one to the start of the next.
    stride: usize,
    count: usize,
}

impl Windows {
    /// Windows of `length` inputs that begin every `stride` tokens of `range`; `None` when it is
    /// too short for one.
    pub(super) fn training(range: Range<usize>, length: usize, stride: usize) -> Option<Self> {
        let last = range.len().checked_sub(length.checked_add(1)?)?;
        Some(Windows { range, length, stride, count: last / stride + 1 })
    }

    /// Windows of `length` inputs side by side, so that every token of `range` but the first is
    /// predicted. The last is moved back to end with the range: it overlaps its neighbour, and
    /// what both predict counts twice. A range shorter than a window is one window. `None` for less
    /// than two tokens.
    pub(super) fn evaluation(range: Range<usize>, length: usize) -> Option<Self> {
        let predicted = range.len().checked_sub(1).filter(|&predicted| predicted > 0)?;
        let length = length.min(predicted);
        Some(Windows { range, length, stride: length, count: predicted.div_ceil(length) })
    }

    /// The number of windows.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The inputs of each.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The tokens of window `index`: its inputs, and the one behind them.
    pub(super) fn tokens(&self, index: usize) -> Range<usize> {
        let start = self.range.start + (index * self.stride).min(self.range.len() - (self.length + 1));
        start..start + self.length + 1
    }

    /// The number of windows that begin before `token`, were none of them moved back.
    pub(super) fn before(&self, token: usize) -> usize {
        token.saturating_sub(self.range.start).div_ceil(self.stride).min(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(windows: &Windows) -> Vec<Range<usize>> {
        (0..windows.len()).map(|index| windows.tokens(index)).collect()
    }

    #[test]
    fn training_windows_step_by_the_stride() {
        let windows = Windows::training(2..9, 3, 2).unwrap();
        assert_eq!(all(&windows), [2..6, 4..8]);
        let every = Windows::training(0..10, 4, 1).unwrap();
        assert_eq!(every.len(), 6);
        assert_eq!(every.tokens(5), 5..10);
        assert!(Windows::training(0..4, 4, 1).is_none());
        assert!(Windows::training(0..4, usize::MAX, 1).is_none());
    }

    proptest! {
        #[test]
        fn evaluation_predicts_every_token_but_the_first(
            start in 0usize..5, tokens in 2usize..60, length in 1usize..20,
        ) {
            let range = start..start + tokens;
            let windows = Windows::evaluation(range.clone(), length).unwrap();
            let mut predicted: Vec<usize> =
                all(&windows).into_iter().flat_map(|tokens| tokens.start + 1..tokens.end).collect();
            prop_assert_eq!(predicted.len(), windows.len() * windows.length());
            predicted.sort_unstable();
            predicted.dedup();
            prop_assert_eq!(predicted, (range.start + 1..range.end).collect::<Vec<_>>());
        }

        #[test]
        fn windows_are_counted_by_where_they_begin(
            start in 0usize..5, tokens in 5usize..60, stride in 1usize..9, token in 0usize..70,
        ) {
            let windows = Windows::training(start..start + tokens, 4, stride).unwrap();
            let begin = all(&windows).into_iter().filter(|tokens| tokens.start < token).count();
            prop_assert_eq!(windows.before(token), begin);
        }
    }
}
