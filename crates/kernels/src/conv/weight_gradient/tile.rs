//! Products of rows of the input, in panels or in place, with the transposed gradient.

use super::super::columns::width;
use crate::gemm::{TILE_VECTORS, accumulate, panel_height};
use crate::simd::Simd;

/// A [`tile`] of the least height that holds `rows`.
///
/// # Safety
/// The same as [`tile`]'s, with room for `rows` rows.
#[inline(always)]
pub(super) unsafe fn panels<S: Simd>(
    s: S,
    depth: usize,
    a: (*const f32, usize),
    b: *const f32,
    (to, rows): (*mut f32, usize),
    add: bool,
) {
    let thirds = panel_height::<S>(rows) / (S::TILE_ROWS / 3);
    // The outer choice is made at compile time.
    // SAFETY: the caller's promise.
    unsafe {
        match S::TILE_ROWS {
            12 => match thirds {
                3 if rows == 9 => tile::<S, 9, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
                3 => tile::<S, 12, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
                2 => tile::<S, 8, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
                _ => tile::<S, 4, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            },
            6 => match thirds {
                3 => tile::<S, 6, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
                2 => tile::<S, 4, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
                _ => tile::<S, 2, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            },
            _ => match thirds {
                3 => tile::<S, 3, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
                2 => tile::<S, 2, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
                _ => tile::<S, 1, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            },
        }
    }
}

/// `to[r, :] (+)= sum over p of a[r, p] b[p, :]`, by a tile of the least height that holds `rows`. Rows of
/// `a` are `plane` apart.
///
/// # Safety
/// `a` must have `rows` rows of `depth` readable numbers, `b` `depth` groups of vectors, `to` room for `rows`
/// groups.
#[inline(always)]
pub(super) unsafe fn rows_in_place<S: Simd>(
    s: S,
    depth: usize,
    (a, plane): (*const f32, usize),
    b: *const f32,
    (to, rows): (*mut f32, usize),
    add: bool,
) {
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize>(
        s: S,
        depth: usize,
        (a, plane): (*const f32, usize),
        b: *const f32,
        (to, rows): (*mut f32, usize),
        add: bool,
    ) {
        let mut sums = [[s.splat(0.0); TILE_VECTORS]; R];
        // the last existing row stands in for missing ones
        let from: [_; R] = std::array::from_fn(|r| a.wrapping_add(r.min(rows - 1) * plane));
        // SAFETY: the caller's promise.
        unsafe {
            accumulate::<S, R, TILE_VECTORS, TILE_VECTORS>(s, &mut sums, 0, from, depth, b);
            store_rows(s, sums, (to, rows), add);
        }
    }
    let thirds = panel_height::<S>(rows) / (S::TILE_ROWS / 3);
    // The outer choice is made at compile time.
    // SAFETY: the caller's promise.
    unsafe {
        match S::TILE_ROWS {
            12 => match thirds {
                3 => tile::<S, 12>(s, depth, (a, plane), b, (to, rows), add),
                2 => tile::<S, 8>(s, depth, (a, plane), b, (to, rows), add),
                _ => tile::<S, 4>(s, depth, (a, plane), b, (to, rows), add),
            },
            6 => match thirds {
                3 => tile::<S, 6>(s, depth, (a, plane), b, (to, rows), add),
                2 => tile::<S, 4>(s, depth, (a, plane), b, (to, rows), add),
                _ => tile::<S, 2>(s, depth, (a, plane), b, (to, rows), add),
            },
            _ => match thirds {
                3 => tile::<S, 3>(s, depth, (a, plane), b, (to, rows), add),
                2 => tile::<S, 2>(s, depth, (a, plane), b, (to, rows), add),
                _ => tile::<S, 1>(s, depth, (a, plane), b, (to, rows), add),
            },
        }
    }
}

/// Writes the first `rows` rows of sums, or adds them.
///
/// # Safety
/// `to` must have room for them.
#[inline(always)]
unsafe fn store_rows<S: Simd, const R: usize, const V: usize>(
    s: S,
    sums: [[S::F32; V]; R],
    (to, rows): (*mut f32, usize),
    add: bool,
) {
    for (r, sums) in sums.into_iter().enumerate() {
        if r < rows {
            for (v, sum) in sums.into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    let to = to.add((r * V + v) * S::LANES);
                    s.store_to(to, if add { s.add(s.load_from(to), sum) } else { sum });
                }
            }
        }
    }
}

/// `to[r, :] (+)= sum over p of a[r, p] b[p, :]`. `a` lies in panels: number `p` of row `r` is at
/// `p / width * size + r * width + p % width`.
///
/// # Safety
/// `a` must have panels of `R` readable rows, `b` `depth` groups of `V` vectors, `to` room for `rows` groups.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(
    s: S,
    depth: usize,
    (a, size): (*const f32, usize),
    b: *const f32,
    (to, rows): (*mut f32, usize),
    add: bool,
) {
    let mut sums = [[s.splat(0.0); V]; R];
    let (mut panel, mut b) = (a, b);
    let mut left = depth;
    while left > 0 {
        let count = left.min(width::<S>());
        let mut a = panel;
        for _ in 0..count {
            // SAFETY: the caller's promise.
            unsafe {
                let mut vectors = [s.splat(0.0); V];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = s.load_from(b.add(v * S::LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let scalar = s.splat(a.add(r * width::<S>()).read());
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = s.mul_add(scalar, vector, *sum);
                    }
                }
                a = a.add(1);
                b = b.add(V * S::LANES);
            }
        }
        left -= count;
        panel = panel.wrapping_add(size);
    }
    // SAFETY: the caller's promise.
    unsafe { store_rows(s, sums, (to, rows), add) };
}
