//! Blocks fetched before their first sample is asked for, by threads of their own.
//!
//! ```text
//! used ......... ahead of it by as much as the data set says   positions
//!      workers ->                          <- read-ahead
//! ```
//!
//! The threads walk the order in front of the workers and ask the data set to [`prepare`](Dataset::prepare)
//! the samples that they meet, so that the next window arrives while the present one is used. How far they go
//! is bounded by the data set, whose windows are bounded in bytes.

use super::epoch_order::EpochOrder;
use super::windows::Windows;
use crate::Dataset;
use crate::order::gcd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// Threads that fetch: a server answers several requests faster than one.
const THREADS: usize = 4;

/// Positions that are looked at of those ahead, about: enough to meet each block of a window.
const LOOKS: u64 = 2048;

/// The longest sleep of a thread that is far enough ahead; it is woken as samples are used.
const NAP: Duration = Duration::from_millis(100);

/// The threads that fetch ahead; they end with it.
pub(super) struct ReadAhead {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    /// The position that is used next.
    used: AtomicU64,
    stop: AtomicBool,
}

/// The step from one of a share's positions to the next to look at, about `wished`, so that each of its lanes
/// is looked into.
fn stride(wished: u64, lanes: u64) -> u64 {
    (1..=wished).rev().find(|&stride| gcd(stride, lanes) == 1).unwrap_or(1)
}

impl ReadAhead {
    /// Fetches for the share's positions; `None` for a data set that has nothing to fetch.
    pub(super) fn start<D: Dataset>(dataset: &Arc<D>, order: &EpochOrder, windows: &Windows) -> Option<Self> {
        let ahead = dataset.ahead() * order.repeats * order.order.lanes();
        let first = windows.of_share().next()?;
        if ahead == 0 {
            return None;
        }
        let shared = Arc::new(Shared { used: AtomicU64::new(first), stop: AtomicBool::new(false) });
        let lanes = order.order.lanes_of(windows.ranks());
        let stride = stride(ahead / windows.ranks() / LOOKS, lanes) as usize;
        let walk = |thread: usize| {
            let (dataset, order, shared) = (dataset.clone(), order.clone(), shared.clone());
            let positions = windows.of_share().skip(thread * stride).step_by(THREADS * stride);
            move || {
                for position in positions {
                    while position > shared.used.load(Ordering::Relaxed).saturating_add(ahead) {
                        if shared.stop.load(Ordering::Relaxed) {
                            return;
                        }
                        std::thread::park_timeout(NAP);
                    }
                    if shared.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    dataset.prepare(order.index(position));
                }
            }
        };
        let threads = (0..THREADS)
            // Where the system gives no thread, samples are fetched when they are read.
            .filter_map(|first| std::thread::Builder::new().spawn(walk(first)).ok())
            .collect();
        Some(ReadAhead { shared, threads })
    }

    /// Says that the samples before `position` were used.
    pub(super) fn used(&self, position: u64) {
        self.shared.used.store(position, Ordering::Relaxed);
        self.threads.iter().map(JoinHandle::thread).for_each(Thread::unpark);
    }
}

impl Drop for ReadAhead {
    /// Ends the threads after the block that each is fetching.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A data set that panics while it prepares does so again when the sample is read.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_looked_into() {
        assert_eq!(
            [stride(0, 1), stride(7, 1), stride(8, 64), stride(9, 12), stride(12, 6)],
            [1, 7, 7, 7, 11]
        );
    }
}
