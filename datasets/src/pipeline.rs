//! Order, worker threads and batches: a loader out of any data set.

mod epoch_order;
mod gather;
mod pairs;
mod prefetch;
mod readahead;
mod windows;

use crate::{DataError, Dataset, OnCorrupt, Shuffle, memory};
use bonfire_contract::{Batch, LoadError, Loader, Portion, Portions, Position, Share, Skipped};
use burn::tensor::Device;
use epoch_order::EpochOrder;
use gather::Batches;
use pairs::pairs;
use prefetch::{Ahead, Samples};
use readahead::ReadAhead;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windows::Windows;

/// The settings of a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The order of each epoch.
    pub shuffle: Shuffle,
    /// Seeds the draws of augmentation.
    pub seed: u64,
    /// The answer to a sample that is corrupt.
    pub on_corrupt: OnCorrupt,
    /// Times that an epoch has each sample, one after the other and each with draws of its own (Hoffer et
    /// al., "Augment your batch", 2019).
    pub repeats: u64,
    /// With [`Shuffle::Window`]: the lanes that an epoch is cut into, position `p` being one of lane `p %
    /// lanes`. Of as many ranks, or a divisor of that number, each reads lanes of its own; other numbers read
    /// the same samples, each rank some of every lane.
    pub lanes: u64,
    /// Decoding threads; 0 decodes on the caller's thread.
    pub workers: usize,
    /// Bytes of decoded samples that may wait for the trainer, beyond one sample a worker; never
    /// more than about two batches wait.
    pub prefetch_bytes: u64,
}

/// The usual [`PipelineConfig::prefetch_bytes`].
pub const PREFETCH_BYTES: u64 = 64 << 20;

/// A [`Loader`] over a [`Dataset`].
///
/// Neither the batches nor what is skipped depend on the number of workers: they decode ahead, a
/// bounded number of samples, and the samples are put back into the order's sequence.
pub struct Pipeline<D: Dataset> {
    dataset: Arc<D>,
    config: PipelineConfig,
    /// The indices of the corrupt samples met so far; an epoch meets them all again.
    skipped: Mutex<BTreeSet<u64>>,
}

impl<D: Dataset> Pipeline<D> {
    /// Reads `dataset` as `config` says.
    pub fn new(dataset: D, config: PipelineConfig) -> Self {
        Pipeline { dataset: Arc::new(dataset), config, skipped: Mutex::default() }
    }

    /// A pipeline of the same settings over a set that is made of this one, sample by sample.
    pub(crate) fn over<E: Dataset>(self, make: impl FnOnce(Arc<D>) -> E) -> Pipeline<E> {
        Pipeline::new(make(self.dataset), self.config)
    }

    /// The data set behind the pipeline.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// True when corrupt samples are left out. Where none can be read, the first batch is the
    /// error of the last sample.
    pub fn skips(&self) -> bool {
        self.config.on_corrupt == OnCorrupt::Skip
    }

    /// A set stays whole wherever a thread that held it panicked.
    fn skipped_indices(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How less of a batch would be held.
const SMALLER: &str = "train.piece_size makes a large batch of several, and smaller samples take less";

impl<D: Dataset> Loader<D::Input> for Pipeline<D> {
    fn len(&self) -> u64 {
        self.dataset.len() * self.config.repeats.max(1)
    }

    fn portions(
        &self,
        start: Position,
        batch_size: usize,
        share: Share,
        device: &Device,
    ) -> Portions<'_, D::Input> {
        let lanes = self.config.lanes.max(1);
        let order = self.config.shuffle.order(start.epoch, self.dataset.len(), lanes, share.ranks);
        self.dataset.hold(order.lanes_of(share.ranks));
        let repeats = self.config.repeats.max(1);
        let order = EpochOrder { order, repeats, seed: self.config.seed, epoch: start.epoch };
        let len = Loader::len(self);
        let windows = Windows::new(start.samples.min(len)..len, batch_size, share);
        // The next batch is made while one is computed with.
        let samples = len.min((windows.most() as u64).saturating_mul(2));
        let bytes = self.dataset.sample_bytes().saturating_mul(samples);
        if let Err(error) = memory::check_again("two batches", bytes, SMALLER) {
            return Box::new(std::iter::once(Err(LoadError(Box::new(error)))));
        }
        if self.dataset.held().is_some() {
            let (workers, bytes) = (self.config.workers, self.config.prefetch_bytes);
            return Box::new(Batches::new(&self.dataset, &order, &windows, (workers, bytes), device).map(Ok));
        }
        let ahead = Ahead::new(&self.config, self.dataset.sample_bytes(), windows.most());
        Box::new(Epoch {
            samples: Samples::new(self.dataset.clone(), order.clone(), &windows, self.config.workers, ahead),
            readahead: ReadAhead::start(&self.dataset, &order, &windows),
            pipeline: self,
            order,
            windows,
            fruitless: start.samples == 0 && share == Share::WHOLE,
            device: device.clone(),
            ended: false,
        })
    }

    fn canonical_ranks(&self) -> Option<u64> {
        matches!(self.config.shuffle, Shuffle::Window(..)).then_some(self.config.lanes.max(1))
    }

    fn skipped(&self) -> Skipped {
        Skipped { at_opening: self.dataset.skipped(), met: self.skipped_indices().clone() }
    }
}

/// The rest of one epoch, as batches.
struct Epoch<'a, D: Dataset> {
    pipeline: &'a Pipeline<D>,
    samples: Samples<D>,
    readahead: Option<ReadAhead>,
    order: EpochOrder,
    windows: Windows,
    device: Device,
    /// True for a whole epoch of which nothing could be read so far.
    fruitless: bool,
    ended: bool,
}

impl<D: Dataset> Epoch<'_, D> {
    /// Collects the share of the next batch.
    fn collect(&mut self) -> Result<Option<Portion<D::Input>>, DataError> {
        let on_corrupt = self.pipeline.config.on_corrupt;
        let Some((window, part)) = self.windows.next() else { return Ok(None) };
        if let Some(readahead) = &self.readahead {
            readahead.used(window.start);
        }
        let consumed = window.end - window.start;
        let (mut samples, mut collected, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        let mut last_error = None;
        for position in part {
            let index = self.order.index(position);
            match self.samples.next().expect("a sample for each position of the share") {
                Ok(sample) => {
                    samples.push(index);
                    collected.push(sample);
                    positions.push(position);
                }
                Err(error) if on_corrupt.skips(&error) => {
                    self.pipeline.skipped_indices().insert(index);
                    last_error = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        if collected.is_empty() {
            // Why not a single one can be read is more than that none can.
            return match last_error.filter(|_| self.fruitless && self.windows.positions().is_empty()) {
                Some(error) => Err(error),
                None => Ok(Some(Portion::Nothing { consumed })),
            };
        }
        self.fruitless = false;
        let dataset = &self.pipeline.dataset;
        if dataset.mixes() {
            let pairs = pairs(&window, self.windows.size(), self.windows.ranks(), &positions);
            dataset.mix(&mut collected, &pairs, self.order.seed_of(window.start));
        }
        let (input, target) = dataset.collate(collected, &self.device);
        Ok(Some(Portion::Samples(Batch { input, target, samples, consumed })))
    }
}

impl<D: Dataset> Iterator for Epoch<'_, D> {
    type Item = Result<Portion<D::Input>, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.collect().map_err(|error| LoadError(Box::new(error))).transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests;
