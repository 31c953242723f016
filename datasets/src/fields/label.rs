//! The column to predict.

use super::Refuse;
use super::category::Places;
use super::number::{check_numbers, each_number, scaled};
use crate::records::{Cells, canonical, quoted, shortened};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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

/// What the target is where a row has none.
pub(crate) const ABSENT: &str = "no value";

/// The targets of rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Targets {
    /// A class index a row.
    Classes(Vec<i32>),
    /// A standardised value a row.
    Values(Vec<f32>),
    /// None: rows to predict.
    Absent,
}

impl TableTarget {
    /// The column's name.
    pub fn name(&self) -> &str {
        match self {
            TableTarget::Classes { name, .. } | TableTarget::Value { name, .. } => name,
        }
    }

    /// The encoder of its cells, which takes `suffix` off the end of labels.
    pub(crate) fn encoder(&self, suffix: Option<&str>) -> TargetEncoder {
        let places = match self {
            TableTarget::Classes { labels, .. } => Places::new(labels),
            TableTarget::Value { .. } => Places::default(),
        };
        TargetEncoder { target: self.clone(), suffix: suffix.map(str::to_string), places }
    }
}

/// The encoder of targets.
#[derive(Debug)]
pub(crate) struct TargetEncoder {
    pub(crate) target: TableTarget,
    suffix: Option<String>,
    places: Places,
}

impl TargetEncoder {
    /// The class that a cell says.
    fn class(&self, cell: &str) -> Option<i32> {
        self.places.of(without(cell, self.suffix.as_deref()))
    }

    /// Tells `refuse` of each of `rows` without a target: no value, no number, or none of the labels.
    pub(crate) fn check(&self, cells: &Cells, rows: &[usize], refuse: Refuse<'_>) {
        match &self.target {
            TableTarget::Value { mean, std, .. } => {
                each_number(cells, rows, |place, number| {
                    if number.is_none() {
                        refuse(rows[place], "a target", ABSENT.to_string());
                    }
                });
                check_numbers(cells, rows, (*mean, *std), "a number", refuse);
            }
            TableTarget::Classes { labels, .. } => {
                let known = |text: &str| self.class(text).is_some();
                cells.each(rows, known, |place, known| match known {
                    Some(true) => {}
                    None => refuse(rows[place], "a target", ABSENT.to_string()),
                    Some(false) => {
                        let cell = cells.text(rows[place]).unwrap_or_default();
                        let found = format!("`{}`", shortened(without(&cell, self.suffix.as_deref())));
                        refuse(rows[place], &format!("one of {}", quoted(labels)), found);
                    }
                });
            }
        }
    }

    /// The targets of `rows`, which [`check`](TargetEncoder::check) let through.
    pub(crate) fn encode(&self, cells: &Cells, rows: &[usize]) -> Targets {
        match &self.target {
            TableTarget::Value { mean, std, .. } => {
                let mut values = Vec::with_capacity(rows.len());
                each_number(cells, rows, |_, number| {
                    values.extend(number.and_then(Result::ok).map(|number| scaled(number, (*mean, *std))));
                });
                Targets::Values(values)
            }
            TableTarget::Classes { .. } => {
                let mut classes = Vec::with_capacity(rows.len());
                cells.each(rows, |text| self.class(text), |_, class| classes.extend(class.flatten()));
                Targets::Classes(classes)
            }
        }
    }
}

impl Targets {
    /// Adds the targets of the rows that come next, which are of the same kind.
    pub(crate) fn append(&mut self, other: Targets) {
        match (self, other) {
            (Targets::Classes(classes), Targets::Classes(more)) => classes.extend(more),
            (Targets::Values(values), Targets::Values(more)) => values.extend(more),
            // No rows have been added yet, or they are to be predicted.
            (targets, other) => *targets = other,
        }
    }
}

/// A cell of the target as a label, in one spelling and without the recipe's suffix.
pub(crate) fn label<'a>(cell: &'a str, suffix: Option<&str>) -> Cow<'a, str> {
    canonical(without(cell, suffix))
}

/// A cell without the recipe's suffix.
fn without<'a>(cell: &'a str, suffix: Option<&str>) -> &'a str {
    let stripped = suffix.and_then(|suffix| cell.strip_suffix(suffix));
    stripped.map_or(cell, str::trim_end)
}
