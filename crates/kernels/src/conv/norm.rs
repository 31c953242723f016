//! A convolution and the batch norm behind it. Where nothing is trained, the norm, a residual and the
//! activation are part of the convolution's pass.

use super::check_bias;
use super::engine;
use super::geometry::Geometry;
use super::last::{self, op::After};
use super::options::ConvOptions;
use super::weights::Weight;
use super::writer::Finish;
use crate::activation::Activation;
use crate::batch_norm::channels::{Affine, Normed};
use crate::batch_norm::{batch_norm, maps_of};
use crate::depthwise;
use crate::elementwise::opens;
use crate::flex::{self, Floats};
use crate::memory::for_overwriting;
use crate::modules;
use crate::prepared::{self, Form, kept};
use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use std::sync::Arc;

/// `activation(norm(convolution(x)) + residual)`, with the norm that [`batch_norm`] computes.
///
/// On the CPU backend in `f32`, off autodiff, it is one pass: each sum of the convolution is normed by the
/// running statistics before it is written. Its answers have the bits of the two passes, but within
/// [`Prepared::run`](crate::Prepared::run), where images come channels last. The weights stay as
/// they are: a norm folded into them would round otherwise, and would have to follow them.
///
/// # Shapes
/// - x: `[N, C_in, H, W]`
/// - residual, output: `[N, C_out, H', W']`, as for [`crate::conv2d`]
///
/// # Panics
/// When the shapes do not fit each other or the modules.
pub fn conv_norm(
    convolution: &Conv2d,
    norm: &BatchNorm,
    x: Tensor<4>,
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    match OnePass::of(convolution, norm, &x, residual.as_ref()) {
        Some(pass) => pass.run(x, residual, activation),
        None => {
            let x = modules::conv2d(convolution, x, Activation::Identity);
            batch_norm(norm, x, residual, activation)
        }
    }
}

/// The sizes and the modules' tensors of a convolution and a norm in one pass.
struct OnePass {
    geometry: Geometry,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    /// Weight, bias, mean and variance of the norm.
    norm: [Tensor<1>; 4],
    epsilon: f64,
}

impl OnePass {
    /// `None` where one pass does not serve: on a graph, on another backend, in another type, for nothing, and
    /// for a padding whose sides differ.
    fn of(
        convolution: &Conv2d,
        norm: &BatchNorm,
        x: &Tensor<4>,
        residual: Option<&Tensor<4>>,
    ) -> Option<OnePass> {
        if !opens(x) || residual.is_some_and(|residual| !opens(residual)) {
            return None;
        }
        let padding = modules::symmetric(&convolution.padding)?;
        let Conv2d { stride, dilation, groups, .. } = *convolution;
        let options = ConvOptions { stride, padding, dilation, groups };
        let (weight, bias) = (convolution.weight.val(), convolution.bias.as_ref().map(|bias| bias.val()));
        let (mean, variance) = (norm.running_mean.value(), norm.running_var.value());
        let of_norm = [norm.gamma.val(), norm.beta.val(), mean, variance];
        if !opens(&weight) || !bias.iter().chain(&of_norm).all(opens) {
            return None;
        }
        let geometry = Geometry::convolution(x.dims(), weight.dims(), options);
        let channels = geometry.groups * geometry.outputs;
        check_bias(bias.as_ref(), channels);
        for tensor in &of_norm {
            assert_eq!(tensor.dims(), [channels], "a norm of {channels} channels");
        }
        if let Some(residual) = residual {
            let [height, width] = geometry.output;
            let output = [geometry.images, channels, height, width];
            assert_eq!(residual.dims(), output, "the residual of an output");
        }
        let full = geometry.input_length() > 0 && geometry.weight_length() > 0;
        let unusual = geometry.is_depthwise() && !geometry.windows().is_usual();
        (full && !unusual).then_some(OnePass { geometry, weight, bias, norm: of_norm, epsilon: norm.epsilon })
    }

    fn run(self, x: Tensor<4>, residual: Option<Tensor<4>>, activation: Activation) -> Tensor<4> {
        let OnePass { geometry, weight, bias, norm, epsilon } = self;
        let Geometry { images, groups, outputs, output: [height, width], .. } = geometry;
        let shape = [images, groups * outputs, height, width];
        geometry.count();
        let (x, weight) = (primitive(x), primitive(weight));
        let (bias, residual) = (bias.map(primitive).map(Floats::new), residual.map(primitive));
        let maps = maps(norm.map(primitive), epsilon);
        let after = After { bias: bias.as_ref(), maps: Some(&maps), residual: residual.as_ref(), activation };
        if let Some(output) = last::op::convolve(&x, &weight, geometry, after) {
            return Tensor::from_primitive::<Flex>(output);
        }
        let lasting = prepared::lasting(&weight);
        let (x, weight, residual) = (Floats::new(x), Floats::new(weight), residual.map(Floats::new));
        let normed = Normed { maps: &maps, residual: residual.as_deref() };
        if geometry.is_depthwise() {
            let (bias, sizes) = (bias.as_deref(), geometry.windows());
            let output = depthwise::normed(&x, &weight, bias, sizes, normed, activation);
            return Tensor::from_primitive::<Flex>(output);
        }
        let mut output = for_overwriting(geometry.output_length());
        let finish = Finish { bias: bias.as_deref(), normed: Some(normed), activation, sums: None };
        let weight = Weight { numbers: &weight, lasting: lasting.as_ref() };
        engine::forward(geometry, &x, weight, finish, &mut output);
        Tensor::from_primitive::<Flex>(flex::tensor(output, &shape))
    }
}

/// The norm's maps of its weight, bias, mean and variance.
fn maps(norm: [FlexTensor; 4], epsilon: f64) -> Arc<Vec<Affine>> {
    let lasting: Option<Vec<FlexTensor>> = norm.iter().map(prepared::lasting).collect();
    let bytes = norm[0].shape().num_elements() * size_of::<Affine>();
    let make = || {
        let [weight, bias, mean, variance] = norm.clone().map(Floats::new);
        maps_of(&weight, &bias, &mean, &variance, epsilon)
    };
    let form = Form::Maps { epsilon: epsilon.to_bits() };
    let known = lasting.and_then(|lasting| kept(&lasting, form, bytes, make));
    known.unwrap_or_else(|| Arc::new(make()))
}

/// A tensor that [`opens`] as Burn's CPU tensor.
fn primitive<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    tensor.try_into_primitive::<Flex>().expect("a tensor that opens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Inputs, Sample, Setting, check, random, with_twins};
    use burn::module::{Param, ParamId, RunningState};
    use burn::nn::PaddingConfig2d;
    use burn::tensor::Device;

    const ACTIVATIONS: [Activation; 7] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Tanh,
    ];

    #[derive(Clone, Debug)]
    struct Case {
        /// `[N, C_in, H, W]`
        x: [usize; 4],
        outputs: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        /// Above, left, below, right.
        padding: [usize; 4],
        dilation: [usize; 2],
        groups: usize,
        biased: bool,
    }

    fn case(x: [usize; 4], outputs: usize, kernel: usize, stride: usize, groups: usize) -> Case {
        Case {
            x,
            outputs,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 4],
            dilation: [1; 2],
            groups,
            biased: false,
        }
    }

    /// Kernels of all paths: the engine, a product an image, and channels by themselves.
    fn cases() -> Vec<Case> {
        let unlike = case([2, 6, 11, 9], 8, 3, 1, 2);
        vec![
            case([2, 3, 17, 19], 13, 7, 2, 1),
            case([3, 5, 14, 14], 30, 3, 1, 1),
            case([2, 9, 7, 7], 40, 3, 1, 1),
            case([2, 8, 12, 11], 13, 1, 1, 1),
            case([2, 8, 12, 12], 14, 1, 1, 2),
            case([3, 8, 5, 6], 13, 1, 1, 1),
            case([2, 8, 9, 8], 13, 1, 2, 1),
            case([2, 7, 10, 37], 7, 3, 1, 7),
            case([5, 6, 9, 9], 6, 5, 2, 6),
            case([2, 4, 7, 7], 4, 7, 1, 4),
            Case { stride: [2, 1], padding: [0, 2, 0, 2], dilation: [1, 2], biased: true, ..unlike },
            Case { biased: true, ..case([2, 3, 8, 8], 3, 3, 1, 3) },
            Case { biased: true, ..case([2, 5, 12, 13], 6, 1, 1, 1) },
            // the sides differ: two passes
            Case { padding: [0, 0, 1, 1], ..case([1, 3, 8, 8], 4, 3, 2, 1) },
            // more padding than the kernel covers: two passes
            Case { padding: [3; 4], ..case([1, 2, 6, 6], 2, 3, 1, 2) },
        ]
    }

    impl Case {
        /// Input, weight, bias, the norm's four, and a residual.
        fn samples(&self, seed: u64) -> Vec<Sample> {
            let Case { x, outputs, kernel: [rows, columns], groups, .. } = *self;
            let weight = [outputs, x[1] / groups, rows, columns];
            let mut output = [x[0], outputs, 0, 0];
            for axis in 0..2 {
                let padded = x[2 + axis] + self.padding[axis] + self.padding[2 + axis];
                let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
                output[2 + axis] = (padded - reach) / self.stride[axis] + 1;
            }
            vec![
                random(&x, seed),
                random(&weight, seed + 1),
                random(&[outputs], seed + 2),
                // wide enough for ReLU6's upper end
                random(&[outputs], seed + 3).map(|value| 2.0 * value + 3.0),
                random(&[outputs], seed + 4),
                random(&[outputs], seed + 5).untracked(),
                random(&[outputs], seed + 6).map(|value| value + 1.5).untracked(),
                random(&output, seed + 7),
            ]
        }

        fn modules(&self, inputs: &Inputs, training: bool) -> (Conv2d, BatchNorm) {
            let [above, left, below, right] = self.padding;
            let vector = |index: usize| Param::initialized(ParamId::new(), inputs.get::<1>(index));
            let convolution = Conv2d {
                weight: Param::initialized(ParamId::new(), inputs.get::<4>(1)),
                bias: self.biased.then(|| vector(2)),
                stride: self.stride,
                kernel_size: self.kernel,
                dilation: self.dilation,
                groups: self.groups,
                padding: PaddingConfig2d::Explicit(above, left, below, right),
            };
            let norm = BatchNorm {
                gamma: vector(3),
                beta: vector(4),
                training: Param::from_bool(training),
                running_mean: RunningState::new(inputs.get(5)),
                running_var: RunningState::new(inputs.get(6)),
                momentum: 0.1,
                epsilon: 1e-3,
            };
            (convolution, norm)
        }
    }

    fn residual(inputs: &Inputs, wanted: bool) -> Option<Tensor<4>> {
        wanted.then(|| inputs.get(7))
    }

    /// Without a graph it is one pass; on a graph the norm is frozen or measures, and gradients are those of
    /// Burn's own ops.
    #[test]
    fn agrees_with_its_twin() {
        for (number, case) in cases().into_iter().enumerate() {
            let (activation, onto) = (ACTIVATIONS[number % 7], number % 3 == 0);
            for training in [false, true] {
                let run = |inputs: &Inputs| {
                    let (convolution, norm) = case.modules(inputs, training);
                    let x = inputs.get(0);
                    conv_norm(&convolution, &norm, x, residual(inputs, onto), activation)
                };
                check(
                    &format!("{case:?}, {activation:?}, residual {onto}, training {training}"),
                    &case.samples(10 * number as u64),
                    run,
                    |inputs| with_twins(|| run(inputs)),
                );
            }
        }
    }

    fn bits(tensor: Tensor<4>) -> Vec<u32> {
        tensor.into_data().iter::<f32>().map(f32::to_bits).collect()
    }

    fn off_graph(samples: &[Sample]) -> Inputs {
        let numbers: Vec<_> = samples.iter().map(Sample::numbers).collect();
        Inputs::new(&numbers, samples, Setting { graph: false, ..Setting::FAST })
    }

    #[test]
    fn one_pass_has_the_bits_of_two() {
        for (number, case) in cases().into_iter().enumerate() {
            let inputs = off_graph(&case.samples(number as u64));
            let (convolution, norm) = case.modules(&inputs, true);
            for activation in ACTIVATIONS {
                for onto in [false, true] {
                    let residual = || residual(&inputs, onto);
                    let found = conv_norm(&convolution, &norm, inputs.get(0), residual(), activation);
                    let sums = modules::conv2d(&convolution, inputs.get(0), Activation::Identity);
                    let expected = batch_norm(&norm, sums, residual(), activation);
                    assert_eq!(bits(found), bits(expected), "{case:?}, {activation:?}, residual {onto}");
                }
            }
        }
    }

    #[test]
    fn a_sample_has_the_same_bits_in_any_batch() {
        for mut case in cases() {
            case.x[0] = 5;
            let inputs = off_graph(&case.samples(3));
            let (convolution, norm) = case.modules(&inputs, false);
            let run = |range: std::ops::Range<usize>| {
                let (x, residual) = (inputs.get::<4>(0), inputs.get::<4>(7));
                let residual = residual.slice([range.clone()]);
                bits(conv_norm(&convolution, &norm, x.slice([range]), Some(residual), Activation::Silu))
            };
            let alone: Vec<u32> = (0..5).flat_map(|sample| run(sample..sample + 1)).collect();
            assert_eq!(run(0..5), alone, "{case:?}");
        }
    }

    #[test]
    fn what_is_not_finite_stays_where_it_belongs() {
        for case in cases() {
            let mut samples = case.samples(4);
            samples[0].values[7] = f32::INFINITY;
            samples[0].values[11] = f32::NAN;
            samples[6].values[0] = 0.0; // a channel without variance
            let inputs = off_graph(&samples);
            let (convolution, norm) = case.modules(&inputs, false);
            let found = conv_norm(&convolution, &norm, inputs.get(0), None, Activation::Relu6);
            let sums = modules::conv2d(&convolution, inputs.get(0), Activation::Identity);
            let expected = batch_norm(&norm, sums, None, Activation::Relu6);
            let numbers = |tensor: Tensor<4>| tensor.into_data().try_into_vec::<f32>().unwrap();
            for (found, expected) in numbers(found).into_iter().zip(numbers(expected)) {
                assert!(found == expected || (found.is_nan() && expected.is_nan()), "{case:?}");
            }
        }
    }

    #[test]
    fn a_norm_that_trains_measures_and_keeps_running_statistics() {
        let case = case([4, 3, 8, 8], 5, 3, 1, 1);
        let samples = case.samples(5);
        let numbers: Vec<_> = samples.iter().map(Sample::numbers).collect();
        let statistics = |fused: bool| {
            let inputs = Inputs::new(&numbers, &samples, Setting::FAST);
            let (convolution, norm) = case.modules(&inputs, true);
            if fused {
                conv_norm(&convolution, &norm, inputs.get(0), None, Activation::Relu);
            } else {
                let sums = modules::conv2d(&convolution, inputs.get(0), Activation::Identity);
                batch_norm(&norm, sums, None, Activation::Relu);
            }
            let values = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().unwrap();
            [values(norm.running_mean.value_sync()), values(norm.running_var.value_sync())]
        };
        let found = statistics(true);
        assert_eq!(found, statistics(false));
        assert_ne!(found[0], samples[5].values);
    }

    #[test]
    fn no_images() {
        let case = case([1, 2, 8, 8], 3, 3, 2, 1);
        let inputs = off_graph(&case.samples(6));
        let (convolution, norm) = case.modules(&inputs, false);
        let none = Tensor::zeros([0, 2, 8, 8], &Device::flex());
        let found = conv_norm(&convolution, &norm, none, None, Activation::Relu);
        assert_eq!(found.dims(), [0, 3, 4, 4]);
    }

    #[test]
    #[should_panic(expected = "the residual of an output")]
    fn a_residual_of_another_shape_is_refused() {
        let case = case([1, 2, 8, 8], 3, 3, 2, 1);
        let inputs = off_graph(&case.samples(7));
        let (convolution, norm) = case.modules(&inputs, false);
        let x: Tensor<4> = inputs.get(0);
        conv_norm(&convolution, &norm, x.clone(), Some(x), Activation::Relu);
    }
}
