//! The rows of a sheet as a frame, by what its cells say.

use super::bounds::MOST_CELLS;
use crate::records::cells::{Cells, TextCells};
use crate::records::frame::Frame;
use crate::records::read::ReadOptions;
use calamine::{DataRef, DataType, ExcelDateTime};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The rows of a sheet as they come.
pub(super) struct Rows<'a> {
    options: &'a ReadOptions<'a>,
    /// The row that names the columns.
    header: Option<u32>,
    names: BTreeMap<u32, String>,
    columns: BTreeMap<u32, TextCells>,
    lines: Vec<u64>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(options: &'a ReadOptions<'a>) -> Self {
        let (names, columns) = (BTreeMap::new(), BTreeMap::new());
        Rows { options, header: None, names, columns, lines: Vec::new() }
    }

    /// Takes a cell; the error is what was expected, and what was found.
    pub(super) fn push(
        &mut self,
        row: u32,
        column: u32,
        value: &DataRef<'_>,
    ) -> Result<(), (String, String)> {
        let header = *self.header.get_or_insert(row);
        if row == header {
            let name = cell(value).map_or_else(String::new, |(name, _)| name.trim().to_string());
            self.names.insert(column, name);
            return Ok(());
        }
        let line = u64::from(row) + 1;
        match self.lines.last() {
            Some(&last) if last == line => {}
            last if last.is_none_or(|&last| line > last) && row > header => self.lines.push(line),
            _ => return Err(("rows in their order".to_string(), "one behind a later one".to_string())),
        }
        let rows = self.lines.len();
        let cells = self.columns.entry(column).or_default();
        if cells.len() >= rows {
            return Err(("one cell at each place".to_string(), "two".to_string()));
        }
        cells.fill(rows - 1);
        match cell(value) {
            Some((text, true)) => cells.push_text(self.options.value(&text)),
            Some((text, false)) => cells.push_number(self.options.value(&text)),
            None => cells.push(None),
        }
        let columns = self.columns.len().max(self.names.len()) as u64;
        if rows as u64 * columns > MOST_CELLS {
            return Err((
                format!("a sheet of at most {MOST_CELLS} cells"),
                format!("{rows} rows of {columns} columns"),
            ));
        }
        Ok(())
    }

    /// The rows that were taken.
    pub(super) fn frame(mut self, uri: &str) -> Frame {
        let at: Vec<u32> = self.names.keys().chain(self.columns.keys()).copied().collect();
        let (mut names, mut columns, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
        let mut taken: HashSet<String> = HashSet::new();
        for at in at.into_iter().collect::<BTreeSet<u32>>() {
            let given = self.names.remove(&at).filter(|name| !name.is_empty());
            let given = given.unwrap_or_else(|| format!("Unnamed: {at}"));
            let mut name = given.clone();
            let mut times = 0;
            while !taken.insert(name.clone()) {
                times += 1;
                name = format!("{given}.{times}");
            }
            let mut cells = self.columns.remove(&at).unwrap_or_default();
            if !(self.options.column)(&name).is_wanted() {
                ignored.push(name);
                continue;
            }
            cells.fill(self.lines.len());
            names.push(name);
            columns.push(Cells::Text(cells));
        }
        Frame { ignored, ..Frame::new(uri, names, columns, self.lines, "row") }
    }
}

/// A cell's text, and true where it is text whatever it looks like; none where there is no value.
fn cell(value: &DataRef<'_>) -> Option<(String, bool)> {
    Some(match value {
        DataRef::Empty | DataRef::Error(_) => return None,
        DataRef::Int(number) => (number.to_string(), false),
        DataRef::Float(number) => (number.to_string(), false),
        DataRef::Bool(value) => (value.to_string(), true),
        DataRef::DateTime(time) if time.is_duration() => (time.as_f64().to_string(), false),
        DataRef::DateTime(time) => (spelled(time), true),
        DataRef::String(_) | DataRef::SharedString(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) => {
            (value.get_string().or(value.get_datetime_iso()).or(value.get_duration_iso())?.to_string(), true)
        }
    })
}

/// A date and time in ISO 8601; the time alone where there is no date.
fn spelled(time: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let fraction = if milli > 0 { format!(".{milli:03}") } else { String::new() };
    let clock = format!("{hour:02}:{minute:02}:{second:02}{fraction}");
    match time.as_f64() {
        day if (0.0..1.0).contains(&day) => clock,
        _ if (hour, minute, second, milli) == (0, 0, 0, 0) => date,
        _ => format!("{date}T{clock}"),
    }
}
