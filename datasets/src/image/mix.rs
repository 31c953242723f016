//! Pictures of a batch mixed in pairs, and their classes with them.
//!
//! - Mixup: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond empirical risk minimization", 2017
//! - CutMix: Yun et al., "CutMix: Regularization strategy to train strong classifiers with localizable
//!   features", 2019
//!
//! As timm's `Mixup` in its mode `batch`: one share for the whole batch, and of the two, where both are on,
//! either with a probability of one half.

use bonfire_contract::{SplitMix64, mix};
use std::ops::Range;

/// The mixing that a recipe asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mixing {
    /// The parameter of mixup's Beta distribution; 0 for none.
    pub mixup: f64,
    /// The parameter of CutMix's Beta distribution; 0 for none.
    pub cutmix: f64,
}

impl Mixing {
    pub(super) fn is_on(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }

    /// Draws the mixing of one batch of `[height, width]`.
    pub(super) fn draw(&self, [height, width]: [usize; 2], draw: u64) -> Mixed {
        const STREAM: u64 = 101;
        let mut draws = SplitMix64::new(mix(draw, STREAM));
        let cut = self.cutmix > 0.0 && (self.mixup <= 0.0 || draws.coin());
        let own = beta(if cut { self.cutmix } else { self.mixup }, &mut draws);
        if !cut {
            return Mixed::Blended { own };
        }
        // A box of the rest's share of the area about a middle anywhere, cut off at the edges.
        let reach = (1.0 - own).sqrt() / 2.0;
        let mut span = |side: usize| {
            let (middle, half) = (draws.below(side as u64) as f64, reach * side as f64);
            let bound = |at: f64| at.round().clamp(0.0, side as f64) as usize;
            bound(middle - half)..bound(middle + half)
        };
        Mixed::Cut { rows: span(height), columns: span(width), size: [height, width] }
    }
}

/// The mixing of the pairs of one batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mixed {
    /// By one share.
    Blended { own: f64 },
    /// By the exchange of a box.
    Cut { rows: Range<usize>, columns: Range<usize>, size: [usize; 2] },
}

impl Mixed {
    /// The share of each picture that stays its own.
    pub(super) fn own(&self) -> f64 {
        match self {
            Mixed::Blended { own } => *own,
            Mixed::Cut { rows, columns, size: [height, width] } => {
                1.0 - (rows.len() * columns.len()) as f64 / (height * width) as f64
            }
        }
    }

    /// Mixes two pictures of `[C, height, width]` in place.
    pub(super) fn apply(&self, a: &mut [f32], b: &mut [f32]) {
        match self {
            Mixed::Blended { own } => {
                let (own, other) = (*own as f32, (1.0 - own) as f32);
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (own * *a + other * *b, own * *b + other * *a);
                }
            }
            Mixed::Cut { rows, columns, size: [height, width] } => {
                let plane = height * width;
                for (a, b) in a.chunks_exact_mut(plane).zip(b.chunks_exact_mut(plane)) {
                    for row in rows.clone() {
                        let part = row * width + columns.start..row * width + columns.end;
                        a[part.clone()].swap_with_slice(&mut b[part]);
                    }
                }
            }
        }
    }
}

/// One number of the distribution Beta(alpha, alpha).
fn beta(alpha: f64, draws: &mut SplitMix64) -> f64 {
    let (a, b) = (gamma(alpha, draws), gamma(alpha, draws));
    // Both round to 0 where alpha is tiny: the distribution is at the ends then.
    if a + b > 0.0 { a / (a + b) } else { f64::from(u8::from(draws.coin())) }
}

/// One number of the Gamma distribution. Marsaglia and Tsang, "A simple method for generating gamma
/// variables", 2000.
fn gamma(shape: f64, draws: &mut SplitMix64) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, draws) * (1.0 - draws.unit()).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        // Box and Muller
        let x = (-2.0 * (1.0 - draws.unit()).ln()).sqrt() * (std::f64::consts::TAU * draws.unit()).cos();
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - draws.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_mean_and_spread_of_their_distribution() {
        for alpha in [0.2, 1.0, 3.0] {
            let mut draws = SplitMix64::new(4);
            let shares: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut draws)).collect();
            let mean = shares.iter().sum::<f64>() / 20_000.0;
            let variance = shares.iter().map(|share| (share - 0.5).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "{alpha}: {variance}, not {expected}");
        }
    }

    /// Two pictures of 2 x 6 x 5, one of zeros and one of ones, mixed.
    fn mixed(mixing: Mixing, draw: u64) -> ([Vec<f32>; 2], f64) {
        let mut pictures = [vec![0.0; 60], vec![1.0; 60]];
        let [a, b] = &mut pictures;
        let mixed = mixing.draw([6, 5], draw);
        mixed.apply(a, b);
        (pictures, mixed.own())
    }

    #[test]
    fn mixup_blends_a_pair_by_one_share() {
        let (pictures, own) = mixed(Mixing { mixup: 0.8, cutmix: 0.0 }, 3);
        assert!(own > 0.0 && own < 1.0);
        for (picture, expected) in pictures.iter().zip([1.0 - own, own]) {
            assert!(picture.iter().all(|value| (f64::from(*value) - expected).abs() < 1e-6));
        }
    }

    #[test]
    fn cutmix_exchanges_one_box_and_counts_its_area() {
        let mut shares = Vec::new();
        for draw in 0..300 {
            let (pictures, own) = mixed(Mixing { mixup: 0.0, cutmix: 1.0 }, draw);
            for (picture, number) in pictures.iter().zip([0.0, 1.0]) {
                let kept = picture.iter().filter(|value| **value == number).count();
                assert!(picture.iter().all(|value| value.fract() == 0.0));
                assert!((kept as f64 / 60.0 - own).abs() < 1e-9);
            }
            shares.push(own);
        }
        let mean = shares.iter().sum::<f64>() / 300.0;
        // Boxes are cut off at the edges: a little more than half stays.
        assert!((0.5..0.75).contains(&mean), "{mean}");
        let both = Mixing { mixup: 1.0, cutmix: 1.0 };
        let cuts = (0..200).filter(|draw| matches!(both.draw([6, 5], *draw), Mixed::Cut { .. })).count();
        assert!((70..130).contains(&cuts), "{cuts}");
    }
}
