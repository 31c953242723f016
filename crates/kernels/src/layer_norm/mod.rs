//! Norms over the last axis: layer norm (Ba et al. 2016) and the root-mean-square norm (Zhang and Sennrich
//! 2019).
//!
//! Axes: `N` rows, `D` width.

mod rows;

use crate::flex::{self, Floats, Keep, Saved};
use crate::precision::like;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rows::{Kind, Statistics, Wanted};

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias`, with the mean and the biased variance of each
/// row.
///
/// # Shapes
/// - x, output: `[..., D]`
/// - weight, bias: `[D]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Option<Tensor<1>>,
    epsilon: f64,
) -> Tensor<D> {
    let [width] = weight.dims();
    check(&x, width);
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [width], "the bias of a norm of {width}");
    }
    if x.dtype() != weight.dtype() {
        return like(layer_norm(like(x.clone(), &weight), weight, bias, epsilon), &x);
    }
    if !flex::runs_on(&x) {
        return burn::tensor::module::layer_norm(x, weight, bias, epsilon);
    }
    let bias = flex::or_empty(bias, &x);
    Tensor::from_dispatch(Dispatch::row_norm(x.into_dispatch(), weight.into_dispatch(), bias, true, epsilon))
}

/// `x / sqrt(mean(x^2) + epsilon) * weight`, for each row.
///
/// # Shapes
/// - x, output: `[..., D]`
/// - weight: `[D]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let [width] = weight.dims();
    check(&x, width);
    if x.dtype() != weight.dtype() {
        return like(rms_norm(like(x.clone(), &weight), weight, epsilon), &x);
    }
    if !flex::runs_on(&x) {
        return plain_rms(x, weight, epsilon);
    }
    let none = flex::or_empty::<1, D>(None, &x);
    Tensor::from_dispatch(Dispatch::row_norm(x.into_dispatch(), weight.into_dispatch(), none, false, epsilon))
}

fn check<const D: usize>(x: &Tensor<D>, width: usize) {
    let dims = x.dims();
    assert_eq!(dims[D - 1], width, "the last axis of an input of {dims:?} and a norm of {width}");
}

/// The twin of [`rms_norm`], made of Burn's own ops.
fn plain_rms<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let deviation = (x.clone().square().mean_dim(D - 1) + epsilon).sqrt();
    x / deviation * weight.unsqueeze()
}

/// The op as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait RowNormOps: Backend {
    /// [`layer_norm`] if `centered`, else [`rms_norm`]. An empty bias stands for none.
    fn row_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        centered: bool,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl RowNormOps for Flex {
    fn row_norm(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        centered: bool,
        epsilon: f64,
    ) -> FlexTensor {
        forward(x, weight, bias, centered, epsilon).0
    }
}

impl<C: CheckpointStrategy> RowNormOps for Autodiff<Flex, C> {
    fn row_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        centered: bool,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 3>([x, weight, bias], |[x, weight, bias], keep| {
            let (output, saved) = forward(x, weight, bias, centered, epsilon);
            (output, (keep == Keep::ForBackward).then_some(saved))
        })
    }
}

/// The state that the backward pass needs.
#[derive(Clone, Debug)]
struct Norm {
    kind: Kind,
    x: Floats,
    weight: Floats,
    statistics: Statistics,
}

fn forward(
    x: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    centered: bool,
    epsilon: f64,
) -> (FlexTensor, Norm) {
    let kind = if centered { Kind::Layer } else { Kind::RootMeanSquare };
    let (x, weight, bias) = (Floats::new(x), Floats::new(weight), flex::unless_empty(bias));
    let (output, statistics) = rows::forward(kind, &x, &weight, bias.as_deref(), epsilon as f32);
    (flex::tensor(output, x.dims()), Norm { kind, x, weight, statistics })
}

impl Saved<3> for Norm {
    fn backward(self, gradient: FlexTensor, [x, weight, bias]: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let gradient = Floats::new(gradient);
        let wanted = Wanted { x, weight, bias };
        let [of_x, of_weight, of_bias] =
            rows::backward(self.kind, &self.x, &self.weight, &self.statistics, &gradient, wanted);
        [
            x.then(|| flex::tensor(of_x, self.x.dims())),
            weight.then(|| flex::tensor(of_weight, self.weight.dims())),
            bias.then(|| flex::tensor(of_bias, self.weight.dims())),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, random};
    use burn::tensor::Device;
    use proptest::prelude::*;

    fn both(rows: usize, width: usize) {
        let samples = [random(&[rows, width], 1), random(&[width], 2), random(&[width], 3)];
        let plain = burn::tensor::module::layer_norm::<2>;
        let name = format!("{rows} x {width}");
        check(
            &name,
            &samples,
            |i| layer_norm(i.get::<2>(0), i.get(1), Some(i.get(2)), 1e-5),
            |i| plain(i.get::<2>(0), i.get(1), Some(i.get(2)), 1e-5),
        );
        check(
            &format!("{name} without a bias"),
            &samples[..2],
            |i| layer_norm(i.get::<2>(0), i.get(1), None, 1e-3),
            |i| plain(i.get::<2>(0), i.get(1), None, 1e-3),
        );
        check(
            &format!("{name}, root mean square"),
            &samples[..2],
            |i| rms_norm(i.get::<2>(0), i.get(1), 1e-6),
            |i| plain_rms(i.get::<2>(0), i.get(1), 1e-6),
        );
    }

    #[test]
    fn agrees_with_its_twin() {
        for (rows, width) in [(2, 3), (5, 16), (0, 7), (37, 65), (300, 130), (3, 1000), (1, 64)] {
            both(rows, width);
        }
    }

    #[test]
    fn strided_and_broadcast_inputs_far_from_zero() {
        let samples = [random(&[6, 5, 4], 1).map(|x| 100.0 + x), random(&[6], 2), random(&[6], 3)];
        check(
            "transposed",
            &samples,
            |i| layer_norm(i.get::<3>(0).swap_dims(0, 2), i.get(1), Some(i.get(2)), 1e-5),
            |i| {
                let x = i.get::<3>(0).swap_dims(0, 2);
                let centered = x.clone() - x.mean_dim(2);
                let variance = centered.clone().square().mean_dim(2);
                centered / (variance + 1e-5).sqrt() * i.get::<1>(1).unsqueeze() + i.get::<1>(2).unsqueeze()
            },
        );
    }

    #[test]
    fn a_module_gives_the_same() {
        let device = Device::flex();
        for epsilon in [1e-5, 0.25] {
            let module = burn::nn::LayerNormConfig::new(8).with_epsilon(epsilon).init(&device);
            let x = Tensor::<2>::from_data([[1.0, -2.0, 3.0, 0.5, 0.0, 1.5, -1.0, 2.0]], &device);
            let found = crate::modules::layer_norm(&module, x.clone(), epsilon);
            let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-6);
            found.into_data().assert_approx_eq(&module.forward(x).into_data(), tolerance);
        }
    }

    #[test]
    fn constant_and_broken_rows() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data([[3.0; 20], [f32::NAN; 20], [1.0; 20]], &device);
        let (weight, bias) = (Tensor::<1>::ones([20], &device), Tensor::full([20], 0.5, &device));
        let found: Vec<f32> = layer_norm(x, weight, Some(bias), 1e-5).into_data().try_into_vec().unwrap();
        assert_eq!(found[..20], [0.5; 20]);
        assert!(found[20..40].iter().all(|x| x.is_nan()));
        assert_eq!(found[40..], [0.5; 20]);
    }

    #[test]
    #[should_panic(expected = "a norm of 3")]
    fn another_width() {
        let device = Device::flex();
        layer_norm(Tensor::<2>::zeros([2, 4], &device), Tensor::ones([3], &device), None, 1e-5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn any_shape(rows in 1usize..200, width in 2usize..200) {
            both(rows, width);
        }
    }
}
