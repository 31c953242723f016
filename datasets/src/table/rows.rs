//! Rows of a table as numbers.

use crate::{Gathered, Held};
use bonfire_contract::{Table, Target};
use burn::tensor::{Device, Tensor, TensorData};

/// The targets of rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowTargets {
    /// A class index a row.
    Classes(Vec<i32>),
    /// A standardised value a row.
    Values(Vec<f32>),
    /// None: rows to predict.
    Absent,
}

/// Rows of a table, encoded once: all of it, a block, or a batch.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) rows: usize,
    /// `[rows, num_numeric]`, row after row.
    pub(super) numeric: Vec<f32>,
    pub(super) num_numeric: usize,
    /// `[rows, num_categories]`, row after row.
    pub(super) categories: Vec<i32>,
    pub(super) num_categories: usize,
    pub(super) targets: RowTargets,
}

impl Rows {
    /// Bytes of one row.
    pub(super) fn row_bytes(&self) -> u64 {
        4 * (self.num_numeric + self.num_categories + 1) as u64
    }

    /// A batch of some rows, each the number `row` of the `rows` that it lies among; all are of one table, as
    /// `like` is.
    pub(super) fn gather<'a>(like: &Rows, picked: impl Iterator<Item = (&'a Rows, usize)> + Clone) -> Rows {
        let targets = match &like.targets {
            RowTargets::Classes(_) => RowTargets::Classes(gather(1, picked.clone(), Rows::classes)),
            RowTargets::Values(_) => RowTargets::Values(gather(1, picked.clone(), Rows::values)),
            RowTargets::Absent => RowTargets::Absent,
        };
        let (num_numeric, num_categories) = (like.num_numeric, like.num_categories);
        Rows {
            rows: picked.clone().count(),
            numeric: gather(num_numeric, picked.clone(), |rows| &rows.numeric),
            num_numeric,
            categories: gather(num_categories, picked, |rows| &rows.categories),
            num_categories,
            targets,
        }
    }

    fn classes(&self) -> &[i32] {
        match &self.targets {
            RowTargets::Classes(classes) => classes,
            RowTargets::Values(_) | RowTargets::Absent => &[],
        }
    }

    fn values(&self) -> &[f32] {
        match &self.targets {
            RowTargets::Values(values) => values,
            RowTargets::Classes(_) | RowTargets::Absent => &[],
        }
    }

    /// The rows on a device: `numeric [B, N]`, `categories [B, M]`; classes `[B]` or values `[B, 1]`. Rows to
    /// predict have no target: theirs is [`Target::Absent`].
    pub(super) fn into_batch(self, device: &Device) -> (Table, Target) {
        let (batch, n, m) = (self.rows, self.num_numeric, self.num_categories);
        let numeric = match n {
            0 => Tensor::zeros([batch, 0], device),
            _ => Tensor::from_data(TensorData::new(self.numeric, [batch, n]), device),
        };
        let categories = match m {
            0 => Tensor::zeros([batch, 0], device),
            _ => Tensor::from_data(TensorData::new(self.categories, [batch, m]), device),
        };
        let target = match self.targets {
            RowTargets::Classes(classes) => {
                Target::Classes(Tensor::from_data(TensorData::new(classes, [batch]), device))
            }
            RowTargets::Values(values) => {
                Target::Values(Tensor::from_data(TensorData::new(values, [batch, 1]), device))
            }
            RowTargets::Absent => Target::Absent,
        };
        (Table { numeric, categories }, target)
    }
}

/// The numbers of some rows, of which each has `width` in its `part`.
fn gather<'a, T: Copy + 'a>(
    width: usize,
    picked: impl Iterator<Item = (&'a Rows, usize)> + Clone,
    part: impl Fn(&'a Rows) -> &'a [T],
) -> Vec<T> {
    let mut gathered = Vec::with_capacity(picked.clone().count() * width);
    for (rows, row) in picked {
        gathered.extend_from_slice(&part(rows)[row * width..(row + 1) * width]);
    }
    gathered
}

impl Held<Table> for Rows {
    fn gather(&self, indices: &[u64]) -> Gathered<Table> {
        let batch = Rows::gather(self, indices.iter().map(|&index| (self, index as usize)));
        Box::new(move |device| batch.into_batch(device))
    }
}
