//! The gradient step: forward and backward passes piece by piece, then the optimizer's update.

use super::clip::{clip_norm, clip_value};
use super::statistics::{statistics, with_statistics};
use super::{Piece, Step, Updated, on_kernel_threads};
use crate::costs::{Costs, measured};
use crate::keep::OpenStep;
use crate::learner::{Accumulated, Forward, Learner};
use crate::length::Length;
use crate::losses::Loss;
use crate::ranks::{Ranks, Report};
use crate::{FitConfig, Parameter, TrainError};
use bonfire_contract::{Batch, Share, SplitMix64, Task};
use bonfire_kernels::{Draws, SumOverRanks, multiply_adds};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

/// The gradient step of one process. [`SharedGradient`](crate::ranks::SharedGradient) wraps it where several
/// train.
pub(crate) struct GradientStep<'a> {
    config: &'a FitConfig,
    length: Length,
    pub(crate) table: &'a [Parameter],
    /// A device with autodiff.
    pub(crate) device: &'a Device,
    share: Share,
    /// True once the costs of a forward pass are measured.
    measured: bool,
    /// The running statistics before the pieces of the open step.
    statistics: GradientsParams,
    /// The mean loss of the piece under way, `[1]`, and its samples.
    piece: Option<(Tensor<1>, u64)>,
}

impl<'a> GradientStep<'a> {
    pub(crate) fn new(
        config: &'a FitConfig,
        length: Length,
        table: &'a [Parameter],
        device: &'a Device,
        share: Share,
    ) -> Self {
        let statistics = GradientsParams::new();
        GradientStep { config, length, table, device, share, measured: false, statistics, piece: None }
    }

    /// The forward pass of a share; and the costs of the first one. `watch` asks for gradients as they come.
    pub(crate) fn forward<M: Task>(
        &mut self,
        model: &M,
        share: Batch<M::Input>,
        piece: Piece,
        watch: bool,
    ) -> Result<(Forward<M>, Option<Costs>), TrainError> {
        // The kernels' dropout is a function of the step and of a sample's place in its batch, whatever the
        // ranks and pieces; elsewhere each rank draws anew for each piece.
        let seed = mix(self.config.seed, piece.step, piece.number * self.share.ranks + self.share.rank);
        self.device.seed(seed);
        let start = piece.start.samples;
        let ahead = self.share.of(start..u64::MAX).next().unwrap_or(start) - start;
        let draws = Draws {
            seed: mix(self.config.seed, piece.step, u64::MAX),
            first: start % self.length.step + ahead,
            step: self.share.ranks,
        };
        let watch = watch && bonfire_kernels::serve(self.device);
        let samples = share.samples.len() as u64;
        // While a second handle is held, the batch is not among what the forward pass frees.
        let held = (!self.measured).then(|| share.clone());
        let forward = || draws.within(|| Forward::new(model, share, &self.config.train, seed, watch));
        if held.is_none() {
            return Ok((forward(), None));
        }
        let ((forward, multiply_adds), bytes) = measured(self.device, || multiply_adds(forward));
        forward.check(&self.config.train)?;
        self.measured = true;
        Ok((forward, Some(Costs::new(self.table, samples, multiply_adds, bytes))))
    }

    /// Adds the gradient of a forward pass over `samples`. Batch norm measures over all ranks by `norm`.
    pub(crate) fn backward<M: Task>(
        &self,
        learner: &mut Learner<M>,
        forward: Forward<M>,
        samples: u64,
        norm: Option<&SumOverRanks>,
    ) {
        on_kernel_threads(self.device, || {
            SumOverRanks::within(norm, || {
                let early = &mut |_, _| unreachable!("nothing is watched");
                learner.add_gradient(forward, samples, self.table, early);
            });
        });
    }

    /// The update by `mean`, the gradient of all ranks, or else by the learner's own gradient.
    pub(crate) fn apply<M: Task>(
        &self,
        mut learner: Learner<M>,
        mean: Option<GradientsParams>,
        step: u64,
        ranks: Option<&Ranks>,
    ) -> Updated<M> {
        let (table, train) = (self.table, &self.config.train);
        let (config, length) = (self.config, self.length);
        let peak = config.peak_rate(length.step);
        let rate = config.schedule.learning_rate(peak, step, length.total_steps);
        let learner = on_kernel_threads(self.device, move || {
            let mut gradient = mean.unwrap_or_else(|| learner.gradient.take_mean(table));
            if let Some(largest) = train.clip_value {
                clip_value(&mut gradient, table, largest);
            }
            if let Some(largest) = train.clip_norm {
                clip_norm(&mut gradient, table, largest, ranks);
            }
            learner.update(rate, gradient, step + 1)
        });
        Updated { learner, rate, loss: None }
    }
}

impl<M: Task> Step<M> for GradientStep<'_> {
    fn begin(&mut self, learner: &Learner<M>) {
        self.statistics = statistics(&learner.model, self.table);
    }

    fn take(
        &mut self,
        learner: &mut Learner<M>,
        share: Option<Batch<M::Input>>,
        piece: Piece,
    ) -> Result<Option<Costs>, TrainError> {
        let Some(share) = share else { return Ok(None) };
        let samples = share.samples.len() as u64;
        let (forward, costs) = self.forward(&learner.model, share, piece, false)?;
        self.piece = Some((forward.loss(), samples));
        self.backward(learner, forward, samples, None);
        Ok(costs)
    }

    fn end_piece(&mut self, _learner: &mut Learner<M>, own: Report, _piece: Piece) -> (Report, Option<Loss>) {
        match self.piece.take() {
            None => (own, None),
            Some((loss, samples)) => (Report { samples, ..own }, Some(Loss::OnDevice(loss))),
        }
    }

    fn update(&mut self, learner: Learner<M>, open: OpenStep) -> Updated<M> {
        self.apply(learner, None, open.number, None)
    }

    fn pause(&mut self, _learner: &mut Learner<M>, _open: OpenStep) -> bool {
        true
    }

    fn undo(&mut self, learner: &mut Learner<M>) {
        learner.gradient = Accumulated::default();
        learner.model = with_statistics(learner.model.clone(), self.table, &mut self.statistics);
    }
}

/// A seed for a piece's random numbers, as far from the next piece's as from any other.
pub(crate) fn mix(seed: u64, step: u64, piece: u64) -> u64 {
    [step, piece].into_iter().fold(seed, SplitMix64::at)
}
