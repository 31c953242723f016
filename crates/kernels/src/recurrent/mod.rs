//! Recurrent layers: one op for a whole sequence, with its own backward pass through time.
//!
//! Axes: `T` steps, `B` rows of the batch, `I` inputs, `D` units. Rows of a batch do not meet, so each thread walks
//! through all steps with rows of its own and waits for nobody; only the gradients of the weights join what the threads
//! left. A step multiplies its rows of input and state with weights that were packed once for the whole sequence, and
//! turns the sums into gates and states while they are in registers.

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

use burn::tensor::Tensor;

fn check_mask(x: &Tensor<3>, mask: &Option<Tensor<2>>) {
    let [steps, batch, _] = x.dims();
    if let Some(mask) = mask {
        assert_eq!(mask.dims(), [steps, batch], "the mask of a sequence of {:?}", x.dims());
    }
}

/// Units of a weight `[I + D, gates D]`.
///
/// # Panics
/// When the weight does not fit the input.
fn units(x: &Tensor<3>, weight: &Tensor<2>, gates: usize) -> usize {
    let ([_, _, inputs], [rows, columns]) = (x.dims(), weight.dims());
    let units = columns / gates;
    assert_eq!(
        [rows, columns],
        [inputs + units, gates * units],
        "a weight of [I + D, {gates} D] was expected for a sequence of {:?}",
        x.dims()
    );
    units
}

#[cfg(test)]
mod tests {
    use crate::testing::{Sample, random};

    /// A sequence, a joined weight, a bias and a mask without a gradient, for a layer of `gates` gates.
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
