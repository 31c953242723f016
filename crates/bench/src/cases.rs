//! The cases: a model, its sizes, and a batch of made-up data. A new case is a line in [`all`] and the
//! function that makes it.
//!
//! Names and sizes are PyTorch's side's. A case says where its model differs from PyTorch's.

use crate::steps::Made;
use crate::{infer, steps};
use anyhow::Result;
use bonfire_cluster::Communicator;
use bonfire_contract::{Images, Table, Target, Task, Tokens};
use bonfire_models::{
    Architecture, Cnn, CnnConfig, ConvAutoencoder, ConvAutoencoderConfig, ConvNeXtConfig, EfficientNetConfig,
    Gpt, GptConfig, GruClassifier, GruClassifierConfig, LinearRegression, LinearRegressionConfig,
    LstmClassifier, LstmClassifierConfig, Mlp, MlpConfig, MobileNetV2Config, Objective, Pooling,
    ResNetConfig, SmallResNet, SmallResNetConfig, TransformerClassifier, TransformerClassifierConfig,
    VisionTransformerConfig,
};
use burn::tensor::{Device, Distribution, Int, Tensor};
use std::sync::Arc;

/// Batch sizes of the measured predictions.
pub const PREDICTED: [usize; 3] = [1, 8, 32];

/// A model to measure, with its batch size and its number of steps.
pub struct Case {
    /// The name on PyTorch's side; the batch stands in it as `_b64`.
    pub name: &'static str,
    /// Samples in a training step.
    pub batch: usize,
    /// Measured training steps, after [`steps::WARM_UP`].
    pub steps: usize,
    /// The difference from PyTorch's model; empty if there is none.
    pub difference: &'static str,
    pub(crate) measures: Measures,
}

/// The measurements of a case, without its model's type. Each returns milliseconds.
pub(crate) struct Measures {
    pub(crate) train: Train,
    pub(crate) predict: Predict,
}

/// Trains: (samples a rank, steps, device with autodiff, ranks) to milliseconds a step.
type Train = Box<dyn Fn(usize, usize, &Device, Arc<dyn Communicator>) -> Result<Vec<f64>>>;
/// Predicts: (samples, device) to milliseconds a prediction.
type Predict = Box<dyn Fn(usize, &Device) -> Result<Vec<f64>>>;

impl Case {
    /// The case's name for predictions of `batch` samples: `mlp_b128` becomes `mlp_b1`.
    pub fn predicted(&self, batch: usize) -> String {
        self.name.replacen(&format!("_b{}", self.batch), &format!("_b{batch}"), 1)
    }
}

/// A case of 1,000 classes of coloured pictures of 224 x 224 pixels.
macro_rules! of_imagenet {
    ($name:literal, $batch:literal, $steps:literal, $config:path) => {
        case(
            $name,
            $batch,
            $steps,
            |batch, device| Made {
                model: $config([3, 224, 224], Objective::classes(1000)).init(device),
                input: Images { pixels: Tensor::random([batch, 3, 224, 224], Distribution::Default, device) },
                target: Target::Classes(counting(batch, 1000, device)),
            },
            "",
        )
    };
}

/// Every case, in PyTorch's order.
pub fn all() -> Vec<Case> {
    vec![
        case("linear_regression_b1024_d100", 1024, 200, linear_regression, ""),
        case("mlp_b128", 128, 40, mlp, ""),
        case("cnn28_b64", 64, 15, cnn28, ""),
        case("resnet20_b128_28", 128, 15, resnet20, ""),
        case("conv_autoencoder_b64", 64, 15, conv_autoencoder, ""),
        case("lstm_b64_t64_h128", 64, 15, lstm, "padding is masked"),
        case("gru_b64_t64_h128", 64, 15, gru, "padding is masked"),
        case(
            "encoder_b16_t128_d256_l4",
            16,
            7,
            encoder,
            "norms stand before each part and at the end, positions are learned, GELU is by tanh, padding is masked",
        ),
        case("gpt_b12_t64_d128_l4", 12, 15, gpt, "the head is the embedding again, GELU is by tanh"),
        of_imagenet!("resnet18_b8_224", 8, 5, ResNetConfig::resnet18),
        of_imagenet!("resnet50_b8_224", 8, 3, ResNetConfig::resnet50),
        of_imagenet!("mobilenet_v2_b8_224", 8, 5, MobileNetV2Config::new),
        of_imagenet!("efficientnet_b0_b8_224", 8, 5, EfficientNetConfig::b0),
        of_imagenet!("convnext_tiny_b4_224", 4, 3, ConvNeXtConfig::tiny),
        of_imagenet!("vit_s16_b4_224", 4, 3, VisionTransformerConfig::s16),
    ]
}

/// The list of cases for `--help`.
pub fn help() -> String {
    let line = |case: Case| format!("  {:<30}{}", case.name, case.difference).trim_end().to_owned();
    let lines: Vec<String> = all().into_iter().map(line).collect();
    format!("Cases, and what is not as in PyTorch's model:\n{}", lines.join("\n"))
}

fn case<M: Task>(
    name: &'static str,
    batch: usize,
    steps: usize,
    make: fn(usize, &Device) -> Made<M>,
    difference: &'static str,
) -> Case {
    let measures = Measures {
        train: Box::new(move |batch, steps, device, ranks| {
            steps::train(make(batch, device), steps, device, ranks)
        }),
        predict: Box::new(move |batch, device| infer::predict(&make(batch, device), device)),
    };
    Case { name, batch, steps, difference, measures }
}

fn linear_regression(batch: usize, device: &Device) -> Made<LinearRegression> {
    let input = table(batch, 100, device);
    let sums = input.numeric.clone().sum_dim(1); // [B, 1]
    let model = LinearRegressionConfig::new(100, Objective::values(1)).init(device);
    Made { model, input, target: Target::Values(sums) }
}

fn mlp(batch: usize, device: &Device) -> Made<Mlp> {
    let config = MlpConfig::new(784, vec![], Objective::classes(10)).with_hidden(vec![512, 512]);
    Made { model: config.init(device), input: table(batch, 784, device), target: classes(batch, device) }
}

/// Two 3x3 convolutions without padding, a pooling, and two linear layers.
fn cnn28(batch: usize, device: &Device) -> Made<Cnn> {
    let config = CnnConfig::new([1, 28, 28], Objective::classes(10))
        .with_widths(vec![32, 64])
        .with_padded(false)
        .with_batch_norm(false)
        .with_pool_every(2)
        .with_hidden(128)
        .with_dropout(0.0);
    Made { model: config.init(device), input: pictures(batch, device), target: classes(batch, device) }
}

/// The CIFAR-style residual network.
fn resnet20(batch: usize, device: &Device) -> Made<SmallResNet> {
    let config = SmallResNetConfig::new([1, 28, 28], Objective::classes(10));
    Made { model: config.init(device), input: pictures(batch, device), target: classes(batch, device) }
}

/// 1 to 32 to 64 channels, 32 codes, and back.
fn conv_autoencoder(batch: usize, device: &Device) -> Made<ConvAutoencoder> {
    let config = ConvAutoencoderConfig::new([1, 28, 28]).with_widths(vec![32, 64]).with_codes(32);
    Made { model: config.init(device), input: pictures(batch, device), target: Target::Input }
}

fn lstm(batch: usize, device: &Device) -> Made<LstmClassifier> {
    let config = LstmClassifierConfig::new(1000, Objective::classes(10))
        .with_embedding(128)
        .with_hidden(128)
        .with_pooling(Pooling::Last);
    Made { model: config.init(device), input: text(batch, 64, 1000, device), target: classes(batch, device) }
}

fn gru(batch: usize, device: &Device) -> Made<GruClassifier> {
    let config = GruClassifierConfig::new(1000, Objective::classes(10))
        .with_embedding(128)
        .with_hidden(128)
        .with_pooling(Pooling::Last);
    Made { model: config.init(device), input: text(batch, 64, 1000, device), target: classes(batch, device) }
}

fn encoder(batch: usize, device: &Device) -> Made<TransformerClassifier> {
    let config = TransformerClassifierConfig::new(1000, 128, Objective::classes(10))
        .with_layers(4)
        .with_heads(8)
        .with_width(256)
        .with_dropout(0.0);
    Made { model: config.init(device), input: text(batch, 128, 1000, device), target: classes(batch, device) }
}

/// nanoGPT's setting for a CPU, with biases as PyTorch's layers have them.
fn gpt(batch: usize, device: &Device) -> Made<Gpt> {
    let config =
        GptConfig::new(65, 64).with_layers(4).with_heads(4).with_width(128).with_dropout(0.0).with_bias(true);
    let input = text(batch, 64, 65, device);
    let target = Target::NextTokens(input.tokens.clone());
    Made { model: config.init(device), input, target }
}

fn table(batch: usize, columns: usize, device: &Device) -> Table {
    Table {
        numeric: Tensor::random([batch, columns], Distribution::Default, device),
        categories: Tensor::zeros([batch, 0], device),
    }
}

fn pictures(batch: usize, device: &Device) -> Images {
    Images { pixels: Tensor::random([batch, 1, 28, 28], Distribution::Default, device) }
}

fn text(batch: usize, length: usize, vocabulary: i64, device: &Device) -> Tokens {
    let tokens = counting(batch * length, vocabulary, device).reshape([batch, length]);
    Tokens { padding: Tensor::full([batch, length], false, device), tokens }
}

fn classes(batch: usize, device: &Device) -> Target {
    Target::Classes(counting(batch, 10, device))
}

/// Counts up from 0 and begins again at `below`, `[count]`.
fn counting(count: usize, below: i64, device: &Device) -> Tensor<1, Int> {
    Tensor::arange(0..count as i64, device).remainder_scalar(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;

    #[test]
    fn names_are_unique_and_hold_their_batch() {
        let cases = all();
        for (index, case) in cases.iter().enumerate() {
            assert!(cases[..index].iter().all(|other| other.name != case.name), "{}", case.name);
            assert_eq!(case.predicted(case.batch), case.name);
            assert_ne!(case.predicted(1), case.predicted(32));
        }
        assert_eq!(cases[5].predicted(1), "lstm_b1_t64_h128");
        assert!(help().contains("lstm_b64_t64_h128             padding is masked"), "{}", help());
    }

    /// Numbers of parameters are PyTorch's, apart from the stated differences.
    #[test]
    fn models_have_pytorchs_sizes() {
        let device = Device::flex();
        assert_eq!(linear_regression(1, &device).model.num_params(), 101);
        assert_eq!(mlp(1, &device).model.num_params(), 669_706);
        assert_eq!(cnn28(1, &device).model.num_params(), 1_199_882);
        assert_eq!(resnet20(1, &device).model.num_params(), 273_754);
        assert_eq!(conv_autoencoder(1, &device).model.num_params(), 231_041);
        let recurrent = |gates: usize, biases: usize| 128_000 + gates * 128 * 256 + biases * 128 + 1_290;
        assert_eq!(lstm(1, &device).model.num_params(), recurrent(4, 8));
        assert_eq!(gru(1, &device).model.num_params(), recurrent(3, 6));
        let block = |width: usize| 12 * width * width + 13 * width;
        assert_eq!(
            encoder(1, &device).model.num_params(),
            256_000 + 128 * 256 + 4 * block(256) + 512 + 2_570
        );
        assert_eq!(gpt(1, &device).model.num_params(), 65 * 128 + 64 * 128 + 4 * block(128) + 256);
    }

    #[test]
    fn every_case_trains_and_predicts() {
        let device = Device::flex();
        for case in all() {
            let Measures { train, predict } = &case.measures;
            let times = train(2, 1, &device.clone().autodiff(), Arc::new(bonfire_cluster::Alone)).unwrap();
            assert_eq!(times.len(), 1, "{}", case.name);
            assert!(predict(1, &device).unwrap().len() >= infer::LEAST, "{}", case.name);
        }
    }
}
