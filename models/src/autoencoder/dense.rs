//! Autoencoder of linear layers.
//!
//! Axes: `B` samples, `D` numbers a sample, `Z` codes. Hinton and Salakhutdinov, "Reducing the dimensionality
//! of data with neural networks", 2006, trained end to end; with `noise`, the denoising autoencoder of
//! Vincent et al. 2008. Without hidden layers it is linear and its optimum is principal component analysis
//! (Baldi and Hornik 1989).

use super::{Layers, OutputRange, check_noise, expect_input, squared_error, widths};
use crate::activation::Activation;
use crate::architecture::Architecture;
use crate::check;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Output, Table, Target, Task};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{GaussianNoise, GaussianNoiseConfig};
use burn::tensor::{Device, Tensor, assert_shape};

const MODEL: &str = "autoencoder";

/// Sizes of a [`DenseAutoencoder`].
#[derive(Config, Debug, PartialEq)]
pub struct DenseAutoencoderConfig {
    /// Numbers a sample, `D`: the numeric columns, or `channels * height * width` of a picture.
    pub inputs: usize,
    /// Widths of the encoder's hidden layers; the decoder has them the other way round.
    #[config(default = "vec![512]")]
    pub hidden: Vec<usize>,
    /// Numbers that must carry the sample through the middle, `Z`.
    #[config(default = 32)]
    pub codes: usize,
    /// The non-linearity after each hidden layer.
    #[config(default = "Activation::Gelu")]
    pub activation: Activation,
    /// The range of the input's numbers.
    #[config(default = "OutputRange::Real")]
    pub output_range: OutputRange,
    /// Deviation of the normal noise that is added to the encoder's input in training, in the input's unit.
    #[config(default = 0.0)]
    pub noise: f64,
}

impl Architecture for DenseAutoencoderConfig {
    type Model = DenseAutoencoder;

    const DATA_KEYS: &'static [&'static str] = &["inputs"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.reconstruction()?.numeric()?))
    }

    /// Refuses sizes that no autoencoder can have.
    ///
    /// # Errors
    /// When a size is zero or the noise is negative or no number.
    fn check(&self) -> Result<(), ConfigError> {
        check::positive(MODEL, "inputs", self.inputs)?;
        check::size(MODEL, "codes", self.codes)?;
        check::sizes(MODEL, "hidden", &self.hidden)?;
        check_noise(MODEL, self.noise)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> DenseAutoencoder {
        let inward = widths(self.inputs, &self.hidden, self.codes);
        let outward: Vec<usize> = inward.iter().rev().copied().collect();
        DenseAutoencoder {
            encoder: Layers::new(&inward, self.activation, device),
            decoder: Layers::new(&outward, self.activation, device),
            output_range: self.output_range,
            noise: GaussianNoiseConfig::new(self.noise).init(),
            inputs: self.inputs,
        }
    }
}

/// Linear layers that narrow to the code, and as many that widen again.
#[derive(Module, Debug)]
pub struct DenseAutoencoder {
    encoder: Layers,
    decoder: Layers,
    #[module(skip)]
    output_range: OutputRange,
    noise: GaussianNoise,
    inputs: usize,
}

impl DenseAutoencoder {
    /// The codes, `[B, D]` to `[B, Z]`.
    pub fn encode(&self, input: Tensor<2>) -> Tensor<2> {
        let inputs = self.inputs;
        assert_shape!(input, [_, inputs]);
        self.encoder.forward(self.noise.forward(input))
    }

    /// The samples that the codes stand for, `[B, Z]` to `[B, D]`.
    pub fn decode(&self, codes: Tensor<2>) -> Tensor<2> {
        self.output_range.forward(self.decoder.forward(codes))
    }

    /// The reconstruction, `[B, D]` to `[B, D]`.
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.decode(self.encode(input))
    }
}

/// Reads the numeric columns alone.
impl Task for DenseAutoencoder {
    type Input = Table;

    fn predict(&self, input: Table) -> Output {
        let output = self.forward(input.numeric.clone()); // [B, D]
        Output::Reconstruction { output, input: input.numeric }
    }

    /// Squared error, the mean over samples and their numbers.
    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        expect_input(&target);
        squared_error(self.forward(input.numeric.clone()), input.numeric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::{AdamConfig, GradientsParams};
    use burn::tensor::Distribution;

    #[test]
    fn two_codes_hold_what_has_two_dimensions() {
        let device = Device::flex().autodiff();
        device.seed(41);
        let plane = Tensor::<2>::random([2, 6], Distribution::Normal(0.0, 1.0), &device);
        let points = Tensor::<2>::random([64, 2], Distribution::Normal(0.0, 1.0), &device).matmul(plane);
        let table = Table { numeric: points.clone(), categories: Tensor::zeros([64, 0], &device) };
        let config = DenseAutoencoderConfig::new(6).with_hidden(vec![]).with_codes(2);
        let mut model = config.init(&device);
        let mut optimizer = AdamConfig::new().init();
        for _ in 0..600 {
            let gradients = model.loss(table.clone(), Target::Input).backward();
            model = optimizer.step(0.02, model.clone(), GradientsParams::from_grads(gradients, &model));
        }
        let loss = model.loss(table, Target::Input).into_scalar::<f32>();
        let power = points.square().mean().into_scalar::<f32>();
        assert!(loss < 1e-3 * power, "error {loss} of power {power}");
    }

    #[test]
    fn noise_is_for_training_alone_and_never_in_the_target() {
        let device = Device::flex();
        device.seed(42);
        let config = DenseAutoencoderConfig::new(6).with_noise(1.0).with_output_range(OutputRange::Unit);
        let model = config.init(&device.clone().autodiff());
        let points = |device: &Device| Tensor::<2>::full([3, 6], 0.5, device);
        let training = || model.forward(points(&device.clone().autodiff())).into_data();
        assert_ne!(training(), training());
        let table = Table { numeric: points(&device), categories: Tensor::zeros([3, 0], &device) };
        let valid = model.valid();
        let Output::Reconstruction { output, input } = valid.predict(table) else {
            panic!("an autoencoder reconstructs");
        };
        assert_eq!(output.clone().into_data(), valid.forward(points(&device)).into_data());
        assert_eq!(input.into_data(), points(&device).into_data());
        assert!(output.into_data().iter::<f32>().all(|value| (0.0..=1.0).contains(&value)));
    }

    #[test]
    fn refuses_impossible_sizes() {
        let config = || DenseAutoencoderConfig::new(6);
        let field = |config: DenseAutoencoderConfig| config.check().unwrap_err().field;
        config().check().unwrap();
        assert_eq!(field(DenseAutoencoderConfig::new(0)), "inputs");
        assert_eq!(field(config().with_codes(0)), "codes");
        assert_eq!(field(config().with_hidden(vec![3, 0])), "hidden");
        assert_eq!(field(config().with_noise(-1.0)), "noise");
        assert_eq!(field(config().with_noise(f64::INFINITY)), "noise");
    }
}
