//! A tile of registers: the sums of a few rows and a few vectors of columns over a whole depth.

use crate::simd::{Simd, prefetch, prefetch_for_later};

/// Vectors of columns of a tile.
pub(crate) const TILE_VECTORS: usize = 2;

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

/// The columns of `B` of a tile: a group of vectors for each unit of depth.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    at: *const f32,
    /// Numbers from one group to the next.
    step: usize,
    strewn: bool,
}

impl Columns {
    /// Groups that lie one after the other, as in a panel, or that are long: processors see what comes next.
    #[inline(always)]
    pub(crate) fn flowing(at: *const f32, step: usize) -> Self {
        Columns { at, step, strewn: false }
    }

    /// Groups of a line or two that lie far from each other, as rows of a matrix do, and beside which the next tile's
    /// lie. No processor foresees them, so they are fetched some rows before they are read, and the next tile's as well.
    #[inline(always)]
    pub(crate) fn strewn(at: *const f32, step: usize) -> Self {
        Columns { at, step, strewn: true }
    }
}

/// Rows between the fetch of a strewn group and its use.
const AHEAD: usize = 12;

/// The product of one panel of `A` and one of `B`.
///
/// `a` points to `depth` times `R` numbers, and `b` to `depth` groups of `V` vectors.
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

/// Adds the products of `H` rows, read where they lie, and a panel of `V` vectors to the sums from `first` on.
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

/// Lanes of the widest vectors.
const MOST_LANES: usize = 16;
/// Numbers of a line of the cache.
pub(super) const LINE: usize = 16;

/// [`tile`] with the least height of 3/3, 2/3 and 1/3 of the full that holds `rows`: see [`panel_height`].
///
/// # Safety
/// As [`tile`]'s, `a` being packed with that height.
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
