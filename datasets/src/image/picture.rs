//! A decoded picture.

use crate::{buffers, memory, size};
use image::metadata::Orientation;
use std::borrow::Cow;
use std::sync::LazyLock;
use std::thread::available_parallelism;

/// Bytes that the pixels of one picture may take while it is decoded: 170 million pixels in colour, or fewer where
/// the limit of memory, shared by the processor's cores, is below two such pictures for each. It is never below 64
/// MiB, 22 million pixels. A header that claims more is refused before anything is allocated for it.
pub(super) fn largest_picture() -> u64 {
    const LARGEST: u64 = 512 << 20;
    const SMALLEST: u64 = 64 << 20;
    static CORES: LazyLock<u64> =
        LazyLock::new(|| available_parallelism().map_or(1, |cores| cores.get() as u64));
    (memory::limit() / (2 * *CORES)).clamp(SMALLEST, LARGEST)
}

/// The finding where the pixels of a picture would take so many bytes.
pub(super) fn beyond(bytes: u64) -> String {
    let most = size(largest_picture());
    format!("one whose pixels take {}, beyond the limit of {most}", size(bytes))
}

/// The part of a picture that will be looked at: a decoder that can leaves out the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    /// By how much it may be made smaller while it is decoded, without the frequencies that a smaller picture
    /// does not show: 1, 2, 4 or 8.
    pub shrink: usize,
    /// Rows from the top, of the whole upright picture; those below may be left black.
    pub rows: usize,
}

/// The part that is needed of a picture of `[height, width]`.
pub(super) type Need<'a> = &'a dyn Fn([usize; 2]) -> Needed;

/// The [`Need`] of every pixel.
pub(super) fn whole([height, _]: [usize; 2]) -> Needed {
    Needed { shrink: 1, rows: height }
}

/// True where height and width change places.
pub(super) fn turns_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Pixels of 8 bits, `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture<'a> {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Pixels, from top to bottom.
    pub height: usize,
    /// Pixels, from left to right.
    pub width: usize,
    /// `[height, width]` that its file has: more than these, where it was decoded at a part of its size.
    pub full: [usize; 2],
    /// `height * width * channels` values.
    pub pixels: Cow<'a, [u8]>,
}

impl Picture<'_> {
    /// A grey picture with its one channel repeated; a coloured one as it is.
    pub(super) fn in_colour(self) -> Self {
        match self.channels {
            1 => {
                let mut pixels = buffers::take(3 * self.pixels.len());
                for (pixel, grey) in pixels.chunks_exact_mut(3).zip(self.pixels.iter()) {
                    pixel.fill(*grey);
                }
                if let Cow::Owned(used) = self.pixels {
                    buffers::give_back(used);
                }
                Picture {
                    channels: 3,
                    height: self.height,
                    width: self.width,
                    full: self.full,
                    pixels: Cow::Owned(pixels),
                }
            }
            _ => self,
        }
    }
}
