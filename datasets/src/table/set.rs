//! The rows of a table as a data set: all of them in memory, or some blocks at a time.

use super::blocks::RowDecoder;
use super::rows::Rows;
use super::unseen::Unseen;
use crate::store::BlockSet;
use crate::{DataError, Dataset, Draw, Held};
use bonfire_contract::{Table, Target};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// Rows of a table, gathered by index.
#[derive(Debug)]
pub struct TableSet {
    rows: Place,
    skipped: u64,
    unseen: Arc<Unseen>,
}

/// The place of the rows.
#[derive(Debug)]
enum Place {
    /// All in memory.
    Held(Arc<Rows>),
    /// Some blocks in memory at a time.
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
        TableSet { rows: Place::Held(Arc::new(rows)), skipped, unseen: Arc::default() }
    }

    /// Rows that are read when they are wanted.
    pub(super) fn streamed(blocks: BlockSet<RowDecoder>) -> Self {
        TableSet { rows: Place::Streamed(Box::new(blocks)), skipped: 0, unseen: Arc::default() }
    }

    /// The set, whose cells that say less than they did in training are counted in `unseen`.
    pub(super) fn counting(self, unseen: Arc<Unseen>) -> Self {
        TableSet { unseen, ..self }
    }

    /// The cells that say less than they did in training: of all rows, or of those that have been read where they
    /// are streamed. Rows to train on have none that are counted.
    pub fn unseen(&self) -> &Arc<Unseen> {
        &self.unseen
    }

    /// The rows of each of `num` classes, where they are in memory and their targets are classes.
    pub(super) fn classes_of(&self, num: usize) -> Option<Vec<u64>> {
        match &self.rows {
            Place::Held(rows) => rows.classes_of(num),
            Place::Streamed(_) => None,
        }
    }

    /// The rows in memory.
    #[cfg(test)]
    pub(super) fn rows(&self) -> &Rows {
        match &self.rows {
            Place::Held(rows) => rows,
            Place::Streamed(blocks) => panic!("{blocks:?}"),
        }
    }
}

impl Dataset for TableSet {
    type Sample = TableSample;
    type Input = Table;

    fn len(&self) -> u64 {
        match &self.rows {
            Place::Held(rows) => rows.rows as u64,
            Place::Streamed(blocks) => blocks.len(),
        }
    }

    fn sample(&self, index: u64, _draw: Draw) -> Result<TableSample, DataError> {
        match &self.rows {
            Place::Held(rows) => Ok(TableSample { rows: rows.clone(), row: index as usize }),
            Place::Streamed(blocks) => {
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
        match &self.rows {
            Place::Held(_) => 0,
            Place::Streamed(blocks) => blocks.ahead(),
        }
    }

    fn hold(&self, lanes: u64) {
        if let Place::Streamed(blocks) = &self.rows {
            blocks.hold(lanes);
        }
    }

    fn prepare(&self, index: u64) {
        if let Place::Streamed(blocks) = &self.rows {
            blocks.prepare(index);
        }
    }

    fn sample_bytes(&self) -> u64 {
        match &self.rows {
            Place::Held(rows) => rows.row_bytes(),
            Place::Streamed(_) => 0,
        }
    }

    fn held(&self) -> Option<&dyn Held<Table>> {
        match &self.rows {
            Place::Held(rows) => Some(&**rows),
            Place::Streamed(_) => None,
        }
    }

    /// See `Rows::into_batch`.
    fn collate(&self, samples: Vec<TableSample>, device: &Device) -> (Table, Target) {
        let Some(TableSample { rows: like, .. }) = samples.first() else {
            let (numeric, categories) = (Tensor::zeros([0, 0], device), Tensor::zeros([0, 0], device));
            return (Table { numeric, categories }, Target::Absent);
        };
        let picked = samples.iter().map(|TableSample { rows, row }| (&**rows, *row));
        Rows::gather(like, picked).into_batch(device)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::RowLayout;
    use super::*;
    use crate::fields::Targets;
    use crate::{OnCorrupt, Order, Pipeline, PipelineConfig, Shuffle};
    use bonfire_contract::{Loader, Portion, Position, Share};

    fn held(rows: usize) -> TableSet {
        let numbers = (0..rows * 2).map(|cell| cell as f32).collect();
        let indices = (0..rows as i32).map(|row| row % 3).collect();
        let targets = Targets::Classes((0..rows as i32).map(|row| row % 2).collect());
        let layout = Arc::new(RowLayout::as_kept(2, 1));
        TableSet::held(Rows { rows, numbers, indices, targets, layout }, 0)
    }

    #[test]
    fn batches_that_are_gathered_whole_are_made_of_the_rows_of_the_order() {
        let device = Device::flex();
        let order = Order::shuffled(7, 3, 50);
        for (workers, ranks, repeats) in [(0, 1, 1), (1, 1, 1), (3, 2, 1), (2, 3, 2)] {
            let (shuffle, on_corrupt) = (Shuffle::Full(7), OnCorrupt::Stop);
            let config = PipelineConfig {
                shuffle,
                seed: 7,
                on_corrupt,
                repeats,
                lanes: 1,
                workers,
                prefetch_bytes: 256,
            };
            let pipeline = Pipeline::new(held(50), config);
            for rank in 0..ranks {
                let share = Share { rank, ranks };
                let mut consumed = 8;
                for portion in pipeline.portions(Position { epoch: 3, samples: consumed }, 8, share, &device)
                {
                    let batch = match portion.unwrap() {
                        Portion::Samples(batch) => batch,
                        Portion::Nothing { consumed: more } => {
                            consumed += more;
                            continue;
                        }
                    };
                    let positions = share.of(consumed..consumed + batch.consumed);
                    let numbers: Vec<u64> = positions.map(|position| order.at(position / repeats)).collect();
                    let set = pipeline.dataset();
                    let row = |&number: &u64| set.sample(number, Draw::default()).unwrap();
                    let (input, target) = set.collate(numbers.iter().map(row).collect(), &device);
                    assert_eq!(batch.samples, numbers);
                    assert_eq!(batch.input.numeric.into_data(), input.numeric.into_data());
                    assert_eq!(batch.input.categories.into_data(), input.categories.into_data());
                    let (Target::Classes(found), Target::Classes(expected)) = (batch.target, target) else {
                        panic!("expected classes")
                    };
                    assert_eq!(found.into_data(), expected.into_data());
                    consumed += batch.consumed;
                }
                assert_eq!(consumed, 50 * repeats);
            }
        }
    }
}
