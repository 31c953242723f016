//! Fast paths against their twins in double precision.

use super::{Case, Size, cases};
use crate::testing::{Layout, Sample, Setting, assert_close, assert_no_slopes, outcome};
use burn::tensor::DType;
use proptest::prelude::*;

/// The allowed error in single precision, as a share of the largest number. It covers sums of some hundred
/// numbers and the functions of `simd::math`.
const TOLERANCE: f64 = 2e-5;

/// The least number that the share is taken of. Smaller numbers may be the rest of a hundred numbers around 1
/// that cancel, as in the gradient of a bias.
const LEAST: f64 = 0.1;

/// [`LEAST`] for random sizes, where thousands of numbers may cancel.
const LEAST_OF_ANY: f64 = 1.0;

fn agrees(case: &Case, layout: Layout, least: f64) {
    let plain = Setting { dtype: DType::F64, layout, graph: true };
    let fast = Setting { dtype: DType::F32, ..plain };
    let close = |what: String, found: &[f64], expected: &[f64]| {
        let what = format!("{}, {layout:?}: {what}", shapes(case));
        assert_close(&what, found, expected, TOLERANCE, least);
    };
    let run = |samples: &[Sample], setting| outcome(samples, setting, |inputs| case.run(inputs));
    let expected = run(&case.inputs, plain);
    close(
        "output without a graph".into(),
        &run(&case.inputs, Setting { graph: false, ..fast }).output,
        &expected.output,
    );
    let tracked: Vec<usize> = (0..case.inputs.len()).filter(|index| case.inputs[*index].tracked).collect();
    for left_out in std::iter::once(None).chain(tracked.iter().copied().map(Some)) {
        let mut samples = case.inputs.clone();
        if let Some(index) = left_out {
            samples[index].tracked = false;
        }
        let found = run(&samples, fast);
        close("output".into(), &found.output, &expected.output);
        let mut found = found.gradients.into_iter();
        for (index, expected) in tracked.iter().zip(&expected.gradients) {
            if left_out != Some(*index) {
                let found = found.next().unwrap_or_default();
                close(format!("gradient of input {index}, {left_out:?} untracked"), &found, expected);
            }
        }
    }
}

pub(super) fn shapes(case: &Case) -> String {
    let shapes: Vec<_> = case.inputs.iter().map(|sample| &sample.shape).collect();
    format!("{} of {shapes:?}", case.name)
}

#[test]
fn single_numbers() {
    cases(Size::Single).iter().for_each(|case| agrees(case, Layout::Plain, LEAST));
}

/// Runs without the twin: Burn's product of empty matrices in double precision reads memory out of bounds.
#[test]
fn no_numbers() {
    for case in cases(Size::Empty) {
        for graph in [false, true] {
            let found = outcome(&case.inputs, Setting { graph, ..Setting::FAST }, |inputs| case.run(inputs));
            let output = &found.output;
            let of_nothing = output.iter().all(|mean| mean.is_nan() || *mean == 0.0);
            assert!(of_nothing, "{}: {output:?}", shapes(&case));
            assert_no_slopes(&shapes(&case), found);
        }
    }
}

#[test]
fn inputs_however_they_lie() {
    for layout in [Layout::Plain, Layout::Permuted, Layout::Sliced, Layout::Flipped, Layout::Expanded] {
        cases(Size::Small).iter().for_each(|case| agrees(case, layout, LEAST));
    }
}

#[test]
fn large_and_odd_sizes() {
    for layout in [Layout::Plain, Layout::Permuted] {
        cases(Size::Large).iter().for_each(|case| agrees(case, layout, LEAST));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_sizes(seed: u64, sliced: bool) {
        // the other layouts put a mask's padding first, so that a causal text would see nothing else
        let layout = if sliced { Layout::Sliced } else { Layout::Plain };
        cases(Size::Any(seed)).iter().for_each(|case| agrees(case, layout, LEAST_OF_ANY));
    }
}
