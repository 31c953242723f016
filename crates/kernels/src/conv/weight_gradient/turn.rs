//! Transposes the output's gradient to `[positions, channels]`, and sums back to a weight.

use super::super::columns::{Run, runs, width};
use super::super::geometry::Geometry;
use crate::simd::{Kernel, Simd};
use crate::threads::Shared;
use std::ops::Range;

/// The number of panels of positions that are summed in registers at a time.
pub(super) const PANELS: usize = 8;

/// Writes the gradient at some positions as `[positions, channels]`, for each panel of channels.
#[inline(always)]
pub(super) fn turn<S: Simd>(
    s: S,
    geometry: &Geometry,
    gradient: &[f32],
    group: usize,
    positions: Range<usize>,
    pieces: &mut Vec<Run>,
    to: &mut [f32],
) {
    let (width, plane) = (width::<S>(), geometry.output_plane());
    runs([1, plane], positions, pieces);
    for piece in pieces {
        let channel = (piece.image * geometry.groups + group) * geometry.outputs;
        for row in (0..geometry.outputs).step_by(S::LANES) {
            let rows = (geometry.outputs - row).min(S::LANES);
            for at in (0..piece.length).step_by(S::LANES) {
                let columns = (piece.length - at).min(S::LANES);
                let from = (channel + row) * plane + piece.column + at;
                let place = (row / width * PANELS * width + piece.at + at) * width + row % width;
                assert!(from + (rows - 1) * plane + columns <= gradient.len());
                assert!(place + (columns - 1) * width + rows <= to.len());
                // SAFETY: the lengths were checked just above.
                unsafe {
                    let (from, to) = (gradient.as_ptr().add(from), to.as_mut_ptr().add(place));
                    s.transpose(from, plane, (rows, columns), to, width);
                }
            }
        }
    }
}

/// Adds the parts' sums in order and transposes them.
pub(super) struct Collect<'a> {
    pub sums: Shared<'a, f32>,
    pub parts: usize,
    pub length: usize,
    pub rows: usize,
    pub range: Range<usize>,
    pub outputs: usize,
    pub to: Shared<'a, f32>,
}

impl Kernel for Collect<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Collect { sums, parts, length, rows, range, outputs, to } = self;
        let width = width::<S>();
        for output in (0..outputs).step_by(S::LANES) {
            let panel = output / width * rows * width + output % width;
            let lanes = (outputs - output).min(S::LANES);
            for row in range.clone().step_by(S::LANES) {
                let count = (range.end - row).min(S::LANES);
                // SAFETY: each thread has rows of its own, inside the sums and the weight; parts are
                // complete.
                unsafe {
                    let start = sums.pointer().add(panel + row * width);
                    for part in 1..parts {
                        for r in 0..count {
                            let at = start.add(r * width);
                            s.store_to(at, s.add(s.load_from(at), s.load_from(at.add(part * length))));
                        }
                    }
                    let to = to.pointer().add(output * rows + row);
                    s.transpose(start, width, (count, lanes), to, rows);
                }
            }
        }
    }
}
