//! Linear, logistic and softmax regression of texts: a weighted sum of the n-grams of each.
//!
//! Axes: `B` texts, `T` features of a text, `F` features in all, `O` outputs. A feature of a text is a row of the
//! weights, looked up; what a sparse matrix of texts and features would be multiplied by, without the matrix.

use crate::architecture::Architecture;
use crate::check;
use crate::objective::Objective;
use crate::sequence::weighted_sum;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{Bags, ConfigError, Output, Target, Task};
use bonfire_kernels::{embedding, like};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "linear";

/// Sizes of a [`BagRegression`].
#[derive(Config, Debug, PartialEq)]
pub struct BagRegressionConfig {
    /// Different features `F`.
    pub features: usize,
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
}

impl Architecture for BagRegressionConfig {
    type Model = BagRegression;

    const DATA_KEYS: &'static [&'static str] = &["features", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.bag()?, spec.objective()?))
    }

    /// Refuses sizes that no such model can have.
    ///
    /// # Errors
    /// When there is no feature, or the objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check::positive(MODEL, "features", self.features)?;
        self.objective.check(MODEL)
    }

    /// The model with all weights at zero: the losses are convex, and a feature that is never seen keeps a
    /// weight of exactly zero.
    fn init(&self, device: &Device) -> BagRegression {
        let outputs = self.objective.head();
        BagRegression {
            weight: Param::from_tensor(Tensor::zeros([self.features, outputs], device)),
            bias: Param::from_tensor(Tensor::zeros([outputs], device)),
            objective: self.objective.clone(),
        }
    }
}

/// A weighted sum of features for each class or value.
#[derive(Module, Debug)]
pub struct BagRegression {
    /// `[F, O]`
    weight: Param<Tensor<2>>,
    /// `[O]`
    bias: Param<Tensor<1>>,
    #[module(skip)]
    objective: Objective,
}

impl BagRegression {
    /// The numbers at the head. Features of the weight 0 change nothing.
    ///
    /// # Shapes
    /// - input: features and weights, `[B, T]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Bags) -> Tensor<2> {
        let [batch, length] = input.features.dims();
        assert_shape!(input.weights, [batch, length]);
        let rows = embedding(self.weight.val(), input.features); // [B, T, O]
        let sums = weighted_sum(rows, input.weights); // [B, O]
        let bias = like(self.bias.val().unsqueeze::<2>(), &sums); // [1, O]
        sums + bias
    }
}

impl Task for BagRegression {
    type Input = Bags;

    fn predict(&self, input: Bags) -> Output {
        self.objective.output(self.forward(input))
    }

    /// Nats for classes, the objective's error for values.
    fn loss(&self, input: Bags, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::Tolerance;

    fn bags(device: &Device) -> Bags {
        Bags {
            features: Tensor::from_data([[0, 2, 0], [3, 0, 0]], device),
            weights: Tensor::from_data([[0.6, 0.8, 0.0], [1.0, 0.0, 0.0]], device),
        }
    }

    /// The gradient is that of the dense matrix of the same texts, row by row.
    #[test]
    fn a_step_is_the_one_of_the_dense_matrix() {
        let device = Device::flex().autodiff();
        let target = || Target::Values(Tensor::from_data([[1.0], [-2.0]], &device));
        let model = BagRegressionConfig::new(5, Objective::values(1)).init(&device);
        let gradients = model.loss(bags(&device), target()).backward();
        let weight: Vec<f32> = model.weight.grad(&gradients).unwrap().into_data().iter().collect();
        // 2 / B * X^T (X w + b - y), with w and b at zero
        assert_eq!(weight, [-0.6, 0.0, -0.8, 2.0, 0.0]);
        let mut optimizer = SgdConfig::new().init();
        let model = optimizer.step(0.5, model.clone(), GradientsParams::from_grads(gradients, &model));
        let found = model.forward(bags(&device)).into_data();
        // The bias is -0.5 * (-1 + 2) = -0.5, the weights 0.3, 0.4 and -1.
        let expected = Tensor::<2>::from_data([[0.18 + 0.32 - 0.5], [-1.0 - 0.5]], &device);
        found.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn untrained_it_finds_every_class_equally_likely() {
        let device = Device::flex();
        let model = BagRegressionConfig::new(5, Objective::classes(3)).init(&device);
        let loss = model.loss(bags(&device), Target::Classes(Tensor::from_data([0, 2], &device)));
        assert!((loss.into_scalar::<f32>() - 3f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: BagRegressionConfig| config.check().unwrap_err().field;
        assert_eq!(field(BagRegressionConfig::new(0, Objective::classes(2))), "features");
        assert_eq!(field(BagRegressionConfig::new(3, Objective::classes(1))), "objective.outputs");
    }
}
