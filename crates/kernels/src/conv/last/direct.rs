//! The implicit product: a row for each pixel of the output, whose numbers are read where they lie.
//!
//! For each tap a list holds the pixel that each row reads, or a row of zeros in the padding. Where the
//! channels are few, or the image lies in planes, the windows of some pixels are gathered into rows instead.

use super::finish::Finisher;
use super::pack::Packed;
use super::tile::{Even, Listed, MOST_VECTORS, Piece, blocks, product};
use super::{Layer, Order, shares};
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run as run_kernel};
use crate::threads;
use crate::windows::Windows;
use std::ops::Range;

/// The most rows that a panel is multiplied by at a time.
const MOST_ROWS: usize = 384;
/// The numbers of the input that those rows read at most: half of a second cache.
const READ: usize = 1 << 16;
/// The numbers of a panel that are multiplied at a time: half of a first cache.
const PANEL: usize = 1 << 12;
/// Windows of fewer channels are gathered.
const FEW: usize = 16;

pub(super) fn run(layer: &Layer, x: &[f32], images: usize, windows: Windows, finisher: &Finisher) {
    let pixels = images * windows.plane_out();
    let depth = layer.packed.depth;
    let [across, down] = shares(pixels, depth, &layer.packed);
    let gathered = layer.order == Order::First || (layer.inputs < FEW && windows.taps() > 1);
    threads::parallel(across * down, |part| {
        run_kernel(Part {
            layer,
            x,
            windows,
            finisher,
            gathered,
            pixels: threads::range(pixels, across, part / down, 1),
            panels: threads::range(layer.packed.panels.len(), down, part % down, 1),
        });
    });
}

/// A thread's part: some pixels and some panels of output channels.
struct Part<'a> {
    layer: &'a Layer,
    x: &'a [f32],
    windows: Windows,
    finisher: &'a Finisher<'a>,
    gathered: bool,
    pixels: Range<usize>,
    panels: Range<usize>,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Part { layer, windows, ref pixels, gathered, .. } = self;
        let Packed { depth, lanes, .. } = layer.packed;
        assert_eq!(lanes, S::LANES, "weights are packed for the instruction set that runs");
        let taps = if gathered { 1 } else { windows.taps() };
        let read = if gathered { depth } else { layer.inputs };
        let together = (READ / read.max(1)).clamp(48, MOST_ROWS).min(pixels.len());
        let mut list = vec![std::ptr::null(); if gathered { 0 } else { taps * together }];
        let mut rows = for_overwriting(if gathered { together * depth } else { 0 });
        let mut sums = for_overwriting(together * MOST_VECTORS * S::LANES);
        let mut places = vec![0; together];
        let wide = blocks(taps, read, PANEL / (2 * S::LANES));
        for first in pixels.clone().step_by(together) {
            let pixels = first..(first + together).min(pixels.end);
            let count = pixels.len();
            for (place, pixel) in places.iter_mut().zip(pixels.clone()) {
                *place = pixel;
            }
            if gathered {
                self.gather(pixels, &mut rows);
            } else {
                self.list(pixels, together, &mut list);
            }
            for panel in &layer.packed.panels[self.panels.clone()] {
                let width = panel.vectors * S::LANES;
                let mut weights = layer.packed.panel(*panel).as_ptr();
                for (number, pieces) in wide.iter().enumerate() {
                    // SAFETY: the list, or the gathered rows, have `count` rows with all pieces, whose lengths
                    // together are the panel's depth. The sums have room for `count` rows of the widest panel,
                    // and the first block overwrites them. Pixels and panels are this thread's alone.
                    unsafe {
                        let sums = sums.as_mut_ptr();
                        if gathered {
                            let rows = Even { first: rows.as_ptr(), distance: depth };
                            product(s, rows, count, pieces, weights, panel.vectors, sums, number > 0);
                        } else {
                            let rows = Listed { list: list.as_ptr(), rows: together };
                            product(s, rows, count, pieces, weights, panel.vectors, sums, number > 0);
                        }
                        let taken: usize = pieces.iter().map(|piece: &Piece| piece.length).sum();
                        weights = weights.add(taken * width);
                    }
                }
                // SAFETY: the sums of `count` rows were written above; the pixels and the panel's channels are
                // this thread's alone.
                unsafe { self.finisher.rows(s, sums.as_ptr(), width, panel.first, &places[..count]) };
            }
        }
    }
}

impl Part<'_> {
    /// The image of an output pixel, and where its window begins, which may be in the padding.
    fn window(&self, pixel: usize) -> (usize, [isize; 2]) {
        let Windows { stride, padding, out, .. } = self.windows;
        let (image, place) = (pixel / (out[0] * out[1]), pixel % (out[0] * out[1]));
        let corner = |axis: usize, at: usize| (at * stride[axis]).cast_signed() - padding[axis].cast_signed();
        (image, [corner(0, place / out[1]), corner(1, place % out[1])])
    }

    /// Lists the pixels that the taps of some output pixels read. A tap has room for `together` pixels.
    fn list(&self, pixels: Range<usize>, together: usize, list: &mut [*const f32]) {
        let Windows { size, kernel, dilation, .. } = self.windows;
        let inputs = self.layer.inputs;
        for (row, pixel) in pixels.enumerate() {
            let (image, [top, left]) = self.window(pixel);
            for i in 0..kernel[0] {
                let y = top + (i * dilation[0]).cast_signed();
                for j in 0..kernel[1] {
                    let x = left + (j * dilation[1]).cast_signed();
                    list[(i * kernel[1] + j) * together + row] = match place([y, x], size) {
                        Some(place) => {
                            let at = (image * size[0] * size[1] + place) * inputs;
                            self.x[at..at + inputs].as_ptr()
                        }
                        None => self.layer.zeros.as_ptr(),
                    };
                }
            }
        }
    }

    /// Copies the windows of some output pixels into rows, in the order of the packed weights' depth.
    fn gather(&self, pixels: Range<usize>, rows: &mut [f32]) {
        let Windows { size, kernel, .. } = self.windows;
        let (inputs, plane) = (self.layer.inputs, size[0] * size[1]);
        for (row, pixel) in rows.chunks_exact_mut(self.layer.packed.depth.max(1)).zip(pixels) {
            let (image, [top, left]) = self.window(pixel);
            let image = &self.x[image * plane * inputs..][..plane * inputs];
            match self.layer.order {
                Order::Last => {
                    for (i, row) in row.chunks_exact_mut(kernel[1] * inputs).enumerate() {
                        self.gather_line(image, inputs, [top, left], i, row);
                    }
                }
                Order::First => {
                    let planes = image.chunks_exact(plane);
                    for (plane, row) in planes.zip(row.chunks_exact_mut(kernel[0] * kernel[1])) {
                        for (i, row) in row.chunks_exact_mut(kernel[1]).enumerate() {
                            self.gather_line(plane, 1, [top, left], i, row);
                        }
                    }
                }
            }
        }
    }

    /// Copies line `i` of the window at `[top, left]` of pixels with `channels` numbers.
    #[inline(always)]
    fn gather_line(&self, image: &[f32], channels: usize, [top, left]: [isize; 2], i: usize, to: &mut [f32]) {
        let Windows { size, kernel, dilation, .. } = self.windows;
        let y = top + (i * dilation[0]).cast_signed();
        let last = left + ((kernel[1] - 1) * dilation[1]).cast_signed();
        if dilation[1] == 1
            && let (Some(first), Some(_)) = (place([y, left], size), place([y, last], size))
        {
            // a loop, as a call takes longer than it copies
            let from = &image[first * channels..][..to.len()];
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
            return;
        }
        for (j, to) in to.chunks_exact_mut(channels).enumerate() {
            match place([y, left + (j * dilation[1]).cast_signed()], size) {
                Some(place) => to.copy_from_slice(&image[place * channels..][..channels]),
                None => to.fill(0.0),
            }
        }
    }
}

/// The place in a plane of `size` pixels of the pixel at `[y, x]`; `None` outside.
#[inline(always)]
pub(super) fn place([y, x]: [isize; 2], size: [usize; 2]) -> Option<usize> {
    let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
    (y < size[0] && x < size[1]).then(|| y * size[1] + x)
}
