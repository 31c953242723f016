//! A decoded picture.

use std::borrow::Cow;

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
