//! The contract between data and training: batches from a position on, in a reproducible order.

use crate::Batch;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where training stands in its data. The order of samples is a pure function of the seed and the
/// epoch, so a position is all that exact resume needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Completed passes over the data.
    pub epoch: u64,
    /// Samples of this epoch's order already used.
    pub samples: u64,
}

/// Why a batch could not be read: place, expected and received, in one line.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LoadError(pub Box<dyn std::error::Error + Send + Sync>);

/// Batches until the end of one epoch.
pub type Batches<'a, I> = Box<dyn Iterator<Item = Result<Batch<I>, LoadError>> + 'a>;

/// A set of samples that can be read in batches, from any position, any number of times.
pub trait Loader<I> {
    /// Samples an epoch.
    fn len(&self) -> u64;

    /// Whether an epoch has no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of `start.epoch` from its sample `start.samples` on, each of `batch_size`
    /// samples but for the last, with tensors on `device`.
    ///
    /// The concatenated samples depend on the position alone: not on `batch_size`, nor on worker
    /// threads, nor on what was read before.
    ///
    /// # Errors
    /// An item is an error when a sample cannot be read and the data set does not skip those.
    fn batches(&self, start: Position, batch_size: usize, device: &Device) -> Batches<'_, I>;

    /// Corrupt samples skipped so far, where the data set skips those.
    fn skipped(&self) -> u64 {
        0
    }
}

impl<I, L: Loader<I> + ?Sized> Loader<I> for Arc<L> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn batches(&self, start: Position, batch_size: usize, device: &Device) -> Batches<'_, I> {
        (**self).batches(start, batch_size, device)
    }

    fn skipped(&self) -> u64 {
        (**self).skipped()
    }
}
