//! The gradients of the weights: what went into each sum, times the gradient of that sum, over all steps and rows.

use super::cell::Cell;
use super::sequence::Sequence;
use crate::gemm::{AsIs, Matrix, product_within};

/// The gradients of the weights of the input `[I, GATES D]` and of the state `[D, GATES D]`, of the states `[T, B, D]`
/// that a forward pass left and the slopes `[T, B, SLOTS, D]` that a backward pass left.
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
    assert_eq!((input.len(), state.len()), (inputs * G * units, units * G * units));
    // slots whose gates lie side by side are one product
    let mut slot = 0;
    while slot < G {
        let gate = C::INPUT_GATES[slot];
        let count = (1..G - slot).take_while(|next| C::INPUT_GATES[slot + next] == gate + next).count() + 1;
        let slopes = Slopes { data: slopes, first: slot * units, columns: count * units, row };
        let to = (&mut input[(gate * units).min(inputs * G * units)..], G * units);
        slopes.times(x, inputs, rows, to);
        slot += count;
    }
    // the first step has no state before it
    let later = rows.saturating_sub(batch);
    let (slopes, before) = match backwards {
        true => (slopes, &states[states.len() - later * units..]),
        false => (&slopes[slopes.len() - later * row..], states),
    };
    let slopes = Slopes { data: slopes, first: (C::SLOTS - G) * units, columns: G * units, row };
    slopes.times(before, units, later, (state, G * units));
}

/// The gradients of some slots' sums.
struct Slopes<'a> {
    /// Rows of all slots.
    data: &'a [f32],
    first: usize,
    columns: usize,
    row: usize,
}

impl Slopes<'_> {
    /// The first `rows` rows of `left` `[rows, columns]`, transposed, times these slopes.
    fn times(&self, left: &[f32], columns: usize, rows: usize, to: (&mut [f32], usize)) {
        let data = self.data.get(self.first..).unwrap_or_default();
        let slopes = Matrix { data, rows, columns: self.columns, row_stride: self.row, column_stride: 1 };
        product_within(Matrix::new(left, rows, columns).transposed(), slopes, to, false, AsIs);
    }
}
