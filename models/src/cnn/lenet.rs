//! LeNet-5: two 5x5 convolutions with poolings, then three linear layers.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `O` outputs (classes or values). LeCun, Bottou, Bengio
//! and Haffner, "Gradient-based learning applied to document recognition", 1998. What differs, as is usual
//! today: the second convolution sees all channels of the first, poolings are plain means, the activation is
//! tanh unscaled, and the head is linear in place of radial basis functions.

use super::check_picture;
use crate::architecture::Architecture;
use crate::headed::Headed;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use bonfire_kernels::Activation::{Identity, Tanh};
use bonfire_kernels::modules::{avg_pool2d, conv2d, linear};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "lenet";

/// The smallest side that leaves a pixel after both convolutions and poolings.
const LEAST_SIDE: usize = 12;

/// Sizes of a [`LeNet`].
#[derive(Config, Debug, PartialEq)]
pub struct LeNetConfig {
    /// `[channels, height, width]` of a picture, 12 pixels a side at least.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
}

impl Architecture for LeNetConfig {
    type Model = LeNet;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that LeNet cannot have.
    ///
    /// # Errors
    /// When a side is shorter than 12 pixels, there is no channel, or the objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        let [_, height, width] = self.picture;
        let expected = format!("height and width of at least {LEAST_SIDE}");
        let fits = height.min(width) >= LEAST_SIDE;
        ConfigError::check(fits, MODEL, "picture", expected, format!("{:?}", self.picture))
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> LeNet {
        let [channels, height, width] = self.picture;
        let side = |size: usize| (size / 2 - 4) / 2;
        let padding = PaddingConfig2d::Explicit(2, 2, 2, 2);
        LeNet {
            first: Conv2dConfig::new([channels, 6], [5, 5]).with_padding(padding).init(device),
            second: Conv2dConfig::new([6, 16], [5, 5]).init(device),
            pool: AvgPool2dConfig::new([2, 2]).init(),
            third: LinearConfig::new(16 * side(height) * side(width), 120).init(device),
            fourth: LinearConfig::new(120, 84).init(device),
            head: LinearConfig::new(84, self.objective.head()).init(device),
            channels,
            objective: self.objective.clone(),
        }
    }

    fn headed(model: &LeNet) -> Option<&dyn Headed<Input = Images>> {
        Some(model)
    }
}

/// The five layers.
#[derive(Module, Debug)]
pub struct LeNet {
    /// `[6, C, 5, 5]`, and a bias `[6]`
    first: Conv2d,
    /// `[16, 6, 5, 5]`, and a bias `[16]`
    second: Conv2d,
    pool: AvgPool2d,
    /// `[16 * H' * W', 120]`, and a bias
    third: Linear,
    /// `[120, 84]`, and a bias
    fourth: Linear,
    /// `[84, O]`, and a bias
    head: Linear,
    channels: usize,
    #[module(skip)]
    objective: Objective,
}

impl LeNet {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: `[B, C, H, W]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Images) -> Tensor<2> {
        self.answer(self.features(input))
    }
}

impl Headed for LeNet {
    type Input = Images;

    fn features(&self, input: Images) -> Tensor<2> {
        let channels = self.channels;
        assert_shape!(input.pixels, [_, channels, _, _]);
        let x = conv2d(&self.first, input.pixels, Tanh); // [B, 6, H, W]
        let x = avg_pool2d(&self.pool, x); // [B, 6, H / 2, W / 2]
        let x = conv2d(&self.second, x, Tanh); // [B, 16, H / 2 - 4, W / 2 - 4]
        let x = avg_pool2d(&self.pool, x); // [B, 16, H', W']
        let x = linear(&self.third, x.flatten::<2>(1, 3), Tanh); // [B, 120]
        linear(&self.fourth, x, Tanh) // [B, 84]
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, features, Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl Task for LeNet {
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

    #[test]
    fn has_the_papers_sizes() {
        // 28x28 padded to the paper's 32x32; 61,706 is the usual count of this variant
        let model = LeNetConfig::new([1, 28, 28], Objective::classes(10)).init(&Device::flex());
        assert_eq!(model.num_params(), 61_706);
    }

    #[test]
    fn the_smallest_picture_fits_and_a_smaller_one_is_refused() {
        let config = LeNetConfig::new([2, 12, 13], Objective::classes(3));
        config.check().unwrap();
        let device = Device::flex();
        let pixels = Tensor::ones([1, 2, 12, 13], &device);
        assert_eq!(config.init(&device).forward(Images { pixels }).dims(), [1, 3]);
        let small = LeNetConfig::new([2, 28, 11], Objective::classes(3));
        assert_eq!(
            small.check().unwrap_err().to_string(),
            "lenet: picture: expected height and width of at least 12, found [2, 28, 11]"
        );
    }
}
