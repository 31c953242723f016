use super::*;
use crate::testing::{Sample, check, check_within, random};
use burn::module::Module;
use burn::nn::BatchNormConfig;
use burn::tensor::{Device, TensorData};
use proptest::prelude::*;

const ACTIVATIONS: [Activation; 7] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Tanh,
];

/// An input, its weight and bias, a residual, a mean and a variance.
fn samples(shape: &[usize], seed: u64) -> Vec<Sample> {
    let channels = [shape[1]];
    vec![
        random(shape, seed).map(|value| 3.0 * value + 0.5),
        // wide enough for ReLU6's upper end
        random(&channels, seed + 1).map(|value| 2.0 * value + 3.0),
        random(&channels, seed + 2),
        random(shape, seed + 3),
        random(&channels, seed + 4).untracked(),
        random(&channels, seed + 5).map(|value| value + 1.5).untracked(),
    ]
}

fn both<const D: usize>(shape: [usize; D], activation: Activation, seed: u64) {
    let all = samples(&shape, seed);
    let name = format!("{shape:?}, {activation:?}");
    check(
        &format!("{name}, training"),
        &all[..3],
        |i| batch_norm_train(i.get::<D>(0), i.get(1), i.get(2), None, 1e-5, activation).0,
        |i| plain_train(i.get::<D>(0), i.get(1), i.get(2), None, 1e-5, activation).0,
    );
    check(
        &format!("{name}, training with a residual"),
        &all[..4],
        |i| batch_norm_train(i.get::<D>(0), i.get(1), i.get(2), Some(i.get(3)), 1e-5, activation).0,
        |i| plain_train(i.get::<D>(0), i.get(1), i.get(2), Some(i.get(3)), 1e-5, activation).0,
    );
    check(
        &format!("{name}, evaluation"),
        &all,
        |i| {
            batch_norm_eval(
                i.get::<D>(0),
                i.get(1),
                i.get(2),
                i.get(4),
                i.get(5),
                Some(i.get(3)),
                1e-5,
                activation,
            )
        },
        |i| {
            plain_eval(
                i.get::<D>(0),
                i.get(1),
                i.get(2),
                i.get(4),
                i.get(5),
                Some(i.get(3)),
                1e-5,
                activation,
            )
        },
    );
}

#[test]
fn agrees_with_its_twin() {
    for activation in ACTIVATIONS {
        both([3, 5, 7, 7], activation, 1);
        both([2, 3, 17, 19], activation, 10);
        both([4, 6], activation, 20);
    }
    both([3, 2, 3], Activation::Relu, 30);
    both([2, 1, 9, 1, 5], Activation::Silu, 40);
    both([1, 4, 8], Activation::Relu, 50);
    // more than a chunk, and more than is worth a thread: by channels, and by ranges of one channel
    both([3, 4, 90, 91], Activation::Relu, 60);
    both([3, 1, 90, 91], Activation::Relu, 70);
}

#[test]
fn strided_inputs() {
    let all = samples(&[6, 5, 4, 3], 7);
    let weights = samples(&[1, 4], 8);
    check(
        "a permuted input and residual",
        &[all[0].clone(), weights[1].clone(), weights[2].clone(), all[3].clone()],
        |i| {
            let (x, residual) = (i.get::<4>(0).permute([1, 2, 0, 3]), i.get::<4>(3).permute([1, 2, 0, 3]));
            batch_norm_train(x, i.get(1), i.get(2), Some(residual), 1e-5, Activation::Relu).0
        },
        |i| {
            let (x, residual) = (i.get::<4>(0).permute([1, 2, 0, 3]), i.get::<4>(3).permute([1, 2, 0, 3]));
            plain_train(x, i.get(1), i.get(2), Some(residual), 1e-5, Activation::Relu).0
        },
    );
    check(
        "a gradient that is broadcast, and an input that is used twice",
        &samples(&[2, 3, 4, 5], 9)[..3],
        |i| {
            let x = i.get::<4>(0);
            let y = batch_norm_train(x.clone(), i.get(1), i.get(2), Some(x), 1e-5, Activation::Silu).0;
            y.sum_dim(3)
        },
        |i| {
            let x = i.get::<4>(0);
            plain_train(x.clone(), i.get(1), i.get(2), Some(x), 1e-5, Activation::Silu).0.sum_dim(3)
        },
    );
}

#[test]
fn nothing_comes_of_nothing() {
    let device = Device::flex().autodiff();
    let zeros = || Tensor::<1>::zeros([3], &device);
    let x = Tensor::<4>::zeros([0, 3, 4, 4], &device);
    let (y, mean, _) = batch_norm_train(x.clone(), zeros(), zeros(), Some(x), 1e-5, Activation::Relu);
    assert_eq!((y.dims(), mean.dims()), ([0, 3, 4, 4], [3]));
    let x = Tensor::<3>::zeros([2, 0, 4], &device);
    let none = || Tensor::<1>::zeros([0], &device);
    assert_eq!(batch_norm_train(x, none(), none(), None, 1e-5, Activation::Relu).0.dims(), [2, 0, 4]);
}

#[test]
fn numbers_far_from_zero_keep_their_variance() {
    let numbers = random(&[4, 2, 50, 51], 3);
    let device = Device::flex();
    for (offset, tolerance) in [(1e3f32, 1e-5), (1e5, 1e-4)] {
        let values: Vec<f32> = numbers.values.iter().map(|value| value + offset).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [4, 2, 50, 51]), &device);
        let (one, zero) = (Tensor::ones([2], &device), Tensor::zeros([2], &device));
        let (_, mean, variance) = batch_norm_train(x, one, zero, None, 1e-5, Activation::Identity);
        let (mean, variance): (Vec<f32>, Vec<f32>) =
            (mean.into_data().try_into_vec().unwrap(), variance.into_data().try_into_vec().unwrap());
        for channel in 0..2 {
            let of_channel: Vec<f64> =
                values.chunks(2550).skip(channel).step_by(2).flatten().map(|v| *v as f64).collect();
            let count = of_channel.len() as f64;
            let expected = of_channel.iter().sum::<f64>() / count;
            let spread = of_channel.iter().map(|v| (v - expected).powi(2)).sum::<f64>() / count;
            assert_eq!(mean[channel], expected as f32, "about {offset}");
            let found = variance[channel] as f64;
            assert!((found / spread - 1.0).abs() < tolerance, "about {offset}: {found} for {spread}");
        }
    }
}

#[test]
fn numbers_that_are_none_spoil_their_channel_alone() {
    let mut x = random(&[2, 3, 4, 5], 11);
    x.values[21] = f32::NAN;
    x.values[45] = f32::INFINITY;
    let device = Device::flex();
    let x = Tensor::<4>::from_data(TensorData::new(x.values, [2, 3, 4, 5]), &device);
    let (one, zero) = (Tensor::ones([3], &device), Tensor::zeros([3], &device));
    let (y, ..) = batch_norm_train(x, one, zero, None, 1e-5, Activation::Identity);
    let y: Vec<f32> = y.into_data().try_into_vec().unwrap();
    for (place, value) in y.iter().enumerate() {
        assert_eq!(value.is_nan(), place / 20 % 3 != 0 || place == 100, "{place}: {value}");
    }
}

/// Compares with differences of the formula in f64.
#[test]
fn gradients_are_those_of_differences() {
    let (count, epsilon) = (12, 1e-3);
    let x: Vec<f64> = random(&[count], 5).values.iter().map(|v| *v as f64).collect();
    let weights: Vec<f64> = random(&[count], 6).values.iter().map(|v| *v as f64).collect();
    let loss = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let y = x.iter().map(|v| (v - mean) / (variance + epsilon).sqrt() * 1.3 + 0.2);
        y.zip(&weights).map(|(y, w)| y / (1.0 + (-y).exp()) * w).sum::<f64>()
    };
    let device = Device::flex().autodiff();
    let tensor = |values: &[f64]| {
        let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        Tensor::<3>::from_data(TensorData::new(values, [1, 1, count]), &device)
    };
    let leaf = tensor(&x).require_grad();
    let one = |value: f32| Tensor::<1>::from_floats([value], &device);
    let (y, ..) = batch_norm_train(leaf.clone(), one(1.3), one(0.2), None, epsilon, Activation::Silu);
    let gradients = (y * tensor(&weights)).sum().backward();
    let found: Vec<f32> = leaf.grad(&gradients).unwrap().into_data().try_into_vec().unwrap();
    for place in 0..count {
        let at = |change: f64| {
            let mut x = x.clone();
            x[place] += change;
            loss(&x)
        };
        let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((found[place] as f64 - expected).abs() < 1e-4, "{place}: {} for {expected}", found[place]);
    }
}

/// Compares with Burn's own layer, trained for two batches and evaluated on a third.
#[test]
fn the_layer_is_burns() {
    let device = Device::flex().autodiff();
    let [ours, theirs] = [(); 2].map(|()| BatchNormConfig::new(3).with_momentum(0.3).init(&device));
    let batch = |seed: u64, device: &Device| {
        let shape = [4, 3, 5, 6];
        Tensor::<4>::from_data(TensorData::new(random(&shape, seed).values, shape), device)
    };
    let close = |found: Tensor<4>, expected: Tensor<4>| {
        let apart: f32 = (found - expected).abs().max().into_scalar();
        assert!(apart < 1e-5, "{apart} apart");
    };
    for seed in 0..2 {
        let (x, residual) = (batch(seed, &device), batch(seed + 10, &device));
        let found = batch_norm(&ours, x.clone(), Some(residual.clone()), Activation::Relu);
        close(found, Activation::Relu.plain(theirs.forward(x) + residual));
    }
    let device = Device::flex();
    let x = batch(5, &device);
    close(batch_norm(&ours.valid(), x.clone(), None, Activation::Identity), theirs.valid().forward(x));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_shape(
        images in 1usize..5, channels in 1usize..7, height in 1usize..12, width in 1usize..40, seed in 0u64..99,
    ) {
        prop_assume!(images * height * width > 1);
        let all = samples(&[images, channels, height, width], seed);
        check_within(
            3e-4,
            &format!("{images} x {channels} x {height} x {width}"),
            &all[..4],
            |i| batch_norm_train(i.get::<4>(0), i.get(1), i.get(2), Some(i.get(3)), 1e-3, Activation::Relu).0,
            |i| plain_train(i.get::<4>(0), i.get(1), i.get(2), Some(i.get(3)), 1e-3, Activation::Relu).0,
        );
    }
}

/// Two threads with a part of a batch each compute the same outputs, statistics and gradients as one thread
/// with the whole batch.
#[test]
fn parts_of_a_batch_are_normalised_together() {
    for (shape, first) in [([5, 3, 4, 4], 2), ([6, 16, 9, 1], 3), ([7, 4, 1, 1], 3), ([3, 33, 2, 5], 1)] {
        parts_are_as_the_whole(shape, first);
    }
}

fn parts_are_as_the_whole(shape: [usize; 4], first: usize) {
    let [images, channels, ..] = shape;
    fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
        let numbers = random(&shape, seed).map(|value| 2.0 * value + 1.0).numbers();
        let numbers: Vec<f32> = numbers.into_iter().map(|number| number as f32).collect();
        Tensor::from_data(TensorData::new(numbers, shape), &Device::flex().autodiff())
    }
    let tensors = move |range: std::ops::Range<usize>| {
        let part = |seed| tensor(shape, seed).inner().slice([range.clone()]);
        let vector = |seed| tensor([channels], seed).require_grad();
        (Tensor::from_inner(part(1)).require_grad(), Tensor::from_inner(part(2)), vector(3), vector(4))
    };
    // The mean over a part's images of the sum of each image's numbers, weighted.
    let run = move |range: std::ops::Range<usize>| {
        let count = range.len() as f64;
        let (x, slope, weight, bias) = tensors(range);
        let (y, mean, variance) =
            batch_norm_train(x.clone(), weight.clone(), bias.clone(), None, 1e-5, Activation::Silu);
        let gradients = (y.clone() * slope).sum().div_scalar(count).backward();
        let of = |tensor: Option<Tensor<1>>| tensor.expect("a gradient").mul_scalar(count);
        let of_x = x.grad(&gradients).expect("a gradient").mul_scalar(count);
        let of_others = [of(weight.grad(&gradients)), of(bias.grad(&gradients))];
        (y.inner(), of_x, of_others, [mean.inner(), variance.inner()])
    };
    let whole = run(0..images);

    let barrier = std::sync::Arc::new(std::sync::Barrier::new(2));
    let shared = std::sync::Arc::new(std::sync::Mutex::new([Vec::new(), Vec::new()]));
    let part = |rank: usize, range: std::ops::Range<usize>| {
        let (barrier, shared) = (barrier.clone(), shared.clone());
        std::thread::spawn(move || {
            let over_ranks = SumOverRanks::new(move |numbers: &mut [f64]| {
                shared.lock().unwrap()[rank] = numbers.to_vec();
                barrier.wait();
                let all = shared.lock().unwrap().clone();
                barrier.wait();
                numbers.iter_mut().enumerate().for_each(|(at, number)| *number = all[0][at] + all[1][at]);
            });
            SumOverRanks::within(Some(&over_ranks), || run(range))
        })
    };
    let parts = [part(0, 0..first), part(1, first..images)].map(|thread| thread.join().unwrap());
    let [a, b] = parts;
    let near = |found: Vec<f32>, expected: Vec<f32>, what: &str| {
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 2e-5 * (1.0 + expected.abs()), "{what}: {found}, {expected}");
        }
    };
    let flat = |tensor: Tensor<4>| tensor.into_data().try_to_vec::<f32>().unwrap();
    let line = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap();
    near(flat(Tensor::cat(vec![a.0, b.0], 0)), flat(whole.0), "output");
    near(flat(Tensor::cat(vec![a.1, b.1], 0)), flat(whole.1), "gradient of the input");
    for (((a, b), whole), what) in a.2.into_iter().zip(b.2).zip(whole.2).zip(["weight", "bias"]) {
        near(line(a + b), line(whole), what);
    }
    for statistics in [a.3, b.3] {
        for (found, expected) in statistics.into_iter().zip(whole.3.clone()) {
            near(line(found), line(expected), "statistics");
        }
    }
}
