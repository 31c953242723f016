//! Recurrent layers: one op for a whole sequence, with its own backward pass through time.
//!
//! Axes: `T` steps, `B` rows of the batch, `I` inputs, `D` units.
//!
//! Rows of a batch are independent, so each thread walks through all steps with its own rows and waits for no
//! other. Only the gradients of the weights combine the threads' results. A step multiplies its rows of input
//! and state with weights that were packed once for the whole sequence, and turns the sums into gates and
//! states while they are in registers. For few rows, the input's products of all steps are computed before
//! the first step.

mod backward;
mod cell;
mod forward;
mod gates;
mod gru;
mod lstm;
mod ops;
mod panels;
mod rnn;
mod sequence;
mod twin;
mod weights;

pub use cell::Squash;
pub use gru::{GruWeights, gru};
pub use lstm::lstm;
pub use ops::RecurrentOps;
pub use rnn::rnn;

use crate::count;
use burn::tensor::Tensor;

fn check_mask(x: &Tensor<3>, mask: &Option<Tensor<2>>) {
    let [steps, batch, _] = x.dims();
    if let Some(mask) = mask {
        assert_eq!(mask.dims(), [steps, batch], "the mask of a sequence of {:?}", x.dims());
    }
}

/// The weights of a layer of `G` gates.
#[derive(Clone, Debug)]
pub struct Gates<const G: usize> {
    /// The input's weights for each gate, `[I, D]`.
    pub input: [Tensor<2>; G],
    /// The state's weights for each gate, `[D, D]`.
    pub hidden: [Tensor<2>; G],
}

impl<const G: usize> Gates<G> {
    /// The number of units.
    ///
    /// # Panics
    /// When a weight does not fit the input or the others.
    fn units(&self, x: &Tensor<3>) -> usize {
        let ([_, _, inputs], [units, _]) = (x.dims(), self.hidden[0].dims());
        for (input, hidden) in self.input.iter().zip(&self.hidden) {
            assert_eq!(
                [input.dims(), hidden.dims()],
                [[inputs, units], [units, units]],
                "weights of [I, D] and [D, D] were expected for a sequence of {:?}",
                x.dims()
            );
        }
        units
    }

    /// Adds the sequence's multiply-adds to the count, if there is one.
    fn count(&self, x: &Tensor<3>) {
        let ([steps, batch, inputs], [units, _]) = (x.dims(), self.hidden[0].dims());
        count::add(&[steps, batch, inputs + units, G, units]);
    }

    /// The weights of all gates side by side, `[I, G D]` and `[D, G D]`.
    fn joined(self) -> [Tensor<2>; 2] {
        [self.input, self.hidden].map(|gates| Tensor::cat(gates.to_vec(), 1))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Gates;
    use crate::testing::{Sample, random};
    use burn::tensor::Tensor;

    /// The gates of a weight `[I + D, G D]`, with the rows of the input before those of the state.
    pub(crate) fn cut<const G: usize>(weight: Tensor<2>) -> Gates<G> {
        let [rows, columns] = weight.dims();
        let units = columns / G;
        let gate = |gate: usize, rows: std::ops::Range<usize>| {
            weight.clone().slice([rows, gate * units..(gate + 1) * units])
        };
        Gates {
            input: std::array::from_fn(|index| gate(index, 0..rows - units)),
            hidden: std::array::from_fn(|index| gate(index, rows - units..rows)),
        }
    }

    /// A sequence, a weight for [`cut`], a bias, and a mask without a gradient, for a layer of `gates` gates.
    pub(super) fn samples(
        steps: usize,
        batch: usize,
        inputs: usize,
        units: usize,
        gates: usize,
    ) -> Vec<Sample> {
        vec![
            random(&[steps, batch, inputs], 1),
            random(&[inputs + units, gates * units], 2),
            random(&[gates * units], 3),
            random(&[steps, batch], 4).map(|value| if value > -0.5 { 1.0 } else { 0.0 }).untracked(),
        ]
    }
}
