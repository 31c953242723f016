//! Products of small matrices in scratch memory, a tile of registers at a time.
//!
//! `A` is read in place, along its rows or down its columns, with a pitch known at compile time. `B` is read
//! a vector at a time, from rows padded to whole vectors. So nothing is packed except the keys and values
//! that must be transposed.

use crate::gemm::panel_height;
use crate::simd::Simd;

/// The number of vectors in a tile's row.
pub(super) const VECTORS: usize = 2;
/// The number of keys in a block of scores: whole panels for every instruction set.
pub(super) const KEYS: usize = 192;
/// The number of keys whose scores are held at a time: whole blocks that fit the second cache.
pub(super) const HELD: usize = 8 * KEYS;
/// The distance between rows of a block of scores. It is an odd number of cache lines, so that rows do not
/// share sets, and leaves room for a tile that reaches beyond the end.
pub(super) const SCORES: usize = KEYS + 16;
/// The widest head.
pub(super) const WIDEST: usize = 256;
/// The distance between queries in scratch memory, with the same room.
pub(super) const QUERY: usize = WIDEST + 16;

/// The operands of `A [R, depth] B [depth, V * LANES]`. `A` lies in blocks of [`KEYS`] columns that start
/// `block` numbers apart. Blocks that follow each other directly are as many numbers apart as they have
/// columns.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    pub a: *const f32,
    pub block: usize,
    pub b: *const f32,
    /// The distance between rows of `B`.
    pub pitch: usize,
    pub depth: usize,
}

/// The destination of a tile's rows.
pub(super) trait Sink: Copy {
    /// Takes a row of a tile. Must be `#[inline(always)]`.
    ///
    /// # Safety
    /// The sink's own contract about its rows and columns.
    unsafe fn take<S: Simd, const V: usize>(self, s: S, row: usize, column: usize, values: [S::F32; V]);
}

/// Computes a tile of a product and hands it to the sink: `rows` rows (at most `R`) from `row` on, and `V`
/// vectors from `column` on. Element `(r, k)` of `A` is at `r * ROW + k * STEP`.
///
/// # Safety
/// The operands must be readable: `R` rows of `A` even if fewer are wanted. The sink's contract must hold.
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
    // unrolled by hand: in a loop that the compiler does not unroll, the sums would be in memory
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

/// A [`tile`] of `vectors` vectors and of 1/3, 2/3 or 3/3 of the full height, the least that holds the rows.
///
/// # Safety
/// The same as [`tile`]'s.
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
    // The outer choice is made at compile time, so an instruction set has its own three heights only.
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

/// A sink that writes rows of a product, times a factor, into a matrix of `width` columns.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub to: *mut f32,
    pub pitch: usize,
    pub width: usize,
    pub factor: f32,
    /// One more factor for each row.
    pub factors: Option<&'a [f32]>,
    /// True if the product is added to the numbers in the matrix.
    pub add: bool,
    /// The factor of each row's numbers in the matrix, before the product is added.
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

/// The heads of the queries, the keys or the values. Row `t` of batch item `b` starts at
/// `b * batch + t * row`, and head `h` starts at `h * width` in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub data: &'a [f32],
    pub batch: usize,
    pub row: usize,
}

impl<'a> View<'a> {
    /// One head's numbers from its first on; rows are `row` apart.
    #[inline(always)]
    pub(super) fn head(&self, batch: usize, start: usize) -> &'a [f32] {
        &self.data[batch * self.batch + start..]
    }
}

/// Copies `rows` of `width` numbers, times `factor`, into rows `pitch` apart, padded with zeros to whole
/// vectors.
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

/// Transposes `rows` of `width` numbers into panels of [`VECTORS`] vectors, of which the last may have fewer:
/// `to[panel][k][lane]`, zero for a missing row.
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

/// The number of vectors in the panel that starts when `left` columns are left.
#[inline(always)]
pub(super) fn panel<S: Simd>(left: usize) -> usize {
    left.div_ceil(S::LANES).min(VECTORS)
}
