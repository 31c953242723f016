//! ResNet-9: the network that trains fastest on small pictures.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `O` outputs (classes or values). Page, "How to train
//! your ResNet", 2018, of Stanford's DAWNBench. What differs: pictures are not whitened, all norms train
//! their scale, and the last pooling takes what is left of the picture, whatever its size.

use super::check_picture;
use super::conv_norm::{ConvNorm, Shape};
use crate::architecture::Architecture;
use crate::check;
use crate::headed::Headed;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use bonfire_kernels::Activation::{Identity, Relu};
use bonfire_kernels::modules::linear;
use bonfire_kernels::{checkpoint, max_pool2d};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "resnet9";

/// Three poolings leave a place of so many pixels a side.
const LEAST_SIDE: usize = 8;

/// Sizes of a [`ResNet9`].
#[derive(Config, Debug, PartialEq)]
pub struct ResNet9Config {
    /// `[channels, height, width]` of a picture, 8 pixels a side at least.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Channels of the first convolution; the layers after it have two, four and eight times as many.
    #[config(default = 64)]
    pub width: usize,
    /// The factor on the numbers at the head.
    #[config(default = 0.125)]
    pub output_scale: f64,
}

impl Architecture for ResNet9Config {
    type Model = ResNet9;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];
    const ANY_PICTURE_SIZE: bool = true;

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that no such network can have.
    ///
    /// # Errors
    /// When a side is shorter than 8 pixels, a size is zero, the factor is zero or not finite, or the
    /// objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        let [_, height, width] = self.picture;
        let expected = format!("height and width of at least {LEAST_SIDE}");
        let fits = height.min(width) >= LEAST_SIDE;
        ConfigError::check(fits, MODEL, "picture", expected, format!("{:?}", self.picture))?;
        check::size(MODEL, "width", self.width)?;
        let scale = self.output_scale;
        let usable = scale.is_finite() && scale != 0.0;
        ConfigError::check(usable, MODEL, "output_scale", "a finite number but 0", scale)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> ResNet9 {
        let width = self.width;
        let layer = |inputs: usize, outputs: usize, residual: bool| Layer {
            convolution: Shape::square([inputs, outputs], 1).init(device),
            residual: if residual {
                (0..2).map(|_| Shape::square([outputs, outputs], 1).init(device)).collect()
            } else {
                Vec::new()
            },
        };
        ResNet9 {
            stem: Shape::square([self.picture[0], width], 1).init(device),
            layers: vec![
                layer(width, 2 * width, true),
                layer(2 * width, 4 * width, false),
                layer(4 * width, 8 * width, true),
            ],
            head: LinearConfig::new(8 * width, self.objective.head()).with_bias(false).init(device),
            output_scale: self.output_scale,
            channels: self.picture[0],
            objective: self.objective.clone(),
        }
    }

    fn headed(model: &ResNet9) -> Option<&dyn Headed<Input = Images>> {
        Some(model)
    }
}

/// A convolution, a pooling, and two more convolutions around a shortcut.
#[derive(Module, Debug)]
struct Layer {
    /// `[C_out, C_in, 3, 3]`
    convolution: ConvNorm,
    /// `[C_out, C_out, 3, 3]` twice, or none
    residual: Vec<ConvNorm>,
}

impl Layer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.convolution.forward(x, Relu); // [B, C_out, H, W]
        let x = max_pool2d(x, [2, 2], [2, 2], [0, 0], [1, 1]); // [B, C_out, H / 2, W / 2]
        if self.residual.is_empty() {
            return x;
        }
        x.clone() + self.residual.iter().fold(x, |x, convolution| convolution.forward(x, Relu))
    }
}

/// A stem, three layers, the maximum over places and a head without a bias.
#[derive(Module, Debug)]
pub struct ResNet9 {
    /// `[width, C, 3, 3]`
    stem: ConvNorm,
    layers: Vec<Layer>,
    /// `[8 * width, O]`
    head: Linear,
    output_scale: f64,
    channels: usize,
    #[module(skip)]
    objective: Objective,
}

impl ResNet9 {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: `[B, C, H, W]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Images) -> Tensor<2> {
        self.answer(self.features(input))
    }
}

impl Headed for ResNet9 {
    type Input = Images;

    fn features(&self, input: Images) -> Tensor<2> {
        let channels = self.channels;
        assert_shape!(input.pixels, [_, channels, _, _]);
        let x = self.stem.forward(input.pixels, Relu); // [B, width, H, W]
        // [B, 8 * width, H / 8, W / 8]
        let x = self.layers.iter().fold(x, |x, layer| checkpoint::block(layer, x, Layer::forward));
        let [_, _, height, width] = x.dims();
        let x = max_pool2d(x, [height, width], [1, 1], [0, 0], [1, 1]); // [B, 8 * width, 1, 1]
        x.flatten::<2>(1, 3) // [B, 8 * width]
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, features, Identity) * self.output_scale // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl Task for ResNet9 {
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
    fn has_the_sizes_of_dawnbenchs() {
        let model = ResNet9Config::new([3, 32, 32], Objective::classes(10)).init(&Device::flex());
        let norms: usize = [64, 128, 128, 128, 256, 512, 512, 512].iter().sum();
        let convolutions =
            [[3, 64], [64, 128], [128, 128], [128, 128], [128, 256], [256, 512], [512, 512], [512, 512]];
        let weights: usize = convolutions.iter().map(|[inputs, outputs]| 9 * inputs * outputs).sum();
        assert_eq!(weights + 5120 + 2 * norms, 6_573_120);
        // the norms' means and variances are counted too
        assert_eq!(model.num_params(), 6_573_120 + 2 * norms);
    }

    #[test]
    fn the_smallest_picture_fits_and_impossible_sizes_are_refused() {
        let device = Device::flex();
        let config = || ResNet9Config::new([1, 8, 19], Objective::classes(3)).with_width(4);
        config().check().unwrap();
        let pixels = Tensor::ones([2, 1, 8, 19], &device);
        assert_eq!(config().init(&device).forward(Images { pixels }).dims(), [2, 3]);
        let field = |config: ResNet9Config| config.check().unwrap_err().field;
        assert_eq!(field(ResNet9Config::new([3, 7, 32], Objective::classes(2))), "picture");
        assert_eq!(field(config().with_width(0)), "width");
        assert_eq!(field(config().with_output_scale(0.0)), "output_scale");
    }
}
