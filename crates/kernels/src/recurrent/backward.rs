//! The backward pass through time. Each thread walks through all steps with its own rows of the batch.

use super::cell::{Cell, End, KEPT};
use super::forward::Weights;
use super::panels::{COLUMNS, lanes, pack_transposed, tile_height};
use super::sequence::Sequence;
use crate::gemm::accumulate;
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::Shared;
use std::ops::Range;
use std::sync::Mutex;

/// The results that a forward pass keeps.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub states: &'a [f32],
    pub kept: &'a [f32],
}

/// The gradients of a sequence; one that is not wanted is empty.
pub(super) struct Gradients {
    /// `[T, B, I]`
    pub x: Vec<f32>,
    /// The gradient of each slot's sum, `[T, B, SLOTS, D]`.
    pub slopes: Vec<f32>,
    /// The gradient of each slot's bias, `[SLOTS, D]`.
    pub bias: Vec<f32>,
}

/// The gradients of the input and of all sums, from the gradient of the states, `[T, B, D]`.
pub(super) fn backward<C: Cell<G>, const G: usize>(
    cell: C,
    sequence: Sequence,
    weights: Weights<G>,
    left: Left,
    gradient: &[f32],
    of_x: bool,
) -> Gradients {
    let Sequence { steps, batch, units, inputs, .. } = sequence;
    let mut slopes = for_overwriting(steps * batch * C::SLOTS * units);
    let mut x = for_overwriting(if of_x { steps * batch * inputs } else { 0 });
    let mut bias = vec![0.0; C::SLOTS * units];
    if gradient.is_empty() {
        x.fill(0.0);
        return Gradients { x, slopes, bias };
    }
    assert_eq!(gradient.len(), steps * batch * units);
    let state = pack_transposed(&weights.state, units);
    let of_slots = C::INPUT_GATES.map(|gate| weights.input[gate]);
    let input = if of_x { pack_transposed(&of_slots, units) } else { Vec::new() };
    let partial = Mutex::new(Vec::new());
    let (shared_slopes, shared_x) = (Shared::new(&mut slopes), Shared::new(&mut x));
    sequence.in_parts(|rows| {
        let lanes = lanes();
        let mut sums = vec![0.0; C::SLOTS * units.div_ceil(lanes) * lanes];
        let mut of_state = vec![0.0; rows.len() * units];
        let mut of_memory = vec![0.0; rows.len() * units.div_ceil(lanes) * lanes];
        let start = rows.start;
        run(Backward {
            cell,
            sequence,
            input: of_x.then_some(&input),
            state: &state,
            left,
            gradient,
            slopes: shared_slopes,
            x: shared_x,
            bias: &mut sums,
            of_state: &mut of_state,
            of_memory: &mut of_memory,
            rows,
        });
        partial.lock().expect("no part panics").push((start, sums));
    });
    let mut partial = partial.into_inner().expect("no part panics");
    partial.sort_by_key(|(start, _)| *start);
    let stride = units.div_ceil(lanes()) * lanes();
    for (_, part) in partial {
        for (bias, part) in bias.chunks_exact_mut(units).zip(part.chunks_exact(stride)) {
            bias.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
    }
    Gradients { x, slopes, bias }
}

struct Backward<'a, C, const G: usize> {
    cell: C,
    sequence: Sequence<'a>,
    input: Option<&'a Vec<f32>>,
    state: &'a [f32],
    left: Left<'a>,
    gradient: &'a [f32],
    slopes: Shared<'a, f32>,
    x: Shared<'a, f32>,
    /// The sums of slopes, `[SLOTS, groups, lanes]`.
    bias: &'a mut [f32],
    /// The gradient of the state from later steps, `[rows, D]`.
    of_state: &'a mut [f32],
    /// The gradient of the memory from later steps, `[rows, groups, lanes]`.
    of_memory: &'a mut [f32],
    rows: Range<usize>,
}

impl<C: Cell<G>, const G: usize> Kernel for Backward<'_, C, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let Sequence { batch, units, inputs, .. } = self.sequence;
        for step in (0..self.sequence.steps).rev() {
            let time = self.sequence.time(step);
            for row in self.rows.clone() {
                self.slopes_of_row(s, step, row);
            }
            let row = C::SLOTS * units;
            let slopes = (time * batch + self.rows.start) * row;
            // SAFETY: the part's own rows, which were just written.
            let slopes = unsafe { self.slopes.part(slopes..slopes + self.rows.len() * row) };
            if step > 0 {
                let skipped = (C::SLOTS - G) * units;
                let from = Rows { data: &slopes[skipped..], stride: row, count: self.rows.len() };
                multiply(s, from, G * units, self.state, self.of_state, units, true);
            }
            if let Some(input) = self.input {
                let start = (time * batch + self.rows.start) * inputs;
                // SAFETY: the part's own rows.
                let to = unsafe { self.x.part(start..start + self.rows.len() * inputs) };
                let from = Rows { data: slopes, stride: row, count: self.rows.len() };
                multiply(s, from, G * units, input, to, inputs, false);
            }
        }
    }
}

impl<C: Cell<G>, const G: usize> Backward<'_, C, G> {
    /// Computes the slopes of one row and step from the gradients of later steps.
    #[inline(always)]
    fn slopes_of_row<S: Simd>(&mut self, s: S, step: usize, row: usize) {
        let Sequence { batch, units, .. } = self.sequence;
        let time = self.sequence.time(step);
        let groups = units.div_ceil(S::LANES);
        let own = row - self.rows.start;
        let mask = s.splat(self.sequence.mask.map_or(1.0, |mask| mask[time * batch + row]));
        let gradient = &self.gradient[(time * batch + row) * units..][..units];
        let start = (time * batch + row) * C::SLOTS * units;
        // SAFETY: the row is the part's own.
        let slopes = unsafe { self.slopes.part(start..start + C::SLOTS * units) };
        let of_state = &mut self.of_state[own * units..(own + 1) * units];
        let of_memory = &mut self.of_memory[own * groups * S::LANES..(own + 1) * groups * S::LANES];
        let size = groups * C::KEPT * S::LANES;
        let kept = &self.left.kept[(time * batch + row) * size..][..size];
        let (mut kept_before, mut state_before) = (None, None);
        if step > 0 {
            let before = self.sequence.time(step - 1) * batch + row;
            kept_before = Some(&self.left.kept[before * size..][..size]);
            state_before = Some(&self.left.states[before * units..][..units]);
        }
        for (group, gradient) in gradient.chunks(S::LANES).enumerate() {
            let (unit, count) = (group * S::LANES, gradient.len());
            let mut values = [s.splat(0.0); KEPT];
            for (place, value) in values[..C::KEPT].iter_mut().enumerate() {
                *value = s.load(&kept[(group * C::KEPT + place) * S::LANES..]);
            }
            let mut before = End { state: s.splat(0.0), memory: s.splat(0.0) };
            if let (Some(kept), Some(state)) = (kept_before, state_before) {
                before.state = s.load_first(&state[unit..]);
                before.memory = s.load(&kept[group * C::KEPT * S::LANES..]);
            }
            let after = End {
                state: s.add(s.load_first(gradient), s.load_first(&of_state[unit..])),
                memory: s.load(&of_memory[unit..]),
            };
            let (found, before) = self.cell.backward(s, values, before, mask, after);
            for (slot, slope) in found[..C::SLOTS].iter().enumerate() {
                s.store_first(&mut slopes[slot * units + unit..][..count], *slope);
                let bias = &mut self.bias[(slot * groups + group) * S::LANES..];
                s.store(bias, s.add(s.load(bias), *slope));
            }
            s.store_first(&mut of_state[unit..unit + count], before.state);
            s.store(&mut of_memory[unit..], before.memory);
        }
    }
}

/// Rows that are `stride` numbers apart.
#[derive(Clone, Copy)]
struct Rows<'a> {
    data: &'a [f32],
    stride: usize,
    count: usize,
}

/// `to = from packed`, or `to += from packed` with `add`; `to` is `[rows, columns]`.
#[inline(always)]
fn multiply<S: Simd>(
    s: S,
    from: Rows,
    depth: usize,
    packed: &[f32],
    to: &mut [f32],
    columns: usize,
    add: bool,
) {
    assert!(from.data.len() >= (from.count - 1) * from.stride + depth);
    assert!(packed.len() >= columns.div_ceil(COLUMNS * S::LANES) * COLUMNS * S::LANES * depth);
    for (panel, packed) in packed.chunks_exact(COLUMNS * S::LANES * depth).enumerate() {
        let column = panel * COLUMNS * S::LANES;
        let mut row = 0;
        while row < from.count {
            let height = tile_height::<S>(COLUMNS, from.count - row);
            // SAFETY: the lengths were checked.
            unsafe {
                match height {
                    6 => tile::<S, 6>(s, from, row, depth, packed, to, (column, columns), add),
                    4 => tile::<S, 4>(s, from, row, depth, packed, to, (column, columns), add),
                    3 => tile::<S, 3>(s, from, row, depth, packed, to, (column, columns), add),
                    2 => tile::<S, 2>(s, from, row, depth, packed, to, (column, columns), add),
                    _ => tile::<S, 1>(s, from, row, depth, packed, to, (column, columns), add),
                }
            }
            row += height;
        }
    }
}

/// Multiplies `H` rows from `first` on, of which only the existing ones count, with one panel.
///
/// # Safety
/// The existing rows must have `depth` numbers, and the panel `depth` groups.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn tile<S: Simd, const H: usize>(
    s: S,
    from: Rows,
    first: usize,
    depth: usize,
    packed: &[f32],
    to: &mut [f32],
    (column, columns): (usize, usize),
    add: bool,
) {
    let mut rows = [from.data.as_ptr(); H];
    for (r, row) in rows.iter_mut().enumerate() {
        // SAFETY: a row that does not exist is read as the last that does.
        *row = unsafe { row.add((first + r).min(from.count - 1) * from.stride) };
    }
    let mut sums = [[s.splat(0.0); COLUMNS]; H];
    // SAFETY: the caller's promise.
    unsafe { accumulate::<S, H, COLUMNS, COLUMNS>(s, &mut sums, 0, rows, depth, packed.as_ptr()) };
    for (r, sums) in sums.into_iter().enumerate() {
        if first + r >= from.count {
            break;
        }
        let row = &mut to[(first + r) * columns + column..(first + r + 1) * columns];
        for (to, sum) in row.chunks_mut(S::LANES).zip(sums) {
            let sum = if add { s.add(s.load_first(to), sum) } else { sum };
            s.store_first(to, sum);
        }
    }
}
