//! The keys of `[data]` for tables.

use super::schema::TableSchema;
use crate::fields::Wishes;
use crate::records::{Dialect, Format, Given, ReadOptions, Use, is_missing, one_of, split};
use crate::store::WINDOW_BYTES;
use crate::{DataError, OnCorrupt, PREFETCH_BYTES, PipelineConfig, ShardOrder, Shuffle, bounds};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashSet;

fn table_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Format>, D::Error> {
    one_of(deserializer, Format::has_columns)
}

/// The content of the target column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// One of a few labels.
    Class,
    /// A number.
    Value,
}

/// A table, its columns and its splits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableConfig {
    /// Training rows: a file, a folder, a glob or braces of files of one format, or `builtin:NAME`.
    pub train: String,
    /// Held-out rows. Without it, `valid_fraction` of the training file is held out.
    pub valid: Option<String>,
    /// Test rows. Without it, `test_fraction` of the training file is held out.
    pub test: Option<String>,
    /// Share of the training file's rows, drawn at random with the seed, that validate; 0 = none.
    pub valid_fraction: f64,
    /// Share of the training file's rows, drawn at random with the seed, that test; 0 = none.
    pub test_fraction: f64,
    /// The fate of a row that cannot be read: a wrong number of cells, a cell that is no number in a numeric
    /// column, a label outside the set. Skipped rows are left out when the file is opened, and counted;
    /// streamed ones when they are met.
    pub on_corrupt: OnCorrupt,
    /// Threads that gather rows; 0 gathers on the trainer's own. The rows lie encoded in memory, so
    /// that more than one seldom helps.
    pub workers: usize,
    /// True to read rows by blocks while training goes on, false to hold all in memory. When
    /// not given, files of more than 256 MiB together are streamed.
    pub stream: Option<bool>,
    /// The shuffling of streamed rows: `window` (the default) or `full`, which reads a whole block for
    /// each row that is not in one at hand. Rows in memory are always shuffled in full.
    pub order: Option<ShardOrder>,
    /// With the order `window`: bytes of the blocks whose rows are shuffled together. About twice as much
    /// is held.
    pub window_bytes: u64,
    /// With the order `window`: ranks that read shards of their own, and a window each; 1 by default. Ranks
    /// of this number, or of a divisor of it, read each shard once together; the order is the same whatever
    /// their number.
    pub canonical_ranks: u64,
    /// `csv`, `jsonl`, `json`, `parquet`, `ipc`, `avro`, `libsvm` or `excel`; when not given, by the file's
    /// extension or, where that says nothing, by its first bytes. The columns of LIBSVM are `label`, `qid` and
    /// the indices of the features; a feature that a row lacks is 0.
    #[serde(deserialize_with = "table_format")]
    pub format: Option<Format>,
    /// The sheet of a workbook (Excel, OpenDocument); the first that has cells when not given.
    pub sheet: Option<String>,
    /// True where a CSV's first row names the columns; when not given, it does unless `column_names`
    /// are.
    pub has_header: Option<bool>,
    /// The columns' names, for CSV files without a header (or in place of it). A CSV without both
    /// has columns `0`, `1`, `2` …
    pub column_names: Option<Vec<String>>,
    /// One ASCII character between the cells of a CSV; spaces around cells never count, so `", "`
    /// is `","`. When not given, a comma, or a tab in `.tsv` files.
    pub separator: Option<String>,
    /// Cells that mean "no value", besides null and not-a-number.
    pub missing: Vec<String>,
    /// Lines of a CSV that begin with this ASCII character are left out.
    pub comment: Option<char>,
    /// The column to predict.
    pub target: String,
    /// `class` or `value`; when not given, a column of numbers is a value if one of them is not
    /// whole or more than 20 differ, and everything else is a class. Spellings of one value (`1` and `1.0`,
    /// `True` and `true`) are one class.
    pub target_kind: Option<TargetKind>,
    /// True to read the whole numbers of a column as the names that a Parquet file gives them (Hugging Face's
    /// `ClassLabel`), and the number -1 as a missing value; false to read them as they stand.
    pub class_names: bool,
    /// Taken off the end of class labels: `"."` for the test file of Adult.
    pub strip_label_suffix: Option<String>,
    /// Columns that hold numbers, whatever their cells look like.
    pub numeric: Vec<String>,
    /// Columns that hold categories, even where their cells look like numbers; each spelling is one, so that
    /// `1.1` and `1.10` are two. In all other columns spellings of one value are one category: `1` and `1.0`,
    /// `True` and `true`.
    pub categorical: Vec<String>,
    /// Columns to leave out.
    pub ignore: Vec<String>,
    /// Categories kept a column, the most frequent first; the others share the unknown slot.
    pub max_categories: usize,
    /// True: a 0/1 column a category, all zero for an unknown one, as linear models need. False: an
    /// index a column for embeddings, 0 for an unknown category.
    pub one_hot: bool,
    /// Shift and scale numeric inputs to mean 0 and standard deviation 1 over the training rows. A
    /// numeric target is standardised in any case.
    pub standardise: bool,
}

impl Default for TableConfig {
    fn default() -> Self {
        TableConfig {
            train: String::new(),
            valid: None,
            test: None,
            valid_fraction: 0.0,
            test_fraction: 0.0,
            on_corrupt: OnCorrupt::Stop,
            workers: 1,
            stream: None,
            order: None,
            window_bytes: WINDOW_BYTES,
            canonical_ranks: 1,
            format: None,
            sheet: None,
            has_header: None,
            column_names: None,
            separator: None,
            missing: ["", "?", "NA", "NaN", "null"].map(String::from).to_vec(),
            comment: None,
            target: String::new(),
            target_kind: None,
            class_names: true,
            strip_label_suffix: None,
            numeric: Vec::new(),
            categorical: Vec::new(),
            ignore: Vec::new(),
            max_categories: 128,
            one_hot: true,
            standardise: true,
        }
    }
}

impl TableConfig {
    /// Refuses what no table can have.
    ///
    /// # Errors
    /// Names the key, what it may be, and what it is.
    pub fn check(&self) -> Result<(), DataError> {
        if self.train.is_empty() {
            return Err(DataError::config("train", "the URI of a table", "nothing"));
        }
        if self.target.is_empty() {
            return Err(DataError::config("target", "the name of the column to predict", "nothing"));
        }
        if self.max_categories == 0 {
            return Err(DataError::config("max_categories", "at least 1", 0));
        }
        for (key, columns) in
            [("numeric", &self.numeric), ("categorical", &self.categorical), ("ignore", &self.ignore)]
        {
            if columns.contains(&self.target) {
                let found = format!("the target `{}`", self.target);
                return Err(DataError::config(key, "input columns", found));
            }
        }
        if let Some(both) = self.numeric.iter().find(|name| self.categorical.contains(name)) {
            let found = format!("`{both}`, which data.categorical names too");
            return Err(DataError::config("numeric", "columns of one type", found));
        }
        self.check_sizes()?;
        split::check(self.valid_fraction, self.test_fraction)
    }

    /// Refuses sizes that no machine could hold, whatever the set is opened for.
    pub(super) fn check_sizes(&self) -> Result<(), DataError> {
        bounds::canonical_ranks(self.canonical_ranks)?;
        bounds::workers(self.workers)
    }

    /// The format of a file: the recipe's, or by the file's ending or its first bytes; CSV for text that is
    /// nothing else.
    ///
    /// # Errors
    /// When the file cannot be read, or is known to be of a format that holds no table.
    pub(crate) fn format(&self, uri: &str) -> Result<Format, DataError> {
        match self.format {
            Some(format) => Ok(format),
            None => Format::told(uri, Format::has_columns, Format::Csv),
        }
    }

    /// The cut of a file's lines, where its format leaves that to the recipe.
    ///
    /// # Errors
    /// When the separator or the comment mark is not one ASCII character.
    pub(super) fn dialect(&self, uri: &str, format: Format) -> Result<Dialect, DataError> {
        if !format.has_dialect() {
            return Ok(Dialect::default());
        }
        let header = self.has_header.unwrap_or(self.column_names.is_none());
        Dialect::new(uri, self.separator.as_deref(), self.comment, header)
    }

    /// The reading of a file: cells as the recipe spells them, of the columns that have a use. Files without a
    /// header may lack the column `optional`.
    ///
    /// # Errors
    /// As [`dialect`](TableConfig::dialect).
    pub(crate) fn options<'a>(
        &'a self,
        uri: &str,
        format: Format,
        column: &'a dyn Fn(&str) -> Use,
        optional: Option<&'a str>,
    ) -> Result<ReadOptions<'a>, DataError> {
        let given = Given { names: self.column_names.as_deref(), optional };
        let (dialect, missing) = (self.dialect(uri, format)?, Some(self.missing.as_slice()));
        let sheet = self.sheet.as_deref();
        let class_names = self.class_names;
        Ok(ReadOptions { dialect, given, sheet, missing, class_names, ..ReadOptions::plain(column) })
    }

    /// The recipe for a run that has a schema: columns are read as they were when the run began.
    pub(super) fn as_trained(&self, schema: &TableSchema) -> Self {
        TableConfig { class_names: schema.class_names, ..self.clone() }
    }

    /// The use of a column where the schema is not known yet.
    pub(crate) fn column(&self, name: &str) -> Use {
        if self.ignore.iter().any(|ignored| ignored == name) { Use::Nothing } else { Use::Cell }
    }

    /// The use of a column where the schema has the columns `names`: a row that could not be learned from
    /// cannot be encoded.
    pub(super) fn column_of(&self, names: &HashSet<String>, name: &str) -> Use {
        match self.column(name) {
            Use::Cell if !names.contains(name) => Use::Check,
            of_recipe => of_recipe,
        }
    }

    /// The recipe's wishes about a column.
    pub(super) fn wishes(&self, name: &str) -> Wishes {
        let named = |names: &[String]| names.iter().any(|named| named == name);
        let numeric = match self.target_kind {
            Some(kind) if name == self.target => Some(kind == TargetKind::Value),
            _ if named(&self.numeric) => Some(true),
            _ => named(&self.categorical).then_some(false),
        };
        Wishes { numeric, max_categories: self.max_categories, on_corrupt: self.on_corrupt }
    }

    /// True where a cell's text means "no value".
    pub(super) fn is_missing(&self, cell: &str) -> bool {
        is_missing(cell, &self.missing)
    }

    /// The shares to hold out, for validation and test: none where a file is given.
    pub(super) fn fractions(&self) -> (f64, f64) {
        let fraction = |uri: &Option<String>, fraction| if uri.is_some() { 0.0 } else { fraction };
        (fraction(&self.valid, self.valid_fraction), fraction(&self.test, self.test_fraction))
    }

    /// A pipeline that keeps the order of its set.
    pub(super) fn in_order(&self, seed: u64) -> PipelineConfig {
        let (shuffle, prefetch_bytes) = (Shuffle::Never, PREFETCH_BYTES);
        PipelineConfig {
            shuffle,
            seed,
            on_corrupt: self.on_corrupt,
            repeats: 1,
            lanes: self.canonical_ranks,
            workers: self.workers,
            prefetch_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_names_the_formats_of_tables_alone() {
        let format = |name: &str| {
            serde_json::from_value::<TableConfig>(serde_json::json!({ "format": name }))
                .map(|config| config.format)
                .map_err(|error| error.to_string())
        };
        assert_eq!(format("jsonl"), Ok(Some(Format::Jsonl)));
        assert_eq!(
            format("txt").unwrap_err(),
            "unknown variant `txt`, expected one of `csv`, `jsonl`, `json`, `parquet`, `ipc`, `avro`, `libsvm`, `excel`"
        );
        assert_eq!(TableConfig::default().format("x.pq").unwrap(), Format::Parquet);
    }

    #[test]
    fn the_default_serialises_every_key() {
        let json = serde_json::to_value(TableConfig::default()).unwrap();
        assert!(json["separator"].is_null() && json["target_kind"].is_null());
        assert_eq!(serde_json::from_value::<TableConfig>(json).unwrap(), TableConfig::default());
    }

    #[test]
    fn contradictions_are_errors() {
        let good = TableConfig { train: "t".into(), target: "y".into(), ..Default::default() };
        assert!(good.check().is_ok());
        let twice = TableConfig { numeric: vec!["a".into()], categorical: vec!["a".into()], ..good.clone() };
        assert!(twice.check().unwrap_err().to_string().contains("`a`"));
        let ignored = TableConfig { ignore: vec!["y".into()], ..good.clone() };
        assert!(ignored.check().unwrap_err().to_string().contains("data.ignore"));
        let busy = TableConfig { workers: 257, ..good.clone() };
        assert_eq!(busy.check().unwrap_err().to_string(), "data.workers: expected 0 to 256, found 257");
        let much = TableConfig { valid_fraction: 0.6, test_fraction: 0.4, ..good };
        assert!(much.check().is_err());
    }
}
