//! A decoded picture.

use std::borrow::Cow;

/// Bytes that the pixels of one picture may take while it is decoded: 170 million pixels in
/// colour. A header that claims more is refused before anything is allocated for it.
pub(super) const LARGEST_PICTURE: u64 = 512 << 20;

/// By how much a picture of `[height, width]` may be made smaller while it is decoded: 1, 2, 4 or 8. Where the
/// decoder can, it leaves out the frequencies that a smaller picture does not show.
pub(super) type Shrink<'a> = &'a dyn Fn([usize; 2]) -> usize;

/// The [`Shrink`] of who wants every pixel.
pub(super) fn whole(_size: [usize; 2]) -> usize {
    1
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
                let pixels = self.pixels.iter().flat_map(|&grey| [grey; 3]).collect();
                Picture { channels: 3, pixels: Cow::Owned(pixels), ..self }
            }
            _ => self,
        }
    }
}
