//! Picture files to pixels, known by their content and not by their name: PNG, JPEG, WebP, BMP, TIFF and GIF; of
//! animated ones the first frame, of several pages the first.

use super::form::Form;
use super::jpeg;
use super::picture::{Need, Picture, beyond, largest_picture, turns_sides};
use crate::{DataError, source::one_line};
use bonfire_contract::guarded;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::fmt;
use std::io::Cursor;

/// The content that is asked for, in errors.
const EXPECTED: &str = "a complete picture (PNG, JPEG, WebP, BMP, TIFF or GIF)";

/// Decodes a picture file into the form that a run wants: grey or colour, transparency laid over its background.
/// 16 bits are rounded to 8, and a photo that a camera stored on its side (its EXIF orientation) is set upright.
/// The part of a JPEG that is not in `need` is left out.
///
/// # Errors
/// When the content is of another format, damaged, cut short, or claims a size beyond
/// [`largest_picture`]; `place` names it in errors.
pub(super) fn decode(
    place: &dyn fmt::Display,
    bytes: &[u8],
    form: &Form,
    need: Need,
) -> Result<Picture<'static>, DataError> {
    let refuse = |found: String| DataError::malformed(place, "picture", EXPECTED, found);
    let (image, full) = unpanicked(|| match format(bytes)? {
        ImageFormat::Jpeg => {
            let header = jpeg::Header::read(bytes)?;
            let mut image = jpeg::decode(bytes, &header, need)?;
            image.apply_orientation(header.orientation);
            Ok((image, header.upright()))
        }
        format => {
            let image = whole_image(bytes, format)?;
            let full = [image.height() as usize, image.width() as usize];
            Ok((image, full))
        }
    })
    .map_err(refuse)?;
    form.picture(place, image, full).map_err(refuse)
}

/// Decodes a picture file to find any damage, however little: the damage that [`decode`] forgives in the
/// pixels of a JPEG is an error.
///
/// # Errors
/// As [`decode`].
pub(crate) fn check(place: &dyn fmt::Display, bytes: &[u8]) -> Result<(), DataError> {
    let refuse = |found: String| DataError::malformed(place, "picture", EXPECTED, found);
    unpanicked(|| match format(bytes)? {
        ImageFormat::Jpeg => jpeg::check(bytes, &jpeg::Header::read(bytes)?),
        format => whole_image(bytes, format).map(drop),
    })
    .map_err(refuse)
}

/// Runs `decode`, which calls the decoders of libraries: should one panic on damage, the file is a damaged one.
fn unpanicked<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    guarded(decode).unwrap_or_else(|| Err("a damaged one".into()))
}

/// What a picture file says of itself before its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `[height, width]` of the picture set upright.
    pub size: [usize; 2],
    /// `grey`, `colour`, and either with transparency.
    pub mode: &'static str,
}

/// Reads what a picture file says of itself; its pixels are not decoded.
///
/// # Errors
/// When it is of another format, or its beginning is damaged.
pub(crate) fn facts(place: &dyn fmt::Display, bytes: &[u8]) -> Result<Facts, DataError> {
    let refuse = |found: String| DataError::malformed(place, "picture", EXPECTED, found);
    let format = format(bytes).map_err(refuse)?;
    if format == ImageFormat::Jpeg {
        let header = jpeg::Header::read(bytes).map_err(refuse)?;
        let mode = if header.components == 1 { "grey" } else { "colour" };
        return Ok(Facts { size: header.upright(), mode });
    }
    let mut decoder = decoder(bytes, format).map_err(refuse)?;
    let (width, height) = decoder.dimensions();
    let turned = decoder.orientation().is_ok_and(turns_sides);
    let [height, width] = if turned { [width, height] } else { [height, width] };
    let mode = match decoder.color_type() {
        ColorType::L8 | ColorType::L16 => "grey",
        ColorType::La8 | ColorType::La16 => "grey with transparency",
        // A GIF may have transparent pixels, and says so of each picture in it alone.
        color if color.has_alpha() && format != ImageFormat::Gif => "colour with transparency",
        _ => "colour",
    };
    Ok(Facts { size: [height as usize, width as usize], mode })
}

/// One of the formats, or what was found instead.
fn format(bytes: &[u8]) -> Result<ImageFormat, String> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    match image::guess_format(bytes) {
        Ok(format @ (Png | Jpeg | WebP | Bmp | Tiff | Gif)) => Ok(format),
        Ok(other) => Err(format!("the format {other:?}")),
        Err(_) if bytes.is_empty() => Err("an empty file".into()),
        Err(_) => Err(format!("{} bytes of another format", bytes.len())),
    }
}

/// True for the content of a picture file that can be decoded.
pub(super) fn is_picture(bytes: &[u8]) -> bool {
    format(bytes).is_ok()
}

/// The decoder of a file whose pixels take no more than [`largest_picture`].
fn decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, String> {
    let most = largest_picture();
    let claimed = if format == ImageFormat::Png { of_png(bytes) } else { None };
    let mut limits = Limits::default();
    limits.max_alloc = Some(claimed.map_or(most, |claimed| most.min(claimed + METADATA)));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(one_line)?;
    if decoder.total_bytes() > most { Err(beyond(decoder.total_bytes())) } else { Ok(decoder) }
}

/// Bytes that a PNG's profile of colours and its texts may take once they are unpacked; beyond it they are left out.
const METADATA: u64 = 16 << 20;

/// The bytes of a PNG's pixels, at most: eight for each.
///
/// ```text
/// [signature: 8 bytes] [length: 4 bytes] ["IHDR"] [width: u32 be] [height: u32 be]
/// ```
fn of_png(bytes: &[u8]) -> Option<u64> {
    let side = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as u64);
    Some(side(16)?.saturating_mul(side(20)?).saturating_mul(8))
}

/// The image of a file that is no JPEG, set upright.
fn whole_image(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, String> {
    let mut decoder = decoder(bytes, format)?;
    // Damaged metadata does not make the pixels unreadable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(one_line)?;
    image.apply_orientation(orientation);
    Ok(image)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::picture::whole;
    use super::*;
    use image::{ExtendedColorType, GrayImage, ImageEncoder, RgbImage};
    use proptest::prelude::*;

    /// A picture file of one colour ramp.
    pub(in crate::image) fn file(format: ImageFormat, height: u32, width: u32) -> Vec<u8> {
        let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 8) as u8, (y * 8) as u8, 77]));
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn refused(bytes: &[u8]) -> String {
        let message = decode(&"x.jpg", bytes, &Form::colour(), &whole).unwrap_err().to_string();
        assert!(message.starts_with(&format!("x.jpg, picture: expected {EXPECTED}, found ")), "{message}");
        assert!(!message.contains('\n'));
        message
    }

    /// The files that `golden/picture_files.py` writes, each with its pixels as Pillow has them.
    fn golden() -> serde_json::Map<String, serde_json::Value> {
        let files: serde_json::Value =
            serde_json::from_str(include_str!("../../golden/picture_files.json")).expect("the file is JSON");
        files.as_object().expect("a map").clone()
    }

    fn bytes_of(value: &serde_json::Value) -> Vec<u8> {
        let digits = value.as_str().expect("hexadecimal digits");
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn files_of_every_format_have_pillows_pixels() {
        let mut decoded = 0;
        for (name, file) in golden() {
            let bytes = bytes_of(&file["file"]);
            let over = |background: [u8; 3], channels: usize| {
                let form = Form { channels, background: Some(background), ..Form::colour() };
                decode(&name, &bytes, &form, &whole)
            };
            if name == "tiff paletted" {
                let error = over([255; 3], 3).unwrap_err().to_string();
                assert!(error.contains("Palette"), "{error}");
                continue;
            }
            let white = over([255; 3], 3).unwrap_or_else(|error| panic!("{error}"));
            let size = [white.height, white.width];
            assert_eq!(serde_json::json!(size), file["size"], "{name}");
            assert_eq!(facts(&name, &bytes).unwrap().size, size, "{name}");
            check(&name, &bytes).unwrap();
            for (found, expected) in [
                (white.clone(), "white"),
                (over([10, 200, 90], 3).unwrap(), "green"),
                (over([255; 3], 1).unwrap(), "grey"),
            ] {
                assert_eq!(found.pixels[..], bytes_of(&file[expected]), "{name} {expected}");
            }
            decoded += 1;
        }
        assert_eq!(decoded, 28);
    }

    #[test]
    fn a_file_says_its_mode_before_its_pixels() {
        let golden = golden();
        let mode = |name: &str| facts(&name, &bytes_of(&golden[name]["file"])).unwrap().mode;
        assert_eq!((mode("png rgb"), mode("png la")), ("colour", "grey with transparency"));
        assert_eq!((mode("webp rgba"), mode("tiff grey")), ("colour with transparency", "grey"));
        assert_eq!((mode("gif"), mode("png sixteen")), ("colour", "grey"));
        assert_eq!(
            facts(&"x", &file(ImageFormat::Jpeg, 5, 7)).unwrap(),
            Facts { size: [5, 7], mode: "colour" }
        );
    }

    #[test]
    fn both_formats_are_decoded_in_colour_and_in_grey() {
        let png = decode(&"x", &file(ImageFormat::Png, 5, 7), &Form::colour(), &whole).unwrap();
        assert_eq!((png.height, png.width, png.channels), (5, 7, 3));
        assert_eq!(png.pixels[..6], [0, 0, 77, 8, 0, 77]);
        let jpeg = decode(&"x", &file(ImageFormat::Jpeg, 5, 7), &Form::colour(), &whole).unwrap();
        assert!(jpeg.pixels.iter().zip(&png.pixels[..]).all(|(a, b)| a.abs_diff(*b) < 40));
        let grey = Form { channels: 1, ..Form::colour() };
        let grey = decode(&"x", &file(ImageFormat::Png, 5, 7), &grey, &whole).unwrap();
        assert_eq!(grey.pixels.len(), 35);
        // Rec. 601: 0.114 B.
        assert_eq!(grey.pixels[0], (0.114f64 * 77.0).round() as u8);
    }

    #[test]
    fn sixteen_bits_and_grey_files_are_brought_to_eight_bits_in_colour() {
        let mut bytes = Cursor::new(Vec::new());
        let samples: Vec<u8> = [0u16, 0xffff].iter().flat_map(|value| value.to_ne_bytes()).collect();
        image::codecs::png::PngEncoder::new(&mut bytes)
            .write_image(&samples, 2, 1, ExtendedColorType::L16)
            .unwrap();
        let picture = decode(&"x", bytes.get_ref(), &Form::colour(), &whole).unwrap();
        assert_eq!(picture.pixels[..], [0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn a_truncation_is_an_error_or_takes_no_pixel() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        for format in [Png, Jpeg, WebP, Bmp, Tiff, Gif] {
            let bytes = file(format, 24, 24);
            let picture = |bytes: &[u8]| decode(&"x", bytes, &Form::colour(), &whole);
            let all = picture(&bytes).unwrap();
            picture(&[&bytes[..], b"trailing"].concat()).unwrap();
            // What ends a file may carry no pixels: the last chunk of a PNG, the trailer of a GIF.
            let least = bytes.len() - bytes.len() / 4;
            for len in (0..least).step_by(7).chain([least - 1]) {
                refused(&bytes[..len]);
            }
            for len in least..bytes.len() {
                if let Ok(found) = picture(&bytes[..len]) {
                    assert_eq!(found, all, "{format:?} of {len} bytes");
                }
            }
        }
        assert!(refused(&[]).ends_with("found an empty file"));
        let jpeg = file(ImageFormat::Jpeg, 24, 24);
        assert!(refused(&jpeg[..jpeg.len() - 2]).contains("a JPEG picture cut short after"));
    }

    #[test]
    fn other_formats_are_named() {
        assert!(refused(b"qoif\x01\x00\x01\x00").ends_with("found the format Qoi"));
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
    fn a_profile_of_colours_beyond_measure_is_left_out() {
        use flate2::{Compression, write::ZlibEncoder};
        use std::io::Write;
        let png = file(ImageFormat::Png, 4, 4);
        let with_profile = |length: usize| {
            let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
            packed.write_all(&vec![0; length]).unwrap();
            let content = [b"iCCPx\0\0", &packed.finish().unwrap()[..]].concat();
            let mut crc = flate2::Crc::new();
            crc.update(&content);
            let length = (content.len() as u32 - 4).to_be_bytes();
            // Behind the signature and IHDR.
            [&png[..33], &length, &content, &crc.sum().to_be_bytes(), &png[33..]].concat()
        };
        for (length, kept) in [(1 << 10, true), (METADATA as usize + (1 << 20), false)] {
            let bytes = with_profile(length);
            let profile = decoder(&bytes, ImageFormat::Png).unwrap().icc_profile().unwrap();
            assert_eq!(profile.is_some(), kept);
            let pixels = |bytes: &[u8]| decode(&"x", bytes, &Form::colour(), &whole).unwrap();
            assert_eq!(pixels(&bytes), pixels(&png));
        }
    }

    #[test]
    fn huge_claims_of_the_other_formats_are_refused_before_they_are_allocated() {
        let golden = golden();
        let claiming = |name: &str, at: usize, bytes: &[u8]| {
            let mut file = bytes_of(&golden[name]["file"]);
            file[at..at + bytes.len()].copy_from_slice(bytes);
            refused(&file)
        };
        // BMP: [width: i32 le] [height: i32 le] at byte 18. GIF: [width: u16 le] [height: u16 le] at byte 6.
        claiming("bmp rgb", 18, &[0, 0, 1, 0, 0, 0, 1, 0]);
        assert!(claiming("gif", 6, &[0xff; 4]).to_lowercase().contains("limit"));
        // WebP: [2f] [width - 1: 14 bits] [height - 1: 14 bits] behind "VP8L" and its length.
        claiming("webp lossless", 21, &[0xff, 0xff, 0xff, 0x0f]);
        // TIFF: [0100] [type] [count: u32 le] [width], and 0101 for the height, 12 bytes each.
        let mut tiff = bytes_of(&golden["tiff rgb"]["file"]);
        let entry = tiff.windows(4).position(|tag| tag == [0, 1, 4, 0] || tag == [0, 1, 3, 0]).unwrap();
        for side in [entry, entry + 12] {
            tiff[side + 2..side + 12].copy_from_slice(&[4, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
        }
        refused(&tiff);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn damaged_files_are_refused_or_decoded(
            which in 0usize..29, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let golden = golden();
            let (_, file) = golden.iter().nth(which).unwrap();
            let mut bytes = bytes_of(&file["file"]);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = decode(&"x", &bytes, &Form::colour(), &whole);
            let _ = check(&"x", &bytes);
            let _ = facts(&"x", &bytes);
        }
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
