//! A whole picture at another size, in the very numbers of Pillow: what a model says of a picture then does
//! not depend on the program that made it small.
//!
//! ```text
//! across, then down; each value: (2^21 + sum of pixel x factor) / 2^22, cut off at 0 and 255;
//! factors are whole numbers
//! ```
//!
//! As Pillow's `resize` of 8-bit pictures, antialiased: the filter is as wide as the pictures' sizes are
//! apart.

use super::super::picture::Picture;
use super::resize::Interpolation;
use crate::buffers;
use std::borrow::Cow;

/// Bits of a factor behind the point: with 8 of a pixel and the sign there are 30.
const BITS: u32 = 22;

/// One half, so that values are rounded.
const HALF: i32 = 1 << (BITS - 1);

impl Interpolation {
    /// The reach of the filter, in pixels.
    fn reach(self) -> f64 {
        match self {
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        }
    }

    /// The filter at a distance, in pixels.
    fn at(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Interpolation::Bilinear => (1.0 - x).max(0.0),
            // Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1/2.
            Interpolation::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            Interpolation::Bicubic => 0.0,
        }
    }
}

/// The old values that a new one is made of: the first of them, and the factors of it and its successors.
struct Taps {
    first: usize,
    factors: Vec<i32>,
}

/// The taps of a side of `from` pixels that becomes one of `to`.
fn taps(from: usize, to: usize, interpolation: Interpolation) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let widened = scale.max(1.0);
    let reach = interpolation.reach() * widened;
    let of = |at: usize| {
        let center = (at as f64 + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as usize;
        let end = ((center + reach + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end)
            .map(|pixel| interpolation.at((pixel as f64 - center + 0.5) * (1.0 / widened)))
            .collect();
        let sum: f64 = weights.iter().sum();
        let whole = |weight: &f64| (weight / sum * f64::from(1 << BITS)).round() as i32;
        Taps { first, factors: weights.iter().map(whole).collect() }
    };
    (0..to).map(of).collect()
}

fn rounded(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// A picture at the size `[height, width]`.
pub(super) fn resample(picture: Picture, size: [usize; 2], interpolation: Interpolation) -> Picture {
    match picture.channels {
        1 => of_channels::<1>(picture, size, interpolation),
        _ => of_channels::<3>(picture, size, interpolation),
    }
}

fn of_channels<const C: usize>(
    picture: Picture,
    [height, width]: [usize; 2],
    interpolation: Interpolation,
) -> Picture {
    let mut picture = picture;
    if picture.width != width {
        let taps = taps(picture.width, width, interpolation);
        let pixels = across::<C>(&picture.pixels, picture.width, &taps);
        picture = replaced(picture, pixels);
        picture.width = width;
    }
    if picture.height != height {
        let taps = taps(picture.height, height, interpolation);
        let pixels = down(&picture.pixels, width * C, &taps);
        picture = replaced(picture, pixels);
        picture.height = height;
    }
    picture
}

/// The picture with other pixels; the buffer of the old ones is used again.
fn replaced(picture: Picture, pixels: Vec<u8>) -> Picture {
    if let Cow::Owned(used) = picture.pixels {
        buffers::give_back(used);
    }
    Picture { pixels: Cow::Owned(pixels), ..picture }
}

/// Rows of `width` pixels to rows of as many as there are `taps`.
fn across<const C: usize>(pixels: &[u8], width: usize, taps: &[Taps]) -> Vec<u8> {
    let mut output = Vec::with_capacity(pixels.len() / width * taps.len());
    for row in pixels.chunks_exact(width * C) {
        for Taps { first, factors } in taps {
            let mut sums = [HALF; C];
            for (pixel, factor) in row[first * C..].chunks_exact(C).zip(factors) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * factor;
                }
            }
            output.extend(sums.map(rounded));
        }
    }
    output
}

/// Rows of `length` values to as many rows as there are `taps`.
fn down(pixels: &[u8], length: usize, taps: &[Taps]) -> Vec<u8> {
    let mut output = Vec::with_capacity(length * taps.len());
    let mut sums = vec![0; length];
    for Taps { first, factors } in taps {
        sums.fill(HALF);
        for (row, factor) in pixels[first * length..].chunks_exact(length).zip(factors) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * factor;
            }
        }
        output.extend(sums.iter().map(|sum| rounded(*sum)));
    }
    output
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pixels_are_pillows_without_exception() {
        for (name, size, interpolation) in [
            ("bilinear", [13, 17], Interpolation::Bilinear),
            ("bicubic", [13, 17], Interpolation::Bicubic),
            ("bicubic_larger", [60, 70], Interpolation::Bicubic),
        ] {
            let (picture, expected) = golden(47, 61, name);
            let found = resample(picture, size, interpolation);
            assert_eq!([found.height, found.width], size);
            assert!(found.pixels[..] == expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_flat_picture_stays_flat(
            from in (1usize..40, 1usize..40), to in (1usize..40, 1usize..40), value: u8, coloured: bool, cubic: bool,
        ) {
            let channels = if coloured { 3 } else { 1 };
            let interpolation = if cubic { Interpolation::Bicubic } else { Interpolation::Bilinear };
            let pixels = Cow::Owned(vec![value; from.0 * from.1 * channels]);
            let flat = Picture { channels, height: from.0, width: from.1, full: [from.0, from.1], pixels };
            let found = resample(flat, [to.0, to.1], interpolation);
            prop_assert_eq!(&found.pixels[..], &vec![value; to.0 * to.1 * channels][..]);
        }
    }
}
