//! Encoded rows in memory.

use crate::{DataError, Dataset};
use bonfire_contract::{Table, Target};
use burn::tensor::{Device, Tensor, TensorData};

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

/// Rows of a table, encoded once and gathered by index.
#[derive(Debug)]
pub struct TableSet {
    pub(super) rows: usize,
    /// `[rows, num_numeric]`, row after row.
    pub(super) numeric: Vec<f32>,
    pub(super) num_numeric: usize,
    /// `[rows, num_categories]`, row after row.
    pub(super) categories: Vec<u32>,
    pub(super) num_categories: usize,
    pub(super) targets: RowTargets,
    pub(super) skipped: u64,
}

impl TableSet {
    /// Adds rows without a target.
    pub(super) fn append(&mut self, other: TableSet) {
        self.rows += other.rows;
        self.numeric.extend(other.numeric);
        self.categories.extend(other.categories);
        self.skipped += other.skipped;
    }
}

/// The elements of `flat`, rows of `width`, that belong to the rows of `samples`.
fn gather<T: Copy, U>(flat: &[T], width: usize, samples: &[usize], convert: impl Fn(T) -> U) -> Vec<U> {
    let mut gathered = Vec::with_capacity(samples.len() * width);
    for &row in samples {
        gathered.extend(flat[row * width..(row + 1) * width].iter().copied().map(&convert));
    }
    gathered
}

impl Dataset for TableSet {
    /// The index of the row.
    type Sample = usize;
    type Input = Table;

    fn len(&self) -> u64 {
        self.rows as u64
    }

    fn sample(&self, index: u64, _draw: u64) -> Result<usize, DataError> {
        Ok(index as usize)
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    /// `numeric [B, N]`, `categories [B, M]`; classes `[B]` or values `[B, 1]`. Rows to predict have
    /// no target: theirs is [`Target::Input`].
    fn collate(&self, samples: Vec<usize>, device: &Device) -> (Table, Target) {
        let batch = samples.len();
        let (n, m) = (self.num_numeric, self.num_categories);
        let numeric = match n {
            0 => Tensor::zeros([batch, 0], device),
            _ => {
                let numbers = gather(&self.numeric, n, &samples, |number| number);
                Tensor::from_data(TensorData::new(numbers, [batch, n]), device)
            }
        };
        let categories = match m {
            0 => Tensor::zeros([batch, 0], device),
            _ => {
                let indices = gather(&self.categories, m, &samples, |index| index as i32);
                Tensor::from_data(TensorData::new(indices, [batch, m]), device)
            }
        };
        let target = match &self.targets {
            RowTargets::Classes(classes) => {
                let classes = gather(classes, 1, &samples, |class| class as i32);
                Target::Classes(Tensor::from_data(TensorData::new(classes, [batch]), device))
            }
            RowTargets::Values(values) => {
                let values = gather(values, 1, &samples, |value| value);
                Target::Values(Tensor::from_data(TensorData::new(values, [batch, 1]), device))
            }
            RowTargets::Absent => Target::Input,
        };
        (Table { numeric, categories }, target)
    }
}
