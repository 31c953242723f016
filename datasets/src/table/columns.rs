//! What a column of a table means: its type, and the statistics that encode it.

use super::cells::Cells;
use super::frame::Frame;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// An input column and how its cells become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the files.
    pub name: String,
    /// Cells of the training rows without a value.
    pub missing: u64,
    /// How a cell becomes numbers.
    pub encoding: Encoding,
}

/// How the cells of a column become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A number.
    Numeric {
        /// Mean over the training rows; it stands in for a missing value.
        mean: f64,
        /// Standard deviation over the training rows (divided by their count); 1 for a constant.
        std: f64,
        /// Whether a 0/1 column `<name>_missing` follows: where the training rows miss values.
        indicator: bool,
    },
    /// One of these; index 0 is kept for the unknown and the missing, so the first has index 1.
    Categorical {
        /// Sorted; by value where all are numbers.
        categories: Vec<String>,
        /// Cells of the training rows that `max_categories` left to the unknown slot.
        rare: u64,
    },
}

/// The column to predict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableTarget {
    /// A label.
    Classes {
        /// The column's name.
        name: String,
        /// Sorted; by value where all are numbers. A class is an index into them.
        labels: Vec<String>,
    },
    /// A number `v`, learned as `(v - mean) / std`.
    Value {
        /// The column's name.
        name: String,
        /// Mean over the training rows.
        mean: f64,
        /// Standard deviation over the training rows; 1 for a constant.
        std: f64,
    },
}

impl TableTarget {
    /// The column's name.
    pub fn name(&self) -> &str {
        match self {
            TableTarget::Classes { name, .. } | TableTarget::Value { name, .. } => name,
        }
    }
}

/// Mean and standard deviation of some numbers; the deviation of a constant is 1.
///
/// Both are rounded to 12 significant digits, far beyond what an f32 tells apart: few enough for
/// JSON to give back the same f64, so that a saved schema encodes bit for bit like the fresh one.
pub(super) fn mean_and_std(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = numbers.clone().count().max(1) as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    let variance = numbers.map(|number| (number - mean).powi(2)).sum::<f64>() / count;
    rounded(mean, variance.sqrt())
}

/// A mean and a deviation as a schema keeps them.
pub(super) fn rounded(mean: f64, std: f64) -> (f64, f64) {
    // Rounding in the mean leaves a constant with a deviation of about its own last digit.
    let constant = std <= mean.abs() * 1e-12;
    (round(mean), if constant { 1.0 } else { round(std) })
}

/// Rounds to 12 significant digits.
pub(crate) fn round(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

/// Sorts labels or categories: by value where all are finite numbers, otherwise as text.
pub(crate) fn sort_labels(labels: &mut [String]) {
    let value = |label: &String| label.parse::<f64>().ok().filter(|value| value.is_finite());
    match labels.iter().all(|label| value(label).is_some()) {
        true => labels.sort_by(|a, b| {
            let by_value = value(a).partial_cmp(&value(b));
            by_value.unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.cmp(b))
        }),
        false => labels.sort(),
    }
}

/// Whether a column reads as numbers: at least three in four of its values are. One stray cell is
/// then an error with its line, where it would otherwise turn the column into categories.
pub(super) fn reads_as_numbers(cells: &Cells, rows: &[usize]) -> bool {
    let (mut values, mut numbers) = (0, 0);
    for cell in rows.iter().filter_map(|&row| cells.number(row)) {
        values += 1;
        numbers += usize::from(cell.is_ok());
    }
    numbers > 0 && 4 * numbers >= 3 * values
}

/// Different whole numbers of a target column that is a class.
pub(super) const MOST_CLASSES: usize = 20;

/// Whether a target column is a value: numbers that are not whole, or of which more than 20 differ.
pub(super) fn reads_as_value(cells: &Cells, rows: &[usize]) -> bool {
    if !reads_as_numbers(cells, rows) {
        return false;
    }
    let mut seen = Vec::with_capacity(MOST_CLASSES + 1);
    for number in rows.iter().filter_map(|&row| cells.number(row)).flatten() {
        if number.fract() != 0.0 {
            return true;
        }
        if !seen.contains(&number) {
            seen.push(number);
        }
        if seen.len() > MOST_CLASSES {
            return true;
        }
    }
    false
}

impl Encoding {
    /// The `most` frequent of the counted categories, ties in the order of their text.
    pub(super) fn most_frequent(counts: HashMap<String, u64>, most: usize) -> Self {
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rare = counts.iter().skip(most).map(|(_, count)| count).sum();
        let mut categories: Vec<String> = counts.into_iter().take(most).map(|(text, _)| text).collect();
        sort_labels(&mut categories);
        Encoding::Categorical { categories, rare }
    }
}

impl Column {
    /// A numeric column's statistics over `rows`, whose cells are all finite numbers or missing.
    pub(super) fn numeric(frame: &Frame, index: usize, rows: &[usize]) -> Self {
        let cells = &frame.columns[index];
        let numbers = rows.iter().filter_map(|&row| cells.number(row)).flatten();
        let (mean, std) = mean_and_std(numbers.clone());
        let missing = (rows.len() - numbers.count()) as u64;
        let encoding = Encoding::Numeric { mean, std, indicator: missing > 0 };
        Column { name: frame.names[index].clone(), missing, encoding }
    }

    /// A column's categories over `rows`: the `most` frequent, ties in the order of their text.
    pub(super) fn categorical(frame: &Frame, index: usize, rows: &[usize], most: usize) -> Self {
        let cells = &frame.columns[index];
        let mut counts: HashMap<String, u64> = HashMap::new();
        let mut missing = 0;
        for &row in rows {
            match cells.text(row) {
                None => missing += 1,
                Some(cell) => match counts.get_mut(cell.as_ref()) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(cell.into_owned(), 1);
                    }
                },
            }
        }
        Column { name: frame.names[index].clone(), missing, encoding: Encoding::most_frequent(counts, most) }
    }

    /// The numeric columns that this one becomes.
    pub(super) fn width(&self, one_hot: bool) -> usize {
        match &self.encoding {
            Encoding::Numeric { indicator, .. } => 1 + usize::from(*indicator),
            Encoding::Categorical { categories, .. } if one_hot => categories.len(),
            Encoding::Categorical { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::cells::TextCells;
    use proptest::prelude::*;

    fn text(cells: &[&str]) -> Cells {
        let mut column = TextCells::default();
        cells.iter().for_each(|&cell| column.push((!cell.is_empty()).then_some(cell)));
        Cells::Text(column)
    }

    fn rows(cells: &[&str]) -> Vec<usize> {
        (0..cells.len()).collect()
    }

    #[test]
    fn a_stray_cell_does_not_turn_numbers_into_categories() {
        let check = |cells: &[&str]| reads_as_numbers(&text(cells), &rows(cells));
        assert!(check(&["1", "2.5", "-3e4", "oops"]));
        assert!(check(&["", "1"]));
        assert!(!check(&["1", "x"]));
        assert!(!check(&["", ""]));
    }

    #[test]
    fn values_are_fractions_or_many_numbers() {
        let check = |cells: &[&str]| reads_as_value(&text(cells), &rows(cells));
        assert!(check(&["1", "2.5"]));
        assert!(!check(&["0", "1", "1", "0"]));
        assert!(!check(&["yes", "no"]));
        let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(check(&many) && !check(&many[..20]));
    }

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
    }

    #[test]
    fn a_constant_has_deviation_one() {
        assert_eq!(mean_and_std([0.1; 7].into_iter()), (0.1, 1.0));
        assert_eq!(mean_and_std([0.0; 3].into_iter()), (0.0, 1.0));
        assert_eq!(mean_and_std([1.0, 3.0].into_iter()), (2.0, 1.0));
        assert_eq!(mean_and_std([2.0, 6.0].into_iter()), (4.0, 2.0));
    }

    proptest! {
        #[test]
        fn json_gives_statistics_back_bit_for_bit(numbers in prop::collection::vec(-1e9f64..1e9, 1..20)) {
            let (mean, std) = mean_and_std(numbers.iter().copied());
            let back: (f64, f64) =
                serde_json::from_str(&serde_json::to_string(&(mean, std)).unwrap()).unwrap();
            prop_assert_eq!(back, (mean, std));
        }
    }
}
