//! Batch norm over the batches of several processes, as if they were one.
//!
//! The moments of each channel are added up over the processes before any of them normalises, and so are the sums of the
//! backward pass. Every process must come to the same batch norms in the same sequence, forward and backward.

use super::channels::Moments;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// Adds numbers up over the processes that train together: each calls it with as many, and gets the sums.
#[derive(Clone)]
pub struct Together(Arc<Sum>);

type Sum = dyn Fn(&mut [f64]) + Send + Sync;

thread_local! {
    static CURRENT: RefCell<Option<Together>> = const { RefCell::new(None) };
}

impl Together {
    /// By a function that replaces numbers by their sums over the processes.
    pub fn new(sum: impl Fn(&mut [f64]) + Send + Sync + 'static) -> Self {
        Together(Arc::new(sum))
    }

    /// Runs `work` in which [`batch_norm`](crate::batch_norm) and [`batch_norm_train`](crate::batch_norm_train), called
    /// from this thread on Burn's CPU backend, measure the batches of all processes.
    pub fn within<R>(together: Option<&Together>, work: impl FnOnce() -> R) -> R {
        struct Before(Option<Together>);
        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _before = Before(CURRENT.replace(together.cloned()));
        work()
    }

    pub(super) fn current() -> Option<Together> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The moments of all processes' numbers.
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

    /// The sums of the backward pass over all processes. A process's gradient is that of the mean loss over its own
    /// samples, so that it counts as often as the process has numbers, and what comes back is meant for `count` of them.
    pub(super) fn slopes(&self, slopes: &mut [[f64; 2]], count: f64) {
        let mut sums: Vec<f64> = slopes.iter().flatten().map(|slope| slope * count).collect();
        (self.0)(&mut sums);
        for (slope, sum) in slopes.iter_mut().flatten().zip(sums) {
            *slope = sum / count.max(1.0);
        }
    }
}

impl fmt::Debug for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Together")
    }
}
