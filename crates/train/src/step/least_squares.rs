//! The step of least squares: one pass over the samples, and the solution of the normal equations as the
//! update.

use super::normal_equations::NormalEquations;
use super::{Piece, Step, Updated};
use crate::TrainError;
use crate::costs::Costs;
use crate::keep::OpenStep;
use crate::learner::Learner;
use crate::losses::Loss;
use crate::ranks::{Ranks, Report};
use bonfire_contract::{Batch, LeastSquares, Target, Task};
use burn::tensor::{Device, Tensor};

/// The normal equations of a model whose values are weighted sums. Nothing of them is in a checkpoint.
pub(crate) struct LeastSquaresStep<M: Task> {
    model: LeastSquares<M>,
    sums: NormalEquations,
    ridge: f64,
    /// A device without autodiff.
    device: Device,
    ranks: Ranks,
    /// Samples of this rank in the piece under way.
    samples: u64,
}

impl<M: Task> LeastSquaresStep<M> {
    pub(crate) fn new(model: LeastSquares<M>, ridge: f64, device: &Device, ranks: Ranks) -> Self {
        let (sums, device) = (NormalEquations::default(), device.clone().without_autodiff());
        LeastSquaresStep { model, sums, ridge, device, ranks, samples: 0 }
    }
}

impl<M: Task> Step<M> for LeastSquaresStep<M> {
    fn begin(&mut self, _learner: &Learner<M>) {}

    fn take(
        &mut self,
        learner: &mut Learner<M>,
        share: Option<Batch<M::Input>>,
        _piece: Piece,
    ) -> Result<Option<Costs>, TrainError> {
        let Some(share) = share else { return Ok(None) };
        let Target::Values(values) = share.target else { return Err(no_least_squares()) };
        let samples = share.samples.len() as u64;
        let regressors = (self.model.regressors)(&learner.model, share.input);
        self.sums.add(off_graph(regressors), off_graph(values))?;
        self.samples = samples;
        Ok(None)
    }

    fn end_piece(&mut self, _learner: &mut Learner<M>, own: Report, _piece: Piece) -> (Report, Option<Loss>) {
        let samples = std::mem::take(&mut self.samples);
        (self.ranks.common_report(Report { samples, ..own }), None)
    }

    /// Sets the weights of the least squared error over all ranks' samples. The learning rate is 1.
    fn update(&mut self, mut learner: Learner<M>, open: OpenStep) -> Updated<M> {
        let mut sums = std::mem::take(&mut self.sums);
        let sizes = self.ranks.gather(&sums.sizes()).into_iter().max().expect("at least this rank");
        self.ranks.communicator().sum(sums.sums(sizes));
        let (weights, error) = sums.solve(self.ridge, open.samples, &self.device);
        learner.model = (self.model.with_weights)(learner.model, Tensor::from_inner(weights));
        Updated { learner, rate: 1.0, loss: Some(error) }
    }

    fn pause(&mut self, _learner: &mut Learner<M>, _open: OpenStep) -> bool {
        false
    }

    fn undo(&mut self, _learner: &mut Learner<M>) {
        self.sums = NormalEquations::default();
    }
}

/// The error of a model or a target that least squares cannot solve.
pub(crate) fn no_least_squares() -> TrainError {
    let expected = "\"gradient\" for all but a linear regression of the squared error";
    TrainError::config("train.solver", expected, "\"least_squares\"")
}

fn off_graph<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}
