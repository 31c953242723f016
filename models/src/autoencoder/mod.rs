//! Autoencoders: a narrow code between an encoder and a decoder that has to give the input back.

mod convolutional;
mod dense;
mod variational;

pub use convolutional::{ConvAutoencoder, ConvAutoencoderConfig};
pub use dense::{DenseAutoencoder, DenseAutoencoderConfig};
pub use variational::{Likelihood, VariationalAutoencoder, VariationalAutoencoderConfig};

use crate::activation::Activation;
use bonfire_contract::{ConfigError, Target};
use bonfire_kernels::Activation::Identity;
use bonfire_kernels::modules::linear;
use bonfire_kernels::{ErrorOfValue, mean_error};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation::sigmoid};
use serde::{Deserialize, Serialize};

/// The range of the input's numbers, and so of the reconstruction's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputRange {
    /// Any real number, as of standardised columns: the last layer is linear.
    #[default]
    Real,
    /// Between 0 and 1, as of pixels that are not normalised: a sigmoid ends the decoder.
    Unit,
}

impl OutputRange {
    fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            OutputRange::Real => x,
            OutputRange::Unit => sigmoid(x),
        }
    }
}

/// Linear layers with an activation between them, and none after the last.
#[derive(Module, Debug)]
struct Layers {
    /// `[D_in, D_out]`, and a bias, each
    layers: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
}

impl Layers {
    /// Layers from the first width to the last.
    fn new(widths: &[usize], activation: Activation, device: &Device) -> Self {
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Layers { layers: widths.windows(2).map(layer).collect(), activation }
    }

    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let mut x = input;
        for (index, layer) in self.layers.iter().enumerate() {
            let last = index + 1 == self.layers.len();
            x = linear(layer, x, if last { Identity } else { self.activation.fused() });
        }
        x
    }
}

/// The widths of layers from `first` over the hidden ones to `last`.
fn widths(first: usize, hidden: &[usize], last: usize) -> Vec<usize> {
    [&[first], hidden, &[last]].concat()
}

/// Refuses a deviation that no noise can have.
fn check_noise(model: &'static str, noise: f64) -> Result<(), ConfigError> {
    let usable = noise.is_finite() && noise >= 0.0;
    ConfigError::check(usable, model, "noise", "a finite number of at least 0", noise)
}

/// The mean squared error of a reconstruction, over samples and the numbers of a sample, `[1]`.
fn squared_error(output: Tensor<2>, input: Tensor<2>) -> Tensor<1> {
    mean_error(output, input, ErrorOfValue::Squared)
}

/// An autoencoder's only target is its input.
///
/// # Panics
/// On any other.
fn expect_input(target: &Target) {
    assert!(matches!(target, Target::Input), "a target of the input itself was expected of an autoencoder");
}
