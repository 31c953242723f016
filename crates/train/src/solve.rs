//! The step of least squares, in place of the optimizer's.

use crate::TrainError;
use crate::least_squares::LeastSquares;
use crate::training::Steps;
use bonfire_contract::{Batch, Target, Task};
use burn::tensor::Tensor;

impl<M: Task> Steps<'_, M> {
    /// Sets the weights of the least squared error over all ranks' samples.
    pub(crate) fn solve(&mut self, samples: u64, epoch_ended: bool) -> Result<(), TrainError> {
        let mut least_squares = self.least_squares.take().expect("the solver that was asked for");
        let sizes = self.ranks.gather(&least_squares.sizes()).into_iter().max().expect("a rank");
        self.ranks.communicator().sum(least_squares.sums(sizes));
        let device = self.pass.device.clone().without_autodiff();
        let (weights, error) = least_squares.solve(self.config.train.ridge, samples, &device);
        self.progress.model = self.progress.model.clone().with_weights(Tensor::from_inner(weights));
        // What the weights leave, not what the first ones did.
        self.session.forget_losses(0);
        self.session.add_known_loss(error, samples);
        self.session.check_losses()?;
        (self.session.state.pieces, self.session.state.piece_samples) = (0, 0);
        self.least_squares = Some(LeastSquares::default());
        if epoch_ended {
            self.next_epoch();
        }
        self.step_done(samples, 1.0)
    }

    /// Adds a piece to the sums: the mean square of its values, `[1]`, and its samples.
    pub(crate) fn add_to_least_squares(
        &mut self,
        batch: Batch<M::Input>,
    ) -> Result<(Tensor<1>, u64), TrainError> {
        let samples = batch.samples.len() as u64;
        match (self.progress.model.regressors(batch.input), batch.target, &mut self.least_squares) {
            (Some(regressors), Target::Values(values), Some(sums)) => {
                let (regressors, values) = (off_graph(regressors), off_graph(values));
                sums.add(regressors, values.clone())?;
                Ok(((values.clone() * values).mean(), samples))
            }
            _ => {
                let expected = "\"gradient\" for all but a linear regression of the squared error";
                Err(TrainError::config("train.solver", expected, "\"least_squares\""))
            }
        }
    }
}

fn off_graph<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}
