//! Matrix products: packed panels and a tile of registers, after Goto and van de Geijn, "Anatomy of
//! high-performance matrix multiplication", 2008, and BLIS (Van Zee and van de Geijn 2015).
//!
//! `C [M, N] = A [M, K] B [K, N]`. Rows of `A` are packed in panels of a tile's height, columns of `B` in
//! panels of a tile's width, so that the innermost loop reads both one after the other:
//!
//! ```text
//! A, panel of R rows:     [a(0,k) a(1,k) ... a(R-1,k)] for k in 0..depth
//! B, panel of W columns:  [b(k,0) b(k,1) ... b(k,W-1)] for k in 0..depth
//! ```
//!
//! Few rows do not repay the packing of `B`: up to [`ROWS_IN_PLACE`] rows read it in place, and a single row
//! reads it along its rows. [`products`] uses each right-hand side in one product only, so it always reads
//! them in place. A whole side may be packed beforehand, as [`PackedRows`] or [`PackedColumns`], where it is
//! multiplied again and again.

mod pack;
mod packed;
mod tile;

pub(crate) use packed::{PackedColumns, PackedRows, PaddedRows};
pub(crate) use tile::{Columns, Sink, TILE_VECTORS, accumulate, fitting_tile, panel_height};

use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, prefetch, run};
use crate::threads::{self, Shared};
use pack::{pack_columns, pack_rows, packed_rows};
use std::ops::Range;
use tile::{LINE, tile};

/// The depth of a block: a panel of `B` of this depth fits the first cache.
pub(crate) const DEPTH: usize = 256;
/// The rows of a block of `A`, which fits the first cache beside a panel of `B`.
const BLOCK_ROWS: usize = 48;
/// The columns of a block of `B`, which fits the second cache.
const BLOCK_COLUMNS: usize = 1024;

/// A matrix to read: element `(i, j)` is at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix in memory row after row.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(
            data.len() >= rows * columns,
            "{rows} x {columns} numbers were expected, found {}",
            data.len()
        );
        Matrix { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transpose.
    pub(crate) fn transposed(self) -> Self {
        let Matrix { data, rows, columns, row_stride, column_stride } = self;
        Matrix { data, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }

    fn check(&self) {
        if self.rows > 0 && self.columns > 0 {
            let last = (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
            assert!(last < self.data.len(), "a matrix of {last} places in {} numbers", self.data.len());
        }
    }
}

/// The work on a product's numbers once their sums are complete.
pub(crate) trait Finish: Copy + Send + Sync {
    /// Finishes the numbers from `(row, column)` on, of which the first `columns` exist.
    ///
    /// Must be `#[inline(always)]`.
    fn finish<S: Simd>(self, s: S, value: S::F32, row: usize, column: usize, columns: usize) -> S::F32;
}

/// Leaves the product unchanged.
#[derive(Clone, Copy)]
pub(crate) struct AsIs;

impl Finish for AsIs {
    #[inline(always)]
    fn finish<S: Simd>(self, _: S, value: S::F32, _: usize, _: usize, _: usize) -> S::F32 {
        value
    }
}

/// A sink that writes rows of a matrix in memory, or adds to them.
#[derive(Clone, Copy)]
struct Rows<'a, F> {
    to: Shared<'a, f32>,
    /// The first row's start.
    first: usize,
    stride: usize,
    /// True if the product is added to the numbers in the matrix.
    add: bool,
    /// True if the sums are complete now, so that `finish` is due.
    complete: bool,
    finish: F,
}

impl<F: Finish> Sink for Rows<'_, F> {
    /// The destination lies far away, so it is fetched while the sums are made.
    #[inline(always)]
    fn expect(self, row: usize, column: usize, columns: usize) {
        let start = self.to.pointer().wrapping_add(self.first + row * self.stride + column);
        for line in (0..columns).step_by(LINE) {
            prefetch(start.wrapping_add(line));
        }
    }

    #[inline(always)]
    unsafe fn take<S: Simd, const V: usize>(
        self,
        s: S,
        row: usize,
        column: usize,
        values: [S::F32; V],
        columns: usize,
    ) {
        for (v, mut value) in values.into_iter().enumerate() {
            let first = v * S::LANES;
            if first >= columns {
                return;
            }
            let count = (columns - first).min(S::LANES);
            // SAFETY: the caller promises that these places exist and are its own.
            unsafe {
                let to = self.to.pointer().add(self.first + row * self.stride + column + first);
                if self.add {
                    let before =
                        if count == S::LANES { s.load_from(to) } else { s.load_first_from(to, count) };
                    value = s.add(before, value);
                }
                if self.complete {
                    value = self.finish.finish(s, value, row, column + first, count);
                }
                if count == S::LANES {
                    s.store_to(to, value);
                } else {
                    s.store_first_to(to, value, count);
                }
            }
        }
    }
}

/// `c = finish(a b)`, or `c = finish(c + a b)` with `add`. `c` is `[M, N]`, row after row.
///
/// Threads share out the numbers of `C`. Each packs the rows and columns it needs, and none waits for
/// another.
///
/// # Panics
/// When the shapes do not fit each other.
pub(crate) fn product<F: Finish>(a: Matrix, b: Matrix, c: &mut [f32], add: bool, finish: F) {
    product_by(a, b, None, c, add, finish);
}

/// [`product`] with the columns of `b` packed beforehand, if they are.
pub(crate) fn product_by<F: Finish>(
    a: Matrix,
    b: Matrix,
    packed: Option<&PackedColumns>,
    c: &mut [f32],
    add: bool,
    finish: F,
) {
    assert!(packed.is_none_or(|packed| packed.is_of(&b)), "columns packed of another matrix");
    assert_eq!(a.columns, b.rows, "the columns of A and the rows of B");
    assert_eq!(c.len(), a.rows * b.columns, "the numbers of C");
    a.check();
    b.check();
    if c.is_empty() {
        return;
    }
    let (rows, columns) = (a.rows, b.columns);
    let to = Rows { to: Shared::new(c), first: 0, stride: columns, add, complete: true, finish };
    let worth = (rows * columns * a.columns.max(1)).div_ceil(1 << 18);
    let (high, wide) = grid(rows, columns, threads::count().min(worth));
    threads::parallel(high * wide, |part| {
        let rows = threads::range(rows, high, part / wide, HEIGHT);
        let columns = threads::range(columns, wide, part % wide, WIDTH);
        if !rows.is_empty() && !columns.is_empty() {
            let in_place = rows.len() <= ROWS_IN_PLACE && b.column_stride == 1;
            run(Product { a, b, sides: (None, packed), rows, columns, in_place, to });
        }
    });
}

/// `c[i] = finish[i](a b[i])` for `count` right-hand sides of one shape, which are read in place. The
/// products lie in `c` row after row, the first at `first` and each next one `step` numbers further.
///
/// Threads share out the columns of all products. The rows of `a` may be packed beforehand.
///
/// # Panics
/// When the shapes do not fit each other, products overlap, or a row of a right-hand side is not contiguous.
pub(crate) fn products<'a, F: Finish>(
    count: usize,
    (a, packed): (Matrix, Option<&PackedRows>),
    b: impl Fn(usize) -> Matrix<'a> + Sync,
    (c, first, step): (&mut [f32], usize, usize),
    finish: impl Fn(usize) -> F + Sync,
) {
    if count == 0 {
        return;
    }
    assert!(packed.is_none_or(|packed| packed.is_of(&a)), "rows packed of another matrix");
    let (rows, columns) = (a.rows, b(0).columns);
    assert!(rows * columns <= step || count == 1, "products of {rows} x {columns} every {step} numbers");
    assert!(first + (count - 1) * step + rows * columns <= c.len(), "products within {} numbers", c.len());
    a.check();
    let panels = columns.div_ceil(WIDTH);
    let worth = (count * rows * columns * a.columns.max(1)).div_ceil(1 << 18);
    let parts = threads::count().min(worth);
    let to = Shared::new(c);
    threads::parallel(parts, |part| {
        let mut panel = threads::range(count * panels, parts, part, 1);
        while !panel.is_empty() {
            let (index, start) = (panel.start / panels, panel.start % panels);
            let end = (start + panel.len()).min(panels);
            let b = b(index);
            assert_eq!((b.rows, b.columns, b.column_stride), (a.columns, columns, 1), "a right-hand side");
            b.check();
            let first = first + index * step;
            let to = Rows { to, first, stride: columns, add: false, complete: true, finish: finish(index) };
            let columns = start * WIDTH..(end * WIDTH).min(columns);
            run(Product { a, b, sides: (packed, None), rows: 0..rows, columns, in_place: true, to });
            panel.start += end - start;
        }
    });
}

/// The multiples at which threads share out rows and columns: every tile's height and width divides them.
const HEIGHT: usize = 12;
const WIDTH: usize = 32;

/// The numbers of parts of the rows and of the columns, for `parts` threads. They make the largest part
/// smallest and, among such, the parts' borders shortest, since packing grows with the borders.
fn grid(rows: usize, columns: usize, parts: usize) -> (usize, usize) {
    let cut = |high: usize| {
        let rows = rows.div_ceil(HEIGHT).div_ceil(high) * HEIGHT;
        let columns = columns.div_ceil(WIDTH).div_ceil(parts / high) * WIDTH;
        (rows * columns, rows + columns)
    };
    let high =
        (1..=parts).filter(|high| parts.is_multiple_of(*high)).min_by_key(|high| cut(*high)).unwrap_or(1);
    (high, (parts / high).max(1))
}

/// The rows `rows` and columns `columns` of a product.
struct Product<'a, F> {
    a: Matrix<'a>,
    b: Matrix<'a>,
    /// `A` and `B` packed beforehand. `B` is not read in place then.
    sides: (Option<&'a PackedRows>, Option<&'a PackedColumns>),
    rows: Range<usize>,
    columns: Range<usize>,
    /// True if `B` is read in place; its rows are contiguous then.
    in_place: bool,
    to: Rows<'a, F>,
}

impl<F: Finish> Kernel for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Product { a, b, sides: (all_rows, all_columns), rows, mut columns, in_place, to } = self;
        let width = TILE_VECTORS * S::LANES;
        if rows.len() == 1 && a.column_stride == 1 && b.column_stride == 1 {
            // SAFETY: the places are this part's own.
            columns.start = unsafe { one_row(s, a, b, rows.start, columns.clone(), to) };
            if columns.is_empty() {
                return;
            }
        }
        let depth = a.columns.min(DEPTH);
        let widest = match all_columns {
            Some(_) => 0,
            None if in_place => width,
            None => columns.len().min(BLOCK_COLUMNS).next_multiple_of(width),
        };
        let mut packed = for_overwriting(widest * depth);
        let block = if all_rows.is_some() { 0 } else { packed_rows::<S>(BLOCK_ROWS.min(rows.len())) };
        let mut block = for_overwriting(block * depth);
        for first in columns.clone().step_by(BLOCK_COLUMNS) {
            let columns = first..(first + BLOCK_COLUMNS).min(columns.end);
            let mut start = 0;
            // a product without depth still has numbers to finish
            while start == 0 || start < a.columns {
                let depth = start..(start + DEPTH).min(a.columns);
                let to = Rows { add: to.add || start > 0, complete: depth.end == a.columns, ..to };
                let panels = if let Some(all) = all_columns {
                    Panels { packed: all.panels(columns.clone(), depth.clone()), unpacked: None }
                } else if in_place {
                    let whole = columns.start + columns.len() / width * width;
                    if whole < columns.end {
                        pack_columns(s, &b, depth.clone(), whole..columns.end, &mut packed);
                    }
                    Panels { packed: &packed, unpacked: Some((&b, depth.start)) }
                } else {
                    pack_columns(s, &b, depth.clone(), columns.clone(), &mut packed);
                    Panels { packed: &packed, unpacked: None }
                };
                for first in rows.clone().step_by(BLOCK_ROWS) {
                    let rows = first..(first + BLOCK_ROWS).min(rows.end);
                    let block = match all_rows {
                        Some(all) => all.block(rows.clone(), depth.clone()),
                        None => {
                            pack_rows(s, &a, rows.clone(), depth.clone(), &mut block);
                            &block
                        }
                    };
                    // SAFETY: block and panels were packed with this depth just above, or beforehand of the
                    // same matrices with the same instructions, rows of `B` in place are whole, and the places
                    // are this part's own.
                    unsafe { multiply(s, depth.len(), block, rows, panels, columns.clone(), to) };
                }
                start += DEPTH;
            }
        }
    }
}

/// The number of vectors of columns that a single row is multiplied with at a time.
const ROW_VECTORS: usize = 8;

/// Multiplies one row with all whole groups of [`ROW_VECTORS`] vectors of columns. Returns the first column
/// that is left. Nothing is packed: each number of `B` is used once, and is read along its rows.
///
/// Sums are made in blocks of [`DEPTH`], as those of several rows are: a row has the same bits alone and
/// among others.
///
/// # Safety
/// The sink's contract must hold for the row and those columns.
#[inline(always)]
unsafe fn one_row<S: Simd, F: Finish>(
    s: S,
    a: Matrix,
    b: Matrix,
    row: usize,
    columns: Range<usize>,
    to: Rows<'_, F>,
) -> usize {
    let group = ROW_VECTORS * S::LANES;
    let end = columns.start + columns.len() / group * group;
    let depth = a.columns;
    let line = &a.data[row * a.row_stride..];
    assert!(depth <= line.len() && (depth == 0 || (depth - 1) * b.row_stride + end <= b.data.len()));
    for column in (columns.start..end).step_by(group) {
        let mut start = 0;
        // a product without depth still has numbers to finish
        while start == 0 || start < depth {
            let count = (depth - start).min(DEPTH);
            let to = Rows { add: to.add || start > 0, complete: start + count == depth, ..to };
            let from = b.data.as_ptr().wrapping_add(start * b.row_stride + column);
            // SAFETY: by the assertion, the row and a group of each of `B`'s rows are there; the rest is the
            // caller's promise.
            unsafe {
                tile::<S, _, 1, ROW_VECTORS>(
                    s,
                    count,
                    line.as_ptr().wrapping_add(start),
                    Columns::flowing(from, b.row_stride),
                    to,
                    (row, 1),
                    (column, group),
                );
            }
            start += DEPTH;
        }
    }
    end
}

/// A block of columns: packed or, for rows that do not repay packing, in place in `B` except for an
/// incomplete last panel.
#[derive(Clone, Copy)]
struct Panels<'a> {
    packed: &'a [f32],
    /// `B`, and the block's first row in it.
    unpacked: Option<(&'a Matrix<'a>, usize)>,
}

/// The most rows that are multiplied with `B` in place.
const ROWS_IN_PLACE: usize = 256;

/// Multiplies a packed block of rows with a block of columns, tile by tile.
///
/// # Safety
/// The blocks must have been packed by [`pack_rows`] and [`pack_columns`] for these rows and columns and this
/// depth. The rows of an unpacked `B` must be contiguous. The sink's contract must hold for these rows and
/// columns.
#[inline(always)]
unsafe fn multiply<S: Simd, K: Sink>(
    s: S,
    depth: usize,
    block: &[f32],
    rows: Range<usize>,
    panels: Panels,
    columns: Range<usize>,
    to: K,
) {
    let width = TILE_VECTORS * S::LANES;
    for (panel, column) in columns.clone().step_by(width).enumerate() {
        let column = (column, (columns.end - column).min(width));
        let b = match panels.unpacked {
            Some((b, row)) if column.1 == width => {
                let start = row * b.row_stride + column.0;
                assert!(
                    depth == 0 || start + (depth - 1) * b.row_stride + width <= b.data.len(),
                    "rows of B within its numbers"
                );
                Columns::strewn(b.data.as_ptr().wrapping_add(start), b.row_stride)
            }
            Some(_) => Columns::flowing(panels.packed.as_ptr(), width),
            None => Columns::flowing(panels.packed[panel * width * depth..].as_ptr(), width),
        };
        let mut at = 0;
        for row in rows.clone().step_by(S::TILE_ROWS) {
            let count = (rows.end - row).min(S::TILE_ROWS);
            // SAFETY: panels lie where the two functions put them, and `B`'s rows in place were asserted to
            // be there; the rest is the caller's promise.
            unsafe {
                fitting_tile::<S, K, TILE_VECTORS>(
                    s,
                    depth,
                    block.as_ptr().add(at),
                    b,
                    to,
                    (row, count),
                    column,
                );
            }
            at += panel_height::<S>(count) * depth;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    fn plain(a: Matrix, b: Matrix) -> Vec<f32> {
        let mut c = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.columns {
                let term = |k: usize| {
                    let a = a.data[i * a.row_stride + k * a.column_stride];
                    f64::from(a) * f64::from(b.data[k * b.row_stride + j * b.column_stride])
                };
                c.push((0..a.columns).map(term).sum::<f64>() as f32);
            }
        }
        c
    }

    #[test]
    fn every_layout_and_odd_size() {
        let sizes = [1, 2, 3, 5, 11, 12, 13, 31, 33, 47, 97, 130];
        // the most rows that read `B` in place, on one thread and on two, and one more
        let rows = sizes.into_iter().chain([ROWS_IN_PLACE, ROWS_IN_PLACE + 1, 2 * ROWS_IN_PLACE + 1]);
        for (index, rows) in rows.enumerate() {
            for (other, &columns) in sizes.iter().enumerate() {
                let depth = [1, 7, 255, 256, 257, 600][(index + other) % 6];
                let (left, right) = (numbers(rows * depth, 1), numbers(depth * columns, 2));
                let a = [Matrix::new(&left, rows, depth), Matrix::new(&left, depth, rows).transposed()];
                let b =
                    [Matrix::new(&right, depth, columns), Matrix::new(&right, columns, depth).transposed()];
                for (a, b) in [(a[0], b[0]), (a[1], b[0]), (a[0], b[1]), (a[1], b[1])] {
                    let expected = plain(a, b);
                    let mut found = vec![1.0; rows * columns];
                    product(a, b, &mut found, false, AsIs);
                    let mut added = vec![1.0; rows * columns];
                    product(a, b, &mut added, true, AsIs);
                    for ((found, added), expected) in found.iter().zip(added).zip(expected) {
                        assert!(
                            (found - expected).abs() < 1e-3,
                            "{rows} x {depth} x {columns}: {found}, {expected}"
                        );
                        assert!((added - expected - 1.0).abs() < 1e-3);
                    }
                }
            }
        }
    }

    /// A row's product does not depend on the other rows: answers are the same in a batch and alone.
    #[test]
    fn a_row_has_the_same_bits_alone_and_among_others() {
        for (depth, columns) in [(1, 1), (255, 130), (257, 33), (600, 1000), (1024, 300)] {
            let most = 2 * ROWS_IN_PLACE + 1;
            let (left, right) = (numbers(most * depth, 5), numbers(depth * columns, 6));
            let b = Matrix::new(&right, depth, columns);
            let of = |rows: Range<usize>| {
                let a = &left[rows.start * depth..rows.end * depth];
                let mut c = vec![0.0; rows.len() * columns];
                product(Matrix::new(a, rows.len(), depth), b, &mut c, false, AsIs);
                c
            };
            let all = of(0..most);
            for rows in [0..1, 1..3, 7..20, 20..33, 100..101, 3..ROWS_IN_PLACE + 3, most - 1..most] {
                let bits =
                    |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
                let among = &all[rows.start * columns..rows.end * columns];
                assert_eq!(bits(&of(rows.clone())), bits(among), "{rows:?} x {depth} x {columns}");
            }
        }
    }

    #[test]
    fn more_columns_than_a_block() {
        for (rows, depth) in [(3, 260), (30, 7)] {
            let columns = 2 * BLOCK_COLUMNS + 45;
            let (left, right) = (numbers(rows * depth, 3), numbers(depth * columns, 4));
            let (a, b) = (Matrix::new(&left, rows, depth), Matrix::new(&right, depth, columns));
            let mut found = vec![1.0; rows * columns];
            product(a, b, &mut found, false, AsIs);
            for (found, expected) in found.iter().zip(plain(a, b)) {
                assert!((found - expected).abs() < 1e-3, "{found}, {expected}");
            }
        }
    }

    #[test]
    fn no_rows_no_columns_and_no_depth() {
        product(Matrix::new(&[], 0, 3), Matrix::new(&[0.0; 6], 3, 2), &mut [], false, AsIs);
        product(Matrix::new(&[0.0; 6], 2, 3), Matrix::new(&[], 3, 0), &mut [], false, AsIs);
        let mut c = [5.0; 4];
        product(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 2), &mut c, true, AsIs);
        assert_eq!(c, [5.0; 4]);
        product(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 2), &mut c, false, AsIs);
        assert_eq!(c, [0.0; 4]);
        for rows in [1, 2, 30, 300] {
            let mut wide = vec![5.0; rows * 200];
            product(Matrix::new(&[], rows, 0), Matrix::new(&[], 0, 200), &mut wide, false, AsIs);
            assert_eq!(wide, vec![0.0; rows * 200]);
        }
    }
}
