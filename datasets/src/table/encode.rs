//! Cells into numbers, by a schema.

use super::columns::{Encoding, TableTarget};
use super::config::TableConfig;
use super::rows::{RowTargets, Rows};
use super::schema::{TableSchema, column_index};
use crate::records::{Cells, Frame, quoted, shortened};
use crate::{DataError, OnCorrupt};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// Parses the text of numeric columns once, where it all parses.
pub(super) fn parse_numbers(schema: &TableSchema, frame: &mut Frame) {
    let numeric = schema.columns.iter().filter(|column| matches!(column.encoding, Encoding::Numeric { .. }));
    let target = matches!(schema.target, TableTarget::Value { .. }).then_some(schema.target.name());
    for name in numeric.map(|column| column.name.as_str()).chain(target) {
        if let Some(index) = frame.position(name) {
            frame.columns[index].parse();
        }
    }
}

/// Takes the rows out of `rows` that cannot be encoded, and counts them. `with_target` says whether
/// the target counts, too.
///
/// # Errors
/// The first such row's, unless the recipe skips them; when no row is left; when a column is absent.
pub(super) fn keep_readable(
    schema: &TableSchema,
    frame: &Frame,
    rows: &mut Vec<usize>,
    config: &TableConfig,
    with_target: bool,
) -> Result<u64, DataError> {
    let before = rows.len();
    let kept = readable(schema, frame, rows, config, with_target, |_, error| match config.on_corrupt {
        OnCorrupt::Stop => ControlFlow::Break(error),
        OnCorrupt::Skip => ControlFlow::Continue(()),
    })?;
    if kept.is_empty() {
        return Err(DataError::source(&frame.uri, "at least one row that can be read", "none"));
    }
    *rows = kept;
    Ok((before - rows.len()) as u64)
}

/// Those of `rows` that can be encoded; the others go to `corrupt`.
///
/// # Errors
/// The first that `corrupt` hands back; when a column is absent.
pub(super) fn readable(
    schema: &TableSchema,
    frame: &Frame,
    rows: &[usize],
    config: &TableConfig,
    with_target: bool,
    mut corrupt: impl FnMut(usize, DataError) -> ControlFlow<DataError>,
) -> Result<Vec<usize>, DataError> {
    let mut numeric = Vec::new();
    for column in &schema.columns {
        let index = column_index(frame, &column.name)?;
        if matches!(column.encoding, Encoding::Numeric { .. }) {
            numeric.push(index);
        }
    }
    let target = if with_target { Some(column_index(frame, schema.target.name())?) } else { None };
    let labels: HashSet<&str> = schema.labels().iter().map(String::as_str).collect();
    let check = |row: usize| -> Result<(), DataError> {
        for &index in &numeric {
            check_number(frame, index, row, schema)?;
        }
        match target {
            Some(index) => check_target(frame, index, row, schema, &labels, config),
            None => Ok(()),
        }
    };
    let mut kept = Vec::with_capacity(rows.len());
    for &row in rows {
        match check(row) {
            Ok(()) => kept.push(row),
            Err(error) => {
                if let ControlFlow::Break(error) = corrupt(row, error) {
                    return Err(error);
                }
            }
        }
    }
    Ok(kept)
}

/// Checks that a cell of a numeric column is missing or a number that an f32 holds.
fn check_number(frame: &Frame, index: usize, row: usize, schema: &TableSchema) -> Result<(), DataError> {
    let name = &frame.names[index];
    match frame.columns[index].number(row) {
        None => Ok(()),
        Some(Err(cell)) => {
            let expected = match name == schema.target.name() {
                true => "a number",
                false => "a number (or its mark in data.missing, or the column in data.categorical)",
            };
            Err(frame.cell_error(row, name, expected, format!("`{}`", shortened(cell))))
        }
        // Not-a-number was missing already, so what is left is infinite or beyond f32.
        Some(Ok(number)) if !(number as f32).is_finite() => {
            Err(frame.cell_error(row, name, "a finite number of single precision", number))
        }
        Some(Ok(_)) => Ok(()),
    }
}

/// Checks that the target of a row is a number, or one of the `known` labels.
fn check_target(
    frame: &Frame,
    index: usize,
    row: usize,
    schema: &TableSchema,
    known: &HashSet<&str>,
    config: &TableConfig,
) -> Result<(), DataError> {
    let name = &frame.names[index];
    let cells = &frame.columns[index];
    let absent = || frame.cell_error(row, name, "a target", "no value");
    match &schema.target {
        TableTarget::Value { .. } => {
            if cells.number(row).is_none() {
                return Err(absent());
            }
            check_number(frame, index, row, schema)
        }
        TableTarget::Classes { labels, .. } => {
            let label = label(cells, row, config).ok_or_else(absent)?;
            match known.contains(label.as_ref()) {
                true => Ok(()),
                false => {
                    let expected = format!("one of {}", quoted(labels));
                    Err(frame.cell_error(row, name, expected, format!("`{}`", shortened(&label))))
                }
            }
        }
    }
}

/// A cell of the target as a label, without the recipe's suffix.
pub(super) fn label<'a>(cells: &'a Cells, row: usize, config: &TableConfig) -> Option<Cow<'a, str>> {
    let cell = cells.text(row)?;
    let stripped = config.strip_label_suffix.as_deref().and_then(|suffix| cell.strip_suffix(suffix));
    Some(match stripped {
        Some(stripped) => stripped.trim_end().to_string().into(),
        None => cell,
    })
}

/// Encodes `rows`, which [`keep_readable`] let through.
///
/// # Errors
/// When a column is absent.
pub(super) fn encode(
    schema: &TableSchema,
    frame: &Frame,
    rows: &[usize],
    config: &TableConfig,
    with_target: bool,
) -> Result<Rows, DataError> {
    let num_numeric = schema.num_numeric();
    let num_categories = schema.category_sizes().len();
    let mut numeric = vec![0f32; rows.len() * num_numeric];
    let mut categories = vec![0i32; rows.len() * num_categories];
    let (mut at, mut category_at) = (0, 0);
    for column in &schema.columns {
        let cells = &frame.columns[column_index(frame, &column.name)?];
        match &column.encoding {
            Encoding::Numeric { mean, std, indicator } => {
                let (shift, scale) = if schema.standardise { (*mean, *std) } else { (0.0, 1.0) };
                for (&row, out) in rows.iter().zip(numeric.chunks_exact_mut(num_numeric)) {
                    let number = cells.number(row).and_then(Result::ok);
                    out[at] = ((number.unwrap_or(*mean) - shift) / scale) as f32;
                    if *indicator {
                        out[at + 1] = f32::from(u8::from(number.is_none()));
                    }
                }
            }
            Encoding::Categorical { categories: known, .. } => {
                let indices: HashMap<&str, usize> =
                    known.iter().enumerate().map(|(index, text)| (text.as_str(), index)).collect();
                for (position, &row) in rows.iter().enumerate() {
                    let index = cells.text(row).and_then(|cell| indices.get(cell.as_ref()).copied());
                    match index {
                        Some(index) if schema.one_hot => numeric[position * num_numeric + at + index] = 1.0,
                        Some(index) => {
                            categories[position * num_categories + category_at] = index as i32 + 1;
                        }
                        None => {}
                    }
                }
                category_at += usize::from(!schema.one_hot);
            }
        }
        at += column.width(schema.one_hot);
    }
    let targets = if with_target { encode_target(schema, frame, rows, config)? } else { RowTargets::Absent };
    Ok(Rows { rows: rows.len(), numeric, num_numeric, categories, num_categories, targets })
}

fn encode_target(
    schema: &TableSchema,
    frame: &Frame,
    rows: &[usize],
    config: &TableConfig,
) -> Result<RowTargets, DataError> {
    let cells = &frame.columns[column_index(frame, schema.target.name())?];
    Ok(match &schema.target {
        TableTarget::Value { mean, std, .. } => {
            let values = rows.iter().filter_map(|&row| cells.number(row)).flatten();
            RowTargets::Values(values.map(|value| ((value - mean) / std) as f32).collect())
        }
        TableTarget::Classes { labels, .. } => {
            let classes: HashMap<&str, i32> = labels.iter().map(String::as_str).zip(0..).collect();
            let class = |&row: &usize| {
                label(cells, row, config).and_then(|label| classes.get(label.as_ref()).copied())
            };
            RowTargets::Classes(rows.iter().filter_map(class).collect())
        }
    })
}
