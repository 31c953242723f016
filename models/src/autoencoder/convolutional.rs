//! Autoencoder of strided convolutions for pictures.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `Z` codes. Each stage of the encoder halves height and
//! width by a 3x3 convolution of stride 2; each stage of the decoder doubles them by a 2x2 transposed
//! convolution of stride 2, whose patches do not overlap and so leave no checkerboard (Odena et al. 2016).

use super::{OutputRange, check_noise, expect_input, squared_error};
use crate::activation::Activation;
use crate::architecture::Architecture;
use crate::check;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use bonfire_kernels::Activation::Identity;
use bonfire_kernels::modules::{conv_transpose2d, conv2d, linear};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{GaussianNoise, GaussianNoiseConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "conv_autoencoder";

/// Sizes of a [`ConvAutoencoder`].
#[derive(Config, Debug, PartialEq)]
pub struct ConvAutoencoderConfig {
    /// `[channels, height, width]` of a picture.
    pub picture: [usize; 3],
    /// Channels of the encoder's stages; the decoder has them the other way round.
    #[config(default = "vec![32, 64]")]
    pub widths: Vec<usize>,
    /// Numbers that must carry the picture through the middle, `Z`.
    #[config(default = 32)]
    pub codes: usize,
    /// The non-linearity after each layer but the code and the last.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// The range of the pixels' numbers.
    #[config(default = "OutputRange::Real")]
    pub output_range: OutputRange,
    /// Deviation of the normal noise that is added to the encoder's input in training, in the input's unit.
    #[config(default = 0.0)]
    pub noise: f64,
}

impl Architecture for ConvAutoencoderConfig {
    type Model = ConvAutoencoder;

    const DATA_KEYS: &'static [&'static str] = &["picture"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.reconstruction()?.image()?))
    }

    /// Refuses sizes that no such autoencoder can have.
    ///
    /// # Errors
    /// When a size is zero, height or width cannot be halved without a rest as often as there are stages, or
    /// the noise is negative or no number.
    fn check(&self) -> Result<(), ConfigError> {
        let [channels, height, width] = self.picture;
        let filled = !self.widths.is_empty() && self.widths.iter().all(|width| *width > 0);
        let found = format!("{:?}", self.widths);
        ConfigError::check(filled, MODEL, "widths", "one positive width a stage", found)?;
        check::sizes(MODEL, "widths", &self.widths)?;
        let stages = self.widths.len();
        let halves = |size: usize| size > 0 && size.trailing_zeros() as usize >= stages;
        let expected = format!("a channel, and height and width that {stages} halvings leave whole");
        let found = format!("{:?}", self.picture);
        let fits = channels > 0 && halves(height) && halves(width);
        ConfigError::check(fits, MODEL, "picture", expected, found)?;
        check::size(MODEL, "codes", self.codes)?;
        check_noise(MODEL, self.noise)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> ConvAutoencoder {
        let [channels, height, width] = self.picture;
        let channels = [&[channels], self.widths.as_slice()].concat();
        let stages = self.widths.len();
        let middle = [channels[stages], height >> stages, width >> stages];
        let features = middle.iter().product();
        let narrow = |pair: &[usize]| {
            Conv2dConfig::new([pair[0], pair[1]], [3, 3])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        let widen = |pair: &[usize]| {
            ConvTranspose2dConfig::new([pair[1], pair[0]], [2, 2]).with_stride([2, 2]).init(device)
        };
        ConvAutoencoder {
            encoder: channels.windows(2).map(narrow).collect(),
            to_codes: LinearConfig::new(features, self.codes).init(device),
            from_codes: LinearConfig::new(self.codes, features).init(device),
            decoder: channels.windows(2).rev().map(widen).collect(),
            activation: self.activation,
            output_range: self.output_range,
            noise: GaussianNoiseConfig::new(self.noise).init(),
            picture: self.picture,
            middle,
        }
    }
}

/// Convolutions that narrow to the code, and transposed ones that widen again.
#[derive(Module, Debug)]
pub struct ConvAutoencoder {
    /// `[C_out, C_in, 3, 3]`, and a bias, each
    encoder: Vec<Conv2d>,
    /// `[C * H' * W', Z]`, and a bias
    to_codes: Linear,
    /// `[Z, C * H' * W']`, and a bias
    from_codes: Linear,
    /// `[C_in, C_out, 2, 2]`, and a bias, each
    decoder: Vec<ConvTranspose2d>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    output_range: OutputRange,
    noise: GaussianNoise,
    picture: [usize; 3],
    /// `[channels, height, width]` after the last stage of the encoder.
    middle: [usize; 3],
}

impl ConvAutoencoder {
    /// The codes, `[B, C, H, W]` to `[B, Z]`.
    pub fn encode(&self, pixels: Tensor<4>) -> Tensor<2> {
        let [channels, height, width] = self.picture;
        assert_shape!(pixels, [_, channels, height, width]);
        let mut x = self.noise.forward(pixels);
        for convolution in &self.encoder {
            x = conv2d(convolution, x, self.activation.fused()); // [B, C_out, H / 2, W / 2]
        }
        linear(&self.to_codes, x.flatten::<2>(1, 3), Identity) // [B, Z]
    }

    /// The pictures that the codes stand for, `[B, Z]` to `[B, C, H, W]`.
    pub fn decode(&self, codes: Tensor<2>) -> Tensor<4> {
        let [batch, _] = codes.dims();
        let [channels, height, width] = self.middle;
        let x = linear(&self.from_codes, codes, self.activation.fused()); // [B, C * H' * W']
        let mut x = x.reshape([batch, channels, height, width]);
        for (index, convolution) in self.decoder.iter().enumerate() {
            let last = index + 1 == self.decoder.len();
            let activation = if last { Identity } else { self.activation.fused() };
            x = conv_transpose2d(convolution, x, activation); // [B, C_out, 2 H, 2 W]
        }
        self.output_range.forward(x)
    }

    /// The reconstruction, `[B, C, H, W]` to `[B, C, H, W]`.
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<4> {
        self.decode(self.encode(pixels))
    }
}

impl Task for ConvAutoencoder {
    type Input = Images;

    fn predict(&self, input: Images) -> Output {
        let output = self.forward(input.pixels.clone()).flatten(1, 3); // [B, C * H * W]
        Output::Reconstruction { output, input: input.pixels.flatten(1, 3) }
    }

    /// Squared error, the mean over samples and their numbers.
    fn loss(&self, input: Images, target: Target) -> Tensor<1> {
        expect_input(&target);
        let output = self.forward(input.pixels.clone()).flatten(1, 3); // [B, C * H * W]
        squared_error(output, input.pixels.flatten(1, 3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn gives_every_size_back_that_it_accepts() {
        let device = Device::flex();
        for (picture, widths) in
            [([1, 28, 28], vec![4, 6]), ([3, 4, 12], vec![3, 5]), ([2, 8, 16], vec![2, 3, 4])]
        {
            let config = ConvAutoencoderConfig::new(picture).with_widths(widths).with_codes(3);
            config.check().unwrap();
            let [channels, height, width] = picture;
            let pixels = Tensor::random([2, channels, height, width], Distribution::Default, &device);
            let model = config.init(&device);
            assert_eq!(model.encode(pixels.clone()).dims(), [2, 3]);
            assert_eq!(model.forward(pixels).dims(), [2, channels, height, width]);
        }
    }

    #[test]
    fn predict_pairs_the_reconstruction_with_its_input() {
        let device = Device::flex();
        let config = ConvAutoencoderConfig::new([1, 4, 4]).with_widths(vec![2, 2]).with_codes(2);
        let model = config.init(&device);
        let pixels = Tensor::<4>::random([3, 1, 4, 4], Distribution::Default, &device);
        let images = Images { pixels: pixels.clone() };
        let loss = model.loss(images.clone(), Target::Input).into_scalar::<f32>();
        let Output::Reconstruction { output, input } = model.predict(images) else {
            panic!("an autoencoder reconstructs");
        };
        assert_eq!(input.clone().into_data(), pixels.flatten::<2>(1, 3).into_data());
        let error = (output - input).square().mean().into_scalar::<f32>();
        assert!((error - loss).abs() < 1e-7);
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: ConvAutoencoderConfig| config.check().unwrap_err().field;
        for picture in [[1, 30, 28], [1, 28, 2], [0, 28, 28], [1, 0, 28]] {
            assert_eq!(field(ConvAutoencoderConfig::new(picture)), "picture");
        }
        let config = || ConvAutoencoderConfig::new([1, 28, 28]);
        assert_eq!(field(config().with_widths(vec![])), "widths");
        assert_eq!(field(config().with_widths(vec![8, 8, 8])), "picture");
        assert_eq!(field(config().with_codes(0)), "codes");
        assert_eq!(field(config().with_noise(f64::NAN)), "noise");
    }
}
