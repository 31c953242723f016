//! Packs rows and columns into panels, which a tile reads from end to end.

use super::Matrix;
use super::tile::{LINE, TILE_VECTORS, panel_height};
use crate::simd::{Simd, prefetch};
use std::ops::Range;

/// The padded count of rows that the panels of `rows` rows hold.
#[inline(always)]
pub(super) fn packed_rows<S: Simd>(rows: usize) -> usize {
    let full = rows / S::TILE_ROWS * S::TILE_ROWS;
    if rows > full { full + panel_height::<S>(rows - full) } else { full }
}

/// Packs the rows `rows` and columns `depth` of `a`, panel after panel, with zeros for missing rows.
#[inline(always)]
pub(super) fn pack_rows<S: Simd>(s: S, a: &Matrix, rows: Range<usize>, depth: Range<usize>, to: &mut [f32]) {
    let last = panel_height::<S>((rows.len() - 1) % S::TILE_ROWS + 1);
    let from = a.data.get(rows.start * a.row_stride + depth.start * a.column_stride..).unwrap_or_default();
    pack(s, from, (rows.len(), a.row_stride), (depth.len(), a.column_stride), (S::TILE_ROWS, last), to);
}

/// Packs the columns `columns` and rows `depth` of `b`, panel after panel, with zeros for missing columns.
#[inline(always)]
pub(super) fn pack_columns<S: Simd>(
    s: S,
    b: &Matrix,
    depth: Range<usize>,
    columns: Range<usize>,
    to: &mut [f32],
) {
    let width = TILE_VECTORS * S::LANES;
    let from = b.data.get(depth.start * b.row_stride + columns.start * b.column_stride..).unwrap_or_default();
    pack(s, from, (columns.len(), b.column_stride), (depth.len(), b.row_stride), (width, width), to);
}

/// Packs `count` lines into panels of `full` lines, the last one of `last`, each in the order of depth.
/// Number `k` of line `i` of a panel of `width` lines moves from `from[i * stride + k * depth_stride]` to
/// `k * width + i`.
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

/// [`pack`] for lines that lie side by side. It goes depth by depth over several panels, so that the source
/// is read along its rows.
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
    // only a few panels at a time: the ends of more would share their places in the first cache
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
                // beyond the last line, a vector of zeros
                let numbers = &row[lane.min(rest)..(lane + S::LANES).min(rest)];
                s.store_first(&mut group[lane..], s.load_first(numbers));
            }
        }
    }
}

/// Packs a panel of contiguous lines.
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
