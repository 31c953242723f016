//! The forward and the backward pass of one piece, in the numbers of `train.precision`.

use super::precision::{narrowed, widened};
use crate::{Precision, TrainConfig, TrainError};
use bonfire_contract::{Batch, Task};
use bonfire_kernels::Arrivals;
use bonfire_kernels::checkpoint::{self, Checkpoints};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor, TensorData};

/// A piece between its forward and its backward pass.
pub(crate) struct Forward<M> {
    /// The mean loss over the piece's samples, `[1]`.
    loss: Tensor<1>,
    /// The inputs of blocks that compute again in the backward pass.
    checkpoints: Checkpoints,
    /// The narrow copy of the model that computed the loss, where the model itself did not.
    copy: Option<M>,
    /// Hands over gradients as the backward pass finds them.
    arrivals: Option<Arrivals>,
}

impl<M: Task> Forward<M> {
    /// Computes the loss of a piece. Random numbers follow from `seed`. `watch` asks for gradients as they
    /// come, which some settings cannot give.
    pub(crate) fn new(
        model: &M,
        piece: Batch<M::Input>,
        config: &TrainConfig,
        seed: u64,
        watch: bool,
    ) -> Self {
        let copy = (config.precision == Precision::Bf16).then(|| narrowed(model, FloatDType::BF16));
        // Gradients of a copy are to be widened first, and those of a block that runs again come in pieces.
        let watch = watch && copy.is_none() && !config.gradient_checkpointing;
        let model = copy.as_ref().unwrap_or(model);
        let run = || model.loss(piece.input, piece.target);
        let run = || checkpoint::forward(seed, config.gradient_checkpointing, run);
        let ((loss, checkpoints), arrivals) = if watch {
            let (passed, arrivals) = Arrivals::count(model, run);
            (passed, Some(arrivals))
        } else {
            (run(), None)
        };
        Forward { loss, checkpoints, copy, arrivals }
    }

    /// True where the backward pass hands over gradients as it finds them.
    pub(crate) fn is_watched(&self) -> bool {
        self.arrivals.is_some()
    }

    /// The loss, off the graph.
    pub(crate) fn loss(&self) -> Tensor<1> {
        self.loss.clone().inner()
    }

    /// Refuses checkpointing of a model in which it changes nothing.
    ///
    /// # Errors
    /// When no block of the model kept its input alone.
    pub(crate) fn check(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let idle = config.gradient_checkpointing && self.checkpoints.blocks() == 0;
        let expected = "false for a model without blocks that learn, where it would save nothing";
        crate::check::check("train.gradient_checkpointing", expected, true, !idle)
    }

    /// The gradient of each parameter of the model, in f32. Where gradients are watched, `early` gets those
    /// that are known before the end of the backward pass, by their places in the table of parameters; they
    /// are not in the result.
    pub(crate) fn backward(self, model: &M, early: &mut dyn FnMut(usize, TensorData)) -> GradientsParams {
        let Forward { loss, checkpoints, copy, arrivals } = self;
        let work = || match copy {
            None => checkpoints.backward(loss, model),
            Some(copy) => widened(checkpoints.backward(loss, &copy), &copy),
        };
        match arrivals {
            Some(arrivals) => arrivals.watch(early, work),
            None => work(),
        }
    }
}
