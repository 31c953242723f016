//! One epoch's samples in their order, each with the seed of its augmentation.

use crate::{DataError, Dataset, Draw, Order};
use bonfire_contract::mix;

/// The sample at each position of one epoch, and the seed of its augmentation.
#[derive(Clone)]
pub(super) struct EpochOrder {
    pub order: Order,
    /// Times that the epoch has each sample.
    pub repeats: u64,
    pub seed: u64,
    pub epoch: u64,
}

impl EpochOrder {
    /// The sample at a position.
    pub(super) fn index(&self, position: u64) -> u64 {
        self.turn(position).0
    }

    /// The sample at each of some positions.
    pub(super) fn indices(&self, mut positions: Vec<u64>) -> Vec<u64> {
        if self.repeats == 1 {
            self.order.all(&mut positions);
        } else {
            positions.iter_mut().for_each(|position| *position = self.index(*position));
        }
        positions
    }

    /// The sample at a position, and how many times the epoch has had it before. The times of a sample are as
    /// far apart as there are lanes, so that all are in its own.
    fn turn(&self, position: u64) -> (u64, u64) {
        if self.repeats == 1 {
            return (self.order.at(position), 0);
        }
        let lanes = self.order.lanes();
        let round = position / (lanes * self.repeats);
        let within = position % (lanes * self.repeats);
        // The last round may not reach all lanes.
        let lanes_here = lanes.min(self.order.len() - round * lanes);
        (self.order.at(round * lanes + within % lanes_here), within / lanes_here)
    }

    /// The seed of all that is random in this epoch about a sample, or a batch, by its number.
    pub(super) fn seed_of(&self, number: u64) -> u64 {
        mix(mix(self.seed, self.epoch), number)
    }

    /// Reads the sample at a position.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read<D: Dataset>(&self, dataset: &D, position: u64) -> Result<D::Sample, DataError> {
        let (index, repeat) = self.turn(position);
        let seed = self.seed_of(index);
        let seed = if repeat == 0 { seed } else { mix(seed, repeat) };
        dataset.sample(index, Draw { epoch: self.epoch, seed })
    }
}
