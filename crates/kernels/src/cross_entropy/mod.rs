//! Cross-entropy of logits, with its gradient computed in the same pass.
//!
//! Axes: `N` rows, `K` classes. The gradient of a row, `softmax - target`, needs the same numbers as the
//! loss. So if a backward pass may follow, the gradient is written at once, over the logits if nobody else
//! holds them. The backward pass only scales it, by 1 if the loss is the root of the graph.

mod rows;

use crate::elementwise;
use crate::flex::{self, Floats, Keep, Saved};
use crate::indices::Indices;
use crate::precision::widened;
use crate::simd::run;
use crate::threads::{self, Shared};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, activation::log_softmax};
use rows::{From, Goal, Rows};

/// The mean over rows of `weight * -ln p(class)`, in nats, `[1]`; `p` is the softmax of a row's logits. The
/// mean divides by the number of rows, whatever their weights. No gradient flows to the weights.
///
/// `label_smoothing` is the share of the target's probability that is spread evenly over all classes (Szegedy
/// et al. 2016). A row of weight 0 is skipped.
///
/// # Shapes
/// - logits: `[N, K]`
/// - classes: `[N]`, each below `K`
/// - weights: `[N]`; 1 each if there are none
///
/// # Panics
/// When the shapes do not fit each other, or a class is negative or not below `K`.
pub fn cross_entropy(
    logits: Tensor<2>,
    classes: Tensor<1, Int>,
    weights: Option<Tensor<1>>,
    label_smoothing: f64,
) -> Tensor<1> {
    let logits = widened(logits);
    let [rows, _] = logits.dims();
    assert_eq!(classes.dims(), [rows], "the classes of {rows} rows of logits");
    if let Some(weights) = &weights {
        assert_eq!(weights.dims(), [rows], "the weights of {rows} rows of logits");
    }
    if !flex::runs_on(&logits) {
        return plain(logits, classes, weights, label_smoothing);
    }
    let weights = flex::or_empty(weights, &logits);
    let (logits, classes) = (logits.into_dispatch(), classes.into_dispatch());
    Tensor::from_dispatch(Dispatch::cross_entropy_of_classes(
        logits,
        classes,
        weights,
        label_smoothing as f32,
    ))
}

/// The mean over rows of `-sum target * ln p`, in nats, `[1]`; `p` is the softmax of a row's logits. No
/// gradient flows to the targets.
///
/// # Shapes
/// - logits, targets: `[N, K]`
///
/// # Panics
/// When the shapes differ.
pub fn cross_entropy_soft(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    assert_eq!(logits.dims(), targets.dims(), "the shapes of logits and targets");
    let (logits, targets) = (widened(logits), widened(targets));
    if !flex::runs_on(&logits) {
        return plain_soft(logits, targets);
    }
    Tensor::from_dispatch(Dispatch::cross_entropy_of_targets(logits.into_dispatch(), targets.into_dispatch()))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain(
    logits: Tensor<2>,
    classes: Tensor<1, Int>,
    weights: Option<Tensor<1>>,
    label_smoothing: f64,
) -> Tensor<1> {
    let log_probabilities = log_softmax(logits, 1); // [N, K]
    let mut loss = log_probabilities.clone().gather(1, classes.unsqueeze_dim(1)).neg(); // [N, 1]
    if label_smoothing > 0.0 {
        let evenly = log_probabilities.mean_dim(1).neg(); // [N, 1]
        loss = loss * (1.0 - label_smoothing) + evenly * label_smoothing;
    }
    if let Some(weights) = weights {
        loss = loss * weights.detach().unsqueeze_dim(1);
    }
    loss.mean()
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain_soft(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (log_softmax(logits, 1) * targets.detach()).sum_dim(1).mean().neg()
}

/// The ops as extensions of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait CrossEntropyOps: Backend {
    /// See [`cross_entropy`]; empty weights stand for none.
    fn cross_entropy_of_classes(
        logits: FloatTensor<Self>,
        classes: IntTensor<Self>,
        weights: FloatTensor<Self>,
        label_smoothing: f32,
    ) -> FloatTensor<Self>;

    /// See [`cross_entropy_soft`].
    fn cross_entropy_of_targets(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl CrossEntropyOps for Flex {
    fn cross_entropy_of_classes(
        logits: FlexTensor,
        classes: FlexTensor,
        weights: FlexTensor,
        label_smoothing: f32,
    ) -> FlexTensor {
        of_classes(logits, classes, weights, label_smoothing, Keep::Nothing).0
    }

    fn cross_entropy_of_targets(logits: FlexTensor, targets: FlexTensor) -> FlexTensor {
        of_targets(logits, targets, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> CrossEntropyOps for Autodiff<Flex, C> {
    fn cross_entropy_of_classes(
        logits: FloatTensor<Self>,
        classes: IntTensor<Self>,
        weights: FloatTensor<Self>,
        label_smoothing: f32,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 2>([logits, weights], |[logits, weights], keep| {
            of_classes(logits, classes, weights, label_smoothing, keep)
        })
    }

    fn cross_entropy_of_targets(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::track::<C, _, 2>([logits, targets], |[logits, targets], keep| of_targets(logits, targets, keep))
    }
}

/// The gradient of a loss with respect to its first input, the only one with a gradient.
#[derive(Clone, Debug)]
pub(crate) struct Ready(pub(crate) FlexTensor);

impl Saved<2> for Ready {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        [wanted[0].then(|| times(self.0, gradient)), None]
    }
}

/// The tensor times the single number of `factor`.
pub(crate) fn times(mut tensor: FlexTensor, factor: FlexTensor) -> FlexTensor {
    let factor = Floats::new(factor)[0];
    if factor != 1.0 {
        elementwise::scale(tensor.storage_mut(), factor);
    }
    tensor
}

fn of_classes(
    logits: FlexTensor,
    classes: FlexTensor,
    weights: FlexTensor,
    smoothing: f32,
    keep: Keep,
) -> (FlexTensor, Option<Ready>) {
    let classes = Indices::new(&classes, logits.layout().shape()[1], "class");
    let weights = flex::unless_empty(weights);
    loss(logits, Goal::Classes { classes: &classes, weights: weights.as_deref(), smoothing }, keep)
}

fn of_targets(logits: FlexTensor, targets: FlexTensor, keep: Keep) -> (FlexTensor, Option<Ready>) {
    let targets = Floats::new(targets);
    loss(logits, Goal::Soft(&targets), keep)
}

fn loss(logits: FlexTensor, goal: Goal<'_>, keep: Keep) -> (FlexTensor, Option<Ready>) {
    let mut logits = logits.to_contiguous();
    let (rows, classes) = (logits.layout().shape()[0], logits.layout().shape()[1]);
    let mut losses = crate::memory::for_overwriting(rows);
    let mut fresh = None;
    let (from, to) = if keep == Keep::Nothing {
        (logits.storage::<f32>().as_ptr(), None)
    } else if logits.is_unique() {
        let place = Shared::new(logits.storage_mut::<f32>());
        (place.pointer().cast_const(), Some(place))
    } else {
        let place = fresh.insert(crate::memory::for_overwriting(rows * classes));
        (logits.storage::<f32>().as_ptr(), Some(Shared::new(place)))
    };
    let from = From(from);
    let shared = Shared::new(&mut losses);
    threads::ranges(rows, elementwise::LEAST / 4 / classes.max(1) + 1, |range| {
        // SAFETY: the ranges do not overlap.
        let losses = unsafe { shared.part(range.clone()) };
        run(Rows { from, to, first: range.start, losses, rows, classes, goal });
    });
    let total: f64 = losses.iter().map(|loss| f64::from(*loss)).sum();
    let mean = flex::tensor(vec![(total / rows as f64) as f32], &[1]);
    let gradient = (keep == Keep::ForBackward).then(|| match fresh {
        Some(numbers) => flex::tensor(numbers, &[rows, classes]),
        None => logits,
    });
    (mean, gradient.map(Ready))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, check_within, random};
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    fn classes(rows: usize, count: usize, device: &Device) -> Tensor<1, Int> {
        let numbers: Vec<i64> = (0..rows).map(|row| (row * 7 + row / 3) as i64 % count as i64).collect();
        Tensor::from_data(TensorData::new(numbers, [rows]), device)
    }

    fn agree(rows: usize, count: usize, smoothing: f64, spread: f32) {
        let logits = random(&[rows, count], 3).map(|x| x * spread);
        let weights = random(&[rows], 5).map(|x| (x + 0.5).max(0.0)).untracked();
        let name = format!("{rows} x {count}, smoothing {smoothing}, logits to {spread}");
        check(
            &name,
            std::slice::from_ref(&logits),
            |i| cross_entropy(i.get(0), classes(rows, count, &i.get::<2>(0).device()), None, smoothing),
            |i| plain(i.get(0), classes(rows, count, &i.get::<2>(0).device()), None, smoothing),
        );
        check(
            &format!("{name}, weighted"),
            &[logits.clone(), weights],
            |i| {
                let classes = classes(rows, count, &i.get::<2>(0).device());
                cross_entropy(i.get(0), classes, Some(i.get(1)), smoothing)
            },
            |i| plain(i.get(0), classes(rows, count, &i.get::<2>(0).device()), Some(i.get(1)), smoothing),
        );
        let targets = random(&[rows, count], 7).map(|x| x.abs() / count as f32).untracked();
        check(
            &format!("{name}, soft"),
            &[logits, targets],
            |i| cross_entropy_soft(i.get(0), i.get(1)),
            |i| plain_soft(i.get(0), i.get(1)),
        );
    }

    #[test]
    fn agrees_with_its_twin() {
        for (rows, count) in [(1, 1), (1, 2), (5, 10), (33, 16), (7, 17), (3, 1000), (4, 4097), (600, 31)] {
            for smoothing in [0.0, 0.1] {
                agree(rows, count, smoothing, 4.0);
            }
        }
        agree(9, 40, 0.2, 300.0);
    }

    #[test]
    fn strided_logits_and_a_loss_that_is_no_root() {
        let samples = [random(&[6, 5], 1)];
        let loss = |f: fn(Tensor<2>, Tensor<1, Int>, Option<Tensor<1>>, f64) -> Tensor<1>| {
            move |i: &crate::testing::Inputs| {
                let logits = i.get::<2>(0).transpose();
                let classes = classes(5, 6, &logits.device());
                f(logits, classes, None, 0.0).mul_scalar(3.0)
            }
        };
        check("transposed logits, tripled loss", &samples, loss(cross_entropy), loss(plain));
        let shared = |f: fn(Tensor<2>, Tensor<1, Int>, Option<Tensor<1>>, f64) -> Tensor<1>| {
            move |i: &crate::testing::Inputs| {
                let logits = i.get::<2>(0).mul_scalar(2.0);
                let classes = classes(6, 5, &logits.device());
                f(logits.clone(), classes, None, 0.0) + logits.sum()
            }
        };
        check("logits that somebody else holds", &samples, shared(cross_entropy), shared(plain));
    }

    #[test]
    fn the_gradient_may_lie_where_the_logits_lay() {
        let samples = [random(&[40, 70], 1)];
        let double = |i: &crate::testing::Inputs| i.get::<2>(0) * 2.0;
        check_within(
            1e-4,
            "fresh logits",
            &samples,
            |i| cross_entropy(double(i), classes(40, 70, &i.get::<2>(0).device()), None, 0.1),
            |i| plain(double(i), classes(40, 70, &i.get::<2>(0).device()), None, 0.1),
        );
    }

    #[test]
    fn any_type_of_index_and_extreme_logits() {
        let device = Device::flex();
        let logits = || Tensor::<2>::from_data([[1e30, -1e30, 0.0], [f32::NEG_INFINITY, 0.0, 0.0]], &device);
        for kind in [burn::tensor::DType::I64, burn::tensor::DType::I32] {
            let classes = Tensor::<1, Int>::from_data([0, 1], (&device, kind));
            let loss = cross_entropy(logits(), classes, None, 0.0).into_scalar::<f32>();
            assert!((loss - 2f32.ln() / 2.0).abs() < 1e-6, "{loss}");
        }
        let classes = || Tensor::<1, Int>::from_data([1, 1], &device);
        let far = cross_entropy(logits(), classes(), None, 0.0).into_scalar::<f32>();
        assert!((far - 1e30).abs() < 1e24, "{far}");
        let none = Tensor::<2>::from_data([[f32::NAN, 0.0], [0.0, 0.0]], &device);
        assert!(cross_entropy(none, classes(), None, 0.0).into_scalar::<f32>().is_nan());
        let empty = Tensor::<2>::zeros([0, 3], &device);
        let classes = Tensor::<1, Int>::zeros([0], &device);
        assert!(
            cross_entropy(empty, classes, None, 0.0).into_scalar::<f32>().is_nan(),
            "the mean of nothing"
        );
    }

    #[test]
    fn a_row_of_no_weight_is_not_looked_at() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data([[f32::NAN, 1.0], [0.0, 0.0]], &device).require_grad();
        let weights = Tensor::<1>::from_data([0.0, 1.0], &device);
        let loss = cross_entropy(logits.clone(), Tensor::from_data([0, 1], &device), Some(weights), 0.0);
        let gradients = loss.backward();
        let gradient: Vec<f32> = logits.grad(&gradients).unwrap().into_data().try_into_vec().unwrap();
        assert_eq!(gradient, [0.0, 0.0, 0.25, -0.25]);
    }

    #[test]
    #[should_panic(expected = "class 3 at 1: expected below 3")]
    fn a_class_beyond_the_last_is_refused() {
        let device = Device::flex();
        cross_entropy(Tensor::zeros([2, 3], &device), Tensor::from_data([0, 3], &device), None, 0.0);
    }

    #[test]
    #[should_panic(expected = "class -1 at 0: expected below 3")]
    fn a_negative_class_is_refused() {
        let device = Device::flex();
        cross_entropy(Tensor::zeros([2, 3], &device), Tensor::from_data([-1, 0], &device), None, 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn agrees_at_any_size(rows in 1usize..40, count in 1usize..90, smoothing in 0.0f64..0.9) {
            agree(rows, count, smoothing, 3.0);
        }
    }
}
