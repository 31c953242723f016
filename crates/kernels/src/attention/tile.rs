//! Products of small matrices in scratch memory, a tile of registers at a time.
//!
//! `A` is read where it lies, along its rows or down its columns, with a pitch that is known when the program is
//! compiled; `B` is read a vector at a time, from rows that are padded to whole vectors. So nothing is packed but the
//! keys and values whose transposes are needed.

use crate::gemm::panel_height;
use crate::simd::Simd;

/// Vectors of columns of a tile.
pub(super) const VECTORS: usize = 2;
/// Keys of a block of scores: whole panels of every instruction set.
pub(super) const KEYS: usize = 192;
/// Keys whose scores are held at a time, whole blocks, in the second cache.
pub(super) const HELD: usize = 8 * KEYS;
/// From one row of a block of scores to the next. An odd number of cache lines, so that rows do not share sets; and
/// room for a tile that reaches over the end.
pub(super) const SCORES: usize = KEYS + 16;
/// The widest head.
pub(super) const WIDEST: usize = 256;
/// From one query in scratch memory to the next, likewise.
pub(super) const QUERY: usize = WIDEST + 16;

/// `A [R, depth] B [depth, V * LANES]`, `A` in blocks of [`KEYS`] columns that are `block` numbers apart: as many as they
/// have columns, where they follow each other.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    pub a: *const f32,
    pub block: usize,
    pub b: *const f32,
    /// From one row of `B` to the next.
    pub pitch: usize,
    pub depth: usize,
}

/// Where a tile goes.
pub(super) trait Sink: Copy {
    /// Takes a row of a tile. Must be `#[inline(always)]`.
    ///
    /// # Safety
    /// The sink's own contract about its rows and columns.
    unsafe fn take<S: Simd, const V: usize>(self, s: S, row: usize, column: usize, values: [S::F32; V]);
}

/// A tile of a product, to the sink as `rows` (at most `R`) rows from `row` and `V` vectors from `column` on. Element
/// `(r, k)` of `A` is at `r * ROW + k * STEP`.
///
/// # Safety
/// The operands must be readable: `R` rows of `A` even where fewer are wanted. The sink's contract must hold.
#[inline(always)]
unsafe fn tile<S: Simd, K: Sink, const R: usize, const V: usize, const ROW: usize, const STEP: usize>(
    s: S,
    operands: Operands,
    sink: K,
    (row, rows): (usize, usize),
    column: usize,
) {
    let Operands { a: mut start, block, mut b, pitch, depth: mut left } = operands;
    let mut sums = [[s.splat(0.0); V]; R];
    while left > 0 {
        let steps = left.min(KEYS);
        let mut a = start;
        for _ in 0..steps {
            // SAFETY: the caller's promise.
            unsafe {
                let mut vectors = [s.splat(0.0); V];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = s.load_from(b.add(v * S::LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let scalar = s.splat(a.add(r * ROW).read());
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = s.mul_add(scalar, vector, *sum);
                    }
                }
                a = a.add(STEP);
                b = b.add(pitch);
            }
        }
        start = start.wrapping_add(block);
        left -= steps;
    }
    // written out, since a loop that the compiler leaves one would keep the sums in memory
    macro_rules! take {
        ($($r:literal)*) => {
            $(if $r < R && $r < rows {
                // SAFETY: the caller's promise.
                unsafe { sink.take(s, row + $r, column, sums[$r % R]) };
            })*
        };
    }
    take!(0 1 2 3 4 5 6 7 8 9 10 11);
}

/// [`tile`] of the least height of 1/3, 2/3 and 3/3 of the full that holds the rows, `vectors` wide.
///
/// # Safety
/// As [`tile`]'s.
#[inline(always)]
pub(super) unsafe fn fitting<S: Simd, K: Sink, const ROW: usize, const STEP: usize>(
    s: S,
    operands: Operands,
    sink: K,
    rows: (usize, usize),
    column: usize,
    vectors: usize,
) {
    let thirds = panel_height::<S>(rows.1) / (S::TILE_ROWS / 3);
    // The outer choice is made when this is compiled, so that an instruction set has its three heights alone.
    // SAFETY: the caller's promise.
    unsafe {
        match S::TILE_ROWS {
            12 => match (thirds, vectors) {
                (3, VECTORS) => tile::<S, K, 12, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (2, VECTORS) => tile::<S, K, 8, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (_, VECTORS) => tile::<S, K, 4, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (3, _) => tile::<S, K, 12, 1, ROW, STEP>(s, operands, sink, rows, column),
                (2, _) => tile::<S, K, 8, 1, ROW, STEP>(s, operands, sink, rows, column),
                _ => tile::<S, K, 4, 1, ROW, STEP>(s, operands, sink, rows, column),
            },
            6 => match (thirds, vectors) {
                (3, VECTORS) => tile::<S, K, 6, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (2, VECTORS) => tile::<S, K, 4, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (_, VECTORS) => tile::<S, K, 2, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (3, _) => tile::<S, K, 6, 1, ROW, STEP>(s, operands, sink, rows, column),
                (2, _) => tile::<S, K, 4, 1, ROW, STEP>(s, operands, sink, rows, column),
                _ => tile::<S, K, 2, 1, ROW, STEP>(s, operands, sink, rows, column),
            },
            _ => match (thirds, vectors) {
                (3, VECTORS) => tile::<S, K, 3, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (2, VECTORS) => tile::<S, K, 2, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (_, VECTORS) => tile::<S, K, 1, VECTORS, ROW, STEP>(s, operands, sink, rows, column),
                (3, _) => tile::<S, K, 3, 1, ROW, STEP>(s, operands, sink, rows, column),
                (2, _) => tile::<S, K, 2, 1, ROW, STEP>(s, operands, sink, rows, column),
                _ => tile::<S, K, 1, 1, ROW, STEP>(s, operands, sink, rows, column),
            },
        }
    }
}

/// A product's rows: times a factor a row, into a matrix of which `width` columns exist.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub to: *mut f32,
    pub pitch: usize,
    pub width: usize,
    pub factor: f32,
    /// More factors, one a row.
    pub factors: Option<&'a [f32]>,
    /// Whether to add to what is there.
    pub add: bool,
    /// Factors on what is there, one a row.
    pub shares: Option<&'a [f32]>,
}

impl Sink for Output<'_> {
    /// # Safety
    /// The row must be writable at `to`, and nobody else's.
    #[inline(always)]
    unsafe fn take<S: Simd, const V: usize>(self, s: S, row: usize, column: usize, values: [S::F32; V]) {
        let factor = self.factors.map_or(self.factor, |factors| factors[row] * self.factor);
        let factor = s.splat(factor);
        let share = s.splat(self.shares.map_or(1.0, |shares| shares[row]));
        for v in 0..V {
            let value = values[v];
            let first = column + v * S::LANES;
            let count = self.width - first.min(self.width);
            // SAFETY: `count` columns of the row are left from here on.
            unsafe {
                let to = self.to.add(row * self.pitch).wrapping_add(first);
                let zero = s.splat(0.0);
                if count >= S::LANES {
                    let before = if self.add { s.mul(share, s.load_from(to)) } else { zero };
                    s.store_to(to, s.mul_add(value, factor, before));
                } else {
                    let before = if self.add { s.mul(share, s.load_first_from(to, count)) } else { zero };
                    s.store_first_to(to, s.mul_add(value, factor, before), count);
                }
            }
        }
    }
}

/// The heads of one part of the projections: row `t` of batch item `b` starts at `b * batch + t * row`, head `h` at
/// `h * width` in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub data: &'a [f32],
    pub batch: usize,
    pub row: usize,
}

impl<'a> View<'a> {
    /// The rows of one head: the numbers from its first on.
    #[inline(always)]
    pub(super) fn head(&self, batch: usize, start: usize) -> &'a [f32] {
        &self.data[batch * self.batch + start..]
    }
}

/// Copies `rows` of `width` numbers, times `factor`, into rows of `pitch`, filled with zeros up to whole vectors.
#[inline(always)]
pub(super) fn copy_rows<S: Simd>(
    s: S,
    (from, stride): (&[f32], usize),
    (rows, width): (usize, usize),
    factor: f32,
    to: &mut [f32],
    pitch: usize,
) {
    let factor = s.splat(factor);
    let padded = width.next_multiple_of(S::LANES);
    for row in 0..rows {
        let from = &from[row * stride..row * stride + width];
        let to = &mut to[row * pitch..row * pitch + padded];
        for (to, from) in to.chunks_exact_mut(S::LANES).zip(from.chunks(S::LANES)) {
            s.store(to, s.mul(s.load_first(from), factor));
        }
    }
}

/// Transposes `rows` of `width` numbers into panels of [`VECTORS`] vectors of rows, the last one perhaps of fewer:
/// `to[panel][k][lane]`, zeros where there is no row.
#[inline(always)]
pub(super) fn transpose_rows<S: Simd>(
    s: S,
    (from, stride): (&[f32], usize),
    (rows, width): (usize, usize),
    to: &mut [f32],
) {
    let mut row = 0;
    let mut at = 0;
    while row < rows {
        let lanes = panel::<S>(rows - row) * S::LANES;
        let to = &mut to[at..at + lanes * width];
        let count = (rows - row).min(lanes);
        if count < lanes {
            to.fill(0.0);
        }
        let mut i = 0;
        while i < count {
            let rows = (count - i).min(S::LANES);
            let mut k = 0;
            while k < width {
                let steps = (width - k).min(S::LANES);
                let from = &from[(row + i) * stride + k..][..(rows - 1) * stride + steps];
                let to = &mut to[k * lanes + i..][..(steps - 1) * lanes + rows];
                if rows == S::LANES && steps == S::LANES {
                    // SAFETY: both slices were cut to hold the square.
                    unsafe {
                        s.transpose(from.as_ptr(), stride, (S::LANES, S::LANES), to.as_mut_ptr(), lanes)
                    };
                } else {
                    for (i, row) in from.chunks(stride).enumerate() {
                        for (j, value) in row[..steps].iter().enumerate() {
                            to[j * lanes + i] = *value;
                        }
                    }
                }
                k += steps;
            }
            i += rows;
        }
        at += lanes * width;
        row += lanes;
    }
}

/// Vectors of the panel of columns that starts when `left` are left.
#[inline(always)]
pub(super) fn panel<S: Simd>(left: usize) -> usize {
    left.div_ceil(S::LANES).min(VECTORS)
}
