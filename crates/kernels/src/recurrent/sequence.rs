//! The input of a layer, and its division among threads.

use crate::threads;
use std::ops::Range;

/// The sequences of a batch, and the direction in which they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence<'a> {
    /// `[T, B, I]`
    pub x: &'a [f32],
    pub steps: usize,
    pub batch: usize,
    pub inputs: usize,
    pub units: usize,
    /// The mask, `[T, B]`. State and memory are multiplied by it after each step.
    pub mask: Option<&'a [f32]>,
    pub backwards: bool,
}

impl Sequence<'_> {
    /// The position in time of a step.
    #[inline(always)]
    pub(super) fn time(&self, step: usize) -> usize {
        if self.backwards { self.steps - 1 - step } else { step }
    }

    /// Calls `work` on all threads, each with a range of rows of the batch.
    pub(super) fn in_parts(&self, work: impl Fn(Range<usize>) + Sync) {
        threads::ranges(self.batch, 4, work);
    }

    pub(super) fn check(&self) {
        assert_eq!(self.x.len(), self.steps * self.batch * self.inputs);
        if let Some(mask) = self.mask {
            assert_eq!(mask.len(), self.steps * self.batch);
        }
    }
}
