//! Rows of a table as numbers.

/// What the rows are compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowTargets {
    /// A class index a row.
    Classes(Vec<u32>),
    /// A standardised value a row.
    Values(Vec<f32>),
    /// Nothing: rows to predict.
    Absent,
}

impl RowTargets {
    pub(super) fn classes(&self) -> &[u32] {
        match self {
            RowTargets::Classes(classes) => classes,
            _ => &[],
        }
    }

    pub(super) fn values(&self) -> &[f32] {
        match self {
            RowTargets::Values(values) => values,
            _ => &[],
        }
    }
}

/// Rows of a table, encoded once.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) rows: usize,
    /// `[rows, num_numeric]`, row after row.
    pub(super) numeric: Vec<f32>,
    pub(super) num_numeric: usize,
    /// `[rows, num_categories]`, row after row.
    pub(super) categories: Vec<u32>,
    pub(super) num_categories: usize,
    pub(super) targets: RowTargets,
}
