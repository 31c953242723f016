//! A convolution without a bias and the batch norm that follows it.

use bonfire_kernels::Activation;
use bonfire_kernels::modules::conv_norm;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor};

/// Sizes of a [`ConvNorm`].
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// In and out.
    pub channels: [usize; 2],
    /// Odd: half of it is the padding.
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
    pub ways: Ways,
}

/// The library whose paddings and epsilons a network has. Weights of one library give other answers by the
/// other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ways {
    /// Padding alike on both sides, an epsilon of 1e-5.
    #[default]
    PyTorch,
    /// Padding such that the output has `input / stride` places, rounded up, the odd one at the end; an
    /// epsilon of 1e-3.
    TensorFlow,
}

impl Shape {
    /// Each place by itself.
    pub(super) fn point(channels: [usize; 2]) -> Self {
        Shape { channels, kernel: 1, stride: 1, groups: 1, ways: Ways::default() }
    }

    /// A kernel of 3x3.
    pub(super) fn square(channels: [usize; 2], stride: usize) -> Self {
        Shape { channels, kernel: 3, stride, groups: 1, ways: Ways::default() }
    }

    /// By other habits.
    pub(super) fn with_ways(self, ways: Ways) -> Self {
        Shape { ways, ..self }
    }

    /// Weights from He's normal distribution for ReLU by the outputs of a weight, of variance `2 / fan_out`,
    /// as in torchvision and timm; groups count apart, as in timm.
    pub(super) fn init(self, device: &Device) -> ConvNorm {
        let Shape { channels, kernel, stride, groups, ways } = self;
        // Without a stride both ways are the same.
        let pads_itself = ways == Ways::TensorFlow && stride > 1;
        let padding = if pads_itself { 0 } else { kernel / 2 };
        let epsilon = if ways == Ways::TensorFlow { 1e-3 } else { 1e-5 };
        let he = Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: true };
        ConvNorm {
            convolution: Conv2dConfig::new(channels, [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
                .with_groups(groups)
                .with_bias(false)
                .with_initializer(he)
                .init(device),
            norm: BatchNormConfig::new(channels[1]).with_epsilon(epsilon).init(device),
            pads_itself,
        }
    }
}

/// A convolution and its norm.
#[derive(Module, Debug)]
pub(super) struct ConvNorm {
    /// `[C_out, C_in / groups, kernel, kernel]`
    pub convolution: Conv2d,
    /// `[C_out]` each
    pub norm: BatchNorm,
    /// True where the padding depends on the input's size, and the convolution itself has none.
    pads_itself: bool,
}

impl ConvNorm {
    /// `activation(norm(convolution(x)))`, `[B, C_in, H, W]` to `[B, C_out, H / stride, W / stride]`, rounded
    /// up.
    pub(super) fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let x = if self.pads_itself { self.padded(x) } else { x };
        conv_norm(&self.convolution, &self.norm, x, None, activation)
    }

    /// TensorFlow's padding `SAME`.
    fn padded(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let around = |axis: usize, size: usize| {
            let (kernel, stride) = (self.convolution.kernel_size[axis], self.convolution.stride[axis]);
            let covered = (size.div_ceil(stride) - 1) * stride + kernel;
            let padding = covered.saturating_sub(size);
            (padding / 2, padding - padding / 2)
        };
        let ((top, bottom), (left, right)) = (around(0, height), around(1, width));
        x.pad((left, right, top, bottom), PadMode::Constant(0.0))
    }

    /// `activation(norm(convolution(x)) + residual)`
    pub(super) fn onto(&self, residual: Tensor<4>, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let x = if self.pads_itself { self.padded(x) } else { x };
        conv_norm(&self.convolution, &self.norm, x, Some(residual), activation)
    }
}

/// The names of a [`ConvNorm`]'s two layers in another library.
pub(super) fn names(path: &str, convolution: &str, norm: &str) -> [(String, String); 2] {
    [(format!("{path}.convolution"), convolution.to_owned()), (format!("{path}.norm"), norm.to_owned())]
}
