//! A side of a product packed whole, for products that follow one another with the same side.

use super::pack::{pack_columns, pack_rows};
use super::tile::TILE_VECTORS;
use super::{BLOCK_ROWS, DEPTH, Matrix, packed_rows};
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use std::ops::Range;

/// The least count of numbers that is worth a thread.
const LEAST: usize = 1 << 14;

/// All rows of `A`: for each block of depth, the panels of all rows.
pub(crate) struct PackedRows {
    numbers: Vec<f32>,
    /// The sizes of the matrix.
    rows: usize,
    depth: usize,
    /// The rows with those of zeros at the end.
    padded: usize,
}

/// All columns of `B`: for each block of depth, the panels of all columns.
pub(crate) struct PackedColumns {
    numbers: Vec<f32>,
    /// The sizes of the matrix.
    depth: usize,
    columns: usize,
    /// The columns of a panel.
    width: usize,
}

impl PackedRows {
    pub(crate) fn new(a: Matrix) -> Self {
        a.check();
        let (rows, depth, padded) = (a.rows, a.columns, run(PaddedRows(a.rows)));
        let mut numbers = for_overwriting(padded * depth);
        let to = Shared::new(&mut numbers);
        let blocks = rows.div_ceil(BLOCK_ROWS);
        threads::ranges(blocks, LEAST.div_ceil(BLOCK_ROWS * depth.max(1)), |blocks| {
            let rows = blocks.start * BLOCK_ROWS..(blocks.end * BLOCK_ROWS).min(rows);
            run(PackRows { a, rows, padded, to });
        });
        PackedRows { numbers, rows, depth, padded }
    }

    /// The bytes of a packed matrix.
    pub(crate) fn bytes(a: &Matrix) -> usize {
        run(PaddedRows(a.rows)) * a.columns * size_of::<f32>()
    }

    /// True if the matrix has the sizes of the packed one.
    pub(super) fn is_of(&self, a: &Matrix) -> bool {
        (a.rows, a.columns) == (self.rows, self.depth)
    }

    /// The panels of a block of rows and a block of depth, as `product` cuts them.
    #[inline(always)]
    pub(super) fn block(&self, rows: Range<usize>, depth: Range<usize>) -> &[f32] {
        assert!(rows.start.is_multiple_of(BLOCK_ROWS) && depth.start.is_multiple_of(DEPTH));
        let end = if rows.end == self.rows { self.padded } else { rows.end };
        &self.numbers[depth.start * self.padded + rows.start * depth.len()..]
            [..(end - rows.start) * depth.len()]
    }
}

impl PackedColumns {
    pub(crate) fn new(b: Matrix) -> Self {
        b.check();
        let (depth, columns, width) = (b.rows, b.columns, run(PanelWidth));
        let mut numbers = for_overwriting(columns.next_multiple_of(width) * depth);
        let to = Shared::new(&mut numbers);
        threads::ranges(columns.div_ceil(width), LEAST.div_ceil(width * depth.max(1)), |panels| {
            let columns = panels.start * width..(panels.end * width).min(columns);
            run(PackColumns { b, columns, to });
        });
        PackedColumns { numbers, depth, columns, width }
    }

    /// The bytes of a packed matrix.
    pub(crate) fn bytes(b: &Matrix) -> usize {
        b.columns.next_multiple_of(run(PanelWidth)) * b.rows * size_of::<f32>()
    }

    /// True if the matrix has the sizes of the packed one.
    pub(super) fn is_of(&self, b: &Matrix) -> bool {
        (b.rows, b.columns) == (self.depth, self.columns)
    }

    /// The panels of some columns, from the first of a panel on, and of a block of depth.
    #[inline(always)]
    pub(super) fn panels(&self, columns: Range<usize>, depth: Range<usize>) -> &[f32] {
        assert!(columns.start.is_multiple_of(self.width) && depth.start.is_multiple_of(DEPTH));
        let padded = self.columns.next_multiple_of(self.width);
        let length = columns.len().next_multiple_of(self.width) * depth.len();
        &self.numbers[depth.start * padded + columns.start * depth.len()..][..length]
    }
}

/// The blocks of a depth.
#[inline(always)]
fn blocks(depth: usize) -> impl Iterator<Item = Range<usize>> {
    (0..depth).step_by(DEPTH).map(move |start| start..(start + DEPTH).min(depth))
}

struct PackRows<'a> {
    a: Matrix<'a>,
    rows: Range<usize>,
    padded: usize,
    to: Shared<'a, f32>,
}

impl Kernel for PackRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let PackRows { a, rows, padded, to } = self;
        for depth in blocks(a.columns) {
            for first in rows.clone().step_by(BLOCK_ROWS) {
                let rows = first..(first + BLOCK_ROWS).min(rows.end);
                let start = depth.start * padded + first * depth.len();
                let end = start + packed_rows::<S>(rows.len()) * depth.len();
                // SAFETY: each block of rows is one thread's, and the places of blocks do not overlap: all
                // blocks but the last are whole panels.
                let to = unsafe { to.part(start..end) };
                pack_rows(s, &a, rows, depth.clone(), to);
            }
        }
    }
}

struct PackColumns<'a> {
    b: Matrix<'a>,
    columns: Range<usize>,
    to: Shared<'a, f32>,
}

impl Kernel for PackColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let PackColumns { b, columns, to } = self;
        let width = TILE_VECTORS * S::LANES;
        let padded = b.columns.next_multiple_of(width);
        for depth in blocks(b.rows) {
            let start = depth.start * padded + columns.start * depth.len();
            let end = start + columns.len().next_multiple_of(width) * depth.len();
            // SAFETY: each panel is one thread's, and the places of panels do not overlap.
            let to = unsafe { to.part(start..end) };
            pack_columns(s, &b, depth, columns.clone(), to);
        }
    }
}

/// Rounds rows up to whole panels.
pub(crate) struct PaddedRows(pub(crate) usize);

impl Kernel for PaddedRows {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        packed_rows::<S>(self.0)
    }
}

struct PanelWidth;

impl Kernel for PanelWidth {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        TILE_VECTORS * S::LANES
    }
}
