//! Rows of a frame into numbers, by a schema.

use super::config::TableConfig;
use super::missing::told;
use super::rows::{RowLayout, Rows};
use super::schema::{TableSchema, column_indices};
use super::unseen::Unseen;
use crate::fields::{EncodeCells, Kept, Scaling, Slots, TargetEncoder, Targets};
use crate::records::Frame;
use crate::{DataError, OnCorrupt};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The encoder of a table's rows.
#[derive(Debug)]
pub(super) struct Encoder {
    columns: Vec<ColumnEncoder>,
    /// Absent where rows are to be predicted.
    target: Option<TargetEncoder>,
    layout: Arc<RowLayout>,
    on_corrupt: OnCorrupt,
}

/// The encoder of one column.
#[derive(Debug)]
struct ColumnEncoder {
    name: String,
    kept: Kept,
    cells: Box<dyn EncodeCells>,
}

impl Encoder {
    /// Encodes rows by a schema, with their targets or without.
    pub(super) fn new(schema: &TableSchema, config: &TableConfig, with_target: bool) -> Self {
        let scaling = if schema.standardise { Scaling::Standard } else { Scaling::Raw };
        let columns = schema.columns.iter().map(|column| {
            let field = column.encoding.field();
            ColumnEncoder { name: column.name.clone(), kept: field.kept(), cells: field.encoder(scaling) }
        });
        Encoder {
            columns: columns.collect(),
            target: with_target.then(|| schema.target.encoder(config.strip_label_suffix.as_deref())),
            layout: Arc::new(RowLayout::of(schema)),
            on_corrupt: config.on_corrupt,
        }
    }

    /// The parts of its rows.
    pub(super) fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    /// The indices of the input columns and, behind them, of the target.
    fn indices(&self, frame: &Frame) -> Result<Vec<usize>, DataError> {
        let target = self.target.as_ref().map(|encoder| encoder.target.name());
        column_indices(frame, self.columns.iter().map(|column| column.name.as_str()).chain(target))
    }

    /// Those of `rows` that can be encoded; the others go to `corrupt`, in their order.
    ///
    /// # Errors
    /// The first that `corrupt` hands back; when a column is absent.
    pub(super) fn readable(
        &self,
        frame: &Frame,
        rows: &[usize],
        mut corrupt: impl FnMut(usize, DataError) -> ControlFlow<DataError>,
    ) -> Result<Vec<usize>, DataError> {
        // Columns are looked at one after the other; a row's error is that of the first one that has any.
        let mut refused: BTreeMap<usize, DataError> = BTreeMap::new();
        let indices = self.indices(frame)?;
        for (column, &index) in self.columns.iter().zip(&indices) {
            column.cells.check(&frame.columns[index], rows, &mut |row, expected, found| {
                let error = || frame.cell_error(row, &column.name, expected, found);
                refused.entry(row).or_insert_with(error);
            });
        }
        if let (Some(encoder), Some(&index)) = (&self.target, indices.get(self.columns.len())) {
            let name = encoder.target.name();
            encoder.check(&frame.columns[index], rows, &mut |row, expected, found| {
                refused.entry(row).or_insert_with(|| told(frame.cell_error(row, name, expected, found)));
            });
        }
        if refused.is_empty() {
            return Ok(rows.to_vec());
        }
        let mut kept = Vec::with_capacity(rows.len());
        for &row in rows {
            match refused.remove(&row) {
                None => kept.push(row),
                Some(error) => {
                    if let ControlFlow::Break(error) = corrupt(row, error) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(kept)
    }

    /// As [`readable`](Encoder::readable), with the recipe's fate for a row that cannot be encoded; how many
    /// those were.
    ///
    /// # Errors
    /// The first such row's, unless the recipe skips them; when a column is absent.
    pub(super) fn keep_readable(
        &self,
        frame: &Frame,
        rows: &[usize],
    ) -> Result<(Vec<usize>, u64), DataError> {
        let mut skipped = 0;
        let kept =
            self.readable(frame, rows, |_, error| match self.on_corrupt.refuse(error, &mut skipped) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            })?;
        Ok((kept, skipped))
    }

    /// Counts the cells of `rows` that say less than they did in training.
    ///
    /// # Errors
    /// When a column is absent.
    pub(super) fn count_unseen(
        &self,
        frame: &Frame,
        rows: &[usize],
        unseen: &Unseen,
    ) -> Result<(), DataError> {
        let indices = self.indices(frame)?;
        let columns = self.columns.iter().zip(indices);
        let cells =
            |(column, index): (&'_ ColumnEncoder, usize)| column.cells.unseen(&frame.columns[index], rows);
        unseen.add(rows.len(), columns.map(|found| (found.0.name.as_str(), cells(found))));
        Ok(())
    }

    /// Encodes `rows`, which [`readable`](Encoder::readable) let through.
    ///
    /// # Errors
    /// When a column is absent.
    pub(super) fn encode(&self, frame: &Frame, rows: &[usize]) -> Result<Rows, DataError> {
        let layout = &self.layout;
        let mut numbers = vec![0f32; rows.len() * layout.numbers];
        let mut indices = vec![0i32; rows.len() * layout.indices];
        let mut before = Kept::default();
        let columns = self.indices(frame)?;
        for (ColumnEncoder { kept, cells, .. }, &column) in self.columns.iter().zip(&columns) {
            let mut slots = Slots {
                numbers: &mut numbers,
                numbers_of_row: (layout.numbers, before.numbers),
                indices: &mut indices,
                indices_of_row: (layout.indices, before.indices),
            };
            cells.encode(&frame.columns[column], rows, &mut slots);
            before.numbers += kept.numbers;
            before.indices += kept.indices;
        }
        let targets = match (&self.target, columns.get(self.columns.len())) {
            (Some(encoder), Some(&column)) => encoder.encode(&frame.columns[column], rows),
            _ => Targets::Absent,
        };
        Ok(Rows { rows: rows.len(), numbers, indices, targets, layout: layout.clone() })
    }
}
