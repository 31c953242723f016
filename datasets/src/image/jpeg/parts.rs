//! Parts of JPEG pictures by mozjpeg: fewer frequencies, fewer rows.

use super::super::picture::Needed;
use super::{Header, image};
use crate::buffers;
use bonfire_contract::guarded;
use image::DynamicImage;
use image::metadata::Orientation;
use mozjpeg::Decompress;
use std::io;

/// Decodes what is needed, the sides divided by `shrink` and rounded up; `None` for what it does not take.
pub(super) fn decode(bytes: &[u8], header: &Header, needed: Needed) -> Option<DynamicImage> {
    if !matches!(header.components, 1 | 3) {
        return None;
    }
    // What it finds wrong with a file comes as a panic, and what it was at is dropped on the way.
    guarded(|| pixels(bytes, header, needed))?.ok()
}

fn pixels(bytes: &[u8], header: &Header, needed: Needed) -> io::Result<DynamicImage> {
    let mut file = Decompress::new_mem(bytes)?;
    let [height, width] = header.size;
    if file.size() != (width, height) {
        return Err(io::Error::other("a size that is not the header's"));
    }
    file.scale((8 / needed.shrink) as u8);
    let mut file = if header.components == 1 { file.grayscale()? } else { file.rgb()? };
    let (height, pitch) = (file.height(), file.width() * usize::from(header.components));
    // Other turns put other rows of the file at the bottom.
    let rows = match header.orientation {
        Orientation::NoTransforms | Orientation::FlipHorizontal => {
            // one more for what the scale of a side that was rounded up takes in
            ((needed.rows * height).div_ceil(header.size[0]) + 1).min(height)
        }
        _ => height,
    };
    let mut pixels = buffers::take(height * pitch);
    let (above, below) = pixels.split_at_mut(rows * pitch);
    file.read_scanlines_into(above)?;
    below.fill(0);
    image([height, file.width()], header.components, pixels).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::super::super::decode::tests::file;
    use super::super::super::picture::whole;
    use super::*;
    use image::ImageFormat;

    #[test]
    fn both_decoders_agree_and_a_part_of_the_size_is_the_picture_made_smaller() {
        let bytes = file(ImageFormat::Jpeg, 64, 48);
        let header = Header::read(&bytes).unwrap();
        let part = |shrink: usize, rows: usize| {
            decode(&bytes, &header, Needed { shrink, rows }).unwrap().into_rgb8()
        };
        let all = decode(&bytes, &header, whole(header.size)).unwrap().into_rgb8();
        let options = zune_jpeg::zune_core::options::DecoderOptions::default();
        let cursor = zune_jpeg::zune_core::bytestream::ZCursor::new(bytes.as_slice());
        let other = zune_jpeg::JpegDecoder::new_with_options(cursor, options).decode().unwrap();
        let worst = all.iter().zip(&other).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 4, "{worst}");
        for shrink in [2, 4, 8] {
            let part = part(shrink, 64);
            assert_eq!((part.height(), part.width()), (64 / shrink as u32, 48 / shrink as u32));
            let step = shrink as u32;
            for (x, y, pixel) in part.enumerate_pixels() {
                let area = image::imageops::crop_imm(&all, x * step, y * step, step, step);
                for channel in 0..3 {
                    let sum: u32 = area.to_image().pixels().map(|pixel| u32::from(pixel[channel])).sum();
                    let mean = (sum / (step * step)) as u8;
                    assert!(mean.abs_diff(pixel[channel]) < 24, "{shrink}: {mean} {}", pixel[channel]);
                }
            }
        }
        // The rows that are needed are the whole picture's, and the size is that of the whole.
        for (shrink, rows) in
            [1, 2, 4, 8].into_iter().flat_map(|shrink| [1, 17, 63].map(|rows| (shrink, rows)))
        {
            let (whole, some) = (part(shrink, 64), part(shrink, rows));
            assert_eq!(whole.dimensions(), some.dimensions());
            let same = rows.div_ceil(shrink) * whole.width() as usize * 3;
            assert_eq!(whole.as_raw()[..same], some.as_raw()[..same]);
            assert!(some.as_raw().iter().skip(same + whole.width() as usize * 3).all(|value| *value == 0));
        }
    }

    #[test]
    fn what_is_no_picture_is_left_to_the_other_decoder() {
        let bytes = file(ImageFormat::Jpeg, 64, 48);
        let header = Header::read(&bytes).unwrap();
        assert!(decode(b"\xff\xd8 nothing", &header, whole(header.size)).is_none());
        let tables = bytes.windows(2).position(|pair| pair == [0xff, 0xc4]).unwrap();
        let mut damaged = bytes;
        damaged[tables + 2..tables + 24].fill(0xff);
        assert!(decode(&damaged, &header, whole(header.size)).is_none());
    }
}
