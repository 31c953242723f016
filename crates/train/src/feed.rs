//! Training batches in pieces that fit the device, from a position on.

use bonfire_contract::{LoadError, Loader, Portion, Portions, Position, Share};
use burn::tensor::Device;
use std::time::{Duration, Instant};

/// A loader and where training stands in it.
pub(crate) struct Feed<'a, I> {
    loader: &'a dyn Loader<I>,
    share: Share,
    device: Device,
    /// The open iterator, with the piece size that it was opened for.
    open: Option<(usize, Portions<'a, I>)>,
    position: Position,
    waited: Duration,
}

impl<'a, I> Feed<'a, I> {
    pub(crate) fn new(loader: &'a dyn Loader<I>, share: Share, position: Position, device: Device) -> Self {
        Feed { loader, share, device, open: None, position, waited: Duration::ZERO }
    }

    /// The start of the next piece.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The time that the trainer has waited for pieces so far.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// The share of the next `size` samples, fewer at the epoch's end, `None` when it has no more.
    pub(crate) fn next(&mut self, size: usize) -> Result<Option<Portion<I>>, LoadError> {
        let asked = Instant::now();
        // Sizes change at most twice a step, when a batch is not a multiple of its pieces.
        let (_, batches) = match self.open.take() {
            Some(open) if open.0 == size => self.open.insert(open),
            _ => {
                self.open.insert((size, self.loader.portions(self.position, size, self.share, &self.device)))
            }
        };
        let next = batches.next();
        self.waited += asked.elapsed();
        let Some(portion) = next.transpose()? else {
            self.open = None;
            return Ok(None);
        };
        self.position.samples += portion.consumed();
        Ok(Some(portion))
    }

    /// Goes to another position of this epoch.
    pub(crate) fn go_to(&mut self, position: Position) {
        self.open = None;
        self.position = position;
    }

    /// Leaves the rest of this epoch and goes to the start of the next.
    pub(crate) fn next_epoch(&mut self) {
        self.open = None;
        self.position = Position { epoch: self.position.epoch + 1, samples: 0 };
    }
}

/// The size of the pieces of a batch: the largest divisor of the batch within the limit, so that
/// one open iterator serves the whole batch, unless that would more than double their number.
pub(crate) fn piece_size(batch: u64, limit: usize) -> usize {
    let limit = limit as u64;
    let fewest = batch.div_ceil(limit);
    let even = (fewest..=fewest.saturating_mul(2)).find(|pieces| batch.is_multiple_of(*pieces));
    (batch.div_ceil(even.unwrap_or(fewest))).min(limit) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_divide_the_batch_where_they_can() {
        assert_eq!(piece_size(64, 1024), 64);
        assert_eq!(piece_size(2048, 1024), 1024);
        assert_eq!(piece_size(1500, 1024), 750);
        assert_eq!(piece_size(1, 1), 1);
        // 1031 is prime: one piece and a remainder instead of 1031 pieces.
        assert_eq!(piece_size(1031, 1000), 516);
    }

    proptest! {
        #[test]
        fn pieces_are_within_the_limit_and_few(batch in 1u64..100_000, limit in 1usize..5000) {
            let size = piece_size(batch, limit);
            prop_assert!(1 <= size && size <= limit);
            prop_assert!(batch.div_ceil(size as u64) <= 2 * batch.div_ceil(limit as u64));
        }
    }
}
