//! The pixels of a decoded file in the form that a run wants: grey or colour, transparency laid over a background.

use super::picture::Picture;
use super::{ImageConfig, ImageSchema};
use crate::buffers;
use image::{DynamicImage, RgbaImage};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// The weights of red, green and blue in grey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grey {
    /// ITU-R BT.709: 0.2126, 0.7152 and 0.0722. Runs that keep no word of their grey have this one.
    #[default]
    Rec709,
    /// ITU-R BT.601: 0.299, 0.587 and 0.114, rounded as Pillow's `convert("L")` does.
    Rec601,
}

/// The form that the pixels of files are brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    pub grey: Grey,
    /// Lies below transparent pixels; without one the colour that they hide appears.
    pub background: Option<[u8; 3]>,
}

impl Form {
    /// The form of a run that begins.
    pub(super) fn new(config: &ImageConfig, channels: usize) -> Self {
        Form { channels, grey: Grey::Rec601, background: Some(config.background) }
    }

    /// Colour over white.
    pub(super) fn colour() -> Self {
        Form { channels: 3, grey: Grey::Rec601, background: Some([255; 3]) }
    }

    /// The form of a run that began.
    pub(super) fn of(schema: &ImageSchema) -> Self {
        Form { channels: schema.channels, grey: schema.grey, background: schema.background }
    }

    /// The picture of an image, whose file has `full` pixels, `[height, width]`.
    ///
    /// # Errors
    /// The kind of its pixels, where nobody says how bright they are.
    pub(super) fn picture(
        &self,
        place: &dyn fmt::Display,
        image: DynamicImage,
        full: [usize; 2],
    ) -> Result<Picture<'static>, String> {
        if matches!(image, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
            return Err("pixels in floating point, whose white nobody knows".into());
        }
        let (height, width) = (image.height() as usize, image.width() as usize);
        let picture = |channels: usize, pixels: Vec<u8>| {
            let pixels = Cow::Owned(pixels);
            let picture = Picture { channels, height, width, full, pixels };
            if channels < self.channels { picture.in_colour() } else { picture }
        };
        let image = match self.background {
            Some(background) if image.color().has_alpha() => laid_over(place, image.into_rgba8(), background),
            _ => image,
        };
        Ok(match (image, self.channels, self.grey) {
            (image, 1, Grey::Rec709) => picture(1, image.into_luma8().into_raw()),
            // Repeated, and not by way of the colour spaces of files.
            (DynamicImage::ImageLuma8(grey), ..) => picture(1, grey.into_raw()),
            (DynamicImage::ImageLuma16(grey), 1, _) => {
                picture(1, DynamicImage::ImageLuma16(grey).into_luma8().into_raw())
            }
            (image, 1, Grey::Rec601) => picture(1, greys(image.into_rgb8().into_raw())),
            (image, ..) => picture(3, image.into_rgb8().into_raw()),
        })
    }
}

/// Rec. 601's luma as Pillow computes it, in 16 bits behind the point.
pub(super) fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}

/// The grey of pixels in colour.
fn greys(pixels: Vec<u8>) -> Vec<u8> {
    let mut greys = buffers::take(pixels.len() / 3);
    for (grey, pixel) in greys.iter_mut().zip(pixels.chunks_exact(3)) {
        *grey = luma([pixel[0], pixel[1], pixel[2]]);
    }
    buffers::give_back(pixels);
    greys
}

/// Pixels over a background, as Pillow's `Image.alpha_composite` over an opaque one.
fn laid_over(place: &dyn fmt::Display, image: RgbaImage, background: [u8; 3]) -> DynamicImage {
    let (width, height) = image.dimensions();
    let mut pixels = buffers::take(3 * width as usize * height as usize);
    let mut transparent = false;
    for (to, from) in pixels.chunks_exact_mut(3).zip(image.as_raw().chunks_exact(4)) {
        transparent |= from[3] < 255;
        for ((to, above), below) in to.iter_mut().zip(from).zip(background) {
            *to = blended(*above, below, from[3]);
        }
    }
    if transparent {
        tell(place, background);
    }
    let image = image::RgbImage::from_raw(width, height, pixels);
    DynamicImage::ImageRgb8(image.expect("three values a pixel"))
}

/// `alpha` parts of 255 of `above`, and the rest of `below`.
fn blended(above: u8, below: u8, alpha: u8) -> u8 {
    let sum = u32::from(above) * u32::from(alpha) + u32::from(below) * u32::from(255 - alpha);
    // Divided by 255, and rounded.
    let sum = sum * 128 + 0x4000;
    ((((sum >> 8) + sum) >> 8) >> 7) as u8
}

/// Tells the log of the first picture with transparency that this process meets.
fn tell(place: &dyn fmt::Display, background: [u8; 3]) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        log::info!("{place} is transparent: it and its like are laid over data.background = {background:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_is_pillows() {
        // Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)), Pillow 13.0.
        let colours = [
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([224, 172, 105], 180),
            ([9, 9, 9], 9),
            ([255, 255, 255], 255),
        ];
        for (colour, grey) in colours {
            assert_eq!(luma(colour), grey, "{colour:?}");
        }
        assert!((0..=255).all(|value| luma([value; 3]) == value));
    }

    #[test]
    fn a_blend_is_the_rounded_quotient() {
        for alpha in 0..=255u8 {
            for (above, below) in [(0, 255), (255, 0), (17, 200), (255, 255), (99, 98)] {
                let exact = f64::from(above) * f64::from(alpha) + f64::from(below) * f64::from(255 - alpha);
                let exact = exact / 255.0;
                assert!((f64::from(blended(above, below, alpha)) - exact).abs() <= 0.5 + 1e-9);
            }
        }
        assert_eq!((blended(7, 250, 255), blended(7, 250, 0)), (7, 250));
    }

    #[test]
    fn runs_without_a_word_of_it_keep_their_grey_and_their_hidden_colours() {
        let form = Form { channels: 1, grey: Grey::default(), background: None };
        let pixel = |form: Form, rgba: [u8; 4]| {
            let image = RgbaImage::from_pixel(1, 1, image::Rgba(rgba));
            form.picture(&"x", image.into(), [1, 1]).unwrap().pixels.to_vec()
        };
        // Rec. 709: 0.2126 * 255 and 0.0722 * 255, whatever the transparency.
        assert_eq!(pixel(form, [255, 0, 0, 0]), [54]);
        assert_eq!(pixel(form, [0, 0, 255, 255]), [18]);
        assert_eq!(pixel(Form { channels: 3, ..form }, [1, 2, 3, 0]), [1, 2, 3]);
        let over = Form { channels: 3, grey: Grey::Rec601, background: Some([9, 8, 7]) };
        assert_eq!(pixel(over, [1, 2, 3, 0]), [9, 8, 7]);
        assert_eq!(pixel(Form { channels: 1, ..over }, [255, 0, 0, 255]), [76]);
    }
}
