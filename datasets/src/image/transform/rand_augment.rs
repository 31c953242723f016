//! Some operations of one common strength.
//!
//! Cubuk, Zoph, Shlens and Le, "RandAugment: Practical automated data augmentation with a reduced search
//! space", 2019, with torchvision's list, strengths and signs.

use super::operations::Operation;
use bonfire_contract::SplitMix64;
use serde::{Deserialize, Serialize};

/// Strengths are numbered from 0 to 30.
pub(super) const STRENGTHS: u64 = 31;

/// The number of operations, and their strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Operations on each picture.
    pub operations: usize,
    /// 0 to 30.
    pub magnitude: u64,
}

impl Default for RandAugment {
    fn default() -> Self {
        RandAugment { operations: 2, magnitude: 9 }
    }
}

impl RandAugment {
    /// The operations on one picture of `[height, width]`.
    pub(super) fn operations(&self, size: [usize; 2], draws: &mut SplitMix64) -> Vec<Operation> {
        // A fraction of the sides of the pictures of 331 pixels that the strengths were found on.
        let [down, across] = size.map(|side| 150.0 / 331.0 * side as f64);
        let reach = Reach { shear: 0.3, translate: [down, across], rotate: 30.0, factor: 0.9, bits: 4.0 };
        (0..self.operations).map(|_| reach.draw(self.magnitude, draws)).collect()
    }
}

/// The greatest strength of each operation.
pub(super) struct Reach {
    pub shear: f64,
    /// Pixels down, and across.
    pub translate: [f64; 2],
    /// Degrees.
    pub rotate: f64,
    /// Beside 1.
    pub factor: f64,
    /// Bits that are taken away.
    pub bits: f64,
}

impl Reach {
    /// One of the fourteen operations, in a strength of 0 to 30; what has a direction goes either way.
    pub(super) fn draw(&self, strength: u64, draws: &mut SplitMix64) -> Operation {
        let share = strength as f64 / (STRENGTHS - 1) as f64;
        let operation = draws.below(14);
        let sign = if draws.coin() { 1.0 } else { -1.0 };
        let [down, across] = self.translate;
        let factor = 1.0 + sign * self.factor * share;
        match operation {
            0 => Operation::Identity,
            1 => Operation::ShearX(sign * self.shear * share),
            2 => Operation::ShearY(sign * self.shear * share),
            3 => Operation::TranslateX((sign * across * share) as i64),
            4 => Operation::TranslateY((sign * down * share) as i64),
            5 => Operation::Rotate(sign * self.rotate * share),
            6 => Operation::Brightness(factor),
            7 => Operation::Saturation(factor),
            8 => Operation::Contrast(factor),
            9 => Operation::Sharpness(factor),
            10 => Operation::Posterize(8 - (self.bits * share).round() as u32),
            11 => Operation::Solarize(255.0 * (1.0 - share)),
            12 => Operation::AutoContrast,
            _ => Operation::Equalize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_drawn_both_ways_and_no_further_than_it_reaches() {
        let mut seen = std::collections::BTreeMap::new();
        for draw in 0..4_000 {
            let operations = RandAugment { operations: 2, magnitude: 30 }
                .operations([331, 331], &mut SplitMix64::new(bonfire_contract::mix(5, draw)));
            assert_eq!(operations.len(), 2);
            for operation in operations {
                let known = match operation {
                    Operation::ShearX(by) | Operation::ShearY(by) => by.abs() == 0.3,
                    Operation::TranslateX(by) | Operation::TranslateY(by) => by.abs() == 150,
                    Operation::Rotate(by) => by.abs() == 30.0,
                    Operation::Posterize(bits) => bits == 4,
                    Operation::Solarize(threshold) => threshold == 0.0,
                    Operation::Brightness(f) | Operation::Contrast(f) => (f - 1.0).abs() < 0.900_001,
                    Operation::Hue(_) => false,
                    _ => true,
                };
                assert!(known, "{operation:?}");
                *seen.entry(format!("{operation:?}")).or_insert(0) += 1;
            }
        }
        // Fourteen, nine of them in two directions.
        assert_eq!(seen.len(), 23, "{seen:?}");
        assert!(seen.values().all(|count| *count > 150), "{seen:?}");
    }
}
