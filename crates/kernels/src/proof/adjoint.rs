//! `<A x, y> = <x, A^T y>`, with products in single precision on both sides and sums in double precision.

use super::{Size, cases};
use crate::testing::{Inputs, Layout, Sample, Setting, outcome, random, weights_of_outcome};
use crate::{Activation, ConvOptions, ConvTransposeOptions, conv_transpose2d, conv2d};
use burn::tensor::DType;

/// The allowed difference, as a share of the root of the sum of the products' squares. Rounding errors have
/// either sign, so their sum grows like that root. One wrong number among 10,000 differs by a hundredth of
/// it.
const TOLERANCE: f64 = 1e-5;

fn assert_equal_products(what: &str, left: [&[f64]; 2], right: [&[f64]; 2]) {
    let products = |[a, b]: [&[f64]; 2]| {
        assert_eq!(a.len(), b.len(), "{what}");
        let products = a.iter().zip(b).map(|(a, b)| a * b);
        (products.clone().sum::<f64>(), products.map(|product| product * product).sum::<f64>())
    };
    let ((left, left_squares), (right, right_squares)) = (products(left), products(right));
    let allowed = TOLERANCE * (left_squares + right_squares).sqrt();
    assert!((left - right).abs() <= allowed, "{what}: {left} and {right}, {allowed} apart at most");
}

#[test]
fn gradients_are_adjoint() {
    for case in cases(Size::Large) {
        for &index in case.affine_in {
            let of = |inputs: &[Sample]| outcome(inputs, Setting::FAST, |inputs| case.run(inputs));
            let here = of(&case.inputs);
            let mut origin = case.inputs.clone();
            origin[index].values.fill(0.0);
            let of_origin = of(&origin).output;
            let product: Vec<f64> = here.output.iter().zip(of_origin).map(|(a, b)| a - b).collect();
            let of_tracked = case.inputs[..index].iter().filter(|sample| sample.tracked).count();
            assert_equal_products(
                &format!("{} by input {index}", case.name),
                [&product, &weights_of_outcome(product.len())],
                [&case.inputs[index].numbers(), &here.gradients[of_tracked]],
            );
        }
    }
}

#[test]
fn convolutions_and_transposed_ones_are_adjoint() {
    for (stride, padding, dilation, groups) in [
        ([1, 1], [1, 1], [1, 1], 1),
        ([2, 2], [1, 0], [1, 1], 1),
        ([2, 3], [2, 1], [2, 1], 2),
        ([3, 1], [0, 2], [1, 3], 3),
    ] {
        let options = ConvOptions { stride, padding, dilation, groups };
        let (x, weight) = ([2, 6, 23, 34], [6, 6 / groups, 3, 4]);
        let out = |axis: usize| {
            let room = x[axis + 2] + 2 * padding[axis] - dilation[axis] * (weight[axis + 2] - 1) - 1;
            (room / stride[axis] + 1, room % stride[axis]) // windows, and rows that no window reaches
        };
        let samples = [random(&x, 1), random(&weight, 2), random(&[2, 6, out(0).0, out(1).0], 3)];
        let numbers = samples.each_ref().map(Sample::numbers);
        let setting = Setting { dtype: DType::F32, layout: Layout::Plain, graph: false };
        let inputs = Inputs::new(&numbers, &samples, setting);
        let forth = conv2d(inputs.get(0), inputs.get(1), None, options, Activation::Identity);
        let padding_out = [out(0).1, out(1).1];
        let options = ConvTransposeOptions { stride, padding, padding_out, dilation, groups };
        let back = conv_transpose2d(inputs.get(2), inputs.get(1), None, options, Activation::Identity);
        let values = |tensor: burn::tensor::Tensor<4>| -> Vec<f64> { tensor.into_data().iter().collect() };
        assert_equal_products(
            &format!("{options:?}"),
            [&values(forth), &numbers[2]],
            [&numbers[0], &values(back)],
        );
    }
}
