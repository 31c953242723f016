//! A tile of registers: the sums of some rows and some vectors of columns over a whole depth.

use crate::simd::{Simd, prefetch, prefetch_for_later};

/// The number of vectors in a tile's row.
pub(crate) const TILE_VECTORS: usize = 2;

/// The destination of a tile's rows.
pub(crate) trait Sink: Copy + Send + Sync {
    /// Called before the first `columns` numbers of `row` from `column` on are summed.
    ///
    /// Must be `#[inline(always)]`.
    #[inline(always)]
    fn expect(self, _row: usize, _column: usize, _columns: usize) {}

    /// Takes the first `columns` numbers of `values`, which belong in `row` from `column` on.
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

/// The columns of `B` for a tile: a group of vectors for each unit of depth.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    at: *const f32,
    /// The distance in numbers between groups.
    step: usize,
    strewn: bool,
}

impl Columns {
    /// Groups that lie one after the other, as in a panel, or that are long. The processor prefetches them by
    /// itself.
    #[inline(always)]
    pub(crate) fn flowing(at: *const f32, step: usize) -> Self {
        Columns { at, step, strewn: false }
    }

    /// Groups of a line or two that lie far apart, like the rows of a matrix, with the next tile's groups
    /// beside them. No processor foresees them, so they and the next tile's groups are prefetched some rows
    /// ahead.
    #[inline(always)]
    pub(crate) fn strewn(at: *const f32, step: usize) -> Self {
        Columns { at, step, strewn: true }
    }
}

/// The number of rows between a strewn group's prefetch and its use.
const AHEAD: usize = 12;

/// Multiplies a panel of `A` by a panel of `B`.
///
/// `a` points to `depth` times `R` numbers, and `b` to `depth` groups of `V` vectors.
///
/// # Safety
/// Those numbers must be readable. The sink's contract must hold for `rows` (at most `R`) rows from `row` on
/// and `columns` columns from `column` on.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn tile<S: Simd, K: Sink, const R: usize, const V: usize>(
    s: S,
    depth: usize,
    a: *const f32,
    b: Columns,
    sink: K,
    (row, rows): (usize, usize),
    (column, columns): (usize, usize),
) {
    for row in row..row + rows {
        sink.expect(row, column, columns);
    }
    let mut sums = [[s.splat(0.0); V]; R];
    let Columns { at: mut b, step, strewn } = b;
    let mut a = a;
    for _ in 0..depth {
        // SAFETY: the caller promises `depth` groups behind both pointers.
        unsafe {
            if strewn {
                for line in (0..V * S::LANES).step_by(LINE) {
                    prefetch(b.wrapping_add(AHEAD * step + line));
                    prefetch_for_later(b.wrapping_add(V * S::LANES + line));
                }
            }
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
    // The sums leave the registers first. So the sink's code is compiled once and not for each row.
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

/// Adds the products of `H` rows, read in place, with a panel of `V` vectors to the sums from `first` on.
///
/// # Safety
/// Each row must have `depth` readable numbers, and the panel `depth` times `V` vectors.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, const H: usize, const V: usize, const N: usize>(
    s: S,
    sums: &mut [[S::F32; N]; H],
    first: usize,
    rows: [*const f32; H],
    depth: usize,
    panel: *const f32,
) {
    let mut panel = panel;
    for k in 0..depth {
        // SAFETY: the caller promises `depth` groups in the panel and as many numbers in each row.
        unsafe {
            let mut vectors = [s.splat(0.0); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = s.load_from(panel.add(v * S::LANES));
            }
            for (sums, row) in sums.iter_mut().zip(rows) {
                let scalar = s.splat(row.add(k).read());
                for (sum, vector) in sums[first..first + V].iter_mut().zip(vectors) {
                    *sum = s.mul_add(scalar, vector, *sum);
                }
            }
            panel = panel.add(V * S::LANES);
        }
    }
}

/// The lanes of the widest vector.
const MOST_LANES: usize = 16;
/// The count of numbers in a cache line.
pub(super) const LINE: usize = 16;

/// A [`tile`] of the least height, of 3/3, 2/3 and 1/3 of the full one, that holds `rows`: see
/// [`panel_height`].
///
/// # Safety
/// The same as [`tile`]'s; `a` must be packed with that height.
#[inline(always)]
pub(crate) unsafe fn fitting_tile<S: Simd, K: Sink, const V: usize>(
    s: S,
    depth: usize,
    a: *const f32,
    b: Columns,
    sink: K,
    rows: (usize, usize),
    columns: (usize, usize),
) {
    // The outer choice is made at compile time, so an instruction set has three tiles, not nine.
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

/// The height of a panel of `A` for `rows` rows, at most `S::TILE_ROWS`. A last panel of few rows wastes
/// little.
#[inline(always)]
pub(crate) fn panel_height<S: Simd>(rows: usize) -> usize {
    let third = S::TILE_ROWS / 3;
    rows.div_ceil(third).clamp(1, 3) * third
}
