//! The rows of a table as a data set: all of them in memory, or some blocks at a time.

use super::blocks::RowDecoder;
use super::rows::{RowTargets, Rows};
use crate::blocks::BlockSet;
use crate::{DataError, Dataset, Draw};
use bonfire_contract::{Table, Target};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Rows of a table, gathered by index.
#[derive(Debug)]
pub struct TableSet {
    parts: Parts,
    skipped: u64,
}

#[derive(Debug)]
enum Parts {
    /// All of them in memory.
    Held(Arc<Rows>),
    /// Some blocks of them at a time.
    Streamed(Box<BlockSet<RowDecoder>>),
}

/// One row, and the rows that it lies among.
#[derive(Clone, Debug)]
pub struct TableSample {
    rows: Arc<Rows>,
    row: usize,
}

impl TableSet {
    /// Rows in memory; `skipped` of their files could not be read.
    pub(super) fn held(rows: Rows, skipped: u64) -> Self {
        TableSet { parts: Parts::Held(Arc::new(rows)), skipped }
    }

    /// Rows that are read when they are wanted.
    pub(super) fn streamed(blocks: BlockSet<RowDecoder>) -> Self {
        TableSet { parts: Parts::Streamed(Box::new(blocks)), skipped: 0 }
    }

    /// The rows in memory.
    #[cfg(test)]
    pub(super) fn rows(&self) -> &Rows {
        match &self.parts {
            Parts::Held(rows) => rows,
            Parts::Streamed(blocks) => panic!("{blocks:?}"),
        }
    }
}

/// The elements that belong to `samples`, of each one's `part` of rows of `width`.
fn gather<T: Copy, U>(
    samples: &[TableSample],
    width: usize,
    part: impl Fn(&Rows) -> &[T],
    convert: impl Fn(T) -> U,
) -> Vec<U> {
    let mut gathered = Vec::with_capacity(samples.len() * width);
    for TableSample { rows, row } in samples {
        gathered.extend(part(rows)[row * width..(row + 1) * width].iter().copied().map(&convert));
    }
    gathered
}

impl Dataset for TableSet {
    type Sample = TableSample;
    type Input = Table;

    fn len(&self) -> u64 {
        match &self.parts {
            Parts::Held(rows) => rows.rows as u64,
            Parts::Streamed(blocks) => blocks.len(),
        }
    }

    fn sample(&self, index: u64, _draw: Draw) -> Result<TableSample, DataError> {
        match &self.parts {
            Parts::Held(rows) => Ok(TableSample { rows: rows.clone(), row: index as usize }),
            Parts::Streamed(blocks) => {
                let (block, number) = blocks.read(index)?;
                let row = block.row(number)?;
                Ok(TableSample { rows: block.rows.clone(), row })
            }
        }
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn ahead(&self) -> u64 {
        match &self.parts {
            Parts::Held(_) => 0,
            Parts::Streamed(blocks) => blocks.ahead(),
        }
    }

    fn hold(&self, lanes: u64) {
        if let Parts::Streamed(blocks) = &self.parts {
            blocks.hold(lanes);
        }
    }

    fn prepare(&self, index: u64) {
        if let Parts::Streamed(blocks) = &self.parts {
            blocks.prepare(index);
        }
    }

    /// `numeric [B, N]`, `categories [B, M]`; classes `[B]` or values `[B, 1]`. Rows to predict have
    /// no target: theirs is [`Target::Absent`].
    fn collate(&self, samples: Vec<TableSample>, device: &Device) -> (Table, Target) {
        let batch = samples.len();
        let Some(TableSample { rows: first, .. }) = samples.first() else {
            let (numeric, categories) = (Tensor::zeros([0, 0], device), Tensor::zeros([0, 0], device));
            return (Table { numeric, categories }, Target::Absent);
        };
        let (n, m) = (first.num_numeric, first.num_categories);
        let numeric = match n {
            0 => Tensor::zeros([batch, 0], device),
            _ => {
                let numbers = gather(&samples, n, |rows| &rows.numeric, |number| number);
                Tensor::from_data(TensorData::new(numbers, [batch, n]), device)
            }
        };
        let categories = match m {
            0 => Tensor::zeros([batch, 0], device),
            _ => {
                let indices = gather(&samples, m, |rows| &rows.categories, |index| index as i32);
                Tensor::from_data(TensorData::new(indices, [batch, m]), device)
            }
        };
        let target = match &first.targets {
            RowTargets::Classes(_) => {
                let classes = gather(&samples, 1, |rows| rows.targets.classes(), |class| class as i32);
                Target::Classes(Tensor::from_data(TensorData::new(classes, [batch]), device))
            }
            RowTargets::Values(_) => {
                let values = gather(&samples, 1, |rows| rows.targets.values(), |value| value);
                Target::Values(Tensor::from_data(TensorData::new(values, [batch, 1]), device))
            }
            RowTargets::Absent => Target::Absent,
        };
        (Table { numeric, categories }, target)
    }
}
