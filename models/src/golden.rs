//! Every architecture against PyTorch: outputs, loss and all gradients on formula-filled weights and inputs.
//!
//! `golden/make.py` says how parameters and inputs are filled and wrote the files read here; the cases have
//! the same names in both. It uses PyTorch's own layers where there are any (LSTM, GRU, attention, norms,
//! losses).

mod imagenet;

use crate::{
    Activation, Architecture, CnnConfig, ConvAutoencoderConfig, DenseAutoencoderConfig, GptConfig,
    GruClassifierConfig, GruLanguageModelConfig, LeNetConfig, Likelihood, LinearRegressionConfig,
    LogisticRegressionConfig, LossKind, LstmClassifierConfig, LstmLanguageModelConfig, MlpConfig, Norm,
    Objective, OutputRange, Pooling, Positions, SmallResNetConfig, TextPooling, TransformerClassifierConfig,
    VariationalAutoencoderConfig,
};
use bonfire_contract::{Images, Output, Table, Target, Task, Tokens};
use bonfire_kernels::Prepared;
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Gradients, Int, Tensor};
use serde_json::Value;

/// The largest difference, relative to the larger of 1 % of the greatest number of a list and the number
/// itself.
const TOLERANCE: f64 = 1e-4;

/// Number `element` of filling `number`, in `[0, 1)`.
fn raw(number: usize, element: usize) -> f64 {
    ((element * 7919 + number * 104_729 + 17) % 10_007) as f64 / 10_007.0
}

/// The same, in `[-0.4, 0.4)`.
fn filled(number: usize, element: usize) -> f64 {
    (raw(number, element) - 0.5) * 0.8
}

fn tensor<const D: usize>(shape: [usize; D], value: impl Fn(usize) -> f64, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|element| value(element) as f32).collect();
    Tensor::<1>::from_data(values.as_slice(), device).reshape(shape)
}

/// Fills parameters in the order of their fields.
#[derive(Default)]
struct Filler {
    number: usize,
    path: Vec<String>,
}

impl ModuleMapper for Filler {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let number = self.number;
        self.number += 1;
        let offset = if self.path.last().is_some_and(|name| name == "running_var") { 1.0 } else { 0.0 };
        param.map(|old| tensor(old.dims(), |element| filled(number, element) + offset, &old.device()))
    }
}

/// Norm and checksum of each parameter's gradient, in the order of the fields.
struct Collector {
    gradients: Gradients,
    path: Vec<String>,
    found: Vec<[f64; 2]>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.last().is_some_and(|name| name.starts_with("running_")) {
            return;
        }
        let path = self.path.join(".");
        let gradient = param.val().grad(&self.gradients).unwrap_or_else(|| panic!("{path} has no gradient"));
        let gradient: Vec<f64> = gradient.into_data().iter().collect();
        let norm = gradient.iter().map(|value| value * value).sum::<f64>().sqrt();
        let sum = gradient.iter().enumerate().map(|(element, value)| value * filled(99, element)).sum();
        self.found.push([norm, sum]);
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().expect("the files hold numbers")],
    }
}

fn assert_near(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let greatest = expected.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = tolerance * expected.abs().max(0.01 * greatest);
        let difference = (found - expected).abs();
        assert!(difference <= allowed, "{what} {index}: expected {expected}, found {found}");
    }
}

/// Compares a case: the output (of language models, where there is text), the loss and all gradients.
fn check<M: Task>(file: &str, case: &str, init: impl Fn(&Device) -> M, input: M::Input, target: Target)
where
    M::Input: Sample,
{
    let device = Device::flex().autodiff();
    let golden: Value = serde_json::from_str(file).expect("the file is JSON");
    let golden = &golden[case];
    // frozen, so that batch norm and dropout behave as in evaluation, and then with gradients again
    let model = init(&device).map(&mut Filler::default()).freeze().set_require_grad(true);
    let evaluated = model.valid();
    let predict = || evaluated.predict(input.clone().inner());
    for (place, output) in
        [("output", predict()), ("output of prepared weights", Prepared::new().run(predict))]
    {
        let output = match output {
            Output::Logits(output) | Output::Values(output) | Output::Reconstruction { output, .. } => output,
            Output::TokenLogits(logits) => logits.flatten::<2>(0, 1).select(0, input.text()),
        };
        let output: Vec<f64> = output.into_data().iter().collect();
        assert_near(&format!("{case}: {place}"), &output, &numbers(&golden["output"]), TOLERANCE);
    }
    let loss = model.loss(input, target);
    let value = f64::from(loss.clone().into_scalar::<f32>());
    assert_near(&format!("{case}: loss"), &[value], &numbers(&golden["loss"]), TOLERANCE);
    let mut collector = Collector { gradients: loss.backward(), path: Vec::new(), found: Vec::new() };
    model.visit(&mut collector);
    let found: Vec<f64> = collector.found.into_iter().flatten().collect();
    assert_near(&format!("{case}: gradient"), &found, &numbers(&golden["gradients"]), TOLERANCE);
}

/// An input that can leave the autodiff device.
trait Sample {
    fn inner(self) -> Self;

    /// The positions that carry text, of all texts in a row.
    fn text(&self) -> Tensor<1, Int> {
        unreachable!("tokens are predicted from tokens alone")
    }
}

impl Sample for Images {
    fn inner(self) -> Self {
        Images { pixels: self.pixels.inner() }
    }
}

impl Sample for Table {
    fn inner(self) -> Self {
        Table { numeric: self.numeric.inner(), categories: self.categories.inner() }
    }
}

impl Sample for Tokens {
    fn inner(self) -> Self {
        Tokens { tokens: self.tokens.inner(), padding: self.padding.inner() }
    }

    fn text(&self) -> Tensor<1, Int> {
        let carries_text = self.padding.clone().inner().bool_not().flatten::<1>(0, 1);
        carries_text.argwhere().squeeze_dim(1)
    }
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn table(columns: usize) -> Table {
    Table {
        numeric: tensor([3, columns], |element| filled(1000, element), &device()),
        categories: Tensor::zeros([3, 0], &device()),
    }
}

fn with_categories(columns: usize) -> Table {
    Table { categories: Tensor::from_data([[1, 2], [3, 0], [0, 1]], &device()), ..table(columns) }
}

fn unit_table(columns: usize) -> Table {
    Table { numeric: tensor([3, columns], |element| raw(1000, element), &device()), ..table(columns) }
}

fn images([channels, height, width]: [usize; 3]) -> Images {
    Images { pixels: tensor([3, channels, height, width], |element| filled(1000, element), &device()) }
}

fn texts() -> Tokens {
    let padding = [[false; 5], [false, false, false, true, true]];
    Tokens {
        tokens: Tensor::from_data([[1, 4, 2, 6, 3], [5, 2, 6, 0, 0]], &device()),
        padding: Tensor::<2, Bool>::from_data(padding, &device()),
    }
}

fn classes<const N: usize>(labels: [i64; N]) -> Target {
    Target::Classes(Tensor::<1, Int>::from_data(labels, &device()))
}

fn values(columns: usize) -> Target {
    Target::Values(tensor([3, columns], |element| filled(1001, element), &device()))
}

fn next_tokens() -> Target {
    Target::NextTokens(Tensor::from_data([[4, 2, 6, 3, 1], [2, 6, 1, 0, 0]], &device()))
}

#[test]
fn linear() {
    let file = include_str!("../golden/linear.json");
    let config = LinearRegressionConfig::new(4, Objective::values(2)).with_category_sizes(vec![4, 3]);
    check(file, "linear_regression", |device| config.init(device), with_categories(4), values(2));

    let huber = Objective::new(2, LossKind::Huber).with_huber_delta(0.3);
    let config = LinearRegressionConfig::new(4, huber);
    check(file, "linear_regression_huber", |device| config.init(device), table(4), values(2));

    let config = LogisticRegressionConfig::new(4, Objective::binary());
    check(file, "logistic_regression", |device| config.init(device), table(4), classes([1, 0, 1]));

    let weights = Some(vec![0.5, 2.0, 1.5]);
    let objective = Objective::classes(3).with_label_smoothing(0.1).with_class_weights(weights);
    let config = LogisticRegressionConfig::new(4, objective);
    check(file, "softmax_regression", |device| config.init(device), table(4), classes([2, 0, 1]));

    for (case, activation, norm) in [
        ("mlp_batch_norm_gelu", Activation::Gelu, Norm::Batch),
        ("mlp_layer_norm_silu", Activation::Silu, Norm::Layer),
        ("mlp_tanh", Activation::Tanh, Norm::None),
    ] {
        let config = MlpConfig::new(3, vec![4, 3], Objective::classes(3))
            .with_hidden(vec![5, 4])
            .with_embedding(2)
            .with_dropout(0.5)
            .with_activation(activation)
            .with_norm(norm);
        check(file, case, |device| config.init(device), with_categories(3), classes([2, 0, 1]));
    }
}

#[test]
fn cnn() {
    let file = include_str!("../golden/cnn.json");
    let objective = || Objective::classes(3);
    let target = || classes([2, 0, 1]);

    let config = CnnConfig::new([2, 9, 8], objective())
        .with_widths(vec![3, 4])
        .with_convolutions_per_stage(2)
        .with_hidden(5);
    check(file, "cnn", |device| config.init(device), images([2, 9, 8]), target());

    let config = CnnConfig::new([2, 9, 8], objective())
        .with_widths(vec![3, 4])
        .with_padded(false)
        .with_batch_norm(false)
        .with_pool_every(2)
        .with_hidden(5);
    check(file, "cnn_plain", |device| config.init(device), images([2, 9, 8]), target());

    let config = LeNetConfig::new([1, 12, 16], objective());
    check(file, "lenet", |device| config.init(device), images([1, 12, 16]), target());

    let config = SmallResNetConfig::new([3, 9, 8], objective()).with_depth(8).with_width(2);
    check(file, "resnet", |device| config.init(device), images([3, 9, 8]), target());
}

#[test]
fn rnn() {
    let file = include_str!("../golden/rnn.json");
    for (name, pooling) in [("last", Pooling::Last), ("mean", Pooling::Mean)] {
        let config = LstmClassifierConfig::new(7, Objective::classes(3))
            .with_embedding(3)
            .with_hidden(4)
            .with_layers(2)
            .with_bidirectional(true)
            .with_dropout(0.5)
            .with_pooling(pooling);
        let case = format!("lstm_classifier_{name}");
        check(file, &case, |device| config.init(device), texts(), classes([2, 1]));

        let config = GruClassifierConfig::new(7, Objective::classes(3))
            .with_embedding(3)
            .with_hidden(4)
            .with_layers(2)
            .with_bidirectional(true)
            .with_dropout(0.5)
            .with_pooling(pooling);
        let case = format!("gru_classifier_{name}");
        check(file, &case, |device| config.init(device), texts(), classes([2, 1]));
    }
    let config = LstmLanguageModelConfig::new(7).with_embedding(3).with_hidden(4).with_layers(2);
    check(file, "lstm_language_model", |device| config.init(device), texts(), next_tokens());
    let config = GruLanguageModelConfig::new(7).with_embedding(3).with_hidden(4).with_layers(2);
    check(file, "gru_language_model", |device| config.init(device), texts(), next_tokens());
}

#[test]
fn autoencoder() {
    let file = include_str!("../golden/autoencoder.json");
    let config = DenseAutoencoderConfig::new(6)
        .with_hidden(vec![5])
        .with_codes(2)
        .with_output_range(OutputRange::Unit)
        .with_noise(0.5);
    check(file, "dense_autoencoder", |device| config.init(device), unit_table(6), Target::Input);

    let config = ConvAutoencoderConfig::new([2, 8, 4]).with_widths(vec![3, 4]).with_codes(3);
    check(file, "conv_autoencoder", |device| config.init(device), images([2, 8, 4]), Target::Input);

    for (name, likelihood) in [("gaussian", Likelihood::Gaussian), ("bernoulli", Likelihood::Bernoulli)] {
        let config = VariationalAutoencoderConfig::new(6)
            .with_hidden(vec![5])
            .with_codes(2)
            .with_likelihood(likelihood)
            .with_output_std(0.5)
            .with_beta(0.7);
        let case = format!("variational_autoencoder_{name}");
        check(file, &case, |device| config.init(device), unit_table(6), Target::Input);
    }
}

#[test]
fn attention() {
    let file = include_str!("../golden/attention.json");
    for (case, bias) in [("gpt", false), ("gpt_bias", true)] {
        let config = GptConfig::new(7, 6).with_layers(2).with_heads(2).with_width(8).with_bias(bias);
        check(file, case, |device| config.init(device), texts(), next_tokens());
    }
    let config = |objective| {
        TransformerClassifierConfig::new(7, 6, objective).with_layers(2).with_heads(2).with_width(8)
    };
    let learned = config(Objective::classes(3));
    let case = "transformer_classifier_learned_mean";
    check(file, case, |device| learned.init(device), texts(), classes([2, 1]));
    let sinusoidal = config(Objective::binary())
        .with_positions(Positions::Sinusoidal)
        .with_pooling(TextPooling::ClassToken);
    let case = "transformer_classifier_sinusoidal_class_token";
    check(file, case, |device| sinusoidal.init(device), texts(), classes([1, 0]));
}
