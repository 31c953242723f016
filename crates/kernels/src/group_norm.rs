//! Group norm (Wu and He 2018). With one channel a group it is instance norm (Ulyanov et al. 2016).
//!
//! Axes: `B` images, `C` channels. The numbers of an image's group lie together in memory, so each group is
//! measured and mapped at one go.

use crate::activation::Activation;
use crate::batch_norm::channels::{Affine, Map, Measure, Planes, Slopes, Source, Spread, Told};
use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::precision::like;
use crate::simd::run;
use crate::threads::{self, Shared};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias`, with the mean and the biased variance of each
/// group of neighbouring channels of an image. The `C` channels form `groups` groups of equal size.
///
/// # Shapes
/// - x, output: `[B, C, ...]`
/// - weight, bias: `[C]`
///
/// # Panics
/// When the shapes do not fit each other, or `C` is not a multiple of `groups`.
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    assert!(D >= 2, "an input of [B, C, ...], found {:?}", x.dims());
    let channels = x.dims()[1];
    assert!(groups > 0 && channels.is_multiple_of(groups), "{groups} groups of {channels} channels");
    for tensor in [&weight, &bias] {
        assert_eq!(tensor.dims(), [channels], "a number for each channel of {:?}", x.dims());
    }
    if x.dtype() != weight.dtype() {
        return like(group_norm(like(x.clone(), &weight), groups, weight, bias, epsilon), &x);
    }
    if !flex::runs_on(&x) || x.dims().contains(&0) {
        return plain(x, groups, weight, bias, epsilon);
    }
    Tensor::from_dispatch(Dispatch::group_normed(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        groups,
        epsilon,
    ))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain<const D: usize>(
    x: Tensor<D>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let dims = x.dims();
    if dims.contains(&0) {
        return x;
    }
    let size: usize = dims[1..].iter().product::<usize>() / groups;
    let x = x.reshape([dims[0], groups, size]);
    let x = x.clone() - x.mean_dim(2);
    let variance = x.clone().square().mean_dim(2);
    let x = (x / (variance + epsilon).sqrt()).reshape(dims);
    let mut of_channels = [1; D];
    of_channels[1] = dims[1];
    x * weight.reshape(of_channels) + bias.reshape(of_channels)
}

/// The op as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait GroupNormOps: Backend {
    /// See [`group_norm`].
    fn group_normed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl GroupNormOps for Flex {
    fn group_normed(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        groups: usize,
        epsilon: f64,
    ) -> FlexTensor {
        forward([x, weight, bias], groups, epsilon, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> GroupNormOps for Autodiff<Flex, C> {
    fn group_normed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 3>([x, weight, bias], |inputs, keep| forward(inputs, groups, epsilon, keep))
    }
}

/// The state that the backward pass needs.
#[derive(Clone, Debug)]
struct GroupNorm {
    x: Floats,
    weight: Floats,
    groups: usize,
    /// The mean and `1 / sqrt(variance + epsilon)` of each group of each image.
    statistics: Vec<[f32; 2]>,
}

/// The least count of numbers that is worth a thread.
const LEAST: usize = 1 << 14;

/// The channels in a group, then all images' groups as planes, then all images' channels as planes.
fn shapes(shape: &[usize], groups: usize) -> (usize, Planes, Planes) {
    let (images, channels, size) = (shape[0], shape[1], shape[2..].iter().product());
    let members = channels / groups;
    let whole = Planes { images: 1, channels: images * groups, size: members * size };
    (members, whole, Planes { images: 1, channels: images * channels, size })
}

fn forward(
    [x, weight, bias]: [FlexTensor; 3],
    groups: usize,
    epsilon: f64,
    keep: Keep,
) -> (FlexTensor, Option<GroupNorm>) {
    let (x, weight, bias) = (Floats::new(x), Floats::new(weight), Floats::new(bias));
    let shape = x.dims().to_vec();
    let (members, whole, planes) = shapes(&shape, groups);
    let mut output = for_overwriting(x.len());
    let mut statistics = vec![[0.0; 2]; whole.channels];
    {
        let (to, statistics) = (Shared::new(&mut output), Shared::new(&mut statistics));
        let (x, weight, bias): (&[f32], &[f32], &[f32]) = (&x, &weight, &bias);
        threads::ranges(whole.channels, LEAST.div_ceil(whole.size), |range| {
            for group in range {
                let moments = run(Measure { x, planes: whole, channel: group, range: 0..whole.size });
                let (mean, inverse) =
                    (moments.mean as f32, (1.0 / (moments.variance() + epsilon).sqrt()) as f32);
                // SAFETY: each group is one thread's.
                unsafe { statistics.part(group..group + 1)[0] = [mean, inverse] };
                for plane in group * members..(group + 1) * members {
                    let channel = plane % shape[1];
                    let affine = Affine { mean, scale: weight[channel] * inverse, bias: bias[channel] };
                    run(Map {
                        x,
                        residual: None,
                        to,
                        planes,
                        channel: plane,
                        range: 0..planes.size,
                        affine,
                        activation: Activation::Identity,
                    });
                }
            }
        });
    }
    let output = flex::tensor(output, &shape);
    let saved = (keep == Keep::ForBackward).then(|| GroupNorm { x, weight, groups, statistics });
    (output, saved)
}

impl Saved<3> for GroupNorm {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let gradient = Floats::new(gradient);
        let shape = self.x.dims().to_vec();
        let (members, whole, planes) = shapes(&shape, self.groups);
        let channels = shape[1];
        let mut of_x = for_overwriting(if wanted[0] { self.x.len() } else { 0 });
        // for each plane, the sum of the gradient and the sum of its products with `x - mean`
        let mut sums = vec![[0.0f64; 2]; planes.channels];
        {
            let to = wanted[0].then(|| Shared::new(&mut of_x));
            let (x, weights): (&[f32], &[f32]) = (&self.x, &self.weight);
            let (sums, source) = (Shared::new(&mut sums), Source::Apart(&gradient));
            let range = 0..planes.size;
            threads::ranges(whole.channels, LEAST.div_ceil(whole.size), |groups| {
                for group in groups {
                    let [mean, inverse] = self.statistics[group];
                    let of_group = group * members..(group + 1) * members;
                    // SAFETY: each group is one thread's.
                    let found = unsafe { sums.part(of_group.clone()) };
                    let mut whole_sums = [0.0f64; 2];
                    for (plane, found) in of_group.clone().zip(found) {
                        let affine = Affine { mean, scale: 1.0, bias: 0.0 };
                        *found = run(Slopes {
                            x,
                            gradient: source,
                            told: Told::Nothing,
                            to: None,
                            planes,
                            channel: plane,
                            range: range.clone(),
                            affine,
                            activation: Activation::Identity,
                        });
                        let weight = weights[plane % channels] as f64;
                        whole_sums[0] += weight * found[0];
                        whole_sums[1] += weight * found[1];
                    }
                    let Some(to) = to else { continue };
                    let share = inverse as f64 / whole.size as f64;
                    let constant = (whole_sums[0] * share) as f32;
                    let linear = (whole_sums[1] * share * (inverse as f64).powi(2)) as f32;
                    for plane in of_group {
                        let (channel, range) = (plane, range.clone());
                        let scale = weights[plane % channels] * inverse;
                        run(Spread {
                            x,
                            slope: source,
                            to,
                            planes,
                            channel,
                            range,
                            mean,
                            scale,
                            constant,
                            linear,
                        });
                    }
                }
            });
        }
        let over_images = |of_plane: &dyn Fn(usize) -> f64| {
            let sum =
                |channel| (channel..planes.channels).step_by(channels).map(of_plane).sum::<f64>() as f32;
            flex::tensor((0..channels).map(sum).collect(), &[channels])
        };
        [
            wanted[0].then(|| flex::tensor(of_x, &shape)),
            wanted[1]
                .then(|| over_images(&|plane| sums[plane][1] * self.statistics[plane / members][1] as f64)),
            wanted[2].then(|| over_images(&|plane| sums[plane][0])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, random};
    use burn::nn::GroupNormConfig;
    use burn::tensor::Device;
    use proptest::prelude::*;

    fn both<const D: usize>(shape: [usize; D], groups: usize) {
        let channels = [shape[1]];
        let samples = [random(&shape, 1), random(&channels, 2), random(&channels, 3)];
        check(
            &format!("{groups} groups of {shape:?}"),
            &samples,
            |i| group_norm(i.get::<D>(0), groups, i.get(1), i.get(2), 1e-5),
            |i| plain(i.get::<D>(0), groups, i.get(1), i.get(2), 1e-5),
        );
    }

    #[test]
    fn agrees_with_its_twin() {
        both([3, 6, 5, 7], 2);
        both([2, 6, 5, 7], 6);
        both([2, 6, 9], 1);
        both([5, 12], 3);
        both([2, 4, 61, 67], 2);
        both([0, 4, 3, 3], 2);
        let samples = [random(&[5, 4, 6, 2], 4), random(&[6], 5), random(&[6], 6)];
        check(
            "a permuted input",
            &samples,
            |i| group_norm(i.get::<4>(0).permute([3, 2, 0, 1]), 3, i.get(1), i.get(2), 1e-5),
            |i| plain(i.get::<4>(0).permute([3, 2, 0, 1]), 3, i.get(1), i.get(2), 1e-5),
        );
    }

    #[test]
    fn is_burns_layer_also_far_from_zero() {
        let device = Device::flex();
        let layer = GroupNormConfig::new(2, 4).init(&device);
        let sample = random(&[2, 4, 5, 5], 7).map(|value| value + 1e3);
        let x = Tensor::<4>::from_data(burn::tensor::TensorData::new(sample.values, [2, 4, 5, 5]), &device);
        let found = group_norm(x.clone(), 2, Tensor::ones([4], &device), Tensor::zeros([4], &device), 1e-5);
        let apart: f32 = (found - layer.forward(x)).abs().max().into_scalar();
        assert!(apart < 1e-3, "{apart}");
    }

    #[test]
    #[should_panic(expected = "3 groups of 4 channels")]
    fn groups_that_do_not_divide_are_refused() {
        let device = Device::flex();
        let (one, zero) = (Tensor::ones([4], &device), Tensor::zeros([4], &device));
        group_norm(Tensor::<3>::zeros([1, 4, 2], &device), 3, one, zero, 1e-5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10))]
        // two numbers alone become -1 and 1 whatever they are, and their gradient is a rounding error
        #[test]
        fn any_shape(
            images in 1usize..4, groups in 1usize..4, members in 1usize..4, height in 2usize..9, width in 2usize..30,
        ) {
            both([images, groups * members, height, width], groups);
        }
    }
}
