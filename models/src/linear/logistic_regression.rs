//! Logistic and softmax regression: a weighted sum of a table's columns for each class.
//!
//! Axes: `B` rows, `N` numeric columns, `M` categorical columns, `K` classes. With binary cross-entropy it is
//! the logistic regression of one logit (Cox 1958), with cross-entropy the multinomial one of `K`.

use super::affine::Affine;
use super::check_columns;
use crate::architecture::Architecture;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Output, Table, Target, Task};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

const MODEL: &str = "logistic";

/// Sizes of a [`LogisticRegression`].
#[derive(Config, Debug, PartialEq)]
pub struct LogisticRegressionConfig {
    /// Numeric columns `N`.
    pub num_numeric: usize,
    /// Classes that are told apart, and the loss on them.
    pub objective: Objective,
    /// The number of categories of each categorical column, the unknown one (0) included. Each category has a
    /// weight of its own, as a one-hot column would.
    #[config(default = "Vec::new()")]
    pub category_sizes: Vec<usize>,
}

impl Architecture for LogisticRegressionConfig {
    type Model = LogisticRegression;

    const DATA_KEYS: &'static [&'static str] = &["num_numeric", "category_sizes", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        let (num_numeric, category_sizes) = spec.table()?;
        Ok(Self::new(num_numeric, spec.classes()?).with_category_sizes(category_sizes))
    }

    /// Refuses sizes that no logistic regression can have.
    ///
    /// # Errors
    /// When there is no column, a categorical one is empty, or the objective is not of classes.
    fn check(&self) -> Result<(), ConfigError> {
        check_columns(MODEL, self.num_numeric, &self.category_sizes)?;
        self.objective.check(MODEL)?;
        let classes = self.objective.is_classification();
        let found = format!("{:?}", self.objective.loss);
        ConfigError::check(classes, MODEL, "objective.loss", "a cross-entropy of classes", found)
    }

    /// The model with all weights at zero: every class is equally likely.
    fn init(&self, device: &Device) -> LogisticRegression {
        LogisticRegression {
            affine: Affine::new(self.num_numeric, &self.category_sizes, self.objective.head(), device),
            objective: self.objective.clone(),
        }
    }
}

/// A weighted sum of columns for each class, or for the second of two.
#[derive(Module, Debug)]
pub struct LogisticRegression {
    /// `[N, K]` and a bias `[K]`, with one column for binary cross-entropy.
    affine: Affine,
    #[module(skip)]
    objective: Objective,
}

impl LogisticRegression {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: numeric `[B, N]`, categories `[B, M]`
    /// - output: `[B, K]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Table) -> Tensor<2> {
        self.affine.forward(input)
    }
}

impl Task for LogisticRegression {
    type Input = Table;

    fn predict(&self, input: Table) -> Output {
        self.objective.output(self.forward(input))
    }

    /// Cross-entropy, in nats.
    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(device: &Device) -> (Table, Target) {
        let input = Table {
            numeric: Tensor::from_data([[1.0, -2.0], [0.5, 4.0], [3.0, 0.0]], device),
            categories: Tensor::zeros([3, 0], device),
        };
        (input, Target::Classes(Tensor::from_data([0, 1, 1], device)))
    }

    #[test]
    fn untrained_it_finds_every_class_equally_likely() {
        let device = Device::flex();
        let (input, target) = rows(&device);
        for (objective, nats) in [(Objective::binary(), 2f32.ln()), (Objective::classes(5), 5f32.ln())] {
            let model = LogisticRegressionConfig::new(2, objective).init(&device);
            let loss = model.loss(input.clone(), target.clone()).into_scalar::<f32>();
            assert!((loss - nats).abs() < 1e-6, "{loss} is not {nats}");
        }
    }

    #[test]
    fn gradient_at_zero_is_the_classic_one() {
        let device = Device::flex().autodiff();
        let (input, target) = rows(&device);
        let model = LogisticRegressionConfig::new(2, Objective::binary()).init(&device);
        let gradients = model.loss(input, target).backward();
        let (weight, bias) = (model.affine.weight.as_ref().unwrap(), &model.affine.bias);
        let weight: Vec<f32> = weight.grad(&gradients).unwrap().into_data().iter().collect();
        let bias: f32 = bias.grad(&gradients).unwrap().into_scalar();
        // X^T (sigmoid(0) - y) / B, by hand
        let expected = [(0.5 - 0.25 - 1.5) / 3.0, (-1.0 - 2.0) / 3.0];
        for (found, expected) in weight.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert!((bias - (0.5 - 0.5 - 0.5) / 3.0).abs() < 1e-6);
    }

    #[test]
    fn refuses_impossible_sizes() {
        let values = LogisticRegressionConfig::new(2, Objective::values(1));
        assert_eq!(values.check().unwrap_err().field, "objective.loss");
        let one = LogisticRegressionConfig::new(2, Objective::classes(1));
        assert_eq!(one.check().unwrap_err().field, "objective.outputs");
        LogisticRegressionConfig::new(2, Objective::binary()).check().unwrap();
    }
}
