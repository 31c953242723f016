//! A decoded picture to the numbers that a model eats.
//!
//! ```text
//! [H, W, C] u8 -> resize, centre crop                         -> normalise -> [C, H, W] f32
//! in training:    or random resized crop; pad and crop; mirrors;              random erasing
//!                 RandAugment or TrivialAugment; colour jitter
//! ```
//!
//! Every random choice is a pure function of the sample's draw. Each step draws from a stream of its own:
//! turning one on leaves the others as they were.

mod color_jitter;
mod operations;
mod place;
mod rand_augment;
mod random_erasing;
mod random_resized_crop;
mod resample;
mod resize;
mod sizes;
mod trivial_augment;
mod views;

pub use color_jitter::ColorJitter;
pub use rand_augment::RandAugment;
pub use resize::{Interpolation, Resize};
pub use sizes::Growth;
pub(super) use sizes::Sizes;

use super::form::Grey;
use super::picture::{Needed, Picture, whole};
use super::{ImageSchema, ImageTarget};
use crate::buffers;
use crate::records::LeftOut;
use bonfire_contract::{SplitMix64, mix};
use resample::resample;
use resize::{Part, resize};
use std::borrow::Cow;

/// The random steps of training, in this sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Augment {
    /// The least share of the area that is cut out and scaled.
    pub random_resized_crop: Option<f64>,
    /// The sides that it scales to, where these are not the sides of evaluation.
    pub size: Option<Sizes>,
    /// Pixels of black on each side before the random crop.
    pub random_crop: usize,
    /// True to mirror every second picture, left to right.
    pub flip: bool,
    /// True to turn every second picture upside down.
    pub vertical_flip: bool,
    pub rand_augment: Option<RandAugment>,
    pub trivial_augment: bool,
    pub color_jitter: ColorJitter,
    /// The probability that a rectangle is blotted out.
    pub random_erasing: f64,
}

/// The streams of draws.
#[derive(Clone, Copy)]
enum Stream {
    ResizedCrop = 1,
    VerticalFlip,
    RandAugment,
    TrivialAugment,
    ColorJitter,
    Erasing,
}

impl Stream {
    fn of(self, draw: u64) -> SplitMix64 {
        SplitMix64::new(mix(draw, self as u64))
    }
}

/// The steps from a picture to its numbers; pure, given a draw.
#[derive(Clone, Debug)]
pub(super) struct Transform {
    resize: Option<Resize>,
    interpolation: Interpolation,
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
            interpolation: schema.interpolation,
            center_crop: schema.center_crop,
            size: [schema.height, schema.width],
            augment,
            values: values.collect(),
        }
    }

    /// The usual steps of training on ImageNet, to `[height, width]`: a random resized crop, a flip, and the
    /// normalisation by ImageNet's mean and deviation.
    pub(super) fn of_imagenet([height, width]: [usize; 2]) -> Self {
        let schema = ImageSchema {
            target: ImageTarget::Class,
            labels: Vec::new(),
            channels: 3,
            height,
            width,
            resize: None,
            interpolation: Interpolation::default(),
            center_crop: None,
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
            grey: Grey::Rec601,
            background: None,
            left_out: LeftOut::default(),
            value: None,
            split: Default::default(),
        };
        let augment = Augment { random_resized_crop: Some(0.08), flip: true, ..Augment::default() };
        Transform::new(&schema, augment)
    }

    /// The number of channels that pictures must have.
    pub(super) fn channels(&self) -> usize {
        self.values.len()
    }

    /// The part of a picture of that size that a random resized crop takes, where there is one.
    fn random_part(&self, size: [usize; 2], draw: u64) -> Option<Part> {
        let least = self.augment.random_resized_crop?;
        Some(random_resized_crop::part(size, least, &mut Stream::ResizedCrop.of(draw)))
    }

    /// `[height, width]` of the pictures of an epoch.
    pub(super) fn size(&self, epoch: u64) -> [usize; 2] {
        self.augment.size.map_or(self.size, |sizes| [sizes.at(epoch); 2])
    }

    /// The part of a picture of that size that a random resized crop looks at, decoded no smaller than it can
    /// be without being scaled up again. All of it in evaluation: there every pixel counts.
    pub(super) fn need(&self, size: [usize; 2], draw: u64, epoch: u64) -> Needed {
        let Some(part) = self.random_part(size, draw) else { return whole(size) };
        let [height, width] = self.size(epoch).map(|side| side as f64);
        let enough = |by: f64| part.height >= by * height && part.width >= by * width;
        let shrink = [8, 4, 2].into_iter().find(|by| enough(*by as f64)).unwrap_or(1);
        Needed { shrink, rows: (part.top + part.height).ceil() as usize }
    }

    /// `[channels, height, width]` values, one after the other, of the [`size`](Self::size) of the epoch.
    pub(super) fn apply(&self, picture: Picture, draw: u64, epoch: u64) -> Result<Vec<f32>, WrongSize> {
        let picture = self.augmented(self.placed(picture, draw, self.size(epoch))?, draw);
        let [height, width] = [picture.height, picture.width];
        let mut output = Vec::with_capacity(self.channels() * height * width);
        self.normalise(&picture, &mut output);
        if let Cow::Owned(used) = picture.pixels {
            buffers::give_back(used);
        }
        random_erasing::erase(
            &mut output,
            [height, width],
            self.augment.random_erasing,
            &mut Stream::Erasing.of(draw),
        );
        Ok(output)
    }

    /// Appends the `[channels, height, width]` values of a picture.
    fn normalise(&self, picture: &Picture, output: &mut Vec<f32>) {
        for (channel, values) in self.values.iter().enumerate() {
            let pixels = picture.pixels.chunks_exact(self.channels());
            output.extend(pixels.map(|pixel| values[usize::from(pixel[channel])]));
        }
    }

    /// The picture as it is before the centre crop, and where that begins.
    fn scaled<'a>(&self, picture: Picture<'a>) -> Result<(Picture<'a>, [usize; 2]), WrongSize> {
        let size = [picture.height, picture.width];
        let to = self.resize.map_or(size, |to| to.of(size));
        let picture = resample(picture, to, self.interpolation);
        let corner = self.corner(&picture)?;
        Ok((picture, corner))
    }

    /// The pixels that stay, at their places.
    ///
    /// Random crop and flip follow torchvision's `RandomCrop(size, padding)` and `RandomHorizontalFlip`:
    /// zeros are padded before the normalisation.
    fn placed<'a>(
        &self,
        picture: Picture<'a>,
        draw: u64,
        wanted: [usize; 2],
    ) -> Result<Picture<'a>, WrongSize> {
        let size = [picture.height, picture.width];
        let (picture, corner) = match self.random_part(picture.full, draw) {
            Some(part) => {
                let part = part.within(picture.full, size);
                (resize(picture, part, wanted, self.interpolation), [0, 0])
            }
            None => self.scaled(picture)?,
        };
        let picture = place::cut(picture, corner.map(|at| at as isize), wanted);
        let padding = self.augment.random_crop;
        // All three are always drawn, so that turning one off leaves the others as they were.
        let mut draws = SplitMix64::new(draw);
        let mut shift = || draws.below(2 * padding as u64 + 1) as isize - padding as isize;
        let (down, right) = (shift(), shift());
        let picture = place::cut(picture, [down, right], wanted);
        let picture = if draws.coin() && self.augment.flip { place::mirror(picture) } else { picture };
        Ok(if self.augment.vertical_flip && Stream::VerticalFlip.of(draw).coin() {
            place::upend(picture)
        } else {
            picture
        })
    }

    /// The picture after what changes its colours and shapes.
    fn augmented<'a>(&self, picture: Picture<'a>, draw: u64) -> Picture<'a> {
        let augment = &self.augment;
        let mut operations = Vec::new();
        if let Some(rand_augment) = augment.rand_augment {
            operations.extend(
                rand_augment.operations([picture.height, picture.width], &mut Stream::RandAugment.of(draw)),
            );
        }
        if augment.trivial_augment {
            operations.push(trivial_augment::operation(&mut Stream::TrivialAugment.of(draw)));
        }
        operations.extend(augment.color_jitter.operations(&mut Stream::ColorJitter.of(draw)));
        operations.into_iter().fold(picture, |picture, operation| operation.apply(picture))
    }

    /// The first row and column of the centre crop, once the picture's size is known to fit.
    fn corner(&self, picture: &Picture) -> Result<[usize; 2], WrongSize> {
        let [height, width] = self.size;
        let fits = match self.center_crop {
            Some(_) => picture.height >= height && picture.width >= width,
            None => picture.height == height && picture.width == width,
        };
        if fits {
            return Ok([middle(picture.height - height), middle(picture.width - width)]);
        }
        let expected = match self.center_crop {
            Some(_) => format!("at least the {height} x {width} of center_crop"),
            None => format!("{height} x {width} as the first picture, or data.resize or data.center_crop"),
        };
        Err(WrongSize { expected, found: format!("{} x {} (height x width)", picture.height, picture.width) })
    }
}

/// Half of the room around a crop; a half is rounded to the even number, as torchvision's `CenterCrop` does.
fn middle(room: usize) -> usize {
    room / 2 + usize::from(room % 4 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::schema::tests::schema;
    use proptest::prelude::*;

    fn picture(height: usize, width: usize, channels: usize) -> Picture<'static> {
        let pixels = (0..height * width * channels).map(|at| (at * 7 + 1) as u8).collect();
        Picture { channels, height, width, full: [height, width], pixels: Cow::Owned(pixels) }
    }

    /// The picture that `golden/make.py` fills, and what became of it there.
    pub(super) fn golden(height: usize, width: usize, name: &str) -> (Picture<'static>, Vec<u8>) {
        let results: serde_json::Value =
            serde_json::from_str(include_str!("../../golden/pictures.json")).expect("the file is JSON");
        let digits = results[name].as_str().unwrap_or_else(|| panic!("no {name}"));
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
        let value =
            |i: usize| (((i * i * 7919 + i * 104_729) / 1000 % 251) / (1 + i / (3 * width) % 2)) as u8;
        let pixels = Cow::Owned((0..height * width * 3).map(value).collect());
        let picture = Picture { channels: 3, height, width, full: [height, width], pixels };
        (picture, (0..digits.len()).step_by(2).map(byte).collect())
    }

    #[test]
    fn evaluation_is_torchvisions() {
        let (picture, expected) = golden(47, 61, "bicubic_short");
        let mut schema = schema(3, 32, 32);
        schema.resize = Some(Resize::Short(40));
        schema.interpolation = Interpolation::Bicubic;
        schema.center_crop = Some([32, 32]);
        let values = Transform::new(&schema, Augment::default()).apply(picture, 0, 0).unwrap();
        let expected = |at: usize| f32::from(expected[at % 1024 * 3 + at / 1024]);
        let apart = || values.iter().enumerate().map(|(at, value)| (value * 255.0 - expected(at)).abs());
        let (worst, mean) = (apart().fold(0.0, f32::max), apart().sum::<f32>() / 3072.0);
        assert!(worst < 1e-4, "at most {worst} grey levels apart, {mean} on average");
    }

    #[test]
    fn each_augmentation_has_draws_of_its_own() {
        let (picture, _) = golden(47, 61, "bilinear");
        let apply = |augment: Augment, draw: u64| {
            let mut schema = schema(3, 16, 16);
            schema.resize = Some(Resize::Exact([16, 16]));
            Transform::new(&schema, augment).apply(picture.clone(), draw, 0).unwrap()
        };
        let plain = apply(Augment::default(), 1);
        let changed =
            |augment: Augment| (0..40).filter(|draw| apply(augment, mix(7, *draw)) != plain).count();
        let none = Augment::default();
        assert_eq!(changed(none), 0);
        assert!((10..30).contains(&changed(Augment { flip: true, ..none })));
        assert!((10..30).contains(&changed(Augment { vertical_flip: true, ..none })));
        assert!((5..35).contains(&changed(Augment { random_erasing: 0.5, ..none })));
        assert!(changed(Augment { random_crop: 2, ..none }) > 30);
        assert!(changed(Augment { trivial_augment: true, ..none }) > 25);
        assert!(changed(Augment { rand_augment: Some(RandAugment::default()), ..none }) > 30);
        let jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
        assert!(changed(Augment { color_jitter: jitter, ..none }) > 35);
        assert!(changed(Augment { random_resized_crop: Some(0.08), ..none }) > 35);
        // A flip is the same flip with erasing beside it, where nothing is erased.
        let both = Augment { flip: true, random_erasing: 1e-9, ..none };
        for draw in 0..20 {
            assert_eq!(apply(both, draw), apply(Augment { flip: true, ..none }, draw));
        }
    }

    fn augmented(schema: &ImageSchema, random_crop: usize, flip: bool) -> Transform {
        Transform::new(schema, Augment { random_crop, flip, ..Augment::default() })
    }

    #[test]
    fn pixels_become_channels_first_and_normalised() {
        let mut schema = schema(3, 1, 2);
        schema.mean = vec![0.0, 0.5, 0.0];
        schema.std = vec![1.0, 0.5, 0.25];
        let pixels = Cow::Owned(vec![0, 255, 51, 255, 0, 102]);
        let picture = Picture { channels: 3, height: 1, width: 2, full: [1, 2], pixels };
        let values = Transform::new(&schema, Augment::default()).apply(picture, 0, 0).unwrap();
        assert_eq!(values, [0.0, 1.0, 1.0, -1.0, 0.8, 1.6]);
    }

    #[test]
    fn the_centre_is_cut_out() {
        let mut schema = schema(1, 2, 2);
        schema.center_crop = Some([2, 2]);
        let transform = Transform::new(&schema, Augment::default());
        let pixels = Cow::Owned((0..20).collect());
        let picture = Picture { channels: 1, height: 4, width: 5, full: [4, 5], pixels };
        // Rows 1 and 2, columns 2 and 3: a half is rounded to the even number.
        let expected = [7, 8, 12, 13].map(|value| (f64::from(value) / 255.0) as f32);
        assert_eq!(transform.apply(picture, 0, 0).unwrap(), expected);
    }

    #[test]
    fn a_wrong_size_is_named() {
        let transform = Transform::new(&schema(1, 4, 6), Augment::default());
        let error = transform.apply(picture(6, 4, 1), 0, 0).unwrap_err();
        assert_eq!(error.found, "6 x 4 (height x width)");
        assert!(error.expected.starts_with("4 x 6"));
        let mut small = schema(1, 4, 6);
        small.center_crop = Some([4, 6]);
        assert!(Transform::new(&small, Augment::default()).apply(picture(4, 5, 1), 0, 0).is_err());
    }

    #[test]
    fn a_random_part_fills_the_size_and_is_of_the_decoded_picture() {
        let augment = Augment { random_resized_crop: Some(0.5), ..Augment::default() };
        let transform = Transform::new(&schema(1, 8, 8), augment);
        let mut shrinks = [0; 9];
        for draw in (0..200).map(|draw| mix(2, draw)) {
            let ramp = |step: usize| {
                (0..40 / step).flat_map(move |_| (0..60 / step).map(move |x| (x * step * 4) as u8))
            };
            let picture = |step: usize| Picture {
                channels: 1,
                height: 40 / step,
                width: 60 / step,
                full: [40, 60],
                pixels: Cow::Owned(ramp(step).collect()),
            };
            let whole = transform.apply(picture(1), draw, 0).unwrap();
            assert_eq!(whole.len(), 64);
            let Needed { shrink: by, rows } = transform.need([40, 60], draw, 0);
            shrinks[by] += 1;
            let part = transform.apply(picture(by), draw, 0).unwrap();
            let worst = whole.iter().zip(&part).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 0.1, "{by}: {worst}");
            // What lies below the rows is not looked at.
            let mut cut = picture(1);
            cut.pixels.to_mut()[rows * 60..].fill(0);
            assert_eq!(transform.apply(cut, draw, 0).unwrap(), whole);
        }
        // Half and more of 40 x 60 has sides of 30 and more: four times 8, but for a few.
        assert!(shrinks[2] > 0 && shrinks[4] > 150 && shrinks[8] == 0, "{shrinks:?}");
        assert_eq!(
            Transform::new(&schema(1, 8, 8), Augment::default()).need([4000, 6000], 3, 0),
            super::whole([4000, 6000])
        );
    }

    #[test]
    fn draws_reach_every_shift_and_both_sides() {
        let transform = augmented(&schema(1, 3, 3), 1, true);
        let mut seen: Vec<Vec<u32>> = (0..2_000)
            .map(|draw| transform.apply(picture(3, 3, 1), bonfire_contract::mix(1, draw), 0).unwrap())
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
            let plain = augmented(&schema, 0, false).apply(picture(height, width, channels), draw, 0).unwrap();
            let transform = augmented(&schema, random_crop, flip);
            let values = transform.apply(picture(height, width, channels), draw, 0).unwrap();
            prop_assert_eq!(&values, &transform.apply(picture(height, width, channels), draw, 0).unwrap());

            let black = 0.0f32;
            let at = |c: usize, y: i64, x: i64| {
                if (0..height as i64).contains(&y) && (0..width as i64).contains(&x) {
                    plain[(c * height + y as usize) * width + x as usize]
                } else {
                    black
                }
            };
            let reach = random_crop as i64;
            let explains = |down: i64, right: i64, mirrored: bool| {
                (0..channels).all(|c| (0..height).all(|y| (0..width).all(|x| {
                    let from = if mirrored { width - 1 - x } else { x };
                    values[(c * height + y) * width + x] == at(c, y as i64 + down, from as i64 + right)
                })))
            };
            let explained = (-reach..=reach).any(|down| (-reach..=reach).any(|right| {
                explains(down, right, false) || flip && explains(down, right, true)
            }));
            prop_assert!(explained);
        }
    }
}
