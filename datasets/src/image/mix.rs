//! Pictures of a batch mixed in pairs, and their classes with them.
//!
//! - Mixup: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond empirical risk minimization", 2017
//! - CutMix: Yun et al., "CutMix: Regularization strategy to train strong classifiers with localizable features", 2019
//!
//! As timm's `Mixup` in its mode `batch`: one share for the whole batch, the first picture with the last, and of the
//! two, where both are on, either with a probability of one half.

use crate::{Draws, mix};

/// How pictures of a batch are mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mixing {
    /// The parameter of mixup's Beta distribution; 0 for none.
    pub mixup: f64,
    /// That of CutMix.
    pub cutmix: f64,
}

impl Mixing {
    pub(super) fn is_on(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }

    /// Mixes `count` pictures of `[C, H, W]` in place; returns the share of each picture that is its own, the rest being
    /// of its partner: the first of the last, and so on.
    pub(super) fn mix(
        &self,
        pixels: &mut [f32],
        count: usize,
        [_, height, width]: [usize; 3],
        draw: u64,
    ) -> f64 {
        const STREAM: u64 = 101;
        let mut draws = Draws::new(mix(draw, STREAM));
        let cut = self.cutmix > 0.0 && (self.mixup <= 0.0 || draws.coin());
        let alpha = if cut { self.cutmix } else { self.mixup };
        let own = beta(alpha, &mut draws);
        let size = pixels.len() / count.max(1);
        let pairs = |pixels: &mut [f32], change: &mut dyn FnMut(&mut [f32], &mut [f32])| {
            let (first, second) = pixels.split_at_mut(count / 2 * size);
            first.chunks_exact_mut(size).zip(second.rchunks_exact_mut(size)).for_each(|(a, b)| change(a, b));
        };
        if !cut {
            let (own, other) = (own as f32, (1.0 - own) as f32);
            pairs(pixels, &mut |a, b| {
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (own * *a + other * *b, own * *b + other * *a);
                }
            });
            return f64::from(own);
        }
        // A box of the rest's share of the area about a middle anywhere, cut off at the edges.
        let reach = (1.0 - own).sqrt() / 2.0;
        let mut span = |side: usize| {
            let (middle, half) = (draws.below(side as u64) as f64, reach * side as f64);
            let bound = |at: f64| at.round().clamp(0.0, side as f64) as usize;
            bound(middle - half)..bound(middle + half)
        };
        let (rows, columns) = (span(height), span(width));
        pairs(pixels, &mut |a, b| {
            for (a, b) in a.chunks_exact_mut(height * width).zip(b.chunks_exact_mut(height * width)) {
                for row in rows.clone() {
                    let part = row * width + columns.start..row * width + columns.end;
                    a[part.clone()].swap_with_slice(&mut b[part]);
                }
            }
        });
        1.0 - (rows.len() * columns.len()) as f64 / (height * width) as f64
    }
}

/// One number of the distribution Beta(alpha, alpha).
fn beta(alpha: f64, draws: &mut Draws) -> f64 {
    let (a, b) = (gamma(alpha, draws), gamma(alpha, draws));
    // Both round to 0 where alpha is tiny: the distribution is at the ends then.
    if a + b > 0.0 { a / (a + b) } else { f64::from(u8::from(draws.coin())) }
}

/// One number of the Gamma distribution. Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
fn gamma(shape: f64, draws: &mut Draws) -> f64 {
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
            let mut draws = Draws::new(4);
            let shares: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut draws)).collect();
            let mean = shares.iter().sum::<f64>() / 20_000.0;
            let variance = shares.iter().map(|share| (share - 0.5).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "{alpha}: {variance}, not {expected}");
        }
    }

    /// `count` pictures of 2 x 6 x 5, each of its number alone.
    fn numbered(count: usize) -> Vec<f32> {
        (0..count).flat_map(|number| [number as f32; 60]).collect()
    }

    #[test]
    fn mixup_blends_each_pair_by_one_share() {
        let mixing = Mixing { mixup: 0.8, cutmix: 0.0 };
        let mut pixels = numbered(5);
        let own = mixing.mix(&mut pixels, 5, [2, 6, 5], 3) as f32;
        assert!(own > 0.0 && own < 1.0);
        for number in 0..5 {
            let expected = own * number as f32 + (1.0 - own) * (4 - number) as f32;
            assert!(pixels[number * 60..][..60].iter().all(|value| (value - expected).abs() < 1e-5));
        }
    }

    #[test]
    fn cutmix_exchanges_one_box_and_counts_its_area() {
        let mixing = Mixing { mixup: 0.0, cutmix: 1.0 };
        let mut shares = Vec::new();
        for draw in 0..300 {
            let mut pixels = numbered(4);
            let own = mixing.mix(&mut pixels, 4, [2, 6, 5], draw);
            for number in 0..4 {
                let picture = &pixels[number * 60..][..60];
                let kept = picture.iter().filter(|value| **value == number as f32).count();
                let other = picture.iter().filter(|value| **value == (3 - number) as f32).count();
                assert_eq!(kept + other, 60);
                assert!((kept as f64 / 60.0 - own).abs() < 1e-9);
            }
            shares.push(own);
        }
        let mean = shares.iter().sum::<f64>() / 300.0;
        // Boxes are cut off at the edges: a little more than half stays.
        assert!((0.5..0.75).contains(&mean), "{mean}");
        let both = Mixing { mixup: 1.0, cutmix: 1.0 };
        let whole = |draw| {
            let mut pixels = numbered(4);
            both.mix(&mut pixels, 4, [2, 6, 5], draw);
            pixels.iter().all(|value| value.fract() == 0.0)
        };
        let cuts = (0..200).filter(|draw| whole(*draw)).count();
        assert!((70..130).contains(&cuts), "{cuts}");
    }
}
