//! The pre-norm transformer block: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
//!
//! Axes: `B` texts or pictures, `T` tokens, `D` width, `A` heads. Vaswani et al., "Attention is all you need", 2017, with
//! the norm before each part as in GPT-2 (Radford et al. 2019), whose layout and initialisation texts have, and in the
//! vision transformer (Dosovitskiy et al. 2020). Blocks may be dropped in training (Huang et al. 2016).

use crate::check;
use crate::drop_path::DropPath;
use bonfire_contract::ConfigError;
use bonfire_kernels::modules::{dropout, drops, layer_norm, linear, linear_onto};
use bonfire_kernels::{Activation, AttentionOptions, attention, checkpoint};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// Deviation of the weights, of GPT-2.
pub(super) const WEIGHT_STD: f64 = 0.02;

/// Added to the variance by layer norms of texts, Burn's default.
pub(super) const EPSILON: f64 = 1e-5;

/// Where blocks of texts and of pictures differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    /// Added to the variance by layer norms.
    pub epsilon: f64,
    /// Inside the perceptron.
    pub activation: Activation,
    /// Whether what ends in the residual stream starts smaller, the smaller the more blocks there are.
    pub shrinks: bool,
}

/// As GPT-2.
pub(super) const TEXT: Style = Style { epsilon: EPSILON, activation: Activation::GeluTanh, shrinks: true };

/// What a token looks at.
#[derive(Clone, Debug)]
// Moved once a block: a box would cost more than the bytes.
#[allow(clippy::large_enum_variant)]
pub(super) enum Sight {
    /// The tokens that carry text, 1 in `[B, T]`; all where none does.
    Text(Tensor<2>),
    /// Itself and those before it.
    Past,
    /// All.
    All,
}

/// Sizes of a tower of blocks.
pub(super) struct Tower {
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
    pub bias: bool,
    pub dropout: f64,
    pub drop_path: f64,
    pub style: Style,
}

impl Tower {
    pub(super) fn check(&self, model: &'static str) -> Result<(), ConfigError> {
        check::size(model, "width", self.width)?;
        check::layers(model, "layers", self.layers)?;
        let divides = self.heads > 0 && self.width.is_multiple_of(self.heads);
        let expected = format!("a divisor of the width {}", self.width);
        ConfigError::check(divides, model, "heads", expected, self.heads)?;
        check::drop_path(model, self.drop_path)?;
        check::dropout(model, self.dropout)
    }

    pub(super) fn init(&self, device: &Device) -> Vec<Block> {
        (0..self.layers).map(|index| Block::new(self, index, device)).collect()
    }

    pub(super) fn norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.width).with_epsilon(self.style.epsilon).with_bias(self.bias).init(device)
    }
}

/// Attention and a perceptron, each behind a norm and around a shortcut.
#[derive(Module, Debug)]
pub(super) struct Block {
    attention_norm: LayerNorm,
    attention: SelfAttention,
    mlp_norm: LayerNorm,
    /// `[D, 4 D]`
    expand: Linear,
    /// `[4 D, D]`
    contract: Linear,
    dropout: Dropout,
    drop_path: DropPath,
    #[module(skip)]
    style: Style,
}

impl Block {
    fn new(tower: &Tower, index: usize, device: &Device) -> Self {
        let width = tower.width;
        // the residual stream sums 2 parts a layer: their deviations shrink so that its own does not grow
        let parts = if tower.style.shrinks { 2 * tower.layers } else { 1 };
        let residual_std = WEIGHT_STD / (parts as f64).sqrt();
        Block {
            attention_norm: tower.norm(device),
            attention: SelfAttention {
                qkv: normal_linear([width, 3 * width], tower.bias, WEIGHT_STD, device),
                output: normal_linear([width, width], tower.bias, residual_std, device),
                dropout: DropoutConfig::new(tower.dropout).init(),
                heads: tower.heads,
            },
            mlp_norm: tower.norm(device),
            expand: normal_linear([width, 4 * width], tower.bias, WEIGHT_STD, device),
            contract: normal_linear([4 * width, width], tower.bias, residual_std, device),
            dropout: DropoutConfig::new(tower.dropout).init(),
            drop_path: DropPath::rising(tower.drop_path, index, tower.layers),
            style: tower.style,
        }
    }

    /// # Shapes
    /// - input, output: `[B, T, D]`
    pub(super) fn forward(&self, input: Tensor<3>, sight: Sight) -> Tensor<3> {
        let Style { epsilon, activation, .. } = self.style;
        let normal = layer_norm(&self.attention_norm, input.clone(), epsilon);
        let mixed = self.attention.forward(normal, sight); // [B, T, D]
        let x = self.onto(input, &self.attention.output, mixed); // [B, T, D]
        let normal = layer_norm(&self.mlp_norm, x.clone(), epsilon);
        let hidden = linear(&self.expand, normal, activation); // [B, T, 4 D]
        self.onto(x, &self.contract, hidden) // [B, T, D]
    }

    /// `residual + drop_path(dropout(layer(x)))`
    fn onto(&self, residual: Tensor<3>, layer: &Linear, x: Tensor<3>) -> Tensor<3> {
        let (drops, drops_path) = (drops(&self.dropout, &x), self.drop_path.drops(&x));
        if !drops && !drops_path {
            return linear_onto(residual, layer, x);
        }
        let branch = dropout(&self.dropout, linear(layer, x, Activation::Identity));
        residual + if drops_path { self.drop_path.forward(branch) } else { branch }
    }
}

/// What the blocks make of `x` one after the other, `[B, T, D]`.
pub(super) fn through(blocks: &[Block], x: Tensor<3>, sight: &Sight) -> Tensor<3> {
    blocks.iter().fold(x, |x, block| {
        let sight = sight.clone();
        checkpoint::block(block, x, move |block, x| block.forward(x, sight.clone()))
    })
}

/// Multi-head self-attention with one matrix for queries, keys and values.
#[derive(Module, Debug)]
struct SelfAttention {
    /// `[D, 3 D]`: queries, keys, values
    qkv: Linear,
    /// `[D, D]`
    output: Linear,
    dropout: Dropout,
    heads: usize,
}

impl SelfAttention {
    /// What each token gathers, `[B, T, D]`, before the output layer.
    fn forward(&self, input: Tensor<3>, sight: Sight) -> Tensor<3> {
        let dropout = if drops(&self.dropout, &input) { self.dropout.prob } else { 0.0 };
        let (causal, text) = match sight {
            Sight::Text(text) => (false, Some(text)),
            Sight::Past => (true, None),
            Sight::All => (false, None),
        };
        let qkv = linear(&self.qkv, input, Activation::Identity); // [B, T, 3 D]
        attention(qkv, self.heads, AttentionOptions { causal, dropout }, text) // [B, T, D]
    }
}

/// A linear layer with weights normal of deviation `std` and a bias of zeros.
pub(super) fn normal_linear([inputs, outputs]: [usize; 2], bias: bool, std: f64, device: &Device) -> Linear {
    let initializer = Initializer::Normal { mean: 0.0, std };
    let mut linear =
        LinearConfig::new(inputs, outputs).with_bias(false).with_initializer(initializer).init(device);
    linear.bias = bias.then(|| Initializer::Zeros.init([outputs], device));
    linear
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::{Distribution, Tolerance};

    fn tower() -> Tower {
        Tower { width: 8, heads: 2, layers: 3, bias: true, dropout: 0.0, drop_path: 0.0, style: TEXT }
    }

    #[test]
    fn a_block_with_zeroed_outputs_is_the_identity() {
        let device = Device::flex();
        device.seed(4);
        let mut block = Block::new(&tower(), 0, &device);
        block.attention.output.weight = Param::from_tensor(Tensor::zeros([8, 8], &device));
        block.contract.weight = Param::from_tensor(Tensor::zeros([32, 8], &device));
        let input = Tensor::<3>::random([2, 5, 8], Distribution::Default, &device);
        let output = block.forward(input.clone(), Sight::Past);
        output.into_data().assert_eq(&input.into_data(), true);
    }

    #[test]
    fn without_positions_attention_does_not_care_for_order() {
        let device = Device::flex();
        device.seed(5);
        let block = Block::new(&tower(), 0, &device);
        let input = Tensor::<3>::random([1, 4, 8], Distribution::Default, &device);
        let all = || Sight::Text(Tensor::ones([1, 4], &device));
        let flipped = block.forward(input.clone().flip([1]), all()).flip([1]);
        let straight = block.forward(input, all());
        flipped.into_data().assert_approx_eq::<f32>(&straight.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn residual_projections_start_smaller() {
        let device = Device::flex();
        device.seed(6);
        let tower = Tower { width: 64, heads: 4, layers: 8, ..tower() };
        let block = Block::new(&tower, 0, &device);
        let std = |weight: &Param<Tensor<2>>| weight.val().square().mean().into_scalar::<f32>().sqrt();
        assert!((std(&block.expand.weight) - 0.02).abs() < 0.001);
        assert!((std(&block.contract.weight) - 0.005).abs() < 0.00025);
        assert!((std(&block.attention.output.weight) - 0.005).abs() < 0.00025);
        let bias: f32 = block.expand.bias.unwrap().val().abs().sum().into_scalar();
        assert_eq!(bias, 0.0);
    }
}
