//! Samples of consecutive positions, decoded ahead by worker threads and handed out in order.
//!
//! ```text
//! positions --chunks--> workers of the pool --> chunks of samples, put in order --> samples
//! ```

use super::PipelineConfig;
use super::epoch_order::EpochOrder;
use super::windows::Windows;
use crate::pool::Background;
use crate::{DataError, Dataset};
use std::collections::VecDeque;
use std::iter::StepBy;
use std::ops::Range;
use std::sync::Arc;

/// Samples that one job reads at most: enough to make the queues' cost small beside reading a row
/// of a table, few enough that a batch of pictures is shared among the workers.
const CHUNK: usize = 32;

/// Samples of a batch that count for how far to read ahead; bounds the memory of huge batches.
const AHEAD: usize = 1024;

/// The reach of reading ahead.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// Samples of one job.
    chunk: usize,
    /// Jobs under way.
    jobs: usize,
}

impl Ahead {
    /// About two batches and a job a worker, or what fits into `prefetch_bytes` where samples are
    /// known to be of `sample_bytes`; at least one sample a worker.
    pub(super) fn new(config: &PipelineConfig, sample_bytes: u64, batch_size: usize) -> Self {
        let workers = config.workers.max(1);
        let fit = config.prefetch_bytes.checked_div(sample_bytes).unwrap_or(u64::MAX);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX).max(workers);
        let chunk = batch_size.div_ceil(workers).min(CHUNK).min(fit / workers);
        let jobs = (2 * batch_size.min(AHEAD)).div_ceil(chunk) + workers;
        Ahead { chunk, jobs: jobs.min(fit / chunk) }
    }
}

type Positions = StepBy<Range<u64>>;
type Sample<D> = Result<<D as Dataset>::Sample, DataError>;

/// Samples in the order of their positions.
pub(super) struct Samples<D: Dataset> {
    dataset: Arc<D>,
    order: EpochOrder,
    /// The share's positions that are not yet given out.
    positions: Positions,
    /// Decoded samples whose turn it is.
    ready: VecDeque<Sample<D>>,
    /// Samples of one job.
    chunk: usize,
    workers: Option<Background<Vec<u64>, Vec<Sample<D>>>>,
}

impl<D: Dataset> Samples<D> {
    /// Reads the share's positions with that many threads, or on the caller's own with none.
    pub(super) fn new(
        dataset: Arc<D>,
        order: EpochOrder,
        windows: &Windows,
        workers: usize,
        ahead: Ahead,
    ) -> Self {
        let positions = windows.of_share();
        let left = positions.size_hint().0.div_ceil(ahead.chunk);
        let threads = workers.min(left);
        let (of_workers, by) = (dataset.clone(), order.clone());
        let workers = Background::start(threads, ahead.jobs, move |positions: Vec<u64>, worker| {
            let wanted = positions.into_iter().take_while(|_| !worker.stopped());
            wanted.map(|position| by.read(&*of_workers, position)).collect()
        });
        Samples { dataset, order, positions, ready: VecDeque::new(), chunk: ahead.chunk, workers }
    }
}

impl<D: Dataset> Iterator for Samples<D> {
    type Item = Sample<D>;

    fn next(&mut self) -> Option<Sample<D>> {
        let Some(workers) = &mut self.workers else {
            return self.positions.next().map(|position| self.order.read(&*self.dataset, position));
        };
        if self.ready.is_empty() {
            let (positions, chunk) = (&mut self.positions, self.chunk);
            let mut chunks = std::iter::from_fn(|| {
                Some(positions.take(chunk).collect()).filter(|chunk: &Vec<u64>| !chunk.is_empty())
            });
            workers.jobs.give(&mut chunks);
            self.ready.extend(workers.jobs.next()?);
        }
        self.ready.pop_front()
    }
}
