//! One step: the pieces of a batch are taken in one by one, then the weights are updated by all of them.
//!
//! ```text
//! begin -> take, end_piece -> take, end_piece -> … -> update
//!                                             \-> undo     a piece cannot be read
//!                                             \-> pause    a signal came: a checkpoint within the step
//! ```
//!
//! A new way to find an update is a file with a [`Step`], and a line where [`start`](crate::start) chooses
//! it.

mod clip;
mod exchange;
mod gradient;
mod least_squares;
mod normal_equations;
mod packing;
mod shared;
mod statistics;

pub(crate) use gradient::GradientStep;
pub(crate) use least_squares::{LeastSquaresStep, no_least_squares};
pub(crate) use shared::SharedGradient;

#[cfg(test)]
pub(crate) use gradient::mix;

use crate::TrainError;
use crate::costs::Costs;
use crate::keep::OpenStep;
use crate::learner::Learner;
use crate::losses::Loss;
use crate::ranks::Report;
use bonfire_contract::{Batch, Position, Task};
use bonfire_kernels::threads;
use burn::tensor::Device;

/// A way to find the update of a step. It keeps all that the pieces of an open step come to, but for the
/// gradient, which is the learner's.
pub(crate) trait Step<M: Task> {
    /// Called before the first piece of a step, or before the first that follows an interruption.
    fn begin(&mut self, learner: &Learner<M>);

    /// Takes in this rank's share of a piece. The share is absent where it has no sample or cannot be read.
    /// Every rank calls it for every piece. The costs of the process's first forward pass come back.
    ///
    /// # Errors
    /// When the share does not fit the solver, or a setting does not fit the model.
    fn take(
        &mut self,
        learner: &mut Learner<M>,
        share: Option<Batch<M::Input>>,
        piece: Piece,
    ) -> Result<Option<Costs>, TrainError>;

    /// Ends a piece with this rank's own report: the common report of all ranks, and the loss of the whole
    /// piece where there is one.
    fn end_piece(&mut self, learner: &mut Learner<M>, own: Report, piece: Piece) -> (Report, Option<Loss>);

    /// True where the step takes no further piece, whatever is left of its samples.
    fn is_closed(&self) -> bool {
        false
    }

    /// Updates the weights by all pieces of the step.
    fn update(&mut self, learner: Learner<M>, open: OpenStep) -> Updated<M>;

    /// Leaves in the learner all that a checkpoint within the step needs. False where no checkpoint can hold
    /// an open step, which is then to be undone.
    fn pause(&mut self, learner: &mut Learner<M>, open: OpenStep) -> bool;

    /// Puts the learner back to where it was before the pieces of the open step.
    fn undo(&mut self, learner: &mut Learner<M>);
}

/// One piece of a step: as many samples as all ranks compute at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// Samples of all ranks together.
    pub(crate) samples: u64,
    /// Its start in the data.
    pub(crate) start: Position,
    /// The step that it is of, from 0.
    pub(crate) step: u64,
    /// Its number within the step, from 0; pieces without a sample are not counted.
    pub(crate) number: u64,
    /// True for the last piece of the step.
    pub(crate) last: bool,
}

/// An update that was made.
pub(crate) struct Updated<M> {
    pub(crate) learner: Learner<M>,
    /// The learning rate.
    pub(crate) rate: f64,
    /// The loss that the new weights have on the step's samples, where the solver tells it in place of the
    /// pieces' losses.
    pub(crate) loss: Option<f64>,
}

/// Runs `work` on a thread of the kernels' pool where the kernels compute for the device, so that the pool is
/// woken once and not at every op. Elsewhere it stays on the caller's thread, to which a device may bind its
/// queue. A model's forward pass must not run there: Burn keeps running statistics apart by thread, and the
/// pool's threads take turns.
pub(crate) fn on_kernel_threads<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    // A pool of one thread would only take turns with the caller.
    if bonfire_kernels::serve(device) && threads::count() > 1 { threads::inside(work) } else { work() }
}
