//! The layers as extensions of Burn's CPU backend.

use super::backward::{self, Left};
use super::cell::{self, Cell, SLOTS, Squash};
use super::forward::{self, Weights};
use super::sequence::Sequence;
use super::weights;
use crate::flex::{self, Floats, Keep, Saved};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use std::sync::Arc;

/// The ops as an extension of Burn's CPU backend. The input's weights come gate by gate and then the state's,
/// because Burn's extension macro knows tensors but no arrays of them. An empty mask stands for none.
#[allow(clippy::too_many_arguments)]
#[backend_extension(Autodiff, Flex)]
pub trait RecurrentOps: Backend {
    /// See [`lstm`](super::lstm()).
    fn lstm_sequence(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        forget: FloatTensor<Self>,
        output: FloatTensor<Self>,
        candidate: FloatTensor<Self>,
        hidden_input: FloatTensor<Self>,
        hidden_forget: FloatTensor<Self>,
        hidden_output: FloatTensor<Self>,
        hidden_candidate: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        backwards: bool,
    ) -> FloatTensor<Self>;

    /// See [`rnn`](super::rnn()).
    fn rnn_sequence(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        squash: Squash,
        backwards: bool,
    ) -> FloatTensor<Self>;

    /// See [`gru`](super::gru()).
    fn gru_sequence(
        x: FloatTensor<Self>,
        reset: FloatTensor<Self>,
        update: FloatTensor<Self>,
        candidate: FloatTensor<Self>,
        hidden_reset: FloatTensor<Self>,
        hidden_update: FloatTensor<Self>,
        hidden_candidate: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        candidate_bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        backwards: bool,
    ) -> FloatTensor<Self>;
}

impl RecurrentOps for Flex {
    fn lstm_sequence(
        x: FlexTensor,
        input: FlexTensor,
        forget: FlexTensor,
        output: FlexTensor,
        candidate: FlexTensor,
        hidden_input: FlexTensor,
        hidden_forget: FlexTensor,
        hidden_output: FlexTensor,
        hidden_candidate: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        backwards: bool,
    ) -> FlexTensor {
        lstm(
            [
                x,
                input,
                forget,
                output,
                candidate,
                hidden_input,
                hidden_forget,
                hidden_output,
                hidden_candidate,
                bias,
                mask,
            ],
            backwards,
            Keep::Nothing,
        )
        .0
    }

    fn rnn_sequence(
        x: FlexTensor,
        input: FlexTensor,
        hidden: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        squash: Squash,
        backwards: bool,
    ) -> FlexTensor {
        rnn(squash, [x, input, hidden, bias, mask], backwards, Keep::Nothing).0
    }

    fn gru_sequence(
        x: FlexTensor,
        reset: FlexTensor,
        update: FlexTensor,
        candidate: FlexTensor,
        hidden_reset: FlexTensor,
        hidden_update: FlexTensor,
        hidden_candidate: FlexTensor,
        bias: FlexTensor,
        candidate_bias: FlexTensor,
        mask: FlexTensor,
        backwards: bool,
    ) -> FlexTensor {
        gru(
            [
                x,
                reset,
                update,
                candidate,
                hidden_reset,
                hidden_update,
                hidden_candidate,
                bias,
                candidate_bias,
                mask,
            ],
            backwards,
            Keep::Nothing,
        )
        .0
    }
}

impl<C: CheckpointStrategy> RecurrentOps for Autodiff<Flex, C> {
    fn lstm_sequence(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        forget: FloatTensor<Self>,
        output: FloatTensor<Self>,
        candidate: FloatTensor<Self>,
        hidden_input: FloatTensor<Self>,
        hidden_forget: FloatTensor<Self>,
        hidden_output: FloatTensor<Self>,
        hidden_candidate: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        backwards: bool,
    ) -> FloatTensor<Self> {
        let inputs = [
            x,
            input,
            forget,
            output,
            candidate,
            hidden_input,
            hidden_forget,
            hidden_output,
            hidden_candidate,
            bias,
            mask,
        ];
        flex::track::<C, _, 11>(inputs, |inputs, keep| lstm(inputs, backwards, keep))
    }

    fn rnn_sequence(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        squash: Squash,
        backwards: bool,
    ) -> FloatTensor<Self> {
        let inputs = [x, input, hidden, bias, mask];
        flex::track::<C, _, 5>(inputs, |inputs, keep| rnn(squash, inputs, backwards, keep))
    }

    fn gru_sequence(
        x: FloatTensor<Self>,
        reset: FloatTensor<Self>,
        update: FloatTensor<Self>,
        candidate: FloatTensor<Self>,
        hidden_reset: FloatTensor<Self>,
        hidden_update: FloatTensor<Self>,
        hidden_candidate: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        candidate_bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        backwards: bool,
    ) -> FloatTensor<Self> {
        let inputs = [
            x,
            reset,
            update,
            candidate,
            hidden_reset,
            hidden_update,
            hidden_candidate,
            bias,
            candidate_bias,
            mask,
        ];
        flex::track::<C, _, 10>(inputs, |inputs, keep| gru(inputs, backwards, keep))
    }
}

/// The state that the backward pass of a layer needs.
#[derive(Clone, Debug)]
struct Walked<C, const G: usize> {
    cell: C,
    x: Floats,
    /// The input's weights of each gate, `[I, D]`.
    input: [Floats; G],
    /// The state's weights of each gate, `[D, D]`.
    hidden: [Floats; G],
    mask: Option<Floats>,
    backwards: bool,
    states: Option<Floats>,
    kept: Arc<Vec<f32>>,
}

/// The gradients of a layer's inputs; `None` if not wanted.
struct LayerGradients<const G: usize> {
    x: Option<FlexTensor>,
    input: [Option<FlexTensor>; G],
    hidden: [Option<FlexTensor>; G],
    /// The gradient of each slot's bias, `[SLOTS, D]`.
    bias: Vec<f32>,
}

impl<C: Cell<G>, const G: usize> Walked<C, G> {
    fn new(
        cell: C,
        x: FlexTensor,
        [input, hidden]: [[FlexTensor; G]; 2],
        mask: FlexTensor,
        backwards: bool,
    ) -> Self {
        Walked {
            cell,
            x: Floats::new(x),
            input: input.map(Floats::new),
            hidden: hidden.map(Floats::new),
            mask: flex::unless_empty(mask),
            backwards,
            states: None,
            kept: Arc::default(),
        }
    }

    fn sequence(&self) -> Sequence<'_> {
        let [steps, batch, inputs] = self.x.dims() else { unreachable!("a sequence has three axes") };
        let (steps, batch, inputs) = (*steps, *batch, *inputs);
        let units = self.hidden[0].dims()[0];
        let mask = self.mask.as_deref();
        Sequence { x: &self.x, steps, batch, inputs, units, mask, backwards: self.backwards }
    }

    fn weights(&self) -> Weights<'_, G> {
        Weights {
            input: self.input.each_ref().map(|gate| &gate[..]),
            state: self.hidden.each_ref().map(|gate| &gate[..]),
        }
    }

    /// Runs the forward pass, and keeps the numbers for a backward pass if one may follow.
    fn forward(mut self, bias: [&[f32]; SLOTS], keep: Keep) -> (FlexTensor, Option<Self>) {
        let keep = keep == Keep::ForBackward;
        let sequence = self.sequence();
        let shape = [sequence.steps, sequence.batch, sequence.units];
        let (states, kept) = forward::forward(self.cell, sequence, self.weights(), bias, keep);
        let states = flex::tensor(states, &shape);
        self.states = Some(Floats::new(states.clone()));
        self.kept = Arc::new(kept);
        (states, keep.then_some(self))
    }

    /// The gradients of the layer's inputs, from the gradient of the states. The gradients of all gates'
    /// weights are computed together, so they are wanted together.
    fn gradients(
        &self,
        gradient: FlexTensor,
        of_x: bool,
        of_input: bool,
        of_hidden: bool,
    ) -> LayerGradients<G> {
        let sequence = self.sequence();
        let Sequence { inputs, units, .. } = sequence;
        let states = self.states.as_deref().expect("states of a forward pass");
        let left = Left { states, kept: &self.kept };
        let gradient = Floats::new(gradient);
        let found = backward::backward(self.cell, sequence, self.weights(), left, &gradient, of_x);
        let tensors = |gates: [Vec<f32>; G], rows| gates.map(|gate| Some(flex::tensor(gate, &[rows, units])));
        let none = || std::array::from_fn(|_| None);
        let slopes = &found.slopes;
        LayerGradients {
            input: if of_input {
                tensors(weights::of_input::<C, G>(sequence, slopes), inputs)
            } else {
                none()
            },
            hidden: if of_hidden {
                tensors(weights::of_state::<C, G>(sequence, states, slopes), units)
            } else {
                none()
            },
            x: of_x.then(|| flex::tensor(found.x, self.x.dims())),
            bias: found.bias,
        }
    }
}

/// The numbers as a tensor of one axis.
fn in_a_row(numbers: Vec<f32>) -> FlexTensor {
    let length = numbers.len();
    flex::tensor(numbers, &[length])
}

/// The numbers cut into slots of `units`. The last slots may be empty.
fn in_slots(numbers: &[f32], units: usize) -> [&[f32]; SLOTS] {
    std::array::from_fn(|slot| numbers.get(slot * units..(slot + 1) * units).unwrap_or_default())
}

fn lstm(
    inputs: [FlexTensor; 11],
    backwards: bool,
    keep: Keep,
) -> (FlexTensor, Option<Walked<cell::Lstm, 4>>) {
    let [x, i, f, o, c, of_i, of_f, of_o, of_c, bias, mask] = inputs;
    let weights = [[i, f, o, c], [of_i, of_f, of_o, of_c]];
    let (walked, bias) = (Walked::new(cell::Lstm, x, weights, mask, backwards), Floats::new(bias));
    let units = walked.sequence().units;
    walked.forward(in_slots(&bias, units), keep)
}

impl Saved<11> for Walked<cell::Lstm, 4> {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 11]) -> [Option<FlexTensor>; 11] {
        let [x, input @ .., _, _] = wanted;
        let (input, hidden) = input.split_at(4);
        let LayerGradients { x, input: [i, f, o, c], hidden: [of_i, of_f, of_o, of_c], bias } =
            self.gradients(gradient, x, input.contains(&true), hidden.contains(&true));
        [x, i, f, o, c, of_i, of_f, of_o, of_c, Some(in_a_row(bias)), None]
    }
}

fn rnn(
    squash: Squash,
    [x, input, hidden, bias, mask]: [FlexTensor; 5],
    backwards: bool,
    keep: Keep,
) -> (FlexTensor, Option<Walked<cell::Plain, 1>>) {
    let bias = Floats::new(bias);
    let walked = Walked::new(cell::Plain(squash), x, [[input], [hidden]], mask, backwards);
    walked.forward([&bias, &[], &[], &[]], keep)
}

impl Saved<5> for Walked<cell::Plain, 1> {
    fn backward(self, gradient: FlexTensor, [x, input, hidden, _, _]: [bool; 5]) -> [Option<FlexTensor>; 5] {
        let LayerGradients { x, input: [input], hidden: [hidden], bias } =
            self.gradients(gradient, x, input, hidden);
        [x, input, hidden, Some(in_a_row(bias)), None]
    }
}

fn gru(inputs: [FlexTensor; 10], backwards: bool, keep: Keep) -> (FlexTensor, Option<Walked<cell::Gru, 3>>) {
    let [x, r, u, c, of_r, of_u, of_c, bias, candidate_bias, mask] = inputs;
    let (bias, candidate_bias) = (Floats::new(bias), Floats::new(candidate_bias));
    let walked = Walked::new(cell::Gru, x, [[r, u, c], [of_r, of_u, of_c]], mask, backwards);
    let units = walked.sequence().units;
    let [first, second, third] = cell::Gru::INPUT_GATES.map(|gate| &bias[gate * units..][..units]);
    walked.forward([first, second, third, &candidate_bias], keep)
}

impl Saved<10> for Walked<cell::Gru, 3> {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 10]) -> [Option<FlexTensor>; 10] {
        let [x, input @ .., _, _, _] = wanted;
        let (input, hidden) = input.split_at(3);
        let units = self.sequence().units;
        let LayerGradients { x, input: [r, u, c], hidden: [of_r, of_u, of_c], bias } =
            self.gradients(gradient, x, input.contains(&true), hidden.contains(&true));
        let slots = in_slots(&bias, units);
        let of_gate = |gate| slots[cell::Gru::input_slot(gate)];
        let of_gates = in_a_row([0, 1, 2].map(of_gate).concat());
        [x, r, u, c, of_r, of_u, of_c, Some(of_gates), Some(in_a_row(slots[3].to_vec())), None]
    }
}
