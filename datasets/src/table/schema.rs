//! The columns of a table as training saw them, saved as `columns.json`.

use super::columns::{
    Column, Encoding, TableTarget, mean_and_std, reads_as_numbers, reads_as_value, sort_labels,
};
use super::config::{TableConfig, TargetKind};
use super::frame::{Cells, Frame};
use super::{encode, saved};
use crate::DataError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

const FILE: &str = "columns.json";
const FORMAT: &str = "bonfire.columns";
const VERSION: u64 = 1;

/// What encodes the rows of a table: everything that evaluation and prediction need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableSchema {
    pub(super) format: String,
    pub(super) version: u64,
    /// Training rows that the statistics come from.
    pub rows: u64,
    /// Rows of every file opened for training that could not be read and were left out.
    pub skipped: u64,
    /// Whether categories are 0/1 columns (true) or indices (false).
    pub one_hot: bool,
    /// Whether numbers are shifted and scaled by their mean and standard deviation.
    pub standardise: bool,
    /// The inputs, in the order of the training file.
    pub columns: Vec<Column>,
    /// The column to predict.
    pub target: TableTarget,
}

impl TableSchema {
    /// Writes `columns.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        saved::save(folder, FILE, self)
    }

    /// Reads `columns.json`.
    ///
    /// # Errors
    /// When it is not there, of another format or version, or holds a deviation that is not positive.
    pub fn load(folder: &Path) -> Result<Self, DataError> {
        let schema: TableSchema = saved::load(folder, FILE, FORMAT, VERSION)?;
        let numeric = schema.columns.iter().filter_map(|column| match column.encoding {
            Encoding::Numeric { mean, std, .. } => Some((column.name.as_str(), mean, std)),
            Encoding::Categorical { .. } => None,
        });
        let target = match &schema.target {
            TableTarget::Value { name, mean, std } => Some((name.as_str(), *mean, *std)),
            TableTarget::Classes { .. } => None,
        };
        for (name, mean, std) in numeric.chain(target) {
            if !(mean.is_finite() && std.is_finite() && std > 0.0) {
                let path = folder.join(FILE);
                let place = format!("column `{name}`");
                let found = format!("{mean} and {std}");
                return Err(DataError::malformed(
                    path.display(),
                    place,
                    "a mean and a positive deviation",
                    found,
                ));
            }
        }
        Ok(schema)
    }

    /// The numeric columns `N` of a batch.
    pub fn num_numeric(&self) -> usize {
        self.columns.iter().map(|column| column.width(self.one_hot)).sum()
    }

    /// The sizes of the index columns of a batch, `M` of them, each with its unknown slot 0.
    pub fn category_sizes(&self) -> Vec<usize> {
        let size = |column: &Column| match &column.encoding {
            Encoding::Categorical { categories, .. } if !self.one_hot => Some(categories.len() + 1),
            _ => None,
        };
        self.columns.iter().filter_map(size).collect()
    }

    /// The names of the numeric columns of a batch, `N` of them: `age`, `age_missing`,
    /// `workclass=Private`.
    pub fn numeric_names(&self) -> Vec<String> {
        let names = |column: &Column| -> Vec<String> {
            let name = &column.name;
            match &column.encoding {
                Encoding::Numeric { indicator: true, .. } => vec![name.clone(), format!("{name}_missing")],
                Encoding::Numeric { .. } => vec![name.clone()],
                Encoding::Categorical { categories, .. } if self.one_hot => {
                    categories.iter().map(|category| format!("{name}={category}")).collect()
                }
                Encoding::Categorical { .. } => Vec::new(),
            }
        };
        self.columns.iter().flat_map(names).collect()
    }

    /// The class labels; empty when the target is a value.
    pub fn labels(&self) -> &[String] {
        match &self.target {
            TableTarget::Classes { labels, .. } => labels,
            TableTarget::Value { .. } => &[],
        }
    }

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
    ) -> Result<Self, DataError> {
        let target_index = check_names(frame, config)?;
        let mut columns = Vec::new();
        for index in 0..frame.names.len() {
            let name = frame.names[index].clone();
            if index == target_index || config.ignore.contains(&name) {
                continue;
            }
            if rows.iter().all(|&row| frame.columns[index].text(row).is_none()) {
                let place = format!("column `{name}`");
                let expected = "a value in some training row (or the column in data.ignore)";
                return Err(DataError::malformed(&frame.uri, place, expected, "none"));
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
            version: VERSION,
            rows: 0,
            skipped: 0,
            one_hot: config.one_hot,
            standardise: config.standardise,
            columns,
            target: infer_target(frame, target_index, rows, config)?,
        };
        encode::parse_numbers(&schema, frame);
        schema.skipped = encode::keep_readable(&schema, frame, rows, config, true)?;
        schema.rows = rows.len() as u64;
        schema.measure(frame, rows, config)?;
        Ok(schema)
    }

    /// Fills in the statistics over `rows`, all of them readable.
    fn measure(&mut self, frame: &Frame, rows: &[usize], config: &TableConfig) -> Result<(), DataError> {
        for column in &mut self.columns {
            let index = column_index(frame, &column.name)?;
            *column = match column.encoding {
                Encoding::Numeric { .. } => Column::numeric(frame, index, rows),
                Encoding::Categorical { .. } => {
                    Column::categorical(frame, index, rows, config.max_categories)
                }
            };
            if let Encoding::Numeric { mean, std, .. } = column.encoding {
                check_spread(frame, &column.name, mean, std)?;
            }
        }
        if let TableTarget::Value { name, mean, std } = &mut self.target {
            let cells = &frame.columns[column_index(frame, name)?];
            (*mean, *std) = mean_and_std(rows.iter().filter_map(|&row| cells.number(row)).flatten());
            check_spread(frame, name, *mean, *std)?;
        }
        Ok(())
    }
}

fn check_spread(frame: &Frame, name: &str, mean: f64, std: f64) -> Result<(), DataError> {
    match mean.is_finite() && std.is_finite() {
        true => Ok(()),
        false => {
            let found = format!("mean {mean}, standard deviation {std}");
            let place = format!("column `{name}`");
            Err(DataError::malformed(&frame.uri, place, "numbers of a finite mean and spread", found))
        }
    }
}

/// The index of a column that the schema asks for.
///
/// # Errors
/// Names the nearest columns when there is no such one.
pub(super) fn column_index(frame: &Frame, name: &str) -> Result<usize, DataError> {
    let missing = || DataError::source(&frame.uri, format!("a column `{name}`"), nearest(&frame.names, name));
    frame.position(name).ok_or_else(missing)
}

/// Checks every column that the recipe names; gives back the target's index.
fn check_names(frame: &Frame, config: &TableConfig) -> Result<usize, DataError> {
    for (key, names) in
        [("numeric", &config.numeric), ("categorical", &config.categorical), ("ignore", &config.ignore)]
    {
        for name in names {
            if frame.position(name).is_none() && !frame.ignored.contains(name) {
                return Err(no_such_column(frame, key, name));
            }
        }
    }
    frame.position(&config.target).ok_or_else(|| no_such_column(frame, "target", &config.target))
}

fn no_such_column(frame: &Frame, key: &str, name: &str) -> DataError {
    let expected = format!("a column of {} ({})", frame.uri, nearest(&frame.names, name));
    DataError::config(key, expected, format!("`{name}`"))
}

/// The columns most like `name`: "the nearest are `age`, `sex`".
pub(crate) fn nearest(columns: &[String], name: &str) -> String {
    let likeness = |other: &String| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let mut names: Vec<(f64, &String)> = columns.iter().map(|other| (likeness(other), other)).collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    let nearest: Vec<String> = names.iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    format!("the nearest are {}", nearest.join(", "))
}

/// A cell of the target as a label, without the recipe's suffix.
pub(super) fn label<'a>(
    cells: &'a Cells,
    row: usize,
    config: &TableConfig,
) -> Option<std::borrow::Cow<'a, str>> {
    let cell = cells.text(row)?;
    let stripped = config.strip_label_suffix.as_deref().and_then(|suffix| cell.strip_suffix(suffix));
    Some(match stripped {
        Some(stripped) => stripped.trim_end().to_string().into(),
        None => cell,
    })
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
        }
    }
    let mut labels: Vec<String> = distinct.into_iter().collect();
    sort_labels(&mut labels);
    if labels.len() < 2 {
        let found = labels.first().map_or("none".to_string(), |label| format!("only `{label}`"));
        let place = format!("column `{name}`");
        return Err(DataError::malformed(&frame.uri, place, "at least two classes", found));
    }
    Ok(TableTarget::Classes { name, labels })
}

/// The table in a few lines: rows, columns, and what was missing, rare or left out.
impl fmt::Display for TableSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numeric =
            self.columns.iter().filter(|column| matches!(column.encoding, Encoding::Numeric { .. })).count();
        writeln!(f, "{} training rows, {} rows skipped as corrupt", self.rows, self.skipped)?;
        writeln!(f, "inputs: {numeric} numeric, {} categorical", self.columns.len() - numeric)?;
        match &self.target {
            TableTarget::Classes { name, labels } => writeln!(f, "target: {name}, {} classes", labels.len())?,
            TableTarget::Value { name, mean, std } => {
                writeln!(f, "target: {name}, mean {mean:.6}, standard deviation {std:.6}")?;
            }
        }
        for column in self.columns.iter().filter(|column| column.missing > 0) {
            writeln!(f, "missing: {} in {} cells", column.name, column.missing)?;
        }
        for column in &self.columns {
            if let Encoding::Categorical { rare: rare @ 1.., .. } = column.encoding {
                writeln!(f, "too rare for a category of their own: {} in {rare} cells", column.name)?;
            }
        }
        Ok(())
    }
}
