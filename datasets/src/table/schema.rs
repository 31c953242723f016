//! The columns of a table as training saw them, saved as `columns.json`.

use super::config::TableConfig;
use crate::fields::{Column, Encoding, TableTarget, share_spellings};
use crate::records::{Frame, nearest, none_but};
use crate::store::Known;
use crate::{DataError, SplitBy, saved};
use serde::{Deserialize, Serialize};
use std::path::Path;

const FILE: &str = "columns.json";
const FORMAT: &str = "bonfire.columns";
const VERSION: u64 = 1;

/// The columns that encode the rows of a table: everything that evaluation and prediction need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableSchema {
    pub(super) format: String,
    pub(super) version: u64,
    /// Training rows that the statistics come from.
    pub rows: u64,
    /// Rows of every file opened for training that could not be read and were left out.
    pub skipped: u64,
    /// True where categories are 0/1 columns, false where they are indices.
    pub one_hot: bool,
    /// True where numbers are shifted and scaled by their mean and standard deviation.
    pub standardise: bool,
    /// The way that rows were held out of the training table.
    #[serde(default)]
    pub split: SplitBy,
    /// True where whole numbers are read by the names that their file gives them; false in runs of earlier
    /// versions, whose columns hold the numbers.
    #[serde(default)]
    pub class_names: bool,
    /// The inputs, in the order of the training file.
    pub columns: Vec<Column>,
    /// The column to predict.
    pub target: TableTarget,
    /// Training rows of each class; empty where the target is a value, and in schemas of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_rows: Vec<u64>,
    /// Columns that are no inputs: without a value in the training rows, or of a type that is none of a table's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// What a person should know of what was learned, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Cells that mean "no value". Schemas of earlier versions have none: the recipe's alone are meant then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
    /// True where dates that a format knows as such are days since 1970; in schemas of earlier versions they are
    /// numbers of the file's own unit.
    #[serde(default)]
    pub(crate) days: bool,
    /// The training table, where it is streamed; in a file of its own.
    #[serde(skip)]
    pub(crate) streamed: Option<Known>,
}

impl TableSchema {
    /// The schema of a table in memory of so many training rows.
    pub(super) fn new(rows: u64, columns: Vec<Column>, target: TableTarget, config: &TableConfig) -> Self {
        TableSchema {
            format: FORMAT.to_string(),
            version: VERSION,
            rows,
            skipped: 0,
            one_hot: config.one_hot,
            standardise: config.standardise,
            split: SplitBy::default(),
            class_names: config.class_names,
            columns,
            target,
            class_rows: Vec::new(),
            left_out: Vec::new(),
            notes: Vec::new(),
            missing: Some(config.marks()),
            days: true,
            streamed: None,
        }
    }

    /// Writes `columns.json`, behind `streamed.json` where the table is streamed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        if let Some(streamed) = &self.streamed {
            streamed.save(folder)?;
        }
        saved::save(folder, FILE, self)
    }

    /// Reads `columns.json`, and `streamed.json` where there is one.
    ///
    /// # Errors
    /// When it is not there, of another format or version, or holds a deviation that is not positive.
    pub fn load(folder: &Path) -> Result<Self, DataError> {
        let schema: TableSchema = saved::load(folder, FILE, FORMAT, VERSION)?;
        let numeric = schema.columns.iter().filter_map(|column| match &column.encoding {
            Encoding::Numeric(number) => Some((column.name.as_str(), number.mean, number.std)),
            Encoding::Date(date) => Some((column.name.as_str(), date.mean, date.std)),
            Encoding::Categorical(_) => None,
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
        Ok(TableSchema { streamed: Known::load(folder)?, ..schema })
    }

    /// The schema with the marks of "no value" that `config`, the recipe of its own run, has, where it has none of
    /// its own: it is of an earlier version then.
    pub fn with_marks_of(mut self, config: &TableConfig) -> Self {
        self.missing = Some(config.marks_of(&self));
        self
    }

    /// The numeric columns `N` of a batch.
    pub fn num_numeric(&self) -> usize {
        self.columns.iter().map(|column| column.width(self.one_hot)).sum()
    }

    /// The sizes of the index columns of a batch, `M` of them, each with its unknown slot 0.
    pub fn category_sizes(&self) -> Vec<usize> {
        let indexed = |column: &&Column| !self.one_hot && column.encoding.field().kept().indices > 0;
        let size = |column: &Column| column.encoding.field().categories().len() + 1;
        self.columns.iter().filter(indexed).map(size).collect()
    }

    /// The names of the numeric columns of a batch, `N` of them: `age`, `age_missing`,
    /// `workclass=Private`.
    pub fn numeric_names(&self) -> Vec<String> {
        let names = |column: &Column| -> Vec<String> {
            let field = column.encoding.field();
            let mut names = field.number_names(&column.name);
            if self.one_hot {
                let name = |category: &String| format!("{}={category}", column.name);
                names.extend(field.categories().iter().map(name));
            }
            names
        };
        self.columns.iter().flat_map(names).collect()
    }

    /// The columns whose cells only their letters tell apart, among them columns of earlier versions, to which `1`
    /// and `1.0` were two categories.
    pub(super) fn spelled(&self) -> impl Iterator<Item = &str> {
        let columns =
            self.columns.iter().map(|column| (column.name.as_str(), column.encoding.field().categories()));
        let all = columns.chain([(self.target.name(), self.labels())]);
        all.filter(|(_, labels)| share_spellings(labels)).map(|(name, _)| name)
    }

    /// The class labels; empty when the target is a value.
    pub fn labels(&self) -> &[String] {
        match &self.target {
            TableTarget::Classes { labels, .. } => labels,
            TableTarget::Value { .. } => &[],
        }
    }
}

/// Checks every column that the recipe names; gives back the target's index.
///
/// # Errors
/// Names the recipe's key, and the nearest columns, for a name that is none.
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
    for (key, names) in config.named_columns() {
        for name in names {
            if !columns.contains(name) && !ignored.contains(name) {
                return Err(no_such_column(key, name));
            }
        }
    }
    for (key, name) in [("group_column", &config.group_column), ("time_column", &config.time_column)] {
        if let Some(name) = name.as_ref().filter(|name| !columns.contains(name) && !ignored.contains(name)) {
            return Err(no_such_column(key, name));
        }
    }
    let target = columns.iter().position(|column| *column == config.target);
    target.ok_or_else(|| no_such_column("target", &config.target))
}

/// The indices of the columns that the schema asks for.
///
/// # Errors
/// Names the nearest columns when there is no such one.
pub(super) fn column_indices<'a>(
    frame: &Frame,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<usize>, DataError> {
    // Most often a name is the next one of the frame.
    let mut next = 0;
    let index = |name: &str| {
        let place = |names: &[String]| names.iter().position(|column| column == name);
        let (before, after) = frame.names.split_at(next);
        let Some(index) = place(after).map(|at| next + at).or_else(|| place(before)) else {
            let found = none_but(&frame.all_names(), name);
            return Err(DataError::source(&frame.uri, format!("a column `{name}`"), found));
        };
        next = index + 1;
        Ok(index)
    };
    names.map(index).collect()
}
