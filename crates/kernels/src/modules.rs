//! Burn's own modules, run by these kernels.
//!
//! A model keeps its weights in Burn's modules, so that records do not tell which path ran, and calls these functions
//! in place of the modules' `forward`.

use crate::{Activation, ConvOptions, ConvTransposeOptions};
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::pool::{AvgPool2d, MaxPool2d};
use burn::nn::{Dropout, Embedding, LayerNorm, Linear, PaddingConfig2d};
use burn::tensor::{Int, Tensor};

/// `activation(module(x))`, `[..., I]` to `[..., O]`.
pub fn linear<const D: usize>(module: &Linear, x: Tensor<D>, activation: Activation) -> Tensor<D> {
    crate::linear(x, module.weight.val(), module.bias.as_ref().map(|bias| bias.val()), activation)
}

/// `residual + module(x)`, `[..., I]` to `[..., O]`.
pub fn linear_onto<const D: usize>(residual: Tensor<D>, module: &Linear, x: Tensor<D>) -> Tensor<D> {
    crate::linear_onto(residual, x, module.weight.val(), module.bias.as_ref().map(|bias| bias.val()))
}

pub use crate::batch_norm::batch_norm;
pub use crate::dropout::dropout;

/// `module(x)`, `[..., D]` to the same. The module keeps its epsilon to itself, so that it is said again.
pub fn layer_norm<const D: usize>(module: &LayerNorm, x: Tensor<D>, epsilon: f64) -> Tensor<D> {
    crate::layer_norm(x, module.gamma.val(), module.beta.as_ref().map(|beta| beta.val()), epsilon)
}

/// Whether the module drops anything of `x` now: where it trains, and a backward pass may follow.
pub fn drops<const D: usize>(module: &Dropout, x: &Tensor<D>) -> bool {
    module.prob > 0.0 && module.training.is_enabled() && x.device().is_autodiff()
}

/// The module's rows at `tokens`, `[B, T]` to `[B, T, D]`.
pub fn embedding(module: &Embedding, tokens: Tensor<2, Int>) -> Tensor<3> {
    crate::embedding(module.weight.val(), tokens)
}

/// `activation(module(x))`, `[B, C_in, H, W]` to `[B, C_out, H', W']`.
pub fn conv2d(module: &Conv2d, x: Tensor<4>, activation: Activation) -> Tensor<4> {
    let Some(padding) = symmetric(&module.padding) else {
        return activation.plain(module.forward(x));
    };
    let options =
        ConvOptions { stride: module.stride, padding, dilation: module.dilation, groups: module.groups };
    let bias = module.bias.as_ref().map(|bias| bias.val());
    crate::conv2d(x, module.weight.val(), bias, options, activation)
}

/// `activation(module(x))`, `[B, C_in, H, W]` to `[B, C_out, H', W']`.
pub fn conv_transpose2d(module: &ConvTranspose2d, x: Tensor<4>, activation: Activation) -> Tensor<4> {
    let options = ConvTransposeOptions {
        stride: module.stride,
        padding: module.padding,
        padding_out: module.padding_out,
        dilation: module.dilation,
        groups: module.groups,
    };
    let bias = module.bias.as_ref().map(|bias| bias.val());
    crate::conv_transpose2d(x, module.weight.val(), bias, options, activation)
}

/// The largest of each window, `[B, C, H, W]` to `[B, C, H', W']`.
pub fn max_pool2d(module: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    match symmetric(&module.padding) {
        Some(padding) if !module.ceil_mode => {
            crate::max_pool2d(x, module.kernel_size, module.stride, padding, module.dilation)
        }
        _ => module.forward(x),
    }
}

/// The mean of each window, `[B, C, H, W]` to `[B, C, H', W']`.
pub fn avg_pool2d(module: &AvgPool2d, x: Tensor<4>) -> Tensor<4> {
    match symmetric(&module.padding) {
        Some(padding) if !module.ceil_mode => {
            crate::avg_pool2d(x, module.kernel_size, module.stride, padding, module.count_include_pad)
        }
        _ => module.forward(x),
    }
}

/// Rows above and below, and columns at either side; none where the sides differ or depend on the input.
fn symmetric(padding: &PaddingConfig2d) -> Option<[usize; 2]> {
    match *padding {
        PaddingConfig2d::Valid => Some([0, 0]),
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            Some([top, left])
        }
        _ => None,
    }
}
