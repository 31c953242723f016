//! The matrix whose columns are the positions of a grid and whose rows are the numbers that the taps read
//! there, channel after channel ("im2col", Chellapilla et al. 2006). It is made a panel of columns at a time
//! and never as a whole.
//!
//! A panel's row reads the same places of every channel's plane. So a panel is planned once, as a list of
//! copies of part of a row of the plane for each tap, and the plan is carried out for each channel.

use super::geometry::Grid;
use crate::gemm::TILE_VECTORS;
use crate::simd::{Kernel, Simd};
use std::ops::Range;

/// The tensor that a grid's taps read, `[images, channels, height, width]`, from one channel on.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub data: &'a [f32],
    /// The first channel's plane in the first image.
    pub first: usize,
    /// The distance between images.
    pub image: usize,
    pub size: [usize; 2],
}

/// The count of numbers in a row of a whole panel.
pub(super) const fn width<S: Simd>() -> usize {
    TILE_VECTORS * S::LANES
}

/// [`width`] on this machine.
pub(super) struct Width;

impl Kernel for Width {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        width::<S>()
    }
}

/// Positions of a grid that lie side by side in one image. They start at `at` in a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub at: usize,
    pub length: usize,
    pub image: usize,
    pub row: usize,
    pub column: usize,
}

/// Collects the runs that make up the positions `columns`, counted over all images, of a grid of `size`.
pub(super) fn runs(size: [usize; 2], columns: Range<usize>, to: &mut Vec<Run>) {
    to.clear();
    let plane = size[0] * size[1];
    let mut next = columns.start;
    while next < columns.end {
        let (image, inside) = (next / plane, next % plane);
        let (row, column) = (inside / size[1], inside % size[1]);
        let length = (size[1] - column).min(columns.end - next);
        to.push(Run { at: next - columns.start, length, image, row, column });
        next += length;
    }
}

/// The copy from one run of the plane to a vector of a panel's row.
#[derive(Clone, Copy)]
struct Piece<S: Simd> {
    /// The distance from the plane's first number to lane 0's, even if lane 0 is not read.
    from: isize,
    /// The lanes to read. With a stride of 2 they are spread over two vectors, of which every second number
    /// is taken.
    masks: [S::Mask; 2],
    lanes: (usize, usize),
}

/// The plan for packing a panel. For each tap and each vector of a row it has as many pieces as the vector in
/// the most runs needs.
pub(super) struct PanelPacking<S: Simd> {
    pieces: Vec<Piece<S>>,
    taps: usize,
    /// The number of vectors in a row.
    vectors: usize,
    /// The number of pieces of a vector.
    most: usize,
    /// The distance in the plane between columns.
    step: usize,
    runs: Vec<Run>,
}

impl<S: Simd> PanelPacking<S> {
    pub(super) fn new() -> Self {
        PanelPacking { pieces: Vec::new(), taps: 0, vectors: 0, most: 1, step: 1, runs: Vec::new() }
    }

    /// Plans the panel of the positions `columns`, `width` vectors wide, with zeros beyond the last position.
    #[inline(always)]
    pub(super) fn make(
        &mut self,
        s: S,
        source: &Source,
        grid: &Grid,
        reach: &[[isize; 2]],
        columns: Range<usize>,
        width: usize,
    ) {
        let PanelPacking { pieces, taps, vectors, most, step, runs: all } = self;
        (*taps, *vectors, *step) = (reach.len(), width, grid.read_step[1]);
        runs(grid.size, columns, all);
        // the runs that overlap each vector
        let mut met = [(0, 0); TILE_VECTORS];
        for (vector, met) in met.iter_mut().enumerate() {
            let lanes = vector * S::LANES..(vector + 1) * S::LANES;
            let first = all.iter().take_while(|run| run.at + run.length <= lanes.start).count();
            *met = (first, all.iter().take_while(|run| run.at < lanes.end).count().max(first));
        }
        *most = met.iter().map(|(first, end)| end - first).max().unwrap_or(0).max(1);
        let nothing = Piece { from: 0, masks: [s.lanes(0, 0); 2], lanes: (0, 0) };
        pieces.clear();
        for reach in reach {
            for (vector, &(first, end)) in met.iter().take(width).enumerate() {
                for run in &all[first..end] {
                    pieces.push(piece(s, source, grid.read_step, *reach, *run, vector * S::LANES));
                }
                pieces.resize(pieces.len() + *most - (end - first), nothing);
            }
        }
    }

    /// Writes the panel's rows of the channels `channels`: `channels * taps` rows of the planned width.
    ///
    /// # Safety
    /// The source must be the planned one and have those channels. `to` must have room for the rows.
    #[inline(always)]
    pub(super) unsafe fn pack(&self, s: S, source: &Source, channels: Range<usize>, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.step, self.most) {
                (1, 1) => self.pack_rows::<1, 1>(s, source, channels, to),
                (1, 2) => self.pack_rows::<1, 2>(s, source, channels, to),
                (1, 3) => self.pack_rows::<1, 3>(s, source, channels, to),
                (1, _) => self.pack_rows::<1, 0>(s, source, channels, to),
                (2, 1) => self.pack_rows::<2, 1>(s, source, channels, to),
                (2, 2) => self.pack_rows::<2, 2>(s, source, channels, to),
                (2, _) => self.pack_rows::<2, 0>(s, source, channels, to),
                _ => self.pack_rows::<0, 0>(s, source, channels, to),
            }
        }
    }

    /// [`pack`](PanelPacking::pack) with a step and a number of pieces known at compile time, or 0.
    ///
    /// # Safety
    /// The same as `pack`'s. The constants must be 0 or the plan's.
    #[inline(always)]
    unsafe fn pack_rows<const STEP: usize, const MOST: usize>(
        &self,
        s: S,
        source: &Source,
        channels: Range<usize>,
        to: *mut f32,
    ) {
        let most = if MOST == 0 { self.most } else { MOST };
        let plane = source.size[0] * source.size[1];
        let mut to = to;
        for channel in channels {
            let data = source.data.as_ptr().wrapping_add(channel * plane);
            let mut pieces = self.pieces.as_ptr();
            for _ in 0..self.taps * self.vectors {
                // SAFETY: there are `most` pieces for each tap and vector, and room for the vector. Lanes
                // that were planned lie in their plane, and the others are not read.
                unsafe {
                    let (mut value, mut second) = (s.splat(0.0), s.splat(0.0));
                    for number in 0..most {
                        let piece = &*pieces.add(number);
                        let from = data.wrapping_offset(piece.from);
                        match STEP {
                            1 => value = s.load_where(piece.masks[0], from, value),
                            2 => {
                                value = s.load_where(piece.masks[0], from, value);
                                second = s.load_where(piece.masks[1], from.wrapping_add(S::LANES), second);
                            }
                            _ => {}
                        }
                    }
                    match STEP {
                        1 => s.store_to(to, value),
                        2 => s.store_to(to, s.evens(value, second)),
                        _ => {
                            s.store_to(to, value);
                            for number in 0..most {
                                let piece = &*pieces.add(number);
                                for lane in piece.lanes.0..piece.lanes.1 {
                                    let from =
                                        data.wrapping_offset(piece.from).wrapping_add(lane * self.step);
                                    to.add(lane).write(from.read());
                                }
                            }
                        }
                    }
                    pieces = pieces.add(most);
                    to = to.add(S::LANES);
                }
            }
        }
    }
}

/// The copy from a run to the vector that starts at place `at` of a panel's row.
#[inline(always)]
fn piece<S: Simd>(
    s: S,
    source: &Source,
    step: [usize; 2],
    reach: [isize; 2],
    run: Run,
    at: usize,
) -> Piece<S> {
    let [height, width] = source.size.map(usize::cast_signed);
    let stride = step[1].cast_signed();
    // lane 0 may lie before the run
    let lane = at.cast_signed() - run.at.cast_signed();
    let row = (run.row * step[0]).cast_signed() + reach[0];
    let first = (run.column.cast_signed() + lane) * stride + reach[1];
    let (mut start, mut end) = (0, 0);
    if (0..height).contains(&row) {
        let most = (run.length.cast_signed() - lane).min(S::LANES.cast_signed());
        // lanes before `start` lie left of the plane, lanes from `end` on lie right of it
        start = (-first + stride - 1).div_euclid(stride).max(-lane).max(0);
        end = (width - first + stride - 1).div_euclid(stride).min(most);
    }
    if start >= end {
        return Piece { from: 0, masks: [s.lanes(0, 0); 2], lanes: (0, 0) };
    }
    let (start, end) = (start.cast_unsigned(), end.cast_unsigned());
    let masks = if stride == 2 {
        // numbers 2 start, 2 start + 2, ..., 2 end - 2 of two vectors
        let (first, last) = (2 * start, 2 * end - 1);
        let second = (first.max(S::LANES) - S::LANES, last.max(S::LANES) - S::LANES);
        [s.lanes(first.min(S::LANES), last.min(S::LANES)), s.lanes(second.0, second.1)]
    } else {
        [s.lanes(start, end), s.lanes(0, 0)]
    };
    let from = (run.image * source.image + source.first).cast_signed() + row * width + first;
    Piece { from, masks, lanes: (start, end) }
}
