//! The gradients of the weights: the inputs of each sum times the gradient of the sum, over all steps and
//! rows.

use super::cell::Cell;
use super::sequence::Sequence;
use crate::gemm::{AsIs, Matrix, product};
use crate::memory::for_overwriting;
use crate::threads::{self, Shared};

/// The gradients of the input's weights of each gate, `[I, D]`, from the slopes `[T, B, SLOTS, D]` of a
/// backward pass.
pub(super) fn of_input<C: Cell<G>, const G: usize>(sequence: Sequence, slopes: &[f32]) -> [Vec<f32>; G] {
    let Sequence { x, steps, batch, inputs, units, .. } = sequence;
    let rows = steps * batch;
    let slopes = beside::<C, G>(slopes, rows, units);
    let mut slots = for_overwriting(inputs * G * units);
    product(Matrix::new(x, rows, inputs).transposed(), slopes, &mut slots, false, AsIs);
    apart(&slots, inputs, units, C::input_slot)
}

/// The gradients of the state's weights of each gate, `[D, D]`, from the states `[T, B, D]` of a forward pass
/// and the slopes of a backward pass.
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
    let (slopes, before) = if backwards {
        (slopes, &states[states.len() - later * units..])
    } else {
        (&slopes[slopes.len() - later * row..], states)
    };
    let slopes = slopes.get((C::SLOTS - G) * units..).unwrap_or_default();
    let slopes = beside::<C, G>(slopes, later, units);
    let mut gates = for_overwriting(units * G * units);
    product(Matrix::new(before, later, units).transposed(), slopes, &mut gates, false, AsIs);
    apart(&gates, units, units, |gate| gate)
}

/// The slopes of the first `G` slots of `rows` rows, as a matrix.
fn beside<C: Cell<G>, const G: usize>(slopes: &[f32], rows: usize, units: usize) -> Matrix<'_> {
    Matrix { data: slopes, rows, columns: G * units, row_stride: C::SLOTS * units, column_stride: 1 }
}

/// The blocks `[rows, units]` of the gates, from a matrix with the blocks side by side.
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
