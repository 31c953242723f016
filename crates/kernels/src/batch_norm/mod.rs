//! Batch norm (Ioffe and Szegedy 2015), with a residual and an activation in the same passes.
//!
//! Axes: `B` images, `C` channels, `S` places of a plane.
//!
//! A channel is measured and mapped at one go, while it is in the cache: memory is read once and written
//! once. The backward pass does the same with its sums and the gradient. It overwrites the incoming gradient
//! if nobody else holds it.

pub(crate) mod channels;
mod layer;
mod ranks;

pub use layer::batch_norm;
pub use ranks::SumOverRanks;

use crate::activation::Activation;
use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::precision::like;
use crate::simd::run;
use crate::threads::Shared;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use channels::{Affine, Map, Measure, Moments, Planes, Slopes, Source, Spread, Told, in_turn};
use std::cell::RefCell;

/// `activation((x - mean) / sqrt(variance + epsilon) * weight + bias + residual)`, with the mean and the
/// variance of each channel of this batch. Returns the output, the mean and the variance.
///
/// The variance is the biased one, which Burn's running statistics take. The returned mean and variance carry
/// no gradient. The output's gradient takes their dependence on `x` into account.
///
/// # Shapes
/// - x, residual, output: `[B, C, ...]`
/// - weight, bias, mean, variance: `[C]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn batch_norm_train<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    residual: Option<Tensor<D>>,
    epsilon: f64,
    activation: Activation,
) -> (Tensor<D>, Tensor<1>, Tensor<1>) {
    assert_fitting(&x, &[&weight, &bias], &residual);
    if x.dtype() != weight.dtype() {
        let residual = residual.map(|residual| like(residual, &weight));
        let (y, mean, variance) =
            batch_norm_train(like(x.clone(), &weight), weight, bias, residual, epsilon, activation);
        return (like(y, &x), mean, variance);
    }
    if !flex::runs_on(&x) {
        return plain_train(x, weight, bias, residual, epsilon, activation);
    }
    if let Some(flat) = flat(&x) {
        let residual = residual.map(|residual| flatten(residual, flat));
        let (y, mean, variance) =
            batch_norm_train(flatten(x.clone(), flat), weight, bias, residual, epsilon, activation);
        return (unflatten(y, x.dims()), mean, variance);
    }
    let residual = flex::or_empty(residual, &x);
    let (y, mean, variance) = Dispatch::batch_norm_measured(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        residual,
        epsilon,
        activation,
    );
    (Tensor::from_dispatch(y), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}

/// `activation((x - mean) / sqrt(variance + epsilon) * weight + bias + residual)` with a given mean and
/// variance of each channel. Neither carries a gradient.
///
/// # Shapes
/// - x, residual, output: `[B, C, ...]`
/// - weight, bias, mean, variance: `[C]`
///
/// # Panics
/// When the shapes do not fit each other.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm_eval<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    residual: Option<Tensor<D>>,
    epsilon: f64,
    activation: Activation,
) -> Tensor<D> {
    assert_fitting(&x, &[&weight, &bias, &mean, &variance], &residual);
    if x.dtype() != weight.dtype() {
        let residual = residual.map(|residual| like(residual, &weight));
        let wide = like(x.clone(), &weight);
        return like(batch_norm_eval(wide, weight, bias, mean, variance, residual, epsilon, activation), &x);
    }
    if !flex::runs_on(&x) {
        return plain_eval(x, weight, bias, mean, variance, residual, epsilon, activation);
    }
    if let Some(flat) = flat(&x) {
        let residual = residual.map(|residual| flatten(residual, flat));
        let x_flat = flatten(x.clone(), flat);
        let y = batch_norm_eval(x_flat, weight, bias, mean, variance, residual, epsilon, activation);
        return unflatten(y, x.dims());
    }
    let residual = flex::or_empty(residual, &x);
    Tensor::from_dispatch(Dispatch::batch_norm_given(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        residual,
        epsilon,
        activation,
    ))
}

fn assert_fitting<const D: usize>(x: &Tensor<D>, of_channels: &[&Tensor<1>], residual: &Option<Tensor<D>>) {
    assert!(D >= 2, "an input of [B, C, ...], found {:?}", x.dims());
    for tensor in of_channels {
        assert_eq!(tensor.dims(), [x.dims()[1]], "a number for each channel of {:?}", x.dims());
    }
    if let Some(residual) = residual {
        assert_eq!(residual.dims(), x.dims(), "the residual beside its input");
    }
}

/// The least size of a plane that fills most of a vector. Smaller planes of a channel are first laid one
/// behind the other.
const SMALL: usize = 8;

/// The shape `[1, C, B * S]` if the planes of an input are small.
fn flat<const D: usize>(x: &Tensor<D>) -> Option<[usize; 3]> {
    let dims = x.dims();
    let size: usize = dims[2..].iter().product();
    (size < SMALL && dims[0] > 1 && dims[1] * size > 0).then(|| [1, dims[1], dims[0] * size])
}

fn flatten<const D: usize>(x: Tensor<D>, flat: [usize; 3]) -> Tensor<3> {
    x.swap_dims(0, 1).reshape(flat)
}

fn unflatten<const D: usize>(x: Tensor<3>, mut dims: [usize; D]) -> Tensor<D> {
    dims.swap(0, 1);
    x.reshape(dims).swap_dims(0, 1)
}

/// The twin of [`batch_norm_train`], made of Burn's own ops.
pub(crate) fn plain_train<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    residual: Option<Tensor<D>>,
    epsilon: f64,
    activation: Activation,
) -> (Tensor<D>, Tensor<1>, Tensor<1>) {
    let normal = burn::tensor::module::batch_norm_train(x, weight, bias, epsilon);
    let sum = match residual {
        None => normal.output,
        Some(residual) => normal.output + residual,
    };
    (activation.plain(sum), normal.mean, normal.variance)
}

/// The twin of [`batch_norm_eval`], made of Burn's own ops.
#[allow(clippy::too_many_arguments)]
pub(crate) fn plain_eval<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    residual: Option<Tensor<D>>,
    epsilon: f64,
    activation: Activation,
) -> Tensor<D> {
    let (mean, variance) = (mean.detach(), variance.detach());
    let normal = burn::tensor::module::batch_norm(x, weight, bias, mean, variance, epsilon);
    activation.plain(match residual {
        None => normal,
        Some(residual) => normal + residual,
    })
}

/// The ops as an extension of Burn's CPU backend. An empty residual stands for none.
#[backend_extension(Autodiff, Flex)]
pub trait BatchNormOps: Backend {
    /// See [`batch_norm_train`].
    fn batch_norm_measured(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`batch_norm_eval`].
    #[allow(clippy::too_many_arguments)]
    fn batch_norm_given(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

impl BatchNormOps for Flex {
    fn batch_norm_measured(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        residual: FlexTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let inputs = [x, weight, bias, residual];
        let (y, measured, _) = forward(inputs, None, epsilon, activation, Keep::Nothing);
        let Statistics { mean, variance } = measured.expect("measured statistics");
        (y, mean, variance)
    }

    fn batch_norm_given(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        residual: FlexTensor,
        epsilon: f64,
        activation: Activation,
    ) -> FlexTensor {
        let given = Some(Statistics { mean, variance });
        forward([x, weight, bias, residual], given, epsilon, activation, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> BatchNormOps for Autodiff<Flex, C> {
    fn batch_norm_measured(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let mut measured = None;
        let y = flex::track::<C, _, 4>([x, weight, bias, residual], |inputs, keep| {
            let (y, statistics, saved) = forward(inputs, None, epsilon, activation, keep);
            measured = statistics;
            (y, saved)
        });
        let statistics = measured.expect("the op has run");
        (y, Self::from_inner(statistics.mean), Self::from_inner(statistics.variance))
    }

    fn batch_norm_given(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let given = Some(Statistics { mean: Self::inner(mean), variance: Self::inner(variance) });
        flex::track::<C, _, 4>([x, weight, bias, residual], |inputs, keep| {
            let (y, _, saved) = forward(inputs, given, epsilon, activation, keep);
            (y, saved)
        })
    }
}

/// The mean and the variance of each channel.
struct Statistics {
    mean: FlexTensor,
    variance: FlexTensor,
}

/// The state that the backward pass needs.
#[derive(Clone, Debug)]
struct BatchNorm {
    x: Floats,
    planes: Planes,
    /// Each channel's map.
    maps: Vec<Affine>,
    /// `1 / sqrt(variance + epsilon)` of each channel.
    inverses: Vec<f32>,
    /// The count of a channel's numbers that the statistics depend on; `None` if the statistics were given.
    measured: Option<f64>,
    /// The sum over the ranks that share these statistics, if there are several.
    over_ranks: Option<SumOverRanks>,
    told: Teller,
    activation: Activation,
}

/// An owned [`Told`].
#[derive(Clone, Debug)]
enum Teller {
    Nothing,
    Input,
    Residual(Floats),
    Output(Floats),
}

/// The output, the statistics unless they were given, and the state for the backward pass if one may follow.
fn forward(
    [x, weight, bias, residual]: [FlexTensor; 4],
    given: Option<Statistics>,
    epsilon: f64,
    activation: Activation,
    keep: Keep,
) -> (FlexTensor, Option<Statistics>, Option<BatchNorm>) {
    let (x, residual) = (Floats::new(x), flex::unless_empty(residual));
    let (weight, bias) = (Floats::new(weight), Floats::new(bias));
    let shape = x.dims().to_vec();
    let planes = Planes { images: shape[0], channels: shape[1], size: shape[2..].iter().product() };
    let mut output = for_overwriting(x.len());
    let measured = given.is_none();
    let over_ranks = SumOverRanks::current().filter(|_| measured);
    let add_up = over_ranks.as_ref().map(|over_ranks| |moments: &mut [Moments]| over_ranks.moments(moments));
    let given = given.map(|given| (Floats::new(given.mean), Floats::new(given.variance)));
    let to = Shared::new(&mut output);
    // As slices: a tensor checks its buffer each time it is read, and each channel reads them all.
    let (numbers, weight, bias): (&[f32], &[f32], &[f32]) = (&x, &weight, &bias);
    let added = residual.as_deref();
    let given = given.as_ref().map(|(mean, variance)| -> (&[f32], &[f32]) { (mean, variance) });
    let map = |channel: usize, moments| affine(moments, weight[channel], bias[channel], epsilon);
    let moments = in_turn(
        planes,
        |channel, range| match given {
            None => run(Measure { x: numbers, planes, channel, range }),
            Some((mean, variance)) => {
                Moments { count: 1.0, mean: mean[channel] as f64, squares: variance[channel] as f64 }
            }
        },
        |all, more| if measured { all.and(more) } else { all },
        add_up.as_ref().map(|add_up| add_up as _),
        |channel, range, moments| {
            let affine = map(channel, moments);
            run(Map { x: numbers, residual: added, to, planes, channel, range, affine, activation });
        },
    );
    let of_channels = |number: fn(&Moments) -> f64| {
        let numbers = moments.iter().map(|moments| number(moments) as f32).collect();
        flex::tensor(numbers, &[planes.channels])
    };
    let statistics = measured.then(|| Statistics {
        mean: of_channels(|moments| moments.mean),
        variance: of_channels(Moments::variance),
    });
    let maps_and_inverses = (keep == Keep::ForBackward).then(|| {
        let each =
            |(channel, moments): (usize, &Moments)| (map(channel, *moments), inverse(*moments, epsilon));
        moments.iter().enumerate().map(each).unzip()
    });
    let output = flex::tensor(output, &shape);
    let saved = maps_and_inverses.map(|(maps, inverses)| BatchNorm {
        told: match (activation, residual) {
            (Activation::Identity, _) => Teller::Nothing,
            (_, None) => Teller::Input,
            (Activation::Relu | Activation::Relu6 | Activation::Tanh, Some(_)) => {
                Teller::Output(Floats::new(output.clone()))
            }
            (_, Some(residual)) => Teller::Residual(residual),
        },
        x,
        planes,
        maps,
        inverses,
        measured: measured.then(|| moments.first().map_or(0.0, |moments| moments.count)),
        over_ranks,
        activation,
    });
    (output, statistics, saved)
}

/// The maps of a norm with given statistics, one a channel: those that [`batch_norm_eval`] applies.
///
/// # Panics
/// When the slices differ in length.
pub(crate) fn maps_of(
    weight: &[f32],
    bias: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f64,
) -> Vec<Affine> {
    let channels = weight.len();
    assert_eq!([bias.len(), mean.len(), variance.len()], [channels; 3], "a number for each channel");
    let map = |channel: usize| {
        let moments = Moments { count: 1.0, mean: mean[channel] as f64, squares: variance[channel] as f64 };
        affine(moments, weight[channel], bias[channel], epsilon)
    };
    (0..channels).map(map).collect()
}

fn affine(moments: Moments, weight: f32, bias: f32, epsilon: f64) -> Affine {
    Affine { mean: moments.mean as f32, scale: weight * inverse(moments, epsilon), bias }
}

fn inverse(moments: Moments, epsilon: f64) -> f32 {
    if moments.count == 0.0 {
        return 0.0; // no number, no slope
    }
    (1.0 / (moments.variance() + epsilon).sqrt()) as f32
}

impl Saved<4> for BatchNorm {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let planes = self.planes;
        let shape = self.x.dims().to_vec();
        let [of_x, _, _, of_residual] = wanted;
        let told = match &self.told {
            Teller::Nothing => Told::Nothing,
            Teller::Input => Told::ByInput,
            Teller::Residual(residual) => Told::ByResidual(residual),
            Teller::Output(output) => Told::ByOutput(output),
        };
        let identity = matches!(told, Told::Nothing);
        let mut gradient = if gradient.is_contiguous() { gradient } else { gradient.to_contiguous() };
        // The residual's gradient is the slopes, so they must stay. Otherwise the input's gradient overwrites
        // the slopes, and both overwrite the incoming gradient if nobody else holds it.
        let in_place = of_x && !of_residual && is_own(&mut gradient);
        let held = (identity && of_residual).then(|| gradient.clone());
        let mut own = for_overwriting(if of_x && !in_place { self.x.len() } else { 0 });
        let mut slopes = for_overwriting(if of_residual && !identity { self.x.len() } else { 0 });
        let (source, to) = if in_place {
            let shared = Shared::new(gradient.storage_mut::<f32>());
            (Source::Written(shared), Some(shared))
        } else {
            let numbers = gradient.as_slice::<f32>().expect("contiguous f32");
            (Source::Apart(numbers), of_x.then(|| Shared::new(&mut own)))
        };
        let slopes_to = match (identity, of_residual) {
            (true, _) => None,
            (false, true) => Some(Shared::new(&mut slopes)),
            (false, false) => to,
        };
        let (x, activation): (&[f32], _) = (&self.x, self.activation);
        // Weight and bias take this rank's own sums: their gradients are added up later, with all others.
        let own_sums = RefCell::new(None);
        let add_up = self.over_ranks.as_ref().map(|over_ranks| {
            |sums: &mut [[f64; 2]]| {
                own_sums.replace(Some(sums.to_vec()));
                over_ranks.slopes(sums, planes.count() as f64);
            }
        });
        let sums = in_turn(
            planes,
            |channel, range| {
                let (affine, to) = (self.maps[channel], slopes_to);
                run(Slopes { x, gradient: source, told, to, planes, channel, range, affine, activation })
            },
            |all: [f64; 2], more| [all[0] + more[0], all[1] + more[1]],
            add_up.as_ref().map(|add_up| add_up as _),
            |channel, range, sums| {
                let Some(to) = to else { return };
                let slope = slopes_to.map_or(source, Source::Written);
                let Affine { mean, scale, .. } = self.maps[channel];
                let share = self.measured.map_or(0.0, |count| 1.0 / count);
                let share = share * scale as f64;
                let constant = (sums[0] * share) as f32;
                let linear = (sums[1] * share * (self.inverses[channel] as f64).powi(2)) as f32;
                run(Spread { x, slope, to, planes, channel, range, mean, scale, constant, linear });
            },
        );
        let sums = own_sums.take().unwrap_or(sums);
        let of_weight = wanted[1].then(|| {
            let each = |(sums, inverse): (&[f64; 2], &f32)| (sums[1] * *inverse as f64) as f32;
            flex::tensor(sums.iter().zip(&self.inverses).map(each).collect(), &[planes.channels])
        });
        let of_bias = wanted[2]
            .then(|| flex::tensor(sums.iter().map(|sums| sums[0] as f32).collect(), &[planes.channels]));
        let of_residual = of_residual.then(|| held.unwrap_or_else(|| flex::tensor(slopes, &shape)));
        let of_x = of_x.then(|| if in_place { gradient } else { flex::tensor(own, &shape) });
        [of_x, of_weight, of_bias, of_residual]
    }
}

/// True if nobody else holds the tensor's numbers, and its memory holds no others.
fn is_own(tensor: &mut FlexTensor) -> bool {
    let count = tensor.layout().num_elements();
    tensor.try_storage_mut::<f32>().is_some_and(|numbers| numbers.len() == count)
}

#[cfg(test)]
mod tests;
