//! Pictures of other sizes in training than in evaluation, and larger ones as epochs pass.
//!
//! Touvron, Vedaldi, Douze and Jégou, "Fixing the train-test resolution discrepancy", 2019; Leclerc et al.,
//! "FFCV", 2022, for growth in proportion to the epoch, in steps of 32 pixels.

use serde::{Deserialize, Serialize};

/// A growth of pictures over epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Pixels a side at first.
    pub from: usize,
    /// The last epoch, from 0 on, that has these.
    pub begin: u64,
    /// The first epoch that has the last size.
    pub end: u64,
}

/// The sides of the training pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) struct Sizes {
    pub last: usize,
    pub growth: Option<Growth>,
}

impl Sizes {
    /// Pixels a side in an epoch.
    pub(super) fn at(&self, epoch: u64) -> usize {
        const STEP: f64 = 32.0;
        match self.growth {
            Some(growth) if epoch <= growth.begin => growth.from,
            Some(growth) if epoch < growth.end => {
                let passed = (epoch - growth.begin) as f64 / (growth.end - growth.begin) as f64;
                let side = growth.from as f64 + passed * (self.last as f64 - growth.from as f64);
                ((side / STEP).round() * STEP).clamp(growth.from as f64, self.last as f64) as usize
            }
            _ => self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_grow_in_steps_between_two_epochs() {
        let sizes = Sizes { last: 192, growth: Some(Growth { from: 128, begin: 2, end: 6 }) };
        let sides: Vec<usize> = (0..9).map(|epoch| sizes.at(epoch)).collect();
        assert_eq!(sides, [128, 128, 128, 160, 160, 192, 192, 192, 192]);
        assert_eq!(Sizes { last: 50, growth: None }.at(0), 50);
        let small = Sizes { last: 50, growth: Some(Growth { from: 40, begin: 0, end: 2 }) };
        assert_eq!((small.at(0), small.at(1), small.at(2)), (40, 40, 50));
    }
}
