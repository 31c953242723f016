//! The columns of a table: their types, and the statistics that encode their cells.

use crate::records::sort_labels;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// An input column and how its cells become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the files.
    pub name: String,
    /// Cells of the training rows without a value.
    pub missing: u64,
    /// The way of a cell to numbers.
    pub encoding: Encoding,
}

/// The way of the cells of a column to numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A number.
    Numeric {
        /// Mean over the training rows; it stands in for a missing value.
        mean: f64,
        /// Standard deviation over the training rows (divided by their count); 1 for a constant.
        std: f64,
        /// True where a 0/1 column `<name>_missing` follows: where the training rows miss values.
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
    /// The numeric columns that this one becomes.
    pub(super) fn width(&self, one_hot: bool) -> usize {
        match &self.encoding {
            Encoding::Numeric { indicator, .. } => 1 + usize::from(*indicator),
            Encoding::Categorical { categories, .. } if one_hot => categories.len(),
            Encoding::Categorical { .. } => 0,
        }
    }
}
