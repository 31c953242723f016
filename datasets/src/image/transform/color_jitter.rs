//! Brightness, contrast, saturation and hue changed at random, in a random sequence.
//!
//! Howard, "Some improvements on deep convolutional neural network based image classification", 2013; as
//! torchvision's `ColorJitter`.

use super::operations::Operation;
use bonfire_contract::SplitMix64;
use serde::{Deserialize, Serialize};

/// The greatest change of each property.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Factors from `1 - brightness` (not below 0) to `1 + brightness`.
    pub brightness: f64,
    /// Likewise.
    pub contrast: f64,
    /// Likewise.
    pub saturation: f64,
    /// Turns of the colour circle from `-hue` to `hue`; 0.5 at the most.
    pub hue: f64,
}

impl ColorJitter {
    /// The key and value that cannot be, where one is.
    pub(in crate::image) fn wrong(&self) -> Option<(&'static str, f64)> {
        [
            ("brightness", self.brightness, f64::MAX),
            ("contrast", self.contrast, f64::MAX),
            ("saturation", self.saturation, f64::MAX),
            ("hue", self.hue, 0.5),
        ]
        .into_iter()
        .find(|(_, value, most)| !(0.0..=*most).contains(value))
        .map(|(key, value, _)| (key, value))
    }

    /// The operations on one picture, in their sequence.
    pub(super) fn operations(&self, draws: &mut SplitMix64) -> Vec<Operation> {
        let mut factor = |reach: f64| {
            let least = (1.0 - reach).max(0.0);
            least + (1.0 + reach - least) * draws.unit()
        };
        let mut operations = vec![
            Operation::Brightness(factor(self.brightness)),
            Operation::Contrast(factor(self.contrast)),
            Operation::Saturation(factor(self.saturation)),
            Operation::Hue(self.hue * (2.0 * draws.unit() - 1.0)),
        ];
        let changed = [self.brightness, self.contrast, self.saturation, self.hue];
        // Fisher and Yates
        for last in (1..operations.len()).rev() {
            operations.swap(last, draws.below(last as u64 + 1) as usize);
        }
        operations.retain(|operation| match operation {
            Operation::Brightness(_) => changed[0] > 0.0,
            Operation::Contrast(_) => changed[1] > 0.0,
            Operation::Saturation(_) => changed[2] > 0.0,
            _ => changed[3] > 0.0,
        });
        operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_stays_off_and_factors_stay_within_reach() {
        let jitter = ColorJitter { brightness: 0.4, hue: 0.1, ..ColorJitter::default() };
        let mut first = [0, 0];
        for draw in 0..500 {
            let operations = jitter.operations(&mut SplitMix64::new(bonfire_contract::mix(1, draw)));
            assert_eq!(operations.len(), 2);
            for operation in &operations {
                match operation {
                    Operation::Brightness(factor) => assert!((0.6..=1.4).contains(factor)),
                    Operation::Hue(turns) => assert!(turns.abs() <= 0.1),
                    other => panic!("{other:?}"),
                }
            }
            first[usize::from(matches!(operations[0], Operation::Hue(_)))] += 1;
        }
        assert!(first.iter().all(|count| *count > 200), "{first:?}");
        assert_eq!(ColorJitter { hue: 0.6, ..jitter }.wrong(), Some(("hue", 0.6)));
        assert!(ColorJitter { contrast: f64::NAN, ..jitter }.wrong().is_some() && jitter.wrong().is_none());
    }
}
