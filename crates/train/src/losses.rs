//! Training losses between the pieces that have them and the records that report them.

use crate::keep::State;
use burn::tensor::{DType, Tensor};

/// The mean loss of a piece.
#[allow(clippy::large_enum_variant)] // a few at a time
pub(crate) enum Loss {
    /// Still on the device, `[1]`: reading it waits for the device.
    OnDevice(Tensor<1>),
    Known(f64),
}

/// The losses of pieces that are not yet part of the state.
pub(crate) struct Losses {
    /// Each with its samples.
    pending: Vec<(Loss, u64)>,
    /// Steps between readings.
    read_every: u64,
    /// The loss that was read last; not a number before the first.
    pub(crate) last: f64,
}

impl Losses {
    pub(crate) fn new(read_every: u64) -> Self {
        Losses { pending: Vec::new(), read_every, last: f64::NAN }
    }

    /// Adds the mean loss of a piece.
    pub(crate) fn add(&mut self, loss: Loss, samples: u64) {
        self.pending.push((loss, samples));
    }

    /// The number of pending losses.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Leaves out the pending losses after the first `kept`.
    pub(crate) fn forget(&mut self, kept: usize) {
        self.pending.truncate(kept);
    }

    /// True where losses are read after `step` steps, though nothing asks for them.
    pub(crate) fn are_read_after(&self, step: u64) -> bool {
        step.is_multiple_of(self.read_every)
    }

    /// Moves the pending losses into the state.
    ///
    /// # Errors
    /// The first loss that is no finite number.
    pub(crate) fn read_into(&mut self, state: &mut State) -> Result<(), f64> {
        for (loss, samples) in std::mem::take(&mut self.pending) {
            let loss = match loss {
                Loss::OnDevice(loss) => number(loss),
                Loss::Known(loss) => loss,
            };
            if !loss.is_finite() {
                return Err(loss);
            }
            state.window_loss += loss * samples as f64;
            state.window_samples += samples;
            self.last = loss;
        }
        Ok(())
    }
}

/// The number in a tensor of one, once the device has it.
pub(crate) fn number(tensor: Tensor<1>) -> f64 {
    tensor.into_data_dtype(DType::F64).as_slice::<f64>().expect("the type asked for")[0]
}
