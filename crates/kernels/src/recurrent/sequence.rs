//! What a layer reads, and how threads share it.

use crate::threads;
use std::ops::Range;

/// Sequences of a batch, and how they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence<'a> {
    /// `[T, B, I]`
    pub x: &'a [f32],
    pub steps: usize,
    pub batch: usize,
    pub inputs: usize,
    pub units: usize,
    /// `[T, B]`; state and memory are multiplied by it after each step.
    pub mask: Option<&'a [f32]>,
    pub backwards: bool,
}

impl Sequence<'_> {
    /// Where in time a step is.
    #[inline(always)]
    pub(super) fn time(&self, step: usize) -> usize {
        if self.backwards { self.steps - 1 - step } else { step }
    }

    /// Calls `work` with ranges of rows of the batch, on all threads.
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
