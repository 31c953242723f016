//! A small convolutional network: stages of 3x3 convolutions, each with batch norm and ReLU, a max pooling after
//! each stage, then a hidden layer with dropout.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `O` outputs (classes or values). LeNet's plan (LeCun et al.
//! 1998) with what came later: 3x3 kernels and doubling widths (Simonyan and Zisserman 2014), batch norm (Ioffe and
//! Szegedy 2015), dropout (Srivastava et al. 2014).

use super::{check_picture, convolution_3x3};
use crate::check;
use crate::objective::Objective;
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation::relu, assert_shape};

const MODEL: &str = "cnn";

/// Sizes of a [`Cnn`].
#[derive(Config, Debug, PartialEq)]
pub struct CnnConfig {
    /// `[channels, height, width]` of a picture.
    pub picture: [usize; 3],
    /// What is predicted, and the loss on it.
    pub objective: Objective,
    /// Channels of each stage; each ends in a pooling that halves height and width (rounding down).
    #[config(default = "vec![24, 48, 96]")]
    pub widths: Vec<usize>,
    /// Convolutions a stage.
    #[config(default = 1)]
    pub convolutions_per_stage: usize,
    /// Width of the layer before the head; 0 leaves it out.
    #[config(default = 128)]
    pub hidden: usize,
    /// The share of the features that is dropped in training, before the hidden layer and before the head, in
    /// `[0, 1)`.
    #[config(default = 0.3)]
    pub dropout: f64,
}

impl CnnConfig {
    /// Refuses sizes that no such network can have.
    ///
    /// # Errors
    /// When a size is zero, the picture is too small for the poolings, the dropout is outside `[0, 1)`, or the
    /// objective is impossible.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        let filled = !self.widths.is_empty() && self.widths.iter().all(|width| *width > 0);
        let found = format!("{:?}", self.widths);
        ConfigError::check(filled, MODEL, "widths", "one positive width a stage", found)?;
        check::positive(MODEL, "convolutions_per_stage", self.convolutions_per_stage)?;
        let [_, height, width] = self.pooled();
        let stages = self.widths.len();
        let expected = format!("height and width that can be halved {stages} times");
        ConfigError::check(height.min(width) > 0, MODEL, "picture", expected, format!("{:?}", self.picture))?;
        check::dropout(MODEL, self.dropout)
    }

    /// `[channels, height, width]` after the last pooling.
    fn pooled(&self) -> [usize; 3] {
        let [channels, height, width] = self.picture;
        let halved = |size: usize| self.widths.iter().fold(size, |size, _| size / 2);
        [self.widths.last().copied().unwrap_or(channels), halved(height), halved(width)]
    }

    /// The model with weights drawn from the device's generator.
    pub fn init(&self, device: &Device) -> Cnn {
        let channels = [&[self.picture[0]], self.widths.as_slice()].concat();
        let stages = channels.windows(2).map(|pair| Stage::new(pair[0], pair[1], self, device)).collect();
        let features: usize = self.pooled().iter().product();
        let hidden = (self.hidden > 0).then(|| LinearConfig::new(features, self.hidden).init(device));
        let features = if self.hidden > 0 { self.hidden } else { features };
        Cnn {
            stages,
            hidden,
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(features, self.objective.head()).init(device),
            channels: self.picture[0],
            objective: self.objective.clone(),
        }
    }
}

/// Convolutions of one width and the pooling after them.
#[derive(Module, Debug)]
struct Stage {
    /// `[C_out, C_in, 3, 3]` each
    convolutions: Vec<Conv2d>,
    /// `[C_out]` twice each
    norms: Vec<BatchNorm>,
    pool: MaxPool2d,
}

impl Stage {
    fn new(inputs: usize, width: usize, config: &CnnConfig, device: &Device) -> Self {
        let inputs_of = |index: usize| if index == 0 { inputs } else { width };
        let indices = 0..config.convolutions_per_stage;
        Stage {
            convolutions: indices
                .clone()
                .map(|index| convolution_3x3([inputs_of(index), width], 1, device))
                .collect(),
            norms: indices.map(|_| BatchNormConfig::new(width).init(device)).collect(),
            pool: MaxPool2dConfig::new([2, 2]).init(),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = input;
        for (convolution, norm) in self.convolutions.iter().zip(&self.norms) {
            x = relu(norm.forward(convolution.forward(x))); // [B, C_out, H, W]
        }
        self.pool.forward(x) // [B, C_out, H / 2, W / 2]
    }
}

/// Stages of convolutions and a head.
#[derive(Module, Debug)]
pub struct Cnn {
    stages: Vec<Stage>,
    /// `[C * H' * W', hidden]`, and a bias
    hidden: Option<Linear>,
    dropout: Dropout,
    /// `[hidden, O]`, and a bias
    head: Linear,
    channels: usize,
    #[module(skip)]
    objective: Objective,
}

impl Cnn {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: `[B, C, H, W]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Images) -> Tensor<2> {
        let channels = self.channels;
        assert_shape!(input.pixels, [_, channels, _, _]);
        let mut x = input.pixels;
        for stage in &self.stages {
            x = stage.forward(x); // [B, C, H / 2, W / 2]
        }
        let mut x = self.dropout.forward(x.flatten::<2>(1, 3)); // [B, C * H' * W']
        if let Some(hidden) = &self.hidden {
            x = self.dropout.forward(relu(hidden.forward(x))); // [B, hidden]
        }
        self.head.forward(x) // [B, O]
    }
}

impl Task for Cnn {
    type Input = Images;

    fn predict(&self, input: Images) -> Output {
        self.objective.output(self.forward(input))
    }

    /// Nats for classes, the objective's error for values.
    fn loss(&self, input: Images, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    fn config() -> CnnConfig {
        CnnConfig::new([3, 11, 9], Objective::classes(4)).with_widths(vec![4, 6, 8]).with_hidden(5)
    }

    #[test]
    fn odd_sizes_and_no_hidden_layer() {
        let device = Device::flex();
        for config in [config(), config().with_hidden(0), config().with_convolutions_per_stage(2)] {
            config.check().unwrap();
            let pixels = Tensor::random([2, 3, 11, 9], Distribution::Default, &device);
            assert_eq!(config.init(&device).forward(Images { pixels }).dims(), [2, 4]);
        }
    }

    #[test]
    fn a_picture_is_judged_alone_once_trained() {
        let device = Device::flex();
        device.seed(1);
        let model = config().init(&device);
        let pixels = Tensor::random([3, 3, 11, 9], Distribution::Default, &device);
        let together = model.forward(Images { pixels: pixels.clone() }).narrow(0, 1, 1);
        let alone = model.forward(Images { pixels: pixels.narrow(0, 1, 1) });
        alone.into_data().assert_approx_eq::<f32>(&together.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: CnnConfig| config.check().unwrap_err().field;
        assert_eq!(field(CnnConfig::new([0, 8, 8], Objective::classes(2))), "picture");
        assert_eq!(field(CnnConfig::new([1, 7, 28], Objective::classes(2))), "picture");
        assert_eq!(field(config().with_widths(vec![])), "widths");
        assert_eq!(field(config().with_widths(vec![4, 0])), "widths");
        assert_eq!(field(config().with_convolutions_per_stage(0)), "convolutions_per_stage");
        assert_eq!(field(config().with_dropout(-0.1)), "dropout");
        CnnConfig::new([1, 8, 8], Objective::values(1)).check().unwrap();
    }
}
