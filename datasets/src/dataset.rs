//! The contract of a data set inside this room.

use crate::DataError;
use bonfire_contract::{Input, Target};
use burn::tensor::Device;

/// A batch on the host, which only waits for its device.
pub type Gathered<I> = Box<dyn FnOnce(&Device) -> (I, Target) + Send>;

/// Samples that lie in memory as batches want them: reading one cannot fail, and nothing about it is random.
pub trait Held<I>: Send + Sync {
    /// Gathers the samples of one batch, by their numbers.
    fn gather(&self, indices: &[u64]) -> Gathered<I>;
}

/// Samples that can be read by index, from several threads at once.
pub trait Dataset: Send + Sync + 'static {
    /// One decoded and transformed sample, on the host.
    type Sample: Send + 'static;
    /// The kind of batch that the samples make.
    type Input: Input;

    /// The number of samples.
    fn len(&self) -> u64;

    /// True when there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that a sample takes in memory, where all take about the same and it matters; 0 elsewhere.
    fn sample_bytes(&self) -> u64 {
        0
    }

    /// Reads sample `index`; where nothing of it is random, it is the same for every draw.
    ///
    /// # Errors
    /// When the sample cannot be read or decoded; `OnCorrupt::Skip` passes over it then, unless its source is
    /// [unreachable](DataError::Unreachable).
    fn sample(&self, index: u64, draw: Draw) -> Result<Self::Sample, DataError>;

    /// The samples where all lie in memory: batches are gathered whole then, without an object for each
    /// sample.
    fn held(&self) -> Option<&dyn Held<Self::Input>> {
        None
    }

    /// Samples of a lane that are worth fetching ahead of the one in use; 0 where fetching does not take
    /// long.
    fn ahead(&self) -> u64 {
        0
    }

    /// Says that the samples are asked for in so many lanes that take turns, each with blocks of its own: as
    /// many times the blocks of one lane are to be held. One, until this is called.
    fn hold(&self, _lanes: u64) {}

    /// Fetches the block or file of sample `index`, which is wanted soon. What goes wrong is told when the
    /// sample is read.
    fn prepare(&self, _index: u64) {}

    /// Corrupt samples that were left out, and counted, when the set was opened.
    fn skipped(&self) -> u64 {
        0
    }

    /// True when samples of a batch are mixed.
    fn mixes(&self) -> bool {
        false
    }

    /// Mixes samples of a batch, each two of `pairs`, by their places. `draw` seeds how: the same for all
    /// ranks that have samples of the batch.
    fn mix(&self, _samples: &mut [Self::Sample], _pairs: &[[usize; 2]], _draw: u64) {}

    /// Stacks samples into one batch on `device`.
    fn collate(&self, samples: Vec<Self::Sample>, device: &Device) -> (Self::Input, Target);
}

/// The draw that a sample is one of: augmentation makes another sample of it each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// The epoch, which some augmentation grows with.
    pub epoch: u64,
    /// Seeds everything that is random: a pure function of the run's seed, the epoch and the sample, so never
    /// of threads or restarts.
    pub seed: u64,
}
