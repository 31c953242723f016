//! Variational autoencoder of linear layers.
//!
//! Axes: `B` samples, `D` numbers a sample, `Z` codes. Kingma and Welling, "Auto-encoding variational Bayes",
//! 2013: the encoder names a normal distribution of codes, the decoder a distribution of samples, and the
//! loss is the negative evidence lower bound, in nats a sample, with a weight on the Kullback-Leibler term
//! (Higgins et al. 2017).

use super::{Layers, expect_input, widths};
use crate::activation::Activation;
use crate::architecture::Architecture;
use crate::check;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Output, Table, Target, Task};
use bonfire_kernels::widened;
use burn::config::Config;
use burn::module::Module;
use burn::nn::{GaussianNoise, GaussianNoiseConfig};
use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

const MODEL: &str = "vae";

/// The distribution of a sample's numbers, given its codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Normal around the decoder's output, of deviation `output_std`: squared error in nats.
    #[default]
    Gaussian,
    /// Bernoulli of the decoder's sigmoid, for numbers between 0 and 1.
    Bernoulli,
}

/// Sizes of a [`VariationalAutoencoder`].
#[derive(Config, Debug, PartialEq)]
pub struct VariationalAutoencoderConfig {
    /// Numbers a sample, `D`: the numeric columns, or `channels * height * width` of a picture.
    pub inputs: usize,
    /// Widths of the encoder's hidden layers; the decoder has them the other way round.
    #[config(default = "vec![512]")]
    pub hidden: Vec<usize>,
    /// Dimensions of the code, `Z`.
    #[config(default = 16)]
    pub codes: usize,
    /// The non-linearity after each hidden layer.
    #[config(default = "Activation::Gelu")]
    pub activation: Activation,
    /// The distribution of a sample's numbers.
    #[config(default = "Likelihood::Gaussian")]
    pub likelihood: Likelihood,
    /// The Gaussian likelihood's deviation, in the input's unit.
    #[config(default = 1.0)]
    pub output_std: f64,
    /// The weight of the Kullback-Leibler term; at 1 the loss is the evidence bound.
    #[config(default = 1.0)]
    pub beta: f64,
}

impl Architecture for VariationalAutoencoderConfig {
    type Model = VariationalAutoencoder;

    const DATA_KEYS: &'static [&'static str] = &["inputs"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.reconstruction()?.numeric()?))
    }

    /// Refuses sizes that no such autoencoder can have.
    ///
    /// # Errors
    /// When a size is zero, the deviation is not positive, or `beta` is negative or no number.
    fn check(&self) -> Result<(), ConfigError> {
        check::positive(MODEL, "inputs", self.inputs)?;
        check::size(MODEL, "codes", self.codes)?;
        check::sizes(MODEL, "hidden", &self.hidden)?;
        let std = self.output_std;
        let usable = std.is_finite() && std > 0.0;
        ConfigError::check(usable, MODEL, "output_std", "a positive number", std)?;
        let usable = self.beta.is_finite() && self.beta >= 0.0;
        ConfigError::check(usable, MODEL, "beta", "a finite number of at least 0", self.beta)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> VariationalAutoencoder {
        let inward = widths(self.inputs, &self.hidden, 2 * self.codes);
        let reversed: Vec<usize> = self.hidden.iter().rev().copied().collect();
        let outward = widths(self.codes, &reversed, self.inputs);
        VariationalAutoencoder {
            encoder: Layers::new(&inward, self.activation, device),
            decoder: Layers::new(&outward, self.activation, device),
            unit_noise: GaussianNoiseConfig::new(1.0).init(),
            inputs: self.inputs,
            codes: self.codes,
            likelihood: self.likelihood,
            output_std: self.output_std,
            beta: self.beta,
        }
    }
}

/// An encoder of means and log-variances, and a decoder.
#[derive(Module, Debug)]
pub struct VariationalAutoencoder {
    /// Ends in `[.., 2 Z]`: means, then log-variances.
    encoder: Layers,
    decoder: Layers,
    unit_noise: GaussianNoise,
    inputs: usize,
    codes: usize,
    #[module(skip)]
    likelihood: Likelihood,
    output_std: f64,
    beta: f64,
}

impl VariationalAutoencoder {
    /// Means and log-variances of the codes, `[B, D]` to `[B, Z]` twice.
    pub fn encode(&self, input: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let inputs = self.inputs;
        assert_shape!(input, [_, inputs]);
        let both = self.encoder.forward(input); // [B, 2 Z]
        let mean = both.clone().narrow(1, 0, self.codes);
        (mean, both.narrow(1, self.codes, self.codes))
    }

    /// The mean of the samples that the codes stand for, `[B, Z]` to `[B, D]`.
    pub fn decode(&self, codes: Tensor<2>) -> Tensor<2> {
        let output = self.decoder.forward(codes);
        match self.likelihood {
            Likelihood::Gaussian => output,
            Likelihood::Bernoulli => sigmoid(output),
        }
    }

    /// The reconstruction from the mean code, `[B, D]` to `[B, D]`.
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let (mean, _) = self.encode(input);
        self.decode(mean)
    }

    /// The negative log-likelihood of the input, `[B]`, in nats a sample.
    ///
    /// # Shapes
    /// - decoded: `[B, D]`, the decoder's output before any sigmoid
    /// - input: `[B, D]`
    fn reconstruction_nats(&self, decoded: Tensor<2>, input: Tensor<2>) -> Tensor<1> {
        let nats = match self.likelihood {
            Likelihood::Gaussian => {
                let variance = self.output_std * self.output_std;
                let constant = 0.5 * (std::f64::consts::TAU * variance).ln();
                (decoded - input).square() * (0.5 / variance) + constant // [B, D]
            }
            Likelihood::Bernoulli => {
                // -log(1 - p) - input * z, for p = sigmoid(z)
                log_sigmoid(decoded.clone().neg()).neg() - input * decoded // [B, D]
            }
        };
        nats.sum_dim(1).squeeze_dim(1) // [B]
    }
}

/// The divergence of normal codes from the standard normal distribution, `[B]`, in nats a sample.
///
/// # Shapes
/// - mean, log_variance: `[B, Z]`
fn divergence(mean: Tensor<2>, log_variance: Tensor<2>) -> Tensor<1> {
    let nats = (mean.square() + log_variance.clone().exp() - log_variance - 1.0) * 0.5; // [B, Z]
    nats.sum_dim(1).squeeze_dim(1) // [B]
}

/// Reads the numeric columns alone.
impl Task for VariationalAutoencoder {
    type Input = Table;

    /// Reconstructs from the mean code.
    fn predict(&self, input: Table) -> Output {
        let output = self.forward(input.numeric.clone()); // [B, D]
        Output::Reconstruction { output, input: input.numeric }
    }

    /// The negative evidence lower bound with the divergence weighed by `beta`, in nats a sample: a sum over
    /// the sample's numbers, the mean over samples. In training each sample draws one code; on a module made
    /// by `valid()` its mean code stands in, so that the figure is the same each time.
    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        expect_input(&target);
        let (mean, log_variance) = self.encode(input.numeric.clone()); // [B, Z]
        let (mean, log_variance) = (widened(mean), widened(log_variance));
        let draw = self.unit_noise.forward(mean.zeros_like()); // [B, Z]
        let codes = mean.clone() + draw * (log_variance.clone() * 0.5).exp();
        let decoded = widened(self.decoder.forward(codes)); // [B, D]
        let reconstruction = self.reconstruction_nats(decoded, input.numeric); // [B]
        (reconstruction + divergence(mean, log_variance) * self.beta).mean()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    fn config() -> VariationalAutoencoderConfig {
        VariationalAutoencoderConfig::new(6).with_hidden(vec![5]).with_codes(2)
    }

    #[test]
    fn divergence_of_known_distributions() {
        let device = Device::flex();
        let mean = Tensor::from_data([[0.0, 0.0], [3.0, -1.0]], &device);
        let log_variance = Tensor::from_data([[0.0, 0.0], [0.0, 4f32.ln()]], &device);
        let found: Vec<f32> = divergence(mean, log_variance).into_data().iter().collect();
        assert_eq!(found[0], 0.0, "the standard normal distribution does not diverge from itself");
        let expected = (9.0 + 1.0 + 4.0 - 1.0 - 4f32.ln()) / 2.0;
        assert!((found[1] - expected).abs() < 1e-5, "{} is not {expected}", found[1]);
    }

    #[test]
    fn likelihoods_of_hand_values() {
        let device = Device::flex();
        let nats = |config: VariationalAutoencoderConfig, decoded: [[f32; 2]; 1]| {
            let input = Tensor::from_data([[1.0, 0.25]], &device);
            let model = config.init(&device);
            let nats = model.reconstruction_nats(Tensor::from_data(decoded, &device), input);
            f64::from(nats.into_scalar::<f32>())
        };
        let gaussian = nats(config().with_output_std(0.5), [[0.0, 0.25]]);
        let expected = 0.5 * 1.0 / 0.25 + 2.0 * (0.5 * (std::f64::consts::TAU * 0.25).ln());
        assert!((gaussian - expected).abs() < 1e-5, "{gaussian} is not {expected}");
        let bernoulli = nats(config().with_likelihood(Likelihood::Bernoulli), [[2.0, -1.0]]);
        let p = |z: f64| 1.0 / (1.0 + (-z).exp());
        let expected = -p(2.0).ln() - 0.25 * p(-1.0).ln() - 0.75 * (1.0 - p(-1.0)).ln();
        assert!((bernoulli - expected).abs() < 1e-5, "{bernoulli} is not {expected}");
        let far = nats(config().with_likelihood(Likelihood::Bernoulli), [[300.0, -200.0]]);
        assert!((far - 0.25 * 200.0).abs() < 1e-3, "{far}");
    }

    #[test]
    fn training_draws_codes_and_prediction_does_not() {
        let device = Device::flex();
        device.seed(51);
        let table = |device: &Device| Table {
            numeric: Tensor::from_data([[0.1, 0.9, 0.3, 0.5, 0.0, 1.0]], device),
            categories: Tensor::zeros([1, 0], device),
        };
        let model = config().init(&device.clone().autodiff());
        let training = || model.loss(table(&device.clone().autodiff()), Target::Input).into_scalar::<f32>();
        assert_ne!(training(), training());
        let valid = model.valid();
        let loss = || valid.loss(table(&device), Target::Input).into_scalar::<f32>();
        assert_eq!(loss(), loss());
        let Output::Reconstruction { output, .. } = valid.predict(table(&device)) else {
            panic!("an autoencoder reconstructs");
        };
        let (mean, _) = valid.encode(table(&device).numeric);
        output.into_data().assert_approx_eq::<f32>(&valid.decode(mean).into_data(), Tolerance::absolute(0.0));
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: VariationalAutoencoderConfig| config.check().unwrap_err().field;
        config().check().unwrap();
        assert_eq!(field(VariationalAutoencoderConfig::new(0)), "inputs");
        assert_eq!(field(config().with_codes(0)), "codes");
        assert_eq!(field(config().with_hidden(vec![0])), "hidden");
        assert_eq!(field(config().with_output_std(0.0)), "output_std");
        assert_eq!(field(config().with_beta(f64::NAN)), "beta");
    }
}
