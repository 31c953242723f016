use super::*;
use crate::testing::{check, random};
use proptest::prelude::*;

/// The shapes `[N, C_in, H, W]` and `[C_out, kernel height, kernel width]`, and the options.
type Case = ([usize; 4], [usize; 3], ConvOptions);

fn options(stride: usize, padding: usize, dilation: usize, groups: usize) -> ConvOptions {
    ConvOptions { stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], groups }
}

fn agrees((x, [outputs, height, width], options): Case, activation: Activation, with_bias: bool) {
    let weight = [outputs, x[1] / options.groups, height, width];
    let mut samples = vec![random(&x, 1), random(&weight, 2)];
    if with_bias {
        samples.push(random(&[outputs], 3));
    }
    check(
        &format!("{x:?} by {weight:?}, {options:?}, {activation:?}"),
        &samples,
        |i| conv2d(i.get(0), i.get(1), with_bias.then(|| i.get(2)), options, activation),
        |i| plain(i.get(0), i.get(1), with_bias.then(|| i.get(2)), options, activation),
    );
}

fn transposed_agrees(case: Case, out: [usize; 2], activation: Activation, with_bias: bool) {
    let (x, [outputs, height, width], ConvOptions { stride, padding, dilation, groups }) = case;
    let options = ConvTransposeOptions { stride, padding, padding_out: out, dilation, groups };
    let weight = [x[1], outputs / groups, height, width];
    let mut samples = vec![random(&x, 1), random(&weight, 2)];
    if with_bias {
        samples.push(random(&[outputs], 3));
    }
    check(
        &format!("{x:?} transposed by {weight:?}, {options:?}, {activation:?}"),
        &samples,
        |i| conv_transpose2d(i.get(0), i.get(1), with_bias.then(|| i.get(2)), options, activation),
        |i| plain_transposed(i.get(0), i.get(1), with_bias.then(|| i.get(2)), options, activation),
    );
}

#[test]
fn agrees_with_its_twin() {
    use Activation::*;
    let cases: [Case; 19] = [
        ([1, 1, 1, 1], [1, 1, 1], options(1, 0, 1, 1)),
        ([3, 1, 28, 28], [32, 3, 3], options(1, 0, 1, 1)),
        ([2, 3, 17, 33], [5, 7, 7], options(2, 3, 1, 1)),
        ([2, 40, 14, 14], [30, 3, 3], options(1, 1, 1, 1)),
        ([5, 33, 7, 7], [70, 3, 3], options(1, 1, 1, 1)),
        ([2, 8, 15, 12], [24, 3, 3], options(2, 1, 1, 1)),
        ([2, 8, 9, 8], [13, 1, 1], options(1, 0, 1, 1)),
        ([2, 8, 9, 8], [13, 1, 1], options(2, 0, 1, 1)),
        ([3, 7, 14, 11], [29, 1, 1], options(1, 0, 1, 1)),
        ([2, 24, 13, 29], [33, 1, 1], options(1, 0, 1, 1)),
        ([2, 30, 12, 12], [9, 1, 1], options(1, 0, 1, 3)),
        ([2, 5, 32, 32], [37, 1, 1], options(1, 0, 1, 1)),
        ([1, 9, 40, 40], [14, 1, 1], options(1, 0, 1, 1)),
        ([2, 4, 3, 2], [3, 5, 4], options(1, 2, 1, 1)),
        ([2, 4, 13, 11], [6, 2, 2], options(3, 0, 1, 2)),
        ([2, 4, 13, 11], [6, 3, 2], options(2, 3, 3, 2)),
        ([2, 6, 9, 9], [6, 3, 3], options(1, 1, 1, 6)),
        ([1, 2, 20, 20], [3, 17, 18], options(1, 1, 1, 1)),
        ([1, 5, 6, 70], [26, 1, 5], options(1, 0, 2, 1)),
    ];
    for (number, case) in cases.into_iter().enumerate() {
        agrees(case, [Identity, Relu, Gelu, GeluTanh, Silu][number % 5], number % 3 > 0);
    }
}

#[test]
fn transposed_agrees_with_its_twin() {
    use Activation::*;
    let cases: [(Case, [usize; 2]); 10] = [
        (([1, 1, 1, 1], [1, 1, 1], options(1, 0, 1, 1)), [0, 0]),
        (([3, 20, 7, 7], [16, 2, 2], options(2, 0, 1, 1)), [0, 0]),
        (([3, 32, 14, 14], [1, 2, 2], options(2, 0, 1, 1)), [0, 0]),
        (([2, 5, 6, 5], [4, 3, 3], options(2, 1, 1, 1)), [1, 1]),
        (([2, 5, 6, 5], [4, 3, 3], options(1, 1, 1, 1)), [0, 0]),
        (([2, 5, 6, 5], [4, 1, 1], options(1, 0, 1, 1)), [0, 0]),
        (([2, 6, 4, 5], [4, 2, 3], options(3, 0, 2, 2)), [2, 0]),
        (([2, 3, 4, 4], [5, 4, 4], options(2, 1, 1, 1)), [0, 0]),
        (([1, 2, 5, 4], [3, 1, 1], options(3, 0, 1, 1)), [1, 2]),
        (([2, 6, 13, 12], [8, 1, 1], options(1, 0, 1, 2)), [0, 0]),
    ];
    for (number, (case, out)) in cases.into_iter().enumerate() {
        transposed_agrees(case, out, [Identity, Relu, Gelu, GeluTanh, Silu][number % 5], number % 3 > 0);
    }
}

#[test]
fn strides_and_paddings_of_their_own_for_each_axis() {
    let unlike = ConvOptions { stride: [2, 1], padding: [0, 2], dilation: [1, 2], groups: 1 };
    agrees(([2, 3, 9, 10], [4, 2, 3], unlike), Activation::Identity, true);
    transposed_agrees(([2, 3, 9, 10], [4, 2, 3], unlike), [1, 0], Activation::Identity, true);
    let other = ConvOptions { stride: [1, 3], padding: [1, 0], dilation: [2, 1], groups: 1 };
    agrees(([2, 3, 9, 10], [4, 2, 3], other), Activation::Identity, true);
    transposed_agrees(([2, 3, 9, 10], [4, 2, 3], other), [0, 2], Activation::Identity, true);
}

#[test]
fn strided_and_broadcast_inputs() {
    let samples = [random(&[2, 6, 9, 5], 1), random(&[3, 4, 2, 5], 2)];
    let at = options(1, 1, 1, 1);
    // channels last, and a transposed weight
    check(
        "transposed input and weight",
        &samples,
        |i| {
            let (x, weight) = (i.get::<4>(0).swap_dims(1, 3), i.get::<4>(1).swap_dims(0, 1));
            conv2d(x, weight.swap_dims(1, 3), None, at, Activation::Relu)
        },
        |i| {
            let (x, weight) = (i.get::<4>(0).swap_dims(1, 3), i.get::<4>(1).swap_dims(0, 1));
            plain(x, weight.swap_dims(1, 3), None, at, Activation::Relu)
        },
    );
    let samples = [random(&[1, 1, 6, 5], 1), random(&[4, 3, 3, 3], 2)];
    check(
        "broadcast input",
        &samples,
        |i| conv2d(i.get::<4>(0).expand([2, 3, 6, 5]), i.get(1), None, at, Activation::Identity),
        |i| plain(i.get::<4>(0).expand([2, 3, 6, 5]), i.get(1), None, at, Activation::Identity),
    );
}

#[test]
fn no_images() {
    let device = burn::tensor::Device::flex();
    let weight = Tensor::<4>::ones([3, 2, 3, 3], &device);
    let none = Tensor::<4>::zeros([0, 2, 8, 8], &device);
    let found = conv2d(none.clone(), weight.clone(), None, options(2, 1, 1, 1), Activation::Relu);
    assert_eq!(found.dims(), [0, 3, 4, 4]);
    let up = ConvTransposeOptions { stride: [2; 2], ..Default::default() };
    let found = conv_transpose2d(none, weight.swap_dims(0, 1), None, up, Activation::Relu);
    assert_eq!(found.dims(), [0, 3, 17, 17]);
}

#[test]
fn what_is_not_finite_stays_where_it_belongs() {
    let at = options(1, 1, 1, 1);
    let samples = [random(&[2, 3, 7, 9], 1), random(&[4, 3, 3, 3], 2)];
    for value in [f32::INFINITY, f32::NAN, 1e30] {
        let mut samples = samples.clone();
        samples[0].values[40] = value;
        check(
            &format!("{value}"),
            &samples,
            |i| conv2d(i.get(0), i.get(1), None, at, Activation::Identity),
            |i| plain(i.get(0), i.get(1), None, at, Activation::Identity),
        );
    }
}

#[test]
#[should_panic(expected = "does not fit")]
fn a_kernel_larger_than_the_image_is_refused() {
    Geometry::convolution([1, 1, 3, 3], [1, 1, 5, 5], options(1, 0, 1, 1));
}

#[test]
#[should_panic(expected = "in 2 groups")]
fn channels_that_do_not_fit_are_refused() {
    Geometry::convolution([1, 4, 3, 3], [2, 4, 1, 1], options(1, 0, 1, 2));
}

/// Compares with the formula itself, in case the twin errs in the same way.
#[test]
fn agrees_with_the_definition() {
    let (x, weight) = (random(&[2, 2, 5, 6], 5), random(&[3, 2, 3, 2], 6));
    let at = ConvOptions { stride: [2, 1], padding: [1, 2], dilation: [1, 2], groups: 1 };
    let geometry = Geometry::convolution([2, 2, 5, 6], [3, 2, 3, 2], at);
    let mut found = vec![0.0; geometry.output_length()];
    engine::forward(geometry, &x.values, Weight::passing(&weight.values), Finish::default(), &mut found);
    let [height, width] = geometry.output;
    for (place, found) in found.into_iter().enumerate() {
        let (column, row) = (place % width, place / width % height);
        let (output, image) = (place / width / height % 3, place / width / height / 3);
        let mut expected = 0.0f64;
        for channel in 0..2 {
            for i in 0..3 {
                for j in 0..2 {
                    let (y, x_at) = (row * 2 + i, column + j * 2);
                    if (1..6).contains(&y) && (2..8).contains(&x_at) {
                        let x = x.values[((image * 2 + channel) * 5 + y - 1) * 6 + x_at - 2];
                        expected +=
                            f64::from(x) * f64::from(weight.values[((output * 2 + channel) * 3 + i) * 2 + j]);
                    }
                }
            }
        }
        assert!((f64::from(found) - expected).abs() < 1e-5, "{place}: {found} against {expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_sizes(
        images in 1usize..4, groups in 1usize..3, inputs in 1usize..9, outputs in 1usize..40,
        size in [1usize..12, 1usize..20], kernel in [1usize..5, 1usize..5],
        stride in [1usize..4, 1usize..4], padding in [0usize..3, 0usize..3], dilation in [1usize..3, 1usize..3],
        out in [0usize..3, 0usize..3], with_bias: bool,
    ) {
        let options = ConvOptions { stride, padding, dilation, groups };
        let fits = |axis: usize| size[axis] + 2 * padding[axis] > dilation[axis] * (kernel[axis] - 1);
        let case = (
            [images, groups * inputs, size[0], size[1]],
            [groups * outputs, kernel[0], kernel[1]],
            options,
        );
        if fits(0) && fits(1) {
            agrees(case, Activation::Identity, with_bias);
        }
        let left = |axis: usize| {
            (size[axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1 > 2 * padding[axis]
        };
        let out = [0, 1].map(|axis| out[axis].min(stride[axis] - 1));
        if left(0) && left(1) {
            transposed_agrees(case, out, Activation::Identity, with_bias);
        }
    }
}
