//! A part of a picture at another size, antialiased as Pillow does it, and fast: within one grey level of
//! Pillow's pixels, which `resample` meets.
//!
//! The filter widens when the picture shrinks, so that every pixel counts: Pillow's `resize`, and so
//! torchvision's `Resize` on Pillow's pictures and with `antialias=True`.

use super::super::picture::Picture;
use crate::buffers;
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cell::RefCell;

/// The size that pictures are scaled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Resize {
    /// The shorter side, in pixels; the longer one keeps the picture's proportions, rounded down
    /// (torchvision's `Resize(256)`).
    Short(usize),
    /// `[height, width]`, whatever the proportions were.
    Exact([usize; 2]),
}

impl Resize {
    /// The sides that it names.
    pub(in crate::image) fn sides(&self) -> &[usize] {
        match self {
            Resize::Short(side) => std::slice::from_ref(side),
            Resize::Exact(sides) => sides,
        }
    }

    /// `[height, width]` that a picture of `size` gets.
    pub(in crate::image) fn of(self, [height, width]: [usize; 2]) -> [usize; 2] {
        match self {
            Resize::Exact(size) => size,
            Resize::Short(short) if height <= width => [short, (short * width / height.max(1)).max(1)],
            Resize::Short(short) => [(short * height / width.max(1)).max(1), short],
        }
    }
}

/// The filter that finds the values between pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// A triangle.
    #[default]
    Bilinear,
    /// Keys' cubic with a = -1/2 (Catmull-Rom), as Pillow's.
    Bicubic,
}

/// A rectangle in a picture, in pixels, which need not be whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub top: f64,
    pub left: f64,
    pub height: f64,
    pub width: f64,
}

impl Part {
    /// All of a picture of that size.
    pub(super) fn whole([height, width]: [usize; 2]) -> Self {
        Part { top: 0.0, left: 0.0, height: height as f64, width: width as f64 }
    }

    /// The same part of a picture that was decoded at another size.
    pub(super) fn within(self, from: [usize; 2], to: [usize; 2]) -> Self {
        let [y, x] = [0, 1].map(|axis| to[axis] as f64 / from[axis] as f64);
        Part { top: self.top * y, left: self.left * x, height: self.height * y, width: self.width * x }
    }
}

/// `part` of a picture, at the size `[height, width]`.
pub(super) fn resize<'a>(
    picture: Picture<'a>,
    part: Part,
    [height, width]: [usize; 2],
    interpolation: Interpolation,
) -> Picture<'a> {
    if [picture.height, picture.width] == [height, width] && part == Part::whole([height, width]) {
        return picture;
    }
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    // What lies outside of the part is not looked at: it is cut out first, up to whole pixels.
    let (top, left) = (part.top.floor(), part.left.floor());
    let end = |at: f64, most: usize| at.ceil().min(most as f64);
    let rows = end(part.top + part.height, picture.height) - top;
    let columns = end(part.left + part.width, picture.width) - left;
    let (x, y) = (part.left - left, part.top - top);
    let options = |x: f64, y: f64, width: f64, height: f64| {
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(x, y, width, height)
    };
    // Across first and then down, as Pillow: a cubic is cut off at black and white after each.
    let room = |height: usize| buffers::take(height * width * picture.channels);
    let (mut across, mut scaled) = (room(rows as usize), room(height));
    // The kinds of pixels are named: `Resizer::resize` would compile thirteen of them, 4 MB of the program.
    let pass = if picture.channels == 1 { pass::<U8> } else { pass::<U8x3> };
    let source = (&picture.pixels[..], [picture.height, picture.width]);
    let within = [top, left, rows, columns].map(|side| side as usize);
    let columns = options(x, 0.0, part.width.min(columns - x), rows);
    pass(source, within, &columns, (&mut across, [within[2], width]));
    let source = (&across[..], [within[2], width]);
    let rows = options(0.0, y, width as f64, part.height.min(rows - y));
    pass(source, [0, 0, within[2], width], &rows, (&mut scaled, [height, width]));
    buffers::give_back(across);
    if let Cow::Owned(used) = picture.pixels {
        buffers::give_back(used);
    }
    Picture { height, width, pixels: Cow::Owned(scaled), ..picture }
}

/// Scales the part `[top, left, height, width]` of some pixels into other ones, each with their
/// `[height, width]`.
fn pass<P: PixelTrait>(
    (pixels, [height, width]): (&[u8], [usize; 2]),
    part: [usize; 4],
    options: &ResizeOptions,
    (scaled, size): (&mut [u8], [usize; 2]),
) {
    const FITS: &str = "as many pixels as the sizes say, and a part of the first ones";
    let [top, left, rows, columns] = part.map(|side| side as u32);
    let source = TypedImageRef::<P>::from_buffer(width as u32, height as u32, pixels).expect(FITS);
    let part = TypedCroppedImage::from_ref(&source, left, top, columns, rows).expect(FITS);
    let mut scaled = TypedImage::<P>::from_buffer(size[1] as u32, size[0] as u32, scaled).expect(FITS);
    // its tables and buffers serve all pictures of a thread
    RESIZER.with_borrow_mut(|resizer| resizer.resize_typed(&part, &mut scaled, options)).expect(FITS);
}

thread_local! {
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, pixels: Vec<u8>) -> Picture<'static> {
        Picture { channels: 1, height, width, full: [height, width], pixels: Cow::Owned(pixels) }
    }

    #[test]
    fn a_flat_picture_stays_flat_and_shrinking_averages() {
        let both = [Interpolation::Bilinear, Interpolation::Bicubic];
        for (channels, interpolation) in [1, 3].into_iter().zip(both) {
            let pixels = Cow::Owned(vec![51; 36 * channels]);
            let flat = Picture { channels, height: 9, width: 4, full: [9, 4], pixels };
            let scaled = resize(flat, Part::whole([9, 4]), [3, 5], interpolation);
            assert_eq!((scaled.height, scaled.width), (3, 5));
            assert_eq!(scaled.pixels[..], vec![51; 15 * channels]);
        }
        // A checkerboard of single pixels is grey from far away.
        let board = (0..64 * 64).map(|at| if (at / 64 + at) % 2 == 0 { 0 } else { 255 }).collect();
        let small = resize(grey(64, 64, board), Part::whole([64, 64]), [8, 8], Interpolation::Bilinear);
        assert!(small.pixels.iter().all(|value| value.abs_diff(128) < 8), "{:?}", small.pixels);
    }

    #[test]
    fn a_part_is_cut_and_scaled_at_once() {
        let halves = grey(4, 8, (0..32).map(|at| if at % 8 < 4 { 10 } else { 200 }).collect());
        let right = Part { top: 0.0, left: 4.0, height: 4.0, width: 4.0 };
        let scaled = resize(halves, right, [2, 3], Interpolation::Bilinear);
        assert_eq!(scaled.pixels[..], [200; 6]);
        assert_eq!(right.within([4, 8], [2, 4]), Part { top: 0.0, left: 2.0, height: 2.0, width: 2.0 });
    }

    #[test]
    fn pixels_are_those_of_pillow() {
        use super::super::tests::golden;
        for (name, size, interpolation) in [
            ("bilinear", [13, 17], Interpolation::Bilinear),
            ("bicubic", [13, 17], Interpolation::Bicubic),
            ("bicubic_larger", [60, 70], Interpolation::Bicubic),
        ] {
            let (picture, expected) = golden(47, 61, name);
            let found = resize(picture, Part::whole([47, 61]), size, interpolation);
            let apart = || found.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
            let (worst, sum) = (apart().max().unwrap(), apart().map(f64::from).sum::<f64>());
            let mean = sum / expected.len() as f64;
            assert!(worst <= 1 && mean < 0.2, "{name}: at most {worst} apart, {mean} on average");
        }
    }

    #[test]
    fn the_shorter_side_is_met_and_the_proportions_kept() {
        assert_eq!(Resize::Short(256).of([375, 500]), [256, 341]);
        assert_eq!(Resize::Short(256).of([500, 375]), [341, 256]);
        assert_eq!(Resize::Short(256).of([1, 5]), [256, 1280]);
        assert_eq!(Resize::Exact([3, 4]).of([375, 500]), [3, 4]);
    }
}
