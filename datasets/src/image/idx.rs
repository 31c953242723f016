//! IDX files, the format of MNIST and its kin, gzipped or not.
//!
//! ```text
//! pictures  [00 00 08 03] [count: u32 be] [rows: u32 be] [columns: u32 be] [pixels: u8 ...]
//! labels    [00 00 08 01] [count: u32 be] [labels: u8 ...]
//! ```
//!
//! The third byte of the magic is the type of an element (08: u8), the fourth the number of
//! dimensions. Pixels run along rows; 0 is the background of MNIST.
//! LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section "File formats".

use super::picture::Picture;
use crate::{DataError, source};
use bytes::Bytes;
use std::borrow::Cow;

/// The magic of a file of pictures.
const PICTURES: [u8; 4] = [0, 0, 8, 3];
/// The magic of a file of labels.
const LABELS: [u8; 4] = [0, 0, 8, 1];

/// Bytes before the first pixel, and before the first label.
const PICTURES_HEADER: usize = 16;
pub(super) const LABELS_HEADER: usize = 8;

/// Grey pictures of one size, held as one buffer.
#[derive(Debug)]
pub(super) struct IdxPictures {
    /// The URI that they were read from.
    pub uri: String,
    /// The number of pictures.
    pub count: usize,
    /// Pixels, from top to bottom.
    pub height: usize,
    /// Pixels, from left to right.
    pub width: usize,
    pixels: Bytes,
}

impl IdxPictures {
    /// Checks the header against what follows it; allocates nothing.
    pub(super) fn parse(uri: &str, bytes: Bytes) -> Result<Self, DataError> {
        check_magic(uri, &bytes, PICTURES, "pictures")?;
        let [count, height, width] = [4, 8, 12].map(|at| number(uri, &bytes, at));
        let (count, height, width) = (count?, height?, width?);
        if height == 0 || width == 0 {
            let found = format!("{height} x {width}");
            return Err(DataError::malformed(uri, "bytes 8 to 15", "rows and columns of at least 1", found));
        }
        // A product of three u32 fits 96 bits.
        let expected = u128::from(count) * u128::from(height) * u128::from(width);
        let what = format!("pixels of {count} pictures of {height} x {width}");
        let pixels = body(uri, &bytes, PICTURES_HEADER, expected, &what)?;
        Ok(IdxPictures {
            uri: uri.to_string(),
            count: count as usize,
            height: height as usize,
            width: width as usize,
            pixels,
        })
    }

    /// Picture `index`, without a copy.
    pub(super) fn picture(&self, index: usize) -> Picture<'_> {
        let size = self.height * self.width;
        let pixels = Cow::Borrowed(&self.pixels[index * size..(index + 1) * size]);
        Picture {
            channels: 1,
            height: self.height,
            width: self.width,
            full: [self.height, self.width],
            pixels,
        }
    }
}

/// Reads a file of labels.
pub(super) fn read_labels(uri: &str) -> Result<Bytes, DataError> {
    parse_labels(uri, source::read_unpacked(uri)?)
}

/// Checks the header of labels against what follows it.
pub(super) fn parse_labels(uri: &str, bytes: Bytes) -> Result<Bytes, DataError> {
    check_magic(uri, &bytes, LABELS, "labels")?;
    let count = number(uri, &bytes, 4)?;
    body(uri, &bytes, LABELS_HEADER, u128::from(count), "labels")
}

/// True for the bytes of an IDX file of pictures.
pub(super) fn is_pictures(bytes: &[u8]) -> bool {
    bytes.starts_with(&PICTURES)
}

/// A file that is no IDX file of pictures, in words.
pub(super) fn described(bytes: &[u8]) -> String {
    match bytes {
        [] => "an empty file".to_string(),
        _ if bytes.starts_with(&LABELS) => "an IDX file of labels".to_string(),
        _ if image::guess_format(bytes).is_ok() => "a single picture".to_string(),
        _ => format!("a file that begins with {}", hex(&bytes[..bytes.len().min(4)])),
    }
}

fn check_magic(uri: &str, bytes: &[u8], magic: [u8; 4], of: &str) -> Result<(), DataError> {
    if bytes.starts_with(&magic) {
        return Ok(());
    }
    let expected = format!("the magic {} of IDX {of} of 8 bits", hex(&magic));
    let found = match bytes {
        [] => "an empty file".to_string(),
        _ => hex(&bytes[..bytes.len().min(4)]),
    };
    Err(DataError::malformed(uri, "byte 0", expected, found))
}

/// The big-endian number at byte `at` of the header.
fn number(uri: &str, bytes: &[u8], at: usize) -> Result<u32, DataError> {
    match bytes.get(at..at + 4) {
        Some(field) => Ok(u32::from_be_bytes([field[0], field[1], field[2], field[3]])),
        None => Err(DataError::malformed(
            uri,
            format!("byte {at}"),
            "4 bytes of the IDX header",
            format!("the end of the file at byte {}", bytes.len()),
        )),
    }
}

/// The bytes behind the header, exactly as many as the header says.
fn body(uri: &str, bytes: &Bytes, header: usize, expected: u128, what: &str) -> Result<Bytes, DataError> {
    let found = bytes.len() - header;
    if found as u128 == expected {
        return Ok(bytes.slice(header..));
    }
    let found = if (found as u128) < expected {
        format!("{found} before the end of the file")
    } else {
        format!("{} more bytes after them", found as u128 - expected)
    };
    Err(DataError::malformed(uri, format!("byte {header}"), format!("{expected} bytes ({what})"), found))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(count: u32, height: u32, width: u32, pixels: usize) -> Bytes {
        let mut bytes = PICTURES.to_vec();
        for number in [count, height, width] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend((0..pixels).map(|pixel| pixel as u8));
        bytes.into()
    }

    fn refused(bytes: impl Into<Bytes>) -> String {
        IdxPictures::parse("x", bytes.into()).unwrap_err().to_string()
    }

    #[test]
    fn pictures_are_cut_out_of_the_buffer() {
        let idx = IdxPictures::parse("x", pictures(3, 2, 4, 24)).unwrap();
        assert_eq!((idx.count, idx.height, idx.width), (3, 2, 4));
        let picture = idx.picture(2);
        assert_eq!((picture.height, picture.width, picture.channels), (2, 4, 1));
        assert_eq!(&picture.pixels[..], [16, 17, 18, 19, 20, 21, 22, 23]);
        assert_eq!(idx.picture(0).in_colour().pixels[..6], [0, 0, 0, 1, 1, 1]);
        assert_eq!(IdxPictures::parse("x", pictures(0, 2, 4, 0)).unwrap().count, 0);
    }

    #[test]
    fn damaged_pictures_are_refused_with_place_and_sizes() {
        assert_eq!(
            refused(vec![0x89, b'P', b'N', b'G', 13, 10]),
            "x, byte 0: expected the magic 00 00 08 03 of IDX pictures of 8 bits, found 89 50 4e 47"
        );
        assert!(refused(Vec::new()).ends_with("found an empty file"));
        assert!(refused(vec![0, 0]).ends_with("found 00 00"));
        // Labels in place of pictures, and numbers of 16 bits.
        assert!(refused(vec![0, 0, 8, 1, 0, 0, 0, 0]).ends_with("found 00 00 08 01"));
        assert!(refused(vec![0, 0, 0x0b, 3]).ends_with("found 00 00 0b 03"));
        let header = pictures(3, 2, 4, 0);
        assert_eq!(
            refused(header.slice(..10)),
            "x, byte 8: expected 4 bytes of the IDX header, found the end of the file at byte 10"
        );
        assert_eq!(
            refused(pictures(3, 2, 4, 23)),
            "x, byte 16: expected 24 bytes (pixels of 3 pictures of 2 x 4), found 23 before the end of the file"
        );
        assert!(refused(pictures(3, 2, 4, 25)).ends_with("found 1 more bytes after them"));
        assert!(refused(pictures(3, 0, 4, 0)).contains("rows and columns of at least 1, found 0 x 4"));
    }

    #[test]
    fn a_huge_claim_is_refused_without_allocating_it() {
        let error = refused(pictures(u32::MAX, u32::MAX, u32::MAX, 8));
        assert!(error.contains("79228162458924105385300197375 bytes"), "{error}");
    }

    #[test]
    fn labels_are_read_and_checked() {
        let labels = |bytes: Vec<u8>| parse_labels("y", bytes.into());
        assert_eq!(labels(vec![0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]).unwrap()[..], [7, 8, 9]);
        let cut = labels(vec![0, 0, 8, 1, 0, 0, 0, 3, 7, 8]).unwrap_err().to_string();
        assert_eq!(cut, "y, byte 8: expected 3 bytes (labels), found 2 before the end of the file");
        assert!(labels(vec![0, 0, 8, 1, 0, 0, 0, 1, 7, 8]).is_err());
        assert!(labels(vec![0, 0, 8, 1, 0, 0]).is_err());
        assert!(labels(pictures(1, 1, 1, 1).to_vec()).unwrap_err().to_string().contains("IDX labels"));
    }

    #[test]
    fn the_embedded_set_is_whole() {
        let uri = "builtin:fashion-mnist-small/train-images-idx3-ubyte.gz";
        let idx = IdxPictures::parse(uri, source::read_unpacked(uri).unwrap()).unwrap();
        assert_eq!((idx.count, idx.height, idx.width), (2_500, 28, 28));
        let labels = read_labels("builtin:fashion-mnist-small/train-labels-idx1-ubyte.gz").unwrap();
        assert!((0..10).all(|class| labels.iter().filter(|&&label| label == class).count() == 250));
    }
}
