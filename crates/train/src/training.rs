//! Training under way: what its steps and their pieces share.

use crate::costs::Stopwatch;
use crate::evaluate::Pass;
use crate::exchange::Exchange;
use crate::feed::Feed;
use crate::fitting::Fitting;
use crate::least_squares::LeastSquares;
use crate::plan::Plan;
use crate::ranks::Ranks;
use crate::session::Session;
use crate::{FitConfig, Parameter, TrainError};
use bonfire_checkpoint::{RunFolder, Weights};
use bonfire_contract::{Loader, Task};
use bonfire_kernels::{Together, threads};
use burn::optim::GradientsParams;
use burn::tensor::Device;

/// Training under way.
pub(crate) struct Steps<'a, M: Task> {
    pub(crate) config: &'a FitConfig,
    pub(crate) plan: Plan,
    /// Where this process writes.
    pub(crate) run: Option<&'a RunFolder>,
    /// Whether this process, or rank 0 of its job, writes.
    pub(crate) keeps: bool,
    pub(crate) pass: Pass<'a>,
    pub(crate) valid: Option<&'a dyn Loader<M::Input>>,
    pub(crate) table: &'a [Parameter],
    pub(crate) feed: Feed<'a, M::Input>,
    pub(crate) session: Session<'a>,
    pub(crate) progress: Fitting<M>,
    /// Those of the best evaluation, where they are selected and no checkpoint keeps them.
    pub(crate) best_weights: Option<Weights>,
    /// Whether this epoch had a step; unknown, so granted, where a checkpoint stands within one.
    pub(crate) stepped: bool,
    pub(crate) stopwatch: Stopwatch,
    /// Whether the costs of a step are told.
    pub(crate) told: bool,
    pub(crate) ranks: Ranks,
    /// What several ranks exchange at each step; nothing where there is one.
    pub(crate) exchange: Option<Exchange>,
    /// The mean gradient of the open step, where its last piece has brought it.
    pub(crate) mean: Option<GradientsParams>,
    /// The running statistics before the pieces of the open step.
    pub(crate) statistics: GradientsParams,
    /// The sums of least squares, where those are what is solved.
    pub(crate) least_squares: Option<LeastSquares>,
    /// By which batch norm measures the batches of all ranks, where it does.
    pub(crate) together: Option<Together>,
}

/// Why the gradient of a step has no further piece.
pub(crate) enum Pieces {
    /// It has all its samples.
    Whole,
    /// The epoch has no more, whether the step is whole or not.
    EpochEnded,
    /// A signal came.
    Interrupted(i32),
    /// A piece could not be read; the step is undone.
    Failed(TrainError),
}

/// Runs the work on a thread of the kernels' pool where that computes for the device, so that the pool is woken once
/// and not at every op. Elsewhere it stays on the caller's thread, to which a device may bind its queue. Not for a
/// model's forward pass: Burn keeps running statistics apart by thread, and the pool's threads take turns.
pub(crate) fn beside_the_kernels<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    // A pool of one thread would only take turns with the caller.
    match bonfire_kernels::serve(device) && threads::count() > 1 {
        true => threads::inside(work),
        false => work(),
    }
}
