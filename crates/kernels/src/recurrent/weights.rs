//! The gradients of the weights: what went into each sum, times the gradient of that sum, over all steps and rows.

use super::cell::Cell;
use super::sequence::Sequence;
use crate::gemm::{AsIs, Matrix, product};

/// The gradients of the weights of the input `[I, GATES D]` and of the state `[D, GATES D]`, of the states `[T, B, D]`
/// that a forward pass left and the slopes `[T, B, SLOTS, D]` that a backward pass left. One that is empty is not wanted.
pub(super) fn of_weights<C: Cell<G>, const G: usize>(
    sequence: Sequence,
    states: &[f32],
    slopes: &[f32],
    input: &mut [f32],
    state: &mut [f32],
) {
    let Sequence { x, steps, batch, inputs, units, backwards, .. } = sequence;
    let (row, rows) = (C::SLOTS * units, steps * batch);
    assert_eq!(slopes.len(), rows * row);
    assert_eq!(states.len(), rows * units);
    let columns = G * units;
    let slopes_from = |data, rows| Matrix { data, rows, columns, row_stride: row, column_stride: 1 };
    if !input.is_empty() {
        product(Matrix::new(x, rows, inputs).transposed(), slopes_from(slopes, rows), input, false, AsIs);
        in_gates_order::<C, G>(input, units);
    }
    if state.is_empty() {
        return;
    }
    // the first step has no state before it
    let later = rows.saturating_sub(batch);
    let (slopes, before) = match backwards {
        true => (slopes, &states[states.len() - later * units..]),
        false => (&slopes[slopes.len() - later * row..], states),
    };
    let slopes = slopes.get((C::SLOTS - G) * units..).unwrap_or_default();
    product(Matrix::new(before, later, units).transposed(), slopes_from(slopes, later), state, false, AsIs);
}

/// Rows `[GATES D]` of what the input fills, from the order of the slots to that of the gates.
pub(super) fn in_gates_order<C: Cell<G>, const G: usize>(rows: &mut [f32], units: usize) {
    if C::INPUT_GATES.is_sorted() || units == 0 {
        return;
    }
    let mut slots = vec![0.0; G * units];
    for row in rows.chunks_exact_mut(G * units) {
        slots.copy_from_slice(row);
        for (slot, gate) in C::INPUT_GATES.into_iter().enumerate() {
            row[gate * units..][..units].copy_from_slice(&slots[slot * units..][..units]);
        }
    }
}
