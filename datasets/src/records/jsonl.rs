//! JSON lines: an object a line, its keys the columns.

use super::cut::{BLOCK, Cutter, LONGEST_RECORD};
use super::dialect::Dialect;
use super::entry::{Entry, Records, scanned};
use super::lines::without_mark;
use crate::DataError;
use crate::source::packing::Compression;
use crate::source::{Object, Stat, one_line};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

/// The format.
pub(super) struct JsonlRecords;

impl Records for JsonlRecords {
    fn entries(&self, object: &Object, _: &Stat, _: Dialect) -> Result<(Compression, Vec<Entry>), DataError> {
        scanned(object, |unpacked, take| scan_jsonl(object.uri(), unpacked, BLOCK, take))
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

/// Calls `row` with the line number, the first being `first_line`, and the object of every line that is
/// not blank. Lines that are no object go to `corrupt`, which says whether to stop with their error.
///
/// # Errors
/// `row`'s own, or the first that `corrupt` hands back.
pub(crate) fn for_each_object(
    uri: &str,
    bytes: &[u8],
    first_line: u64,
    mut corrupt: impl FnMut(DataError) -> ControlFlow<DataError>,
    mut row: impl FnMut(u64, Map<String, Value>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let bytes = without_mark(bytes);
    for (line, text) in (first_line..).zip(bytes.split(|&byte| byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(text) {
            Ok(object) => row(line, object)?,
            Err(error) => {
                let error = DataError::malformed(uri, format!("line {line}"), "a JSON object", error);
                if let ControlFlow::Break(error) = corrupt(error) {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// A value as a cell's text; `None` for null.
///
/// # Errors
/// For lists and objects, with the word for what it is.
pub(crate) fn cell(value: &Value) -> Result<Option<Cow<'_, str>>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(value.to_string().into())),
        Value::Number(value) => Ok(Some(value.to_string().into())),
        Value::String(text) => Ok(Some(text.into())),
        Value::Array(_) => Err("a list"),
        Value::Object(_) => Err("an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
