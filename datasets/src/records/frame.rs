//! Records in memory, whatever their format: their cells, column by column, and the file and line of each.

use super::cells::{Cells, TextCells};
use super::wording::listed;
use crate::DataError;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

/// Some records of a file, or all of several.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The URI they were opened by.
    pub uri: String,
    /// The columns' names, in the files' order. The column of plain lines has none.
    pub names: Vec<String>,
    /// The columns, as long as one another.
    pub columns: Vec<Cells>,
    /// The line of each row in its file (the row of a Parquet file), counted from 1.
    pub lines: Vec<u64>,
    /// Each file with the index of its first row.
    pub files: Vec<(String, usize)>,
    /// The names of columns that the files have and that were not read.
    pub ignored: Vec<String>,
    /// The unit of `lines`: "line" or "row".
    pub unit: &'static str,
    /// True where each record names its own columns: one that none of these has may be in another.
    pub varies: bool,
    /// True where such a record has 0 in the columns that it does not name.
    pub sparse: bool,
    /// The places of many columns by name, those that were there when one was first looked for.
    pub(super) places: OnceLock<HashMap<String, usize>>,
}

impl Frame {
    /// The rows of one file.
    pub(crate) fn new(
        uri: &str,
        names: Vec<String>,
        columns: Vec<Cells>,
        lines: Vec<u64>,
        unit: &'static str,
    ) -> Self {
        let files = vec![(uri.to_string(), 0)];
        let (uri, ignored) = (uri.to_string(), Vec::new());
        Frame {
            uri,
            names,
            columns,
            lines,
            files,
            ignored,
            unit,
            varies: false,
            sparse: false,
            places: OnceLock::new(),
        }
    }

    /// Adds the rows that come next, of the same file or another one, their columns found by name.
    ///
    /// # Errors
    /// When the files disagree about the columns.
    pub(crate) fn append(&mut self, mut other: Frame) -> Result<(), DataError> {
        let differ = |expected: String, found: String| DataError::source(&other.uri, expected, found);
        if other.names.len() != self.names.len() {
            let count = |frame: &Frame| format!("{} columns, as in {}", frame.names.len(), frame.files[0].0);
            return Err(differ(count(self), other.names.len().to_string()));
        }
        let start = self.len();
        let mut taken: Vec<Option<Cells>> = other.columns.drain(..).map(Some).collect();
        for (at, (name, column)) in self.names.iter().zip(&mut self.columns).enumerate() {
            let same = other.names.get(at).filter(|&other| other == name).map(|_| at);
            let place = same.or_else(|| other.names.iter().position(|other| other == name));
            let Some(cells) = place.and_then(|index| taken[index].take()) else {
                let columns = listed(&other.names);
                return Err(differ(format!("a column `{name}`, as in {}", self.files[0].0), columns));
            };
            if !column.append(cells) {
                let expected = format!("`{name}` of one type in every file");
                return Err(differ(expected, "numbers in one and text in another".to_string()));
            }
        }
        add_names(&mut self.ignored, other.ignored);
        self.lines.append(&mut other.lines);
        if self.files.last().is_none_or(|(file, _)| *file != other.uri) {
            self.files.push((other.uri, start));
        }
        Ok(())
    }

    /// Adds those of `names` that no row has a value for, or all have 0 for.
    pub(crate) fn complete<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let known: HashSet<&str> = self.names.iter().map(String::as_str).collect();
        let new: Vec<String> = names.filter(|name| !known.contains(name)).map(str::to_string).collect();
        for name in new {
            let mut cells = TextCells::default();
            if self.sparse {
                self.lines.iter().for_each(|_| cells.push_number(Some("0")));
            }
            cells.fill(self.lines.len());
            self.names.push(name);
            self.columns.push(Cells::Text(cells));
        }
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        debug_assert!(self.columns.iter().all(|column| column.len() == self.lines.len()));
        self.lines.len()
    }

    /// The file of a row.
    pub(crate) fn file(&self, row: usize) -> &str {
        let after = self.files.partition_point(|&(_, first)| first <= row);
        &self.files[after - 1].0
    }

    /// The index of a column.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        const FEW: usize = 64;
        let among_all = || self.names.iter().position(|column| column == name);
        if self.names.len() <= FEW {
            return among_all();
        }
        let placed = |(at, name): (usize, &String)| (name.clone(), at);
        // Of columns of one name the first is found.
        let places = || self.names.iter().enumerate().rev().map(placed).collect();
        let places: &HashMap<String, usize> = self.places.get_or_init(places);
        match places.get(name) {
            Some(&at) => Some(at),
            // Columns are added at the end alone.
            None if places.len() == self.names.len() => None,
            None => among_all(),
        }
    }

    /// The names of all columns, those that were not read behind the others.
    pub(crate) fn all_names(&self) -> Vec<String> {
        self.names.iter().chain(&self.ignored).cloned().collect()
    }

    /// An error about one cell: file, line, column.
    pub(crate) fn cell_error(
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

/// Adds those of `more` that are not among `names`; most often they are the same.
pub(crate) fn add_names(names: &mut Vec<String>, more: Vec<String>) {
    if *names != more {
        let known: HashSet<&str> = names.iter().map(String::as_str).collect();
        let new: Vec<String> = more.into_iter().filter(|name| !known.contains(name.as_str())).collect();
        names.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_among_many_and_when_it_came_later() {
        let names: Vec<String> = (0..100).map(|number| format!("c{}", number % 99)).collect();
        let columns = names.iter().map(|_| Cells::Text(TextCells::default())).collect();
        let mut frame = Frame::new("x", names, columns, Vec::new(), "line");
        assert_eq!((frame.position("c0"), frame.position("c98")), (Some(0), Some(98)));
        assert_eq!(frame.position("late"), None);
        frame.complete(["late", "c5"].into_iter());
        assert_eq!((frame.position("late"), frame.position("later")), (Some(100), None));
    }
}
