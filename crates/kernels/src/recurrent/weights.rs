//! The gradients of the weights: what went into each sum, times the gradient of that sum, over all steps and rows.

use super::cell::Cell;
use super::sequence::Sequence;
use crate::gemm::{AsIs, Matrix, product};
use crate::memory::for_overwriting;
use crate::threads::{self, Shared};

/// The gradients of each gate's weights of the input `[I, D]`, of the slopes `[T, B, SLOTS, D]` that a backward pass
/// left.
pub(super) fn of_input<C: Cell<G>, const G: usize>(sequence: Sequence, slopes: &[f32]) -> [Vec<f32>; G] {
    let Sequence { x, steps, batch, inputs, units, .. } = sequence;
    let rows = steps * batch;
    let slopes = beside::<C, G>(slopes, rows, units);
    let mut slots = for_overwriting(inputs * G * units);
    product(Matrix::new(x, rows, inputs).transposed(), slopes, &mut slots, false, AsIs);
    apart(&slots, inputs, units, C::input_slot)
}

/// The gradients of each gate's weights of the state `[D, D]`, of the states `[T, B, D]` that a forward pass left and
/// the slopes that a backward pass left.
pub(super) fn of_state<C: Cell<G>, const G: usize>(
    sequence: Sequence,
    states: &[f32],
    slopes: &[f32],
) -> [Vec<f32>; G] {
    let Sequence { steps, batch, units, backwards, .. } = sequence;
    let (row, rows) = (C::SLOTS * units, steps * batch);
    assert_eq!((states.len(), slopes.len()), (rows * units, rows * row));
    // the first step has no state before it
    let later = rows.saturating_sub(batch);
    let (slopes, before) = match backwards {
        true => (slopes, &states[states.len() - later * units..]),
        false => (&slopes[slopes.len() - later * row..], states),
    };
    let slopes = slopes.get((C::SLOTS - G) * units..).unwrap_or_default();
    let slopes = beside::<C, G>(slopes, later, units);
    let mut gates = for_overwriting(units * G * units);
    product(Matrix::new(before, later, units).transposed(), slopes, &mut gates, false, AsIs);
    apart(&gates, units, units, |gate| gate)
}

/// The slopes of `G` slots, of `rows` rows that have all.
fn beside<C: Cell<G>, const G: usize>(slopes: &[f32], rows: usize, units: usize) -> Matrix<'_> {
    Matrix { data: slopes, rows, columns: G * units, row_stride: C::SLOTS * units, column_stride: 1 }
}

/// Each gate's block `[rows, units]` of those that lie beside each other in rows.
fn apart<const G: usize>(
    beside: &[f32],
    rows: usize,
    units: usize,
    block_of: impl Fn(usize) -> usize,
) -> [Vec<f32>; G] {
    std::array::from_fn(|gate| {
        let block = block_of(gate);
        let mut to = for_overwriting(rows * units);
        if to.is_empty() {
            return to;
        }
        let shared = Shared::new(&mut to);
        threads::ranges(rows, (1 << 14) / units + 1, |rows| {
            // SAFETY: the ranges do not overlap.
            let to = unsafe { shared.part(rows.start * units..rows.end * units) };
            for (row, to) in rows.zip(to.chunks_exact_mut(units)) {
                to.copy_from_slice(&beside[(row * G + block) * units..][..units]);
            }
        });
        to
    })
}
