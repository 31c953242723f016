//! Rows for losses.

use super::dense::indices;
use super::{Case, Draw, Size};
use crate::{ErrorOfValue, cross_entropy, cross_entropy_soft, mean_error};

pub(super) fn cases(size: Size) -> Vec<Case> {
    let mut cases: Vec<_> = [
        ("cross_entropy", 0.0, false),
        ("cross_entropy_smoothed", 0.1, false),
        ("cross_entropy_weighted", 0.2, true),
    ]
    .map(|row| of_classes(size, row))
    .into();
    cases.push(soft(size));
    cases.extend(
        [
            ("mean_error_squared", ErrorOfValue::Squared),
            ("mean_error_absolute", ErrorOfValue::Absolute),
            ("mean_error_huber", ErrorOfValue::Huber(0.2)),
        ]
        .map(|row| of_values(size, row)),
    );
    cases
}

fn of_classes(size: Size, (name, smoothing, weighted): (&'static str, f64, bool)) -> Case {
    let mut draw = Draw::new(size);
    let [rows, count] = [draw.first(4, 131), draw.axis(5, 259)];
    let logits = draw.fill([rows, count]).map(|x| 5.0 * x);
    let weights = draw.fill([rows]).map(|x| x + 1.0).untracked();
    Case::new(name, [logits, weights], move |i| {
        let logits = i.get::<2>(0);
        let classes = indices([rows], count, &logits);
        cross_entropy(logits, classes, weighted.then(|| i.get(1)), smoothing)
    })
}

fn soft(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [rows, count] = [draw.first(4, 131), draw.axis(5, 259)];
    let logits = draw.fill([rows, count]).map(|x| 5.0 * x);
    let targets = draw.fill([rows, count]).map(|x| x + 1.0).untracked();
    Case::new("cross_entropy_soft", [logits, targets], |i| cross_entropy_soft(i.get(0), i.get(1)))
}

fn of_values(size: Size, (name, error): (&'static str, ErrorOfValue)) -> Case {
    let mut draw = Draw::new(size);
    let shape = [draw.first(4, 131), draw.axis(5, 259)];
    let inputs = [draw.fill(shape), draw.fill(shape)];
    Case::new(name, inputs, move |i| mean_error(i.get::<2>(0), i.get(1), error))
}
