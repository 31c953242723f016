//! Affine maps of the last axis, with bias and activation in the same pass.
//!
//! Axes: `N` rows, `I` inputs, `O` outputs. `y = activation(x W + b)`.

use crate::activation::{self, Activation};
use crate::count;
use crate::flex::{self, Floats, Keep, Saved};
use crate::gemm::{Finish, Matrix, PackedColumns, product, product_by};
use crate::memory::for_overwriting;
use crate::narrow;
use crate::precision::like;
use crate::prepared::{self, Form, kept};
use crate::reduce;
use crate::simd::Simd;
use crate::threads::Shared;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// `activation(x W + b)`.
///
/// # Shapes
/// - x: `[..., I]`
/// - weight: `[I, O]`
/// - bias: `[O]`
/// - output: `[..., O]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    dispatch(x, weight, bias, None, activation)
}

/// `residual + x W + b`: the end of a residual branch. The sum needs no pass of its own.
///
/// # Shapes
/// As for [`linear`]. The residual has the output's shape.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear_onto<const D: usize>(
    residual: Tensor<D>,
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    dispatch(x, weight, bias, Some(residual), Activation::Identity)
}

fn dispatch<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
    activation: Activation,
) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    let mut dims = x.dims();
    let shapes = format_args!("an input of {dims:?} and a weight of {:?}", [inputs, outputs]);
    assert_eq!(dims[D - 1], inputs, "the last axis and the rows of {shapes}");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "the bias of {shapes}");
    }
    if let Some(residual) = &residual {
        dims[D - 1] = outputs;
        assert_eq!(residual.dims(), dims, "the residual of an output");
    }
    count::add(&[x.shape().num_elements(), outputs]);
    let (x, residual) = (like(x, &weight), residual.map(|residual| like(residual, &weight)));
    if !flex::runs_on(&x) {
        return plain(x, weight, bias, residual, activation);
    }
    if residual.is_none() && activation == Activation::Identity && outputs <= narrow::MOST_OUTPUTS {
        return narrow::linear(x, weight, bias);
    }
    let (bias, residual) = (flex::or_empty(bias, &x), flex::or_empty(residual, &x));
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::linear_activated(x, weight, bias, residual, activation))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
    activation: Activation,
) -> Tensor<D> {
    let output = activation.plain(burn::tensor::module::linear(x, weight, bias));
    match residual {
        Some(residual) => residual + output,
        None => output,
    }
}

/// The op as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait LinearOps: Backend {
    /// See [`linear`] and [`linear_onto`]; an empty bias or residual stands for none.
    fn linear_activated(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

impl LinearOps for Flex {
    fn linear_activated(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        residual: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        forward([x, weight, bias, residual], activation, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> LinearOps for Autodiff<Flex, C> {
    fn linear_activated(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 4>([x, weight, bias, residual], |inputs, keep| forward(inputs, activation, keep))
    }
}

/// The state that the backward pass needs.
#[derive(Clone, Debug)]
struct Linear {
    x: Floats,
    weight: FlexTensor,
    /// The sums before the activation, or the output if the derivative follows from it; nothing for the
    /// identity.
    activated: Option<FlexTensor>,
    activation: Activation,
}

fn matrix(weight: &FlexTensor) -> Matrix<'_> {
    let (shape, strides) = (weight.layout().shape().as_slice(), weight.layout().strides());
    let data = &weight.storage::<f32>()[weight.layout().start_offset()..];
    let stride = |axis: usize| usize::try_from(strides[axis]).expect("strides that are not negative");
    Matrix { data, rows: shape[0], columns: shape[1], row_stride: stride(0), column_stride: stride(1) }
}

/// The weight without a copy, unless its strides are negative.
fn readable(weight: FlexTensor) -> FlexTensor {
    if weight.layout().has_positive_strides() { weight } else { weight.to_contiguous() }
}

fn forward(
    [x, weight, bias, residual]: [FlexTensor; 4],
    activation: Activation,
    keep: Keep,
) -> (FlexTensor, Option<Linear>) {
    let lasting = if keep == Keep::Nothing { prepared::lasting(&weight) } else { None };
    let (x, weight) = (Floats::new(x), readable(weight));
    let (bias, residual) = (flex::unless_empty(bias), flex::unless_empty(residual));
    let map = matrix(&weight);
    let lasting = lasting.filter(|_| x.len() > map.rows); // a single row reads the weight along its rows
    let packed = lasting.and_then(|weight| {
        let make = || PackedColumns::new(map);
        kept(&[weight], Form::Columns, PackedColumns::bytes(&map), make)
    });
    let rows = x.len().checked_div(map.rows).unwrap_or_else(|| x.dims().iter().rev().skip(1).product());
    let mut shape = x.dims().to_vec();
    *shape.last_mut().expect("an axis of inputs") = map.columns;
    let mut output = for_overwriting(rows * map.columns);
    let sums_kept = keep == Keep::ForBackward && !activation.is_known_by_output();
    let mut sums = for_overwriting(if sums_kept { output.len() } else { 0 });
    let finish = Affine {
        bias: bias.as_deref(),
        residual: residual.as_deref(),
        activation,
        sums: sums_kept.then(|| Shared::new(&mut sums)),
        stride: map.columns,
    };
    product_by(Matrix::new(&x, rows, map.rows), map, packed.as_deref(), &mut output, false, finish);
    let output = flex::tensor(output, &shape);
    let saved = (keep == Keep::ForBackward).then(|| Linear {
        x,
        activated: match activation {
            Activation::Identity => None,
            _ if activation.is_known_by_output() => Some(output.clone()),
            _ => Some(flex::tensor(sums, &shape)),
        },
        weight,
        activation,
    });
    (output, saved)
}

/// Adds the bias, stores the sums if they are wanted, activates, and adds the residual.
#[derive(Clone, Copy)]
struct Affine<'a> {
    bias: Option<&'a [f32]>,
    residual: Option<&'a [f32]>,
    activation: Activation,
    sums: Option<Shared<'a, f32>>,
    stride: usize,
}

impl Finish for Affine<'_> {
    #[inline(always)]
    fn finish<S: Simd>(self, s: S, value: S::F32, row: usize, column: usize, columns: usize) -> S::F32 {
        let mut value = value;
        if let Some(bias) = self.bias {
            value = s.add(value, s.load_first(&bias[column..column + columns]));
        }
        let start = row * self.stride + column;
        if let Some(sums) = self.sums {
            // SAFETY: each place of a product is finished once, by one thread.
            s.store_first(unsafe { sums.part(start..start + columns) }, value);
        }
        value = self.activation.apply(s, value);
        if let Some(residual) = self.residual {
            value = s.add(value, s.load_first(&residual[start..start + columns]));
        }
        value
    }
}

impl Saved<4> for Linear {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let gradient = Floats::new(gradient);
        let weight = matrix(&self.weight);
        let (inputs, outputs) = (weight.rows, weight.columns);
        let rows = gradient.len().checked_div(outputs).unwrap_or(0);
        let mut scaled = Vec::new();
        let slope: &[f32] = match self.activated {
            None => &gradient,
            Some(activated) => {
                scaled = for_overwriting(gradient.len());
                activation::backward(self.activation, &Floats::new(activated), &gradient, &mut scaled);
                &scaled
            }
        };
        let slope = Matrix::new(slope, rows, outputs);
        let of_x = wanted[0].then(|| {
            let mut to = for_overwriting(self.x.len());
            product(slope, weight.transposed(), &mut to, false, crate::gemm::AsIs);
            flex::tensor(to, self.x.dims())
        });
        let of_weight = wanted[1].then(|| {
            let mut to = for_overwriting(inputs * outputs);
            product(
                Matrix::new(&self.x, rows, inputs).transposed(),
                slope,
                &mut to,
                false,
                crate::gemm::AsIs,
            );
            flex::tensor(to, &[inputs, outputs])
        });
        let of_bias = wanted[2].then(|| flex::tensor(reduce::column_sums(slope.data, outputs), &[outputs]));
        drop(scaled);
        let of_residual = wanted[3].then(|| gradient.tensor());
        [of_x, of_weight, of_bias, of_residual]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, random};

    #[test]
    fn agrees_with_its_twin() {
        use Activation::*;
        for (rows, inputs, outputs) in
            [(1, 1, 1), (5, 3, 7), (33, 257, 65), (130, 40, 10), (0, 3, 2), (64, 128, 300)]
        {
            let (x, weight) = (random(&[rows, inputs], 1), random(&[inputs, outputs], 2));
            let all = [x.clone(), weight, random(&[outputs], 3)];
            let transposed = [x, random(&[outputs, inputs], 4)];
            for activation in [Identity, Relu, Relu6, Gelu, GeluTanh, Silu, Tanh] {
                check(
                    &format!("{rows} x {inputs} x {outputs}, {activation:?}"),
                    &all,
                    |i| linear(i.get::<2>(0), i.get(1), Some(i.get(2)), activation),
                    |i| plain(i.get::<2>(0), i.get(1), Some(i.get(2)), None, activation),
                );
                check(
                    &format!(
                        "{rows} x {inputs} x {outputs}, {activation:?}, no bias and a transposed weight"
                    ),
                    &transposed,
                    |i| linear(i.get::<2>(0), i.get::<2>(1).transpose(), None, activation),
                    |i| plain(i.get::<2>(0), i.get::<2>(1).transpose(), None, None, activation),
                );
            }
        }
    }

    #[test]
    fn a_residual_is_added_and_gets_the_whole_gradient() {
        let samples = [random(&[7, 3, 20], 1), random(&[7, 3, 9], 2), random(&[9, 20], 3), random(&[20], 4)];
        check(
            "residual",
            &samples,
            |i| linear_onto(i.get::<3>(0), i.get(1), i.get(2), Some(i.get(3))),
            |i| plain(i.get::<3>(1), i.get(2), Some(i.get(3)), Some(i.get(0)), Activation::Identity),
        );
    }

    #[test]
    fn strided_and_broadcast_inputs_of_any_rank() {
        let samples = [random(&[4, 5, 6], 1), random(&[5, 9], 2), random(&[9], 3)];
        check(
            "transposed input",
            &samples,
            |i| linear(i.get::<3>(0).swap_dims(1, 2), i.get(1), Some(i.get(2)), Activation::Gelu),
            |i| plain(i.get::<3>(0).swap_dims(1, 2), i.get(1), Some(i.get(2)), None, Activation::Gelu),
        );
        let samples = [random(&[1, 1, 5], 1), random(&[5, 9], 2)];
        check(
            "broadcast input",
            &samples,
            |i| linear(i.get::<3>(0).expand([3, 2, 5]), i.get(1), None, Activation::Relu),
            |i| plain(i.get::<3>(0).expand([3, 2, 5]), i.get(1), None, None, Activation::Relu),
        );
    }
}
