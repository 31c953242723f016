//! The contract between data and training: batches from a position on, in a reproducible order.

use crate::Batch;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::iter::StepBy;
use std::ops::Range;
use std::sync::Arc;

/// A position in the training data. The order of samples is a pure function of the seed and the epoch, so
/// that a position is all that exact resume needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Completed passes over the data.
    pub epoch: u64,
    /// Samples of this epoch's order already used.
    pub samples: u64,
}

/// The error of a batch that could not be read: place, expected and received, in one line.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LoadError(pub Box<dyn std::error::Error + Send + Sync>);

/// The share of one rank in each batch: a part of the samples, so that all ranks together have each sample
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The rank, from 0 on.
    pub rank: u64,
    /// The number of ranks.
    pub ranks: u64,
}

impl Share {
    /// All of each batch.
    pub const WHOLE: Share = Share { rank: 0, ranks: 1 };

    /// The positions of the share among `positions` of an epoch. A rank has every position whose remainder by
    /// `ranks` is the rank's number, whatever the batches are; of any `ranks` neighbouring positions it has
    /// one.
    pub fn of(self, positions: Range<u64>) -> StepBy<Range<u64>> {
        let behind = (self.rank + self.ranks - positions.start % self.ranks) % self.ranks;
        (positions.start.saturating_add(behind)..positions.end).step_by(self.ranks as usize)
    }
}

/// A share of one batch.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // one a piece, and nearly always the large one
pub enum Portion<I> {
    /// The samples of the share. `consumed` counts the samples of the whole batch.
    Samples(Batch<I>),
    /// No sample: the share is empty, or none of its samples can be read and the data set skips such samples.
    Nothing {
        /// Samples of the order that the whole batch used up, those of all shares.
        consumed: u64,
    },
}

impl<I> Portion<I> {
    /// Samples of the order that the whole batch used up, those of all shares.
    pub fn consumed(&self) -> u64 {
        match self {
            Portion::Samples(batch) => batch.consumed,
            Portion::Nothing { consumed } => *consumed,
        }
    }

    /// The samples, where there are any.
    pub fn batch(self) -> Option<Batch<I>> {
        match self {
            Portion::Samples(batch) => Some(batch),
            Portion::Nothing { .. } => None,
        }
    }
}

/// Corrupt samples that were skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The number of samples left out when the set was opened. Every rank left out the same ones.
    pub at_opening: u64,
    /// The numbers of the samples that were met since then; a sample that several epochs met is one.
    pub met: BTreeSet<u64>,
}

impl Skipped {
    /// The number of all skipped samples.
    pub fn count(&self) -> u64 {
        self.at_opening + self.met.len() as u64
    }
}

/// Batches until the end of one epoch.
pub type Batches<'a, I> = Box<dyn Iterator<Item = Result<Batch<I>, LoadError>> + 'a>;

/// Shares of the batches until the end of one epoch.
pub type Portions<'a, I> = Box<dyn Iterator<Item = Result<Portion<I>, LoadError>> + 'a>;

/// A set of samples that can be read in batches, from any position, any number of times.
pub trait Loader<I> {
    /// Samples an epoch.
    fn len(&self) -> u64;

    /// True where an epoch has no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A share of each batch of `start.epoch` from its sample `start.samples` on, with tensors on `device`. A
    /// batch takes `batch_size` samples of the order; the last batch of an epoch takes the rest. A sample
    /// that cannot be read is missing from its batch where the data set skips such samples.
    ///
    /// The samples of a batch depend on the position alone: not on the shares, the worker threads or earlier
    /// reads. The concatenation of all batches does not depend on `batch_size` either. A set that is read in
    /// its own order, as for evaluation, may give each share a run of neighbours instead: all shares of an
    /// epoch together still have each sample once, in other batches.
    ///
    /// # Errors
    /// An item is an error when a sample of the share cannot be read and the data set does not skip such
    /// samples.
    fn portions(&self, start: Position, batch_size: usize, share: Share, device: &Device) -> Portions<'_, I>;

    /// The whole batches from `start` on; see [`portions`](Self::portions). A batch without a sample is left
    /// out, and the samples that it consumed are added to the next batch's.
    ///
    /// # Errors
    /// As [`portions`](Self::portions).
    fn batches<'a>(&'a self, start: Position, batch_size: usize, device: &Device) -> Batches<'a, I>
    where
        I: 'a,
    {
        let mut before = 0;
        Box::new(self.portions(start, batch_size, Share::WHOLE, device).filter_map(move |portion| {
            match portion {
                Ok(Portion::Samples(mut batch)) => {
                    batch.consumed += std::mem::take(&mut before);
                    Some(Ok(batch))
                }
                Ok(Portion::Nothing { consumed }) => {
                    before += consumed;
                    None
                }
                Err(error) => Some(Err(error)),
            }
        }))
    }

    /// The number of ranks that the order of samples is laid out for. The order deals the blocks of the data
    /// (shards, row groups) out to this many ranks, so that each rank reads only its own blocks. With a
    /// number of ranks that divides it, this holds too; with any other number, every rank reads blocks of
    /// all. None where samples are read one by one, so that any number of ranks reads each sample once.
    fn canonical_ranks(&self) -> Option<u64> {
        None
    }

    /// Corrupt samples skipped so far in the shares that were read here, where the data set skips corrupt
    /// samples.
    fn skipped(&self) -> Skipped {
        Skipped::default()
    }
}

impl<I, L: Loader<I> + ?Sized> Loader<I> for Arc<L> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn portions(&self, start: Position, batch_size: usize, share: Share, device: &Device) -> Portions<'_, I> {
        (**self).portions(start, batch_size, share, device)
    }

    fn canonical_ranks(&self) -> Option<u64> {
        (**self).canonical_ranks()
    }

    fn skipped(&self) -> Skipped {
        (**self).skipped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_each_position_once_and_are_of_even_sizes() {
        for ranks in 1..9 {
            for (start, count) in [(0, 0), (0, 7), (5, 1), (5, 2), (13, 64), (u64::MAX - 9, 9)] {
                let of = |rank| Share { rank, ranks }.of(start..start + count).collect::<Vec<_>>();
                let mut all: Vec<u64> = (0..ranks).flat_map(of).collect();
                all.sort_unstable();
                assert_eq!(all, (start..start + count).collect::<Vec<_>>());
                for rank in 0..ranks {
                    let len = of(rank).len() as u64;
                    assert!([count / ranks, count.div_ceil(ranks)].contains(&len));
                    assert!(of(rank).iter().all(|position| position % ranks == rank));
                }
            }
        }
    }
}
