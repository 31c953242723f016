//! The keys of `[data]` for tables.

use super::packing::Packing;
use super::schema::TableSchema;
use crate::fields::{DatePart, Kind, OF_DIGITS, TableTarget, Wishes};
use crate::records::{
    AUTO, Decoding, Dialect, DialectKeys, EncodingErrors, Format, Given, Quoting, ReadOptions, Use, one_of,
    split,
};
use crate::store::WINDOW_BYTES;
use crate::{DataError, OnCorrupt, PREFETCH_BYTES, PipelineConfig, ShardOrder, Shuffle, bounds};
use chrono::format::{Item, StrftimeItems};
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
    /// Share of the training file's rows that validate, drawn with the seed (or by `time_column`); 0 = none.
    pub valid_fraction: f64,
    /// Share of the training file's rows that test, drawn with the seed (or by `time_column`); 0 = none.
    pub test_fraction: f64,
    /// True to hold out its share of each class, false to draw from all rows alike. When not given, true where
    /// the target is a class, neither `group_column` nor `time_column` is given, and the table is in memory: of
    /// a streamed one whole blocks of rows are held out.
    pub stratify: Option<bool>,
    /// Rows of one value in this column (a patient, a customer) are held out together or not at all. It is no
    /// input. Not for streamed tables.
    pub group_column: Option<String>,
    /// The last rows by this column of numbers or dates test, and those before them validate. Dates are read as
    /// those of an input: see `date_format`. It is an input unless `ignore` names it. Not for streamed tables.
    pub time_column: Option<String>,
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
    /// is `","`. When not given, or `auto`, it is told by the first lines of each file: a comma, `;`, a tab or
    /// `|`.
    pub separator: Option<String>,
    /// The meaning of quotes in a CSV: `minimal` (a quote opens a cell, and one that cannot be meant so is
    /// refused), `backslash` (as `minimal`, and one before a quote keeps it from closing), `lenient` (none is
    /// doubted) or `none` (a quote is a character like any other).
    pub quoting: Quoting,
    /// The encoding of CSV and JSON lines: a name such as `latin-1` (which is `windows-1252`), `utf-16` or
    /// `shift_jis`; `auto` is UTF-8, and UTF-16 where its mark says so.
    pub encoding: String,
    /// The fate of bytes that are no text in the encoding: `stop` (their row is corrupt, see `on_corrupt`),
    /// `replace` (by U+FFFD) or `skip` (their row is left out and counted).
    pub encoding_errors: EncodingErrors,
    /// Cells that mean "no value", besides null and the marks that every table has: an empty cell, `?`, `NA`,
    /// `N/A`, `#N/A`, `NaN`, `NULL`, `None`, `<NA>` and the others of pandas, in the same case.
    pub missing: Vec<String>,
    /// False to take the marks that every table has for values, but for those that `missing` names: `NA` is the
    /// code of Namibia, `None` an answer.
    pub keep_default_missing: bool,
    /// The character between groups of digits: `","` for `1,234`, `"."` for `1.234,5`, `" "` for any space. When
    /// not given, numbers with one are refused.
    pub thousands: Option<char>,
    /// The character before the fraction of a number: `"."` or `","`.
    pub decimal: char,
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
    /// Columns that hold dates or times, whatever their cells look like: `20210102`, too.
    pub dates: Vec<String>,
    /// The format of dates, as strftime has it: `"%d/%m/%Y %H:%M"`, `"%Y%m%d"`, `"%s"` for seconds since 1970.
    /// Columns whose cells read so are dates; those of digits alone have to be named in `dates`, too. When not
    /// given, ISO 8601 and the usual orders are read (`2021-04` and `Apr 2021` as the first of the month, `2021-W05`
    /// as its Monday), and those that may be day and month as well as month and day are refused. `NaT` has no
    /// value in a column of dates.
    pub date_format: Option<String>,
    /// The numbers that a date becomes: `days` since 1970 in UTC with the time as a fraction, `year`, `month`,
    /// `day`, `weekday` (Monday is 0), `hour`, and `sine_cosine`: six numbers for the time of the year, of the week
    /// and of the day.
    pub date_parts: Vec<DatePart>,
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
            stratify: None,
            group_column: None,
            time_column: None,
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
            quoting: Quoting::Minimal,
            encoding: AUTO.to_string(),
            encoding_errors: EncodingErrors::Stop,
            missing: Vec::new(),
            keep_default_missing: true,
            thousands: None,
            decimal: '.',
            comment: None,
            target: String::new(),
            target_kind: None,
            class_names: true,
            strip_label_suffix: None,
            numeric: Vec::new(),
            categorical: Vec::new(),
            dates: Vec::new(),
            date_format: None,
            date_parts: vec![DatePart::Days],
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
        for (key, columns) in self.named_columns() {
            if columns.contains(&self.target) {
                let found = format!("the target `{}`", self.target);
                return Err(DataError::config(key, "input columns", found));
            }
        }
        let types = [("numeric", &self.numeric), ("dates", &self.dates), ("categorical", &self.categorical)];
        for (at, (key, columns)) in types.iter().enumerate() {
            for (other, others) in &types[at + 1..] {
                if let Some(both) = columns.iter().find(|name| others.contains(name)) {
                    let found = format!("`{both}`, which data.{other} names too");
                    return Err(DataError::config(key, "columns of one type", found));
                }
            }
        }
        for (key, column) in [("group_column", &self.group_column), ("time_column", &self.time_column)] {
            if column.as_ref() == Some(&self.target) {
                let found = format!("the target `{}`", self.target);
                return Err(DataError::config(key, "another column than the target", found));
            }
        }
        for (key, columns) in types {
            if let Some(group) = self.group_column.as_ref().filter(|group| columns.contains(group)) {
                let found = format!("`{group}`, which data.group_column names");
                return Err(DataError::config(key, "input columns", found));
            }
        }
        self.decoding()?;
        self.check_spelling()?;
        self.check_sizes()?;
        split::check(self.valid_fraction, self.test_fraction)?;
        self.held_out().check()
    }

    /// The recipe's wishes about what is held out.
    pub(super) fn held_out(&self) -> split::Wishes<'_> {
        split::Wishes {
            stratify: self.stratify,
            group_column: self.group_column.as_deref(),
            time_column: self.time_column.as_deref(),
            fractions: self.fractions(),
        }
    }

    /// Refuses numbers and dates that no cell can be read as.
    fn check_spelling(&self) -> Result<(), DataError> {
        if !['.', ','].contains(&self.decimal) {
            return Err(DataError::config("decimal", "\".\" or \",\"", format!("{:?}", self.decimal)));
        }
        let no_mark = |mark: &char| mark.is_alphanumeric() || "+-\"".contains(*mark) || *mark == self.decimal;
        if let Some(mark) = self.thousands.filter(no_mark) {
            let expected = "a mark between digits, and another one than data.decimal";
            return Err(DataError::config("thousands", expected, format!("{mark:?}")));
        }
        let format = self.date_format.as_deref().unwrap_or_default();
        if StrftimeItems::new(format).any(|item| matches!(item, Item::Error)) {
            let expected = "a format of strftime, as \"%Y-%m-%d %H:%M\"";
            return Err(DataError::config("date_format", expected, format!("{format:?}")));
        }
        match self.date_parts.is_empty() {
            true => Err(DataError::config("date_parts", "at least one part, as \"days\"", "none")),
            false => Ok(()),
        }
    }

    /// The keys that name input columns, and the columns that they name.
    pub(super) fn named_columns(&self) -> [(&'static str, &Vec<String>); 4] {
        [
            ("numeric", &self.numeric),
            ("categorical", &self.categorical),
            ("dates", &self.dates),
            ("ignore", &self.ignore),
        ]
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

    /// The way from a file's bytes to text.
    ///
    /// # Errors
    /// When no encoding has the name.
    pub(super) fn decoding(&self) -> Result<Decoding, DataError> {
        Decoding::new(&self.encoding, self.encoding_errors)
    }

    /// The cut of a file's lines, where its format leaves that to the recipe.
    ///
    /// # Errors
    /// When the separator or the comment mark is not one ASCII character, and when the first lines of the file
    /// do not tell the separator.
    pub(crate) fn dialect(&self, uri: &str, format: Format) -> Result<Dialect, DataError> {
        if !format.has_dialect() {
            return Ok(Dialect::default());
        }
        let keys = DialectKeys {
            separator: self.separator.as_deref(),
            comment: self.comment,
            header: self.has_header.unwrap_or(self.column_names.is_none()),
            quoting: self.quoting,
            names: self.column_names.as_ref().map(Vec::len),
        };
        Dialect::new(uri, &keys, self.decoding()?)
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
        packing: &'a Packing,
        column: &'a dyn Fn(&str) -> Use,
        optional: Option<&'a str>,
    ) -> Result<ReadOptions<'a>, DataError> {
        self.options_as(self.dialect(uri, format)?, packing, column, optional)
    }

    /// As [`options`](TableConfig::options), of a file whose dialect is known.
    ///
    /// # Errors
    /// When no encoding has the name.
    pub(super) fn options_as<'a>(
        &'a self,
        dialect: Dialect,
        packing: &'a Packing,
        column: &'a dyn Fn(&str) -> Use,
        optional: Option<&'a str>,
    ) -> Result<ReadOptions<'a>, DataError> {
        let has_header = self.has_header.is_some();
        let given = Given { names: self.column_names.as_deref(), optional, has_header };
        let (decoding, missing) = (self.decoding()?, Some(&packing.missing));
        let (sheet, class_names, dates) = (self.sheet.as_deref(), self.class_names, packing.dates);
        Ok(ReadOptions {
            dialect,
            decoding,
            given,
            sheet,
            missing,
            class_names,
            dates,
            ..ReadOptions::plain(column)
        })
    }

    /// The recipe for a run that has a schema: columns are read as they were when the run began.
    pub(super) fn as_trained(&self, schema: &TableSchema) -> Self {
        TableConfig { class_names: schema.class_names, ..self.clone() }
    }

    /// The use of a column where the schema is not known yet. One that the recipe names has to be there.
    pub(crate) fn column(&self, name: &str) -> Use {
        let divides = self.held_out().column().is_some_and(|(_, column)| column == name);
        let is_named = self.named_columns().iter().any(|(_, names)| names.iter().any(|named| named == name));
        match self.is_ignored(name) && !divides {
            true => Use::Nothing,
            false if is_named || divides || name == self.target => Use::Cell,
            false => Use::Offer,
        }
    }

    /// True for a column that is left out.
    fn is_ignored(&self, name: &str) -> bool {
        self.ignore.iter().any(|ignored| ignored == name)
    }

    /// True for a column that may be an input, as it is neither left out nor the name of a group.
    pub(super) fn may_be_input(&self, name: &str) -> bool {
        !self.is_ignored(name) && self.group_column.as_deref() != Some(name)
    }

    /// The use of a column where the schema has the columns `names`: a row that could not be learned from
    /// cannot be encoded.
    pub(super) fn column_of(&self, names: &HashSet<String>, name: &str) -> Use {
        match names.contains(name) {
            _ if self.is_ignored(name) => Use::Nothing,
            true => Use::Cell,
            false => Use::Check,
        }
    }

    /// The recipe's wishes about a column; of a run that began with `known` columns, they are what they were.
    pub(super) fn wishes<'a>(&'a self, name: &str, known: Option<&'a TableSchema>) -> Wishes<'a> {
        let named = |names: &[String]| names.iter().any(|named| named == name);
        let column = known.and_then(|known| known.columns.iter().find(|column| column.name == name));
        let kind = match (self.target_kind, known) {
            _ if column.is_some() => column.map(|column| Kind::As(&column.encoding)),
            (_, Some(known)) if name == self.target => Some(match known.target {
                TableTarget::Value { .. } => Kind::Numbers,
                TableTarget::Classes { .. } => Kind::Categories,
            }),
            (Some(TargetKind::Value), _) if name == self.target => Some(Kind::Numbers),
            (Some(TargetKind::Class), _) if name == self.target => Some(Kind::Categories),
            _ if named(&self.numeric) => Some(Kind::Numbers),
            _ if named(&self.dates) => Some(Kind::Dates),
            _ => named(&self.categorical).then_some(Kind::Categories),
        };
        Wishes {
            kind,
            max_categories: self.max_categories,
            on_corrupt: self.on_corrupt,
            date_parts: &self.date_parts,
            date_format: self.date_format_of(name),
            spelled: true,
        }
    }

    /// The format of dates in a column: the recipe's or, where it calls the column dates and has none, that of days
    /// in digits alone, which are numbers otherwise.
    pub(super) fn date_format_of(&self, name: &str) -> Option<&str> {
        let is_named = self.dates.iter().any(|named| named == name);
        self.date_format.as_deref().or(is_named.then_some(OF_DIGITS))
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
        for (key, config) in [
            ("decimal", TableConfig { decimal: ';', ..good.clone() }),
            ("thousands", TableConfig { thousands: Some('.'), ..good.clone() }),
            ("thousands", TableConfig { thousands: Some('0'), ..good.clone() }),
            ("date_format", TableConfig { date_format: Some("%Q".into()), ..good.clone() }),
            ("date_parts", TableConfig { date_parts: Vec::new(), ..good.clone() }),
            ("dates", TableConfig { dates: vec!["y".into()], ..good.clone() }),
            ("dates", TableConfig { dates: vec!["a".into()], categorical: vec!["a".into()], ..good.clone() }),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("data.{key}: expected")), "{error}");
        }
        let twice =
            TableConfig { group_column: Some("g".into()), time_column: Some("t".into()), ..good.clone() };
        assert!(twice.check().unwrap_err().to_string().starts_with("data.group_column"));
        let target = TableConfig { time_column: Some("y".into()), ..good.clone() };
        let error = target.check().unwrap_err().to_string();
        assert_eq!(error, "data.time_column: expected another column than the target, found the target `y`");
        let input =
            TableConfig { group_column: Some("g".into()), categorical: vec!["g".into()], ..good.clone() };
        assert!(input.check().unwrap_err().to_string().contains("`g`, which data.group_column names"));
        let much = TableConfig { valid_fraction: 0.6, test_fraction: 0.4, ..good };
        assert!(much.check().is_err());
    }
}
