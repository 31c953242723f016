//! Gradients of fast paths against differences of their twins, in double precision.

use super::{Case, Size, cases};
use crate::testing::{Inputs, Layout, Sample, Setting, assert_close, outcome, random, weights_of_outcome};
use burn::tensor::DType;

const TWIN: Setting = Setting { dtype: DType::F64, layout: Layout::Plain, graph: false };

/// The weighted sum of an outcome's numbers, by the twin.
fn loss(case: &Case, numbers: &[Vec<f64>]) -> f64 {
    let output = case.run(&Inputs::new(numbers, &case.inputs, TWIN));
    let output: Vec<f64> = output.into_data().try_into_vec().expect("f64");
    output.iter().zip(weights_of_outcome(output.len())).map(|(output, weight)| output * weight).sum()
}

/// The slope of the loss along a `change` of the numbers, by a central difference.
fn slope(case: &Case, numbers: &[Vec<f64>], step: f64, change: impl Fn(&mut [Vec<f64>], f64)) -> f64 {
    let at = |distance: f64| {
        let mut moved = numbers.to_vec();
        change(&mut moved, distance);
        loss(case, &moved)
    };
    (at(step) - at(-step)) / (2.0 * step)
}

#[test]
fn gradients_are_slopes() {
    for case in cases(Size::Small) {
        let numbers: Vec<_> = case.inputs.iter().map(Sample::numbers).collect();
        let found = outcome(&case.inputs, Setting::FAST, |inputs| case.run(inputs)).gradients;
        let tracked = (0..numbers.len()).filter(|index| case.inputs[*index].tracked);
        for (index, found) in tracked.zip(found) {
            let expected: Vec<f64> = (0..found.len())
                .map(|place| slope(&case, &numbers, 1e-5, |moved, distance| moved[index][place] += distance))
                .collect();
            assert_close(
                &format!("{}: the slope by input {index}", case.name),
                &found,
                &expected,
                1e-5,
                1e-2,
            );
        }
    }
}

/// `<gradient, v>` against the slope along `v`, at sizes where a difference by each number would take too
/// long.
#[test]
fn gradients_point_uphill_at_large_sizes() {
    for case in cases(Size::Large) {
        let numbers: Vec<_> = case.inputs.iter().map(Sample::numbers).collect();
        let found = outcome(&case.inputs, Setting::FAST, |inputs| case.run(inputs)).gradients;
        let tracked = (0..numbers.len()).filter(|index| case.inputs[*index].tracked);
        for (index, gradient) in tracked.zip(found) {
            let direction = random(&[gradient.len()], 31 + index as u64).numbers();
            // the step is so short that almost no number crosses a kink
            let expected = slope(&case, &numbers, 1e-7, |moved, distance| {
                moved[index].iter_mut().zip(&direction).for_each(|(number, to)| *number += distance * to);
            });
            let terms: Vec<f64> = gradient.iter().zip(&direction).map(|(a, b)| a * b).collect();
            let (found, size) =
                (terms.iter().sum::<f64>(), terms.iter().map(|term| term * term).sum::<f64>().sqrt());
            assert!(
                (found - expected).abs() <= 1e-4 * size.max(1e-2),
                "{}: the slope along a direction of input {index} is {found}, expected {expected}; a sum of {size}",
                case.name
            );
        }
    }
}
