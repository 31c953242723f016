//! Batch norm over the batches of several ranks, as if they were one batch.
//!
//! The moments of each channel are summed over the ranks before any rank normalises, and so are the sums of
//! the backward pass. Every rank must run the same batch norms in the same order, forward and backward.

use super::channels::Moments;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// A sum over the ranks that train together. Every rank calls it with as many numbers and gets the sums.
#[derive(Clone)]
pub struct SumOverRanks(Arc<Sum>);

type Sum = dyn Fn(&mut [f64]) + Send + Sync;

thread_local! {
    static CURRENT: RefCell<Option<SumOverRanks>> = const { RefCell::new(None) };
}

impl SumOverRanks {
    /// A sum over ranks by `sum`, which replaces each number by its sum over the ranks.
    pub fn new(sum: impl Fn(&mut [f64]) + Send + Sync + 'static) -> Self {
        SumOverRanks(Arc::new(sum))
    }

    /// Runs `work`. In it, [`batch_norm`](crate::batch_norm) and
    /// [`batch_norm_train`](crate::batch_norm_train), called from this thread on Burn's CPU backend, measure
    /// the batches of all ranks. `None` means this rank's alone.
    pub fn within<R>(over_ranks: Option<&SumOverRanks>, work: impl FnOnce() -> R) -> R {
        struct Before(Option<SumOverRanks>);
        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _before = Before(CURRENT.replace(over_ranks.cloned()));
        work()
    }

    pub(super) fn current() -> Option<SumOverRanks> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Replaces each channel's moments by the moments of all ranks' numbers.
    pub(super) fn moments(&self, moments: &mut [Moments]) {
        let mut sums: Vec<f64> = moments
            .iter()
            .flat_map(|m| [m.count, m.count * m.mean, m.squares + m.count * m.mean * m.mean])
            .collect();
        (self.0)(&mut sums);
        for (moments, sums) in moments.iter_mut().zip(sums.chunks_exact(3)) {
            let (count, mean) = (sums[0], sums[1] / sums[0].max(1.0));
            *moments = Moments { count, mean, squares: (sums[2] - count * mean * mean).max(0.0) };
        }
    }

    /// Replaces the sums of the backward pass by their sums over all ranks. A rank's gradient belongs to the
    /// mean loss over its own samples, so its sums are weighted by `count`, its count of numbers, and the
    /// result is divided by it again.
    pub(super) fn slopes(&self, slopes: &mut [[f64; 2]], count: f64) {
        let mut sums: Vec<f64> = slopes.iter().flatten().map(|slope| slope * count).collect();
        (self.0)(&mut sums);
        for (slope, sum) in slopes.iter_mut().flatten().zip(sums) {
            *slope = sum / count.max(1.0);
        }
    }
}

impl fmt::Debug for SumOverRanks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SumOverRanks")
    }
}
