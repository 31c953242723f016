//! Residual network for small pictures, of depth `6 n + 2`.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `O` outputs (classes or values). He, Zhang, Ren and
//! Sun, "Deep residual learning for image recognition", 2015, section 4.2. What differs: a shortcut that
//! changes its width is a 1x1 convolution with batch norm (the paper's option B) in place of zero padding
//! (option A).

use super::{HE_NORMAL, check_picture, convolution_3x3};
use crate::architecture::Architecture;
use crate::check;
use crate::headed::Headed;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use bonfire_kernels::Activation::{Identity, Relu};
use bonfire_kernels::modules::{conv_norm, linear};
use bonfire_kernels::{checkpoint, global_avg_pool};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "resnet";

/// Sizes of a [`SmallResNet`].
#[derive(Config, Debug, PartialEq)]
pub struct SmallResNetConfig {
    /// `[channels, height, width]` of a picture.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Layers with weights on the longest path: 8, 14, 20, 32, 44, 56, ...
    #[config(default = 20)]
    pub depth: usize,
    /// Channels of the first of three stages; the others have two and four times as many.
    #[config(default = 16)]
    pub width: usize,
}

impl Architecture for SmallResNetConfig {
    type Model = SmallResNet;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];
    const ANY_PICTURE_SIZE: bool = true;

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that no such network can have.
    ///
    /// # Errors
    /// When the depth is not `6 n + 2` of a positive `n`, a size is zero, or the objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        let fits = self.depth >= 8 && self.depth % 6 == 2;
        ConfigError::check(fits, MODEL, "depth", "6 n + 2: 8, 14, 20, 32, 44, 56, ...", self.depth)?;
        let most = 6 * check::MOST_LAYERS + 2;
        ConfigError::check(self.depth <= most, MODEL, "depth", format!("at most {most}"), self.depth)?;
        check::size(MODEL, "width", self.width)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> SmallResNet {
        let blocks_per_stage = (self.depth - 2) / 6;
        let mut blocks = Vec::with_capacity(3 * blocks_per_stage);
        let mut inputs = self.width;
        for stage in 0..3 {
            let width = self.width << stage;
            for index in 0..blocks_per_stage {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                blocks.push(BasicBlock::new(inputs, width, stride, device));
                inputs = width;
            }
        }
        SmallResNet {
            stem: convolution_3x3([self.picture[0], self.width], 1, device),
            norm: BatchNormConfig::new(self.width).init(device),
            blocks,
            head: LinearConfig::new(inputs, self.objective.head()).init(device),
            channels: self.picture[0],
            objective: self.objective.clone(),
        }
    }

    fn headed(model: &SmallResNet) -> Option<&dyn Headed<Input = Images>> {
        Some(model)
    }
}

/// Two convolutions and the shortcut around them.
#[derive(Module, Debug)]
struct BasicBlock {
    /// `[C_out, C_in, 3, 3]`
    first: Conv2d,
    first_norm: BatchNorm,
    /// `[C_out, C_out, 3, 3]`
    second: Conv2d,
    second_norm: BatchNorm,
    shortcut: Option<Projection>,
}

/// A shortcut between different widths or sizes.
#[derive(Module, Debug)]
struct Projection {
    /// `[C_out, C_in, 1, 1]`
    convolution: Conv2d,
    norm: BatchNorm,
}

impl BasicBlock {
    fn new(inputs: usize, width: usize, stride: usize, device: &Device) -> Self {
        let projection = || Projection {
            convolution: Conv2dConfig::new([inputs, width], [1, 1])
                .with_stride([stride, stride])
                .with_bias(false)
                .with_initializer(HE_NORMAL)
                .init(device),
            norm: BatchNormConfig::new(width).init(device),
        };
        BasicBlock {
            first: convolution_3x3([inputs, width], stride, device),
            first_norm: BatchNormConfig::new(width).init(device),
            second: convolution_3x3([width, width], 1, device),
            second_norm: BatchNormConfig::new(width).init(device),
            shortcut: (stride != 1 || inputs != width).then(projection),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.shortcut {
            Some(Projection { convolution, norm }) => {
                conv_norm(convolution, norm, input.clone(), None, Identity)
            }
            None => input.clone(),
        }; // [B, C_out, H / stride, W / stride]
        // [B, C_out, H / stride, W / stride]
        let x = conv_norm(&self.first, &self.first_norm, input, None, Relu);
        conv_norm(&self.second, &self.second_norm, x, Some(shortcut), Relu)
    }
}

/// A stem, three stages of residual blocks, the mean over pixels and a head.
#[derive(Module, Debug)]
pub struct SmallResNet {
    /// `[width, C, 3, 3]`
    stem: Conv2d,
    norm: BatchNorm,
    blocks: Vec<BasicBlock>,
    /// `[4 * width, O]`, and a bias `[O]`
    head: Linear,
    channels: usize,
    #[module(skip)]
    objective: Objective,
}

impl SmallResNet {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: `[B, C, H, W]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Images) -> Tensor<2> {
        self.answer(self.features(input))
    }
}

impl Headed for SmallResNet {
    type Input = Images;

    fn features(&self, input: Images) -> Tensor<2> {
        let channels = self.channels;
        assert_shape!(input.pixels, [_, channels, _, _]);
        let mut x = conv_norm(&self.stem, &self.norm, input.pixels, None, Relu); // [B, width, H, W]
        for block in &self.blocks {
            x = checkpoint::block(block, x, BasicBlock::forward);
        } // [B, 4 * width, H / 4, W / 4]
        global_avg_pool(x) // [B, 4 * width]
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, features, Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl Task for SmallResNet {
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
    use burn::module::Param;
    use burn::tensor::Distribution;

    #[test]
    fn a_block_with_zeroed_weights_is_the_identity() {
        let device = Device::flex();
        device.seed(2);
        let mut block = BasicBlock::new(4, 4, 1, &device);
        block.second.weight = Param::from_tensor(Tensor::zeros([4, 4, 3, 3], &device));
        // behind a ReLU, a block is the identity on what is not negative
        let input = Tensor::<4>::random([2, 4, 5, 6], Distribution::Uniform(0.0, 1.0), &device);
        let output = block.forward(input.clone());
        output.into_data().assert_eq(&input.into_data(), true);
    }

    #[test]
    fn depths_have_the_papers_parameter_counts() {
        // He et al. 2015, table 6 (0.27 M, 0.46 M, 0.66 M, 0.85 M), with option A's free shortcuts
        for (depth, papers) in [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018)] {
            let config = SmallResNetConfig::new([3, 32, 32], Objective::classes(10)).with_depth(depth);
            config.check().unwrap();
            // option B's two convolutions and norms, and the running statistics, which Burn counts too
            let projections = 16 * 32 + 32 * 64 + 2 * (32 + 64);
            let statistics = 2 * (16 + (depth - 2) / 3 * (16 + 32 + 64) + 32 + 64);
            let expected = papers + projections + statistics;
            assert_eq!(config.init(&Device::flex()).num_params(), expected, "depth {depth}");
        }
    }

    #[test]
    fn takes_pictures_of_any_size() {
        let device = Device::flex();
        let config = SmallResNetConfig::new([1, 5, 3], Objective::classes(3)).with_depth(8).with_width(4);
        let pixels = Tensor::ones([2, 1, 5, 3], &device);
        assert_eq!(config.init(&device).forward(Images { pixels }).dims(), [2, 3]);
    }

    #[test]
    fn refuses_impossible_sizes() {
        let config = || SmallResNetConfig::new([3, 32, 32], Objective::classes(10));
        for depth in [0, 2, 7, 18, 21] {
            assert_eq!(config().with_depth(depth).check().unwrap_err().field, "depth");
        }
        assert_eq!(config().with_width(0).check().unwrap_err().field, "width");
    }
}
