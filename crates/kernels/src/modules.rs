//! Burn's own modules, run by these kernels.
//!
//! A model keeps its weights in Burn's modules, so that records do not depend on the path that ran. It calls
//! these functions in place of the modules' `forward`.

use crate::{Activation, ConvOptions, ConvTransposeOptions, Gates, GruWeights, Squash};
use burn::nn::activation::Activation as BurnActivation;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
use burn::nn::{
    Dropout, Embedding, GateController, GroupNorm, Gru, LayerNorm, Linear, Lstm, PaddingConfig2d, RmsNorm,
    Rnn,
};
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
pub use crate::conv::conv_norm;
pub use crate::dropout::{dropout, dropout_along};

/// `module(x)`, `[..., D]` to the same. Burn's module hides its `epsilon`, so the caller repeats it.
pub fn layer_norm<const D: usize>(module: &LayerNorm, x: Tensor<D>, epsilon: f64) -> Tensor<D> {
    crate::layer_norm(x, module.gamma.val(), module.beta.as_ref().map(|beta| beta.val()), epsilon)
}

/// `module(x)`, `[..., D]` to the same.
pub fn rms_norm<const D: usize>(module: &RmsNorm, x: Tensor<D>) -> Tensor<D> {
    crate::rms_norm(x, module.gamma.val(), module.epsilon)
}

/// `module(x)`, `[B, C, ...]` to the same. A module without weight and bias runs Burn's own forward.
pub fn group_norm<const D: usize>(module: &GroupNorm, x: Tensor<D>) -> Tensor<D> {
    match (&module.gamma, &module.beta) {
        (Some(gamma), Some(beta)) => {
            crate::group_norm(x, module.num_groups, gamma.val(), beta.val(), module.epsilon)
        }
        _ => module.forward(x),
    }
}

/// True if the module drops numbers of `x`: it trains, and a backward pass may follow.
pub fn drops<const D: usize>(module: &Dropout, x: &Tensor<D>) -> bool {
    module.prob > 0.0 && module.training.is_enabled() && x.device().is_autodiff()
}

/// The module's row for each token, `[B, T]` to `[B, T, D]`.
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

/// The mean of each cell of a grid, `[B, C, H, W]` to `[B, C, H', W']`. A grid of more than one cell runs
/// Burn's own forward.
pub fn adaptive_avg_pool2d(module: &AdaptiveAvgPool2d, x: Tensor<4>) -> Tensor<4> {
    match module.output_size {
        [1, 1] => crate::global_avg_pool(x).unsqueeze_dims(&[2, 3]),
        _ => module.forward(x),
    }
}

/// The hidden state after each step, by [`crate::lstm`], which explains `x`, `mask` and `backwards`. The
/// module's own `batch_first` and `reverse` are ignored.
///
/// # Shapes
/// - x: `[T, B, I]`, time first
/// - mask: `[T, B]`, 1 for text and 0 for padding
/// - output: `[T, B, D]`
///
/// # Panics
/// When there is a mask, `backwards` is set, and [`crate::lstm`] lacks one of the module's options: coupled
/// gates, clipping, other activations.
pub fn lstm(module: &Lstm, x: Tensor<3>, mask: Option<Tensor<2>>, backwards: bool) -> Tensor<3> {
    use BurnActivation::{Sigmoid, Tanh};
    let usual = matches!(
        (&module.gate_activation, &module.cell_activation, &module.hidden_activation),
        (Sigmoid(_), Tanh(_), Tanh(_))
    );
    let Some(forget) = module.forget_gate.as_ref().filter(|_| usual && module.clip.is_none()) else {
        assert!(
            mask.is_none() || !backwards,
            "no mask for a layer of coupled gates, clipping or other activations"
        );
        let own = Lstm { batch_first: false, reverse: backwards, ..module.clone() };
        return own.forward(x, None).0;
    };
    let gates = [&module.input_gate, forget, &module.output_gate, &module.cell_gate];
    let bias = Tensor::cat(gates.map(bias).to_vec(), 0); // [4 D]
    crate::lstm(x, weights(gates), bias, mask, backwards)
}

/// The hidden state after each step, by [`crate::gru`], with the arguments of [`lstm`].
///
/// # Panics
/// When there is a mask, `backwards` is set, and [`crate::gru`] lacks one of the module's options: a reset
/// before the multiplication, clipping, other activations.
pub fn gru(module: &Gru, x: Tensor<3>, mask: Option<Tensor<2>>, backwards: bool) -> Tensor<3> {
    use BurnActivation::{Sigmoid, Tanh};
    let usual = matches!((&module.gate_activation, &module.hidden_activation), (Sigmoid(_), Tanh(_)));
    if !usual || !module.reset_after || module.clip.is_some() {
        assert!(
            mask.is_none() || !backwards,
            "no mask for a layer of an early reset, clipping or other activations"
        );
        let turned = |x: Tensor<3>| if backwards { x.flip([0]) } else { x };
        return turned(module.forward(turned(x).swap_dims(0, 1), None).swap_dims(0, 1));
    }
    let gates = [&module.reset_gate, &module.update_gate, &module.new_gate];
    let candidate = &module.new_gate;
    // the reset gate multiplies the candidate's map of the state, bias included
    let bias = [bias(gates[0]), bias(gates[1]), or_zeros(&candidate.input_transform)];
    let weights = GruWeights {
        gates: weights(gates),
        bias: Tensor::cat(bias.to_vec(), 0), // [3 D]
        candidate_bias: or_zeros(&candidate.hidden_transform),
    };
    crate::gru(x, weights, mask, backwards)
}

/// The hidden state after each step, by [`crate::rnn`], with the arguments of [`lstm`].
///
/// # Panics
/// When there is a mask, `backwards` is set, and [`crate::rnn`] lacks one of the module's options: clipping,
/// activations other than ReLU and tanh.
pub fn rnn(module: &Rnn, x: Tensor<3>, mask: Option<Tensor<2>>, backwards: bool) -> Tensor<3> {
    let squash = match (&module.hidden_activation, module.clip) {
        (BurnActivation::Tanh(_), None) => Squash::Tanh,
        (BurnActivation::Relu(_), None) => Squash::Relu,
        _ => {
            assert!(mask.is_none() || !backwards, "no mask for a layer of clipping or other activations");
            let own = Rnn { batch_first: false, reverse: backwards, ..module.clone() };
            return own.forward(x, None).0;
        }
    };
    crate::rnn(x, weights([&module.gate]), bias(&module.gate), squash, mask, backwards)
}

fn weights<const G: usize>(gates: [&GateController; G]) -> Gates<G> {
    Gates {
        input: gates.map(|gate| gate.input_transform.weight.val()),
        hidden: gates.map(|gate| gate.hidden_transform.weight.val()),
    }
}

/// The sum of a gate's two biases, `[D]`.
fn bias(gate: &GateController) -> Tensor<1> {
    let biases =
        [&gate.input_transform, &gate.hidden_transform].map(|map| map.bias.as_ref().map(|bias| bias.val()));
    match biases {
        [Some(of_input), Some(of_hidden)] => of_input + of_hidden,
        [Some(bias), None] | [None, Some(bias)] => bias,
        [None, None] => or_zeros(&gate.input_transform),
    }
}

/// A map's bias, `[O]`, or zeros.
fn or_zeros(map: &Linear) -> Tensor<1> {
    let weight = &map.weight;
    match &map.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([weight.dims()[1]], (&weight.device(), weight.val().dtype())),
    }
}

/// The padding above and below, and at either side; `None` if the sides differ or depend on the input.
pub(crate) fn symmetric(padding: &PaddingConfig2d) -> Option<[usize; 2]> {
    match *padding {
        PaddingConfig2d::Valid => Some([0, 0]),
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            Some([top, left])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    //! Burn's modules by their own `forward` against these functions.

    use super::*;
    use crate::testing::random;
    use burn::nn::activation::ActivationConfig;
    use burn::nn::pool::AdaptiveAvgPool2dConfig;
    use burn::nn::{GroupNormConfig, GruConfig, Initializer, LstmConfig, RmsNormConfig, RnnConfig};
    use burn::tensor::{Device, Tolerance};

    fn tensor<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let sample = random(&shape, 1);
        Tensor::<1>::from_data(sample.values.as_slice(), &Device::flex()).reshape(shape)
    }

    fn assert_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>) {
        found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn recurrent_layers_and_their_options() {
        let (device, x) = (Device::flex(), tensor([4, 3, 5])); // [T, B, I]
        let uniform = Initializer::Uniform { min: -0.7, max: 0.7 };
        for (biased, backwards) in [(true, false), (true, true), (false, false), (false, true)] {
            let plain = LstmConfig::new(5, 6, biased).with_batch_first(false).with_reverse(backwards);
            let plain = plain.with_initializer(uniform.clone());
            let configs = [
                plain.clone(),
                plain.clone().with_clip(Some(0.1)),
                plain.clone().with_input_forget(true),
                plain.with_hidden_activation(ActivationConfig::Relu),
            ];
            for config in configs {
                let module = config.init(&device);
                assert_close(lstm(&module, x.clone(), None, backwards), module.forward(x.clone(), None).0);
            }
            let plain = RnnConfig::new(5, 6, biased).with_batch_first(false).with_reverse(backwards);
            let plain = plain.with_initializer(uniform.clone());
            let relu = plain.clone().with_hidden_activation(ActivationConfig::Relu);
            for config in [plain.clone(), relu, plain.with_clip(Some(0.1))] {
                let module = config.init(&device);
                assert_close(rnn(&module, x.clone(), None, backwards), module.forward(x.clone(), None).0);
            }
            let turned = |x: Tensor<3>| if backwards { x.flip([0]) } else { x };
            for reset_after in [true, false] {
                let config = GruConfig::new(5, 6, biased).with_reset_after(reset_after);
                let module = config.with_initializer(uniform.clone()).init(&device);
                let states = module.forward(turned(x.clone()).swap_dims(0, 1), None).swap_dims(0, 1);
                assert_close(gru(&module, x.clone(), None, backwards), turned(states));
            }
        }
    }

    #[test]
    fn norms_and_a_pool() {
        let device = Device::flex();
        let x = tensor([2, 6, 5, 4]);
        for affine in [true, false] {
            let module = GroupNormConfig::new(3, 6).with_affine(affine).init(&device);
            assert_close(group_norm(&module, x.clone()), module.forward(x.clone()));
        }
        let module = RmsNormConfig::new(4).init(&device);
        assert_close(rms_norm(&module, x.clone()), module.forward(x.clone()));
        for size in [[1, 1], [2, 2]] {
            let module = AdaptiveAvgPool2dConfig::new(size).init();
            assert_close(adaptive_avg_pool2d(&module, x.clone()), module.forward(x.clone()));
        }
    }
}
