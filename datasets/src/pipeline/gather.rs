//! Batches of a set that lies in memory, each gathered whole: no object for a sample, and no queue between
//! samples.
//!
//! ```text
//! windows --batch by batch--> workers of the pool: samples' numbers, then their rows --> batches, in order
//! ```

use super::epoch_order::EpochOrder;
use super::windows::Windows;
use crate::pool::Background;
use crate::{Dataset, Gathered};
use bonfire_contract::{Batch, Portion};
use burn::tensor::Device;
use std::ops::Range;
use std::sync::Arc;

/// Batches under way beside one a worker.
const AHEAD: usize = 3;

/// A window of positions, and the positions of it that are the rank's.
type Job = (Range<u64>, Vec<u64>);

/// The batches of an epoch, in order.
pub(super) struct Batches<D: Dataset> {
    dataset: Arc<D>,
    order: EpochOrder,
    /// The batches that are not yet given out.
    windows: Windows,
    workers: Option<Background<Job, Ready<D::Input>>>,
    device: Device,
}

impl<D: Dataset> Batches<D> {
    /// Gathers the rank's part of each window with that many threads, or on the caller's own with none; no
    /// more batches are under way than fit into `prefetch_bytes`, but for one.
    pub(super) fn new(
        dataset: &Arc<D>,
        order: &EpochOrder,
        windows: &Windows,
        (workers, prefetch_bytes): (usize, u64),
        device: &Device,
    ) -> Self {
        let batch_bytes = dataset.sample_bytes().saturating_mul(windows.most() as u64).max(1);
        let fit = usize::try_from(prefetch_bytes / batch_bytes).unwrap_or(usize::MAX).max(1);
        let threads = workers.min(fit);
        let (dataset, order, windows) = (dataset.clone(), order.clone(), windows.clone());
        let (of_workers, by) = (dataset.clone(), order.clone());
        let gather = move |job: Job, _: &_| ready(&*of_workers, &by, job);
        let workers = Background::start(threads, fit.min(threads + AHEAD), gather);
        Batches { dataset, order, windows, workers, device: device.clone() }
    }
}

impl<D: Dataset> Iterator for Batches<D> {
    type Item = Portion<D::Input>;

    fn next(&mut self) -> Option<Portion<D::Input>> {
        let mut jobs = self.windows.by_ref().map(|(window, part)| (window, part.collect::<Vec<u64>>()));
        let ready = match &mut self.workers {
            None => ready(&*self.dataset, &self.order, jobs.next()?),
            Some(workers) => {
                workers.jobs.give(&mut jobs);
                workers.jobs.next()?
            }
        };
        let consumed = ready.consumed;
        let Some(batch) = ready.batch else { return Some(Portion::Nothing { consumed }) };
        let (input, target) = batch(&self.device);
        Some(Portion::Samples(Batch { input, target, samples: ready.samples, consumed }))
    }
}

/// A rank's part of one batch, on the host.
struct Ready<I> {
    /// The positions of the batch, those of other ranks too.
    consumed: u64,
    /// The number of each sample in its set.
    samples: Vec<u64>,
    /// The samples; absent where the rank has none.
    batch: Option<Gathered<I>>,
}

/// Gathers the samples of a rank's positions.
fn ready<D: Dataset>(dataset: &D, order: &EpochOrder, (window, positions): Job) -> Ready<D::Input> {
    let samples = order.indices(positions);
    let held = dataset.held().filter(|_| !samples.is_empty());
    Ready { consumed: window.end - window.start, batch: held.map(|held| held.gather(&samples)), samples }
}
