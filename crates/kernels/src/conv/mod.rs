//! Convolutions of images and their transposes, with bias and activation in the same pass.
//!
//! Axes: `N` images, `C` channels, `H` rows and `W` columns of pixels. One engine serves both: a transposed
//! convolution is the input gradient of a convolution, and its own input gradient is that convolution.
//! Kernels of a single point are plain matrix products.

mod columns;
mod engine;
mod geometry;
pub(crate) mod last;
mod norm;
mod options;
mod point;
mod slope;
mod weight_gradient;
mod weights;
mod writer;

use crate::activation::Activation;
use crate::depthwise::depthwise_conv2d;
use crate::elementwise::{close, open, opens};
use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::precision::like;
use crate::prepared;
use crate::threads::Shared;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, module, ops};
use geometry::Geometry;
use last::op::After;
pub use norm::conv_norm;
pub use options::{ConvOptions, ConvTransposeOptions};
use weights::Weight;
use writer::Finish;

/// `activation(x * weight + bias)`. `*` is the cross-correlation that networks call convolution.
///
/// # Shapes
/// - x: `[N, C_in, H, W]`
/// - weight: `[C_out, C_in / groups, kernel height, kernel width]`
/// - bias: `[C_out]`
/// - output: `[N, C_out, H', W']` with `H' = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1`
///
/// # Panics
/// When the shapes do not fit each other, the kernel is larger than the padded image, or an option other than
/// the padding is 0.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions,
    activation: Activation,
) -> Tensor<4> {
    let x = like(x, &weight);
    let geometry = Geometry::convolution(x.dims(), weight.dims(), options);
    check_bias(bias.as_ref(), geometry.groups * geometry.outputs);
    // An empty convolution is left to Burn.
    let fast = flex::runs_on(&x) && geometry.input_length() > 0 && geometry.weight_length() > 0;
    if fast && let Some(y) = predicted(&x, &weight, bias.as_ref(), geometry, activation) {
        return y;
    }
    if fast && geometry.is_depthwise() {
        let ConvOptions { stride, padding, dilation, .. } = options;
        return depthwise_conv2d(x, weight, bias, stride, padding, dilation, activation);
    }
    geometry.count();
    if !fast {
        return plain(x, weight, bias, options, activation);
    }
    let bias = flex::or_empty(bias, &x);
    Tensor::from_dispatch(Dispatch::convolve(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias,
        options,
        activation,
    ))
}

/// `activation(x * weight + bias)`. `*` is the transposed convolution: the input gradient of the convolution
/// with the same weight and options.
///
/// # Shapes
/// - x: `[N, C_in, H, W]`
/// - weight: `[C_in, C_out / groups, kernel height, kernel width]`
/// - bias: `[C_out]`
/// - output: `[N, C_out, H', W']` with
///   `H' = (H - 1) stride + dilation (kernel - 1) + 1 + padding_out - 2 padding`
///
/// # Panics
/// When the shapes do not fit each other, the output is empty, or an option other than the paddings is 0.
pub fn conv_transpose2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvTransposeOptions,
    activation: Activation,
) -> Tensor<4> {
    let x = like(x, &weight);
    let geometry = Geometry::transposed(x.dims(), weight.dims(), options);
    check_bias(bias.as_ref(), geometry.groups * geometry.inputs);
    // each input number meets each tap of each output channel
    geometry.count();
    if !flex::runs_on(&x) || geometry.output_length() == 0 || geometry.weight_length() == 0 {
        return plain_transposed(x, weight, bias, options, activation);
    }
    let bias = flex::or_empty(bias, &x);
    Tensor::from_dispatch(Dispatch::convolve_transposed(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias,
        options,
        activation,
    ))
}

/// [`conv2d`] within a prediction; `None` elsewhere, and where the op is not served there.
fn predicted(
    x: &Tensor<4>,
    weight: &Tensor<4>,
    bias: Option<&Tensor<1>>,
    geometry: Geometry,
    activation: Activation,
) -> Option<Tensor<4>> {
    if !prepared::is_predicting() || !opens(x) || !opens(weight) || !bias.is_none_or(opens) {
        return None;
    }
    let primitive = |x: &Tensor<4>| x.clone().try_into_primitive::<Flex>().expect("a tensor that opens");
    let (x, weight) = (primitive(x), primitive(weight));
    let bias = bias.map(|bias| Floats::new(open(bias.clone())));
    let after = After { bias: bias.as_ref(), maps: None, residual: None, activation };
    let y = last::op::convolve(&x, &weight, geometry, after)?;
    geometry.count();
    Some(close(y))
}

/// The twin of [`conv2d`], made of Burn's own ops.
pub(crate) fn plain(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions,
    activation: Activation,
) -> Tensor<4> {
    let ConvOptions { stride, padding, dilation, groups } = options;
    let options = ops::ConvOptions::new(stride, padding, dilation, groups);
    activation.plain(module::conv2d(x, weight, bias, options))
}

/// The twin of [`conv_transpose2d`], made of Burn's own ops.
pub(crate) fn plain_transposed(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvTransposeOptions,
    activation: Activation,
) -> Tensor<4> {
    let ConvTransposeOptions { stride, padding, padding_out, dilation, groups } = options;
    let options = ops::ConvTransposeOptions::new(stride, padding, padding_out, dilation, groups);
    activation.plain(module::conv_transpose2d(x, weight, bias, options))
}

/// True for a convolution of each channel by itself.
fn check_bias(bias: Option<&Tensor<1>>, channels: usize) {
    if let Some(bias) = bias {
        assert_eq!(bias.dims(), [channels], "the bias of {channels} channels");
    }
}

/// The ops as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait ConvOps: Backend {
    /// See [`conv2d`]; an empty bias stands for none.
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// See [`conv_transpose2d`]; an empty bias stands for none.
    fn convolve_transposed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvTransposeOptions,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

impl ConvOps for Flex {
    fn convolve(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: ConvOptions,
        activation: Activation,
    ) -> FlexTensor {
        let op = Op::of_convolution(&x, &weight, options, activation);
        op.forward([x, weight, bias], Keep::Nothing).0
    }

    fn convolve_transposed(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: ConvTransposeOptions,
        activation: Activation,
    ) -> FlexTensor {
        let op = Op::of_transposed(&x, &weight, options, activation);
        op.forward([x, weight, bias], Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> ConvOps for Autodiff<Flex, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
        activation: Activation,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 3>([x, weight, bias], |inputs, keep| {
            Op::of_convolution(&inputs[0], &inputs[1], options, activation).forward(inputs, keep)
        })
    }

    fn convolve_transposed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvTransposeOptions,
        activation: Activation,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 3>([x, weight, bias], |inputs, keep| {
            Op::of_transposed(&inputs[0], &inputs[1], options, activation).forward(inputs, keep)
        })
    }
}

/// A convolution's sizes and options, without its numbers.
#[derive(Clone, Copy, Debug)]
struct Op {
    geometry: Geometry,
    transposed: bool,
    activation: Activation,
}

/// The state that the backward pass needs.
#[derive(Clone, Debug)]
struct Convolved {
    op: Op,
    x: Floats,
    weight: Floats,
    /// The sums before the activation, or the output if the derivative follows from it; nothing for the
    /// identity.
    activated: Option<FlexTensor>,
}

fn four(tensor: &FlexTensor) -> [usize; 4] {
    flex::dims(tensor).try_into().expect("four axes")
}

impl Op {
    fn of_convolution(
        x: &FlexTensor,
        weight: &FlexTensor,
        options: ConvOptions,
        activation: Activation,
    ) -> Self {
        Op { geometry: Geometry::convolution(four(x), four(weight), options), transposed: false, activation }
    }

    fn of_transposed(
        x: &FlexTensor,
        weight: &FlexTensor,
        options: ConvTransposeOptions,
        activation: Activation,
    ) -> Self {
        Op { geometry: Geometry::transposed(four(x), four(weight), options), transposed: true, activation }
    }

    /// The channels of the output, and its height and width.
    fn out(&self) -> (usize, [usize; 2]) {
        let Geometry { groups, inputs, outputs, input, output, .. } = self.geometry;
        if self.transposed { (groups * inputs, input) } else { (groups * outputs, output) }
    }

    fn forward(self, inputs: [FlexTensor; 3], keep: Keep) -> (FlexTensor, Option<Convolved>) {
        let Op { geometry, transposed, activation } = self;
        let [x, weight, bias] = inputs;
        let lasting = if keep == Keep::Nothing { prepared::lasting(&weight) } else { None };
        let (x, weight, bias) = (Floats::new(x), Floats::new(weight), flex::unless_empty(bias));
        let (channels, [height, width]) = self.out();
        let shape = [geometry.images, channels, height, width];
        let mut output = for_overwriting(shape.iter().product());
        let sums_kept = keep == Keep::ForBackward && !activation.is_known_by_output();
        let mut sums = for_overwriting(if sums_kept { output.len() } else { 0 });
        let finish = Finish {
            bias: bias.as_deref(),
            normed: None,
            activation,
            sums: sums_kept.then(|| Shared::new(&mut sums)),
        };
        if transposed {
            engine::backward(geometry, &x, &weight, finish, &mut output);
        } else {
            let weight = Weight { numbers: &weight, lasting: lasting.as_ref() };
            engine::forward(geometry, &x, weight, finish, &mut output);
        }
        let output = flex::tensor(output, &shape);
        let saved = (keep == Keep::ForBackward).then(|| Convolved {
            op: self,
            x,
            weight,
            activated: match activation {
                Activation::Identity => None,
                _ if activation.is_known_by_output() => Some(output.clone()),
                _ => Some(flex::tensor(sums, &shape)),
            },
        });
        (output, saved)
    }
}

impl Saved<3> for Convolved {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Convolved { op, x, weight, activated } = self;
        let gradient = Floats::new(gradient);
        let activated = activated.map(Floats::new);
        let (channels, [height, width]) = op.out();
        let (scaled, of_bias) = slope::slope(
            op.activation,
            activated.as_deref().unwrap_or(&[]),
            &gradient,
            channels,
            height * width,
            wanted[2],
        );
        let slope: &[f32] = if activated.is_some() { &scaled } else { &gradient };
        let of_x = wanted[0].then(|| {
            let mut to = for_overwriting(x.len());
            if op.transposed {
                engine::forward(op.geometry, slope, Weight::passing(&weight), Finish::default(), &mut to);
            } else {
                engine::backward(op.geometry, slope, &weight, Finish::default(), &mut to);
            }
            flex::tensor(to, x.dims())
        });
        let of_weight = wanted[1].then(|| {
            let (input, output) = if op.transposed { (slope, &x[..]) } else { (&x[..], slope) };
            let to = weight_gradient::weight_gradient(op.geometry, input, output);
            flex::tensor(to, weight.dims())
        });
        let of_bias = wanted[2].then(|| flex::tensor(of_bias, &[channels]));
        [of_x, of_weight, of_bias]
    }
}

#[cfg(test)]
mod tests;
