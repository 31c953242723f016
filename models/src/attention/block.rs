//! The pre-norm transformer block: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
//!
//! Axes: `B` samples, `T` tokens (of a text, patches of a picture, columns of a table), `D` width, `A` heads.
//! Vaswani et al., "Attention is all you need", 2017, with the norm before each part as in GPT-2 (Radford et
//! al. 2019), whose layout and initialisation the blocks have by default, and in the vision transformer
//! (Dosovitskiy et al. 2020). Blocks may be dropped in training (Huang et al. 2016).
//!
//! A model keeps its blocks in a `Vec`, and the norm that ends them beside it:
//!
//! ```
//! use bonfire_models::{AttentionMask, TransformerBlock, TransformerBlocksConfig, through_blocks};
//! use burn::module::Module;
//! use burn::nn::LayerNorm;
//! use burn::tensor::{Device, Distribution, Tensor};
//!
//! /// Each column of a table as a token (Gorishniy et al. 2021).
//! #[derive(Module, Debug)]
//! struct Columns {
//!     blocks: Vec<TransformerBlock>,
//!     norm: LayerNorm,
//! }
//!
//! let device = Device::flex();
//! let sizes = TransformerBlocksConfig { dropout: 0.1, ..TransformerBlocksConfig::new(16, 4, 2) };
//! sizes.check("columns").unwrap();
//! let model = Columns { blocks: sizes.init(&device), norm: sizes.norm(&device) };
//!
//! let columns = Tensor::<3>::random([8, 5, 16], Distribution::Default, &device); // [B, T, D]
//! let mixed = through_blocks(&model.blocks, columns, &AttentionMask::None); // [B, T, D]
//! assert_eq!(model.norm.forward(mixed).dims(), [8, 5, 16]);
//! ```

use crate::check;
use crate::drop_path::DropPath;
use crate::sequence::carries_text;
use bonfire_contract::ConfigError;
use bonfire_kernels::modules::{dropout, drops, layer_norm, linear, linear_onto};
use bonfire_kernels::{Activation, AttentionOptions, attention, checkpoint};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Tensor};

/// The deviation of initial weights, as in GPT-2.
pub(super) const WEIGHT_STD: f64 = 0.02;

/// The number that layer norms add to the variance unless told otherwise, as in Burn and PyTorch.
pub(super) const EPSILON: f64 = 1e-5;

/// The tokens that each token attends to.
#[derive(Clone, Debug)]
// Moved once a block: a box would cost more than the bytes.
#[allow(clippy::large_enum_variant)]
pub enum AttentionMask {
    /// Those that carry text: 1 in `[B, T]`, and 0 where a position is padding. See
    /// [`AttentionMask::padding`].
    Text(Tensor<2>),
    /// Itself and those before it.
    Causal,
    /// All.
    None,
}

impl AttentionMask {
    /// Leaves out padding, which is true in `[B, T]`.
    pub fn padding(padding: Tensor<2, Bool>) -> Self {
        AttentionMask::Text(carries_text(padding))
    }
}

/// Sizes of a stack of blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformerBlocksConfig {
    /// Numbers that stand for a token, `D`.
    pub width: usize,
    /// Heads a block, `A`; they divide the width.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
    /// Biases in linear layers and norms.
    pub bias: bool,
    /// The share of attention weights and block outputs that is dropped in training, in `[0, 1)`.
    pub dropout: f64,
    /// The probability that a part of the last block is left out of a sample in training, in `[0, 1)`; it
    /// rises from 0.
    pub drop_path: f64,
    /// The number that layer norms add to the variance.
    pub epsilon: f64,
    /// The function inside the perceptron.
    pub activation: Activation,
    /// Smaller initial weights in the layers that end in the residual stream: the more blocks, the smaller.
    pub scaled_residuals: bool,
}

impl TransformerBlocksConfig {
    /// Blocks as GPT-2 has them, without dropout.
    pub fn new(width: usize, heads: usize, layers: usize) -> Self {
        TransformerBlocksConfig {
            width,
            heads,
            layers,
            bias: true,
            dropout: 0.0,
            drop_path: 0.0,
            epsilon: EPSILON,
            activation: Activation::GeluTanh,
            scaled_residuals: true,
        }
    }

    /// Refuses sizes that no block can have, in the name of `model`.
    ///
    /// # Errors
    /// When a size is zero or beyond any machine, the heads do not divide the width, or a probability is
    /// outside `[0, 1)`.
    pub fn check(&self, model: &'static str) -> Result<(), ConfigError> {
        check::size(model, "width", self.width)?;
        check::layers(model, "layers", self.layers)?;
        let divides = self.heads > 0 && self.width.is_multiple_of(self.heads);
        let expected = format!("a divisor of the width {}", self.width);
        ConfigError::check(divides, model, "heads", expected, self.heads)?;
        check::drop_path(model, self.drop_path)?;
        check::dropout(model, self.dropout)
    }

    /// The blocks, with weights drawn from the device's generator, for [`through_blocks`].
    pub fn init(&self, device: &Device) -> Vec<TransformerBlock> {
        (0..self.layers).map(|index| TransformerBlock::new(self, index, device)).collect()
    }

    /// A norm such as the blocks have, which their output needs once: pre-norm blocks do not end in one.
    pub fn norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.width).with_epsilon(self.epsilon).with_bias(self.bias).init(device)
    }
}

/// Attention and a perceptron, each behind a norm and around a shortcut.
#[derive(Module, Debug)]
pub struct TransformerBlock {
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
    epsilon: f64,
    #[module(skip)]
    activation: Activation,
}

impl TransformerBlock {
    fn new(sizes: &TransformerBlocksConfig, index: usize, device: &Device) -> Self {
        let width = sizes.width;
        // The residual stream sums 2 parts a block: their deviations shrink so that its own does not grow.
        let parts = if sizes.scaled_residuals { 2 * sizes.layers } else { 1 };
        let residual_std = WEIGHT_STD / (parts as f64).sqrt();
        TransformerBlock {
            attention_norm: sizes.norm(device),
            attention: SelfAttention {
                qkv: normal_linear([width, 3 * width], sizes.bias, WEIGHT_STD, device),
                output: normal_linear([width, width], sizes.bias, residual_std, device),
                dropout: DropoutConfig::new(sizes.dropout).init(),
                heads: sizes.heads,
            },
            mlp_norm: sizes.norm(device),
            expand: normal_linear([width, 4 * width], sizes.bias, WEIGHT_STD, device),
            contract: normal_linear([4 * width, width], sizes.bias, residual_std, device),
            dropout: DropoutConfig::new(sizes.dropout).init(),
            drop_path: DropPath::rising(sizes.drop_path, index, sizes.layers),
            epsilon: sizes.epsilon,
            activation: sizes.activation,
        }
    }

    /// Attention, then the perceptron, each added to its input.
    ///
    /// # Shapes
    /// - input, output: `[B, T, D]`
    pub fn forward(&self, input: Tensor<3>, mask: AttentionMask) -> Tensor<3> {
        let normal = layer_norm(&self.attention_norm, input.clone(), self.epsilon);
        let mixed = self.attention.forward(normal, mask); // [B, T, D]
        let x = self.onto(input, &self.attention.output, mixed); // [B, T, D]
        let normal = layer_norm(&self.mlp_norm, x.clone(), self.epsilon);
        let hidden = linear(&self.expand, normal, self.activation); // [B, T, 4 D]
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

/// The output of blocks one after the other. Under gradient checkpointing each keeps its input alone.
///
/// # Shapes
/// - x, output: `[B, T, D]`
pub fn through_blocks(blocks: &[TransformerBlock], x: Tensor<3>, mask: &AttentionMask) -> Tensor<3> {
    blocks.iter().fold(x, |x, block| {
        let mask = mask.clone();
        checkpoint::block(block, x, move |block, x| block.forward(x, mask.clone()))
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
    /// The mean of the values that each token attends to, before the output layer.
    ///
    /// # Shapes
    /// - input, output: `[B, T, D]`
    fn forward(&self, input: Tensor<3>, mask: AttentionMask) -> Tensor<3> {
        let dropout = if drops(&self.dropout, &input) { self.dropout.prob } else { 0.0 };
        let (causal, text) = match mask {
            AttentionMask::Text(text) => (false, Some(text)),
            AttentionMask::Causal => (true, None),
            AttentionMask::None => (false, None),
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

    fn sizes() -> TransformerBlocksConfig {
        TransformerBlocksConfig::new(8, 2, 3)
    }

    #[test]
    fn a_block_with_zeroed_outputs_is_the_identity() {
        let device = Device::flex();
        device.seed(4);
        let mut block = TransformerBlock::new(&sizes(), 0, &device);
        block.attention.output.weight = Param::from_tensor(Tensor::zeros([8, 8], &device));
        block.contract.weight = Param::from_tensor(Tensor::zeros([32, 8], &device));
        let input = Tensor::<3>::random([2, 5, 8], Distribution::Default, &device);
        let output = block.forward(input.clone(), AttentionMask::Causal);
        output.into_data().assert_eq(&input.into_data(), true);
    }

    #[test]
    fn without_positions_attention_does_not_care_for_order() {
        let device = Device::flex();
        device.seed(5);
        let block = TransformerBlock::new(&sizes(), 0, &device);
        let input = Tensor::<3>::random([1, 4, 8], Distribution::Default, &device);
        let all = || AttentionMask::Text(Tensor::ones([1, 4], &device));
        let flipped = block.forward(input.clone().flip([1]), all()).flip([1]);
        let straight = block.forward(input, all());
        flipped.into_data().assert_approx_eq::<f32>(&straight.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn residual_projections_start_smaller() {
        let device = Device::flex();
        device.seed(6);
        let block = TransformerBlock::new(&TransformerBlocksConfig::new(64, 4, 8), 0, &device);
        let std = |weight: &Param<Tensor<2>>| weight.val().square().mean().into_scalar::<f32>().sqrt();
        assert!((std(&block.expand.weight) - 0.02).abs() < 0.001);
        assert!((std(&block.contract.weight) - 0.005).abs() < 0.00025);
        assert!((std(&block.attention.output.weight) - 0.005).abs() < 0.00025);
        let bias: f32 = block.expand.bias.unwrap().val().abs().sum().into_scalar();
        assert_eq!(bias, 0.0);
    }
}
