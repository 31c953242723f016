//! The schema of a training table: which columns are numbers, and the statistics of each.

use super::columns::{
    Column, Encoding, TableTarget, mean_and_std, reads_as_numbers, reads_as_value, sort_labels,
};
use super::config::{TableConfig, TargetKind};
use super::encode::{keep_readable, label, parse_numbers};
use super::frame::Frame;
use super::schema::{FORMAT, TableSchema, VERSION, column_index, nearest};
use crate::{DataError, bounds};
use std::collections::BTreeSet;

/// Types and statistics from the training rows, and the labels from the whole training file.
/// Training rows that cannot be read leave `rows`, and columns of numbers are parsed in place.
///
/// # Errors
/// When a column that the recipe names is not there, a cell is not what its column holds, a
/// column has no value or the target only one class.
pub(super) fn infer(
    frame: &mut Frame,
    rows: &mut Vec<usize>,
    config: &TableConfig,
) -> Result<TableSchema, DataError> {
    let target_index = check_names(&frame.uri, &frame.names, &frame.ignored, config)?;
    let mut columns = Vec::new();
    for index in 0..frame.names.len() {
        let name = frame.names[index].clone();
        if index == target_index || config.ignore.contains(&name) {
            continue;
        }
        if rows.iter().all(|&row| frame.columns[index].text(row).is_none()) {
            return Err(no_value(&frame.uri, &name));
        }
        let numeric = config.numeric.contains(&name)
            || !config.categorical.contains(&name) && reads_as_numbers(&frame.columns[index], rows);
        // The statistics follow when the rows that cannot be read are known.
        let encoding = match numeric {
            true => Encoding::Numeric { mean: 0.0, std: 1.0, indicator: false },
            false => Encoding::Categorical { categories: Vec::new(), rare: 0 },
        };
        columns.push(Column { name, missing: 0, encoding });
    }
    if columns.is_empty() {
        return Err(DataError::source(&frame.uri, "at least one input column", "the target alone"));
    }
    let mut schema = TableSchema {
        format: FORMAT.to_string(),
        streamed: None,
        version: VERSION,
        rows: 0,
        skipped: 0,
        one_hot: config.one_hot,
        standardise: config.standardise,
        columns,
        target: infer_target(frame, target_index, rows, config)?,
    };
    parse_numbers(&schema, frame);
    schema.skipped = keep_readable(&schema, frame, rows, config, true)?;
    schema.rows = rows.len() as u64;
    measure(&mut schema, frame, rows, config)?;
    Ok(schema)
}

/// Fills in the statistics over `rows`, all of them readable.
fn measure(
    schema: &mut TableSchema,
    frame: &Frame,
    rows: &[usize],
    config: &TableConfig,
) -> Result<(), DataError> {
    for column in &mut schema.columns {
        let index = column_index(frame, &column.name)?;
        *column = match column.encoding {
            Encoding::Numeric { .. } => Column::numeric(frame, index, rows),
            Encoding::Categorical { .. } => Column::categorical(frame, index, rows, config.max_categories),
        };
        if let Encoding::Numeric { mean, std, .. } = column.encoding {
            check_spread(&frame.uri, &column.name, mean, std)?;
        }
    }
    if let TableTarget::Value { name, mean, std } = &mut schema.target {
        let cells = &frame.columns[column_index(frame, name)?];
        (*mean, *std) = mean_and_std(rows.iter().filter_map(|&row| cells.number(row)).flatten());
        check_spread(&frame.uri, name, *mean, *std)?;
    }
    Ok(())
}

/// Checks every column that the recipe names; gives back the target's index.
pub(super) fn check_names(
    uri: &str,
    columns: &[String],
    ignored: &[String],
    config: &TableConfig,
) -> Result<usize, DataError> {
    let no_such_column = |key: &str, name: &String| {
        let expected = format!("a column of {uri} ({})", nearest(columns, name));
        DataError::config(key, expected, format!("`{name}`"))
    };
    for (key, names) in
        [("numeric", &config.numeric), ("categorical", &config.categorical), ("ignore", &config.ignore)]
    {
        for name in names {
            if !columns.contains(name) && !ignored.contains(name) {
                return Err(no_such_column(key, name));
            }
        }
    }
    let target = columns.iter().position(|column| *column == config.target);
    target.ok_or_else(|| no_such_column("target", &config.target))
}

/// The error of a column without a value.
pub(super) fn no_value(uri: &str, name: &str) -> DataError {
    let expected = "a value in some training row (or the column in data.ignore)";
    DataError::malformed(uri, format!("column `{name}`"), expected, "none")
}

fn infer_target(
    frame: &Frame,
    index: usize,
    rows: &[usize],
    config: &TableConfig,
) -> Result<TableTarget, DataError> {
    let cells = &frame.columns[index];
    let name = frame.names[index].clone();
    let kind = config.target_kind.unwrap_or_else(|| match reads_as_value(cells, rows) {
        true => TargetKind::Value,
        false => TargetKind::Class,
    });
    if kind == TargetKind::Value {
        return Ok(TableTarget::Value { name, mean: 0.0, std: 1.0 });
    }
    let mut distinct: BTreeSet<String> = BTreeSet::new();
    for label in (0..frame.len()).filter_map(|row| label(cells, row, config)) {
        if !distinct.contains(label.as_ref()) {
            distinct.insert(label.into_owned());
            bounds::classes(&frame.uri, &name, distinct.len())?;
        }
    }
    classes(&frame.uri, name, distinct)
}

/// A target of these labels.
///
/// # Errors
/// When there are less than two.
pub(super) fn classes(uri: &str, name: String, distinct: BTreeSet<String>) -> Result<TableTarget, DataError> {
    let mut labels: Vec<String> = distinct.into_iter().collect();
    sort_labels(&mut labels);
    if labels.len() < 2 {
        let found = labels.first().map_or("none".to_string(), |label| format!("only `{label}`"));
        let place = format!("column `{name}`");
        return Err(DataError::malformed(uri, place, "at least two classes", found));
    }
    Ok(TableTarget::Classes { name, labels })
}

/// Refuses statistics that are not finite.
///
/// # Errors
/// Names the column and what they are.
pub(super) fn check_spread(uri: &str, name: &str, mean: f64, std: f64) -> Result<(), DataError> {
    match mean.is_finite() && std.is_finite() {
        true => Ok(()),
        false => {
            let found = format!("mean {mean}, standard deviation {std}");
            let place = format!("column `{name}`");
            Err(DataError::malformed(uri, place, "numbers of a finite mean and spread", found))
        }
    }
}
