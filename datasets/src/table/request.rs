//! Rows from memory, to predict.

use super::config::TableConfig;
use super::encode::Encoder;
use super::packing::Packing;
use super::schema::TableSchema;
use super::set::TableSet;
use crate::records::{Cells, Frame, TextCells, none_but};
use crate::request::{REQUEST, Requested};
use crate::{DataError, Pipeline};
use std::ops::ControlFlow;

/// A cell of a row in memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// No value.
    Missing,
    /// A number; not-a-number is no value.
    Number(f64),
    /// Text as a file would spell it; a mark of `data.missing` is no value.
    Text(String),
}

/// A row in memory: the names of its columns, in any order, and a cell of each. Every input column of the run
/// has to be there; the target and other columns are left aside.
pub type Row = Vec<(String, Cell)>;

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Cell::Number(number)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_string())
    }
}

impl<C: Into<Cell>> From<Option<C>> for Cell {
    fn from(cell: Option<C>) -> Self {
        cell.map_or(Cell::Missing, Into::into)
    }
}

/// Rows in memory, each with its number in the request. Categories that training never saw go to the unknown
/// slot, as in files.
///
/// A row that lacks a column, or has text where a number belongs, is refused alone.
///
/// # Errors
/// When a key is out of its bounds.
pub fn records(
    config: &TableConfig,
    schema: &TableSchema,
    rows: &[(usize, Row)],
) -> Result<Requested<TableSet>, DataError> {
    config.check_sizes()?;
    let mut refused = Vec::new();
    let mut complete = Vec::with_capacity(rows.len());
    for (number, row) in rows {
        match lacking(schema, row) {
            None => complete.push((*number, row)),
            Some(column) => {
                let names: Vec<String> = row.iter().map(|(name, _)| name.clone()).collect();
                let (place, expected) = (format!("record {number}"), format!("a column `{column}`"));
                let error = DataError::malformed(REQUEST, place, expected, none_but(&names, column));
                refused.push((*number, error));
            }
        }
    }
    let packing = Packing::new(config, Some(schema));
    let mut frame = frame(&packing, schema, &complete);
    packing.pack(&mut frame);
    let all: Vec<usize> = (0..frame.len()).collect();
    let encoder = Encoder::new(schema, config, false);
    let kept = encoder.readable(&frame, &all, |row, error| {
        refused.push((complete[row].0, error));
        ControlFlow::Continue(())
    })?;
    let set = TableSet::held(encoder.encode(&frame, &kept)?, 0);
    let records = kept.into_iter().map(|row| complete[row].0).collect();
    Ok(Requested { samples: Pipeline::new(set, config.in_order(0)), records, refused })
}

/// The first input column that a row lacks.
fn lacking<'a>(schema: &'a TableSchema, row: &Row) -> Option<&'a str> {
    let mut names = schema.columns.iter().map(|column| column.name.as_str());
    names.find(|name| cell(row, name).is_none())
}

fn cell<'a>(row: &'a Row, column: &str) -> Option<&'a Cell> {
    row.iter().find(|(name, _)| name == column).map(|(_, cell)| cell)
}

/// The input columns of numbered rows.
fn frame(packing: &Packing, schema: &TableSchema, rows: &[(usize, &Row)]) -> Frame {
    let column = |name: &str| {
        let mut cells = TextCells::default();
        for (_, row) in rows {
            match cell(row, name) {
                None | Some(Cell::Missing) => cells.push(None),
                Some(Cell::Number(value)) if value.is_nan() => cells.push(None),
                Some(Cell::Number(value)) => cells.push_number(Some(&value.to_string())),
                Some(Cell::Text(text)) => {
                    cells.push(Some(text.trim()).filter(|text| !packing.is_missing(text)));
                }
            }
        }
        Cells::Text(cells)
    };
    let names: Vec<String> = schema.columns.iter().map(|column| column.name.clone()).collect();
    let columns = names.iter().map(|name| column(name)).collect();
    let lines = rows.iter().map(|(number, _)| *number as u64).collect();
    Frame::new(REQUEST, names, columns, lines, "record")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::open;
    use crate::{Dataset, Draw};
    use burn::tensor::Device;

    #[test]
    fn rows_in_memory_are_encoded_as_rows_of_files_and_each_is_refused_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "n,c,y\n1,red,a\n,blue,b\n3,?,a\n2,red,b\n").unwrap();
        let train = path.to_str().unwrap().to_string();
        let config =
            TableConfig { train, target: "y".into(), one_hot: false, workers: 0, ..Default::default() };
        let schema = open(&config, 0).unwrap().schema;
        let row = |cells: &[(&str, Cell)]| -> Row {
            cells.iter().map(|(name, cell)| (name.to_string(), cell.clone())).collect()
        };
        let rows = [
            row(&[("c", "red".into()), ("n", 3.0.into()), ("y", "a".into())]),
            row(&[("n", 1.0.into()), ("colour", "red".into())]),
            row(&[("n", "many".into()), ("c", "red".into())]),
            row(&[("n", Cell::Missing), ("c", "never seen".into())]),
            row(&[("n", " 1 ".into()), ("c", " ? ".into())]),
        ];
        // As among records of another kind.
        let rows: Vec<(usize, Row)> = rows.into_iter().enumerate().map(|(at, row)| (at + 2, row)).collect();
        let requested = records(&config, &schema, &rows).unwrap();
        assert_eq!(requested.records, [2, 5, 6]);
        let refused: Vec<(usize, String)> =
            requested.refused.iter().map(|(number, error)| (*number, error.to_string())).collect();
        assert_eq!(
            refused[0],
            (
                3,
                "request, record 3: expected a column `c`, found none; the nearest are `colour`, `n`"
                    .to_string()
            )
        );
        assert!(refused[1].1.starts_with("request, record 4, column `n`: expected a number"), "{refused:?}");
        let set = requested.samples.dataset();
        let samples = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
        let (table, _) = set.collate(samples, &Device::flex());
        assert_eq!(table.categories.into_data().iter::<i64>().collect::<Vec<_>>(), [2, 0, 0]);
        let numeric: Vec<f32> = table.numeric.into_data().iter().collect();
        let one = 1.5f32.sqrt();
        assert!(
            numeric.iter().zip([one, 0.0, 0.0, 1.0, -one, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6),
            "{numeric:?}"
        );
    }
}
