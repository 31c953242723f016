//! Residual networks for pictures of ImageNet's kind: ResNet-18, 34, 50, 101 and 152.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `O` outputs (classes or values). He, Zhang, Ren and
//! Sun, "Deep residual learning for image recognition", 2015, table 1. What differs: a bottleneck's stride is
//! in its 3x3 convolution (version 1.5, as in torchvision), the last norm of a block may start at zero (Goyal
//! et al. 2017, section 5.1), blocks may be dropped in training (Huang et al. 2016). The network for small
//! pictures of the paper's section 4.2 is [`SmallResNet`](crate::SmallResNet).

use super::check_picture;
use super::conv_norm::{ConvNorm, Shape, names};
use crate::architecture::Architecture;
use crate::check;
use crate::drop_path::DropPath;
use crate::headed::Headed;
use crate::keys::LayerNames;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use bonfire_kernels::Activation::{Identity, Relu};
use bonfire_kernels::modules::{dropout, linear, max_pool2d};
use bonfire_kernels::{checkpoint, global_avg_pool};
use burn::config::Config;
use burn::module::Module;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "resnet";

/// Sizes of a [`ResNet`].
#[derive(Config, Debug, PartialEq)]
pub struct ResNetConfig {
    /// `[channels, height, width]` of a picture.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Blocks of each stage.
    #[config(default = "[2, 2, 2, 2]")]
    pub layers: [usize; 4],
    /// True: a block has a 3x3 convolution between two 1x1 ones, and four times the channels at its end.
    /// False: it has two 3x3 convolutions.
    #[config(default = false)]
    pub bottleneck: bool,
    /// Channels of the stem and of the first stage's 3x3 convolutions; each further stage has twice as many.
    #[config(default = 64)]
    pub width: usize,
    /// True: the last norm of a block starts at zero, so that the block starts as the identity.
    #[config(default = false)]
    pub zero_init_residual: bool,
    /// The probability that the last block is left out of a sample in training, in `[0, 1)`; it rises from 0.
    #[config(default = 0.0)]
    pub drop_path: f64,
    /// The share of the features before the head that is dropped in training, in `[0, 1)`.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl ResNetConfig {
    /// ResNet-18.
    pub fn resnet18(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective)
    }

    /// ResNet-34.
    pub fn resnet34(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective).with_layers([3, 4, 6, 3])
    }

    /// ResNet-50.
    pub fn resnet50(picture: [usize; 3], objective: Objective) -> Self {
        Self::resnet34(picture, objective).with_bottleneck(true)
    }

    /// ResNet-101.
    pub fn resnet101(picture: [usize; 3], objective: Objective) -> Self {
        Self::resnet50(picture, objective).with_layers([3, 4, 23, 3])
    }

    /// ResNet-152.
    pub fn resnet152(picture: [usize; 3], objective: Objective) -> Self {
        Self::resnet50(picture, objective).with_layers([3, 8, 36, 3])
    }

    /// Channels after a block.
    fn outputs(&self, width: usize) -> usize {
        if self.bottleneck { 4 * width } else { width }
    }

    fn block(
        &self,
        inputs: usize,
        width: usize,
        stride: usize,
        drop_path: DropPath,
        device: &Device,
    ) -> Block {
        let outputs = self.outputs(width);
        let shapes = if self.bottleneck {
            vec![
                Shape::point([inputs, width]),
                Shape::square([width, width], stride),
                Shape::point([width, outputs]),
            ]
        } else {
            vec![Shape::square([inputs, width], stride), Shape::square([width, width], 1)]
        };
        let mut convolutions: Vec<_> = shapes.into_iter().map(|shape| shape.init(device)).collect();
        if let (true, Some(last)) = (self.zero_init_residual, convolutions.last_mut()) {
            last.norm.gamma = Initializer::Zeros.init([outputs], device);
        }
        let shortcut = Shape { stride, ..Shape::point([inputs, outputs]) };
        Block {
            convolutions,
            shortcut: (stride != 1 || inputs != outputs).then(|| shortcut.init(device)),
            drop_path,
        }
    }

    /// The names that torchvision gives to the layers.
    pub fn torchvision_names(&self) -> LayerNames {
        let mut pairs = names("stem", "conv1", "bn1").to_vec();
        for (stage, count) in self.layers.into_iter().enumerate() {
            for block in 0..count {
                let (ours, theirs) =
                    (format!("stages.{stage}.{block}"), format!("layer{}.{block}", stage + 1));
                for place in 0..if self.bottleneck { 3 } else { 2 } {
                    let number = place + 1;
                    pairs.extend(names(
                        &format!("{ours}.convolutions.{place}"),
                        &format!("{theirs}.conv{number}"),
                        &format!("{theirs}.bn{number}"),
                    ));
                }
                let (convolution, norm) =
                    (format!("{theirs}.downsample.0"), format!("{theirs}.downsample.1"));
                pairs.extend(names(&format!("{ours}.shortcut"), &convolution, &norm));
            }
        }
        pairs.push(("head".into(), "fc".into()));
        pairs
    }
}

impl Architecture for ResNetConfig {
    type Model = ResNet;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];
    const ANY_PICTURE_SIZE: bool = true;

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that no such network can have.
    ///
    /// # Errors
    /// When a size is zero, a probability is outside `[0, 1)`, or the objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        check::stages(MODEL, "layers", &self.layers)?;
        check::size(MODEL, "width", self.width)?;
        check::drop_path(MODEL, self.drop_path)?;
        check::dropout(MODEL, self.dropout)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> ResNet {
        let blocks: usize = self.layers.iter().sum();
        let (mut inputs, mut index) = (self.width, 0);
        let mut stages = Vec::with_capacity(self.layers.len());
        for (stage, count) in self.layers.into_iter().enumerate() {
            let width = self.width << stage;
            let mut chain = Vec::with_capacity(count);
            for place in 0..count {
                let stride = if stage > 0 && place == 0 { 2 } else { 1 };
                let drop_path = DropPath::rising(self.drop_path, index, blocks);
                let block = self.block(inputs, width, stride, drop_path, device);
                chain.push(block);
                (inputs, index) = (self.outputs(width), index + 1);
            }
            stages.push(chain);
        }
        let stem = Shape { kernel: 7, ..Shape::square([self.picture[0], self.width], 2) };
        let pool = MaxPool2dConfig::new([3, 3]).with_strides([2, 2]);
        ResNet {
            stem: stem.init(device),
            pool: pool.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(),
            stages,
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(inputs, self.objective.head()).init(device),
            channels: self.picture[0],
            objective: self.objective.clone(),
        }
    }

    fn names_elsewhere(&self) -> Vec<(&'static str, LayerNames)> {
        vec![("torchvision", self.torchvision_names())]
    }

    fn headed(model: &ResNet) -> Option<&dyn Headed<Input = Images>> {
        Some(model)
    }
}

/// Convolutions and the shortcut around them.
#[derive(Module, Debug)]
struct Block {
    /// 3x3 twice, or 1x1, 3x3 and 1x1.
    convolutions: Vec<ConvNorm>,
    /// Between different widths or sizes, `[C_out, C_in, 1, 1]`.
    shortcut: Option<ConvNorm>,
    drop_path: DropPath,
}

impl Block {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.shortcut {
            Some(projection) => projection.forward(input.clone(), Identity),
            None => input.clone(),
        }; // [B, C_out, H / stride, W / stride]
        let (last, others) = self.convolutions.split_last().expect("a block has convolutions");
        let x = others.iter().fold(input, |x, convolution| convolution.forward(x, Relu));
        if self.drop_path.drops(&x) {
            relu(shortcut + self.drop_path.forward(last.forward(x, Identity)))
        } else {
            last.onto(shortcut, x, Relu)
        }
    }
}

/// A stem of stride 4, four stages of residual blocks, the mean over pixels and a head.
#[derive(Module, Debug)]
pub struct ResNet {
    /// `[width, C, 7, 7]`
    stem: ConvNorm,
    pool: MaxPool2d,
    stages: Vec<Vec<Block>>,
    dropout: Dropout,
    /// `[8 * width, O]`, four times as many rows behind bottlenecks, and a bias `[O]`
    head: Linear,
    channels: usize,
    #[module(skip)]
    objective: Objective,
}

impl ResNet {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: `[B, C, H, W]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Images) -> Tensor<2> {
        self.answer(self.features(input))
    }
}

impl Headed for ResNet {
    type Input = Images;

    fn features(&self, input: Images) -> Tensor<2> {
        let channels = self.channels;
        assert_shape!(input.pixels, [_, channels, _, _]);
        let x = self.stem.forward(input.pixels, Relu); // [B, width, H / 2, W / 2]
        let x = max_pool2d(&self.pool, x); // [B, width, H / 4, W / 4]
        let blocks = self.stages.iter().flatten();
        let x = blocks.fold(x, |x, block| checkpoint::block(block, x, Block::forward)); // [B, C_out, H / 32, W / 32]
        global_avg_pool(x) // [B, C_out]
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, dropout(&self.dropout, features), Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl Task for ResNet {
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

    fn small() -> ResNetConfig {
        ResNetConfig::new([3, 33, 40], Objective::classes(3)).with_layers([1, 2, 1, 1]).with_width(4)
    }

    #[test]
    fn blocks_with_zeroed_norms_start_as_the_identity() {
        let device = Device::flex();
        device.seed(2);
        for bottleneck in [false, true] {
            let config = small().with_bottleneck(bottleneck).with_zero_init_residual(true);
            let model = config.init(&device);
            let block = &model.stages[1][1];
            // behind a ReLU, a block is the identity on what is not negative
            let channels = config.outputs(8);
            let input = Tensor::<4>::random([2, channels, 5, 6], Distribution::Uniform(0.0, 1.0), &device);
            block.forward(input.clone()).into_data().assert_eq(&input.into_data(), true);
        }
    }

    #[test]
    fn a_dropped_block_is_its_shortcut() {
        let device = Device::flex().autodiff();
        device.seed(2);
        let model = small().with_drop_path(0.999_999).init(&device);
        let block = model.stages[3].last().expect("one block");
        let input = Tensor::<4>::random([2, 16, 5, 6], Distribution::Default, &device);
        let shortcut = block.shortcut.as_ref().expect("a new width").forward(input.clone(), Relu);
        block.forward(input).into_data().assert_eq(&shortcut.into_data(), true);
    }

    #[test]
    fn takes_pictures_of_any_size() {
        let device = Device::flex();
        for [height, width] in [[1, 1], [33, 40]] {
            let config = ResNetConfig { picture: [1, height, width], ..small() };
            config.check().unwrap();
            let pixels = Tensor::ones([2, 1, height, width], &device);
            assert_eq!(config.init(&device).forward(Images { pixels }).dims(), [2, 3]);
        }
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: ResNetConfig| config.check().unwrap_err().field;
        assert_eq!(field(small().with_layers([1, 0, 1, 1])), "layers");
        assert_eq!(field(small().with_width(0)), "width");
        assert_eq!(field(small().with_drop_path(1.0)), "drop_path");
        assert_eq!(field(small().with_dropout(-0.1)), "dropout");
        assert_eq!(field(ResNetConfig::resnet18([0, 8, 8], Objective::classes(2))), "picture");
    }
}
