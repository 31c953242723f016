//! Pixels moved and left as they are: a crop of whole pixels with black around, and mirrors.

use super::super::picture::Picture;
use std::borrow::Cow;

/// The `[height, width]` pixels from `[top, left]` on, which may lie outside the picture; there it is black.
pub(super) fn cut<'a>(
    picture: Picture<'a>,
    [top, left]: [isize; 2],
    [height, width]: [usize; 2],
) -> Picture<'a> {
    if [top, left] == [0, 0] && [picture.height, picture.width] == [height, width] {
        return picture;
    }
    // Of `wanted` places from `start` on, those that `length` pixels cover.
    let covered = |start: isize, wanted: usize, length: usize| {
        let first = start.saturating_neg().clamp(0, wanted as isize) as usize;
        first..(length as isize - start).clamp(first as isize, wanted as isize) as usize
    };
    let channels = picture.channels;
    let mut pixels = vec![0; height * width * channels];
    let columns = covered(left, width, picture.width);
    for y in covered(top, height, picture.height) {
        if columns.is_empty() {
            break;
        }
        let row = y.wrapping_add_signed(top) * picture.width;
        let from = (row + columns.start.wrapping_add_signed(left)) * channels;
        let (to, length) = ((y * width + columns.start) * channels, columns.len() * channels);
        pixels[to..to + length].copy_from_slice(&picture.pixels[from..from + length]);
    }
    Picture { height, width, pixels: Cow::Owned(pixels), ..picture }
}

/// The picture mirrored, left to right.
pub(super) fn mirror<'a>(mut picture: Picture<'a>) -> Picture<'a> {
    for row in picture.pixels.to_mut().chunks_exact_mut((picture.width * picture.channels).max(1)) {
        match picture.channels {
            1 => row.reverse(),
            _ => row.as_chunks_mut::<3>().0.reverse(),
        }
    }
    picture
}

/// The picture upside down.
pub(super) fn upend<'a>(mut picture: Picture<'a>) -> Picture<'a> {
    let stride = picture.width * picture.channels;
    let (upper, lower) = picture.pixels.to_mut().split_at_mut(picture.height / 2 * stride);
    for (upper, lower) in upper.chunks_exact_mut(stride.max(1)).zip(lower.rchunks_exact_mut(stride.max(1))) {
        upper.swap_with_slice(lower);
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picture(height: usize, width: usize, channels: usize) -> Picture<'static> {
        let pixels = (0..height * width * channels).map(|at| (at * 7 + 1) as u8).collect();
        Picture { channels, height, width, full: [height, width], pixels: Cow::Owned(pixels) }
    }

    proptest! {
        #[test]
        fn a_cut_shifts_and_mirrors_exchange_and_nothing_else(
            height in 1usize..8, width in 1usize..8, coloured: bool,
            top in -12isize..12, left in -12isize..12, to_height in 1usize..9, to_width in 1usize..9,
        ) {
            let channels = if coloured { 3 } else { 1 };
            let from = picture(height, width, channels);
            let at = |picture: &Picture, y: isize, x: isize, c: usize| {
                let inside = y >= 0 && x >= 0 && y < picture.height as isize && x < picture.width as isize;
                if inside { picture.pixels[(y as usize * picture.width + x as usize) * channels + c] } else { 0 }
            };
            let part = cut(from.clone(), [top, left], [to_height, to_width]);
            let (mirrored, upended) = (mirror(part.clone()), upend(part.clone()));
            for y in 0..to_height as isize {
                for x in 0..to_width as isize {
                    for c in 0..channels {
                        let value = at(&from, y + top, x + left, c);
                        prop_assert_eq!(at(&part, y, x, c), value);
                        prop_assert_eq!(at(&mirrored, y, to_width as isize - 1 - x, c), value);
                        prop_assert_eq!(at(&upended, to_height as isize - 1 - y, x, c), value);
                    }
                }
            }
        }
    }
}
