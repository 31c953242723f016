//! JSON lines: an object a line, its keys the columns.

use super::cut::{BLOCK, Cutter, LONGEST_RECORD};
use super::encoding::Content;
use super::entry::{Entries, Entry, File, Records, scanned_text};
use super::lines::lines_of;
use super::objects::Objects;
use super::pieces::line_pieces;
use super::read::{Fill, ReadBlocks, ReadOptions, ReadRecords, TakeFound, frames};
use super::shard::{Block, Shard};
use crate::DataError;
use crate::source::one_line;
use bytes::Bytes;
use std::io::{BufRead, BufReader, Read};
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
        frames(objects(uri, &bytes, 1, options), options.at_once, take)
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        line_pieces(uri, options.decoding, |bytes, line| {
            frames(objects(uri, bytes, line, options), options.at_once, take)
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
        frames(objects(self.0.uri(), &bytes, block.line, options), options.at_once, take)
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

/// The objects of the lines of some bytes, the first of which is line `line` of the file.
fn objects<'a>(uri: &'a str, bytes: &'a [u8], line: u64, options: &'a ReadOptions<'a>) -> impl Fill + 'a {
    Objects::of(uri, numbered(bytes, line), "line", options)
}

/// The lines of some bytes that are not blank, each with its number; the first line is line `line` of the file.
fn numbered(bytes: &[u8], line: u64) -> impl Iterator<Item = (u64, &[u8])> {
    (line..).zip(lines_of(bytes)).filter(|(_, text)| !text.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::frame::Frame;
    use crate::records::marks::Marks;
    use crate::records::read::{Found, Use};

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
        let missing = Marks::new(vec![String::new()]);
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

    #[test]
    fn objects_within_objects_are_columns_by_their_full_names() {
        let text =
            b"{\"a\": {\"b\": 1, \"c\": {\"d\": \"x\"}}, \"e\": true}\n{\"a\": {\"b\": 2}}\n{\"a\": {}}\n";
        let (frame, _) = read(text, false, CELLS).unwrap();
        assert_eq!(frame.names, ["a.b", "a.c.d", "e"]);
        assert_eq!((frame.len(), frame.columns[0].number(1)), (3, Some(Ok(2.0))));
        assert_eq!(frame.columns[1].text(0).unwrap(), "x");
        let twice = read(b"{\"a.b\": 1, \"a\": {\"b\": 2}}\n", false, CELLS).unwrap_err().to_string();
        assert!(twice.contains("line 1: expected one value of `a.b`, found two"), "{twice}");
        let list = read(b"{\"a\": {\"b\": [1]}}\n", false, CELLS).unwrap_err().to_string();
        assert!(list.contains("line 1, column `a.b`") && list.ends_with("found a list"), "{list}");
        let ignored = &|name: &str| if name == "a" { Use::Nothing } else { Use::Cell };
        let (frame, _) = read(b"{\"a\": {\"b\": [1]}, \"c\": 1}\n", false, ignored).unwrap();
        assert_eq!((frame.names, frame.ignored), (vec!["c".to_string()], vec!["a".to_string()]));
        let asked = &|name: &str| if name == "a.b" { Use::Text } else { Use::Nothing };
        let (frame, _) = read(b"{\"a\": {\"b\": \"t\", \"c\": [1]}}\n", false, asked).unwrap();
        assert_eq!(frame.columns[frame.position("a.b").unwrap()].text(0).unwrap(), "t");
    }

    #[test]
    fn an_object_that_is_nested_too_deep_is_refused() {
        let deep = format!("{}1{}\n", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        let error = read(deep.as_bytes(), false, CELLS).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("recursion limit"), "{error}");
    }
}
