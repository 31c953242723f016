//! Fast paths at numbers near either end of single precision's range.

use super::{Case, Size, cases};
use crate::testing::{Layout, Setting, outcome, with_twins};
use burn::tensor::DType;

/// The first fault among the numbers of a fast path. A number is at fault if it is wrong while the twin's
/// number in single precision is right. NaN is at fault if the exact number is in range and the twin's is
/// finite. A number is right if its error is at most a share of the largest number, or at most `least`.
fn fault(found: &[f64], twin: &[f64], exact: &[f64], least: f64) -> Option<String> {
    assert_eq!((found.len(), twin.len()), (exact.len(), exact.len()));
    let in_range = |value: f64| value.abs() <= f64::from(f32::MAX);
    let largest =
        exact.iter().copied().filter(|value| in_range(*value)).fold(0.0, |a: f64, b| a.max(b.abs()));
    let allowed = (1e-4 * largest).max(least);
    let right = |found: f64, exact: f64| (found - exact).abs() <= allowed || found == exact;
    let place = (0..exact.len()).find(|&place| {
        let (found, twin, exact) = (found[place], twin[place], exact[place]);
        let lost = found.is_nan() && twin.is_finite() && in_range(exact);
        lost || !right(found, exact) && right(twin, exact)
    })?;
    Some(format!("{:e} at {place}, the twin's {:e}, exactly {:e}", found[place], twin[place], exact[place]))
}

/// The faults of an op with its input at `index` multiplied by `factor`.
fn faults(case: &Case, index: usize, factor: f32) -> Vec<String> {
    let mut samples = case.inputs.clone();
    samples[index] = samples[index].clone().map(|value| value * factor);
    let of = |dtype| {
        let setting = Setting { dtype, layout: Layout::Plain, graph: true };
        outcome(&samples, setting, |inputs| case.run(inputs))
    };
    let (found, exact) = (of(DType::F32), of(DType::F64));
    let twin = with_twins(|| of(DType::F32));
    // single precision has fewer digits below its smallest normal number, and gates count as shut within 1e-8
    let least = if factor.abs() < 1.0 { f64::from(f32::MIN_POSITIVE) } else { 1e-8 };
    let least_slope = if case.cancels { 1e-6 * f64::from(factor).powi(2).max(1.0) } else { least };
    let of_output = fault(&found.output, &twin.output, &exact.output, least);
    let mut faults: Vec<_> = of_output.into_iter().collect();
    for (number, found) in found.gradients.iter().enumerate() {
        let fault = fault(found, &twin.gradients[number], &exact.gradients[number], least_slope);
        faults.extend(fault.map(|fault| format!("gradient {number}: {fault}")));
    }
    let of = |fault| format!("{}, input {index} times {factor:e}: {fault}", case.name);
    faults.into_iter().map(of).collect()
}

#[test]
fn numbers_at_the_ends_of_the_range() {
    let mut found = Vec::new();
    for case in cases(Size::Small) {
        // where others are tracked, an untracked input is a mask or a weight
        let tracked = case.inputs.iter().any(|sample| sample.tracked);
        for index in (0..case.inputs.len()).filter(|index| case.inputs[*index].tracked == tracked) {
            let factors = [1e-42, 1e-30, 1e2, 1e4, -1e15, 1e30, -1e30];
            for factor in factors.into_iter().filter(|factor: &f32| factor.abs() <= case.largest_factor) {
                found.extend(faults(&case, index, factor));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
