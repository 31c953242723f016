//! A small convolutional network: stages of 3x3 convolutions, each with batch norm and ReLU, a max pooling
//! after each stage, then a hidden layer with dropout. Padding, batch norm and poolings can be left out.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `O` outputs (classes or values). LeNet's plan (LeCun
//! et al. 1998) with what came later: 3x3 kernels and doubling widths (Simonyan and Zisserman 2014), batch
//! norm (Ioffe and Szegedy 2015), dropout (Srivastava et al. 2014).

use super::{HE_NORMAL, check_picture};
use crate::architecture::Architecture;
use crate::check;
use crate::headed::Headed;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use bonfire_kernels::Activation;
use bonfire_kernels::modules::{conv_norm, conv2d, dropout, linear, max_pool2d};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Initializer, Linear, LinearConfig, PaddingConfig2d,
};
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "cnn";

/// Sizes of a [`Cnn`].
#[derive(Config, Debug, PartialEq)]
pub struct CnnConfig {
    /// `[channels, height, width]` of a picture.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Channels of each stage.
    #[config(default = "vec![24, 48, 96]")]
    pub widths: Vec<usize>,
    /// Convolutions a stage.
    #[config(default = 1)]
    pub convolutions_per_stage: usize,
    /// True: the convolutions are padded and keep height and width. False: each takes 2 pixels off both.
    #[config(default = true)]
    pub padded: bool,
    /// True: a batch norm follows each convolution. False: the convolutions have biases.
    #[config(default = true)]
    pub batch_norm: bool,
    /// Stages between poolings, which halve height and width (rounding down): 1 ends each stage in one, 2
    /// every second stage.
    #[config(default = 1)]
    pub pool_every: usize,
    /// Width of the layer before the head; 0 leaves it out.
    #[config(default = 128)]
    pub hidden: usize,
    /// The share of the features that is dropped in training, before the hidden layer and before the head, in
    /// `[0, 1)`.
    #[config(default = 0.3)]
    pub dropout: f64,
}

impl CnnConfig {
    /// True where a pooling ends the stage; stages count from 0.
    fn pools_after(&self, stage: usize) -> bool {
        (stage + 1).is_multiple_of(self.pool_every)
    }

    /// `[channels, height, width]` after the last stage.
    fn features(&self) -> [usize; 3] {
        let [channels, height, width] = self.picture;
        let border = if self.padded { 0 } else { self.convolutions_per_stage.saturating_mul(2) };
        let after = |size: usize, stage: usize| {
            let size = size.saturating_sub(border);
            if self.pools_after(stage) { size / 2 } else { size }
        };
        let left = |size: usize| (0..self.widths.len()).fold(size, after);
        [self.widths.last().copied().unwrap_or(channels), left(height), left(width)]
    }
}

impl Architecture for CnnConfig {
    type Model = Cnn;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that no such network can have.
    ///
    /// # Errors
    /// When a size is zero, the picture is too small for the stages, the dropout is outside `[0, 1)`, or the
    /// objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        let filled = !self.widths.is_empty() && self.widths.iter().all(|width| *width > 0);
        let found = format!("{:?}", self.widths);
        ConfigError::check(filled, MODEL, "widths", "one positive width a stage", found)?;
        check::sizes(MODEL, "widths", &self.widths)?;
        check::layers(MODEL, "convolutions_per_stage", self.convolutions_per_stage)?;
        check::size(MODEL, "pool_every", self.pool_every)?;
        check::optional_size(MODEL, "hidden", self.hidden)?;
        let [_, height, width] = self.features();
        let poolings = self.widths.len() / self.pool_every;
        let expected = if self.padded {
            format!("height and width that can be halved {poolings} times")
        } else {
            "height and width that leave a pixel after the last stage".into()
        };
        ConfigError::check(height.min(width) > 0, MODEL, "picture", expected, format!("{:?}", self.picture))?;
        check::dropout(MODEL, self.dropout)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> Cnn {
        let channels = [&[self.picture[0]], self.widths.as_slice()].concat();
        let stage = |(index, pair): (usize, &[usize])| {
            Stage::new(pair[0], pair[1], self.pools_after(index), self, device)
        };
        let stages = channels.windows(2).enumerate().map(stage).collect();
        let features: usize = self.features().iter().product();
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

    fn headed(model: &Cnn) -> Option<&dyn Headed<Input = Images>> {
        Some(model)
    }
}

/// Convolutions of one width and the pooling after them.
#[derive(Module, Debug)]
struct Stage {
    /// `[C_out, C_in, 3, 3]` each, and a bias `[C_out]` where no norm follows
    convolutions: Vec<Conv2d>,
    /// `[C_out]` twice each, one a convolution or none at all
    norms: Vec<BatchNorm>,
    pool: Option<MaxPool2d>,
}

impl Stage {
    fn new(inputs: usize, width: usize, pools: bool, config: &CnnConfig, device: &Device) -> Self {
        let inputs_of = |index: usize| if index == 0 { inputs } else { width };
        let indices = 0..config.convolutions_per_stage;
        let norms = if config.batch_norm { indices.len() } else { 0 };
        Stage {
            convolutions: indices
                .map(|index| convolution([inputs_of(index), width], config, device))
                .collect(),
            norms: (0..norms).map(|_| BatchNormConfig::new(width).init(device)).collect(),
            pool: pools.then(|| MaxPool2dConfig::new([2, 2]).init()),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = input;
        for (index, convolution) in self.convolutions.iter().enumerate() {
            // [B, C_out, H, W], or 2 fewer pixels each without padding
            x = match self.norms.get(index) {
                Some(norm) => conv_norm(convolution, norm, x, None, Activation::Relu),
                None => conv2d(convolution, x, Activation::Relu),
            };
        }
        match &self.pool {
            Some(pool) => max_pool2d(pool, x), // [B, C_out, H / 2, W / 2]
            None => x,
        }
    }
}

/// A 3x3 convolution, weights drawn as for the residual network's, a bias of zeros where no norm has one.
fn convolution(channels: [usize; 2], config: &CnnConfig, device: &Device) -> Conv2d {
    let padding = if config.padded { PaddingConfig2d::Explicit(1, 1, 1, 1) } else { PaddingConfig2d::Valid };
    let mut convolution = Conv2dConfig::new(channels, [3, 3])
        .with_padding(padding)
        .with_bias(false)
        .with_initializer(HE_NORMAL)
        .init(device);
    convolution.bias = (!config.batch_norm).then(|| Initializer::Zeros.init([channels[1]], device));
    convolution
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
        self.answer(self.features(input))
    }
}

impl Headed for Cnn {
    type Input = Images;

    fn features(&self, input: Images) -> Tensor<2> {
        let channels = self.channels;
        assert_shape!(input.pixels, [_, channels, _, _]);
        let mut x = input.pixels;
        for stage in &self.stages {
            x = stage.forward(x); // [B, C, H', W']
        }
        let x = x.flatten::<2>(1, 3); // [B, C * H' * W']
        match &self.hidden {
            Some(hidden) => linear(hidden, dropout(&self.dropout, x), Activation::Relu), // [B, hidden]
            None => x,
        }
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, dropout(&self.dropout, features), Activation::Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
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
        for config in [
            config(),
            config().with_hidden(0),
            config().with_convolutions_per_stage(2),
            config().with_pool_every(2).with_convolutions_per_stage(2).with_batch_norm(false),
            config().with_pool_every(3).with_padded(false),
            config().with_pool_every(4),
        ] {
            config.check().unwrap();
            let pixels = Tensor::random([2, 3, 11, 9], Distribution::Default, &device);
            assert_eq!(config.init(&device).forward(Images { pixels }).dims(), [2, 4]);
        }
    }

    #[test]
    fn plain_convolutions_have_the_sizes_of_pytorchs_example() {
        // its MNIST example without dropout: 320 + 18,496 + 1,179,776 + 1,290 parameters
        let config = CnnConfig::new([1, 28, 28], Objective::classes(10))
            .with_widths(vec![32, 64])
            .with_padded(false)
            .with_batch_norm(false)
            .with_pool_every(2);
        assert_eq!(config.init(&Device::flex()).num_params(), 1_199_882);
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
        assert_eq!(field(config().with_pool_every(0)), "pool_every");
        assert_eq!(field(config().with_padded(false)), "picture");
        assert_eq!(field(config().with_padded(false).with_convolutions_per_stage(1000)), "picture");
        assert_eq!(field(config().with_convolutions_per_stage(usize::MAX)), "convolutions_per_stage");
        assert_eq!(field(config().with_dropout(-0.1)), "dropout");
        CnnConfig::new([1, 8, 8], Objective::values(1)).check().unwrap();
    }
}
