//! The gradients of the weights: what went into each sum, times the gradient of that sum, over all steps and rows.

use super::cell::Cell;
use super::panels::{COLUMNS, accumulate, lanes, tile_height};
use super::sequence::Sequence;
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use std::ops::Range;

/// Rows of slopes that are multiplied at a time: what is added to is read and written once for so many.
const DEPTH: usize = 256;

/// The gradients of the weights of the input `[I, GATES D]` and of the state `[D, GATES D]`, of the states that a forward
/// pass left and the slopes that a backward pass left.
pub(super) fn of_weights<C: Cell<G>, const G: usize>(
    sequence: Sequence,
    states: &[f32],
    slopes: &[f32],
    input: &mut [f32],
    state: &mut [f32],
) {
    let Sequence { steps, batch, inputs, units, .. } = sequence;
    assert_eq!(slopes.len(), steps * batch * C::SLOTS * units);
    assert_eq!(states.len(), steps * batch * units);
    assert_eq!((input.len(), state.len()), (inputs * G * units, units * G * units));
    input.fill(0.0);
    state.fill(0.0);
    if states.is_empty() {
        return;
    }
    let panels = units.div_ceil(COLUMNS * lanes());
    let count = C::SLOTS * panels;
    // where panels are fewer than threads, the rows of the weights are shared too
    let shares = threads::count().div_ceil(count.max(1));
    let (input, state) = (Shared::new(input), Shared::new(state));
    threads::parallel(count * shares, |part| {
        let (panel, share) = (part / shares, part % shares);
        let share = |rows: usize| threads::range(rows, shares, share, 6);
        run(Panel::<C, G> {
            cell: std::marker::PhantomData,
            sequence,
            states,
            slopes,
            slot: panel / panels,
            unit: panel % panels * COLUMNS * lanes(),
            input_rows: share(inputs),
            state_rows: share(units),
            input,
            state,
        });
    });
}

/// Columns of the gradients: those of a slot, from a unit on.
struct Panel<'a, C, const G: usize> {
    cell: std::marker::PhantomData<C>,
    sequence: Sequence<'a>,
    states: &'a [f32],
    slopes: &'a [f32],
    slot: usize,
    unit: usize,
    input_rows: Range<usize>,
    state_rows: Range<usize>,
    input: Shared<'a, f32>,
    state: Shared<'a, f32>,
}

impl<C: Cell<G>, const G: usize> Kernel for Panel<'_, C, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let count = (self.sequence.units - self.unit).min(COLUMNS * S::LANES);
        match count.div_ceil(S::LANES) {
            1 => self.columns::<S, 1>(s, count),
            2 => self.columns::<S, 2>(s, count),
            _ => self.columns::<S, COLUMNS>(s, count),
        }
    }
}

impl<C: Cell<G>, const G: usize> Panel<'_, C, G> {
    #[inline(always)]
    fn columns<S: Simd, const V: usize>(self, s: S, count: usize) {
        let Sequence { x, steps, batch, inputs, units, backwards, .. } = self.sequence;
        let width = V * S::LANES;
        let mut packed = for_overwriting(DEPTH.min(steps * batch) * width);
        let skipped = C::SLOTS - G;
        let of_input = (self.slot < G).then(|| C::INPUT_GATES[self.slot] * units + self.unit);
        let of_state = (self.slot >= skipped).then(|| (self.slot - skipped) * units + self.unit);
        // the first step has no state before it
        let first = self.sequence.time(0) * batch;
        let rest = if backwards { 0..first } else { batch..steps * batch };
        for (rows, has_state) in [(first..first + batch, false), (rest, true)] {
            for start in rows.clone().step_by(DEPTH) {
                let depth = (rows.end - start).min(DEPTH);
                for (k, to) in packed[..depth * width].chunks_exact_mut(width).enumerate() {
                    let from = ((start + k) * C::SLOTS + self.slot) * units + self.unit;
                    let from = &self.slopes[from..from + count];
                    for (to, from) in to.chunks_exact_mut(S::LANES).zip(from.chunks(S::LANES)) {
                        s.store(to, s.load_first(from));
                    }
                }
                let panel = &packed[..depth * width];
                if let Some(column) = of_input {
                    let left =
                        Left { data: &x[start * inputs..], columns: inputs, rows: self.input_rows.clone() };
                    multiply::<S, V>(s, left, panel, self.input, (column, count), G * units);
                }
                if let (Some(column), true) = (of_state, has_state) {
                    let before = if backwards { start + batch } else { start - batch };
                    let data = &self.states[before * units..];
                    let left = Left { data, columns: units, rows: self.state_rows.clone() };
                    multiply::<S, V>(s, left, panel, self.state, (column, count), G * units);
                }
            }
        }
    }
}

/// A matrix `[depth, columns]` whose columns `rows` are the rows of a product's left side.
struct Left<'a> {
    data: &'a [f32],
    columns: usize,
    rows: Range<usize>,
}

/// Adds to `count` columns from `column` on, of rows at a distance of `stride`.
#[inline(always)]
fn multiply<S: Simd, const V: usize>(
    s: S,
    left: Left,
    panel: &[f32],
    to: Shared<f32>,
    columns: (usize, usize),
    stride: usize,
) {
    let depth = panel.len() / (V * S::LANES);
    assert!(left.rows.is_empty() || left.data.len() >= depth * left.columns);
    let mut row = left.rows.start;
    while row < left.rows.end {
        let count = left.rows.end - row;
        let height = tile_height::<S>(V, count);
        // SAFETY: the lengths were checked, and these rows and columns are this part's own.
        unsafe {
            match height {
                12 if V == 1 => tile::<S, 12, V>(s, &left, (row, count), panel, to, columns, stride),
                8 if V == 1 => tile::<S, 8, V>(s, &left, (row, count), panel, to, columns, stride),
                6 => tile::<S, 6, V>(s, &left, (row, count), panel, to, columns, stride),
                4 => tile::<S, 4, V>(s, &left, (row, count), panel, to, columns, stride),
                3 => tile::<S, 3, V>(s, &left, (row, count), panel, to, columns, stride),
                2 => tile::<S, 2, V>(s, &left, (row, count), panel, to, columns, stride),
                _ => tile::<S, 1, V>(s, &left, (row, count), panel, to, columns, stride),
            }
        }
        row += height;
    }
}

/// `H` rows from `row` on, of which `rows` exist.
///
/// # Safety
/// The left side must have the panel's depth, and nobody else may use those places of `to` meanwhile.
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize, const V: usize>(
    s: S,
    left: &Left,
    (row, rows): (usize, usize),
    panel: &[f32],
    to: Shared<f32>,
    (column, columns): (usize, usize),
    stride: usize,
) {
    let mut pointers = [left.data.as_ptr(); H];
    for (r, pointer) in pointers.iter_mut().enumerate() {
        // SAFETY: a row that does not exist is read as the last that does.
        *pointer = unsafe { pointer.add(row + r.min(rows - 1)) };
    }
    let depth = panel.len() / (V * S::LANES);
    let mut sums = [[s.splat(0.0); V]; H];
    // SAFETY: the caller's promise.
    unsafe { accumulate::<S, H, V, V>(s, &mut sums, 0, (pointers, left.columns), depth, panel.as_ptr()) };
    for (r, sums) in sums.into_iter().enumerate().take(rows) {
        let start = (row + r) * stride + column;
        // SAFETY: the caller's promise.
        let to = unsafe { to.part(start..start + columns) };
        for (to, sum) in to.chunks_mut(S::LANES).zip(sums) {
            s.store_first(to, s.add(s.load_first(to), sum));
        }
    }
}
