//! The dropout of weights. Its random numbers depend on a seed and a weight's place alone. So the backward
//! pass makes them again, and another process with the same row of the batch makes the same.

use crate::draws::BatchRows;
use crate::splitmix;

/// Dropout of a share of the weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropout {
    seed: u64,
    /// A weight is dropped if its 32 random bits are below it.
    threshold: u32,
    /// The factor of the other weights.
    factor: f32,
    /// The samples' places in the batch.
    rows: BatchRows,
}

impl Dropout {
    /// Dropout of `share`, in `(0, 1)`, of the weights. [`Draws`](crate::Draws) give the samples' places.
    pub(super) fn new(share: f64, seed: u64) -> Self {
        let threshold = (share * 2f64.powi(32)).min(f64::from(u32::MAX)) as u32;
        Dropout { seed, threshold, factor: (1.0 / (1.0 - share)) as f32, rows: BatchRows::current() }
    }

    /// Writes the factors of a query's weights, from key `first` on: 0 for a dropped weight,
    /// `1 / (1 - share)` for another. The query belongs to head `head` of `heads` of sample `item`.
    #[inline(always)]
    pub(super) fn factors(
        &self,
        [item, head, query]: [usize; 3],
        heads: usize,
        first: usize,
        to: &mut [f32],
    ) {
        let of_sample = self.rows.of(item).wrapping_mul(heads as u64).wrapping_add(head as u64);
        let key = splitmix::at(self.seed ^ splitmix::at(of_sample << 32 ^ query as u64, 0), 0);
        let (low, high) = (key as u32, (key >> 32) as u32);
        for (column, to) in to.iter_mut().enumerate() {
            // a 32-bit hash with good avalanche (Wellons 2018), keyed before and between its products
            let mut bits = (first as u32 + column as u32).wrapping_mul(0x9e37_79b9) ^ low;
            bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d) ^ high;
            bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
            bits ^= bits >> 16;
            *to = if bits < self.threshold { 0.0 } else { self.factor };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draws;

    #[test]
    fn drops_its_share_the_same_way_each_time_and_rows_differ() {
        for share in [0.1, 0.5, 0.9] {
            let dropout = Dropout::new(share, 7);
            let row = |row| {
                let mut factors = vec![0.0; 20_000];
                dropout.factors(row, 2, 0, &mut factors);
                factors
            };
            let (first, second) = (row([0, 0, 0]), row([0, 0, 1]));
            assert_eq!(first, row([0, 0, 0]));
            assert!([[1, 0, 0], [0, 1, 0]].into_iter().all(|other| row(other) != first));
            let dropped = |row: &[f32]| row.iter().filter(|factor| **factor == 0.0).count() as f64 / 20_000.0;
            assert!((dropped(&first) - share).abs() < 0.015, "{share}: {}", dropped(&first));
            let both = first.iter().zip(&second).filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
            assert!(
                (both as f64 / 20_000.0 - share * share).abs() < 0.015,
                "{share}: rows depend on each other"
            );
            let mean: f32 = first.iter().sum::<f32>() / 20_000.0;
            assert!((mean - 1.0).abs() < 0.15, "{share}: {mean}");
        }
    }

    #[test]
    fn samples_keep_their_weights_wherever_they_are() {
        let factors = |dropout: Dropout, at: [usize; 3]| {
            let mut factors = [0.0; 40];
            dropout.factors(at, 4, 0, &mut factors);
            factors
        };
        let share = Draws { seed: 0, first: 2, step: 3 }.within(|| Dropout::new(0.5, 3));
        let whole = Dropout::new(0.5, 3);
        for item in 0..5 {
            assert_eq!(factors(share, [item, 3, 7]), factors(whole, [2 + 3 * item, 3, 7]));
        }
    }
}
