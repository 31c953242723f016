//! The pre-norm transformer block: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
//!
//! Axes: `B` texts, `T` tokens, `D` width, `A` heads. Vaswani et al., "Attention is all you need", 2017, with the norm
//! before each part as in GPT-2 (Radford et al. 2019), whose layout and initialisation this follows.

use crate::check;
use bonfire_contract::ConfigError;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};

/// Deviation of the weights, of GPT-2.
pub(super) const WEIGHT_STD: f64 = 0.02;

/// Added to the score of a position that must not be looked at: far below any real score, and finite, so that a row
/// with nothing to look at stays a number.
pub(super) const HIDDEN: f64 = -1e4;

/// Sizes of a tower of blocks.
pub(super) struct Tower {
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
    pub bias: bool,
    pub dropout: f64,
}

impl Tower {
    pub(super) fn check(&self, model: &'static str) -> Result<(), ConfigError> {
        check::positive(model, "width", self.width)?;
        check::positive(model, "layers", self.layers)?;
        let divides = self.heads > 0 && self.width.is_multiple_of(self.heads);
        let expected = format!("a divisor of the width {}", self.width);
        ConfigError::check(divides, model, "heads", expected, self.heads)?;
        check::dropout(model, self.dropout)
    }

    pub(super) fn init(&self, device: &Device) -> Vec<Block> {
        (0..self.layers).map(|_| Block::new(self, device)).collect()
    }

    pub(super) fn norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.width).with_bias(self.bias).init(device)
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
}

impl Block {
    fn new(tower: &Tower, device: &Device) -> Self {
        let width = tower.width;
        // the residual stream sums 2 parts a layer: their deviations shrink so that its own does not grow
        let residual_std = WEIGHT_STD / ((2 * tower.layers) as f64).sqrt();
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
        }
    }

    /// # Shapes
    /// - input, output: `[B, T, D]`
    /// - bias: added to the scores of every head, broadcast to `[B, A, T, T]`
    pub(super) fn forward(&self, input: Tensor<3>, bias: Tensor<4>) -> Tensor<3> {
        let attended = self.attention.forward(self.attention_norm.forward(input.clone()), bias);
        let x = input + self.dropout.forward(attended); // [B, T, D]
        let hidden = gelu_tanh(self.expand.forward(self.mlp_norm.forward(x.clone()))); // [B, T, 4 D]
        x + self.dropout.forward(self.contract.forward(hidden)) // [B, T, D]
    }
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
    fn forward(&self, input: Tensor<3>, bias: Tensor<4>) -> Tensor<3> {
        let [batch, tokens, width] = input.dims();
        let head_width = width / self.heads;
        let qkv = self.qkv.forward(input).reshape([batch, tokens, 3, self.heads, head_width]);
        let qkv = qkv.permute([2, 0, 3, 1, 4]); // [3, B, A, T, D / A]
        let part = |index: usize| qkv.clone().narrow(0, index, 1).squeeze_dim::<4>(0); // [B, A, T, D / A]
        let queries = part(0) * (1.0 / (head_width as f64).sqrt());
        let scores = queries.matmul(part(1).swap_dims(2, 3)) + bias; // [B, A, T, T]
        let weights = self.dropout.forward(softmax(scores, 3));
        let mixed = weights.matmul(part(2)); // [B, A, T, D / A]
        self.output.forward(mixed.swap_dims(1, 2).reshape([batch, tokens, width])) // [B, T, D]
    }
}

/// GPT-2's GELU, `x / 2 * (1 + tanh(u))` with `u = sqrt(2 / pi) * (x + 0.044715 x^3)`, written as the equal
/// `x * sigmoid(2 u)`, which takes half as many passes over memory.
fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    const SLOPE: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::SQRT_2;
    let curve = x.clone().square() * (SLOPE * 0.044715) + SLOPE;
    x.clone() * sigmoid(x * curve)
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
    use burn::tensor::{Distribution, Tolerance, activation::gelu_approximate};

    fn tower() -> Tower {
        Tower { width: 8, heads: 2, layers: 3, bias: true, dropout: 0.0 }
    }

    #[test]
    fn a_block_with_zeroed_outputs_is_the_identity() {
        let device = Device::flex();
        device.seed(4);
        let mut block = Block::new(&tower(), &device);
        block.attention.output.weight = Param::from_tensor(Tensor::zeros([8, 8], &device));
        block.contract.weight = Param::from_tensor(Tensor::zeros([32, 8], &device));
        let input = Tensor::<3>::random([2, 5, 8], Distribution::Default, &device);
        let output = block.forward(input.clone(), Tensor::zeros([1, 1, 5, 5], &device));
        output.into_data().assert_eq(&input.into_data(), true);
    }

    #[test]
    fn without_positions_attention_does_not_care_for_order() {
        let device = Device::flex();
        device.seed(5);
        let block = Block::new(&tower(), &device);
        let input = Tensor::<3>::random([1, 4, 8], Distribution::Default, &device);
        let bias = || Tensor::zeros([1, 1, 4, 4], &device);
        let flipped = block.forward(input.clone().flip([1]), bias()).flip([1]);
        let straight = block.forward(input, bias());
        flipped.into_data().assert_approx_eq::<f32>(&straight.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn gelu_equals_burns() {
        let device = Device::flex();
        let x = Tensor::<1>::from_data([-9.0, -3.0, -1.0, -1e-3, 0.0, 0.5, 2.0, 8.0, 40.0], &device);
        let expected = gelu_approximate(x.clone()).into_data();
        gelu_tanh(x).into_data().assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-5, 1e-6));
    }

    #[test]
    fn residual_projections_start_smaller() {
        let device = Device::flex();
        device.seed(6);
        let tower = Tower { width: 64, heads: 4, layers: 8, bias: true, dropout: 0.0 };
        let block = Block::new(&tower, &device);
        let std = |weight: &Param<Tensor<2>>| weight.val().square().mean().into_scalar::<f32>().sqrt();
        assert!((std(&block.expand.weight) - 0.02).abs() < 0.001);
        assert!((std(&block.contract.weight) - 0.005).abs() < 0.00025);
        assert!((std(&block.attention.output.weight) - 0.005).abs() < 0.00025);
        let bias: f32 = block.expand.bias.unwrap().val().abs().sum().into_scalar();
        assert_eq!(bias, 0.0);
    }
}
