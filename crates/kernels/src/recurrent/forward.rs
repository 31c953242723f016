//! The forward pass. Each thread walks through all steps with its own rows of the batch.

use super::cell::{Cell, SLOTS};
use super::panels::{lanes, pack_gates, tile_height};
use super::sequence::Sequence;
use crate::gemm::accumulate;
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use std::ops::Range;

/// The weights of each gate of a layer.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a, const G: usize> {
    /// `[I, D]`
    pub input: [&'a [f32]; G],
    /// `[D, D]`
    pub state: [&'a [f32]; G],
}

/// The least number of rows whose tiles spend their time multiplying rather than reading weights. For fewer
/// rows, the input's products of many steps, which wait for no state, are computed at once.
const FEW_ROWS: usize = 6;

/// Returns the states, `[T, B, D]`, and the numbers that the cell keeps,
/// `[T, B, groups of units, KEPT, lanes]`. Without `keep`, the latter are those of the last step only.
///
/// `bias` has `D` numbers for each slot.
pub(super) fn forward<C: Cell<G>, const G: usize>(
    cell: C,
    sequence: Sequence,
    weights: Weights<G>,
    bias: [&[f32]; SLOTS],
    keep: bool,
) -> (Vec<f32>, Vec<f32>) {
    let Sequence { steps, batch, inputs, units, .. } = sequence;
    sequence.check();
    for gate in 0..G {
        let lengths = (weights.input[gate].len(), weights.state[gate].len());
        assert_eq!(lengths, (inputs * units, units * units));
    }
    let lanes = lanes();
    let groups = units.div_ceil(lanes);
    let mut states = for_overwriting(steps * batch * units);
    let kept_row = groups * C::KEPT * lanes;
    let mut kept = for_overwriting(if keep { steps * batch * kept_row } else { batch * kept_row });
    if states.is_empty() {
        return (states, kept);
    }
    let input = pack_gates(&C::INPUT_GATES.map(|gate| weights.input[gate]), units);
    let state = pack_gates(&weights.state, units);
    let mut packed_bias = vec![0.0; groups * SLOTS * lanes];
    for (slot, bias) in bias.into_iter().enumerate() {
        for (group, bias) in bias.chunks(lanes).enumerate() {
            let start = (group * SLOTS + slot) * lanes;
            packed_bias[start..start + bias.len()].copy_from_slice(bias);
        }
    }
    let ahead = (batch < FEW_ROWS).then(|| sums_of_input::<G>(sequence, &input, &packed_bias));
    let (shared_states, shared_kept) = (Shared::new(&mut states), Shared::new(&mut kept));
    sequence.in_parts(|rows| {
        run(Forward {
            cell,
            sequence,
            input: &input,
            ahead: ahead.as_deref(),
            state: &state,
            bias: &packed_bias,
            keep,
            states: shared_states,
            kept: shared_kept,
            rows,
        });
    });
    (states, kept)
}

struct Forward<'a, C, const G: usize> {
    cell: C,
    sequence: Sequence<'a>,
    input: &'a [f32],
    /// The [`sums_of_input`], if they were computed before.
    ahead: Option<&'a [f32]>,
    state: &'a [f32],
    /// `[groups, SLOTS, lanes]`
    bias: &'a [f32],
    keep: bool,
    states: Shared<'a, f32>,
    kept: Shared<'a, f32>,
    rows: Range<usize>,
}

impl<C: Cell<G>, const G: usize> Kernel for Forward<'_, C, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for step in 0..self.sequence.steps {
            for group in 0..self.sequence.units.div_ceil(S::LANES) {
                let mut row = self.rows.start;
                while row < self.rows.end {
                    let left = self.rows.end - row;
                    let height = tile_height::<S>(G, left);
                    // SAFETY: these rows are this part's own.
                    unsafe {
                        match height {
                            12 if G == 1 => self.tile::<S, 12>(s, step, group, row, left),
                            8 if G == 1 => self.tile::<S, 8>(s, step, group, row, left),
                            6 => self.tile::<S, 6>(s, step, group, row, left),
                            4 => self.tile::<S, 4>(s, step, group, row, left),
                            3 => self.tile::<S, 3>(s, step, group, row, left),
                            2 => self.tile::<S, 2>(s, step, group, row, left),
                            _ => self.tile::<S, 1>(s, step, group, row, left),
                        }
                    }
                    row += height;
                }
            }
        }
    }
}

impl<C: Cell<G>, const G: usize> Forward<'_, C, G> {
    /// Computes one step of `H` rows from `first` on, of which `left` exist, for one group of units.
    ///
    /// # Safety
    /// Nobody else may use those rows of the states and of the kept numbers meanwhile.
    #[inline(always)]
    unsafe fn tile<S: Simd, const H: usize>(
        &self,
        s: S,
        step: usize,
        group: usize,
        first: usize,
        left: usize,
    ) {
        let Sequence { batch, inputs, units, .. } = self.sequence;
        let time = self.sequence.time(step);
        let (unit, groups) = (group * S::LANES, units.div_ceil(S::LANES));
        let count = (units - unit).min(S::LANES);
        // the last existing row stands in for missing ones
        let row = |r: usize| first + r.min(left - 1);
        let bias = &self.bias[group * SLOTS * S::LANES..][..SLOTS * S::LANES];
        let mut sums = [[s.splat(0.0); SLOTS]; H];
        for sums in &mut sums {
            for (slot, sum) in sums[..C::SLOTS].iter_mut().enumerate() {
                *sum = s.load(&bias[slot * S::LANES..]);
            }
        }
        let x = self.sequence.x.as_ptr();
        let states = self.states.pointer();
        // SAFETY: rows, steps and units are below their counts, and the buffers have the sizes that `forward`
        // and `Sequence` made and checked.
        unsafe {
            if let Some(ahead) = self.ahead {
                for (r, sums) in sums.iter_mut().enumerate() {
                    let from = ((time * batch + row(r)) * groups + group) * G * S::LANES;
                    for (slot, sum) in sums[..G].iter_mut().enumerate() {
                        *sum = s.load_from(ahead.as_ptr().add(from + slot * S::LANES));
                    }
                }
            } else {
                let mut rows = [x; H];
                for (r, to) in rows.iter_mut().enumerate() {
                    *to = x.add((time * batch + row(r)) * inputs);
                }
                let panel = self.input.as_ptr().add(group * inputs * G * S::LANES);
                accumulate::<S, H, G, SLOTS>(s, &mut sums, 0, rows, inputs, panel);
            }
            if step > 0 {
                let before = states.add(self.sequence.time(step - 1) * batch * units);
                let mut rows = [x; H];
                for (r, to) in rows.iter_mut().enumerate() {
                    *to = before.add(row(r) * units);
                }
                let panel = self.state.as_ptr().add(group * units * G * S::LANES);
                accumulate::<S, H, G, SLOTS>(s, &mut sums, C::SLOTS - G, rows, units, panel);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                if r >= left {
                    break;
                }
                let row = first + r;
                let kept_row = |step: usize| {
                    let time = if self.keep { self.sequence.time(step) } else { 0 };
                    ((time * batch + row) * groups + group) * C::KEPT * S::LANES
                };
                let (mut state, mut memory) = (s.splat(0.0), s.splat(0.0));
                if step > 0 {
                    let before = states.add((self.sequence.time(step - 1) * batch + row) * units + unit);
                    state = if count == S::LANES {
                        s.load_from(before)
                    } else {
                        s.load_first_from(before, count)
                    };
                    memory = s.load_from(self.kept.pointer().add(kept_row(step - 1)));
                }
                let mask = s.splat(self.sequence.mask.map_or(1.0, |mask| mask[time * batch + row]));
                let (state, kept) = self.cell.forward(s, sums, state, memory, mask);
                let to = states.add((time * batch + row) * units + unit);
                if count == S::LANES {
                    s.store_to(to, state)
                } else {
                    s.store_first_to(to, state, count)
                }
                let to = self.kept.pointer().add(kept_row(step));
                for (place, value) in kept[..C::KEPT].iter().enumerate() {
                    s.store_to(to.add(place * S::LANES), *value);
                }
            }
        }
    }
}

/// The bias and the products of all inputs with the packed weights of the input,
/// `[T, B, groups, GATES, lanes]`. Each sum begins with its bias, as a [tile](Forward::tile)'s does: a row
/// has the same bits in any batch.
///
/// `bias` is `[groups, SLOTS, lanes]`.
fn sums_of_input<const G: usize>(sequence: Sequence, packed: &[f32], bias: &[f32]) -> Vec<f32> {
    let Sequence { x, steps, batch, inputs, units, .. } = sequence;
    let row = units.div_ceil(lanes()) * G * lanes();
    assert_eq!((x.len(), packed.len()), (steps * batch * inputs, row * inputs));
    assert_eq!(bias.len(), units.div_ceil(lanes()) * SLOTS * lanes());
    let mut sums = for_overwriting(steps * batch * row);
    let to = Shared::new(&mut sums);
    threads::ranges(steps * batch, (1 << 17) / (inputs * row).max(1) + 1, |rows| {
        // SAFETY: each row is one part's own.
        let to = unsafe { to.part(rows.start * row..rows.end * row) };
        run(SumsOfInput::<G> {
            x: &x[rows.start * inputs..rows.end * inputs],
            inputs,
            packed,
            bias,
            row,
            to,
        });
    });
    sums
}

struct SumsOfInput<'a, const G: usize> {
    x: &'a [f32],
    inputs: usize,
    packed: &'a [f32],
    /// `[groups, SLOTS, lanes]`
    bias: &'a [f32],
    row: usize,
    to: &'a mut [f32],
}

impl<const G: usize> Kernel for SumsOfInput<'_, G> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // as many sums as registers hold, for the cell with the most gates
        match S::TILE_ROWS {
            12 => self.by::<S, 4>(s),
            _ => self.by::<S, 2>(s),
        }
    }
}

impl<const G: usize> SumsOfInput<'_, G> {
    /// Computes the sums, `H` rows at a time.
    #[inline(always)]
    fn by<S: Simd, const H: usize>(self, s: S) {
        let SumsOfInput { x, inputs, packed, bias, row, to } = self;
        let count = to.len() / row;
        for group in 0..row / (G * S::LANES) {
            let bias = &bias[group * SLOTS * S::LANES..];
            for first in (0..count).step_by(H) {
                let mut sums = [[s.splat(0.0); G]; H];
                for sums in &mut sums {
                    for (slot, sum) in sums.iter_mut().enumerate() {
                        *sum = s.load(&bias[slot * S::LANES..]);
                    }
                }
                // the last existing row stands in for missing ones
                let row_at = |r: usize| x.as_ptr().wrapping_add((first + r).min(count - 1) * inputs);
                let rows: [_; H] = std::array::from_fn(row_at);
                // SAFETY: each row has as many numbers as there are inputs, and the group's panel as many
                // groups of vectors.
                unsafe {
                    let panel = packed.as_ptr().add(group * inputs * G * S::LANES);
                    accumulate::<S, H, G, G>(s, &mut sums, 0, rows, inputs, panel);
                }
                for (sums, to) in sums.into_iter().zip(to[first * row..].chunks_mut(row)) {
                    for (slot, sum) in sums.into_iter().enumerate() {
                        s.store(&mut to[(group * G + slot) * S::LANES..], sum);
                    }
                }
            }
        }
    }
}
