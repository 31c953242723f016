//! Networks of inverted residuals: each block widens, convolves each channel by itself and narrows again.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `O` outputs (classes or values). Sandler et al.,
//! "MobileNetV2: inverted residuals and linear bottlenecks", 2018; squeeze and excitation of Hu et al. 2017.
//! MobileNetV2 and EfficientNet are both of this kind: their files say which stages they have.

use super::conv_norm::{ConvNorm, Shape, Ways};
use crate::drop_path::DropPath;
use crate::headed::Headed;
use crate::objective::Objective;
use bonfire_contract::{Images, Output, Target, Task};
use bonfire_kernels::Activation::{self, Identity};
use bonfire_kernels::modules::{conv2d, dropout, linear};
use bonfire_kernels::{checkpoint, gated, global_avg_pool};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, assert_shape};

/// A stage's blocks: the first has the stride, the others keep the size.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    /// The factor by which a block is wider inside.
    pub expansion: usize,
    pub kernel: usize,
    pub stride: usize,
    pub outputs: usize,
    pub layers: usize,
}

/// Everything that makes an [`InvertedNetwork`].
pub(super) struct Plan {
    pub channels: usize,
    pub stem: usize,
    pub stages: Vec<Stage>,
    /// Channels before the head.
    pub last: usize,
    /// True where blocks weigh their channels by squeeze and excitation.
    pub squeeze: bool,
    pub ways: Ways,
    pub activation: crate::Activation,
    pub drop_path: f64,
    pub dropout: f64,
    pub head: Linear,
    pub objective: Objective,
}

impl Plan {
    pub(super) fn init(self, device: &Device) -> InvertedNetwork {
        let blocks: usize = self.stages.iter().map(|stage| stage.layers).sum();
        let (mut inputs, mut index) = (self.stem, 0);
        let mut stages = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let mut chain = Vec::with_capacity(stage.layers);
            for place in 0..stage.layers {
                let stride = if place == 0 { stage.stride } else { 1 };
                let drop_path = DropPath::rising(self.drop_path, index, blocks);
                let shape = Stage { stride, ..*stage };
                chain.push(InvertedResidual::new(inputs, shape, self.squeeze, self.ways, drop_path, device));
                (inputs, index) = (stage.outputs, index + 1);
            }
            stages.push(chain);
        }
        InvertedNetwork {
            stem: Shape::square([self.channels, self.stem], 2).with_ways(self.ways).init(device),
            stages,
            last: Shape::point([inputs, self.last]).with_ways(self.ways).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            head: self.head,
            channels: self.channels,
            activation: self.activation,
            objective: self.objective,
        }
    }
}

/// `channels * factor` as the nearest multiple of 8, at least 8 and never more than a tenth less: of the
/// published code.
pub(super) fn rounded(channels: usize, factor: f64) -> usize {
    let wanted = channels as f64 * factor;
    let nearest = (((wanted + 4.0) / 8.0) as usize * 8).max(8);
    if (nearest as f64) < 0.9 * wanted { nearest + 8 } else { nearest }
}

/// A wide middle between two narrow ends, and the shortcut around it where the ends are alike.
#[derive(Module, Debug)]
struct InvertedResidual {
    /// `[expansion C_in, C_in, 1, 1]`; none where the expansion is 1.
    expand: Option<ConvNorm>,
    /// `[expansion C_in, 1, kernel, kernel]`
    depthwise: ConvNorm,
    squeeze: Option<SqueezeExcitation>,
    /// `[C_out, expansion C_in, 1, 1]`
    project: ConvNorm,
    drop_path: DropPath,
    residual: bool,
}

impl InvertedResidual {
    fn new(
        inputs: usize,
        shape: Stage,
        squeeze: bool,
        ways: Ways,
        drop_path: DropPath,
        device: &Device,
    ) -> Self {
        let Stage { expansion, kernel, stride, outputs, .. } = shape;
        let hidden = inputs * expansion;
        let depthwise = Shape { channels: [hidden, hidden], kernel, stride, groups: hidden, ways };
        InvertedResidual {
            expand: (expansion != 1).then(|| Shape::point([inputs, hidden]).with_ways(ways).init(device)),
            depthwise: depthwise.init(device),
            squeeze: squeeze.then(|| SqueezeExcitation::new(hidden, (inputs / 4).max(1), device)),
            project: Shape::point([hidden, outputs]).with_ways(ways).init(device),
            drop_path,
            residual: stride == 1 && inputs == outputs,
        }
    }

    fn forward(&self, input: Tensor<4>, activation: Activation) -> Tensor<4> {
        let x = match &self.expand {
            Some(expand) => expand.forward(input.clone(), activation), // [B, expansion C_in, H, W]
            None => input.clone(),
        };
        let x = self.depthwise.forward(x, activation); // [B, expansion C_in, H / stride, W / stride]
        let x = match &self.squeeze {
            Some(squeeze) => squeeze.forward(x, activation),
            None => x,
        };
        if !self.residual {
            self.project.forward(x, Identity) // [B, C_out, H / stride, W / stride]
        } else if self.drop_path.drops(&x) {
            input + self.drop_path.forward(self.project.forward(x, Identity))
        } else {
            self.project.onto(input, x, Identity)
        }
    }
}

/// A weight in `(0, 1)` for each channel of each picture, of the means of all of its channels.
#[derive(Module, Debug)]
struct SqueezeExcitation {
    /// `[S, C, 1, 1]`, and a bias
    reduce: Conv2d,
    /// `[C, S, 1, 1]`, and a bias
    expand: Conv2d,
}

impl SqueezeExcitation {
    fn new(channels: usize, squeezed: usize, device: &Device) -> Self {
        SqueezeExcitation {
            reduce: biased_point([channels, squeezed], device),
            expand: biased_point([squeezed, channels], device),
        }
    }

    fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let means = global_avg_pool(x.clone()).unsqueeze_dims(&[2, 3]); // [B, C, 1, 1]
        let squeezed = conv2d(&self.reduce, means, activation); // [B, S, 1, 1]
        gated(x, sigmoid(conv2d(&self.expand, squeezed, Identity))) // [B, C, H, W]
    }
}

/// A 1x1 convolution of He's distribution by the outputs of a weight, with a bias of zeros.
fn biased_point(channels: [usize; 2], device: &Device) -> Conv2d {
    let he = Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: true };
    let config = Conv2dConfig::new(channels, [1, 1]).with_bias(false).with_initializer(he);
    let bias = Some(Initializer::Zeros.init([channels[1]], device));
    Conv2d { bias, ..config.init(device) }
}

/// A stem of stride 2, stages of inverted residuals, a last 1x1 convolution, the mean over pixels and a head.
#[derive(Module, Debug)]
pub struct InvertedNetwork {
    /// `[stem, C, 3, 3]`
    stem: ConvNorm,
    stages: Vec<Vec<InvertedResidual>>,
    /// `[last, C_out, 1, 1]`
    last: ConvNorm,
    dropout: Dropout,
    /// `[last, O]`, and a bias `[O]`
    head: Linear,
    channels: usize,
    #[module(skip)]
    activation: crate::Activation,
    #[module(skip)]
    objective: Objective,
}

impl InvertedNetwork {
    /// The numbers at the head.
    ///
    /// # Shapes
    /// - input: `[B, C, H, W]`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    pub fn forward(&self, input: Images) -> Tensor<2> {
        self.answer(self.features(input))
    }
}

impl Headed for InvertedNetwork {
    type Input = Images;

    fn features(&self, input: Images) -> Tensor<2> {
        let (channels, activation) = (self.channels, self.activation.fused());
        assert_shape!(input.pixels, [_, channels, _, _]);
        let x = self.stem.forward(input.pixels, activation); // [B, stem, H / 2, W / 2]
        let blocks = self.stages.iter().flatten();
        // [B, C_out, H / 32, W / 32]
        let x = blocks
            .fold(x, |x, block| checkpoint::block(block, x, move |block, x| block.forward(x, activation)));
        let x = self.last.forward(x, activation); // [B, last, H / 32, W / 32]
        global_avg_pool(x) // [B, last]
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, dropout(&self.dropout, features), Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl Task for InvertedNetwork {
    type Input = Images;

    fn predict(&self, input: Images) -> Output {
        self.objective.output(self.forward(input))
    }

    /// Nats for classes, the objective's error for values.
    fn loss(&self, input: Images, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::{Distribution, Tolerance};

    fn block(squeeze: bool, device: &Device) -> InvertedResidual {
        let shape = Stage { expansion: 3, kernel: 5, stride: 1, outputs: 8, layers: 1 };
        InvertedResidual::new(8, shape, squeeze, Ways::PyTorch, DropPath::rising(0.0, 0, 1), device)
    }

    #[test]
    fn a_block_with_a_zeroed_end_is_the_identity() {
        let device = Device::flex();
        device.seed(2);
        for squeeze in [false, true] {
            let mut block = block(squeeze, &device);
            block.project.convolution.weight = Param::from_tensor(Tensor::zeros([8, 24, 1, 1], &device));
            let input = Tensor::<4>::random([2, 8, 5, 6], Distribution::Default, &device);
            block.forward(input.clone(), Activation::Silu).into_data().assert_eq(&input.into_data(), true);
        }
    }

    #[test]
    fn an_open_gate_of_a_half_halves() {
        let device = Device::flex();
        device.seed(3);
        let mut squeeze = SqueezeExcitation::new(8, 2, &device);
        squeeze.expand.weight = Param::from_tensor(Tensor::zeros([8, 2, 1, 1], &device));
        let input = Tensor::<4>::random([2, 8, 3, 3], Distribution::Default, &device);
        let output = squeeze.forward(input.clone(), Activation::Silu);
        output.into_data().assert_approx_eq::<f32>(&(input * 0.5).into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn widths_are_rounded_as_published() {
        // MobileNetV2 of width 0.35: 32 x 0.35 = 11.2 is 16 where 8 would be a tenth less, 24 x 0.35 = 8.4 is
        // 8
        assert_eq!([(32, 0.35), (24, 0.35), (16, 1.0), (3, 1.0)].map(|(c, f)| rounded(c, f)), [16, 8, 16, 8]);
    }
}
