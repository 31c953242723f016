//! Linear regression: a weighted sum of a table's columns.
//!
//! Axes: `B` rows, `N` numeric columns, `M` categorical columns, `O` values. With the squared loss its
//! optimum is least squares (Legendre 1805); the absolute loss gives the median regression, Huber's a robust
//! one.

use super::affine::Affine;
use super::check_columns;
use crate::architecture::Architecture;
use crate::objective::{LossKind, Objective};
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, LeastSquares, Output, Table, Target, Task};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

const MODEL: &str = "linear";

/// Sizes of a [`LinearRegression`].
#[derive(Config, Debug, PartialEq)]
pub struct LinearRegressionConfig {
    /// Numeric columns `N`.
    pub num_numeric: usize,
    /// Values that are predicted, and the error on them.
    pub objective: Objective,
    /// The number of categories of each categorical column, the unknown one (0) included. Each category has a
    /// weight of its own, as a one-hot column would.
    #[config(default = "Vec::new()")]
    pub category_sizes: Vec<usize>,
}

impl Architecture for LinearRegressionConfig {
    type Model = LinearRegression;

    const DATA_KEYS: &'static [&'static str] = &["num_numeric", "category_sizes", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        let (num_numeric, category_sizes) = spec.table()?;
        Ok(Self::new(num_numeric, spec.values()?).with_category_sizes(category_sizes))
    }

    /// Refuses sizes that no linear regression can have.
    ///
    /// # Errors
    /// When there is no column, a categorical one is empty, or the objective is not of values.
    fn check(&self) -> Result<(), ConfigError> {
        check_columns(MODEL, self.num_numeric, &self.category_sizes)?;
        self.objective.check(MODEL)?;
        let values = !self.objective.is_classification();
        let found = format!("{:?}", self.objective.loss);
        ConfigError::check(values, MODEL, "objective.loss", "an error of values", found)
    }

    /// The model with all weights at zero.
    fn init(&self, device: &Device) -> LinearRegression {
        LinearRegression {
            affine: Affine::new(self.num_numeric, &self.category_sizes, self.objective.head(), device),
            objective: self.objective.clone(),
        }
    }

    /// The normal equations have the squared error's optimum, and no other error's.
    fn least_squares(&self) -> Option<LeastSquares<LinearRegression>> {
        (self.objective.loss == LossKind::Squared).then_some(LeastSquares {
            regressors: LinearRegression::regressors,
            with_weights: LinearRegression::with_weights,
        })
    }
}

/// A weighted sum of columns for each value.
#[derive(Module, Debug)]
pub struct LinearRegression {
    /// `[N, O]` and a bias `[O]`
    affine: Affine,
    #[module(skip)]
    objective: Objective,
}

impl LinearRegression {
    /// The predicted values.
    ///
    /// # Shapes
    /// - input: numeric `[B, N]`, categories `[B, M]`
    /// - output: `[B, O]`, in the target's standardised unit
    pub fn forward(&self, input: Table) -> Tensor<2> {
        self.affine.forward(input)
    }

    /// The numbers that the values are weighted sums of: 1, the numeric columns, and a one-hot column for
    /// each category.
    ///
    /// # Shapes
    /// - input: numeric `[B, N]`, categories `[B, M]`
    /// - output: `[B, P]`, `P = 1 + N + sum of the category sizes`
    pub fn regressors(&self, input: Table) -> Tensor<2> {
        self.affine.regressors(input)
    }

    /// The model with other weights of its [`regressors`](Self::regressors), `[P, O]`.
    pub fn with_weights(self, weights: Tensor<2>) -> Self {
        LinearRegression { affine: self.affine.with_weights(weights), ..self }
    }
}

impl Task for LinearRegression {
    type Input = Table;

    fn predict(&self, input: Table) -> Output {
        self.objective.output(self.forward(input))
    }

    /// The objective's error.
    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::{GradientsParams, SgdConfig};

    /// `y = 2 a - 3 b + 1`, plus 5 where the category is 1.
    fn rows(device: &Device) -> (Table, Target) {
        let numeric = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.5], [0.5, -1.0]];
        let values = [[1.0], [8.0], [-2.0], [5.0], [-2.5], [10.0]];
        let categories = [[2], [1], [2], [1], [2], [1]];
        let input = Table {
            numeric: Tensor::from_data(numeric, device),
            categories: Tensor::from_data(categories, device),
        };
        (input, Target::Values(Tensor::from_data(values, device)))
    }

    #[test]
    fn gradient_descent_finds_the_plane() {
        let device = Device::flex().autodiff();
        let config = LinearRegressionConfig::new(2, Objective::values(1)).with_category_sizes(vec![3]);
        config.check().unwrap();
        let mut model = config.init(&device);
        let mut optimizer = SgdConfig::new().init();
        let (input, target) = rows(&device);
        for _ in 0..1500 {
            let gradients = model.loss(input.clone(), target.clone()).backward();
            model = optimizer.step(0.2, model.clone(), GradientsParams::from_grads(gradients, &model));
        }
        assert!(model.loss(input, target).into_scalar::<f32>() < 1e-5);
        let unseen = model.affine.category_weight.as_ref().unwrap().val().into_data();
        assert_eq!(unseen.iter::<f32>().next(), Some(0.0), "an unseen category has no weight");
    }

    #[test]
    fn weights_of_the_regressors_are_the_models() {
        let device = Device::flex();
        let config = LinearRegressionConfig::new(2, Objective::values(1)).with_category_sizes(vec![3]);
        let (input, _) = rows(&device);
        let weights = Tensor::<2>::from_data([[1.0], [2.0], [-3.0], [0.5], [5.0], [0.25]], &device);
        let LeastSquares { regressors, with_weights } = config.least_squares().unwrap();
        let model = with_weights(config.init(&device), weights.clone());
        let regressors = regressors(&model, input.clone());
        assert_eq!(regressors.dims(), [6, 6]);
        let apart = (regressors.matmul(weights) - model.forward(input.clone())).abs().max();
        assert!(apart.into_scalar::<f32>() < 1e-6);
        let absolute = Objective::new(1, LossKind::Absolute);
        let other = LinearRegressionConfig { objective: absolute, ..config };
        assert!(other.least_squares().is_none());
    }

    #[test]
    fn refuses_impossible_sizes() {
        let none = LinearRegressionConfig::new(0, Objective::values(1));
        assert_eq!(none.check().unwrap_err().field, "num_numeric");
        none.with_category_sizes(vec![4]).check().unwrap();
        let empty = LinearRegressionConfig::new(1, Objective::values(1)).with_category_sizes(vec![2, 0]);
        assert_eq!(empty.check().unwrap_err().field, "category_sizes");
        let classes = LinearRegressionConfig::new(1, Objective::new(2, LossKind::CrossEntropy));
        assert_eq!(classes.check().unwrap_err().field, "objective.loss");
    }
}
