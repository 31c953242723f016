//! JPEG files to pixels: by zune-jpeg, or by mozjpeg (a fork of libjpeg-turbo) where it is built in (the
//! feature `mozjpeg`), which can also decode a part of the frequencies to a picture of a part of the size,
//! and stop at the last row that is needed.
//!
//! ```text
//! [FF D8] ([FF marker] [length: u16 be, itself included] [content])... [FF DA, scan] pixels [FF D9]
//!          FF C0..C2, the frame: [bits: u8] [height: u16 be] [width: u16 be] [components: u8] ...
//!          FF E1: "Exif\0\0" and a TIFF file, which says how the camera was held
//! ```
//!
//! ITU-T T.81 (JPEG), annex B; Exif 2.3.

use super::picture::{Need, beyond, largest_picture, turns_sides};
use crate::source::one_line;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The facts in the segments before the pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    /// `[height, width]` of the pixels as they are stored, before the orientation.
    size: [usize; 2],
    pub components: u8,
    pub orientation: Orientation,
}

impl Header {
    /// Reads the header of a whole file.
    ///
    /// # Errors
    /// The bytes that were found instead of a picture.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let (mut frame, mut orientation) = (None, Orientation::NoTransforms);
        let mut at = 2;
        while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
            let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
            let content = bytes.get(at + 4..end).unwrap_or_default();
            match (marker, content) {
                (START_OF_SCAN, _) if !has_end(&bytes[at..]) => break,
                (START_OF_SCAN, _) => {
                    let (size, components) = frame.ok_or("pixels without a frame that says their size")?;
                    return Header { size, components, orientation }.checked();
                }
                // Fill bytes may stand before a marker.
                (0xff, _) => {
                    at += 1;
                    continue;
                }
                (0xc0..=0xc2, &[bits, ..]) if bits != 8 => {
                    return Err(format!("a JPEG of {bits} bits for each value of a pixel, not of 8"));
                }
                (0xc0..=0xc2, &[_, h1, h0, w1, w0, components, ..]) => {
                    let size = [[h1, h0], [w1, w0]].map(|side| usize::from(u16::from_be_bytes(side)));
                    if frame.replace((size, components)).is_some() {
                        return Err("two frames, each with a size".into());
                    }
                }
                (0xc0..=0xcf, _) if !TABLES.contains(&marker) => {
                    return Err(format!(
                        "a frame of the kind FF{marker:02X}, which is none of FFC0 to FFC2: a lossless, hierarchical or \
                         arithmetic JPEG"
                    ));
                }
                // Damaged metadata do not make the pixels unreadable.
                (0xe1, exif) => {
                    let exif = exif.strip_prefix(b"Exif\0\0").and_then(Orientation::from_exif_chunk);
                    orientation = exif.unwrap_or(orientation);
                }
                _ => {}
            }
            at = end;
        }
        if bytes.get(at).is_some_and(|&byte| byte != 0xff) {
            return Err(format!("no marker of a JPEG picture at byte {at}"));
        }
        Err(format!("a JPEG picture cut short after {} bytes", bytes.len()))
    }

    fn checked(self) -> Result<Self, String> {
        let [height, width] = self.size;
        match (height * width) as u64 * 3 {
            0 => Err(format!("a picture of {height} x {width} pixels")),
            bytes if bytes <= largest_picture() => Ok(self),
            bytes => Err(beyond(bytes)),
        }
    }

    /// `[height, width]` of the picture set upright.
    pub(super) fn upright(&self) -> [usize; 2] {
        let [height, width] = self.size;
        if turns_sides(self.orientation) { [width, height] } else { [height, width] }
    }
}

const START_OF_SCAN: u8 = 0xda;

/// Markers among those of frames that begin tables.
const TABLES: [u8; 3] = [0xc4, 0xc8, 0xcc];

/// True when the marker that ends the pixels follows. The decoders fill what is missing with grey and may
/// report nothing, so a file that was cut short must be told by its end. Among the pixels FF is always
/// followed by 00 or a restart marker.
fn has_end(scan: &[u8]) -> bool {
    scan.windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}

/// Decodes to grey or colour as the file is, not upright yet. Where mozjpeg is built in, what is not in
/// `need` is left out.
///
/// # Errors
/// The damage of the pixels, if any.
pub(super) fn decode(bytes: &[u8], header: &Header, need: Need) -> Result<DynamicImage, String> {
    #[cfg(feature = "mozjpeg")]
    // What it refuses, the other decoder may forgive, and its words are those of a build without it.
    if let Some(image) = parts::decode(bytes, header, need(header.upright())) {
        return Ok(image);
    }
    #[cfg(not(feature = "mozjpeg"))]
    let _ = need;
    image(header.size, header.components, all(bytes, header, false)?)
}

/// Decodes every pixel as the standard has it. What [`decode`] forgives, and fills with grey or with what was
/// next to it, is an error: a marker or a code that cannot be there, a scan that ends too early.
///
/// # Errors
/// The damage of the pixels, if any.
pub(super) fn check(bytes: &[u8], header: &Header) -> Result<(), String> {
    all(bytes, header, true).map(drop)
}

/// Every pixel, where the decoder finds the size that the header has: `header` decided how many there may be.
fn all(bytes: &[u8], header: &Header, strict: bool) -> Result<Vec<u8>, String> {
    let [height, width] = header.size;
    let kind = if header.components == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(width)
        .set_max_height(height)
        .jpeg_set_out_colorspace(kind);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(one_line)?;
    match decoder.dimensions() {
        Some(found) if found == (width, height) => decoder.decode().map_err(one_line),
        found => Err(format!("a frame of {height} x {width} pixels and one of {found:?}")),
    }
}

/// Pixels as an image.
///
/// # Errors
/// When they are fewer or more than its size wants.
fn image([height, width]: [usize; 2], components: u8, pixels: Vec<u8>) -> Result<DynamicImage, String> {
    let found = pixels.len();
    let (height, width) = (height as u32, width as u32);
    let image = match components {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
    };
    image.ok_or_else(|| format!("{found} bytes of pixels for {height} x {width}"))
}

#[cfg(feature = "mozjpeg")]
mod parts;

#[cfg(test)]
mod tests {
    use super::super::decode::tests::file;
    use super::*;
    use image::ImageFormat;

    #[test]
    fn the_end_of_a_preview_is_not_the_end_of_the_picture() {
        let jpeg = file(ImageFormat::Jpeg, 8, 9);
        let preview = [&[0xff, 0xe2, 0x00, 0x06, 1, 2, 0xff, 0xd9][..]].concat();
        let with_preview = [&jpeg[..2], &preview, &jpeg[2..]].concat();
        let header = Header::read(&with_preview).unwrap();
        assert_eq!((header.size, header.components), ([8, 9], 3));
        let error = Header::read(&with_preview[..with_preview.len() - 2]).unwrap_err();
        assert!(error.starts_with("a JPEG picture cut short after"), "{error}");
    }

    #[test]
    fn the_orientation_turns_the_size() {
        let jpeg = file(ImageFormat::Jpeg, 8, 12);
        // TIFF, big-endian: one entry, the orientation (0112) as one u16, 6: to be turned by 90 degrees.
        let tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let length = (2 + 6 + tiff.len()) as u16;
        let exif = [&[0xff, 0xe1][..], &length.to_be_bytes(), b"Exif\0\0", tiff].concat();
        let held = [&jpeg[..2], &exif, &jpeg[2..]].concat();
        let header = Header::read(&held).unwrap();
        assert_eq!((header.orientation, header.upright()), (Orientation::Rotate90, [12, 8]));
    }

    /// A photograph's worth of detail: the bytes of a flat picture are too few to be damaged anywhere.
    fn detailed() -> Vec<u8> {
        let image = RgbImage::from_fn(160, 120, |x, y| {
            let noise = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 24;
            image::Rgb([noise as u8, (x * y / 7) as u8, (noise / 2 + x) as u8])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    /// The segments up to the scan, with their markers, and the rest.
    fn segments(jpeg: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
        let (mut segments, mut at) = (Vec::new(), 2);
        while jpeg[at + 1] != START_OF_SCAN {
            let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            segments.push(jpeg[at..end].to_vec());
            at = end;
        }
        (segments, &jpeg[at..])
    }

    #[test]
    fn segments_in_any_order_under_any_marker_are_a_picture_of_the_headers_size_or_an_error() {
        let jpeg = file(ImageFormat::Jpeg, 8, 9);
        let (segments, rest) = segments(&jpeg);
        let mut random = bonfire_contract::SplitMix64::new(19);
        let mut below = |count: usize| random.below(count as u64) as usize;
        let (mut decoded, mut refused) = (0, 0);
        for _ in 0..2_000 {
            let mut chosen: Vec<Vec<u8>> = segments.clone();
            for _ in 0..=below(3) {
                let (from, to) = (below(chosen.len()), below(chosen.len()));
                match below(5) {
                    0 => chosen.swap(from, to),
                    1 => chosen.insert(to, chosen[from].clone()),
                    2 => chosen[from][1] = 0xc0 + below(16) as u8,
                    3 => {
                        let at = below(chosen[from].len());
                        chosen[from][at] ^= 1 << below(8);
                    }
                    _ => drop(chosen.remove(from)),
                }
                if chosen.is_empty() {
                    break;
                }
            }
            let bytes = [&[0xff, 0xd8], chosen.concat().as_slice(), rest].concat();
            let found = Header::read(&bytes).and_then(|header| {
                // What a check refuses, decoding may forgive; neither may panic.
                let _ = check(&bytes, &header);
                let image = decode(&bytes, &header, &super::super::picture::whole)?;
                assert_eq!([image.height() as usize, image.width() as usize], header.size);
                Ok(())
            });
            *if found.is_ok() { &mut decoded } else { &mut refused } += 1;
        }
        assert!(decoded > 100 && refused > 100, "{decoded} decoded, {refused} refused");
    }

    #[test]
    fn frames_that_the_decoder_passes_over_do_not_say_the_size() {
        let jpeg = file(ImageFormat::Jpeg, 64, 80);
        let (segments, rest) = segments(&jpeg);
        let frame = segments.iter().find(|segment| segment[1] == 0xc0).unwrap();
        for marker in (0xc0..=0xcf).filter(|marker| !TABLES.contains(marker)) {
            let mut other = frame.clone();
            other[1] = marker;
            // 200 x 200.
            other[5..9].copy_from_slice(&[0, 200, 0, 200]);
            for frames in [[&other, frame], [frame, &other]] {
                let before = segments.iter().filter(|segment| segment[1] != 0xc0);
                let all: Vec<u8> = before.chain(frames).flatten().copied().collect();
                let error = Header::read(&[&[0xff, 0xd8], all.as_slice(), rest].concat()).unwrap_err();
                let expected = if marker <= 0xc2 { "two frames" } else { "a frame of the kind FFC" };
                assert!(error.starts_with(expected), "{marker:x}: {error}");
            }
        }
    }

    #[test]
    fn damage_in_the_middle_of_the_pixels_is_decoded_and_found_by_a_check() {
        let jpeg = detailed();
        let header = Header::read(&jpeg).unwrap();
        assert_eq!(check(&jpeg, &header), Ok(()));
        let scan = jpeg.windows(2).position(|pair| pair == [0xff, START_OF_SCAN]).unwrap();
        let middle = scan + (jpeg.len() - scan) / 2;
        // Bits that begin no code, which decoders step over.
        let damage = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];
        let mut damaged = jpeg.clone();
        damaged[middle..middle + damage.len()].copy_from_slice(&damage);
        assert_eq!(Header::read(&damaged).unwrap(), header);
        decode(&damaged, &header, &super::super::picture::whole).unwrap();
        assert!(check(&damaged, &header).is_err());
    }
}
