//! Depthwise convolution: each channel has a kernel of its own (Chollet 2017; Howard et al. 2017). Bias and
//! activation are applied in the same pass.
//!
//! Axes: `B` images, `C` channels, `H` by `W` places of a plane, `P` by `Q` places of an output plane, `I` by
//! `J` taps.
//!
//! A plane is copied into a frame of zeros in the cache, so that every load is whole and in bounds. Vectors
//! run along the width. For kernels of 3, 5 and 7 rows at a stride of 1, the sums of as many rows of the
//! output stay in registers while a row of the input is read once. The backward pass frames the gradient and
//! the input once for all gradients.

mod channel;
mod convolve;
mod frame;
pub(crate) mod last;

use crate::activation::Activation;
use crate::batch_norm::channels::Normed;
use crate::count;
use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::simd::run;
use crate::threads::{self, Shared};
use crate::windows::Windows;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use channel::{Backward, Forward};

/// `activation(conv(x, weight) + bias)`, with a kernel for each channel. `stride`, `padding` and `dilation`
/// are `[height, width]`.
///
/// # Shapes
/// - x: `[B, C, H, W]`
/// - weight: `[C, 1, I, J]`
/// - bias: `[C]`
/// - output: `[B, C, P, Q]`, where `P = (H + 2 padding - dilation (I - 1) - 1) / stride + 1`, rounded down
///
/// # Panics
/// When the shapes do not fit each other, a stride or a dilation is 0, or the kernel is larger than the
/// padded plane.
pub fn depthwise_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    activation: Activation,
) -> Tensor<4> {
    let [_, channels, height, width] = x.dims();
    let [kernels, one, rows, columns] = weight.dims();
    assert_eq!(
        [kernels, one],
        [channels, 1],
        "a weight of [C, 1, I, J] for {channels} channels, found {:?}",
        weight.dims()
    );
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [channels], "the bias of {channels} channels");
    }
    let sizes = Windows::new([height, width], [rows, columns], stride, padding, dilation);
    count::add(&[x.dims()[0], channels, sizes.plane_out(), sizes.taps()]);
    if !flex::runs_on(&x) || !sizes.is_usual() || sizes.plane() == 0 {
        return plain(x, weight, bias, stride, padding, dilation, activation);
    }
    let bias = flex::or_empty(bias, &x);
    Tensor::from_dispatch(Dispatch::depthwise_convolved(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias,
        sizes,
        activation,
    ))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    activation: Activation,
) -> Tensor<4> {
    let groups = x.dims()[1];
    let options = ConvOptions::new(stride, padding, dilation, groups);
    activation.plain(burn::tensor::module::conv2d(x, weight, bias, options))
}

/// The op as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait DepthwiseOps: Backend {
    /// See [`depthwise_conv2d`]; an empty bias stands for none.
    fn depthwise_convolved(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sizes: Windows,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

impl DepthwiseOps for Flex {
    fn depthwise_convolved(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        sizes: Windows,
        activation: Activation,
    ) -> FlexTensor {
        forward([x, weight, bias], sizes, activation, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> DepthwiseOps for Autodiff<Flex, C> {
    fn depthwise_convolved(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sizes: Windows,
        activation: Activation,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 3>([x, weight, bias], |inputs, keep| forward(inputs, sizes, activation, keep))
    }
}

/// The state that the backward pass needs.
#[derive(Clone, Debug)]
struct Depthwise {
    x: Floats,
    weight: Floats,
    sizes: Windows,
    /// The sums before the activation, or the output if the derivative follows from it; nothing for the
    /// identity.
    activated: Option<Floats>,
    activation: Activation,
}

/// The least count of multiplications that is worth a thread.
const LEAST: usize = 1 << 16;

fn forward(
    [x, weight, bias]: [FlexTensor; 3],
    sizes: Windows,
    activation: Activation,
    keep: Keep,
) -> (FlexTensor, Option<Depthwise>) {
    let (x, weight, bias) = (Floats::new(x), Floats::new(weight), flex::unless_empty(bias));
    let [images, all_channels] = [x.dims()[0], x.dims()[1]];
    let shape = [images, all_channels, sizes.out[0], sizes.out[1]];
    let mut output = for_overwriting(shape.iter().product());
    let sums_kept = keep == Keep::ForBackward && !activation.is_known_by_output();
    let mut sums = for_overwriting(if sums_kept { output.len() } else { 0 });
    convolve(Forward {
        sizes,
        x: &x,
        weights: &weight,
        bias: bias.as_deref(),
        normed: None,
        activation,
        to: Shared::new(&mut output),
        sums: sums_kept.then(|| Shared::new(&mut sums)),
        all_channels,
        channels: 0..all_channels,
        images: 0..images,
    });
    let output = flex::tensor(output, &shape);
    let saved = (keep == Keep::ForBackward).then(|| Depthwise {
        x,
        weight,
        sizes,
        activated: match activation {
            Activation::Identity => None,
            _ if activation.is_known_by_output() => Some(Floats::new(output.clone())),
            _ => Some(Floats::new(flex::tensor(sums, &shape))),
        },
        activation,
    });
    (output, saved)
}

/// `activation(norm(conv(x, weight) + bias) + residual)`, on no graph. `x` and `weight` are the numbers of
/// [`depthwise_conv2d`]'s.
pub(crate) fn normed(
    x: &Floats,
    weight: &Floats,
    bias: Option<&[f32]>,
    sizes: Windows,
    normed: Normed<'_>,
    activation: Activation,
) -> FlexTensor {
    let [images, all_channels] = [x.dims()[0], x.dims()[1]];
    let shape = [images, all_channels, sizes.out[0], sizes.out[1]];
    let mut output = for_overwriting(shape.iter().product());
    convolve(Forward {
        sizes,
        x,
        weights: weight,
        bias,
        normed: Some(normed),
        activation,
        to: Shared::new(&mut output),
        sums: None,
        all_channels,
        channels: 0..all_channels,
        images: 0..images,
    });
    flex::tensor(output, &shape)
}

/// Shares the channels out to threads and, where they are few, the images.
fn convolve(all: Forward<'_>) {
    let (channels, images) = (all.channels.len(), all.images.len());
    let parts = threads::parts(to_products(images * channels, &all.sizes), LEAST);
    let by_image = if channels < parts { images.clamp(1, parts) } else { 1 };
    let by_channel = parts.min(channels).max(1);
    threads::parallel(by_channel * by_image, |part| {
        run(Forward {
            channels: threads::range(channels, by_channel, part / by_image, 1),
            images: threads::range(images, by_image, part % by_image, 1),
            ..all
        });
    });
}

fn to_products(planes: usize, sizes: &Windows) -> usize {
    planes * sizes.plane_out() * sizes.taps()
}

impl Saved<3> for Depthwise {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let gradient = Floats::new(gradient);
        let sizes = self.sizes;
        let shape = self.x.dims().to_vec();
        let (images, all_channels) = (shape[0], shape[1]);
        let room = |wanted: bool, count: usize| for_overwriting(if wanted { count } else { 0 });
        let mut of_x = room(wanted[0], self.x.len());
        let mut of_weights = room(wanted[1], self.weight.len());
        let mut of_bias = room(wanted[2], all_channels);
        {
            let to_x = wanted[0].then(|| Shared::new(&mut of_x));
            let to_weights = wanted[1].then(|| Shared::new(&mut of_weights));
            let to_bias = wanted[2].then(|| Shared::new(&mut of_bias));
            let least = LEAST.div_ceil(to_products(images, &sizes).max(1));
            threads::ranges(all_channels, least, |channels| {
                run(Backward {
                    sizes,
                    x: &self.x,
                    weights: &self.weight,
                    gradient: &gradient,
                    activated: self.activated.as_deref(),
                    activation: self.activation,
                    of_x: to_x,
                    of_weights: to_weights,
                    of_bias: to_bias,
                    all_channels,
                    images,
                    channels,
                });
            });
        }
        [
            wanted[0].then(|| flex::tensor(of_x, &shape)),
            wanted[1].then(|| flex::tensor(of_weights, self.weight.dims())),
            wanted[2].then(|| flex::tensor(of_bias, &[all_channels])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, random};
    use burn::tensor::Device;
    use proptest::prelude::*;

    struct Case {
        shape: [usize; 4],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
        activation: Activation,
    }

    fn both(Case { shape, kernel, stride, padding, dilation, activation }: Case) {
        let samples =
            [random(&shape, 1), random(&[shape[1], 1, kernel[0], kernel[1]], 2), random(&[shape[1]], 3)];
        check(
            &format!("{kernel:?} over {shape:?}, {stride:?}, {padding:?}, {dilation:?}, {activation:?}"),
            &samples,
            |i| depthwise_conv2d(i.get(0), i.get(1), Some(i.get(2)), stride, padding, dilation, activation),
            |i| plain(i.get(0), i.get(1), Some(i.get(2)), stride, padding, dilation, activation),
        );
    }

    #[test]
    fn agrees_with_its_twin() {
        use Activation::*;
        for (shape, kernel, stride, padding, dilation, activation) in [
            ([1, 1, 1, 1], [1, 1], [1, 1], [0, 0], [1, 1], Identity),
            ([2, 3, 9, 40], [3, 3], [1, 1], [1, 1], [1, 1], Relu),
            ([5, 2, 7, 7], [3, 3], [1, 1], [1, 1], [1, 1], Silu),
            ([2, 3, 11, 37], [3, 3], [2, 2], [1, 1], [1, 1], Gelu),
            ([3, 2, 7, 7], [7, 7], [1, 1], [3, 3], [1, 1], Identity),
            ([2, 2, 12, 33], [7, 7], [1, 1], [3, 3], [1, 1], GeluTanh),
            ([2, 2, 12, 18], [5, 5], [1, 1], [2, 2], [1, 1], Relu),
            ([2, 2, 13, 18], [5, 4], [2, 2], [2, 1], [1, 1], Relu),
            ([2, 2, 13, 20], [3, 3], [1, 1], [2, 2], [2, 2], Identity),
            ([1, 2, 13, 50], [3, 2], [3, 3], [1, 0], [2, 1], Identity),
            ([2, 2, 6, 6], [3, 3], [1, 2], [0, 1], [1, 1], Relu),
            // more padding than the kernel covers
            ([1, 2, 6, 6], [3, 3], [1, 1], [3, 3], [1, 1], Identity),
        ] {
            both(Case { shape, kernel, stride, padding, dilation, activation });
        }
    }

    #[test]
    fn no_bias_strided_and_empty() {
        let samples = [random(&[6, 7, 2, 5], 4), random(&[3, 3, 5, 1], 5)];
        check(
            "a permuted input and weight, and no bias",
            &samples,
            |i| {
                let (x, weight) = (i.get::<4>(0).permute([2, 3, 0, 1]), i.get::<4>(1).permute([2, 3, 0, 1]));
                depthwise_conv2d(x, weight, None, [1; 2], [1; 2], [1; 2], Activation::Silu)
            },
            |i| {
                let (x, weight) = (i.get::<4>(0).permute([2, 3, 0, 1]), i.get::<4>(1).permute([2, 3, 0, 1]));
                plain(x, weight, None, [1; 2], [1; 2], [1; 2], Activation::Silu)
            },
        );
        let device = Device::flex();
        let (x, weight) = (Tensor::zeros([0, 3, 6, 6], &device), Tensor::zeros([3, 1, 3, 3], &device));
        let y = depthwise_conv2d(x, weight, None, [1; 2], [1; 2], [1; 2], Activation::Relu);
        assert_eq!(y.dims(), [0, 3, 6, 6]);
    }

    #[test]
    fn large_and_infinite_numbers() {
        let mut x = random(&[1, 2, 8, 20], 6).map(|value| value * 1e30);
        x.values[70] = f32::INFINITY;
        let samples = [x.untracked(), random(&[2, 1, 3, 3], 7).untracked()];
        check(
            "large numbers",
            &samples,
            |i| depthwise_conv2d(i.get(0), i.get(1), None, [1; 2], [1; 2], [1; 2], Activation::Identity),
            |i| plain(i.get(0), i.get(1), None, [1; 2], [1; 2], [1; 2], Activation::Identity),
        );
    }

    #[test]
    #[should_panic(expected = "for 4 channels")]
    fn a_channel_multiplier_is_refused() {
        let device = Device::flex();
        let (x, weight) = (Tensor::zeros([1, 4, 6, 6], &device), Tensor::zeros([8, 1, 3, 3], &device));
        depthwise_conv2d(x, weight, None, [1; 2], [1; 2], [1; 2], Activation::Relu);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn any_sizes(
            images in 1usize..6, channels in 1usize..4, height in 7usize..13, width in 7usize..40,
            half in 0usize..4, stride in 1usize..3,
        ) {
            both(Case {
                shape: [images, channels, height, width],
                kernel: [2 * half + 1; 2],
                stride: [stride; 2],
                padding: [half; 2],
                dilation: [1; 2],
                activation: Activation::Relu,
            });
        }
    }
}
