//! ConvNeXt: convolutions of 7x7, each channel by itself, and a perceptron at each place, in a transformer's
//! plan.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `O` outputs (classes or values). Liu, Mao, Wu,
//! Feichtenhofer, Darrell and Xie, "A ConvNet for the 2020s", 2022: Tiny and Small. What differs, in the
//! order of the sums alone: the layer scale is multiplied onto the weights before it, not onto what they
//! make.

use super::check_picture;
use crate::architecture::Architecture;
use crate::check;
use crate::drop_path::DropPath;
use crate::headed::Headed;
use crate::keys::LayerNames;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use bonfire_kernels::Activation::{Gelu, Identity};
use bonfire_kernels::checkpoint;
use bonfire_kernels::modules::{conv2d, dropout, layer_norm, linear};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{
    Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d,
};
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "convnext";

/// The stem's stride of 4 and three halvings leave a place of so many pixels a side.
const LEAST_SIDE: usize = 32;

/// Added to the variance by layer norms, as in the paper's code.
const EPSILON: f64 = 1e-6;

/// The distribution of all weights. The paper's code cuts it off at +-2, a hundred deviations away.
const NORMAL: Initializer = Initializer::Normal { mean: 0.0, std: 0.02 };

/// Sizes of a [`ConvNeXt`].
#[derive(Config, Debug, PartialEq)]
pub struct ConvNeXtConfig {
    /// `[channels, height, width]` of a picture, 32 pixels a side at least.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Blocks of each stage.
    #[config(default = "[3, 3, 9, 3]")]
    pub layers: [usize; 4],
    /// Channels of the first stage; each further one has twice as many.
    #[config(default = 96)]
    pub width: usize,
    /// The initial value of the factors on the blocks' channels.
    #[config(default = 1e-6)]
    pub layer_scale: f64,
    /// The probability that the last block is left out of a sample in training, in `[0, 1)`; it rises from 0.
    #[config(default = 0.1)]
    pub drop_path: f64,
    /// The share of the features before the head that is dropped in training, in `[0, 1)`.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl ConvNeXtConfig {
    /// ConvNeXt-Tiny.
    pub fn tiny(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective)
    }

    /// ConvNeXt-Small.
    pub fn small(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective).with_layers([3, 3, 27, 3]).with_drop_path(0.4)
    }

    /// The names that torchvision gives to the layers.
    pub fn torchvision_names(&self) -> LayerNames {
        let pair = |ours: String, theirs: String| (ours, theirs);
        let mut pairs =
            vec![pair("stem".into(), "features.0.0".into()), pair("stem_norm".into(), "features.0.1".into())];
        for (stage, count) in self.layers.into_iter().enumerate() {
            let (down, blocks) = (2 * stage, 2 * stage + 1);
            if stage > 0 {
                let ours = format!("stages.{stage}.downsample");
                pairs.push(pair(format!("{ours}.norm"), format!("features.{down}.0")));
                pairs.push(pair(format!("{ours}.convolution"), format!("features.{down}.1")));
            }
            for block in 0..count {
                let ours = format!("stages.{stage}.blocks.{block}");
                let theirs = format!("features.{blocks}.{block}");
                for (layer, place) in [("depthwise", 0), ("norm", 2), ("expand", 3), ("contract", 5)] {
                    pairs.push(pair(format!("{ours}.{layer}"), format!("{theirs}.block.{place}")));
                }
                pairs.push(pair(format!("{ours}.scale"), format!("{theirs}.layer_scale")));
            }
        }
        pairs.push(pair("norm".into(), "classifier.0".into()));
        pairs.push(pair("head".into(), "classifier.2".into()));
        pairs
    }
}

impl Architecture for ConvNeXtConfig {
    type Model = ConvNeXt;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];
    const ANY_PICTURE_SIZE: bool = true;

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that no such network can have.
    ///
    /// # Errors
    /// When a side is shorter than 32 pixels, a size is zero, a probability is outside `[0, 1)`, or the
    /// objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        let [_, height, width] = self.picture;
        let expected = format!("height and width of at least {LEAST_SIDE}");
        let fits = height.min(width) >= LEAST_SIDE;
        ConfigError::check(fits, MODEL, "picture", expected, format!("{:?}", self.picture))?;
        check::stages(MODEL, "layers", &self.layers)?;
        check::size(MODEL, "width", self.width)?;
        let scale = self.layer_scale;
        ConfigError::check(scale.is_finite(), MODEL, "layer_scale", "a finite number", scale)?;
        check::drop_path(MODEL, self.drop_path)?;
        check::dropout(MODEL, self.dropout)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> ConvNeXt {
        let blocks: usize = self.layers.iter().sum();
        let mut index = 0;
        let mut stages = Vec::with_capacity(self.layers.len());
        for (stage, count) in self.layers.into_iter().enumerate() {
            let width = self.width << stage;
            let mut chain = Vec::with_capacity(count);
            for _ in 0..count {
                let drop_path = DropPath::rising(self.drop_path, index, blocks);
                chain.push(Block::new(width, self.layer_scale, drop_path, device));
                index += 1;
            }
            let downsample = (stage > 0).then(|| Downsample {
                norm: norm(width / 2, device),
                convolution: patches([width / 2, width], 2, device),
            });
            stages.push(Stage { downsample, blocks: chain });
        }
        let width = self.width << (self.layers.len() - 1);
        ConvNeXt {
            stem: patches([self.picture[0], self.width], 4, device),
            stem_norm: norm(self.width, device),
            stages,
            norm: norm(width, device),
            dropout: DropoutConfig::new(self.dropout).init(),
            head: affine([width, self.objective.head()], device),
            channels: self.picture[0],
            objective: self.objective.clone(),
        }
    }

    fn names_elsewhere(&self) -> Vec<(&'static str, LayerNames)> {
        vec![("torchvision", self.torchvision_names())]
    }

    fn headed(model: &ConvNeXt) -> Option<&dyn Headed<Input = Images>> {
        Some(model)
    }
}

/// A convolution of side-by-side squares.
fn patches(channels: [usize; 2], side: usize, device: &Device) -> Conv2d {
    let config = Conv2dConfig::new(channels, [side, side]).with_stride([side, side]);
    biased(config, channels[1], device)
}

fn biased(config: Conv2dConfig, outputs: usize, device: &Device) -> Conv2d {
    let bias = Some(Initializer::Zeros.init([outputs], device));
    Conv2d { bias, ..config.with_bias(false).with_initializer(NORMAL).init(device) }
}

fn affine([inputs, outputs]: [usize; 2], device: &Device) -> Linear {
    let config = LinearConfig::new(inputs, outputs).with_bias(false).with_initializer(NORMAL);
    Linear { bias: Some(Initializer::Zeros.init([outputs], device)), ..config.init(device) }
}

fn norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(EPSILON).init(device)
}

/// `[B, C, H, W]` to `[B, H, W, C]`
fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

/// `[B, H, W, C]` to `[B, C, H, W]`
fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

/// A stage: the halving before its blocks, but for the first stage, and the blocks.
#[derive(Module, Debug)]
struct Stage {
    downsample: Option<Downsample>,
    blocks: Vec<Block>,
}

/// A norm, and half the size with twice the channels.
#[derive(Module, Debug)]
struct Downsample {
    norm: LayerNorm,
    /// `[2 C, C, 2, 2]`, and a bias
    convolution: Conv2d,
}

impl Downsample {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = layer_norm(&self.norm, x, EPSILON); // [B, H, W, C]
        channels_last(conv2d(&self.convolution, channels_first(x), Identity)) // [B, H / 2, W / 2, 2 C]
    }
}

/// A convolution across places, a perceptron across channels, and the shortcut around both.
#[derive(Module, Debug)]
struct Block {
    /// `[C, 1, 7, 7]`, and a bias
    depthwise: Conv2d,
    norm: LayerNorm,
    /// `[C, 4 C]`, and a bias
    expand: Linear,
    /// `[4 C, C]`, and a bias
    contract: Linear,
    /// `[C, 1, 1]`
    scale: Param<Tensor<3>>,
    drop_path: DropPath,
}

impl Block {
    fn new(width: usize, scale: f64, drop_path: DropPath, device: &Device) -> Self {
        let config = Conv2dConfig::new([width, width], [7, 7])
            .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
            .with_groups(width);
        Block {
            depthwise: biased(config, width, device),
            norm: norm(width, device),
            expand: affine([width, 4 * width], device),
            contract: affine([4 * width, width], device),
            scale: Initializer::Constant { value: scale }.init([width, 1, 1], device),
            drop_path,
        }
    }

    /// # Shapes
    /// - input, output: `[B, H, W, C]`
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = channels_last(conv2d(&self.depthwise, channels_first(input.clone()), Identity)); // [B, H, W, C]
        let x = layer_norm(&self.norm, x, EPSILON);
        let x = linear(&self.expand, x, Gelu); // [B, H, W, 4 C]
        // a row of weights is shorter than a picture's places: the scale is cheaper there
        let [width, _, _] = self.scale.dims();
        let scale = self.scale.val().reshape([1, width]);
        let weight = self.contract.weight.val() * scale.clone(); // [4 C, C]
        let bias = self.contract.bias.as_ref().map(|bias| bias.val() * scale.reshape([width])); // [C]
        if self.drop_path.drops(&x) {
            input + self.drop_path.forward(bonfire_kernels::linear(x, weight, bias, Identity))
        } else {
            bonfire_kernels::linear_onto(input, x, weight, bias) // [B, H, W, C]
        }
    }
}

/// A stem of 4x4 squares, four stages, the mean over places, a norm and a head.
#[derive(Module, Debug)]
pub struct ConvNeXt {
    /// `[width, C, 4, 4]`, and a bias
    stem: Conv2d,
    stem_norm: LayerNorm,
    stages: Vec<Stage>,
    norm: LayerNorm,
    dropout: Dropout,
    /// `[8 * width, O]`, and a bias `[O]`
    head: Linear,
    channels: usize,
    #[module(skip)]
    objective: Objective,
}

impl ConvNeXt {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: `[B, C, H, W]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Images) -> Tensor<2> {
        self.answer(self.features(input))
    }
}

impl Headed for ConvNeXt {
    type Input = Images;

    fn features(&self, input: Images) -> Tensor<2> {
        let channels = self.channels;
        assert_shape!(input.pixels, [_, channels, _, _]);
        let x = channels_last(conv2d(&self.stem, input.pixels, Identity)); // [B, H / 4, W / 4, width]
        let mut x = layer_norm(&self.stem_norm, x, EPSILON);
        for stage in &self.stages {
            if let Some(downsample) = &stage.downsample {
                x = downsample.forward(x); // [B, H / 2, W / 2, 2 C]
            }
            x = stage.blocks.iter().fold(x, |x, block| checkpoint::block(block, x, Block::forward));
        }
        let x = x.flatten::<3>(1, 2).mean_dim(1).squeeze_dim(1); // [B, 8 * width]
        layer_norm(&self.norm, x, EPSILON)
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, dropout(&self.dropout, features), Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl Task for ConvNeXt {
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
    use burn::tensor::Distribution;

    fn small() -> ConvNeXtConfig {
        ConvNeXtConfig::new([2, 32, 41], Objective::classes(3)).with_layers([1, 1, 2, 1]).with_width(4)
    }

    #[test]
    fn a_block_of_scale_zero_is_the_identity() {
        let device = Device::flex();
        device.seed(2);
        let block = Block::new(4, 0.0, DropPath::rising(0.0, 0, 1), &device);
        let input = Tensor::<4>::random([2, 5, 6, 4], Distribution::Default, &device);
        block.forward(input.clone()).into_data().assert_eq(&input.into_data(), true);
    }

    #[test]
    fn a_dropped_block_is_the_identity() {
        let device = Device::flex().autodiff();
        device.seed(2);
        let block = Block::new(4, 1.0, DropPath::rising(0.999_999, 1, 2), &device);
        let input = Tensor::<4>::random([2, 5, 6, 4], Distribution::Default, &device);
        block.forward(input.clone()).into_data().assert_eq(&input.into_data(), true);
    }

    #[test]
    fn the_smallest_picture_fits_and_impossible_sizes_are_refused() {
        let device = Device::flex();
        small().check().unwrap();
        let pixels = Tensor::ones([2, 2, 32, 41], &device);
        assert_eq!(small().init(&device).forward(Images { pixels }).dims(), [2, 3]);
        let field = |config: ConvNeXtConfig| config.check().unwrap_err().field;
        assert_eq!(field(ConvNeXtConfig::tiny([3, 31, 64], Objective::classes(2))), "picture");
        assert_eq!(field(small().with_layers([1, 1, 1, 0])), "layers");
        assert_eq!(field(small().with_width(0)), "width");
        assert_eq!(field(small().with_layer_scale(f64::NAN)), "layer_scale");
        assert_eq!(field(small().with_drop_path(1.0)), "drop_path");
        assert_eq!(field(small().with_dropout(1.0)), "dropout");
    }
}
