//! The operations of RandAugment, TrivialAugment and colour jitter, on pixels of 8 bits, as Pillow does them.
//!
//! Cubuk et al., "AutoAugment", 2018, table 6, for the list; Pillow's `ImageEnhance` and `ImageOps` and
//! torchvision's affine maps for what each means: values are cut off, not rounded, and what comes from
//! outside the picture is black.

use super::super::form::luma as grey;
use super::super::picture::Picture;
use std::borrow::Cow;

/// One operation and its strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation {
    Identity,
    /// Rows move to the left by this many pixels for each pixel downwards.
    ShearX(f64),
    /// Columns move up by this many pixels for each pixel to the right.
    ShearY(f64),
    /// To the right, in whole pixels.
    TranslateX(i64),
    TranslateY(i64),
    /// Counterclockwise about the middle, in degrees.
    Rotate(f64),
    /// 0 is black, 1 the picture.
    Brightness(f64),
    /// 0 is grey throughout, 1 the picture.
    Contrast(f64),
    /// 0 is without colour, 1 the picture.
    Saturation(f64),
    /// Turns of the colour circle, from -0.5 to 0.5.
    Hue(f64),
    /// 0 is smoothed, 1 the picture.
    Sharpness(f64),
    /// Keeps this many of the higher bits.
    Posterize(u32),
    /// Inverts what is at least this bright.
    Solarize(f64),
    /// Stretches each channel to 0..255.
    AutoContrast,
    /// Spreads each channel evenly over 0..255.
    Equalize,
}

impl Operation {
    /// The picture after it.
    pub(super) fn apply<'a>(self, picture: Picture<'a>) -> Picture<'a> {
        match self {
            Operation::Identity => picture,
            Operation::ShearX(by) => affine(picture, [[1.0, by, 0.0], [0.0, 1.0, 0.0]]),
            Operation::ShearY(by) => affine(picture, [[1.0, 0.0, 0.0], [by, 1.0, 0.0]]),
            Operation::TranslateX(by) => affine(picture, [[1.0, 0.0, -by as f64], [0.0, 1.0, 0.0]]),
            Operation::TranslateY(by) => affine(picture, [[1.0, 0.0, 0.0], [0.0, 1.0, -by as f64]]),
            Operation::Rotate(degrees) => rotate(picture, degrees),
            Operation::Brightness(factor) => {
                let table: [u8; 256] = std::array::from_fn(|value| blend(0.0, value as f64, factor));
                each(picture, |_, value| table[usize::from(value)])
            }
            Operation::Contrast(factor) => {
                let sum: u64 = greys(&picture).map(u64::from).sum();
                let mean = (sum as f64 / (picture.height * picture.width).max(1) as f64 + 0.5).floor();
                let table: [u8; 256] = std::array::from_fn(|value| blend(mean, value as f64, factor));
                each(picture, |_, value| table[usize::from(value)])
            }
            Operation::Saturation(_) if picture.channels == 1 => picture,
            Operation::Saturation(factor) => pixels(picture, |[r, g, b]| {
                let grey = f64::from(grey([r, g, b]));
                [r, g, b].map(|value| blend(grey, f64::from(value), factor))
            }),
            Operation::Hue(_) if picture.channels == 1 => picture,
            Operation::Hue(turns) => pixels(picture, |pixel| turned(pixel, turns)),
            Operation::Sharpness(factor) => sharpen(picture, factor),
            Operation::Posterize(bits) => {
                let mask = !(0xff_u32 >> bits.min(8)) as u8;
                each(picture, |_, value| value & mask)
            }
            Operation::Solarize(threshold) => {
                each(picture, |_, value| if f64::from(value) < threshold { value } else { 255 - value })
            }
            Operation::AutoContrast => by_histogram(picture, stretched),
            Operation::Equalize => by_histogram(picture, equalized),
        }
    }
}

/// `factor` parts of `image` and the rest of `other`, which may lie outside of the two.
fn blend(other: f64, image: f64, factor: f64) -> u8 {
    (other + factor * (image - other)) as u8
}

fn greys(picture: &Picture) -> impl Iterator<Item = u8> {
    picture.pixels.chunks_exact(picture.channels).map(|pixel| match pixel {
        &[r, g, b] => grey([r, g, b]),
        pixel => pixel[0],
    })
}

/// Changes every value, given its channel.
fn each<'a>(mut picture: Picture<'a>, change: impl Fn(usize, u8) -> u8) -> Picture<'a> {
    let channels = picture.channels;
    for pixel in picture.pixels.to_mut().chunks_exact_mut(channels) {
        for (channel, value) in pixel.iter_mut().enumerate() {
            *value = change(channel, *value);
        }
    }
    picture
}

/// Changes every pixel of a picture in colour.
fn pixels<'a>(mut picture: Picture<'a>, change: impl Fn([u8; 3]) -> [u8; 3]) -> Picture<'a> {
    for pixel in picture.pixels.to_mut().chunks_exact_mut(3) {
        pixel.copy_from_slice(&change([pixel[0], pixel[1], pixel[2]]));
    }
    picture
}

/// A pixel whose hue goes on by `turns` of the circle; through the hexcone of HSV, in 8 bits each, as
/// Pillow's.
fn turned([r, g, b]: [u8; 3], turns: f64) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [r, g, b];
    }
    let range = f64::from(most - least);
    let away = |value: u8| f64::from(most - value) / range;
    let sixths = if r == most {
        away(b) - away(g)
    } else if g == most {
        2.0 + away(r) - away(b)
    } else {
        4.0 + away(g) - away(r)
    };
    let hue = (((sixths / 6.0 + 1.0).fract() * 255.0) as u8).wrapping_add((turns * 255.0) as i64 as u8);
    let saturation = (range * 255.0 / f64::from(most)) as u8;
    let (place, saturation, value) =
        (f64::from(hue) * 6.0 / 255.0, f64::from(saturation) / 255.0, f64::from(most));
    let within = place - place.floor();
    let shade = |share: f64| (value * (1.0 - saturation * share)).round() as u8;
    let (p, q, t, v) = (shade(1.0), shade(within), shade(1.0 - within), most);
    match place as u32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

/// Blends with the picture smoothed by a kernel of 3 x 3, its middle 5 of 13; the edge stays.
fn sharpen<'a>(picture: Picture<'a>, factor: f64) -> Picture<'a> {
    let (height, width, channels) = (picture.height, picture.width, picture.channels);
    if height < 3 || width < 3 {
        return picture;
    }
    let from = &picture.pixels;
    let mut to = from.to_vec();
    let stride = width * channels;
    for y in 1..height - 1 {
        for at in y * stride + channels..(y + 1) * stride - channels {
            let row = |at: usize| {
                u32::from(from[at - channels]) + u32::from(from[at]) + u32::from(from[at + channels])
            };
            let sum = row(at - stride) + row(at) + row(at + stride) + 4 * u32::from(from[at]);
            let smooth = (f64::from(sum) / 13.0 + 0.5).floor();
            to[at] = blend(smooth, f64::from(from[at]), factor);
        }
    }
    Picture { pixels: Cow::Owned(to), ..picture }
}

/// Changes each channel by a table made of its histogram.
fn by_histogram<'a>(picture: Picture<'a>, table: impl Fn(&[u32; 256]) -> [u8; 256]) -> Picture<'a> {
    let mut histograms = vec![[0; 256]; picture.channels];
    for pixel in picture.pixels.chunks_exact(picture.channels) {
        for (histogram, value) in histograms.iter_mut().zip(pixel) {
            histogram[usize::from(*value)] += 1;
        }
    }
    let tables: Vec<[u8; 256]> = histograms.iter().map(table).collect();
    each(picture, |channel, value| tables[channel][usize::from(value)])
}

/// From the darkest to the brightest value onto 0 to 255.
fn stretched(histogram: &[u32; 256]) -> [u8; 256] {
    let least = histogram.iter().position(|count| *count > 0).unwrap_or(0) as f64;
    let most = histogram.iter().rposition(|count| *count > 0).unwrap_or(0) as f64;
    if most <= least {
        return std::array::from_fn(|value| value as u8);
    }
    let scale = 255.0 / (most - least);
    std::array::from_fn(|value| (value as f64 * scale - least * scale) as u8)
}

/// Each value by how many pixels are darker; the brightest one does not count, so that it becomes 255.
fn equalized(histogram: &[u32; 256]) -> [u8; 256] {
    let brightest = histogram.iter().rev().find(|count| **count > 0).copied().unwrap_or(0);
    let step = (histogram.iter().sum::<u32>() - brightest) / 255;
    if step == 0 {
        return std::array::from_fn(|value| value as u8);
    }
    let mut darker = step / 2;
    std::array::from_fn(|value| {
        let level = darker / step;
        darker += histogram[value];
        level.min(255) as u8
    })
}

fn rotate<'a>(picture: Picture<'a>, degrees: f64) -> Picture<'a> {
    let (sine, cosine) = (-degrees).to_radians().sin_cos();
    let (x, y) = (picture.width as f64 / 2.0, picture.height as f64 / 2.0);
    // Turned about the middle: there and back again.
    let rows = [[cosine, sine, x - cosine * x - sine * y], [-sine, cosine, y + sine * x - cosine * y]];
    affine(picture, rows)
}

/// The pixel at `(x, y)` comes from `rows * (x, y, 1)`, both counted from the picture's corner to the pixel's
/// middle; the nearest one is taken.
fn affine<'a>(picture: Picture<'a>, [[a, b, c], [d, e, f]]: [[f64; 3]; 2]) -> Picture<'a> {
    let (height, width, channels) = (picture.height, picture.width, picture.channels);
    let mut to = vec![0; picture.pixels.len()];
    for (y, row) in to.chunks_exact_mut(width * channels).enumerate() {
        let y = y as f64 + 0.5;
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let x = x as f64 + 0.5;
            let (from_x, from_y) = ((a * x + b * y + c).floor(), (d * x + e * y + f).floor());
            let inside = from_x >= 0.0 && from_y >= 0.0 && from_x < width as f64 && from_y < height as f64;
            if inside {
                let at = (from_y as usize * width + from_x as usize) * channels;
                pixel.copy_from_slice(&picture.pixels[at..at + channels]);
            }
        }
    }
    Picture { pixels: Cow::Owned(to), ..picture }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use super::*;
    use Operation::*;

    /// Largest and mean difference to Pillow's or torchvision's result.
    fn difference(operation: Operation, name: &str) -> (u8, f64) {
        let (picture, expected) = golden(11, 14, name);
        let found = operation.apply(picture);
        assert_eq!(found.pixels.len(), expected.len(), "{name}");
        let apart = || found.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
        (apart().max().unwrap(), apart().map(f64::from).sum::<f64>() / expected.len() as f64)
    }

    #[test]
    fn pixels_are_those_of_pillow() {
        let exact = [
            (ShearX(0.3), "shear_x"),
            (ShearY(-0.3), "shear_y"),
            (TranslateX(3), "translate_x"),
            (TranslateY(-4), "translate_y"),
            (Rotate(27.0), "rotate"),
            (Brightness(1.4), "brightness"),
            (Contrast(0.45), "contrast"),
            (Saturation(1.7), "saturation"),
            (Sharpness(1.8), "sharpness"),
            (Posterize(3), "posterize"),
            (Solarize(100.0), "solarize"),
            (AutoContrast, "auto_contrast"),
            (Equalize, "equalize"),
        ];
        for (operation, name) in exact {
            let (worst, mean) = difference(operation, name);
            assert!(worst <= 1 && mean < 0.05, "{name}: at most {worst} apart, {mean} on average");
        }
        // Its hue has 256 steps.
        let (worst, mean) = difference(Hue(-0.2), "hue");
        assert!(worst <= 4 && mean < 0.5, "hue: at most {worst} apart, {mean} on average");
    }

    #[test]
    fn strengths_of_nothing_change_nothing() {
        let (picture, _) = golden(11, 14, "hue");
        for operation in [
            Identity,
            ShearX(0.0),
            ShearY(0.0),
            TranslateX(0),
            TranslateY(0),
            Rotate(0.0),
            Brightness(1.0),
            Contrast(1.0),
            Saturation(1.0),
            Sharpness(1.0),
            Posterize(8),
            Solarize(256.0),
        ] {
            assert_eq!(operation.apply(picture.clone()), picture, "{operation:?}");
        }
        let grey =
            Picture { channels: 1, height: 2, width: 2, full: [2, 2], pixels: Cow::Owned(vec![9, 9, 9, 9]) };
        for operation in [Hue(0.3), Saturation(0.0), AutoContrast, Equalize, Sharpness(0.0)] {
            assert_eq!(operation.apply(grey.clone()), grey, "{operation:?}");
        }
    }
}
