//! The non-linear function between two layers, by the name that a recipe gives it.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// An elementwise non-linearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    #[default]
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x * Phi(x)` with the exact normal distribution function (Hendrycks and Gimpel 2016).
    Gelu,
    /// `x * sigmoid(x)`
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// Applies the function to every element; the shape stays.
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Activation::Relu => activation::relu(input),
            Activation::Relu6 => input.clamp(0.0, 6.0),
            Activation::Gelu => activation::gelu(input),
            Activation::Silu => activation::silu(input),
            Activation::Tanh => activation::tanh(input),
        }
    }

    /// The same as a part of an op before it.
    pub(crate) fn fused(self) -> bonfire_kernels::Activation {
        match self {
            Activation::Relu => bonfire_kernels::Activation::Relu,
            Activation::Relu6 => bonfire_kernels::Activation::Relu6,
            Activation::Gelu => bonfire_kernels::Activation::Gelu,
            Activation::Silu => bonfire_kernels::Activation::Silu,
            Activation::Tanh => bonfire_kernels::Activation::Tanh,
        }
    }
}
