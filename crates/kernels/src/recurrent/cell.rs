//! The formulas of one step of one unit, forward and backward.
//!
//! A step's products are summed in *slots*, at most [`SLOTS`] for each unit. The input's products fill the
//! first slots, the state's products the last. A slot that both fill holds their sum.

use super::gates;
use crate::simd::Simd;

/// The most slots that a cell has for each unit.
pub(super) const SLOTS: usize = 4;
/// The most numbers that a cell keeps for its backward pass, for each unit.
pub(super) const KEPT: usize = 6;

/// A recurrent cell with `GATES` columns of weights for each unit, of the input and of the state.
pub(super) trait Cell<const GATES: usize>: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// The number of slots for each unit.
    const SLOTS: usize;
    /// The count of numbers kept for each unit. The first is the memory, if the cell has one beside its
    /// state.
    const KEPT: usize;
    /// The gates of the input's weights, in the order of the first slots. The state's gates fill the last
    /// slots in their own order.
    const INPUT_GATES: [usize; GATES];

    /// The slot for the input's weights of `gate`.
    fn input_slot(gate: usize) -> usize {
        Self::INPUT_GATES.iter().position(|of_slot| *of_slot == gate).expect("a slot of each gate")
    }

    /// The next state and the numbers to keep, from the slots' sums and the state and memory before. State
    /// and memory are multiplied by `mask`.
    fn forward<S: Simd>(
        self,
        s: S,
        sums: [S::F32; SLOTS],
        state: S::F32,
        memory: S::F32,
        mask: S::F32,
    ) -> (S::F32, [S::F32; KEPT]);

    /// The gradients of the slots' sums, and of the state and the memory before the step, from the gradients
    /// of the state and the memory after it. The gradient of the state leaves out the part that flows through
    /// the sums.
    fn backward<S: Simd>(
        self,
        s: S,
        kept: [S::F32; KEPT],
        before: End<S::F32>,
        mask: S::F32,
        after: End<S::F32>,
    ) -> ([S::F32; SLOTS], End<S::F32>);
}

/// State and memory at one end of a step, or their gradients.
#[derive(Clone, Copy)]
pub(super) struct End<V> {
    pub state: V,
    pub memory: V,
}

/// The LSTM's cell. Its slots are the input, forget and output gates and the candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lstm;

impl Cell<4> for Lstm {
    const SLOTS: usize = 4;
    const KEPT: usize = 6;
    const INPUT_GATES: [usize; 4] = [0, 1, 2, 3];

    #[inline(always)]
    fn forward<S: Simd>(
        self,
        s: S,
        [input, forget, output, candidate]: [S::F32; SLOTS],
        _: S::F32,
        memory: S::F32,
        mask: S::F32,
    ) -> (S::F32, [S::F32; KEPT]) {
        // one division serves all four denominators
        let (input, forget, output) = (
            gates::under_sigmoid(s, input),
            gates::under_sigmoid(s, forget),
            gates::under_sigmoid(s, output),
        );
        let (candidate, under) = gates::tanh(s, candidate);
        let (first, second) = (s.mul(input, forget), s.mul(output, under));
        let all = s.div(s.splat(1.0), s.mul(first, second));
        let (of_first, of_second) = (s.mul(all, second), s.mul(all, first));
        let (input, forget) = (s.mul(of_first, forget), s.mul(of_first, input));
        let (candidate, output) = (s.mul(candidate, s.mul(of_second, output)), s.mul(of_second, under));
        let memory = s.mul_add(forget, memory, s.mul(input, candidate));
        let (shown, under) = gates::tanh(s, memory);
        let shown = s.div(shown, under);
        let state = s.mul(s.mul(output, shown), mask);
        (state, [s.mul(memory, mask), input, forget, output, candidate, shown])
    }

    #[inline(always)]
    fn backward<S: Simd>(
        self,
        s: S,
        [_, input, forget, output, candidate, shown]: [S::F32; KEPT],
        before: End<S::F32>,
        mask: S::F32,
        after: End<S::F32>,
    ) -> ([S::F32; SLOTS], End<S::F32>) {
        let state = s.mul(after.state, mask);
        let through = s.mul(state, output);
        let memory = s.mul_add(after.memory, mask, below_tanh(s, shown, through));
        let of_candidate = s.mul(memory, input);
        let slopes = [
            below_sigmoid(s, input, s.mul(memory, candidate)),
            below_sigmoid(s, forget, s.mul(memory, before.memory)),
            below_sigmoid(s, output, s.mul(state, shown)),
            below_tanh(s, candidate, of_candidate),
        ];
        (slopes, End { state: s.splat(0.0), memory: s.mul(memory, forget) })
    }
}

/// The GRU's cell. Its slots are the candidate's sum over the input, the reset and update gates, and the
/// candidate's sum over the state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gru;

impl Cell<3> for Gru {
    const SLOTS: usize = 4;
    const KEPT: usize = 4;
    const INPUT_GATES: [usize; 3] = [2, 0, 1];

    #[inline(always)]
    fn forward<S: Simd>(
        self,
        s: S,
        [seen, reset, update, recalled]: [S::F32; SLOTS],
        state: S::F32,
        _: S::F32,
        mask: S::F32,
    ) -> (S::F32, [S::F32; KEPT]) {
        let (reset, update) = (gates::under_sigmoid(s, reset), gates::under_sigmoid(s, update));
        let both = s.div(s.splat(1.0), s.mul(reset, update));
        let (reset, update) = (s.mul(both, update), s.mul(both, reset));
        // a gate this near 0 is shut: the number behind it may be large
        let reset = s.select(s.less(reset, s.splat(3e-9)), s.splat(0.0), reset);
        let (candidate, under) = gates::tanh(s, s.mul_add(reset, recalled, seen));
        let candidate = s.div(candidate, under);
        let next = s.mul_add(update, s.sub(state, candidate), candidate);
        let none = s.splat(0.0);
        (s.mul(next, mask), [reset, update, candidate, recalled, none, none])
    }

    #[inline(always)]
    fn backward<S: Simd>(
        self,
        s: S,
        [reset, update, candidate, recalled, ..]: [S::F32; KEPT],
        before: End<S::F32>,
        mask: S::F32,
        after: End<S::F32>,
    ) -> ([S::F32; SLOTS], End<S::F32>) {
        let state = s.mul(after.state, mask);
        let kept = s.mul(state, update);
        let renewed = s.sub(state, kept);
        let seen = below_tanh(s, candidate, renewed);
        let slopes = [
            seen,
            below_sigmoid(s, reset, s.mul(seen, recalled)),
            below_sigmoid(s, update, s.mul(state, s.sub(before.state, candidate))),
            s.mul(seen, reset),
        ];
        (slopes, End { state: kept, memory: s.splat(0.0) })
    }
}

/// The activation of a plain recurrent layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Squash {
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`
    Relu,
}

/// The plain cell: one sum for each unit, and an activation on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain(pub Squash);

impl Cell<1> for Plain {
    const SLOTS: usize = 1;
    const KEPT: usize = 1;
    const INPUT_GATES: [usize; 1] = [0];

    #[inline(always)]
    fn forward<S: Simd>(
        self,
        s: S,
        [sum, ..]: [S::F32; SLOTS],
        _: S::F32,
        _: S::F32,
        mask: S::F32,
    ) -> (S::F32, [S::F32; KEPT]) {
        let none = s.splat(0.0);
        let next = match self.0 {
            Squash::Tanh => {
                let (over, under) = gates::tanh(s, sum);
                s.div(over, under)
            }
            Squash::Relu => s.max(none, sum),
        };
        (s.mul(next, mask), [next, none, none, none, none, none])
    }

    #[inline(always)]
    fn backward<S: Simd>(
        self,
        s: S,
        [next, ..]: [S::F32; KEPT],
        _: End<S::F32>,
        mask: S::F32,
        after: End<S::F32>,
    ) -> ([S::F32; SLOTS], End<S::F32>) {
        let none = s.splat(0.0);
        let state = s.mul(after.state, mask);
        let slope = match self.0 {
            Squash::Tanh => below_tanh(s, next, state),
            Squash::Relu => s.select(s.less(none, next), state, none),
        };
        ([slope, none, none, none], End { state: none, memory: none })
    }
}

/// The gradient of `x` for `y = sigmoid(x)`, from the gradient of `y`.
#[inline(always)]
fn below_sigmoid<S: Simd>(s: S, y: S::F32, gradient: S::F32) -> S::F32 {
    s.mul(gradient, unless_flat(s, s.neg_mul_add(y, y, y), 3e-7))
}

/// The gradient of `x` for `y = tanh(x)`, from the gradient of `y`.
#[inline(always)]
fn below_tanh<S: Simd>(s: S, y: S::F32, gradient: S::F32) -> S::F32 {
    s.mul(gradient, unless_flat(s, s.neg_mul_add(y, y, s.splat(1.0)), 1.2e-6))
}

/// The slope, or 0 if it is no more than the error of `y` at either end. Large weights would raise such an
/// error from step to step beyond all numbers.
#[inline(always)]
fn unless_flat<S: Simd>(s: S, slope: S::F32, error: f32) -> S::F32 {
    s.select(s.less(slope, s.splat(error)), s.splat(0.0), slope)
}
