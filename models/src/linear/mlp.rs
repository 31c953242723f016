//! Multi-layer perceptron on table rows, with an embedding for each categorical column.
//!
//! Axes: `B` rows, `N` numeric columns, `M` categorical columns, `D` hidden width, `O` outputs (classes or
//! values). Embeddings of categories follow Guo and Berkhahn, "Entity embeddings of categorical variables",
//! 2016.

use super::affine::{rows_of, starts};
use super::check_columns;
use crate::activation::Activation;
use crate::architecture::Architecture;
use crate::check;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Output, Table, Target, Task};
use bonfire_kernels::Activation::Identity;
use bonfire_kernels::like;
use bonfire_kernels::modules::{batch_norm, dropout, layer_norm, linear};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm,
    LayerNormConfig, Linear, LinearConfig,
};
use burn::tensor::{Device, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

/// The number that layer norms add to the variance.
const EPSILON: f64 = 1e-5;

const MODEL: &str = "mlp";

/// The norm of a hidden layer, before its activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Nothing.
    #[default]
    None,
    /// Each feature over the batch (Ioffe and Szegedy 2015).
    Batch,
    /// Each row over its features (Ba et al. 2016).
    Layer,
}

/// Sizes of an [`Mlp`].
#[derive(Config, Debug, PartialEq)]
pub struct MlpConfig {
    /// Numeric columns `N`.
    pub num_numeric: usize,
    /// The number of categories of each categorical column, the unknown one (0) included.
    pub category_sizes: Vec<usize>,
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Widths of the hidden layers, first to last; none makes the model linear.
    #[config(default = "vec![128, 128]")]
    pub hidden: Vec<usize>,
    /// Numbers that stand for a category of one column.
    #[config(default = 8)]
    pub embedding: usize,
    /// The share of each hidden layer's outputs that is dropped in training, in `[0, 1)`.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// The non-linearity after each hidden layer.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// The norm of each hidden layer, before its activation.
    #[config(default = "Norm::None")]
    pub norm: Norm,
}

impl Architecture for MlpConfig {
    type Model = Mlp;

    const DATA_KEYS: &'static [&'static str] = &["num_numeric", "category_sizes", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        let (num_numeric, category_sizes) = spec.table()?;
        Ok(Self::new(num_numeric, category_sizes, spec.objective()?))
    }

    /// Refuses sizes that no perceptron can have.
    ///
    /// # Errors
    /// When there is no column, a width is zero, the dropout is outside `[0, 1)`, or the objective is
    /// impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_columns(MODEL, self.num_numeric, &self.category_sizes)?;
        self.objective.check(MODEL)?;
        check::sizes(MODEL, "hidden", &self.hidden)?;
        let usable = self.embedding > 0 || self.category_sizes.is_empty();
        ConfigError::check(usable, MODEL, "embedding", "at least 1", self.embedding)?;
        check::optional_size(MODEL, "embedding", self.embedding)?;
        check::dropout(MODEL, self.dropout)
    }

    /// The model with weights drawn from the device's generator: uniform of variance `1 / (3 fan_in)` as
    /// PyTorch's linear layers, normal of deviation 0.1 for embeddings.
    fn init(&self, device: &Device) -> Mlp {
        let categories: usize = self.category_sizes.iter().sum();
        let embedding = (categories > 0).then(|| {
            let initializer = Initializer::Normal { mean: 0.0, std: 0.1 };
            EmbeddingConfig::new(categories, self.embedding).with_initializer(initializer).init(device)
        });
        let inputs = self.num_numeric + self.category_sizes.len() * self.embedding;
        let widths = [&[inputs], self.hidden.as_slice()].concat();
        let hidden = widths.windows(2).map(|pair| Hidden::new(pair[0], pair[1], self, device)).collect();
        Mlp {
            embedding,
            hidden,
            head: LinearConfig::new(widths[widths.len() - 1], self.objective.head()).init(device),
            starts: starts(&self.category_sizes),
            objective: self.objective.clone(),
        }
    }
}

/// A hidden layer: linear, norm, activation, dropout.
#[derive(Module, Debug)]
struct Hidden {
    /// `[D_in, D]`, and a bias `[D]`
    linear: Linear,
    /// `[D]` twice
    batch_norm: Option<BatchNorm>,
    /// `[D]` twice
    layer_norm: Option<LayerNorm>,
    #[module(skip)]
    activation: Activation,
    dropout: Dropout,
}

impl Hidden {
    fn new(inputs: usize, width: usize, config: &MlpConfig, device: &Device) -> Self {
        Hidden {
            linear: LinearConfig::new(inputs, width).init(device),
            batch_norm: (config.norm == Norm::Batch).then(|| BatchNormConfig::new(width).init(device)),
            layer_norm: (config.norm == Norm::Layer)
                .then(|| LayerNormConfig::new(width).with_epsilon(EPSILON).init(device)),
            activation: config.activation,
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let x = match (&self.batch_norm, &self.layer_norm) {
            (Some(norm), _) => {
                batch_norm(norm, linear(&self.linear, input, Identity), None, self.activation.fused())
            }
            (None, Some(norm)) => {
                let sums = linear(&self.linear, input, Identity);
                self.activation.forward(layer_norm(norm, sums, EPSILON))
            }
            (None, None) => linear(&self.linear, input, self.activation.fused()),
        }; // [B, D]
        dropout(&self.dropout, x)
    }
}

/// Hidden layers between a table's columns and a head.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[sum of the category sizes, embedding]`, the columns' categories one after the other.
    embedding: Option<Embedding>,
    hidden: Vec<Hidden>,
    /// `[D, O]`, and a bias `[O]`
    head: Linear,
    /// The first row of each categorical column in the embedding.
    #[module(skip)]
    starts: Vec<usize>,
    #[module(skip)]
    objective: Objective,
}

impl Mlp {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: numeric `[B, N]`, categories `[B, M]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Table) -> Tensor<2> {
        let [batch, _] = input.numeric.dims();
        let columns = self.starts.len();
        assert_shape!(input.categories, [batch, columns]);
        let mut x = input.numeric; // [B, N]
        if let Some(embedding) = &self.embedding {
            let rows = rows_of(input.categories, &self.starts); // [B * M]
            let rows = rows.reshape([batch, columns]);
            let vectors = bonfire_kernels::embedding(embedding.weight.val(), rows); // [B, M, E]
            x = Tensor::cat(vec![like(x, &vectors), vectors.flatten(1, 2)], 1); // [B, N + M * E]
        }
        for layer in &self.hidden {
            x = layer.forward(x); // [B, D]
        }
        linear(&self.head, x, Identity) // [B, O]
    }
}

impl Task for Mlp {
    type Input = Table;

    fn predict(&self, input: Table) -> Output {
        self.objective.output(self.forward(input))
    }

    /// Nats for classes, the objective's error for values.
    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(categories: [[i64; 2]; 2], device: &Device) -> Table {
        Table {
            numeric: Tensor::from_data([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]], device),
            categories: Tensor::from_data(categories, device),
        }
    }

    fn config() -> MlpConfig {
        MlpConfig::new(3, vec![4, 3], Objective::classes(3)).with_hidden(vec![6, 5])
    }

    #[test]
    fn a_category_of_one_column_is_not_the_same_number_of_another() {
        let device = Device::flex();
        device.seed(3);
        let model = config().init(&device);
        let rows = |categories| model.forward(table(categories, &device)).into_data();
        assert_ne!(rows([[1, 2], [0, 0]]), rows([[2, 1], [0, 0]]));
        assert_ne!(rows([[1, 1], [0, 0]]), rows([[1, 2], [0, 0]]));
    }

    #[test]
    fn dropout_and_batch_statistics_are_for_training_alone() {
        let device = Device::flex();
        device.seed(5);
        let config = config().with_dropout(0.5).with_norm(Norm::Batch);
        let model = config.init(&device.clone().autodiff());
        let training = || model.forward(table([[1, 2], [0, 1]], &device.clone().autodiff())).into_data();
        assert_ne!(training(), training());
        let valid = model.valid();
        let predicted = || valid.forward(table([[1, 2], [0, 1]], &device)).into_data();
        assert_eq!(predicted(), predicted());
    }

    #[test]
    fn without_hidden_layers_or_numeric_columns() {
        let device = Device::flex();
        let config = MlpConfig::new(0, vec![4, 3], Objective::values(2)).with_hidden(vec![]);
        config.check().unwrap();
        let mut input = table([[1, 2], [3, 0]], &device);
        input.numeric = Tensor::zeros([2, 0], &device);
        assert_eq!(config.init(&device).forward(input).dims(), [2, 2]);
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: MlpConfig| config.check().unwrap_err().field;
        assert_eq!(field(MlpConfig::new(0, vec![], Objective::classes(2))), "num_numeric");
        assert_eq!(field(MlpConfig::new(0, vec![0], Objective::classes(2))), "category_sizes");
        assert_eq!(field(config().with_hidden(vec![8, 0])), "hidden");
        assert_eq!(field(config().with_embedding(0)), "embedding");
        assert_eq!(field(config().with_dropout(1.0)), "dropout");
        assert_eq!(field(config().with_dropout(f64::NAN)), "dropout");
        config().check().unwrap();
    }
}
