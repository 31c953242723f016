//! A decoded picture to the numbers that a model eats.
//!
//! ```text
//! [H, W, C] u8 -> resize -> centre crop -> (training: pad and crop, flip) -> normalise -> [C, H, W] f32
//! ```

use super::ImageSchema;
use super::picture::Picture;
use crate::Draws;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::borrow::Cow;
use std::cell::RefCell;

/// What is random about a picture in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Augment {
    /// Pixels of black on each side before the random crop.
    pub random_crop: usize,
    /// Whether every second picture is mirrored.
    pub flip: bool,
}

/// The steps from a picture to its numbers; pure, given a draw.
#[derive(Clone, Debug)]
pub(super) struct Transform {
    resize: Option<[usize; 2]>,
    center_crop: Option<[usize; 2]>,
    /// The size that all pictures must end with.
    size: [usize; 2],
    augment: Augment,
    /// Each channel's value for each of the 256 values of a pixel.
    values: Vec<[f32; 256]>,
}

/// A picture whose size does not fit: what was expected, and what it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongSize {
    pub expected: String,
    pub found: String,
}

impl Transform {
    /// The schema's transforms, and `augment` for training.
    pub(super) fn new(schema: &ImageSchema, augment: Augment) -> Self {
        let values = schema
            .mean
            .iter()
            .zip(&schema.std)
            .map(|(mean, std)| std::array::from_fn(|value| ((value as f64 / 255.0 - mean) / std) as f32));
        Transform {
            resize: schema.resize,
            center_crop: schema.center_crop,
            size: [schema.height, schema.width],
            augment,
            values: values.collect(),
        }
    }

    /// The number of channels that pictures must have.
    pub(super) fn channels(&self) -> usize {
        self.values.len()
    }

    /// `[channels, height, width]` values, one after the other.
    ///
    /// Random crop and flip follow torchvision's `RandomCrop(size, padding)` and
    /// `RandomHorizontalFlip`: zeros are padded before the normalisation.
    pub(super) fn apply(&self, picture: Picture, draw: u64) -> Result<Vec<f32>, WrongSize> {
        let picture = scale(picture, self.resize);
        let [top, left] = self.corner(&picture)?;
        let [height, width] = self.size;
        let padding = self.augment.random_crop;
        // All three are always drawn, so that turning one off leaves the others as they were.
        let mut draws = Draws::new(draw);
        let mut shift = || draws.below(2 * padding as u64 + 1) as isize - padding as isize;
        let (down, right) = (shift(), shift());
        let mirrored = draws.coin() && self.augment.flip;

        // The part of the shifted frame that lies in the picture; around it is black.
        let covered = |shift: isize, length: usize| {
            let first = shift.saturating_neg().clamp(0, length as isize) as usize;
            first..(length as isize - shift).clamp(first as isize, length as isize) as usize
        };
        let (mut rows, columns) = (covered(down, height), covered(right, width));
        if columns.is_empty() {
            rows = 0..0;
        }
        let channels = self.channels();
        let mut output = Vec::with_capacity(channels * height * width);
        for values in &self.values {
            output.resize(output.len() + height * width, values[0]);
        }
        for y in rows {
            let row = top + y.wrapping_add_signed(down);
            let start = row * picture.width + left + columns.start.wrapping_add_signed(right);
            let pixels = &picture.pixels[start * channels..(start + columns.len()) * channels];
            for (channel, (plane, values)) in
                output.chunks_exact_mut(height * width).zip(&self.values).enumerate()
            {
                let plane = &mut plane[y * width..(y + 1) * width];
                let values =
                    pixels[channel..].iter().step_by(channels).map(|pixel| values[usize::from(*pixel)]);
                if mirrored {
                    let places = plane[width - columns.end..width - columns.start].iter_mut().rev();
                    places.zip(values).for_each(|(place, value)| *place = value);
                } else {
                    let places = plane[columns.clone()].iter_mut();
                    places.zip(values).for_each(|(place, value)| *place = value);
                }
            }
        }
        Ok(output)
    }

    /// Where the centre crop begins, once the picture's size is known to fit.
    fn corner(&self, picture: &Picture) -> Result<[usize; 2], WrongSize> {
        let [height, width] = self.size;
        let fits = match self.center_crop {
            Some(_) => picture.height >= height && picture.width >= width,
            None => picture.height == height && picture.width == width,
        };
        if fits {
            return Ok([(picture.height - height) / 2, (picture.width - width) / 2]);
        }
        let expected = match self.center_crop {
            Some(_) => format!("at least the {height} x {width} of center_crop"),
            None => format!("{height} x {width} as the first picture, or data.resize or data.center_crop"),
        };
        Err(WrongSize { expected, found: format!("{} x {} (height x width)", picture.height, picture.width) })
    }
}

/// The picture at another size, by a triangle filter that widens when it shrinks (antialiased).
fn scale<'a>(picture: Picture<'a>, size: Option<[usize; 2]>) -> Picture<'a> {
    let Some([height, width]) = size else { return picture };
    if [picture.height, picture.width] == [height, width] {
        return picture;
    }
    let kind = if picture.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let (from, to) = ([picture.width as u32, picture.height as u32], [width as u32, height as u32]);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let mut scaled = Image::new(to[0], to[1], kind);
    let resized = ImageRef::new(from[0], from[1], &picture.pixels, kind)
        .map_err(|error| error.to_string())
        .and_then(|picture| {
            // its tables and buffers serve all pictures of a thread
            RESIZER.with_borrow_mut(|resizer| {
                resizer.resize(&picture, &mut scaled, &options).map_err(|error| error.to_string())
            })
        });
    resized.expect("two pictures of one kind, with as many pixels as their sizes say");
    Picture { height, width, pixels: Cow::Owned(scaled.into_vec()), ..picture }
}

thread_local! {
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::schema::tests::schema;
    use proptest::prelude::*;

    fn picture(height: usize, width: usize, channels: usize) -> Picture<'static> {
        let pixels = (0..height * width * channels).map(|at| (at * 7 + 1) as u8).collect();
        Picture { channels, height, width, pixels: Cow::Owned(pixels) }
    }

    fn augmented(schema: &ImageSchema, random_crop: usize, flip: bool) -> Transform {
        Transform::new(schema, Augment { random_crop, flip })
    }

    #[test]
    fn pixels_become_channels_first_and_normalised() {
        let mut schema = schema(3, 1, 2);
        schema.mean = vec![0.0, 0.5, 0.0];
        schema.std = vec![1.0, 0.5, 0.25];
        let pixels = Cow::Owned(vec![0, 255, 51, 255, 0, 102]);
        let picture = Picture { channels: 3, height: 1, width: 2, pixels };
        let values = Transform::new(&schema, Augment::default()).apply(picture, 0).unwrap();
        assert_eq!(values, [0.0, 1.0, 1.0, -1.0, 0.8, 1.6]);
    }

    #[test]
    fn the_centre_is_cut_out() {
        let mut schema = schema(1, 2, 2);
        schema.center_crop = Some([2, 2]);
        let transform = Transform::new(&schema, Augment::default());
        let pixels = Cow::Owned((0..20).collect());
        let picture = Picture { channels: 1, height: 4, width: 5, pixels };
        // Rows 1 and 2, columns 1 and 2.
        let expected = [6, 7, 11, 12].map(|value| (f64::from(value) / 255.0) as f32);
        assert_eq!(transform.apply(picture, 0).unwrap(), expected);
    }

    #[test]
    fn a_wrong_size_is_named() {
        let transform = Transform::new(&schema(1, 4, 6), Augment::default());
        let error = transform.apply(picture(6, 4, 1), 0).unwrap_err();
        assert_eq!(error.found, "6 x 4 (height x width)");
        assert!(error.expected.starts_with("4 x 6"));
        let mut small = schema(1, 4, 6);
        small.center_crop = Some([4, 6]);
        assert!(Transform::new(&small, Augment::default()).apply(picture(4, 5, 1), 0).is_err());
    }

    #[test]
    fn resizing_keeps_a_flat_picture_flat_and_averages_when_shrinking() {
        for channels in [1, 3] {
            let mut schema = schema(channels, 3, 5);
            schema.resize = Some([3, 5]);
            let transform = Transform::new(&schema, Augment::default());
            let flat = Picture { channels, height: 9, width: 4, pixels: Cow::Owned(vec![51; 36 * channels]) };
            let values = transform.apply(flat, 0).unwrap();
            assert_eq!(values.len(), 15 * channels);
            assert!(values.iter().all(|value| (value - 0.2).abs() < 1e-6));
        }
        // A checkerboard of single pixels is grey from far away.
        let board = (0..64 * 64).map(|at| if (at / 64 + at) % 2 == 0 { 0 } else { 255 }).collect();
        let board = Picture { channels: 1, height: 64, width: 64, pixels: Cow::Owned(board) };
        let small = scale(board, Some([8, 8]));
        assert!(small.pixels.iter().all(|value| value.abs_diff(128) < 8), "{:?}", small.pixels);
    }

    #[test]
    fn draws_reach_every_shift_and_both_sides() {
        let transform = augmented(&schema(1, 3, 3), 1, true);
        let mut seen: Vec<Vec<u32>> = (0..2_000)
            .map(|draw| transform.apply(picture(3, 3, 1), crate::mix(1, draw)).unwrap())
            .map(|values| values.iter().map(|value| value.to_bits()).collect())
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 3 * 3 * 2);
    }

    proptest! {
        #[test]
        fn augmenting_shifts_and_mirrors_and_changes_nothing_else(
            draw: u64, height in 1usize..9, width in 1usize..9, coloured: bool,
            random_crop in 0usize..4, flip: bool,
        ) {
            let channels = if coloured { 3 } else { 1 };
            let schema = schema(channels, height, width);
            let plain = augmented(&schema, 0, false).apply(picture(height, width, channels), draw).unwrap();
            let transform = augmented(&schema, random_crop, flip);
            let values = transform.apply(picture(height, width, channels), draw).unwrap();
            prop_assert_eq!(&values, &transform.apply(picture(height, width, channels), draw).unwrap());

            let black = 0.0f32;
            let at = |c: usize, y: i64, x: i64| {
                match (0..height as i64).contains(&y) && (0..width as i64).contains(&x) {
                    true => plain[(c * height + y as usize) * width + x as usize],
                    false => black,
                }
            };
            let reach = random_crop as i64;
            let explained = (-reach..=reach).any(|down| (-reach..=reach).any(|right| [false, true].iter().any(|&mirrored| {
                (!mirrored || flip) && (0..channels).all(|c| (0..height).all(|y| (0..width).all(|x| {
                    let from = if mirrored { width - 1 - x } else { x };
                    values[(c * height + y) * width + x] == at(c, y as i64 + down, from as i64 + right)
                })))
            })));
            prop_assert!(explained);
        }
    }
}
