//! Convolutions within a prediction: channels last, where their input is.
//!
//! The first layer reads planes and writes pixels; each following one finds pixels and writes pixels. Their
//! weights are packed once, so that all of this serves within [`Prepared::run`](crate::Prepared::run) alone. A
//! layer that is not served runs as elsewhere, and so do all behind it.

use super::{Finish, Layer, Order, Way};
use crate::activation::Activation;
use crate::batch_norm::channels::Affine;
use crate::conv::geometry::Geometry;
use crate::conv::options::ConvOptions;
use crate::depthwise;
use crate::flex::Floats;
use crate::memory::for_overwriting;
use crate::pixels;
use crate::prepared::{self, Form, kept};
use burn::backend::flex::FlexTensor;
use std::sync::Arc;

/// The most channels of planes that a layer reads: those of pictures.
const MOST_PLANES: usize = 4;

/// The ops behind a convolution's sums, the activation included.
pub(in crate::conv) struct After<'a> {
    /// One number for each output channel.
    pub bias: Option<&'a Floats>,
    /// One map for each output channel, which the norm applies.
    pub maps: Option<&'a [Affine]>,
    /// An image of the output's shape.
    pub residual: Option<&'a FlexTensor>,
    pub activation: Activation,
}

/// A convolution of this geometry with a packed weight.
enum Packed {
    Dense(Layer),
    Depthwise(depthwise::last::Layer),
}

/// The convolution `[B, C_out, H', W']` of the image `x` `[B, C, H, W]`; `None` where it is not served.
pub(in crate::conv) fn convolve(
    x: &FlexTensor,
    weight: &FlexTensor,
    geometry: Geometry,
    after: After,
) -> Option<FlexTensor> {
    let Geometry { images, groups, inputs, outputs, input, output: [height, width], .. } = geometry;
    let weight = prepared::lasting(weight)?;
    let order = order(x, geometry)?;
    let packed = packed(weight, geometry, order)?;
    let channels = groups * outputs;
    let mut output = for_overwriting(geometry.output_length());
    let (scale, shift) = scale_and_shift(after.bias.map(|bias| &bias[..]), after.maps);
    let residual = after.residual.cloned().map(pixels::of);
    let finish = Finish {
        scale: scale.as_deref(),
        shift: shift.as_deref(),
        residual: residual.as_deref(),
        activation: after.activation,
    };
    let x = if order == Order::First { Floats::new(x.clone()) } else { pixels::of(x.clone()) };
    debug_assert_eq!(x.len(), images * groups * inputs * input[0] * input[1]);
    match &*packed {
        Packed::Dense(layer) => layer.run(&x, images, input, finish, &mut output),
        Packed::Depthwise(layer) => layer.run(&x, images, input, finish, &mut output),
    }
    Some(pixels::image(output, [images, height, width, channels]))
}

/// The order in which the numbers of an image are read; `None` where the layer is not served.
fn order(x: &FlexTensor, geometry: Geometry) -> Option<Order> {
    let Geometry { groups, inputs, .. } = geometry;
    if groups == 1 && inputs <= MOST_PLANES && x.is_contiguous() {
        return Some(Order::First);
    }
    let served = groups == 1 || geometry.is_depthwise();
    (served && pixels::are_together(x)).then_some(Order::Last)
}

/// The packed weight, which is kept.
fn packed(weight: FlexTensor, geometry: Geometry, order: Order) -> Option<Arc<Packed>> {
    let Geometry { groups, inputs, outputs, kernel: [rows, columns], .. } = geometry;
    let Geometry { kernel, stride, padding, dilation, .. } = geometry;
    let options = ConvOptions { stride, padding, dilation, groups };
    let shape = [groups * outputs, inputs, rows, columns];
    let numbers: usize = shape.iter().product();
    let of_way = match Way::of(shape, options, order) {
        _ if groups > 1 => numbers,
        way => way.packed_numbers(numbers),
    };
    let make = || {
        let weight = Floats::new(weight.clone());
        match groups {
            1 => Packed::Dense(Layer::new(&weight, shape, options, order)),
            _ => Packed::Depthwise(depthwise::last::Layer::new(
                &weight, groups, kernel, stride, padding, dilation,
            )),
        }
    };
    let form = Form::Pixels { options, planes: order == Order::First };
    kept(std::slice::from_ref(&weight), form, of_way * size_of::<f32>(), make)
}

/// `scale * sum + shift` for `map(sum + bias)` of each channel.
fn scale_and_shift(bias: Option<&[f32]>, maps: Option<&[Affine]>) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
    let Some(maps) = maps else { return (None, bias.map(<[f32]>::to_vec)) };
    let shift = |(channel, map): (usize, &Affine)| {
        let before = bias.map_or(0.0, |bias| bias[channel]);
        map.bias + (before - map.mean) * map.scale
    };
    (Some(maps.iter().map(|map| map.scale).collect()), Some(maps.iter().enumerate().map(shift).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::{conv_norm, conv2d};
    use crate::testing::random;
    use crate::{Prepared, gated, global_avg_pool, max_pool2d};
    use burn::backend::Flex;
    use burn::module::{Param, ParamId, RunningState};
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{BatchNorm, PaddingConfig2d};
    use burn::tensor::{Device, Tensor, TensorData};

    fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
        Tensor::from_data(TensorData::new(random(&shape, seed).values, shape), &Device::flex())
    }

    fn convolution(channels: [usize; 2], kernel: usize, stride: usize, groups: usize, bias: bool) -> Conv2d {
        let padding = PaddingConfig2d::Explicit(kernel / 2, kernel / 2, kernel / 2, kernel / 2);
        let config = Conv2dConfig::new(channels, [kernel; 2]).with_stride([stride; 2]).with_groups(groups);
        let device = Device::flex();
        device.seed(channels[1] as u64);
        config.with_padding(padding).with_bias(bias).init(&device)
    }

    fn norm(channels: usize) -> BatchNorm {
        let vector = |seed| tensor([channels], channels as u64 + seed);
        BatchNorm {
            gamma: Param::initialized(ParamId::new(), vector(1) + 1.5),
            beta: Param::initialized(ParamId::new(), vector(2)),
            training: Param::from_bool(false),
            running_mean: RunningState::new(vector(3)),
            running_var: RunningState::new(vector(4) + 1.5),
            momentum: 0.1,
            epsilon: 1e-3,
        }
    }

    /// Every op that keeps the order, and one that does not know it.
    struct Net {
        stem: Conv2d,
        square: Conv2d,
        wide: Conv2d,
        depthwise: Conv2d,
        plain: Conv2d,
        squeeze: Conv2d,
        norms: [BatchNorm; 4],
    }

    impl Net {
        fn new() -> Self {
            Net {
                stem: convolution([3, 20], 3, 2, 1, false),
                square: convolution([20, 20], 3, 1, 1, false),
                wide: convolution([20, 150], 1, 1, 1, true),
                depthwise: convolution([150, 150], 5, 2, 150, false),
                plain: convolution([150, 17], 3, 1, 1, true),
                squeeze: convolution([150, 150], 1, 1, 1, true),
                norms: [norm(20), norm(20), norm(150), norm(150)],
            }
        }

        /// `[B, 17]`, and whether the pixels of what goes into the mean lie together.
        fn forward(&self, x: Tensor<4>) -> (Tensor<2>, bool) {
            let [first, second, third, fourth] = &self.norms;
            let x = conv_norm(&self.stem, first, x, None, Activation::Relu);
            let x = max_pool2d(x, [3; 2], [1; 2], [1; 2], [1; 2]);
            let x = conv_norm(&self.square, second, x.clone(), Some(x), Activation::Relu6);
            let x = conv_norm(&self.wide, third, x, None, Activation::Silu);
            let x = conv_norm(&self.depthwise, fourth, x, None, Activation::Gelu);
            let gate = conv2d(&self.squeeze, x.clone().mean_dim(3).mean_dim(2), Activation::Tanh);
            let x = conv2d(&self.plain, gated(x, gate), Activation::GeluTanh);
            let together = pixels::come_first(&x.clone().try_into_primitive::<Flex>().unwrap());
            (global_avg_pool(x), together)
        }
    }

    fn numbers(x: Tensor<2>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn a_network_of_pixels_has_the_answers_of_planes() {
        let net = Net::new();
        for size in [[37, 30], [16, 16], [5, 9]] {
            let x = tensor([3, 3, size[0], size[1]], 7);
            let (expected, together) = net.forward(x.clone());
            assert!(!together, "outside of a prediction, planes stay");
            let expected = numbers(expected);
            let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let prepared = Prepared::new();
            let found: Vec<Vec<f32>> = (0..2)
                .map(|_| {
                    let (found, together) = prepared.run(|| net.forward(x.clone()));
                    assert!(together, "within one, pixels come first");
                    numbers(found)
                })
                .collect();
            assert_eq!(found[0], found[1]);
            for (found, expected) in found[0].iter().zip(&expected) {
                assert!((found - expected).abs() <= 1e-5 * largest, "{found} for {expected}");
            }
            // A sample has the same bits in any batch.
            for sample in 0..3 {
                let alone = x.clone().narrow(0, sample, 1);
                let (alone, _) = prepared.run(|| net.forward(alone));
                assert_eq!(numbers(alone), found[0][17 * sample..17 * (sample + 1)]);
            }
        }
    }

    #[test]
    fn nothing_is_predicted_of_a_graph_or_of_nothing() {
        let net = Net::new();
        let prepared = Prepared::new();
        let x = tensor([2, 3, 8, 8], 1).to_device(&Device::flex().autodiff());
        let graph = prepared.run(|| conv2d(&net.stem, x, Activation::Relu));
        assert_eq!(graph.dims(), [2, 20, 4, 4]);
        let (nothing, _) = prepared.run(|| net.forward(Tensor::zeros([0, 3, 8, 8], &Device::flex())));
        assert_eq!(nothing.dims(), [0, 17]);
    }
}
