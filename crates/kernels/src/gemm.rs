//! Matrix products: packed panels and a tile of registers, after Goto and van de Geijn, "Anatomy of high-performance
//! matrix multiplication", 2008, and BLIS (Van Zee and van de Geijn 2015).
//!
//! `C [M, N] = A [M, K] B [K, N]`. Rows of `A` are packed in panels of a tile's height, columns of `B` in panels of a
//! tile's width, so that the innermost loop reads both one after the other:
//!
//! ```text
//! A, panel of R rows:     [a(0,k) a(1,k) ... a(R-1,k)] for k in 0..depth
//! B, panel of W columns:  [b(k,0) b(k,1) ... b(k,W-1)] for k in 0..depth
//! ```
//!
//! Few rows do not repay the packing of `B`: up to [`FEW_ROWS`] read it as it lies, and one row reads it along its rows.

use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, prefetch, run};
use crate::threads::{self, Shared};
use std::ops::Range;

/// Depth of a block: a panel of `B` of this depth fits the first cache.
pub(crate) const DEPTH: usize = 256;
/// Rows of a block of `A`, which fits the first cache beside a panel of `B`.
const BLOCK_ROWS: usize = 48;
/// Columns of a block of `B`, which fits the second cache.
const BLOCK_COLUMNS: usize = 1024;
/// Vectors of columns of a tile.
pub(crate) const TILE_VECTORS: usize = 2;

/// A matrix that is read: element `(i, j)` is at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(
            data.len() >= rows * columns,
            "{rows} x {columns} numbers were expected, found {}",
            data.len()
        );
        Matrix { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Rows become columns.
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

/// What happens to a product's numbers once their sums are complete.
pub(crate) trait Finish: Copy + Send + Sync {
    /// `value` holds the numbers from `(row, column)` on, of which `columns` exist.
    ///
    /// Must be `#[inline(always)]`.
    fn finish<S: Simd>(self, s: S, value: S::F32, row: usize, column: usize, columns: usize) -> S::F32;
}

/// Leaves the product as it is.
#[derive(Clone, Copy)]
pub(crate) struct AsIs;

impl Finish for AsIs {
    #[inline(always)]
    fn finish<S: Simd>(self, _: S, value: S::F32, _: usize, _: usize, _: usize) -> S::F32 {
        value
    }
}

/// Where a tile's rows go.
pub(crate) trait Sink: Copy + Send + Sync {
    /// Hears that the first `columns` numbers of `row` from `column` on come next, while they are summed.
    ///
    /// Must be `#[inline(always)]`.
    #[inline(always)]
    fn expect(self, _row: usize, _column: usize, _columns: usize) {}

    /// Takes the first `columns` numbers of `values`, which belong to `row` from `column` on.
    ///
    /// Must be `#[inline(always)]`.
    ///
    /// # Safety
    /// Those places must exist, and nobody else may use them meanwhile.
    unsafe fn take<S: Simd, const V: usize>(
        self,
        s: S,
        row: usize,
        column: usize,
        values: [S::F32; V],
        columns: usize,
    );
}

/// The product of one panel of `A` and one of `B`.
///
/// `a` points to `depth` times `R` numbers, and `b` to `depth` times `V` vectors, one group `step` numbers behind the
/// other: `V * LANES` in a panel, a row of the matrix where `B` is read as it lies.
///
/// # Safety
/// Those numbers must be readable, and the sink's contract hold for `rows` (at most `R`) rows from `row` on and
/// `columns` columns from `column` on.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn tile<S: Simd, K: Sink, const R: usize, const V: usize>(
    s: S,
    depth: usize,
    a: *const f32,
    (b, step): (*const f32, usize),
    sink: K,
    (row, rows): (usize, usize),
    (column, columns): (usize, usize),
) {
    for row in row..row + rows {
        sink.expect(row, column, columns);
    }
    let mut sums = [[s.splat(0.0); V]; R];
    let (mut a, mut b) = (a, b);
    for _ in 0..depth {
        // SAFETY: the caller promises `depth` groups behind both pointers.
        unsafe {
            let mut vectors = [s.splat(0.0); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = s.load_from(b.add(v * S::LANES));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let scalar = s.splat(a.add(r).read());
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = s.mul_add(scalar, vector, *sum);
                }
            }
            a = a.add(R);
            b = b.wrapping_add(step);
        }
    }
    // Out of the registers first: what the sink does to a row is then compiled once, not for each row.
    let mut out = [[[0.0f32; MOST_LANES]; V]; R];
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.iter_mut().zip(sums) {
            s.store(out, sum);
        }
    }
    for (r, row_sums) in out.iter().enumerate().take(rows) {
        let mut values = [s.splat(0.0); V];
        for (value, sums) in values.iter_mut().zip(row_sums) {
            *value = s.load(sums);
        }
        // SAFETY: the caller's promise.
        unsafe { sink.take(s, row + r, column, values, columns) };
    }
}

/// Lanes of the widest vectors.
const MOST_LANES: usize = 16;
/// Numbers of a line of the cache.
const LINE: usize = 16;

/// [`tile`] with the least height of 3/3, 2/3 and 1/3 of the full that holds `rows`: see [`panel_height`].
///
/// # Safety
/// As [`tile`]'s, `a` being packed with that height.
#[inline(always)]
pub(crate) unsafe fn fitting_tile<S: Simd, K: Sink, const V: usize>(
    s: S,
    depth: usize,
    a: *const f32,
    b: (*const f32, usize),
    sink: K,
    rows: (usize, usize),
    columns: (usize, usize),
) {
    // The outer choice is made when this is compiled, so that an instruction set has three tiles, not nine.
    // SAFETY: the caller's promise.
    unsafe {
        let thirds = panel_height::<S>(rows.1) / (S::TILE_ROWS / 3);
        match S::TILE_ROWS {
            12 => match thirds {
                3 => tile::<S, K, 12, V>(s, depth, a, b, sink, rows, columns),
                2 => tile::<S, K, 8, V>(s, depth, a, b, sink, rows, columns),
                _ => tile::<S, K, 4, V>(s, depth, a, b, sink, rows, columns),
            },
            6 => match thirds {
                3 => tile::<S, K, 6, V>(s, depth, a, b, sink, rows, columns),
                2 => tile::<S, K, 4, V>(s, depth, a, b, sink, rows, columns),
                _ => tile::<S, K, 2, V>(s, depth, a, b, sink, rows, columns),
            },
            _ => match thirds {
                3 => tile::<S, K, 3, V>(s, depth, a, b, sink, rows, columns),
                2 => tile::<S, K, 2, V>(s, depth, a, b, sink, rows, columns),
                _ => tile::<S, K, 1, V>(s, depth, a, b, sink, rows, columns),
            },
        }
    }
}

/// The height of a panel of `A` that holds `rows` rows, at most `S::TILE_ROWS`: a last panel of few rows wastes little.
#[inline(always)]
pub(crate) fn panel_height<S: Simd>(rows: usize) -> usize {
    let third = S::TILE_ROWS / 3;
    rows.div_ceil(third).clamp(1, 3) * third
}

/// Numbers that the panels of `rows` rows take, a unit of depth.
#[inline(always)]
fn packed_rows<S: Simd>(rows: usize) -> usize {
    let full = rows / S::TILE_ROWS * S::TILE_ROWS;
    if rows > full { full + panel_height::<S>(rows - full) } else { full }
}

/// Packs rows `rows` and columns `depth` of `a`: panel after panel, missing rows as zeros.
#[inline(always)]
fn pack_rows<S: Simd>(s: S, a: &Matrix, rows: Range<usize>, depth: Range<usize>, to: &mut [f32]) {
    let last = panel_height::<S>((rows.len() - 1) % S::TILE_ROWS + 1);
    let from = a.data.get(rows.start * a.row_stride + depth.start * a.column_stride..).unwrap_or_default();
    pack(s, from, (rows.len(), a.row_stride), (depth.len(), a.column_stride), (S::TILE_ROWS, last), to);
}

/// Packs columns `columns` and rows `depth` of `b`: panel after panel, missing columns as zeros.
#[inline(always)]
fn pack_columns<S: Simd>(s: S, b: &Matrix, depth: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
    let width = TILE_VECTORS * S::LANES;
    let from = b.data.get(depth.start * b.row_stride + columns.start * b.column_stride..).unwrap_or_default();
    pack(s, from, (columns.len(), b.column_stride), (depth.len(), b.row_stride), (width, width), to);
}

/// Cuts `count` lines into panels of `full` lines, the last one of `last`, and lays each panel out by depth: line `i` of
/// a panel of `width` lines has its number of depth `k`, `from[i * stride + k * depth_stride]`, at `k * width + i`.
#[inline(always)]
fn pack<S: Simd>(
    s: S,
    from: &[f32],
    (count, stride): (usize, usize),
    (depth, depth_stride): (usize, usize),
    (full, last): (usize, usize),
    to: &mut [f32],
) {
    if stride == 1 {
        pack_contiguous(s, from, count, (depth, depth_stride), (full, last), to);
        return;
    }
    let width = |first: usize| if count - first >= full { full } else { last };
    for first in (0..count).step_by(full) {
        let width = width(first);
        let panel = &mut to[first * depth..(first + width) * depth];
        let lines = (count - first).min(full);
        let from = &from[(first * stride).min(from.len())..];
        if lines < width {
            panel.fill(0.0);
        }
        if depth_stride == 1 {
            pack_transposed(s, from, (lines, stride), width, panel);
            continue;
        }
        for (k, group) in panel.chunks_exact_mut(width).enumerate() {
            for (i, place) in group[..lines].iter_mut().enumerate() {
                *place = from[i * stride + k * depth_stride];
            }
        }
    }
}

/// [`pack`] of lines that lie beside each other: depth by depth over several panels, so that the source is read along
/// its rows.
#[inline(always)]
fn pack_contiguous<S: Simd>(
    s: S,
    from: &[f32],
    count: usize,
    (depth, depth_stride): (usize, usize),
    (full, last): (usize, usize),
    to: &mut [f32],
) {
    if count == 0 || depth == 0 {
        return;
    }
    let (panels, rest) = (count / full, count % full);
    let end = panels * full * depth;
    assert!((depth - 1) * depth_stride + count <= from.len(), "lines within the source");
    assert!(end + if rest > 0 { last * depth } else { 0 } <= to.len(), "panels within the block");
    let (vectors, lanes) = (full / S::LANES, full % S::LANES);
    // a few panels at a time: the ends of more would share their places in the first cache
    for group in (0..panels).step_by(4) {
        for k in 0..depth {
            for panel in group..(group + 4).min(panels) {
                // SAFETY: by the assertions, `full` numbers are there from either place on.
                unsafe {
                    let from = from.as_ptr().add(k * depth_stride + panel * full);
                    for line in (0..full).step_by(LINE) {
                        prefetch(from.wrapping_add(16 * depth_stride + line));
                    }
                    let to = to.as_mut_ptr().add(panel * full * depth + k * full);
                    for v in 0..vectors {
                        s.store_to(to.add(v * S::LANES), s.load_from(from.add(v * S::LANES)));
                    }
                    if lanes > 0 {
                        let done = vectors * S::LANES;
                        s.store_first_to(to.add(done), s.load_first_from(from.add(done), lanes), lanes);
                    }
                }
            }
        }
    }
    if rest > 0 {
        for (k, group) in to[end..end + last * depth].chunks_exact_mut(last).enumerate() {
            let row = &from[k * depth_stride + count - rest..k * depth_stride + count];
            for lane in (0..last).step_by(S::LANES) {
                // behind the last line, a vector of zeros
                let numbers = &row[lane.min(rest)..(lane + S::LANES).min(rest)];
                s.store_first(&mut group[lane..], s.load_first(numbers));
            }
        }
    }
}

/// A panel of lines that each lie in one piece.
#[inline(always)]
fn pack_transposed<S: Simd>(
    s: S,
    from: &[f32],
    (lines, stride): (usize, usize),
    width: usize,
    panel: &mut [f32],
) {
    let depth = panel.len() / width;
    for k in (0..depth).step_by(S::LANES) {
        for i in (0..lines).step_by(S::LANES) {
            let size = ((lines - i).min(S::LANES), (depth - k).min(S::LANES));
            let block = &from[i * stride + k..(i + size.0 - 1) * stride + k + size.1];
            let place = &mut panel[k * width + i..(k + size.1 - 1) * width + i + size.0];
            // SAFETY: the two slices end with the last number that is read and written.
            unsafe { s.transpose(block.as_ptr(), stride, size, place.as_mut_ptr(), width) };
        }
    }
}

/// Rows of a matrix in memory, plain or added to what is there.
#[derive(Clone, Copy)]
struct Rows<'a, F> {
    to: Shared<'a, f32>,
    stride: usize,
    /// Whether to add to what is there.
    add: bool,
    /// Whether the sums are complete with this, so that `finish` is due.
    complete: bool,
    finish: F,
}

impl<F: Finish> Sink for Rows<'_, F> {
    /// What is written lies far away: it is fetched while the sums are made.
    #[inline(always)]
    fn expect(self, row: usize, column: usize, columns: usize) {
        let start = self.to.pointer().wrapping_add(row * self.stride + column);
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
                let to = self.to.pointer().add(row * self.stride + column + first);
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

/// `c = finish(a b)`, or `c = finish(c + a b)` with `add`; `c` is `[M, N]`, row after row.
///
/// Threads share out the places of `C`, and each packs what it needs: nobody waits for another.
///
/// # Panics
/// When the shapes do not fit each other.
pub(crate) fn product<F: Finish>(a: Matrix, b: Matrix, c: &mut [f32], add: bool, finish: F) {
    assert_eq!(a.columns, b.rows, "the columns of A and the rows of B");
    assert_eq!(c.len(), a.rows * b.columns, "the numbers of C");
    a.check();
    b.check();
    if c.is_empty() {
        return;
    }
    let (rows, columns) = (a.rows, b.columns);
    let to = Rows { to: Shared::new(c), stride: columns, add, complete: true, finish };
    let worth = (rows * columns * a.columns.max(1)).div_ceil(1 << 18);
    let (high, wide) = grid(rows, columns, threads::count().min(worth));
    threads::parallel(high * wide, |part| {
        let rows = threads::range(rows, high, part / wide, HEIGHT);
        let columns = threads::range(columns, wide, part % wide, WIDTH);
        if !rows.is_empty() && !columns.is_empty() {
            run(Product { a, b, rows, columns, to });
        }
    });
}

/// Multiples of every tile's height and width, at which threads share out rows and columns.
const HEIGHT: usize = 12;
const WIDTH: usize = 32;

/// Into how many parts to cut rows and columns for `parts` threads, so that the largest part is smallest, and among
/// such, so that parts' borders are shortest: what is packed grows with them.
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

/// The places `rows` by `columns` of a product.
struct Product<'a, F> {
    a: Matrix<'a>,
    b: Matrix<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    to: Rows<'a, F>,
}

impl<F: Finish> Kernel for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Product { a, b, rows, mut columns, to } = self;
        let width = TILE_VECTORS * S::LANES;
        if rows.len() == 1 && a.column_stride == 1 && b.column_stride == 1 {
            // SAFETY: the places are this part's own.
            columns.start = unsafe { one_row(s, a, b, rows.start, columns.clone(), to) };
            if columns.is_empty() {
                return;
            }
        }
        let depth = a.columns.min(DEPTH);
        let in_place = rows.len() <= FEW_ROWS && b.column_stride == 1;
        let widest = if in_place { width } else { columns.len().min(BLOCK_COLUMNS).next_multiple_of(width) };
        let mut packed = for_overwriting(widest * depth);
        let mut block = for_overwriting(packed_rows::<S>(BLOCK_ROWS.min(rows.len())) * depth);
        for first in columns.clone().step_by(BLOCK_COLUMNS) {
            let columns = first..(first + BLOCK_COLUMNS).min(columns.end);
            let mut start = 0;
            // a product without depth still has its places to finish
            while start == 0 || start < a.columns {
                let depth = start..(start + DEPTH).min(a.columns);
                let to = Rows { add: to.add || start > 0, complete: depth.end == a.columns, ..to };
                let panels = if in_place {
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
                    pack_rows(s, &a, rows.clone(), depth.clone(), &mut block);
                    // SAFETY: both were packed with this depth just above, and the places are this part's own.
                    unsafe { multiply(s, depth.len(), &block, rows, panels, columns.clone(), to) };
                }
                start += DEPTH;
            }
        }
    }
}

/// Vectors of columns that one row is multiplied with at a time.
const ROW_VECTORS: usize = 8;

/// One row times as many columns as fill whole groups of [`ROW_VECTORS`]; gives the first column that is left. Nothing is
/// packed: each number of `B` is used once, and is read along its rows.
///
/// # Safety
/// The sink's contract must hold for those places.
#[inline(always)]
unsafe fn one_row<S: Simd, K: Sink>(
    s: S,
    a: Matrix,
    b: Matrix,
    row: usize,
    columns: Range<usize>,
    to: K,
) -> usize {
    let group = ROW_VECTORS * S::LANES;
    let end = columns.start + columns.len() / group * group;
    let depth = a.columns;
    let line = &a.data[row * a.row_stride..];
    assert!(depth <= line.len() && (depth == 0 || (depth - 1) * b.row_stride + end <= b.data.len()));
    for column in (columns.start..end).step_by(group) {
        let from = b.data.as_ptr().wrapping_add(column);
        // SAFETY: by the assertion, the row and a group of each of `B`'s rows are there; the rest is the caller's promise.
        unsafe {
            tile::<S, K, 1, ROW_VECTORS>(
                s,
                depth,
                line.as_ptr(),
                (from, b.row_stride),
                to,
                (row, 1),
                (column, group),
            );
        }
    }
    end
}

/// A block of columns: packed, or, for few rows, for which packing does not pay, as `B` has it but for a last panel that
/// is not whole.
#[derive(Clone, Copy)]
struct Panels<'a> {
    packed: &'a [f32],
    /// `B`, and the row that the block starts at.
    unpacked: Option<(&'a Matrix<'a>, usize)>,
}

/// So few rows are multiplied with `B` as it lies.
const FEW_ROWS: usize = 24;

/// All tiles of a packed block of rows and a block of columns.
///
/// # Safety
/// The blocks must have been packed by [`pack_rows`] and [`pack_columns`] for these rows and columns and this depth,
/// the rows of an unpacked `B` lie in one piece each, and the sink's contract hold for them.
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
                (b.data.as_ptr().wrapping_add(start), b.row_stride)
            }
            Some(_) => (panels.packed.as_ptr(), width),
            None => (panels.packed[panel * width * depth..].as_ptr(), width),
        };
        let mut at = 0;
        for row in rows.clone().step_by(S::TILE_ROWS) {
            let count = (rows.end - row).min(S::TILE_ROWS);
            // SAFETY: the panels lie where the two functions put them; the rest is the caller's promise.
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
        for (index, &rows) in sizes.iter().enumerate() {
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

    #[test]
    fn no_rows_no_columns_and_no_depth() {
        product(Matrix::new(&[], 0, 3), Matrix::new(&[0.0; 6], 3, 2), &mut [], false, AsIs);
        product(Matrix::new(&[0.0; 6], 2, 3), Matrix::new(&[], 3, 0), &mut [], false, AsIs);
        let mut c = [5.0; 4];
        product(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 2), &mut c, true, AsIs);
        assert_eq!(c, [5.0; 4]);
        product(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 2), &mut c, false, AsIs);
        assert_eq!(c, [0.0; 4]);
        for rows in [1, 2, 30] {
            let mut wide = vec![5.0; rows * 200];
            product(Matrix::new(&[], rows, 0), Matrix::new(&[], 0, 200), &mut wide, false, AsIs);
            assert_eq!(wide, vec![0.0; rows * 200]);
        }
    }
}
