//! Products of rows that lie anywhere with a panel of weights, in tiles of registers.

use crate::gemm::accumulate;
use crate::simd::Simd;

/// The most vectors of a panel.
pub(super) const MOST_VECTORS: usize = 4;

/// Rows of numbers, in segments that are contiguous.
pub(super) trait Rows: Copy {
    /// The first number of a segment of a row. Must be `#[inline(always)]`.
    ///
    /// # Safety
    /// The segment and the row must exist.
    unsafe fn segment(self, segment: usize, row: usize) -> *const f32;
}

/// Rows whose segments are listed: pixel by pixel for each tap of a kernel.
#[derive(Clone, Copy)]
pub(super) struct Listed {
    pub list: *const *const f32,
    /// The number of rows in the list.
    pub rows: usize,
}

impl Rows for Listed {
    #[inline(always)]
    unsafe fn segment(self, segment: usize, row: usize) -> *const f32 {
        // SAFETY: the caller promises that both exist.
        unsafe { self.list.add(segment * self.rows + row).read() }
    }
}

/// Rows of one segment at equal distances.
#[derive(Clone, Copy)]
pub(super) struct Even {
    pub first: *const f32,
    pub distance: usize,
}

impl Rows for Even {
    #[inline(always)]
    unsafe fn segment(self, _: usize, row: usize) -> *const f32 {
        self.first.wrapping_add(row * self.distance)
    }
}

/// Some numbers of a segment, as much as a product takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub segment: usize,
    pub first: usize,
    pub length: usize,
}

/// Cuts `segments` segments of `length` numbers into blocks of about `depth` numbers, each some pieces. There
/// is at least one block.
pub(super) fn blocks(segments: usize, length: usize, depth: usize) -> Vec<Vec<Piece>> {
    let mut blocks = vec![Vec::new()];
    let mut held = 0;
    for segment in 0..segments {
        // nearly equal pieces, so that none is short
        let pieces = length.div_ceil(depth).max(1);
        for piece in 0..pieces {
            let (first, end) = (length * piece / pieces, length * (piece + 1) / pieces);
            let piece = Piece { segment, first, length: end - first };
            if held > 0 && held + piece.length > depth {
                blocks.push(Vec::new());
                held = 0;
            }
            held += piece.length;
            blocks.last_mut().expect("a block").push(piece);
        }
    }
    blocks
}

/// `sums = rows * panel` for `count` rows, or `sums += rows * panel` if `add`. A row of sums has `vectors`
/// vectors. A sum's additions come in the order of the pieces, whatever the number of rows.
///
/// # Safety
/// The pieces must be readable for each row. The panel must have a group of `vectors` vectors for each number
/// of the pieces, and the sums be writable, and written before if `add`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn product<S: Simd, R: Rows>(
    s: S,
    rows: R,
    count: usize,
    pieces: &[Piece],
    panel: *const f32,
    vectors: usize,
    sums: *mut f32,
    add: bool,
) {
    // The instruction set's choice is made at compile time. Heights fill the registers with sums; a lower
    // tile is no faster once its sums are fewer than a fused multiply-add takes cycles on two ports.
    // SAFETY: the caller's promise.
    unsafe {
        match (S::TILE_ROWS, vectors) {
            (12, 4) => heights::<S, R, 6, 4, 2, 4>(s, rows, count, pieces, panel, sums, add),
            (12, 3) => heights::<S, R, 8, 6, 3, 3>(s, rows, count, pieces, panel, sums, add),
            (12, 2) => heights::<S, R, 8, 6, 4, 2>(s, rows, count, pieces, panel, sums, add),
            (12, _) => heights::<S, R, 8, 8, 8, 1>(s, rows, count, pieces, panel, sums, add),
            (6, 3) => heights::<S, R, 4, 4, 3, 3>(s, rows, count, pieces, panel, sums, add),
            (6, 2) => heights::<S, R, 6, 4, 4, 2>(s, rows, count, pieces, panel, sums, add),
            (6, _) => heights::<S, R, 8, 8, 8, 1>(s, rows, count, pieces, panel, sums, add),
            (_, 3) => heights::<S, R, 2, 2, 2, 3>(s, rows, count, pieces, panel, sums, add),
            (_, 2) => heights::<S, R, 3, 2, 2, 2>(s, rows, count, pieces, panel, sums, add),
            _ => heights::<S, R, 4, 4, 4, 1>(s, rows, count, pieces, panel, sums, add),
        }
    }
}

/// [`product`] by tiles of `H` rows, and one of `M` or `L` rows for what is left.
///
/// # Safety
/// The same as [`product`]'s.
#[inline(always)]
unsafe fn heights<S: Simd, R: Rows, const H: usize, const M: usize, const L: usize, const V: usize>(
    s: S,
    rows: R,
    count: usize,
    pieces: &[Piece],
    panel: *const f32,
    sums: *mut f32,
    add: bool,
) {
    let mut row = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while row + H <= count {
            tile::<S, R, H, V>(s, rows, (row, H), pieces, panel, sums, add);
            row += H;
        }
        match count - row {
            0 => {}
            left if left <= L => tile::<S, R, L, V>(s, rows, (row, left), pieces, panel, sums, add),
            left if left <= M => tile::<S, R, M, V>(s, rows, (row, left), pieces, panel, sums, add),
            left => tile::<S, R, H, V>(s, rows, (row, left), pieces, panel, sums, add),
        }
    }
}

/// The products of `rows` rows from `row` on, at most `H`. Missing rows are computed as copies of the last.
///
/// # Safety
/// The same as [`product`]'s.
#[inline(always)]
unsafe fn tile<S: Simd, R: Rows, const H: usize, const V: usize>(
    s: S,
    rows: R,
    (row, count): (usize, usize),
    pieces: &[Piece],
    panel: *const f32,
    sums: *mut f32,
    add: bool,
) {
    let width = V * S::LANES;
    // SAFETY: the caller promises the rows, the panel and the sums.
    unsafe {
        let sums = sums.add(row * width);
        let mut held = [[s.splat(0.0); V]; H];
        if add {
            for (r, held) in held.iter_mut().enumerate() {
                for (v, held) in held.iter_mut().enumerate() {
                    *held = s.load_from(sums.add(r.min(count - 1) * width + v * S::LANES));
                }
            }
        }
        let mut panel = panel;
        for piece in pieces {
            let mut starts = [std::ptr::null(); H];
            for (r, start) in starts.iter_mut().enumerate() {
                *start = rows.segment(piece.segment, row + r.min(count - 1)).add(piece.first);
            }
            accumulate::<S, H, V, V>(s, &mut held, 0, starts, piece.length, panel);
            panel = panel.add(piece.length * width);
        }
        for (r, held) in held.iter().enumerate() {
            if r < count {
                for (v, held) in held.iter().enumerate() {
                    s.store_to(sums.add(r * width + v * S::LANES), *held);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_every_number_once_and_in_order() {
        for (segments, length, depth) in
            [(0, 5, 8), (1, 0, 8), (9, 3, 8), (9, 100, 256), (2, 1000, 256), (4, 64, 64)]
        {
            let blocks = blocks(segments, length, depth);
            assert!(!blocks.is_empty());
            let pieces: Vec<Piece> = blocks.iter().flatten().copied().collect();
            let numbers =
                pieces.iter().flat_map(|piece| (0..piece.length).map(|at| (piece.segment, piece.first + at)));
            let expected = (0..segments).flat_map(|segment| (0..length).map(move |at| (segment, at)));
            assert!(numbers.eq(expected), "{segments} of {length} in blocks of {depth}");
            assert!(
                blocks.iter().all(|block| block.iter().map(|piece| piece.length).sum::<usize>() <= depth)
            );
        }
    }
}
