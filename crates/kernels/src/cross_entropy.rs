//! Cross-entropy of logits, and its gradient in the same pass.
//!
//! Axes: `N` rows, `K` classes. The gradient of a row, `softmax - target`, needs no more than what the loss needs; so
//! where a backward pass may come it is written at once, over the logits where nobody else holds them, and the backward
//! pass only scales it, by 1 where the loss is the root of the graph.

use crate::elementwise;
use crate::flex::{self, Floats, Keep, Saved};
use crate::indices::Indices;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, activation::log_softmax};

/// The mean over rows of `weight * -ln p(class)`, in nats, `[1]`; `p` is the softmax of a row's logits. The mean divides
/// by the number of rows, whatever their weights. No gradient flows to the weights.
///
/// `label_smoothing` is the share of the target's probability that is spread evenly over all classes (Szegedy et al.
/// 2016). A row of weight 0 is not looked at.
///
/// # Shapes
/// - logits: `[N, K]`
/// - classes: `[N]`
/// - weights: `[N]`; 1 each where there are none
///
/// # Panics
/// When the shapes do not fit each other or a class is none of the `K`.
pub fn cross_entropy(
    logits: Tensor<2>,
    classes: Tensor<1, Int>,
    weights: Option<Tensor<1>>,
    label_smoothing: f64,
) -> Tensor<1> {
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

/// The mean over rows of `-sum target * ln p`, in nats, `[1]`. No gradient flows to the targets.
///
/// # Shapes
/// - logits and targets: `[N, K]`
///
/// # Panics
/// When the shapes differ.
pub fn cross_entropy_soft(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    assert_eq!(logits.dims(), targets.dims(), "the shapes of logits and targets");
    if !flex::runs_on(&logits) {
        return plain_soft(logits, targets);
    }
    Tensor::from_dispatch(Dispatch::cross_entropy_of_targets(logits.into_dispatch(), targets.into_dispatch()))
}

/// The same by Burn's own ops.
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

/// The same by Burn's own ops.
pub(crate) fn plain_soft(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (log_softmax(logits, 1) * targets.detach()).sum_dim(1).mean().neg()
}

/// The ops as extensions of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait CrossEntropyOps: Backend {
    /// See [`cross_entropy`]; without weights where these are empty.
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

/// The gradient of a loss, of whose inputs the first alone has one.
#[derive(Clone, Debug)]
pub(crate) struct Ready(pub(crate) FlexTensor);

impl Saved<2> for Ready {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        [wanted[0].then(|| times(self.0, gradient)), None]
    }
}

/// The tensor times the one number of `factor`.
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

/// What the rows should say.
#[derive(Clone, Copy)]
enum Goal<'a> {
    Classes { classes: &'a [usize], weights: Option<&'a [f32]>, smoothing: f32 },
    Soft(&'a [f32]),
}

fn loss(logits: FlexTensor, goal: Goal<'_>, keep: Keep) -> (FlexTensor, Option<Ready>) {
    let mut logits = logits.to_contiguous();
    let (rows, classes) = (logits.layout().shape()[0], logits.layout().shape()[1]);
    let mut losses = crate::memory::for_overwriting(rows);
    let mut fresh = None;
    let (from, to) = match keep {
        Keep::Nothing => (logits.storage::<f32>().as_ptr(), None),
        Keep::ForBackward => match logits.is_unique() {
            true => {
                let place = Shared::new(logits.storage_mut::<f32>());
                (place.pointer().cast_const(), Some(place))
            }
            false => {
                let place = fresh.insert(crate::memory::for_overwriting(rows * classes));
                (logits.storage::<f32>().as_ptr(), Some(Shared::new(place)))
            }
        },
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

/// The first logit. The gradient may be written over the logits, so that they are no slice.
#[derive(Clone, Copy)]
struct From(*const f32);

// SAFETY: each thread reads its own rows alone.
unsafe impl Send for From {}
// SAFETY: as above.
unsafe impl Sync for From {}

/// The losses of some rows, and the gradient of the mean of all with respect to their logits.
struct Rows<'a> {
    from: From,
    /// Where gradients are wanted; may be where the logits are.
    to: Option<Shared<'a, f32>>,
    /// The number of the first row.
    first: usize,
    losses: &'a mut [f32],
    /// Of the whole.
    rows: usize,
    classes: usize,
    goal: Goal<'a>,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut lanes = [0.0; 16];
        lanes.iter_mut().enumerate().for_each(|(lane, number)| *number = lane as f32);
        let lanes = s.load(&lanes);
        for (index, loss) in self.losses.iter_mut().enumerate() {
            let row = self.first + index;
            let start = row * self.classes;
            // SAFETY: the row's logits are inside the tensor's.
            let from = unsafe { self.from.0.add(start) };
            // SAFETY: as above; the gradient has the logits' shape.
            let to = self.to.map(|to| unsafe { to.pointer().add(start) });
            let row = match self.goal {
                Goal::Soft(targets) => Row {
                    from,
                    to,
                    length: self.classes,
                    scale: 1.0 / self.rows as f32,
                    class: None,
                    targets: Some(&targets[start..start + self.classes]),
                    weight: 1.0,
                    smoothing: 0.0,
                },
                Goal::Classes { classes, weights, smoothing } => Row {
                    from,
                    to,
                    length: self.classes,
                    scale: 1.0 / self.rows as f32,
                    class: Some(classes[row]),
                    targets: None,
                    weight: weights.map_or(1.0, |weights| weights[row]),
                    smoothing,
                },
            };
            // SAFETY: `length` logits are at `from`, and room for as many at `to`, which no other thread touches; the
            // class is below `length`.
            *loss = unsafe { row.run(s, lanes) };
        }
    }
}

struct Row<'a> {
    from: *const f32,
    to: Option<*mut f32>,
    length: usize,
    /// `1 / N`
    scale: f32,
    class: Option<usize>,
    targets: Option<&'a [f32]>,
    weight: f32,
    smoothing: f32,
}

impl Row<'_> {
    /// `count` numbers of the row from `place` on; `outside` in the lanes behind.
    ///
    /// # Safety
    /// The numbers must be there.
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        s: S,
        lanes: S::F32,
        from: *const f32,
        place: usize,
        outside: f32,
    ) -> S::F32 {
        let count = self.length - place;
        // SAFETY: the caller's contract.
        unsafe {
            if count >= S::LANES {
                return s.load_from(from.add(place));
            }
            let inside = s.less(lanes, s.splat(count as f32));
            s.select(inside, s.load_first_from(from.add(place), count), s.splat(outside))
        }
    }

    /// # Safety
    /// There must be room.
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, s: S, to: *mut f32, place: usize, value: S::F32) {
        let count = self.length - place;
        // SAFETY: the caller's contract.
        unsafe {
            if count >= S::LANES {
                s.store_to(to.add(place), value);
            } else {
                s.store_first_to(to.add(place), value, count);
            }
        }
    }

    /// The row's loss; writes its gradient.
    ///
    /// # Safety
    /// `length` numbers must be readable at `from` and writable at `to`, which may be the same place.
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, lanes: S::F32) -> f32 {
        // SAFETY: every place below is below `length`, as the class is.
        unsafe {
            if self.weight == 0.0 {
                if let Some(to) = self.to {
                    to.write_bytes(0, self.length);
                }
                return 0.0;
            }
            let mut largest = [s.splat(f32::NEG_INFINITY); 2];
            let mut place = 0;
            while place < self.length {
                let x = self.load(s, lanes, self.from, place, f32::NEG_INFINITY);
                largest[0] = s.max(x, largest[0]);
                place += S::LANES;
                if place < self.length {
                    let x = self.load(s, lanes, self.from, place, f32::NEG_INFINITY);
                    largest[1] = s.max(x, largest[1]);
                    place += S::LANES;
                }
            }
            let largest = s.largest(s.max(largest[0], largest[1]));
            let shift = s.splat(largest);
            let of_class = self.class.map_or(0.0, |class| self.from.add(class).read() - largest);
            let zero = s.splat(0.0);
            let (mut sum, mut distances) = (zero, zero);
            // of the targets, and of their products with the distances
            let (mut mass, mut product) = (zero, zero);
            let mut place = 0;
            while place < self.length {
                let x = s.sub(self.load(s, lanes, self.from, place, f32::NEG_INFINITY), shift);
                let e = exp_below_zero(s, x);
                sum = s.add(sum, e);
                if self.smoothing > 0.0 {
                    let x = s.sub(self.load(s, lanes, self.from, place, largest), shift);
                    distances = s.add(distances, x);
                }
                if let Some(targets) = self.targets {
                    let x = s.sub(self.load(s, lanes, self.from, place, largest), shift);
                    let target = self.load(s, lanes, targets.as_ptr(), place, 0.0);
                    mass = s.add(mass, target);
                    product = s.mul_add(target, x, product);
                }
                if let Some(to) = self.to {
                    self.store(s, to, place, e);
                }
                place += S::LANES;
            }
            let sum = s.sum(sum);
            let of_sum = sum.ln();
            let (mass, product) = (s.sum(mass), s.sum(product));
            if let Some(to) = self.to {
                let mass = if self.targets.is_some() { mass } else { 1.0 };
                let factor = s.splat(self.weight * self.scale * mass / sum);
                let evenly = s.splat(self.weight * self.scale * self.smoothing / self.length as f32);
                let mut place = 0;
                while place < self.length {
                    let e = self.load(s, lanes, to, place, 0.0);
                    let mut slope = s.sub(s.mul(e, factor), evenly);
                    if let Some(targets) = self.targets {
                        let target = self.load(s, lanes, targets.as_ptr(), place, 0.0);
                        slope = s.neg_mul_add(target, s.splat(self.scale), slope);
                    }
                    self.store(s, to, place, slope);
                    place += S::LANES;
                }
                if let Some(class) = self.class {
                    let place = to.add(class);
                    place.write(place.read() - self.weight * self.scale * (1.0 - self.smoothing));
                }
            }
            if self.targets.is_some() {
                return mass * of_sum - product;
            }
            let mut nats = of_sum - of_class;
            if self.smoothing > 0.0 {
                let evenly = of_sum - s.sum(distances) / self.length as f32;
                nats = nats * (1.0 - self.smoothing) + evenly * self.smoothing;
            }
            nats * self.weight
        }
    }
}

/// `e^x` of `x` up to 0 as [`exp`](crate::simd::math::exp) makes it, without what that does for large
/// and infinite numbers: most of the time of a row goes here.
#[inline(always)]
fn exp_below_zero<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // with the operands in this order, what is no number stays none
    let low = s.splat(-87.33);
    let (p, n) = crate::simd::math::exp_parts(s, s.max(low, x));
    s.select(s.less(x, low), s.splat(0.0), s.scale(p, n))
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
    fn exponentials_are_exact_to_a_few_units() {
        struct Apply<'a>(&'a mut [f32]);
        impl Kernel for Apply<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                for part in self.0.chunks_mut(S::LANES) {
                    let e = exp_below_zero(s, s.load_first(part));
                    s.store_first(part, e);
                }
            }
        }
        let inputs: Vec<f32> = (0..200_000).map(|i| i as f32 * -4.3e-4).collect();
        let mut found = inputs.clone();
        run(Apply(&mut found));
        for (x, found) in inputs.into_iter().zip(found) {
            let expected = f64::from(x).exp();
            assert!((f64::from(found) - expected).abs() < 3e-7 * expected, "{x}: {found} against {expected}");
        }
        let mut far = [-100.0, -1e30, f32::NEG_INFINITY, f32::NAN];
        run(Apply(&mut far));
        assert_eq!(far[..3], [0.0; 3]);
        assert!(far[3].is_nan());
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
