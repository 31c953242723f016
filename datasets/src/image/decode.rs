//! PNG and JPEG files to pixels, known by their content and not by their name.

use super::jpeg;
use super::picture::{LARGEST_PICTURE, Need, Picture};
use crate::{DataError, source::one_line};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::borrow::Cow;
use std::fmt;
use std::io::Cursor;

/// The content that is asked for, in errors.
const EXPECTED: &str = "a complete PNG or JPEG picture";

/// Decodes a picture file into `channels` channels, 1 or 3. Transparency is dropped, 16 bits are
/// rounded to 8, and a photo that a camera stored on its side (its EXIF orientation) is set upright.
/// The part of a JPEG that is not in `need` is left out.
///
/// # Errors
/// When the content is of another format, damaged, cut short, or claims a size beyond
/// [`LARGEST_PICTURE`]; `place` names it in errors.
pub(super) fn decode(
    place: &dyn fmt::Display,
    bytes: &[u8],
    channels: usize,
    need: Need,
) -> Result<Picture<'static>, DataError> {
    let refuse = |found: String| DataError::malformed(place, "picture", EXPECTED, found);
    let (image, full) = match format(bytes).map_err(refuse)? {
        ImageFormat::Jpeg => {
            let header = jpeg::Header::read(bytes).map_err(refuse)?;
            let mut image = jpeg::decode(bytes, &header, need).map_err(refuse)?;
            image.apply_orientation(header.orientation);
            (image, header.upright())
        }
        _ => {
            let image = png(bytes).map_err(|error| refuse(one_line(error)))?;
            let full = [image.height() as usize, image.width() as usize];
            (image, full)
        }
    };
    let (height, width) = (image.height() as usize, image.width() as usize);
    let picture = |channels, pixels| Picture { channels, height, width, full, pixels: Cow::Owned(pixels) };
    Ok(match (channels, image) {
        (1, image) => picture(1, image.into_luma8().into_raw()),
        // Repeated, and not by way of the colour spaces of files.
        (_, DynamicImage::ImageLuma8(grey)) => picture(1, grey.into_raw()).in_colour(),
        (_, image) => picture(3, image.into_rgb8().into_raw()),
    })
}

/// Decodes a picture file to find any damage, however little: the damage that [`decode`] forgives in the
/// pixels of a JPEG is an error.
///
/// # Errors
/// As [`decode`].
pub(crate) fn check(place: &dyn fmt::Display, bytes: &[u8]) -> Result<(), DataError> {
    let refuse = |found: String| DataError::malformed(place, "picture", EXPECTED, found);
    match format(bytes).map_err(refuse)? {
        ImageFormat::Jpeg => {
            let header = jpeg::Header::read(bytes).map_err(refuse)?;
            jpeg::check(bytes, &header).map_err(refuse)
        }
        _ => png(bytes).map(drop).map_err(|error| refuse(one_line(error))),
    }
}

/// One of the two formats, or what was found instead.
fn format(bytes: &[u8]) -> Result<ImageFormat, String> {
    match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => Ok(format),
        Ok(other) => Err(format!("the format {other:?}")),
        Err(_) if bytes.is_empty() => Err("an empty file".into()),
        Err(_) => Err(format!("{} bytes of another format", bytes.len())),
    }
}

fn png(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST_PICTURE);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    // Damaged metadata does not make the pixels unreadable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::picture::whole;
    use super::*;
    use image::{ExtendedColorType, GrayImage, ImageEncoder, RgbImage};

    /// A picture file of one colour ramp.
    pub(in crate::image) fn file(format: ImageFormat, height: u32, width: u32) -> Vec<u8> {
        let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 8) as u8, (y * 8) as u8, 77]));
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn refused(bytes: &[u8]) -> String {
        let message = decode(&"x.jpg", bytes, 3, &whole).unwrap_err().to_string();
        assert!(
            message.starts_with("x.jpg, picture: expected a complete PNG or JPEG picture, found "),
            "{message}"
        );
        assert!(!message.contains('\n'));
        message
    }

    #[test]
    fn both_formats_are_decoded_in_colour_and_in_grey() {
        let png = decode(&"x", &file(ImageFormat::Png, 5, 7), 3, &whole).unwrap();
        assert_eq!((png.height, png.width, png.channels), (5, 7, 3));
        assert_eq!(png.pixels[..6], [0, 0, 77, 8, 0, 77]);
        let jpeg = decode(&"x", &file(ImageFormat::Jpeg, 5, 7), 3, &whole).unwrap();
        assert!(jpeg.pixels.iter().zip(&png.pixels[..]).all(|(a, b)| a.abs_diff(*b) < 40));
        let grey = decode(&"x", &file(ImageFormat::Png, 5, 7), 1, &whole).unwrap();
        assert_eq!(grey.pixels.len(), 35);
        // Rec. 709: 0.2126 R + 0.7152 G + 0.0722 B.
        assert_eq!(grey.pixels[0], (0.0722f64 * 77.0).round() as u8);
    }

    #[test]
    fn sixteen_bits_and_grey_files_are_brought_to_eight_bits_in_colour() {
        let mut bytes = Cursor::new(Vec::new());
        let samples: Vec<u8> = [0u16, 0xffff].iter().flat_map(|value| value.to_ne_bytes()).collect();
        image::codecs::png::PngEncoder::new(&mut bytes)
            .write_image(&samples, 2, 1, ExtendedColorType::L16)
            .unwrap();
        let picture = decode(&"x", bytes.get_ref(), 3, &whole).unwrap();
        assert_eq!(picture.pixels[..], [0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let bytes = file(format, 24, 24);
            // The last chunk of a PNG, of 12 bytes, carries no pixels.
            let needed = if format == ImageFormat::Png { bytes.len() - 12 } else { bytes.len() };
            for len in (0..needed - 1).step_by(7).chain([needed - 1]) {
                refused(&bytes[..len]);
            }
            decode(&"x", &bytes, 3, &whole).unwrap();
            decode(&"x", &[&bytes[..], b"trailing"].concat(), 3, &whole).unwrap();
        }
        assert!(refused(&[]).ends_with("found an empty file"));
        let jpeg = file(ImageFormat::Jpeg, 24, 24);
        assert!(refused(&jpeg[..jpeg.len() - 2]).contains("a JPEG picture cut short after"));
    }

    #[test]
    fn other_formats_are_named() {
        assert!(refused(b"GIF89a\x01\x00\x01\x00").ends_with("found the format Gif"));
        assert!(refused(b"just some text").ends_with("found 14 bytes of another format"));
    }

    #[test]
    fn huge_claims_are_refused_before_they_are_allocated() {
        // The size of a PNG stands at bytes 16 to 23, guarded by a checksum over bytes 12 to 28.
        let mut png = file(ImageFormat::Png, 4, 4);
        png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&png[12..29]);
        png[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        assert!(refused(&png).to_lowercase().contains("limit"), "{}", refused(&png));

        // That of a JPEG follows its frame marker, height first.
        let mut jpeg = file(ImageFormat::Jpeg, 4, 4);
        let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
        refused(&jpeg);
    }

    #[test]
    fn damaged_pixels_of_a_png_are_refused() {
        let mut bytes = Cursor::new(Vec::new());
        GrayImage::from_fn(32, 32, |x, y| image::Luma([(x * y) as u8]))
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        let mut bytes = bytes.into_inner();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        refused(&bytes);
    }
}
