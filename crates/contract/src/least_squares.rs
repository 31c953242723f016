//! The contract between linear models and the solver of least squares.

use crate::Task;
use burn::tensor::Tensor;
use std::fmt;

/// The least-squares solution of a model: two functions between its weights and a linear system.
///
/// `B` samples, `P` regressors, `O` values. The model's predictions are `regressors * weights`, with a
/// constant 1 as the first regressor. Its loss is the squared error, so that the normal equations have the
/// best weights.
pub struct LeastSquares<M: Task> {
    /// The numbers that a batch's predictions are weighted sums of, `[B, P]`.
    pub regressors: fn(&M, M::Input) -> Tensor<2>,
    /// The model with other weights of its regressors, `[P, O]`.
    pub with_weights: fn(M, Tensor<2>) -> M,
}

impl<M: Task> Clone for LeastSquares<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Task> Copy for LeastSquares<M> {}

impl<M: Task> fmt::Debug for LeastSquares<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeastSquares").finish_non_exhaustive()
    }
}
