//! The cells of a table as its files spell them, column by column, before any type is known.

use super::config::{TableConfig, TableFormat, extension};
use super::csv::{Csv, Dialect, for_each_row};
use super::{jsonl, parquet};
use crate::{DataError, OnCorrupt, source};
use std::ops::ControlFlow;

/// The cells of one column. Parquet knows its numbers; CSV and JSONL hold text.
#[derive(Debug)]
pub(super) enum Cells {
    /// Not-a-number where there is no value.
    Numbers(Vec<f64>),
    /// Text, one string after the other.
    Text(TextCells),
}

/// Strings in one allocation, each with a mark for "no value".
#[derive(Debug, Default)]
pub(super) struct TextCells {
    text: String,
    /// Where each cell's text ends in `text`, and whether the cell has a value.
    ends: Vec<(usize, bool)>,
}

impl TextCells {
    /// Appends a cell; `None` has no value.
    pub(super) fn push(&mut self, cell: Option<&str>) {
        self.text.push_str(cell.unwrap_or_default());
        self.ends.push((self.text.len(), cell.is_some()));
    }

    fn get(&self, row: usize) -> Option<&str> {
        let (end, present) = self.ends[row];
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        present.then(|| &self.text[start..end])
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Cells::Numbers(numbers) => numbers.len(),
            Cells::Text(text) => text.ends.len(),
        }
    }

    /// The cell as text; a number in its shortest form. `None` without a value.
    pub(super) fn text(&self, row: usize) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(numbers[row].to_string().into()),
            Cells::Text(text) => text.get(row).map(Into::into),
        }
    }

    /// The cell as a number: `None` without a value, the text itself when it is no number.
    pub(super) fn number(&self, row: usize) -> Option<Result<f64, &str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(Ok(numbers[row])),
            Cells::Text(text) => text.get(row).map(|cell| cell.parse().map_err(|_| cell)),
        }
    }

    /// The whole column as numbers, where every cell with a value is one.
    pub(super) fn parsed(&self) -> Option<Vec<f64>> {
        let number = |row| self.number(row).unwrap_or(Ok(f64::NAN)).ok();
        (0..self.len()).map(number).collect()
    }

    /// Adds the rows of `other`; false when one holds numbers and the other text.
    fn append(&mut self, other: Cells) -> bool {
        match (self, other) {
            (Cells::Numbers(numbers), Cells::Numbers(more)) => numbers.extend(more),
            (Cells::Text(cells), Cells::Text(more)) => {
                let offset = cells.text.len();
                cells.text.push_str(&more.text);
                cells.ends.extend(more.ends.into_iter().map(|(end, present)| (end + offset, present)));
            }
            _ => return false,
        }
        true
    }
}

/// A table in memory.
#[derive(Debug)]
pub(super) struct Frame {
    /// The URI it was opened by.
    pub uri: String,
    /// The columns' names, in the files' order.
    pub names: Vec<String>,
    /// The columns, as long as one another.
    pub columns: Vec<Cells>,
    /// The line of each row in its file (the row of a Parquet file), counted from 1.
    pub lines: Vec<u64>,
    /// Each file with the index of its first row.
    pub files: Vec<(String, usize)>,
    /// Columns that the files have and that were not read.
    pub ignored: Vec<String>,
    /// Rows that could not be read and were left out.
    pub skipped: u64,
    /// What `lines` counts: "line" or "row".
    pub unit: &'static str,
}

impl Frame {
    /// Reads a file, or every file of a folder or glob. `optional` is a column that files without a
    /// header may lack.
    ///
    /// # Errors
    /// When something cannot be read (and is not to be skipped), there is no row, or the files
    /// disagree about the columns.
    pub(super) fn read(uri: &str, config: &TableConfig, optional: Option<&str>) -> Result<Self, DataError> {
        let mut files = source::list(uri)?;
        if source::is_folder(uri) {
            // What Spark and others leave beside their parts: `_SUCCESS`, `.part-0.crc`.
            files.retain(|file| !source::name(file).starts_with(['.', '_']));
        }
        let mut files = files.into_iter();
        let Some(first) = files.next() else {
            return Err(DataError::source(uri, "at least one file", "an empty folder"));
        };
        let mut frame = Frame::read_file(&first, config, optional)?;
        frame.uri = uri.to_string();
        for file in files {
            let more = Frame::read_file(&file, config, optional)?;
            frame.append(more)?;
        }
        match frame.len() {
            0 => Err(DataError::source(uri, "at least one row", "none")),
            _ => Ok(frame),
        }
    }

    fn read_file(uri: &str, config: &TableConfig, optional: Option<&str>) -> Result<Self, DataError> {
        let bytes = source::read_unpacked(uri)?;
        match config.format.unwrap_or_else(|| TableFormat::of(uri)) {
            TableFormat::Csv => Frame::from_csv(uri, &bytes, config, optional),
            TableFormat::Jsonl => jsonl::read(uri, &bytes, config),
            TableFormat::Parquet => parquet::read(uri, bytes, config),
        }
    }

    fn from_csv(
        uri: &str,
        bytes: &[u8],
        config: &TableConfig,
        optional: Option<&str>,
    ) -> Result<Self, DataError> {
        let mut dialect = Dialect::new(
            &extension(uri),
            config.separator.as_deref(),
            config.comment,
            config.has_header,
            config.column_names.as_deref(),
        )?;
        dialect.optional = optional.map(String::from);
        let mut csv = Csv::open(uri, bytes, &dialect)?;
        let mut columns: Vec<TextCells> = csv.names().iter().map(|_| TextCells::default()).collect();
        let (mut lines, mut skipped) = (Vec::new(), 0);
        let corrupt = |error| match config.on_corrupt {
            OnCorrupt::Stop => ControlFlow::Break(error),
            OnCorrupt::Skip => {
                skipped += 1;
                ControlFlow::Continue(())
            }
        };
        for_each_row(&mut csv, corrupt, |line, csv| {
            lines.push(line);
            for (column, cell) in columns.iter_mut().zip(csv.cells()) {
                let cell = cell.trim();
                column.push((!config.is_missing(cell)).then_some(cell));
            }
            Ok(())
        })?;
        let columns = columns.into_iter().map(Cells::Text).collect();
        Ok(Frame { skipped, ..Frame::new(uri, csv.names().to_vec(), columns, lines, "line") })
    }

    /// The rows of one file.
    pub(super) fn new(
        uri: &str,
        names: Vec<String>,
        columns: Vec<Cells>,
        lines: Vec<u64>,
        unit: &'static str,
    ) -> Self {
        let files = vec![(uri.to_string(), 0)];
        Frame { uri: uri.to_string(), names, columns, lines, files, ignored: Vec::new(), skipped: 0, unit }
    }

    /// Adds the rows of another file, its columns found by name.
    fn append(&mut self, mut other: Frame) -> Result<(), DataError> {
        let differ = |expected: String, found: String| DataError::source(&other.uri, expected, found);
        if other.names.len() != self.names.len() {
            let count = |frame: &Frame| format!("{} columns, as in {}", frame.names.len(), frame.files[0].0);
            return Err(differ(count(self), other.names.len().to_string()));
        }
        let start = self.len();
        let mut taken: Vec<Option<Cells>> = other.columns.drain(..).map(Some).collect();
        for (name, column) in self.names.iter().zip(&mut self.columns) {
            let place = other.names.iter().position(|other| other == name);
            let Some(cells) = place.and_then(|index| taken[index].take()) else {
                let columns = other.names.join(", ");
                return Err(differ(format!("a column `{name}`, as in {}", self.files[0].0), columns));
            };
            if !column.append(cells) {
                let expected = format!("`{name}` of one type in every file");
                return Err(differ(expected, "numbers in one and text in another".to_string()));
            }
        }
        self.lines.append(&mut other.lines);
        self.files.push((other.uri, start));
        self.skipped += other.skipped;
        Ok(())
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        debug_assert!(self.columns.iter().all(|column| column.len() == self.lines.len()));
        self.lines.len()
    }

    /// The file of a row.
    pub(super) fn file(&self, row: usize) -> &str {
        let after = self.files.partition_point(|&(_, first)| first <= row);
        &self.files[after - 1].0
    }

    /// The index of a column.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|column| column == name)
    }

    /// An error about one cell: file, line, column.
    pub(super) fn cell_error(
        &self,
        row: usize,
        column: &str,
        expected: impl ToString,
        found: impl ToString,
    ) -> DataError {
        let place = format!("{} {}, column `{column}`", self.unit, self.lines[row]);
        DataError::malformed(self.file(row), place, expected, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    }

    #[test]
    fn a_folder_of_files_is_one_table_whatever_the_order_of_columns() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "part-0.csv", "a,b\n1,x\n2,?\n");
        let second = write(&folder, "part-1.csv", "b,a\ny,3\n");
        let frame = Frame::read(folder.path().to_str().unwrap(), &TableConfig::default(), None).unwrap();
        assert_eq!(frame.len(), 3);
        assert_eq!(frame.columns[0].number(2), Some(Ok(3.0)));
        assert_eq!(frame.columns[1].text(1), None);
        assert_eq!(frame.columns[1].text(2).unwrap(), "y");
        let error = frame.cell_error(2, "a", "x", "y").to_string();
        assert!(error.contains(&second) && error.contains("line 2, column `a`"), "{error}");
    }

    #[test]
    fn files_that_disagree_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "1.csv", "a,b\n1,x\n");
        write(&folder, "2.csv", "a,c\n1,x\n");
        let uri = folder.path().to_str().unwrap();
        let error = Frame::read(uri, &TableConfig::default(), None).unwrap_err().to_string();
        assert!(error.contains("`b`"), "{error}");
    }

    #[test]
    fn a_header_alone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let uri = write(&folder, "h.csv", "a,b\n");
        let error = Frame::read(&uri, &TableConfig::default(), None).unwrap_err().to_string();
        assert!(error.contains("expected at least one row, found none"), "{error}");
    }

    #[test]
    fn corrupt_rows_stop_or_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let uri = write(&folder, "h.csv", "a,b\n1,2\n3\n4,5\n");
        assert!(Frame::read(&uri, &TableConfig::default(), None).is_err());
        let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..Default::default() };
        let frame = Frame::read(&uri, &skip, None).unwrap();
        assert_eq!((frame.len(), frame.skipped), (2, 1));
    }
}
