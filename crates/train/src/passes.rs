//! The forward and the backward pass of one piece: with which numbers, and what is kept between them.

use crate::precision::{narrowed, widened};
use crate::{Precision, TrainConfig, TrainError};
use bonfire_contract::{Batch, Task};
use bonfire_kernels::checkpoint::{self, Checkpoints};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};

/// A piece between its forward and its backward pass.
pub(crate) struct Forward<M> {
    /// The mean loss over the piece's samples, `[1]`.
    loss: Tensor<1>,
    checkpoints: Checkpoints,
    /// What computed it, where the model itself did not.
    copy: Option<M>,
}

impl<M: Task> Forward<M> {
    /// Computes the loss of a piece. Random numbers follow from `seed`.
    pub(crate) fn new(model: &M, piece: Batch<M::Input>, config: &TrainConfig, seed: u64) -> Self {
        let copy = (config.precision == Precision::Bf16).then(|| narrowed(model, FloatDType::BF16));
        let model = copy.as_ref().unwrap_or(model);
        let run = || model.loss(piece.input, piece.target);
        let (loss, checkpoints) = checkpoint::forward(seed, config.gradient_checkpointing, run);
        Forward { loss, checkpoints, copy }
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
        crate::config::check("train.gradient_checkpointing", expected, true, !idle)
    }

    /// The gradient for each parameter of the model, in f32.
    pub(crate) fn backward(self, model: &M) -> GradientsParams {
        match self.copy {
            None => self.checkpoints.backward(self.loss, model),
            Some(copy) => widened(self.checkpoints.backward(self.loss, &copy), &copy),
        }
    }
}
