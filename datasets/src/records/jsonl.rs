//! JSON lines: an object a line, its keys the columns.

use super::cells::{Cells, TextCells};
use super::cut::{BLOCK, Cutter, LONGEST_RECORD};
use super::encoding::{Content, undecodable};
use super::entry::{Entries, Entry, File, Records, scanned_text};
use super::frame::Frame;
use super::lines::lines_of;
use super::pieces::line_pieces;
use super::read::{Fill, ReadBlocks, ReadOptions, ReadRecords, TakeFound, Use, frames};
use super::shard::{Block, Shard};
use super::wording::shortened;
use crate::DataError;
use crate::source::one_line;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::mem;
use std::slice::Split;
use std::sync::Arc;

/// The format.
pub(super) struct JsonlRecords;

impl Records for JsonlRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        scanned_text(file, Content::Lines, |uri, unpacked, take| scan_jsonl(uri, unpacked, BLOCK, take))
    }
}

impl ReadRecords for JsonlRecords {
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        frames(Objects::of(uri, &bytes, 1, options), options.at_once, take)
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        line_pieces(uri, options.decoding, |bytes, line| {
            frames(Objects::of(uri, bytes, line, options), options.at_once, take)
        })
    }

    fn open(&self, shard: Shard, _: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        Ok(Arc::new(JsonlBlocks(shard)))
    }
}

/// The blocks of indexed JSON lines.
#[derive(Debug)]
struct JsonlBlocks(Shard);

impl ReadBlocks for JsonlBlocks {
    fn shard(&self) -> &Shard {
        &self.0
    }

    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let bytes = self.0.fetch(block)?;
        frames(Objects::of(self.0.uri(), &bytes, block.line, options), options.at_once, take)
    }
}

/// Reads JSON lines from their beginning to their end, and hands out their blocks of about `block` bytes with
/// their checksums. `uri` names the file in errors. Blank lines are no records; lines that are no objects
/// are.
///
/// # Errors
/// When it cannot be read, a line is too long, and when `take` fails.
fn scan_jsonl(
    uri: &str,
    reader: impl Read,
    block: u64,
    take: impl FnMut(Entry) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let mut cutter = Cutter::new("jsonl", take);
    let (mut bytes, mut line) = (Vec::new(), 1);
    loop {
        let begin = bytes.len();
        let malformed = |found: String| {
            DataError::malformed(uri, format!("line {line}"), "a readable line of JSON", found)
        };
        let read = reader.by_ref().take(LONGEST_RECORD).read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| malformed(one_line(error)))? as u64;
        if read == 0 {
            break;
        }
        if read == LONGEST_RECORD {
            return Err(malformed(format!("one longer than {} MiB", LONGEST_RECORD >> 20)));
        }
        line += 1;
        cutter.records += u32::from(!bytes[begin..].trim_ascii().is_empty());
        if cutter.records > 0 && bytes.len() as u64 >= block {
            cutter.cut(&bytes, line)?;
            bytes.clear();
        }
    }
    if cutter.records > 0 {
        cutter.cut(&bytes, line)?;
    }
    Ok(())
}

/// Objects, of which a key that one lacks has no value there. The columns stand in alphabetical order, so
/// that they do not depend on the order of records.
struct Objects<'a> {
    uri: &'a str,
    options: &'a ReadOptions<'a>,
    /// The lines that are left, of which the first is line `line`.
    left: Split<'a, u8, fn(&u8) -> bool>,
    line: u64,
    columns: BTreeMap<String, (Use, TextCells)>,
    lines: Vec<u64>,
}

impl<'a> Objects<'a> {
    /// Reads the lines of `bytes`, the first of which is line `line` of the file.
    fn of(uri: &'a str, bytes: &'a [u8], line: u64, options: &'a ReadOptions<'a>) -> Self {
        let (left, columns) = (lines_of(bytes), BTreeMap::new());
        Objects { uri, options, left, line, columns, lines: Vec::new() }
    }

    /// Appends the object of a line.
    ///
    /// # Errors
    /// When it is none, or a value is none that its column may have.
    fn append(&mut self, line: u64, text: &[u8]) -> Result<(), DataError> {
        let object: Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| match std::str::from_utf8(text) {
                Err(_) => undecodable(self.uri, line, text, self.options.decoding),
                Ok(_) => DataError::malformed(self.uri, format!("line {line}"), "a JSON object", error),
            })?;
        for (name, value) in &object {
            let column = match self.columns.get(name) {
                Some(&(column, _)) => column,
                None => {
                    let column = (self.options.column)(name);
                    self.columns.insert(name.clone(), (column, TextCells::default()));
                    column
                }
            };
            check(self.uri, line, name, value, column)?;
        }
        for (name, value) in &object {
            let Some((column, cells)) = self.columns.get_mut(name) else { continue };
            if column.is_wanted() {
                cells.fill(self.lines.len());
                let text = cell(value);
                let text = text.as_deref().and_then(|text| self.options.value(text));
                match value {
                    Value::String(_) | Value::Bool(_) => cells.push_text(text),
                    _ => cells.push_number(text),
                }
            }
        }
        self.lines.push(line);
        Ok(())
    }
}

impl Fill for Objects<'_> {
    fn next(&mut self) -> Option<Result<(), DataError>> {
        loop {
            let (text, line) = (self.left.next()?, self.line);
            self.line += 1;
            if !text.trim_ascii().is_empty() {
                return Some(self.append(line, text));
            }
        }
    }

    fn frame(&mut self) -> Frame {
        let (mut names, mut ignored, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for (name, (column, mut cells)) in mem::take(&mut self.columns) {
            if !column.is_wanted() {
                ignored.push(name);
            } else if cells.len() > 0 {
                cells.fill(self.lines.len());
                names.push(name);
                columns.push(Cells::Text(cells));
            }
        }
        let lines = mem::take(&mut self.lines);
        Frame { ignored, varies: true, ..Frame::new(self.uri, names, columns, lines, "line") }
    }
}

/// Refuses a value that its column cannot have.
fn check(uri: &str, line: u64, name: &str, value: &Value, column: Use) -> Result<(), DataError> {
    let nested = value.is_array() || value.is_object();
    let (place, expected) = match column {
        Use::Text if !value.is_string() => (format!("line {line}"), format!("a text under `{name}`")),
        Use::Label if nested => (format!("line {line}"), format!("a label under `{name}`")),
        Use::Cell | Use::Check if nested => {
            (format!("line {line}, column `{name}`"), "text, a number, true, false or null".to_string())
        }
        _ => return Ok(()),
    };
    Err(DataError::malformed(uri, place, expected, kind(value)))
}

/// A value as a cell's text; `None` for null, and for what is no cell.
fn cell(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Bool(value) => Some(if *value { "true" } else { "false" }.into()),
        Value::Number(value) => Some(value.to_string().into()),
        Value::String(text) => Some(text.into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value in the words of an error.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {}", shortened(&number.to_string())),
        Value::String(_) => "a text".to_string(),
        Value::Array(_) => "a list".to_string(),
        Value::Object(_) => "an object".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::read::Found;

    #[test]
    fn lines_of_json_are_counted_but_for_blank_ones() {
        let mut entries = Vec::new();
        scan_jsonl("x.jsonl", &b"{}\n\n  \n{\"a\": 1}\nnonsense"[..], 4, |entry| {
            entries.push((entry.records, entry.line, entry.parts[0].offset, entry.parts[0].length));
            Ok(())
        })
        .unwrap();
        assert_eq!(entries, [(1, 1, 0, 4), (1, 3, 4, 12), (1, 5, 16, 8)]);
    }

    const CELLS: &dyn Fn(&str) -> Use = &|_| Use::Cell;

    /// The records as cells of a table, and the numbers of those that cannot be read, which stop where `skip`
    /// is false.
    fn read(text: &[u8], skip: bool, column: &dyn Fn(&str) -> Use) -> Result<(Frame, Vec<usize>), DataError> {
        let missing = ["".to_string()];
        let options = ReadOptions { missing: Some(&missing), ..ReadOptions::plain(column) };
        let (mut all, mut numbers) = (None, Vec::new());
        JsonlRecords.read("t.jsonl", Bytes::copy_from_slice(text), &options, &mut |found| {
            match found {
                Found::Frame(frame) => all = Some(frame),
                Found::Unreadable(number, _) if skip => numbers.push(number),
                Found::Unreadable(_, error) => return Err(error),
            }
            Ok(())
        })?;
        Ok((all.unwrap(), numbers))
    }

    #[test]
    fn objects_become_columns_and_absent_keys_have_no_value() {
        let text = b"{\"b\": \" x \", \"a\": 1.5}\n\n{\"a\": null, \"c\": true}\n";
        let (frame, _) = read(text, false, CELLS).unwrap();
        assert_eq!(frame.names, ["a", "b", "c"]);
        assert_eq!(frame.lines, [1, 3]);
        assert_eq!(frame.columns[0].number(0), Some(Ok(1.5)));
        assert_eq!(frame.columns[0].number(1), None);
        assert_eq!(frame.columns[1].text(0).unwrap(), "x");
        assert_eq!(frame.columns[1].text(1), None);
        assert_eq!(frame.columns[2].text(0), None);
        assert_eq!(frame.columns[2].text(1).unwrap(), "true");
    }

    #[test]
    fn what_is_no_row_is_an_error_or_counted() {
        let text = b"{\"a\": 1}\n{\"a\": [1]}\nnot json\n[1]\n{\"a\": 2}\n";
        let error = read(text, false, CELLS).unwrap_err().to_string();
        assert!(error.contains("line 2, column `a`") && error.contains("a list"), "{error}");
        let (frame, unreadable) = read(text, true, CELLS).unwrap();
        assert_eq!((frame.len(), unreadable), (2, vec![1, 2, 3]));
        let error = read(text, false, &|_| Use::Nothing).unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
        assert!(read(text, false, &|_| Use::Check).unwrap_err().to_string().contains("line 2, column `a`"));
        assert!(read(b"{\"a\": \"\xff\"}", false, CELLS).is_err());
    }

    #[test]
    fn a_record_that_cannot_be_read_leaves_no_column() {
        let (frame, unreadable) = read(b"{\"a\": 1}\n{\"b\": 2, \"c\": [1]}\n", true, CELLS).unwrap();
        assert_eq!((frame.names, unreadable), (vec!["a".to_string()], vec![1]));
    }
}
