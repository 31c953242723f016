//! Weights packed once for a whole sequence, for [`accumulate`](crate::gemm::accumulate).
//!
//! A panel holds some vectors of columns for each unit of depth. The innermost loop reads it from end to end.

use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};

/// The height of the tile for `rows` rows, if a row has `vectors` sums. A full tile's sums fill the
/// registers, and a last tile of few rows wastes little.
#[inline(always)]
pub(super) fn tile_height<S: Simd>(vectors: usize, rows: usize) -> usize {
    let full = if vectors == 1 { S::TILE_ROWS } else { S::TILE_ROWS / 2 };
    let third = (full / 3).max(1);
    rows.div_ceil(third).clamp(1, 3) * third
}

/// The number of lanes of a vector.
pub(super) fn lanes() -> usize {
    struct Lanes;
    impl Kernel for Lanes {
        type Output = usize;
        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> usize {
            S::LANES
        }
    }
    run(Lanes)
}

/// Packs weights `[depth, units]` of several gates. A panel holds one vector of units of each gate in turn.
///
/// ```text
/// panel of units u..u + L:  [w0(k, u..) w1(k, u..) ...] for k in 0..depth
/// ```
pub(super) fn pack_gates(gates: &[&[f32]], units: usize) -> Vec<f32> {
    let lanes = lanes();
    let depth = gates[0].len() / units;
    let size = depth * gates.len() * lanes;
    let mut packed = for_overwriting(units.div_ceil(lanes) * size);
    let shared = Shared::new(&mut packed);
    threads::ranges(units.div_ceil(lanes), (1 << 14) / size.max(1) + 1, |groups| {
        for group in groups {
            // SAFETY: each group has a panel of its own.
            let panel = unsafe { shared.part(group * size..(group + 1) * size) };
            let unit = group * lanes;
            let count = (units - unit).min(lanes);
            for (k, to) in panel.chunks_exact_mut(gates.len() * lanes).enumerate() {
                for (gate, to) in gates.iter().zip(to.chunks_exact_mut(lanes)) {
                    let start = k * units + unit;
                    to[..count].copy_from_slice(&gate[start..start + count]);
                    to[count..].fill(0.0);
                }
            }
        }
    });
    packed
}

/// The number of vectors in a row of a panel of [`pack_transposed`].
pub(super) const COLUMNS: usize = 4;

/// Packs the transposes of weights `[columns, units]` into panels of [`COLUMNS`] vectors of columns. A
/// panel's depth is the units of each gate in turn.
pub(super) fn pack_transposed(gates: &[&[f32]], units: usize) -> Vec<f32> {
    let width = COLUMNS * lanes();
    let columns = gates[0].len() / units;
    let size = gates.len() * units * width;
    let mut packed = for_overwriting(columns.div_ceil(width) * size);
    let shared = Shared::new(&mut packed);
    // the pieces are smaller than panels, so that there is work for all threads
    let pieces = gates.len() * columns.div_ceil(width);
    threads::ranges(pieces, (1 << 14) / (units * width) + 1, |range| {
        for piece in range {
            let (panel, slot) = (piece / gates.len(), piece % gates.len());
            let start = panel * size + slot * units * width;
            // SAFETY: each piece is written once.
            let to = unsafe { shared.part(start..start + units * width) };
            let count = (columns - panel * width).min(width);
            if count < width {
                to.fill(0.0);
            }
            // 16 units at a time: one cache line of each row
            for unit in (0..units).step_by(16) {
                let length = (units - unit).min(16);
                for column in 0..count {
                    let from = (panel * width + column) * units + unit;
                    for (k, value) in gates[slot][from..from + length].iter().enumerate() {
                        to[(unit + k) * width + column] = *value;
                    }
                }
            }
        }
    });
    packed
}
