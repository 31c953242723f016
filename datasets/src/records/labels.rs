//! The order of labels.

use std::cmp::Ordering;

/// Sorts labels or categories: by value where all are finite numbers, otherwise as text.
pub(crate) fn sort_labels(labels: &mut [String]) {
    let value = |label: &String| label.parse::<f64>().ok().filter(|value| value.is_finite());
    if !labels.iter().all(|label| value(label).is_some()) {
        labels.sort();
        return;
    }
    // An f64 does not tell whole numbers beyond 2^53 apart, an i64 does.
    let whole = |label: &String| label.parse::<i64>().ok();
    labels.sort_by(|a, b| {
        let by_value = value(a).partial_cmp(&value(b)).unwrap_or(Ordering::Equal);
        by_value.then_with(|| whole(a).cmp(&whole(b))).then_with(|| a.cmp(b))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_sort_by_value_where_they_are_numbers() {
        let sorted = |labels: &[&str]| {
            let mut labels: Vec<String> = labels.iter().map(|label| label.to_string()).collect();
            sort_labels(&mut labels);
            labels
        };
        assert_eq!(sorted(&["10", "9", "-1"]), ["-1", "9", "10"]);
        assert_eq!(sorted(&["10", "9", "x"]), ["10", "9", "x"]);
        assert_eq!(sorted(&[">50K", "<=50K"]), ["<=50K", ">50K"]);
        assert_eq!(sorted(&["10", "2.5", "9"]), ["2.5", "9", "10"]);
        let large = ["9007199254740993", "9007199254740992", "1"];
        assert_eq!(sorted(&large), ["1", "9007199254740992", "9007199254740993"]);
    }
}
