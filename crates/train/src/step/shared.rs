//! The gradient step of several ranks: each computes its share of every piece, and all update by the same
//! mean gradient.

use super::exchange::{Contribution, Exchange};
use super::statistics::{statistics, with_statistics};
use super::{GradientStep, Piece, Step, Updated, on_kernel_threads};
use crate::TrainError;
use crate::costs::Costs;
use crate::keep::OpenStep;
use crate::learner::{Accumulated, Forward, Learner};
use crate::losses::{Loss, number};
use crate::ranks::{Ranks, Report};
use bonfire_contract::{Batch, Task};
use bonfire_kernels::SumOverRanks;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Wraps the gradient step of one process.
pub(crate) struct SharedGradient<'a, M> {
    inner: GradientStep<'a>,
    ranks: Ranks,
    exchange: Exchange,
    /// Measures batch norm over all ranks, where `train.sync_batch_norm` asks for it.
    sync_norm: Option<SumOverRanks>,
    /// The same for the piece under way; absent where a rank has no sample of it.
    norm: Option<SumOverRanks>,
    /// The mean loss of this rank's share of the piece under way, `[1]`, and its samples.
    piece: Option<(Tensor<1>, u64)>,
    /// The last piece of the step and its samples, whose backward pass runs while gradients are exchanged.
    open: Option<(Forward<M>, u64)>,
    /// The mean gradient of the open step, once it is exchanged.
    mean: Option<GradientsParams>,
}

impl<'a, M: Task> SharedGradient<'a, M> {
    pub(crate) fn new(inner: GradientStep<'a>, ranks: Ranks, sync_batch_norm: bool) -> Self {
        let sync_norm = sync_batch_norm.then(|| {
            let ranks = ranks.clone();
            SumOverRanks::new(move |numbers| ranks.communicator().sum(numbers))
        });
        let exchange = Exchange::new(inner.table, ranks.wire(), ranks.count());
        SharedGradient { inner, ranks, exchange, sync_norm, norm: None, piece: None, open: None, mean: None }
    }

    /// Exchanges the gradient of the open step, over all its samples, while the backward pass of its last
    /// piece goes on; and the reports of the ranks with it. Each rank has normalised by its own part of the
    /// batch: all go on with the mean of their running statistics, weighted by samples, and so with the same
    /// model.
    fn exchange(&mut self, learner: &mut Learner<M>, own: Report) -> Report {
        let (open, norm) = (self.open.take(), self.norm.take());
        let SharedGradient { inner, ranks, exchange, .. } = self;
        let more = open.as_ref().map(|(_, samples)| *samples);
        let contribution = Contribution {
            weight: learner.gradient.weight(more),
            samples: learner.gradient.samples + more.unwrap_or(0),
            report: own,
        };
        let device = inner.device.clone().without_autodiff();
        let table = inner.table;
        let statistics = statistics(&learner.model, table);
        let (mut mean, common) = on_kernel_threads(inner.device, || {
            exchange.mean(ranks, table, contribution, &device, |packing| {
                packing.rest(statistics);
                if let Some((forward, samples)) = open {
                    SumOverRanks::within(norm.as_ref(), || {
                        learner.add_gradient(forward, samples, table, &mut |at, gradient| {
                            packing.early(at, gradient);
                        });
                    });
                }
                packing.rest(std::mem::take(&mut learner.gradient).gradient);
            })
        });
        learner.model = with_statistics(learner.model.clone(), table, &mut mean);
        self.mean = Some(mean);
        common
    }

    /// The mean gradient of the open step, which is exchanged by then.
    fn take_mean(&mut self, learner: &mut Learner<M>) -> GradientsParams {
        if self.mean.is_none() {
            self.exchange(learner, Report::default());
        }
        self.mean.take().expect("it is exchanged")
    }
}

impl<M: Task> Step<M> for SharedGradient<'_, M> {
    fn begin(&mut self, learner: &Learner<M>) {
        self.mean = None;
        self.inner.begin(learner);
    }

    fn take(
        &mut self,
        learner: &mut Learner<M>,
        share: Option<Batch<M::Input>>,
        piece: Piece,
    ) -> Result<Option<Costs>, TrainError> {
        // A rank without samples comes to no batch norm, for which the others would wait.
        let all_have_samples = |ranks: &Ranks| ranks.count_where(share.is_some()) == ranks.count();
        self.norm = self.sync_norm.clone().filter(|_| all_have_samples(&self.ranks));
        let Some(share) = share else { return Ok(None) };
        let samples = share.samples.len() as u64;
        // Watched in the last piece, after which gradients are exchanged.
        let (forward, costs) = SumOverRanks::within(self.norm.as_ref(), || {
            self.inner.forward(&learner.model, share, piece, piece.last)
        })?;
        self.piece = Some((forward.loss(), samples));
        if forward.is_watched() {
            self.open = Some((forward, samples));
        } else {
            self.inner.backward(learner, forward, samples, self.norm.as_ref());
        }
        Ok(costs)
    }

    fn end_piece(&mut self, learner: &mut Learner<M>, own: Report, piece: Piece) -> (Report, Option<Loss>) {
        let own = match self.piece.take() {
            None => own,
            Some((loss, samples)) => Report { samples, loss: number(loss) * samples as f64, ..own },
        };
        let common = if piece.last { self.exchange(learner, own) } else { self.ranks.common_report(own) };
        let loss = (common.samples > 0).then(|| Loss::Known(common.loss / common.samples as f64));
        (common, loss)
    }

    fn is_closed(&self) -> bool {
        self.mean.is_some()
    }

    fn update(&mut self, mut learner: Learner<M>, open: OpenStep) -> Updated<M> {
        let mean = self.take_mean(&mut learner);
        self.inner.apply(learner, Some(mean), open.number, Some(&self.ranks))
    }

    /// Leaves the mean gradient of the open step to rank 0, which saves it.
    fn pause(&mut self, learner: &mut Learner<M>, open: OpenStep) -> bool {
        if open.pieces > 0 {
            let mean = self.take_mean(learner);
            if self.ranks.is_first() {
                learner.gradient = Accumulated::of_all(mean, open.pieces, open.samples, self.inner.table);
            }
        }
        true
    }

    fn undo(&mut self, learner: &mut Learner<M>) {
        self.inner.undo(learner);
    }
}
