//! The schema of a table, out of its training rows: which columns are numbers, and the statistics of each.
//!
//! A table in memory is surveyed as a whole. One that is too large is surveyed block by block, in memory that
//! does not grow with it; categories are counted exactly, up to 65,536 different ones a column, and a column
//! of text with more is an error, as it is no category.

use super::columns::{Column, Encoding, TableTarget};
use super::config::{TableConfig, TargetKind};
use super::encode::{keep_readable, label, parse_numbers};
use super::schema::{TableSchema, check_names};
use super::tally::{Extent, Tally};
use crate::records::{Frame, add_names};
use crate::{DataError, OnCorrupt, bounds};
use std::collections::BTreeSet;

/// Some rows of a table, column by column.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Training rows.
    rows: u64,
    names: Vec<String>,
    tallies: Vec<Tally>,
    ignored: Vec<String>,
    /// Every label, of rows held out, too; `None` when there are too many for classes.
    labels: Option<BTreeSet<String>>,
}

/// Types and statistics of a table in memory from its training rows, and the labels from all of its rows.
/// Training rows that cannot be read leave `rows`, and columns of numbers are parsed in place.
///
/// # Errors
/// When a column that the recipe names is not there, a cell is not of its column's type, a column has no
/// value or the target only one class.
pub(super) fn infer(
    frame: &mut Frame,
    rows: &mut Vec<usize>,
    config: &TableConfig,
) -> Result<TableSchema, DataError> {
    parse_columns(frame, config);
    // A row that cannot be read is an error, or left out, by its line: after the types are known, and before they count.
    let lenient = TableConfig { on_corrupt: OnCorrupt::Skip, ..config.clone() };
    let uri = frame.uri.clone();
    let mut schema = Survey::of(frame, rows, config, Extent::Whole).schema(&uri, &lenient)?;
    parse_numbers(&schema, frame);
    let skipped = keep_readable(&schema, frame, rows, config, true)?;
    if skipped > 0 {
        let typed = with_types_of(lenient, &schema);
        schema = Survey::of(frame, rows, &typed, Extent::Whole).schema(&uri, &typed)?;
    }
    Ok(TableSchema { skipped, ..schema })
}

/// Parses the text of input columns that hold numbers alone.
fn parse_columns(frame: &mut Frame, config: &TableConfig) {
    for (name, cells) in frame.names.iter().zip(&mut frame.columns) {
        if *name != config.target && !config.categorical.contains(name) && !config.ignore.contains(name) {
            cells.parse();
        }
    }
}

/// The recipe with the types of a schema written down.
fn with_types_of(config: TableConfig, schema: &TableSchema) -> TableConfig {
    let (numeric, categorical): (Vec<_>, Vec<_>) =
        schema.columns.iter().partition(|column| matches!(column.encoding, Encoding::Numeric { .. }));
    let names = |columns: Vec<&Column>| columns.into_iter().map(|column| column.name.clone()).collect();
    let target_kind = match schema.target {
        TableTarget::Classes { .. } => TargetKind::Class,
        TableTarget::Value { .. } => TargetKind::Value,
    };
    TableConfig {
        numeric: names(numeric),
        categorical: names(categorical),
        target_kind: Some(target_kind),
        ..config
    }
}

impl Survey {
    /// Surveys the training `rows` of a frame; of the others, only their labels count.
    pub(super) fn of(frame: &Frame, rows: &[usize], config: &TableConfig, extent: Extent) -> Self {
        let mut labels = Some(BTreeSet::new());
        if let Some(target) = frame.position(&config.target) {
            for label in (0..frame.len()).filter_map(|row| label(&frame.columns[target], row, config)) {
                if labels.as_ref().is_some_and(|known| known.contains(label.as_ref())) {
                    continue;
                }
                add_label(&mut labels, label.into_owned());
                if labels.is_none() {
                    break;
                }
            }
        }
        let tally = |index: usize| match config.ignore.contains(&frame.names[index]) {
            true => Tally::absent(rows.len() as u64),
            false => Tally::of(frame, index, rows, config, extent),
        };
        let tallies = (0..frame.names.len()).map(tally).collect();
        let (names, ignored) = (frame.names.clone(), frame.ignored.clone());
        Survey { rows: rows.len() as u64, names, tallies, ignored, labels }
    }

    /// Adds the rows that come next. A column that one of the two lacks has no values there.
    ///
    /// # Errors
    /// When a column of text has too many categories.
    pub(super) fn merge(&mut self, uri: &str, mut other: Survey) -> Result<(), DataError> {
        if self.names.is_empty() {
            *self = other;
            return Ok(());
        }
        for name in &other.names {
            if !self.names.contains(name) {
                let at = self.names.partition_point(|before| before < name);
                self.names.insert(at, name.clone());
                self.tallies.insert(at, Tally::absent(self.rows));
            }
        }
        for (name, tally) in self.names.iter().zip(&mut self.tallies) {
            match other.names.iter().position(|other| other == name) {
                Some(at) => tally.merge(std::mem::take(&mut other.tallies[at])),
                None => tally.missing += other.rows,
            }
            tally.check_categories(uri, name)?;
        }
        self.rows += other.rows;
        add_names(&mut self.ignored, other.ignored);
        match other.labels {
            Some(labels) => labels.into_iter().for_each(|label| add_label(&mut self.labels, label)),
            None => self.labels = None,
        }
        Ok(())
    }

    /// Types and statistics, and the labels of the target.
    ///
    /// # Errors
    /// When a column that the recipe names is not there, a cell is not of its column's type, a column has no
    /// value, or the target only one class.
    pub(super) fn schema(mut self, uri: &str, config: &TableConfig) -> Result<TableSchema, DataError> {
        let at = check_names(uri, &self.names, &self.ignored, config)?;
        let (name, tally) = (self.names.remove(at), self.tallies.remove(at));
        let mut columns = Vec::new();
        for (name, tally) in self.names.into_iter().zip(self.tallies) {
            if !config.ignore.contains(&name) {
                columns.push(tally.column(uri, name, config)?);
            }
        }
        if columns.is_empty() {
            return Err(DataError::source(uri, "at least one input column", "the target alone"));
        }
        let target = tally.target(uri, name, self.labels, config)?;
        Ok(TableSchema::new(self.rows, columns, target, config))
    }
}

fn add_label(labels: &mut Option<BTreeSet<String>>, label: String) {
    if let Some(known) = labels {
        known.insert(label);
        if known.len() > bounds::MOST_CLASSES {
            *labels = None;
        }
    }
}
