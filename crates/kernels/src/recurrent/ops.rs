//! The layers as extensions of Burn's CPU backend.

use super::backward::{self, Left};
use super::cell::{self, Cell, SLOTS, Squash};
use super::forward::{self, Weights};
use super::sequence::Sequence;
use super::weights;
use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use std::sync::Arc;

/// The ops as an extension of Burn's CPU backend. A mask is left out by an empty one.
#[backend_extension(Autodiff, Flex)]
pub trait RecurrentOps: Backend {
    /// See [`lstm`](super::lstm()).
    fn lstm_sequence(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        backwards: bool,
    ) -> FloatTensor<Self>;

    /// See [`rnn`](super::rnn()).
    fn rnn_sequence(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        squash: Squash,
        backwards: bool,
    ) -> FloatTensor<Self>;

    /// See [`gru`](super::gru()).
    fn gru_sequence(
        x: FloatTensor<Self>,
        input_weight: FloatTensor<Self>,
        hidden_weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        candidate_bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        backwards: bool,
    ) -> FloatTensor<Self>;
}

impl RecurrentOps for Flex {
    fn lstm_sequence(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        backwards: bool,
    ) -> FlexTensor {
        joined(cell::Lstm, [x, weight, bias, mask], backwards, Keep::Nothing).0
    }

    fn rnn_sequence(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        squash: Squash,
        backwards: bool,
    ) -> FlexTensor {
        joined(cell::Plain(squash), [x, weight, bias, mask], backwards, Keep::Nothing).0
    }

    fn gru_sequence(
        x: FlexTensor,
        input_weight: FlexTensor,
        hidden_weight: FlexTensor,
        bias: FlexTensor,
        candidate_bias: FlexTensor,
        mask: FlexTensor,
        backwards: bool,
    ) -> FlexTensor {
        let inputs = [x, input_weight, hidden_weight, bias, candidate_bias, mask];
        gru(inputs, backwards, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> RecurrentOps for Autodiff<Flex, C> {
    fn lstm_sequence(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        backwards: bool,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 4>([x, weight, bias, mask], |inputs, keep| {
            joined(cell::Lstm, inputs, backwards, keep)
        })
    }

    fn rnn_sequence(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        squash: Squash,
        backwards: bool,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 4>([x, weight, bias, mask], |inputs, keep| {
            joined(cell::Plain(squash), inputs, backwards, keep)
        })
    }

    fn gru_sequence(
        x: FloatTensor<Self>,
        input_weight: FloatTensor<Self>,
        hidden_weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        candidate_bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        backwards: bool,
    ) -> FloatTensor<Self> {
        let inputs = [x, input_weight, hidden_weight, bias, candidate_bias, mask];
        flex::track::<C, _, 6>(inputs, |inputs, keep| gru(inputs, backwards, keep))
    }
}

/// What the backward pass of a layer needs.
#[derive(Clone, Debug)]
struct Walked<C> {
    cell: C,
    x: Floats,
    /// `[I + D, gates D]`, or `[I, gates D]` and `[D, gates D]`.
    weights: Vec<Floats>,
    mask: Option<Floats>,
    backwards: bool,
    states: Option<Floats>,
    kept: Arc<Vec<f32>>,
}

impl<C> Walked<C> {
    fn sequence<const G: usize>(&self) -> Sequence<'_> {
        let [steps, batch, inputs] = self.x.dims() else { unreachable!("a sequence has three axes") };
        let (steps, batch, inputs) = (*steps, *batch, *inputs);
        let units = self.weights[0].dims()[1] / G;
        let mask = self.mask.as_deref();
        Sequence { x: &self.x, steps, batch, inputs, units, mask, backwards: self.backwards }
    }

    fn weights<const G: usize>(&self) -> Weights<'_> {
        let (input, state) = match &self.weights[..] {
            [both] => {
                let Sequence { inputs, units, .. } = self.sequence::<G>();
                both.split_at(inputs * G * units)
            }
            [input, state] => (&input[..], &state[..]),
            _ => unreachable!("one weight or two"),
        };
        Weights { input, state }
    }

    /// Walks forwards, and keeps what a backward pass needs.
    fn forward<const G: usize>(mut self, bias: [&[f32]; SLOTS], keep: Keep) -> (FlexTensor, Option<Self>)
    where
        C: Cell<G>,
    {
        let keep = keep == Keep::ForBackward;
        let sequence = self.sequence::<G>();
        let shape = [sequence.steps, sequence.batch, sequence.units];
        let (states, kept) = forward::forward(self.cell, sequence, self.weights::<G>(), bias, keep);
        let states = flex::tensor(states, &shape);
        self.states = Some(Floats::new(states.clone()));
        self.kept = Arc::new(kept);
        (states, keep.then_some(self))
    }

    /// Gradients of the input and of the bias of each slot; those of the weights of input and state go where they are
    /// asked for, a place of no numbers being one that is not.
    fn gradients<const G: usize>(
        &self,
        gradient: FlexTensor,
        of_x: bool,
        [of_input, of_state]: [&mut [f32]; 2],
    ) -> (FlexTensor, Vec<f32>)
    where
        C: Cell<G>,
    {
        let sequence = self.sequence::<G>();
        let states = self.states.as_deref().expect("states of a forward pass");
        let left = Left { states, kept: &self.kept };
        let gradient = Floats::new(gradient);
        let found = backward::backward(self.cell, sequence, self.weights::<G>(), left, &gradient, of_x);
        weights::of_weights::<C, G>(sequence, states, &found.slopes, of_input, of_state);
        let x = if of_x { flex::tensor(found.x, self.x.dims()) } else { flex::tensor(Vec::new(), &[0]) };
        (x, found.bias)
    }
}

/// A layer whose weights of input and state are one matrix.
fn joined<C: Cell<G>, const G: usize>(
    cell: C,
    [x, weight, bias, mask]: [FlexTensor; 4],
    backwards: bool,
    keep: Keep,
) -> (FlexTensor, Option<Walked<C>>) {
    let bias = Floats::new(bias);
    let units = bias.len() / G;
    let bias = std::array::from_fn(|slot| if slot < G { &bias[slot * units..][..units] } else { &[][..] });
    Walked {
        cell,
        x: Floats::new(x),
        weights: vec![Floats::new(weight)],
        mask: flex::unless_empty(mask),
        backwards,
        states: None,
        kept: Arc::default(),
    }
    .forward::<G>(bias, keep)
}

fn joined_gradients<C: Cell<G>, const G: usize>(
    walked: Walked<C>,
    gradient: FlexTensor,
    [x, weight, bias, _]: [bool; 4],
) -> [Option<FlexTensor>; 4] {
    let Sequence { inputs, units, .. } = walked.sequence::<G>();
    let room = |rows: usize| if weight { rows * G * units } else { 0 };
    let mut of_weights = for_overwriting(room(inputs + units));
    let (of_input, of_state) = of_weights.split_at_mut(room(inputs));
    let (of_x, of_bias) = walked.gradients::<G>(gradient, x, [of_input, of_state]);
    [
        x.then_some(of_x),
        weight.then(|| flex::tensor(of_weights, walked.weights[0].dims())),
        bias.then(|| {
            let length = of_bias.len();
            flex::tensor(of_bias, &[length])
        }),
        None,
    ]
}

impl Saved<4> for Walked<cell::Lstm> {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        joined_gradients::<_, 4>(self, gradient, wanted)
    }
}

impl Saved<4> for Walked<cell::Plain> {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        joined_gradients::<_, 1>(self, gradient, wanted)
    }
}

fn gru(
    [x, input_weight, hidden_weight, bias, candidate_bias, mask]: [FlexTensor; 6],
    backwards: bool,
    keep: Keep,
) -> (FlexTensor, Option<Walked<cell::Gru>>) {
    let (bias, candidate_bias) = (Floats::new(bias), Floats::new(candidate_bias));
    let units = candidate_bias.len();
    let [first, second, third] = cell::Gru::INPUT_GATES.map(|gate| &bias[gate * units..][..units]);
    Walked {
        cell: cell::Gru,
        x: Floats::new(x),
        weights: vec![Floats::new(input_weight), Floats::new(hidden_weight)],
        mask: flex::unless_empty(mask),
        backwards,
        states: None,
        kept: Arc::default(),
    }
    .forward::<3>([first, second, third, &candidate_bias], keep)
}

impl Saved<6> for Walked<cell::Gru> {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 6]) -> [Option<FlexTensor>; 6] {
        let [x, input_weight, hidden_weight, bias, candidate_bias, _] = wanted;
        let Sequence { inputs, units, .. } = self.sequence::<3>();
        let room = |wanted: bool, rows: usize| for_overwriting(if wanted { rows * 3 * units } else { 0 });
        let (mut of_input, mut of_hidden) = (room(input_weight, inputs), room(hidden_weight, units));
        let (of_x, of_bias) = self.gradients::<3>(gradient, x, [&mut of_input, &mut of_hidden]);
        let (of_gates, of_candidate) = of_bias.split_at(3 * units);
        let mut of_gates = of_gates.to_vec();
        weights::in_gates_order::<cell::Gru, 3>(&mut of_gates, units);
        [
            x.then_some(of_x),
            input_weight.then(|| flex::tensor(of_input, &[inputs, 3 * units])),
            hidden_weight.then(|| flex::tensor(of_hidden, &[units, 3 * units])),
            bias.then(|| flex::tensor(of_gates, &[3 * units])),
            candidate_bias.then(|| flex::tensor(of_candidate.to_vec(), &[units])),
            None,
        ]
    }
}
