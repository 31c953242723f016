//! One operation of a random strength.
//!
//! Müller and Hutter, "TrivialAugment: Tuning-free yet state-of-the-art data augmentation", 2021 (the wide
//! space), as torchvision's `TrivialAugmentWide`.

use super::operations::Operation;
use super::rand_augment::{Reach, STRENGTHS};
use bonfire_contract::SplitMix64;

/// The operation on one picture.
pub(super) fn operation(draws: &mut SplitMix64) -> Operation {
    let reach = Reach { shear: 0.99, translate: [32.0; 2], rotate: 135.0, factor: 0.99, bits: 6.0 };
    let strength = draws.below(STRENGTHS);
    reach.draw(strength, draws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_strengths_are_drawn() {
        let mut turns: Vec<i64> = (0..20_000)
            .filter_map(|draw| match operation(&mut SplitMix64::new(bonfire_contract::mix(6, draw))) {
                Operation::Rotate(degrees) => Some((degrees * 2.0).round() as i64),
                _ => None,
            })
            .collect();
        turns.sort_unstable();
        turns.dedup();
        assert_eq!(turns, (-30..=30).map(|strength| strength * 9).collect::<Vec<_>>());
    }
}
